# shellcheck shell=bash
# The VPC: a router in its own network namespace, with one link to every instance (node, client, load balancer, …).
#
# There is no shared segment. With IPv4, each instance has a route for the whole subnet on its link, and the router
# answers ARP for the other instances. With IPv6, each instance has a /128 and a default route to the router's
# link-local address. So every packet between two instances passes the router, as in a cloud's VPC. This lets a load
# balancer keep the client's address: the router knows which connections came from the load balancer, and sends the
# replies back to it.

in_ns() { # INSTANCE COMMAND…
  local i=$1
  shift
  ip netns exec "$PREFIX-$i" "$@"
}

network_up() {
  # If these are modules, nothing may have loaded them yet.
  modprobe -qa overlay br_netfilter veth bridge vxlan nf_conntrack nf_tables nft_chain_nat 2>/dev/null || true
  ((NETWORK_POLICY == 0)) || modprobe -qa iptable_filter ip6table_filter ip_set xt_set 2>/dev/null || true
  router_up
  instance_up infra "$INFRA4" "$INFRA6"
  instance_up cp "$CP4" "$CP6"
  instance_up client "$CLIENT4" "$CLIENT6"
  load_balancer_up
  say "network is up"
}

router_up() {
  ip netns add "$PREFIX-vpc"
  in_ns vpc ip link set lo up
  in_ns vpc sysctl -qw net.ipv4.ip_forward=1 \
    net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
    net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
  ! has ipv6 || in_ns vpc sysctl -qw net.ipv6.conf.all.forwarding=1 \
    net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
  # Packets to "void" get no answer. Routes to stopped instances and to the outside world lead there. Without ARP, such
  # a packet is sent to the hardware address of "void" itself, and the other end of the pair drops it as not its own.
  in_ns vpc ip link add void type veth peer name void-end
  in_ns vpc ip link set void arp off up
  in_ns vpc ip link set void-end up
  in_ns vpc ip route add default dev void
  # The kubelet requests a cloud's metadata when it starts. Refuse the request, or the kubelet waits for a timeout.
  in_ns vpc ip route add unreachable 169.254.0.0/16
  # For addresses that no instance has, the router must not answer ARP.
  in_ns vpc ip addr add "$ROUTER4/32" dev lo
  in_ns vpc ip route add unreachable "$VPC_CIDR4"
  if has ipv6; then
    in_ns vpc ip -6 route add default dev void
    in_ns vpc ip -6 addr add "$ROUTER6/128" dev lo
    in_ns vpc ip -6 route add unreachable "$VPC_CIDR6"
    in_ns vpc ip -6 rule add fwmark 1 lookup 100
  fi
  in_ns vpc nft -f - <<N
table inet vpc {
  chain from_load_balancer {
    type filter hook prerouting priority mangle; policy accept;
    iifname "p-elb" ct state new ct mark set 1
    iifname != "p-elb" meta mark set ct mark
  }
}
N
  in_ns vpc ip rule add fwmark 1 lookup 100
}

instance_up() { # NAME ADDRESS4 ADDRESS6: creates the instance's namespace, with eth0 in the VPC
  # The link of a deleted namespace may exist for some more time.
  in_ns vpc ip link del "p-$1" 2>/dev/null || true
  ip netns add "$PREFIX-$1"
  ! has ipv6 || in_ns "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
    net.ipv6.conf.default.accept_ra=0
  in_ns vpc ip link add "p-$1" type veth peer name eth0 netns "$PREFIX-$1"
  # By default, ARP answers for other instances are delayed by up to 0.8 s (proxy_delay, arp(7)).
  in_ns vpc sysctl -qw "net.ipv4.conf.p-$1.proxy_arp=1" "net.ipv4.neigh.p-$1.proxy_delay=0"
  in_ns vpc ip link set "p-$1" up
  in_ns "$1" ip link set lo up
  in_ns "$1" ip link set eth0 up
  if has ipv4; then
    in_ns vpc ip route replace "$2" dev "p-$1" src "$ROUTER4"
    in_ns "$1" ip addr add "$2/24" dev eth0
    in_ns "$1" ip route add default via "$ROUTER4"
  fi
  if has ipv6; then
    in_ns vpc ip -6 addr add fe80::1/64 dev "p-$1" nodad
    in_ns vpc ip -6 route replace "$3" dev "p-$1" src "$ROUTER6"
    in_ns "$1" ip -6 addr add "$3/128" dev eth0 nodad
    in_ns "$1" ip -6 route add default via fe80::1 dev eth0
  fi
}

load_balancer_up() {
  instance_up elb "$ELB4" "$ELB6"
  # Packets come in and leave on eth0. Turn off redirects, or the router would learn to bypass the load balancer.
  in_ns elb sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 \
    net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
  if has ipv4; then load_balancer_routes "-4" "$ELB4" "$ELB_ROUTES4"; fi
  if has ipv6; then
    in_ns elb sysctl -qw net.ipv6.conf.all.forwarding=1
    load_balancer_routes "-6" "$ELB6" "$ELB_ROUTES6"
  fi
}

load_balancer_routes() { # FAMILY ADDRESS RANGES
  local range
  for range in $3; do
    in_ns vpc ip "$1" route add "$range" via "$2" dev p-elb
    in_ns elb ip "$1" route add blackhole "$range" # for addresses that no Service has
  done
  in_ns vpc ip "$1" route add default via "$2" dev p-elb table 100
}

node_network_up() { # N
  local i=$1 name=node-$1
  instance_up "$name" "$(node4 "$i")" "$(node6 "$i")"
  in_ns "$name" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
    net.ipv4.conf.eth0.rp_filter=0
  # Packets between two pods of a node cross a bridge. They must pass the node's rules, too, or replies are not
  # translated back.
  in_ns "$name" sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null ||
    say "this kernel has no br_netfilter for network namespaces"
  ! has ipv6 || in_ns "$name" sysctl -qw net.ipv6.conf.all.forwarding=1 net.bridge.bridge-nf-call-ip6tables=1
  if [[ $NETWORK == vxlan ]]; then overlay_up "$i"; else pods_route "$i"; fi
  if [[ $NETWORK == vxlan || $POD_MASQ == 1 ]]; then
    if has ipv4; then masquerade "$name" iptables "$POD_CIDR4"; fi
    if has ipv6; then masquerade "$name" ip6tables "$POD_CIDR6"; fi
  fi
  if ((i == 1)); then external_ips_route; fi
}

pods_route() { # N
  if has ipv4; then in_ns vpc ip route replace "$(pods4 "$1")" via "$(node4 "$1")" dev "p-node-$1"; fi
  if has ipv6; then in_ns vpc ip -6 route replace "$(pods6 "$1")" via "$(node6 "$1")" dev "p-node-$1"; fi
}

masquerade() { # NODE PROGRAM PODS
  in_ns "$1" /usr/sbin/xtables-nft-multi "$2" -t nat -A POSTROUTING -s "$3" ! -d "$3" ! -o cni0 -j MASQUERADE
}

external_ips_route() {
  if has ipv4; then in_ns vpc ip route replace "$EXTERNAL4" via "$(node4 1)" dev p-node-1; fi
  if has ipv6; then in_ns vpc ip -6 route replace "$EXTERNAL6" via "$(node6 1)" dev p-node-1; fi
}

overlay_mtu() { primary 1450 1430; } # VXLAN adds 50 bytes over IPv4 and 70 over IPv6

# Configures the overlay addresses of all other nodes. Nothing is learnt from traffic.
overlay_up() { # N
  local i=$1 j name=node-$1
  overlay_mac() { printf '02:60:ac:14:%02x:00' "$1"; }
  overlay6() { local pods && pods=$(pods6 "$1") && echo "${pods%/*}"; }
  in_ns "$name" ip link add vxlan0 address "$(overlay_mac "$i")" mtu "$(overlay_mtu)" type vxlan id 60 dev eth0 \
    local "$(primary "$(node4 "$i")" "$(node6 "$i")")" dstport 4789 nolearning
  if has ipv4; then in_ns "$name" ip addr add "172.20.$i.0/32" dev vxlan0; fi
  if has ipv6; then in_ns "$name" ip -6 addr add "$(overlay6 "$i")/128" dev vxlan0 nodad; fi
  in_ns "$name" ip link set vxlan0 up
  for ((j = 1; j <= NODES; j++)); do
    ((j != i)) || continue
    in_ns "$name" bridge fdb add "$(overlay_mac "$j")" dev vxlan0 dst "$(primary "$(node4 "$j")" "$(node6 "$j")")"
    if has ipv4; then
      in_ns "$name" ip neigh add "172.20.$j.0" lladdr "$(overlay_mac "$j")" dev vxlan0 nud permanent
      in_ns "$name" ip route add "$(pods4 "$j")" via "172.20.$j.0" dev vxlan0 onlink
    fi
    if has ipv6; then
      in_ns "$name" ip -6 neigh add "$(overlay6 "$j")" lladdr "$(overlay_mac "$j")" dev vxlan0 nud permanent
      in_ns "$name" ip -6 route add "$(pods6 "$j")" via "$(overlay6 "$j")" dev vxlan0 onlink
    fi
  done
}

node_network_down() { # N: the VPC keeps the routes to the addresses, but packets to them are lost
  if has ipv4; then
    in_ns vpc ip route replace "$(node4 "$1")" dev void src "$ROUTER4"
    if [[ $NETWORK == vpc ]]; then in_ns vpc ip route replace "$(pods4 "$1")" dev void; fi
  fi
  if has ipv6; then
    in_ns vpc ip -6 route replace "$(node6 "$1")" dev void src "$ROUTER6"
    if [[ $NETWORK == vpc ]]; then in_ns vpc ip -6 route replace "$(pods6 "$1")" dev void; fi
  fi
  in_ns vpc ip link del "p-node-$1" 2>/dev/null || true
  ip netns del "$PREFIX-node-$1"
}

# Fails if there are namespaces without a record: those of a cluster in another cache folder, or one whose record was
# deleted.
network_check() {
  [[ ! -d $RUN ]] || return 0
  ! ip netns list | grep -q "^$PREFIX-" ||
    die "a cluster from another cache folder is up; take it down with that SVC_REACH_CACHE (or end what 'ip netns pids' lists for $PREFIX-*, and delete these namespaces)"
}

network_down() {
  local name
  while read -r name _; do
    [[ $name != "$PREFIX"-* ]] || ip netns del "$name"
  done < <(ip netns list)
}

# Runs a command in an instance that is only a network namespace. It uses the VPC's DNS, and kubectl reaches the API
# server through the VPC.
instance_enter() { # NAME COMMAND…
  local name=$1
  shift
  [[ -e /run/netns/$PREFIX-$name ]] || die "the cluster is down"
  # ip-netns(8) gives the command its own mount namespace, so the machine's resolv.conf does not change.
  # shellcheck disable=SC2016
  exec ip netns exec "$PREFIX-$name" env KUBECONFIG="$KUBECONFIG_CLIENT" PATH="$(programs):$PATH" \
    bash -c 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"' "$RUN/resolv.conf" "$@"
}
