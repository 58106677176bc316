// network-policy runs only kube-router's NetworkPolicy controller, unchanged. It has the flags of kube-router.
package main

import (
	"flag"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	"github.com/spf13/pflag"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// sets are the ipsets of one family, with the names that the rules use. They avoid two errors of kube-router 2.1.0:
//   - It names IPv6 sets "inet6:...", but its ip6tables rules use other names
//     (https://github.com/cloudnativelabs/kube-router/issues/1653).
//   - It restores the other family's sets to an earlier state
//     (https://github.com/cloudnativelabs/kube-router/issues/1665).
type sets struct {
	*utils.IPSet
	six bool
}

func isSix(s *utils.Set) bool { return slices.Contains(s.Options, "inet6") }

func (h sets) RefreshSet(name string, entries [][]string, kind string) {
	h.IPSet.RefreshSet(name, entries, kind)
	if s := h.Get(name); h.six && !isSix(s) {
		s.Options = append(s.Options, "family", "inet6")
	}
}

func (h sets) Save() error {
	err := h.IPSet.Save()
	maps.DeleteFunc(h.Sets(), func(_ string, s *utils.Set) bool { return isSix(s) != h.six })
	return err
}

func must[T any](v T, err error) T {
	if err != nil {
		klog.Fatal(err)
	}
	return v
}

func main() {
	config := options.NewKubeRouterConfig()
	config.AddFlags(pflag.CommandLine)
	pflag.Parse()
	klog.InitFlags(nil)
	flag.Set("v", config.VLevel)
	client := kubernetes.NewForConfigOrDie(must(clientcmd.BuildConfigFromFlags(config.Master, config.Kubeconfig)))
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	factory.WaitForCacheSync(stop)

	rules, ipsets, err := netpol.NewIPTablesHandlers(config)
	must(0, err)
	for family := range ipsets {
		ipsets[family] = sets{must(utils.NewIPSet(false)), family == v1.IPv6Protocol}
	}
	npc := must(netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{}, rules, ipsets))
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods: npc.PodEventHandler, namespaces: npc.NamespaceEventHandler, policies: npc.NetworkPolicyEventHandler} {
		must(informer.AddEventHandler(handler))
	}
	heartbeats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range heartbeats {
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	go npc.Run(heartbeats, stop, &running)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	close(stop)
	running.Wait()
}
