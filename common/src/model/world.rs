//! An index of all Services, endpoints and nodes of a cluster by destination address.

use super::{proxy::Proxy, version::Version};
use crate::{
    facts::{Endpoint, IpMode, Node, Service, ServicePort, ServiceType},
    protocol::Protocol,
    proxy_mode::ProxyMode,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

/// Label of a Service that another proxy than kube-proxy serves. Its value does not matter
/// (kubernetes/kubernetes v1.20.2 and v1.37.2 `pkg/proxy/apis/well_known_labels.go`, `cmd/kube-proxy/app/server.go`).
const LABEL_SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

/// Label of a headless Service, which kube-proxy ignores (`k8s.io/api/core/v1` `IsHeadlessService`).
const LABEL_HEADLESS: &str = "service.kubernetes.io/headless";

/// IP version. kube-proxy has one independent proxy for each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// One endpoint of one Service port.
#[derive(Debug, Clone, Copy)]
pub struct Backend<'a> {
    /// Its address and port.
    pub address: SocketAddr,
    /// The node it is on, if known.
    pub node: Option<&'a str>,
    pub(super) endpoint: &'a Endpoint,
}

impl Backend<'_> {
    /// Whether it is on the named node.
    #[must_use]
    pub fn is_on(&self, node: &str) -> bool {
        self.node == Some(node)
    }

    pub(super) const fn ready(&self) -> bool {
        self.endpoint.ready
    }

    /// Whether it is terminating but still serves. An endpoint without the `serving` condition serves
    /// (kubernetes/kubernetes v1.21.1 and v1.37.2 `pkg/proxy/endpointslicecache.go`).
    pub(super) fn lingers(&self) -> bool {
        self.endpoint.serving.unwrap_or(true) && self.endpoint.terminating.unwrap_or(false)
    }
}

/// One port of one Service in one family. kube-proxy calls this a service port.
#[derive(Debug)]
pub(super) struct PortOf<'a> {
    pub service: &'a Service,
    pub port: &'a ServicePort,
    /// Sorted by address, each address once.
    pub backends: Vec<Backend<'a>>,
}

/// The kind of an address of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AddressKind {
    Cluster,
    External,
    LoadBalancer,
}

/// All Services, endpoints and nodes of a cluster with its proxies' settings.
#[derive(Debug)]
pub struct World<'a> {
    /// Settings of the proxies of all nodes that have none of their own; `None`: not known.
    shared: Option<&'a Proxy>,
    /// Settings of the proxies of single nodes.
    own: BTreeMap<&'a str, &'a Proxy>,
    pub(super) ports: Vec<PortOf<'a>>,
    pub(super) by_address: HashMap<(IpAddr, u16, Protocol), Vec<(AddressKind, usize)>>,
    pub(super) by_node_port: HashMap<(u16, Protocol, Family), Vec<usize>>,
    /// Health check ports of LoadBalancer Services with `externalTrafficPolicy: Local`.
    pub(super) health_check_ports: HashMap<(u16, Family), &'a Service>,
    /// Addresses of proxied Services, with their kind.
    pub(super) owned: HashMap<IpAddr, Vec<(AddressKind, &'a Service)>>,
    /// All Services with their endpoints, proxied or not, by namespace and name.
    services: HashMap<(&'a str, &'a str), (&'a Service, &'a [Endpoint])>,
    nodes: BTreeMap<&'a str, &'a Node>,
    /// The node of each pod address, from the known endpoints.
    pod_nodes: HashMap<IpAddr, &'a str>,
    node_addresses: HashSet<IpAddr>,
    /// Services whose endpoints are unknown, by namespace and name.
    unknown_endpoints: HashSet<(&'a str, &'a str)>,
    /// Known addresses of pods that are not on a host network, by node.
    pods: BTreeMap<&'a str, BTreeSet<IpAddr>>,
    /// Addresses of type `ExternalIP` that a node has on an interface, by node. Only nodes that a probe looked at.
    on_interfaces: BTreeMap<&'a str, &'a [IpAddr]>,
}

impl<'a> World<'a> {
    /// Indexes the Services of a cluster with their endpoints.
    pub fn new(
        services: impl IntoIterator<Item = (&'a Service, &'a [Endpoint])>,
        nodes: &'a [Node],
        proxy: &'a Proxy,
    ) -> Self {
        let mut world = World {
            shared: Some(proxy),
            own: BTreeMap::new(),
            ports: Vec::new(),
            by_address: HashMap::new(),
            by_node_port: HashMap::new(),
            health_check_ports: HashMap::new(),
            owned: HashMap::new(),
            services: HashMap::new(),
            nodes: nodes
                .iter()
                .map(|node| (node.name.as_str(), node))
                .collect(),
            pod_nodes: HashMap::new(),
            node_addresses: nodes
                .iter()
                .flat_map(|node| node.internal_ips.iter().copied())
                .collect(),
            unknown_endpoints: HashSet::new(),
            pods: BTreeMap::new(),
            on_interfaces: BTreeMap::new(),
        };
        for (service, endpoints) in services {
            world
                .services
                .insert((&service.namespace, &service.name), (service, endpoints));
            for endpoint in endpoints {
                if let Some(node) = &endpoint.node {
                    world.add_pod(node, endpoint.address);
                }
            }
            if is_proxied(service) {
                for family in [Family::V4, Family::V6] {
                    world.add(service, endpoints, family);
                }
            }
        }
        for found in world.by_address.values_mut() {
            found.sort_by_key(|&(place, _)| place);
        }
        world
    }

    /// Adds pods: the node and an address of each. An endpoint that names its node counts already.
    #[must_use]
    pub fn with_pods(mut self, pods: impl IntoIterator<Item = (&'a str, IpAddr)>) -> Self {
        for (node, address) in pods {
            self.add_pod(node, address);
        }
        self
    }

    /// Says that the endpoints of these Services are unknown.
    #[must_use]
    pub fn with_unknown_endpoints(
        mut self,
        services: impl IntoIterator<Item = &'a Service>,
    ) -> Self {
        self.unknown_endpoints = services
            .into_iter()
            .map(|service| (service.namespace.as_str(), service.name.as_str()))
            .collect();
        self
    }

    /// Says which of their addresses of type `ExternalIP` nodes have on an interface. Nodes that nobody looked at are
    /// absent.
    #[must_use]
    pub fn with_public_addresses(mut self, seen: &'a BTreeMap<String, Vec<IpAddr>>) -> Self {
        self.on_interfaces = seen
            .iter()
            .map(|(node, addresses)| (node.as_str(), addresses.as_slice()))
            .collect();
        self
    }

    fn add_pod(&mut self, node: &'a str, address: IpAddr) {
        self.pod_nodes.entry(address).or_insert(node);
        if !self.node_addresses.contains(&address) {
            self.pods.entry(node).or_default().insert(address);
        }
    }

    /// Gives nodes proxies with settings of their own, by the node's name. If `others_known` is false, the proxies of all
    /// other nodes are unknown.
    #[must_use]
    pub fn with_own_proxies(
        mut self,
        own: &'a BTreeMap<String, Proxy>,
        others_known: bool,
    ) -> Self {
        self.own = own
            .iter()
            .map(|(node, proxy)| (node.as_str(), proxy))
            .collect();
        self.shared = self.shared.filter(|_| others_known);
        self
    }

    /// Adds a Service's ports in one family. A Service without a cluster IP of that family has no ports in it, even if
    /// it has other addresses of the family (kubernetes/kubernetes v1.20.2 `pkg/proxy/service.go`
    /// `serviceToServiceMap`, v1.30.3 `pkg/proxy/servicechangetracker.go`).
    fn add(&mut self, service: &'a Service, endpoints: &'a [Endpoint], family: Family) {
        let of_family = |address: &IpAddr| Family::of(*address) == family;
        let Some(&cluster_ip) = service.cluster_ips.iter().find(|ip| of_family(ip)) else {
            return;
        };
        let external = service.external_ips.iter().copied().filter(of_family);
        let balancer = service.load_balancer.iter().filter_map(|entry| entry.ip);
        let places: Vec<(AddressKind, IpAddr)> =
            std::iter::once((AddressKind::Cluster, cluster_ip))
                .chain(external.map(|address| (AddressKind::External, address)))
                .chain(
                    balancer
                        .filter(of_family)
                        .map(|address| (AddressKind::LoadBalancer, address)),
                )
                .collect();
        if !service.ports.is_empty() {
            for &(place, address) in &places {
                self.owned
                    .entry(address)
                    .or_default()
                    .push((place, service));
            }
        }
        for port in &service.ports {
            let index = self.ports.len();
            self.ports.push(PortOf {
                service,
                port,
                backends: backends(port, endpoints, family),
            });
            for &(place, address) in &places {
                self.by_address
                    .entry((address, port.port.get(), port.protocol))
                    .or_default()
                    .push((place, index));
            }
            if let Some(node_port) = port.node_port {
                self.by_node_port
                    .entry((node_port.get(), port.protocol, family))
                    .or_default()
                    .push(index);
            }
        }
        if let Some(port) = service.health_check_node_port
            && service.kind == ServiceType::LoadBalancer
            && service.external_traffic_policy == crate::facts::TrafficPolicy::Local
            && !service.ports.is_empty()
        {
            self.health_check_ports
                .insert((port.get(), family), service);
        }
    }

    /// The named node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.nodes.get(name).copied()
    }

    /// Whether it takes the zone of a node to know which endpoints the node uses, and the zone is not known.
    pub(super) fn needs_zone(&self, node: &str, service: &Service) -> bool {
        let unknown = |node: &Node| !node.complete && node.zone().is_none();
        let hinted = |endpoint: &Endpoint| !endpoint.hint_zones.is_empty();
        self.node(node).is_some_and(unknown) && self.endpoints_of(service).iter().any(hinted)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &'a Node> {
        self.nodes.values().copied()
    }

    /// The node that has this address.
    #[must_use]
    pub fn node_of_address(&self, address: IpAddr) -> Option<&'a Node> {
        if !self.node_addresses.contains(&address) {
            return None;
        }
        self.nodes()
            .find(|node| node.internal_ips.contains(&address))
    }

    /// The node of a pod's address, from the endpoints or else from the nodes' pod ranges.
    #[must_use]
    pub fn node_of_pod(&self, address: IpAddr) -> Option<&'a str> {
        self.pod_nodes.get(&address).copied().or_else(|| {
            self.nodes()
                .find(|node| node.pod_cidrs.iter().any(|range| range.contains(&address)))
                .map(|node| node.name.as_str())
        })
    }

    /// Known addresses of pods on a node, not on its host network, in one family.
    pub(super) fn pods_on(&self, node: &str, family: Family) -> impl Iterator<Item = IpAddr> {
        let all = self.pods.get(node).into_iter().flatten().copied();
        all.filter(move |&address| Family::of(address) == family)
    }

    /// Known addresses of pods of the whole cluster, not on a host network, with their nodes.
    pub fn pods(&self) -> impl Iterator<Item = (&'a str, IpAddr)> {
        self.pods
            .iter()
            .flat_map(|(&node, addresses)| addresses.iter().map(move |&address| (node, address)))
    }

    /// Whether a pod, a node or a Service is known to have this address.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        self.pod_nodes.contains_key(&address)
            || self.node_addresses.contains(&address)
            || self.owned.contains_key(&address)
    }

    /// Whether a Service has this address, so that it is no machine's.
    pub(super) fn is_virtual(&self, address: IpAddr) -> bool {
        self.owned.contains_key(&address) && !self.node_addresses.contains(&address)
    }

    /// Whether a node takes another machine's address for itself. In IPVS mode every node has the addresses of Services
    /// on `kube-ipvs0`, and an external IP may be the address of a node.
    pub(super) fn takes_for_itself(&self, node: &str, address: IpAddr) -> bool {
        let bound = |&(kind, service): &(AddressKind, &Service)| {
            let mut entries = service.load_balancer.iter();
            kind != AddressKind::LoadBalancer
                || entries
                    .any(|entry| entry.ip == Some(address) && entry.ip_mode != Some(IpMode::Proxy))
        };
        let proxy = self.proxy_on(node);
        let own = self.node(node);
        proxy.is_some_and(|proxy| proxy.mode == ProxyMode::Ipvs)
            && own.is_some_and(|node| !node.internal_ips.contains(&address))
            && self.owned.get(&address).into_iter().flatten().any(bound)
    }

    /// Whether the endpoints of a Service are known.
    #[must_use]
    pub fn knows_endpoints_of(&self, service: &Service) -> bool {
        !self
            .unknown_endpoints
            .contains(&(service.namespace.as_str(), service.name.as_str()))
    }

    /// Whether a node has this address on an interface; `None` if no probe looked.
    #[must_use]
    pub fn is_on_interface(&self, node: &str, address: IpAddr) -> Option<bool> {
        let seen = self.on_interfaces.get(node)?;
        Some(seen.contains(&address))
    }

    /// All endpoints of a Service.
    #[must_use]
    pub fn endpoints_of(&self, service: &Service) -> &'a [Endpoint] {
        self.services
            .get(&(service.namespace.as_str(), service.name.as_str()))
            .map(|&(_, endpoints)| endpoints)
            .unwrap_or_default()
    }

    /// The Service of this namespace and name.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        self.services
            .get(&(namespace, name))
            .map(|&(service, _)| service)
    }

    /// The settings of a node's proxy; `None` if they are unknown.
    pub(super) fn proxy_on(&self, node: &str) -> Option<&'a Proxy> {
        self.own.get(node).copied().or(self.shared)
    }

    /// Version of a node's kube-proxy. The first of these that is known:
    ///
    /// 1. the version in the node's settings, which comes from kube-proxy itself, its image or a flag;
    /// 2. the version that the node reports for its kube-proxy;
    /// 3. the version of its kubelet (kubelets always reported their own version as kube-proxy's, too);
    /// 4. the newest version that the model knows.
    #[must_use]
    pub fn version(&self, node: &Node) -> Version {
        let said = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        self.proxy_on(&node.name)
            .and_then(|proxy| proxy.version)
            .or_else(|| said(&node.kube_proxy_version))
            .or_else(|| said(&node.kubelet_version))
            .unwrap_or(Version::NEWEST)
    }
}

/// Whether kube-proxy handles a Service
/// (kubernetes/kubernetes v1.20.2 `pkg/proxy/util/utils.go` `ShouldSkipService`, the informers' label selector in
/// `cmd/kube-proxy/app/server.go`).
pub(super) fn is_proxied(service: &Service) -> bool {
    service.kind != ServiceType::ExternalName
        && !service.headless
        && !service.labels.contains_key(LABEL_SERVICE_PROXY_NAME)
        && !service.labels.contains_key(LABEL_HEADLESS)
}

/// The endpoints of a Service port: those with a port of the same name and protocol, of this family.
///
/// If slices repeat an address, only one entry counts: one with a node is preferred, then a ready one
/// (kubernetes/kubernetes v1.37.2 `pkg/proxy/endpointslicecache.go` `addEndpoints` prefers a local one; otherwise its
/// choice is arbitrary).
fn backends<'a>(port: &ServicePort, endpoints: &'a [Endpoint], family: Family) -> Vec<Backend<'a>> {
    let mut found: BTreeMap<SocketAddr, Backend<'a>> = BTreeMap::new();
    for endpoint in endpoints {
        if Family::of(endpoint.address) != family {
            continue;
        }
        for own in &endpoint.ports {
            if own.name != port.name || own.protocol != port.protocol {
                continue;
            }
            let backend = Backend {
                address: SocketAddr::new(endpoint.address, own.port.get()),
                node: endpoint.node.as_deref(),
                endpoint,
            };
            let rank = |backend: &Backend<'_>| {
                (
                    backend.node.is_some(),
                    backend.ready(),
                    backend.lingers(),
                    std::cmp::Reverse(backend.node.map(str::to_owned)),
                )
            };
            found
                .entry(backend.address)
                .and_modify(|known| {
                    if rank(&backend) > rank(known) {
                        *known = backend;
                    }
                })
                .or_insert(backend);
        }
    }
    found.into_values().collect()
}
