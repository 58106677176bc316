# shellcheck shell=bash
# Sets up nodes, runs them, and switches them off and on.

# Create the Node objects first, so that each has its own pod range and kube-proxy finds the node's address at once.
# The kubelet then adopts its object, and sets labels, conditions and addresses as if it had created it. The object
# needs some capacity, or the kubelet crashes: reconcileHugePageResource writes to the map without checking that it
# exists.
nodes_register() {
  local n
  printf 'nameserver %s\n' "$INFRA_IP" >"$RUN/resolv.conf"
  kube_proxy_config >"$RUN/kube-proxy.yaml"
  for ((n = 1; n <= NODES; n++)); do
    cat <<Y
---
apiVersion: v1
kind: Node
metadata: {name: node-$n}
spec: {podCIDR: $(pod_cidr "$n"), podCIDRs: [$(pod_cidr "$n")]}
status:
  addresses: [{type: InternalIP, address: $(node_ip "$n")}]
  capacity: {pods: "110"}
  allocatable: {pods: "110"}
Y
  done | kctl create --validate=false -f - >/dev/null
}

kube_proxy_config() {
  cat <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
clusterCIDR: $POD_CIDR
mode: "$PROXY_MODE"
clientConnection: {kubeconfig: /etc/svcr/proxy.conf}
# The connection table belongs to the machine. Zero means: do not change its size.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {masqueradeAll: false, minSyncPeriod: 0s, syncPeriod: 30s}
Y
}

node_launch() { # N
  local name=node-$1
  node_network_up "$1"
  cgroup_make "$name"
  mkdir -p "$STATE/nodes/$name"
  # shellcheck disable=SC2016
  launch "$name" bash -c '. "$0/lib/settings.sh"; . "$0/lib/cgroup.sh"; cgroup_join "$1" $$; shift; exec "$@"' "$HERE" "$name" \
    nsenter --net="/run/netns/$PREFIX-$name" \
    unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private \
    env NETWORK="$NETWORK" bash "$HERE/inside/node" "$1"
  until_true 60 inner_pid "$name" || die "$name did not start, see $LOG/$name.log"
  cgroup_vacate "$(pid_of "$name")"
}

nodes_wait() {
  until_true 300 nodes_ready || die "not every node is Ready, see $LOG/node-*"
}

nodes_ready() {
  local ready
  ready=$(kctl get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}')
  [[ $(wc -w <<<"${ready//True/}") == 0 && $(wc -w <<<"$ready") == "$NODES" ]]
}

node_stop() { # N
  stop "node-$1"
  node_network_down "$1"
  cgroup_remove "node-$1"
}

node() { # stop|start NODE
  local action=${1:-} name=${2:-} n
  n=${name#node-}
  [[ $n =~ ^[1-9]$ && $n -le $NODES ]] || die "node: no such node: $name"
  case $action in
    stop)
      is_running "node-$n" || die "node-$n is not running"
      node_stop "$n"
      say "node-$n is off"
      ;;
    start)
      ! is_running "node-$n" || die "node-$n is running"
      node_launch "$n"
      say "node-$n is on"
      ;;
    *) die "node: expected stop or start" ;;
  esac
}

node_enter() { # NAME COMMAND…
  local name=$1 pid
  shift
  pid=$(inner_pid "$name") || die "$name is not running"
  exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup \
    env PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$BIN" \
    CONTAINER_RUNTIME_ENDPOINT=unix:///run/containerd/containerd.sock "$@"
}
