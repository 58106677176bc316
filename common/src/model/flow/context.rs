//! A packet on a node, with the questions that every proxy mode asks about it.

use super::{
    packet::{Answer, Assumed, NotModelled, Packet, ProxyAction},
    rules,
    rules::Rule,
};
use crate::{
    facts::{IpMode, Node, Service, ServiceType, TrafficPolicy},
    model::{
        proxy::{AddressList, Detector, NodePortAddresses, Proxy},
        version::Version,
        world::{AddressKind, Backend, Family, PortOf, World},
    },
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::Why,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// What kube-proxy's detector says about a packet's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detected {
    /// The source is a pod.
    Pod,
    /// The source is not a pod.
    NotPod,
    /// There is no detector.
    Nothing,
    /// The detector is unknown.
    Unknown,
}

/// Whether packets are marked for masquerading on their way to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Always,
    Never,
    Unknown,
}

/// How an address of the node relates to node ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodePortAddress {
    /// Node ports answer on it.
    Answers,
    /// The node has it, but node ports do not answer on it.
    Excluded,
    /// The node does not have it.
    NotLocal,
}

/// A packet on a node.
pub(super) struct Context<'w, 'a> {
    pub world: &'w World<'a>,
    /// The node's proxy.
    pub proxy: &'a Proxy,
    pub detector: &'w Detector,
    pub node_port_addresses: &'w NodePortAddresses,
    /// Whether `loadBalancerSourceRanges` lists a client whose address is unknown.
    listed: Option<bool>,
    /// An address that the node is assumed to have.
    on_interface: Option<IpAddr>,
    pub node: &'a Node,
    pub version: Version,
    pub client: Network,
    pub client_ip: Option<IpAddr>,
    pub ip: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    pub family: Family,
}

impl<'w, 'a> Context<'w, 'a> {
    pub(super) fn new(
        world: &'w World<'a>,
        packet: &Packet<'_>,
        assumed: Assumed<'w>,
    ) -> Result<Self, NotModelled> {
        let node = world.node(packet.node).ok_or_else(|| NotModelled::Node {
            node: packet.node.to_owned(),
            known: world.nodes().map(|node| node.name.clone()).collect(),
        })?;
        if let Some(why) = node.without_kube_proxy() {
            return Err(NotModelled::NoKubeProxy {
                node: node.name.clone(),
                why,
            });
        }
        let proxy = world
            .proxy_on(&node.name)
            .ok_or_else(|| NotModelled::Proxy(node.name.clone()))?;
        let family = Family::of(packet.ip);
        let mut cx = Self {
            world,
            proxy,
            detector: assumed.detector.unwrap_or(&proxy.detector),
            node_port_addresses: assumed
                .node_port_addresses
                .unwrap_or(&proxy.node_port_addresses),
            listed: assumed.listed,
            on_interface: assumed.on_interface,
            node,
            version: world.version(node),
            client: packet.client,
            client_ip: packet.client_ip,
            ip: packet.ip,
            port: packet.port,
            protocol: packet.protocol,
            family,
        };
        if !cx.loads_rules() {
            return Err(NotModelled::RulesNotLoaded(cx.version));
        }
        // A process on the node that binds no address uses the node's primary address towards other machines.
        if cx.client == Network::Host && cx.client_ip.is_none() {
            cx.client_ip = cx.node_ip();
        }
        Ok(cx)
    }

    /// The node's primary address in the packet's family: the first `InternalIP`
    /// (kubernetes/kubernetes v1.37.2 `pkg/util/node/node.go` `GetNodeHostIPs`, `cmd/kube-proxy/app/server.go`
    /// `detectNodeIPs`).
    pub(super) fn node_ip(&self) -> Option<IpAddr> {
        self.node
            .internal_ips
            .iter()
            .copied()
            .find(|&ip| Family::of(ip) == self.family)
    }

    /// Whether an address is one of the node's own. The API does not list addresses on bridges to pods.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self.node.internal_ips.contains(&address)
            || self.on_interface == Some(address)
            || self.world.is_on_interface(&self.node.name, address) == Some(true)
    }

    /// Whether the packet goes to the node itself, if no rule changes it.
    pub(super) fn to_node(&self) -> bool {
        self.is_local(self.ip)
    }

    /// Whether the packet's source is an address of the node (`addrtype --src-type LOCAL`).
    pub(super) fn is_from_node(&self) -> bool {
        self.client == Network::Host || self.client_ip.is_some_and(|ip| self.is_local(ip))
    }

    /// What the detector says about the packet's source (kubernetes/kubernetes v1.20.2
    /// `pkg/proxy/util/iptables/traffic.go`, v1.37.2 `pkg/proxy/util/localdetector.go` and `getLocalDetectors` in
    /// `cmd/kube-proxy/app/server_linux.go`). Without a range, the family has no detector.
    pub(super) fn detected(&self) -> Detected {
        let ranged = |ranges: &[IpNet]| {
            let mut own = ranges
                .iter()
                .filter(|range| Family::of(range.network()) == self.family)
                .peekable();
            if own.peek().is_none() {
                return Detected::Nothing;
            }
            let inside = match self.client_ip {
                Some(ip) => own.any(|range| range.contains(&ip)),
                None => self.client == Network::Pod,
            };
            if inside {
                Detected::Pod
            } else {
                Detected::NotPod
            }
        };
        match self.detector {
            Detector::ClusterCidr(ranges) => ranged(ranges),
            Detector::NodeCidr if self.node.complete => ranged(&self.node.pod_cidrs),
            Detector::Bridge | Detector::Interface => {
                let elsewhere = self
                    .client_ip
                    .and_then(|ip| self.world.node_of_pod(ip))
                    .is_some_and(|node| node != self.node.name);
                if self.client == Network::Pod && !elsewhere {
                    Detected::Pod
                } else {
                    Detected::NotPod
                }
            }
            Detector::None => Detected::Nothing,
            Detector::NodeCidr | Detector::Unknown => Detected::Unknown,
        }
    }

    /// Whether the kernel accepts rules that match a prefix of interfaces. Nftables mode has such rules since 1.33.6
    /// and 1.34.2 (kubernetes/kubernetes#134024 with its cherry-picks #134099 and #134118). Before, it looks for an
    /// interface of that name, finds none, and loads no rule at all.
    fn loads_rules(&self) -> bool {
        let first = [Version::new(1, 33, 6), Version::new(1, 34, 2)];
        self.proxy.mode != ProxyMode::Nftables
            || *self.detector != Detector::Interface
            || self.version.since(35)
            || first
                .iter()
                .any(|first| self.version.minor == first.minor && self.version >= *first)
    }

    /// Whether this pod's traffic comes over a bridge whose packets pass iptables.
    pub(super) fn bridged(&self) -> Option<bool> {
        if self.client != Network::Pod {
            return Some(false);
        }
        match self.detector {
            Detector::Bridge => Some(true),
            Detector::ClusterCidr(_)
            | Detector::NodeCidr
            | Detector::Interface
            | Detector::None
            | Detector::Unknown => self.proxy.bridged_pods,
        }
    }

    /// The Service ports that own the destination address, cluster IPs first.
    pub(super) fn addressed(&self) -> impl Iterator<Item = (AddressKind, &'w PortOf<'a>)> {
        self.world
            .by_address
            .get(&(self.ip, self.port, self.protocol))
            .into_iter()
            .flatten()
            .map(|&(place, index)| (place, &self.world.ports[index]))
            .filter(|&(place, port)| {
                place != AddressKind::LoadBalancer || self.is_vip(port.service, self.ip)
            })
    }

    /// The Service ports whose node port is the destination port.
    pub(super) fn node_ports(&self) -> impl Iterator<Item = &'w PortOf<'a>> {
        self.world
            .by_node_port
            .get(&(self.port, self.protocol, self.family))
            .into_iter()
            .flatten()
            .map(|&index| &self.world.ports[index])
    }

    /// The Service whose health check port is the destination port.
    pub(super) fn health_check(&self) -> Option<&'a Service> {
        self.world
            .health_check_ports
            .get(&(self.port, self.family))
            .copied()
            .filter(|_| self.protocol == Protocol::Tcp)
    }

    /// Whether kube-proxy handles a load balancer's address. `ipMode` counts since 1.30; in 1.29 it is off by default
    /// (kubernetes/kubernetes v1.29.1 and v1.30.3 `pkg/features/kube_features.go` `LoadBalancerIPMode`).
    pub(super) fn is_vip(&self, service: &Service, address: IpAddr) -> bool {
        !self.version.since(30)
            || service.load_balancer.iter().any(|entry| {
                entry.ip == Some(address) && entry.ip_mode.unwrap_or(IpMode::Vip) == IpMode::Vip
            })
    }

    /// The load balancer's addresses that kube-proxy handles, in the packet's family.
    pub(super) fn vips<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = IpAddr> + 's {
        service
            .load_balancer
            .iter()
            .filter_map(|entry| entry.ip)
            .filter(|&ip| Family::of(ip) == self.family && self.is_vip(service, ip))
    }

    /// Whether a Service port has other addresses than the cluster IP
    /// (kubernetes/kubernetes v1.24.3 `pkg/proxy/service.go` `ExternallyAccessible`).
    pub(super) fn externally_accessible(&self, port: &PortOf<'_>) -> bool {
        port.port.node_port.is_some()
            || self.vips(port.service).next().is_some()
            || port
                .service
                .external_ips
                .iter()
                .any(|&ip| Family::of(ip) == self.family)
    }

    /// Whether `externalTrafficPolicy: Local` applies: to types NodePort and LoadBalancer, and since 1.29 also to
    /// ClusterIP Services with external IPs (kubernetes/kubernetes v1.28.3, v1.29.1 `pkg/api/v1/service/util.go`
    /// `ExternalPolicyLocal`).
    pub(super) fn external_local(&self, service: &Service) -> bool {
        service.external_traffic_policy == TrafficPolicy::Local
            && match service.kind {
                ServiceType::NodePort | ServiceType::LoadBalancer => true,
                ServiceType::ClusterIp => {
                    self.version.since(29) && !service.external_ips.is_empty()
                }
                ServiceType::ExternalName => false,
            }
    }

    /// Whether `externalTrafficPolicy: Local` applies to the Service's external IPs. It does since 1.20; before that, a
    /// feature gate was off by default (kubernetes/kubernetes v1.18.2 `pkg/features/kube_features.go`
    /// `ExternalPolicyForExternalIP`, v1.20.2 `pkg/proxy/{iptables,ipvs}/proxier.go`).
    pub(super) fn external_ip_local(&self, service: &Service) -> bool {
        self.version.since(20) && self.external_local(service)
    }

    /// Whether `internalTrafficPolicy: Local` applies: it is on by default since 1.22
    /// (kubernetes/kubernetes v1.21.1, v1.22.0 `pkg/features/kube_features.go` `ServiceInternalTrafficPolicy`).
    pub(super) fn internal_local(&self, service: &Service) -> bool {
        self.version.since(22) && service.internal_traffic_policy == TrafficPolicy::Local
    }

    /// Whether node ports answer on the destination address.
    pub(super) fn node_port_address(&self) -> NodePortAddress {
        use NodePortAddress::{Answers, Excluded, NotLocal};
        if !self.to_node() {
            return NotLocal;
        }
        let mode = self.proxy.mode;
        if self.ip.is_loopback() {
            let possible = match mode {
                // Before 1.26 the rules treat IPv4 and IPv6 alike, although only IPv4 works.
                ProxyMode::Iptables => {
                    !self.version.since(26)
                        || (self.family == Family::V4 && self.proxy.localhost_node_ports)
                }
                ProxyMode::Ipvs | ProxyMode::Nftables | ProxyMode::Userspace | ProxyMode::Ebpf => {
                    false
                }
            };
            if !possible {
                return Excluded;
            }
        }
        let primary_only = match self.node_port_addresses {
            NodePortAddresses::Listed(list) if self.is_limited_by(list) => {
                let within = list.ranges.iter().any(|range| range.contains(&self.ip))
                    || (list.primary && self.node_ip() == Some(self.ip));
                return if within { Answers } else { Excluded };
            }
            NodePortAddresses::Listed(_) => self.primary_without_a_range(),
            NodePortAddresses::Default => self.primary_by_default(),
        };
        if primary_only && self.node_ip() != Some(self.ip) {
            Excluded
        } else {
            Answers
        }
    }

    /// Whether a list has something for the packet's family. A value that is not understood may be of any family.
    fn is_limited_by(&self, list: &AddressList) -> bool {
        list.more
            || (list.primary && self.node_ip().is_some())
            || self.of_family(&list.ranges).next().is_some()
    }

    /// The ranges of the packet's family.
    fn of_family<'r>(&self, ranges: &'r [IpNet]) -> impl Iterator<Item = &'r IpNet> {
        let family = self.family;
        ranges
            .iter()
            .filter(move |range| Family::of(range.network()) == family)
    }

    /// Whether only the primary address answers node ports if the list is empty (kubernetes/kubernetes v1.30.3
    /// `pkg/proxy/nftables/proxier.go`, v1.31.14 and v1.37.2 `cmd/kube-proxy/app/server_linux.go`
    /// `platformApplyDefaults`).
    fn primary_by_default(&self) -> bool {
        self.proxy.mode == ProxyMode::Nftables && self.version.since(30)
    }

    /// Whether only the primary address answers node ports in a family without a range, if the other family has ranges.
    /// This is so in 1.30 only. Since 1.31 every address answers (kubernetes/kubernetes v1.30.3 and v1.31.14
    /// `pkg/proxy/util/nodeport_addresses.go` `NewNodePortAddresses`).
    fn primary_without_a_range(&self) -> bool {
        self.primary_by_default() && !self.version.since(31)
    }

    /// Whether every address of the node answers node ports.
    pub(super) fn all_node_port_addresses(&self) -> bool {
        match self.node_port_addresses {
            NodePortAddresses::Listed(list) if self.is_limited_by(list) => self
                .of_family(&list.ranges)
                .any(|range| range.prefix_len() == 0),
            NodePortAddresses::Listed(_) => !self.primary_without_a_range(),
            NodePortAddresses::Default => !self.primary_by_default(),
        }
    }

    /// Whether `loadBalancerSourceRanges` allows a source. Ranges of the other family do not count. If no range is
    /// left, every source is allowed. A range that contains the node's address also allows the load balancer's own
    /// address.
    ///
    /// If `source` is `None`, the address is unknown.
    pub(super) fn source_allowed(
        &self,
        service: &Service,
        source: Option<IpAddr>,
    ) -> Result<Option<Rule>, Rule> {
        let ranges: Vec<_> = service
            .load_balancer_source_ranges
            .iter()
            .filter(|range| Family::of(range.network()) == self.family)
            .collect();
        if ranges.is_empty() {
            return Ok(None);
        }
        let within = |ip: IpAddr| ranges.iter().any(|range| range.contains(&ip));
        let Some(source) = source else {
            let everyone = ranges.iter().any(|range| range.prefix_len() == 0);
            return if everyone || self.listed == Some(true) {
                Ok(Some(rules::SOURCE_RANGES_ALLOW))
            } else if self.listed == Some(false) {
                Err(rules::SOURCE_RANGES_DROP)
            } else {
                Err(rules::SOURCE_UNKNOWN)
            };
        };
        if within(source) {
            return Ok(Some(rules::SOURCE_RANGES_ALLOW));
        }
        let from_balancer = match self.proxy.mode {
            // kube-proxy allows all of the balancer's addresses as sources for each of them.
            ProxyMode::Nftables => self.vips(service).any(|vip| vip == source),
            ProxyMode::Iptables if self.version.since(25) => {
                self.vips(service).any(|vip| vip == source)
            }
            ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Userspace | ProxyMode::Ebpf => {
                source == self.ip
            }
        };
        if from_balancer && self.node_ip().is_some_and(within) {
            return Ok(Some(rules::SOURCE_RANGES_NODE));
        }
        Err(rules::SOURCE_RANGES_DROP)
    }

    pub(super) fn why(&self, rule: Rule) -> Why {
        rule.why(self.proxy.mode, self.version)
    }

    fn whys(&self, rules: &[Rule]) -> Vec<Why> {
        rules.iter().map(|&rule| self.why(rule)).collect()
    }

    /// An answer without endpoints.
    pub(super) fn end(
        &self,
        action: ProxyAction,
        service: Option<&'a Service>,
        rules: &[Rule],
    ) -> Answer<'a> {
        Answer {
            action,
            endpoints: Vec::new(),
            masquerade: None,
            why: self.whys(rules),
            cause: rules.iter().find_map(|rule| rule.cause()),
            service,
        }
    }

    /// Whether a client that reaches itself is masqueraded on its own node only, because the rule uses a set of that
    /// node's endpoints: in ipvs mode, and in nftables mode since 1.36 (`docs/known-kube-proxy-behaviour.md`).
    fn hairpin_on_own_node(&self) -> bool {
        match self.proxy.mode {
            ProxyMode::Ipvs => true,
            ProxyMode::Nftables => self.version.since(36),
            ProxyMode::Iptables | ProxyMode::Userspace | ProxyMode::Ebpf => false,
        }
    }

    /// Whether a backend is in that set. In nftables mode the set has addresses without Services. So a Service that does
    /// not say where the backend is gets the same treatment as one that does. Measured with kube-proxy 1.36.3 and
    /// 1.37.2, with an EndpointSlice that names no node.
    fn in_own_set(&self, backend: &Backend<'_>) -> bool {
        let of_any_service = || {
            let mut backends = self.world.ports.iter().flat_map(|port| &port.backends);
            backends.any(|other| {
                other.address.ip() == backend.address.ip() && other.is_on(&self.node.name)
            })
        };
        backend.is_on(&self.node.name)
            || (self.proxy.mode == ProxyMode::Nftables && of_any_service())
    }

    /// Whether a packet that this node did not send goes to a backend on this node itself. Such a packet goes from
    /// PREROUTING to INPUT and does not pass POSTROUTING, where packets are masqueraded.
    fn enters_host(&self, backend: &Backend<'_>) -> bool {
        self.client != Network::Host && self.is_local(backend.address.ip())
    }

    /// An answer with endpoints. If the endpoint is the client itself, the packet is always masqueraded, or only if the
    /// endpoint is on this node.
    pub(super) fn serve(
        &self,
        port: &PortOf<'a>,
        endpoints: &[&Backend<'a>],
        mark: Mark,
        rules: &[Rule],
        source: Option<IpAddr>,
    ) -> Answer<'a> {
        let mut why = self.whys(rules);
        let (itself, elsewhere): (Vec<&&Backend<'_>>, Vec<&&Backend<'_>>) = endpoints
            .iter()
            .filter(|backend| source == Some(backend.address.ip()))
            .partition(|backend| !self.hairpin_on_own_node() || self.in_own_set(backend));
        if mark != Mark::Always && !elsewhere.is_empty() && self.proxy.mode == ProxyMode::Nftables {
            why.push(self.why(rules::HAIRPIN_ELSEWHERE));
        }
        let (to_host, forwarded): (Vec<&&Backend<'_>>, Vec<&&Backend<'_>>) = endpoints
            .iter()
            .partition(|backend| self.enters_host(backend));
        let itself = itself.len();
        let forwarded_masquerade = match mark {
            Mark::Always => Some(true),
            Mark::Never | Mark::Unknown if itself > 0 && itself == endpoints.len() => {
                why.push(self.why(rules::HAIRPIN));
                Some(true)
            }
            Mark::Never if itself > 0 => {
                why.push(self.why(rules::HAIRPIN_SOME));
                None
            }
            Mark::Never => Some(false),
            Mark::Unknown if forwarded.is_empty() => None,
            Mark::Unknown => {
                why.push(self.why(rules::DETECTOR_UNKNOWN));
                None
            }
        };
        let masquerade = if to_host.is_empty() || forwarded_masquerade == Some(false) {
            forwarded_masquerade
        } else {
            why.push(self.why(if self.proxy.mode == ProxyMode::Ipvs {
                rules::HOST_NETWORK_IPVS
            } else {
                rules::HOST_NETWORK
            }));
            forwarded.is_empty().then_some(false)
        };
        Answer {
            action: ProxyAction::Endpoints,
            endpoints: endpoints.iter().map(|&&backend| backend).collect(),
            masquerade,
            why,
            cause: None,
            service: Some(port.service),
        }
    }

    /// Whether traffic to a cluster IP is masqueraded, in iptables and nftables mode.
    pub(super) fn cluster_ip_mark(&self) -> (Mark, Option<Rule>) {
        if self.proxy.masquerade_all {
            return (Mark::Always, Some(rules::MASQUERADE_ALL));
        }
        match self.detected() {
            Detected::Pod => (Mark::Never, Some(rules::KEEP_POD)),
            Detected::NotPod => (Mark::Always, Some(rules::MASQUERADE_NOT_POD)),
            Detected::Nothing => (Mark::Never, Some(rules::NO_DETECTOR)),
            // A pod keeps its address with or without a detector.
            Detected::Unknown if self.client == Network::Pod => {
                (Mark::Never, Some(rules::KEEP_POD))
            }
            Detected::Unknown => (Mark::Unknown, None),
        }
    }
}
