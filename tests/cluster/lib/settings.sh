# shellcheck shell=bash disable=SC2034  # other files use these variables
# Names, addresses and folders. The names of everything that the cluster creates on this machine start with $PREFIX.

PREFIX=svcr
CACHE=${SVC_REACH_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/svc-reach}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)

# Built once and kept.
BIN=$CACHE/bin
IMAGES=$CACHE/images
BUILD=$CACHE/build
# Created by "up" and removed by "down", except the logs.
STATE=$CACHE/state
RUN=$STATE/run
PKI=$STATE/pki
LOG=$STATE/log
KUBECONFIG_HOST=$STATE/kubeconfig
KUBECONFIG_CLIENT=$STATE/kubeconfig-client

API_PORT=${SVC_REACH_API_PORT:-26443} # on this machine's loopback

VPC_CIDR=192.168.60.0/24
ROUTER_IP=192.168.60.1
INFRA_IP=192.168.60.2 # image registry, DNS, admission
CP_IP=192.168.60.10
ELB_IP=192.168.60.20 # the load balancer itself; it assigns addresses from the ranges below
CLIENT_IP=192.168.60.100
ELB_RANGES="192.168.60.200/29 192.168.60.208/28 192.168.60.224/28 192.168.60.240/29"
ELB_FIRST=192.168.60.200
ELB_LAST=192.168.60.247
ELB_DOMAIN=elb.$PREFIX.test # for load balancers that publish a name instead of an address
POD_CIDR=172.20.0.0/16
SERVICE_CIDR=10.248.0.0/16
SERVICE_API_IP=10.248.0.1
SERVICE_DNS_IP=10.248.0.10
CLUSTER_DOMAIN=cluster.local
REGISTRY=$INFRA_IP:5000
ADMISSION=$INFRA_IP:8443
PAUSE_IMAGE=$PREFIX.test/pause:1

node_ip() { echo "192.168.60.$((10 + $1))"; }
pod_cidr() { echo "172.20.$1.0/24"; }

say() { printf '[%s +%ss] %s\n' "$PREFIX" "$SECONDS" "$*" >&2; }
die() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# Two commands at once would destroy each other's cluster. The lock ends with this shell, because launched programs
# close file descriptor 9.
locked() {
  exec 9>"$CACHE/lock"
  flock -w 600 9 || die "another cluster command is still running after ten minutes"
}

# until_true SECONDS COMMAND…: repeats the command until it succeeds. Fails after this time.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

save_options() { declare -p NODES NETWORK PROXY_MODE POD_MASQ TTL_AFTER_FINISHED >"$RUN/options"; }
load_options() {
  [[ -f $RUN/options ]] || die "the cluster is down"
  local line
  # Inside a function, "declare" without -g would make the variables local.
  while IFS= read -r line; do eval "${line/declare --/declare -g}"; done <"$RUN/options"
}

kctl() { KUBECONFIG=$KUBECONFIG_HOST "$BIN/kubectl" "$@"; }
