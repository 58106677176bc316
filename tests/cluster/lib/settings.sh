# shellcheck shell=bash disable=SC2034  # other files use these variables
# Names, addresses and folders. The names of everything that the cluster creates on this machine start with $PREFIX.

# For a second cluster at the same time, set SVC_REACH_PREFIX and SVC_REACH_API_PORT to other values.
PREFIX=${SVC_REACH_PREFIX:-svcr}
CACHE=${SVC_REACH_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/svc-reach}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)

# Built once and kept.
BIN=$CACHE/bin
IMAGES=$CACHE/images
BUILD=$CACHE/build
# Created by "up" and removed by "down", except the logs.
STATE=$CACHE/state
[[ $PREFIX == svcr ]] || STATE+=-$PREFIX
RUN=$STATE/run
PKI=$STATE/pki
LOG=$STATE/log
KUBECONFIG_HOST=$STATE/kubeconfig
KUBECONFIG_CLIENT=$STATE/kubeconfig-client

API_PORT=${SVC_REACH_API_PORT:-26443} # on this machine's loopback

NET4=192.168.60 # a /24
NET6=fd00:60    # a /32, cut into pieces below
VPC_CIDR4=$NET4.0/24 VPC_CIDR6=$NET6:0:1::/64
ROUTER4=$NET4.1 ROUTER6=$NET6:0:1::1
INFRA4=$NET4.2 INFRA6=$NET6:0:1::2 # image registry, DNS, admission
CP4=$NET4.10 CP6=$NET6:0:1::10
ELB4=$NET4.20 ELB6=$NET6:0:1::20 # the load balancer itself; it assigns addresses from the ranges below
CLIENT4=$NET4.100 CLIENT6=$NET6:0:1::100
ELB_ROUTES4="$NET4.200/29 $NET4.208/28 $NET4.224/28 $NET4.240/29" ELB_ROUTES6=$NET6:0:e::/112
ELB_RANGE4=$NET4.200-$NET4.247 ELB_RANGE6=$NET6:0:e::1-$NET6:0:e::30
# For load balancers that publish a name instead of an address.
ELB_DOMAIN=elb.svcr.test
# For externalIPs of Services: the VPC routes these ranges to node-1.
EXTERNAL4=203.0.113.0/24 EXTERNAL6=2001:db8::/64
POD_CIDR4=172.20.0.0/16 POD_CIDR6=$NET6:a::/48
SERVICE_CIDR4=10.248.0.0/16 SERVICE_CIDR6=$NET6:5::/112
SERVICE_API4=10.248.0.1 SERVICE_API6=$NET6:5::1
SERVICE_DNS4=10.248.0.10 SERVICE_DNS6=$NET6:5::a
CLUSTER_DOMAIN=cluster.local
REGISTRY_PORT=5000 ADMISSION_PORT=8443
PAUSE_IMAGE=svcr.test/pause:1

node4() { echo "$NET4.$((10 + $1))"; }
node6() { echo "$NET6:0:1::1$1"; }
pods4() { echo "172.20.$1.0/24"; }
pods6() { echo "$NET6:a:$1::/64"; }

# The options of "up". FAMILIES: ipv4, ipv6, or both; the first is the primary one.
# PROXY_MODES and PROXY_VERSIONS: a value for all nodes, then NODE=VALUE for single nodes, separated by commas.
OPTIONS=(KUBERNETES FAMILIES NODES NETWORK NETWORK_POLICY POD_MASQ PROXY_CONFIG PROXY_MODES PROXY_VERSIONS
  TTL_AFTER_FINISHED)

has() { [[ ,$FAMILIES, == *",$1,"* ]]; }
families() { # V4 V6: prints the values of the cluster's families, in the cluster's order, separated by commas
  case $FAMILIES in
    ipv4) echo "$1" ;;
    ipv6) echo "$2" ;;
    ipv4,ipv6) echo "$1,$2" ;;
    *) echo "$2,$1" ;;
  esac
}
primary() { # V4 V6: prints the value of the primary family
  if [[ $FAMILIES == ipv4* ]]; then echo "$1"; else echo "$2"; fi
}
url_host() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }

for_node() { # N VALUES: prints the value for node-N
  local word value=
  for word in ${2//,/ }; do
    case $word in
      "node-$1="*) value=${word#*=} && break ;;
      *=*) ;;
      *) value=$word ;;
    esac
  done
  echo "$value"
}

OLD_KUBERNETES=1.20.2 # Debian 12's version, for tests of clusters that are years old
is_old() { [[ $KUBERNETES == "$OLD_KUBERNETES" ]]; }
versions_of() { sed -n "s/^$1 //p" "$(dirname "${BASH_SOURCE[0]}")/../versions"; } # PROGRAM: all versions in the file
version_of() { versions_of "$1" | sed -n 1p; }
home_of() { echo "$BIN/$1-$(version_of "$1")"; }

# Completes a version: 1.37 becomes 1.37.2.
whole_version() {
  local v
  for v in $(versions_of kubernetes) "$OLD_KUBERNETES"; do
    if [[ $v == "$1" || $v == "$1".* ]]; then
      echo "$v"
      return
    fi
  done
  die "unknown Kubernetes version \"$1\"; the file \"versions\" lists the known ones"
}

# Prints the folders of the programs of the cluster's version, in the form of PATH.
programs() {
  if is_old; then
    echo "$BIN/kubernetes-$KUBERNETES"
  else
    echo "$BIN/kubernetes-$KUBERNETES:$(home_of etcd):$(home_of containerd):$(home_of runc):$(home_of kube-router)"
  fi
}

say() { printf '[%s +%ss] %s\n' "$PREFIX" "$SECONDS" "$*" >&2; }
die() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# Two commands at once would destroy each other's cluster. The lock ends with this shell, because launched programs
# close file descriptor 9.
locked() {
  mkdir -p "$STATE"
  exec 9>"$STATE/lock"
  flock -w 600 9 || die "another cluster command is still running after ten minutes"
}

# until_true SECONDS COMMAND…: repeats the command until it succeeds. Fails after this time. On a slow machine, set
# SVC_REACH_PATIENCE to a factor for all these times.
until_true() {
  local end=$((SECONDS + $1 * ${SVC_REACH_PATIENCE:-1}))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

save_options() {
  local name
  for name in "${OPTIONS[@]}"; do printf '%s=%q\n' "$name" "${!name}"; done >"$RUN/options"
}
load_options() {
  [[ -f $RUN/options ]] || die "the cluster is down"
  # shellcheck source=/dev/null
  . "$RUN/options"
}
options_or_defaults() {
  if [[ -f $RUN/options ]]; then
    load_options
  else
    default_options
    complete_options
  fi
}
default_options() {
  KUBERNETES='' FAMILIES='' PROXY_CONFIG='' PROXY_MODES='' PROXY_VERSIONS=''
  NODES=3 NETWORK=vpc NETWORK_POLICY=0 POD_MASQ=0 TTL_AFTER_FINISHED=1
  E2E=0 # for builds only, so it is not saved
}
# The defaults that depend on the version.
complete_options() {
  local mode=nftables families=ipv4,ipv6
  KUBERNETES=$(whole_version "${KUBERNETES:-$(version_of kubernetes)}")
  ! is_old || mode=iptables families=ipv4
  : "${FAMILIES:=$families}"
  # If only single nodes have a value, the others get the default.
  [[ -n $(for_node 0 "$PROXY_MODES") ]] || PROXY_MODES=$mode${PROXY_MODES:+,$PROXY_MODES}
  [[ -n $(for_node 0 "$PROXY_VERSIONS") ]] || PROXY_VERSIONS=$KUBERNETES${PROXY_VERSIONS:+,$PROXY_VERSIONS}
}

kctl() { KUBECONFIG=$KUBECONFIG_HOST "$BIN/kubernetes-$KUBERNETES/kubectl" "$@"; }
