# shellcheck shell=bash
# Builds the programs of the file "versions" from Go modules. The file go/go.sum has the modules' checksums.

GO_SOURCES=$HERE/go
GO_MODULES=$BUILD/modules
GO_LOG=$BUILD/go.log

# Sets GO to the machine's own Go if that is new enough. Otherwise it downloads Go, which is also published as a module.
go_toolchain() {
  local wanted own module version json sum
  mkdir -p "$GO_MODULES"
  [[ -z ${GO:-} ]] || return 0
  wanted=$(version_of go)
  own=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  if printf 'go%s\n' "$wanted" | cat - <(echo "${own%% *}") | sort -CV; then
    GO=$(command -v go)
    return
  fi
  GO=$BUILD/go-$wanted/bin/go
  [[ ! -x $GO ]] || return 0
  say "fetching Go $wanted"
  install_packages golang-go
  module=golang.org/toolchain version=v0.0.1-go$wanted.linux-$(dpkg --print-architecture)
  json=$(cd "$BUILD" && GO=/usr/bin/go && go_run mod download -json "$module@$version" 2>>"$GO_LOG") ||
    die "cannot download Go $wanted, see $GO_LOG"
  sum="$module $version $(json_field Sum <<<"$json")"
  # When Go only downloads a module, it compares the checksum with its public database, not with go.sum.
  if grep -q "^$module $version " "$GO_SOURCES/go.sum"; then
    grep -qxF "$sum" "$GO_SOURCES/go.sum" || die "the checksum of Go $wanted differs from the one in $GO_SOURCES/go.sum"
  else
    keep_checksums - <<<"$sum"
  fi
  cp -r "$(json_field Dir <<<"$json")" "$BUILD/.go-$wanted"
  # The archive of a module does not record which of its files are executable.
  chmod -R u+w "$BUILD/.go-$wanted"
  chmod +x "$BUILD/.go-$wanted"/bin/* "$BUILD/.go-$wanted"/pkg/tool/*/*
  mv "$BUILD/.go-$wanted" "$BUILD/go-$wanted"
}

json_field() { sed -n "s/^\t\"$1\": \"\(.*\)\",\?\$/\1/p"; } # NAME: reads the output of go mod download

# The compiler runs for seconds, so it is faster if it collects garbage only when it has used 2 GiB. That took 23 % off
# the build of etcd.
go_run() { # ARG…: runs Go with separate settings and caches
  env GOGC=off GOMEMLIMIT=2GiB \
    GOPATH="$BUILD/gopath" GOMODCACHE="$BUILD/go-modules" GOCACHE="$BUILD/go-cache" GOWORK=off GOFLAGS=-mod=mod \
    GO111MODULE=on GOTOOLCHAIN=local CGO_ENABLED="${CGO:-0}" "$GO" "$@"
}

# The module has one requirement and nothing else. So Go takes all other versions from the required module's go.mod.
go_module() { # NAME MODULE VERSION: prints its folder
  local dir=$GO_MODULES/$1-$3
  if [[ ! -f $dir/go.mod ]]; then
    mkdir -p "$dir"
    printf 'module %s\n\ngo 1.26.0\n\nrequire %s v%s\n' "$1" "$2" "$3" >"$dir/go.mod"
    cp "$GO_SOURCES/go.sum" "$dir/"
  fi
  echo "$dir"
}

# k8s.io/kubernetes replaces its staging modules (k8s.io/api, client-go, …) with folders of its own repository. The
# published module does not contain these folders. They are published as separate modules: v0.X.Y for Kubernetes v1.X.Y.
# So this uses upstream's go.mod with all pinned versions, and changes only these replacements.
kubernetes_module() { # VERSION: prints its folder
  local version=$1 dir=$GO_MODULES/kubernetes-$1 upstream
  if [[ ! -f $dir/go.mod ]]; then
    mkdir -p "$dir"
    upstream=$(cd "$BUILD" && go_run mod download -json "k8s.io/kubernetes@v$version" 2>>"$GO_LOG" | json_field GoMod)
    [[ -n $upstream ]] || die "cannot download Kubernetes $version, see $GO_LOG"
    cp "$GO_SOURCES/go.sum" "$dir/"
    sed -e 's|^module .*|module kubernetes|' \
      -e "s|^\(\tk8s.io/[^ ]* =>\) ./staging/src/\(k8s.io/[^ ]*\)\$|\1 \2 v0.${version#*.}|" "$upstream" >"$dir/.go.mod"
    printf '\nrequire k8s.io/kubernetes v%s\n' "$version" >>"$dir/.go.mod"
    mv "$dir/.go.mod" "$dir/go.mod"
  fi
  echo "$dir"
}

go_main() { # DIR PROGRAM: copies the project's own main.go of that name into the module
  mkdir -p "$1/$2"
  cp "$GO_SOURCES/$2/main.go" "$1/$2/"
}

# The programs contain no paths of this machine (-trimpath), no symbol table and no debug information. Without debug
# information (-dwarf=false) and without inlining (-l), the compiler is faster.
go_build() { # DIR LDFLAGS OUTPUT-FOLDER PACKAGE…
  local dir=$1 flags=$2 output=$3 package packages
  shift 3
  (
    set -o pipefail
    cd "$dir" || exit
    # This downloads all modules and checks their checksums before the compiler starts.
    packages=$(go_run list -tags "${TAGS:-}" -deps "$@" 2>>"$GO_LOG" | wc -l) || exit
    [[ -z ${FETCH_ONLY:-} ]] || exit 0
    keep_checksums go.sum
    rm -rf "$output.new"
    mkdir -p "$output.new"
    for package in "$@"; do
      go_run build -v -trimpath -tags "${TAGS:-}" -gcflags="all=-dwarf=false -l" -ldflags "-s -w $flags" \
        -o "$output.new/${package##*/}" "$package" 2>&1 | tee -a "$GO_LOG" | progress "$packages" || exit
    done
  ) || die "cannot build $(basename "$dir"), see $GO_LOG"
  [[ -z ${FETCH_ONLY:-} ]] || exit 0
  mkdir -p "$output"
  mv "$output.new"/* "$output/"
  rmdir "$output.new"
}

progress() { # TOTAL: reads a line for each package that is compiled
  local n=0 next=$(($1 / 10))
  while read -r _; do
    ((++n < next)) || {
      say "  $n of $1 packages"
      next=$((next + $1 / 10))
    }
  done
}

# Adds checksums to go.sum. Go has compared the new ones with its public database (sum.golang.org).
keep_checksums() { # FILE
  local new
  new=$(LC_ALL=C sort -u "$GO_SOURCES/go.sum" "$1")
  [[ $new != "$(<"$GO_SOURCES/go.sum")" ]] || return 0
  say "adding $(($(wc -l <<<"$new") - $(wc -l <"$GO_SOURCES/go.sum"))) checksums to $GO_SOURCES/go.sum"
  echo "$new" >"$GO_SOURCES/go.sum"
}

go_clean() { # these take gigabytes and are no longer needed
  rm -rf "$GO_MODULES" "$BUILD/go-cache" "$BUILD/go-modules" "$BUILD/gopath" "$BUILD"/go-[0-9]*
}

build_etcd() {
  local dir
  dir=$(go_module etcd go.etcd.io/etcd/server/v3 "$(version_of etcd)")
  go_main "$dir" etcd
  go_build "$dir" "" "$(home_of etcd)" ./etcd
}

build_containerd() {
  local version module=github.com/containerd/containerd/v2
  version=$(version_of containerd)
  go_build "$(go_module containerd "$module" "$version")" \
    "-X $module/version.Version=v$version" "$(home_of containerd)" "$module"/cmd/{containerd,containerd-shim-runc-v2,ctr}
}

# runc needs cgo, because it enters namespaces in C, before Go's runtime has threads. It needs libseccomp, because
# containerd gives every pod a seccomp profile, and without the library runc refuses it.
build_runc() {
  local version
  version=$(version_of runc)
  install_packages libseccomp-dev pkg-config
  CGO=1 TAGS=seccomp,netgo,osusergo go_build "$(go_module runc github.com/opencontainers/runc "$version")" \
    "-X main.version=$version -extldflags -static" "$(home_of runc)" github.com/opencontainers/runc
}

build_cni() {
  local version module=github.com/containernetworking/plugins
  version=$(version_of cni)
  go_build "$(go_module cni "$module" "$version")" \
    "-X $module/pkg/utils/buildversion.BuildVersion=v$version" "$(home_of cni)" \
    "$module"/plugins/{main/bridge,main/loopback,ipam/host-local,meta/portmap}
}

# kube-router pins client libraries of Kubernetes 1.29. This uses those of the newest Kubernetes, because most of their
# packages are already in the compile cache.
build_network_policy() {
  local dir p
  dir=$(go_module network-policy github.com/cloudnativelabs/kube-router/v2 "$(version_of kube-router)")
  go_main "$dir" network-policy
  for p in api apimachinery client-go; do
    (cd "$dir" && go_run mod edit -require "k8s.io/$p@v0.$(version_of kubernetes | cut -d. -f2-)")
  done
  go_build "$dir" "" "$(home_of kube-router)" ./network-policy
}

# All programs of a version are one executable, which has a symbolic link for each name. So it compiles and links once.
build_kubernetes() { # VERSION kube|kube-proxy
  local version=$1 dir p stamp=
  dir=$(kubernetes_module "$version")
  go_main "$dir" "$2"
  # The version must be set in two packages. The endpoint /version answers with that of client-go.
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamp+=" -X $p.gitVersion=v$version -X $p.gitMajor=${version%%.*} -X $p.gitMinor=$(cut -d. -f2 <<<"$version")"
    stamp+=" -X $p.gitTreeState=clean"
  done
  go_build "$dir" "$stamp" "$BIN/kubernetes-$version" "./$2"
  [[ $2 != kube ]] || for p in "${KUBERNETES_PROGRAMS[@]}" kubectl; do ln -sf kube "$BIN/kubernetes-$version/$p"; done
}

# The tests, the program that runs several of them at a time, and the server in the tests' pods.
build_e2e() { # VERSION
  local dir
  dir=$(kubernetes_module "$1")
  go_main "$dir" e2e.test
  go_build "$dir" "" "$BIN/kubernetes-$1" \
    k8s.io/kubernetes/test/images/agnhost github.com/onsi/ginkgo/v2/ginkgo ./e2e.test
}
