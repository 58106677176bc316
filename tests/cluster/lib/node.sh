# shellcheck shell=bash
# Sets up nodes, runs them, and switches them off and on.

# Create the Node objects first, so that each has its own pod range and kube-proxy finds the node's address at once.
# The kubelet then adopts its object, and sets labels, conditions and addresses as if it had created it. The object
# needs some capacity, or the kubelet of 1.20 crashes: reconcileHugePageResource writes to the map without checking that
# it exists.
nodes_register() {
  local n pods
  printf 'nameserver %s\n' "$(primary "$INFRA4" "$INFRA6")" >"$RUN/resolv.conf"
  for ((n = 1; n <= NODES; n++)); do
    proxy_choose "$n" "$(whole_version "$(for_node "$n" "$PROXY_VERSIONS")")" "$(for_node "$n" "$PROXY_MODES")"
    pods=$(json_families "$(pods4 "$n")" "$(pods6 "$n")")
    cat <<Y
---
apiVersion: v1
kind: Node
metadata: {name: node-$n}
spec: {podCIDR: "$(primary "$(pods4 "$n")" "$(pods6 "$n")")", podCIDRs: $pods}
status: $(node_status "$n")
Y
  done | kctl create --validate=false -f - >/dev/null
  # Newer API servers ignore the status of a new object.
  is_old || for ((n = 1; n <= NODES; n++)); do
    kctl patch node "node-$n" --subresource=status --type=merge -p "{\"status\": $(node_status "$n")}" >/dev/null
  done
}

node_status() { # N
  local ip addresses=
  for ip in $(families "$(node4 "$1")" "$(node6 "$1")" | tr , ' '); do
    addresses+=",{\"type\":\"InternalIP\",\"address\":\"$ip\"}"
  done
  echo "{\"addresses\":[${addresses#,}],\"capacity\":{\"pods\":\"110\"},\"allocatable\":{\"pods\":\"110\"}}"
}

json_families() { # V4 V6: like families, but prints a JSON list
  local words
  words=$(families "$1" "$2")
  echo "[\"${words//,/\",\"}\"]"
}

# Writes version and configuration of a node's kube-proxy, for inside/node.
proxy_choose() { # N VERSION MODE
  echo "$2" >"$RUN/kube-proxy-$1.version"
  proxy_config "$3" >"$RUN/kube-proxy-$1.yaml"
}

proxy_config() { # MODE
  cat <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: "$(primary 0.0.0.0 ::)"
clusterCIDR: "$(families "$POD_CIDR4" "$POD_CIDR6")"
mode: "$1"
clientConnection: {kubeconfig: /etc/svcr/proxy.conf}
# The connection table belongs to the machine. Zero means: do not change its size.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {masqueradeAll: false, minSyncPeriod: 0s, syncPeriod: 30s}
$PROXY_CONFIG
Y
}

# As kubeadm creates it. Some tools read kube-proxy's mode from here. It has the configuration of node-1.
proxy_publish() {
  kctl apply -f - >/dev/null <<Y
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system, labels: {app: kube-proxy}}
data:
  config.conf: |
$(sed 's/^/    /' "$RUN/kube-proxy-1.yaml")
Y
}

# Replaces a node's kube-proxy with one of another version, mode or configuration.
proxy() { # NODE VERSION MODE [LINES]
  local n=${1#node-} version
  [[ $n =~ ^[1-9]$ && $n -le $NODES ]] || die "proxy: there is no node \"${1:-}\""
  version=$(whole_version "${2:?proxy NODE VERSION MODE}")
  proxy_check "$version" "${3:?proxy NODE VERSION MODE}"
  [[ -x $BIN/kubernetes-$version/kube-proxy ]] ||
    die "kube-proxy $version is not built; build it with \"cluster build --proxy-version $version\""
  PROXY_CONFIG=${4-$PROXY_CONFIG}
  proxy_choose "$n" "$version" "$3"
  ((n != 1)) || proxy_publish
  # kube-proxy ends when its configuration changes. If only the version changes, this must end it.
  if is_running "node-$n"; then (node_enter "node-$n" sh -c 'kill "$(cat /run/kube-proxy.pid)"') 2>/dev/null || true; fi
  say "node-$n: kube-proxy $version in $3 mode"
}

proxy_check() { # VERSION MODE
  if [[ $1 == "$OLD_KUBERNETES" ]]; then
    is_old || die "kube-proxy $1 does not work with Kubernetes $KUBERNETES"
  else
    ! is_old || die "Kubernetes $KUBERNETES does not work with kube-proxy $1"
  fi
  case $2 in
    iptables) ;;
    ipvs) modprobe -q ip_vs 2>/dev/null || [[ -e /proc/net/ip_vs ]] || die "this kernel has no IPVS" ;;
    nftables) ! is_old || die "kube-proxy $1 has no nftables mode" ;;
    *) die "the mode of kube-proxy must be iptables, nftables or ipvs, not \"$2\"" ;;
  esac
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
    bash "$HERE/inside/node" "$1"
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
    env PATH="$(programs):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    CONTAINER_RUNTIME_ENDPOINT=unix:///run/containerd/containerd.sock "$@"
}
