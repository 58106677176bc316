// etcd runs etcd's own server. "go install" refuses the module, because its go.mod replaces other modules with folders.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
