// e2e.test contains the end-to-end tests of sig-network that Kubernetes itself uses, and no others. All of them take
// twice as long to compile.
//
// Upstream builds them with "go test". Here they are a program, so that they are built like every other one.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"k8s.io/kubernetes/test/e2e"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	"k8s.io/kubernetes/test/utils/image"

	_ "k8s.io/kubernetes/test/e2e/common/network"
	_ "k8s.io/kubernetes/test/e2e/feature"
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/metrics/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/e2e/network"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "image" {
		fmt.Println(image.GetE2EImage(image.Agnhost))
		return
	}
	results := flag.String("results", "", "write the result of each test to this file")
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	testing.Init()
	flag.Parse()
	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	framework.AfterReadingAllFlags(&framework.TestContext)
	ginkgo.ReportAfterSuite("results", func(report ginkgo.Report) {
		if err := os.WriteFile(*results, []byte(lines(report)), 0o644); err != nil {
			ginkgo.Fail(err.Error())
		}
	})
	every := func(string, string) (bool, error) { return true, nil }
	testing.Main(every, []testing.InternalTest{{Name: "TestE2E", F: func(t *testing.T) { e2e.RunE2ETests(t) }}}, nil, nil)
}

// lines has a line for each test that was selected: its result, its seconds, its name, and why it was skipped.
func lines(report ginkgo.Report) string {
	var all strings.Builder
	for _, test := range report.SpecReports {
		// A test that was not selected is skipped without a message.
		selected := test.State != types.SpecStateSkipped || test.Failure.Message != ""
		if test.LeafNodeType != types.NodeTypeIt || !selected {
			continue
		}
		fmt.Fprintf(&all, "%s %.0fs %s", test.State, test.RunTime.Seconds(), test.FullText())
		if test.State == types.SpecStateSkipped {
			reason, _, _ := strings.Cut(test.Failure.Message, "\n")
			fmt.Fprintf(&all, ": %s", reason)
		}
		all.WriteByte('\n')
	}
	return all.String()
}
