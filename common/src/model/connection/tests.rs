//! Forecasts for a client and a target. The nodes `b1` and `b2` may run backends; `o1` and `o2` never do.

mod addresses;
mod balancers;
mod clients;
mod health_checks;

use super::{Client, Forecast, Paths, PredictedOutcome};
use crate::{
    facts::{Endpoint, Node, Service},
    model::{Detector, NodePortAddresses, Proxy, World},
    network_model::NetworkModel,
    objects::ServiceEndpoints,
    position::Network::{self, External, Host, Pod},
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::Chance,
    target::{Scope, Target, TargetKind},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16};

struct Cluster {
    nodes: Vec<Node>,
    service: Service,
    endpoints: Vec<Endpoint>,
    proxy: Proxy,
    /// Proxies with settings of their own, by node.
    own: BTreeMap<String, Proxy>,
    paths: Paths,
    /// Addresses of the client.
    client: Vec<IpAddr>,
    /// Addresses that nodes have on interfaces.
    interfaces: BTreeMap<String, Vec<IpAddr>>,
    /// Other pods: node and address.
    pods: Vec<(&'static str, &'static str)>,
    /// Whether the endpoints are known.
    endpoints_known: bool,
    /// Another Service, without endpoints.
    other: Option<Service>,
    /// Protocol of the targets.
    protocol: Protocol,
}

const NODES: [(&str, &str, &str, &str); 4] = [
    ("b1", "172.30.0.11", "198.51.100.11", "10.244.1.0/24"),
    ("b2", "172.30.0.12", "198.51.100.12", "10.244.2.0/24"),
    ("o1", "172.30.0.13", "198.51.100.13", "10.244.3.0/24"),
    ("o2", "172.30.0.14", "198.51.100.14", "10.244.4.0/24"),
];

impl Cluster {
    fn new(
        mode: ProxyMode,
        version: &str,
        external_policy: &str,
        endpoints: &[(&str, &str)],
    ) -> Self {
        let nodes = NODES
            .iter()
            .map(|(name, private, public, pods)| {
                Node::try_from(&json!({
                    "metadata": {"name": name}, "spec": {"podCIDR": pods},
                    "status": {"addresses": [{"type": "InternalIP", "address": private},
                                             {"type": "ExternalIP", "address": public}],
                               "conditions": [{"type": "Ready", "status": "True"}]},
                }))
                .unwrap()
            })
            .collect();
        let service = Service::try_from(&json!({
            "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": external_policy,
                     "externalIPs": ["192.0.2.99"], "healthCheckNodePort": 31000,
                     "ports": [{"port": 80, "nodePort": 30080}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}},
        }))
        .unwrap();
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(address, node)| json!({"addresses": [address], "nodeName": node}))
            .collect();
        let slice = json!({"metadata": {"name": "web-1"}, "ports": [{"name": "", "port": 8080}], "endpoints": endpoints});
        let mut proxy = Proxy::with_defaults(mode);
        proxy.version = Some(version.parse().unwrap());
        proxy.detector = Detector::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]);
        let mut paths = Paths::of_network(None);
        paths.host_replies = Some(true);
        paths.public_on_interface = Some(false);
        Self {
            nodes,
            service,
            endpoints: ServiceEndpoints::from_slice(&slice).unwrap().endpoints,
            proxy,
            own: BTreeMap::new(),
            paths,
            client: Vec::new(),
            interfaces: BTreeMap::new(),
            pods: Vec::new(),
            endpoints_known: true,
            other: None,
            protocol: Protocol::Tcp,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn forecast(&self, client: Network, node: Option<&str>, to: (TargetKind, &str)) -> Forecast {
        let (kind, at) = to;
        let by_name = |name: &str| NODES.iter().find(|node| node.0 == name);
        let (address, node_of, scope, port) = match kind {
            TargetKind::NodePort | TargetKind::HealthCheckNodePort => {
                let (name, public) = at
                    .strip_suffix("/public")
                    .map_or((at, false), |name| (name, true));
                let node = by_name(name).unwrap();
                let port = if kind == TargetKind::NodePort {
                    30080
                } else {
                    31000
                };
                let scope = if public {
                    Scope::Public
                } else {
                    Scope::Private
                };
                (
                    if public { node.2 } else { node.1 },
                    Some(name.to_owned()),
                    Some(scope),
                    port,
                )
            }
            TargetKind::PodIp => (at, None, None, 8080),
            TargetKind::ClusterIp
            | TargetKind::Dns
            | TargetKind::LoadBalancer
            | TargetKind::ExternalIp
            | TargetKind::Dnat
            | TargetKind::Ingress => (at, None, None, 80),
        };
        let target = Target {
            kind,
            address: address.to_owned(),
            port: NonZeroU16::new(port).unwrap(),
            protocol: self.protocol,
            port_name: None,
            node: node_of,
            node_role: None,
            relation: None,
            scope,
            route: None,
        };
        let others = self.other.iter().map(|service| (service, &[][..]));
        let services = std::iter::once((&self.service, self.endpoints.as_slice())).chain(others);
        let pods = self.pods.iter();
        let unknown = (!self.endpoints_known).then_some(&self.service);
        let world = World::new(services, &self.nodes, &self.proxy)
            .with_own_proxies(&self.own, true)
            .with_pods(pods.map(|(node, address)| (*node, address.parse().unwrap())))
            .with_public_addresses(&self.interfaces)
            .with_unknown_endpoints(unknown);
        world.connect(
            &self.paths,
            &self.service,
            Client {
                network: client,
                node,
                addresses: &self.client,
            },
            &target,
        )
    }

    fn outcome(&self, client: Network, node: Option<&str>, to: (TargetKind, &str)) -> String {
        self.forecast(client, node, to).outcome.to_string()
    }
}

const CLUSTER_IP: (TargetKind, &str) = (TargetKind::ClusterIp, "10.96.0.7");
const BALANCER: (TargetKind, &str) = (TargetKind::LoadBalancer, "203.0.113.5");
const EXTERNAL_IP: (TargetKind, &str) = (TargetKind::ExternalIp, "192.0.2.99");

const fn node_port(node: &str) -> (TargetKind, &str) {
    (TargetKind::NodePort, node)
}

/// The clients, in the order of the tables' columns.
const CLIENTS: [(&str, Network, Option<&str>); 5] = [
    ("host beside a backend", Host, Some("b1")),
    ("host without one", Host, Some("o1")),
    ("pod beside a backend", Pod, Some("b1")),
    ("pod without one", Pod, Some("o1")),
    ("outside", External, None),
];

fn check(name: &str, cluster: &Cluster, rows: &[(&str, (TargetKind, &str), [&str; 5])]) {
    for (target_name, target, expected) in rows {
        for ((client_name, client, node), expected) in CLIENTS.into_iter().zip(expected) {
            // "own" means the client's own node.
            let target = match (target, node) {
                ((kind, "own"), Some(node)) => (*kind, node),
                ((_, "own"), None) => continue,
                (target, _) => *target,
            };
            let outcome = cluster.outcome(client, node, target);
            let outcome = outcome.split(':').next().unwrap();
            assert_eq!(outcome, *expected, "{name}: {client_name} to {target_name}");
        }
    }
}

const TWO: [(&str, &str); 2] = [("10.244.1.5", "b1"), ("10.244.2.5", "b2")];
const ONE: [(&str, &str); 1] = [("10.244.1.5", "b1")];

fn iptables(policy: &str, endpoints: &[(&str, &str)]) -> Cluster {
    Cluster::new(ProxyMode::Iptables, "1.30", policy, endpoints)
}

/// With policy Cluster, every client is served in every mode.
#[test]
fn policy_cluster() {
    for (mode, version) in [
        (ProxyMode::Iptables, "1.16"),
        (ProxyMode::Iptables, "1.24"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Nftables, "1.35"),
        (ProxyMode::Ipvs, "1.20.2"),
        (ProxyMode::Ipvs, "1.30"),
    ] {
        for endpoints in [&ONE[..], &TWO[..]] {
            let cluster = Cluster::new(mode, version, "Cluster", endpoints);
            let served = ["reached"; 5];
            check(
                &format!("{mode} {version}"),
                &cluster,
                &[
                    (
                        "cluster IP",
                        CLUSTER_IP,
                        ["reached", "reached", "reached", "reached", "unknown"],
                    ),
                    ("own node port", node_port("own"), served),
                    ("a backend's node port", node_port("b2"), served),
                    ("another's node port", node_port("o2"), served),
                    (
                        "a public node port, behind a firewall",
                        node_port("o2/public"),
                        ["unknown"; 5],
                    ),
                    ("balancer", BALANCER, served),
                    (
                        "pod IP",
                        (TargetKind::PodIp, "10.244.1.5"),
                        ["reached", "reached", "reached", "reached", "unknown"],
                    ),
                ],
            );
        }
    }
}

/// Policy Local in iptables mode, since 1.15. The cells of clients without a backend were tried on Linux 6.1. The cells
/// of pods that keep their address towards another node follow kubernetes/kubernetes#74383.
#[test]
fn policy_local_iptables() {
    for (mode, version) in [
        (ProxyMode::Iptables, "1.20.2"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Nftables, "1.35"),
    ] {
        let name = format!("{mode} {version}");
        let cluster = Cluster::new(mode, version, "Local", &TWO);
        check(
            &name,
            &cluster.with(|cluster| cluster.paths.pods_masqueraded = Some(true)),
            &[
                ("own node port", node_port("own"), ["reached"; 5]),
                ("a backend's node port", node_port("b2"), ["reached"; 5]),
                ("another's node port", node_port("o2"), ["timeout"; 5]),
                ("own public address", node_port("o1/public"), ["timeout"; 5]),
                (
                    "a backend's public address, behind a firewall",
                    node_port("b2/public"),
                    ["unknown"; 5],
                ),
                ("balancer", BALANCER, ["reached"; 5]),
            ],
        );
        let kept = Cluster::new(mode, version, "Local", &TWO)
            .with(|cluster| cluster.paths.pods_masqueraded = Some(false));
        check(
            &format!("{name}, pods keep their address"),
            &kept,
            &[
                (
                    "a backend's node port",
                    node_port("b2"),
                    [
                        "reached",
                        "reached",
                        "some attempts, by chance (1 of 2)",
                        "some attempts, by chance (1 of 2)",
                        "reached",
                    ],
                ),
                ("another's node port", node_port("o2"), ["timeout"; 5]),
            ],
        );
        // The result is known if both cases have the same result.
        let unknown = Cluster::new(mode, version, "Local", &TWO);
        check(
            &format!("{name}, not known whether pods keep their address"),
            &unknown,
            &[
                ("another's node port", node_port("o2"), ["timeout"; 5]),
                (
                    "a backend's node port",
                    node_port("b2"),
                    ["reached", "reached", "unknown", "unknown", "reached"],
                ),
            ],
        );
    }
    // Measured on 1.20.2 and on 1.34.4 to 1.37.2: 3 to 6 of 9 attempts time out.
    let kept = Cluster::new(ProxyMode::Nftables, "1.37", "Local", &TWO)
        .with(|cluster| cluster.paths.pods_masqueraded = Some(false));
    let forecast = kept.forecast(Pod, Some("o1"), node_port("b2"));
    let expected = Chance {
        served: 1,
        of: 2,
        each_attempt: true,
    };
    assert_eq!(
        forecast.prediction(TargetKind::NodePort).chance,
        Some(expected)
    );
    assert_eq!(forecast.prediction(TargetKind::NodePort).reachable, None);
    let last = forecast.why.last().unwrap();
    assert!(
        last.rule.contains("its reply bypasses the node"),
        "{last:?}"
    );
    let unknown = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &TWO);
    assert_eq!(
        unknown.forecast(Pod, Some("o1"), node_port("b2")).chance(),
        None
    );
    assert_eq!(
        unknown.outcome(Pod, Some("o1"), node_port("b2")),
        "unknown: whether the pod network masquerades pods towards other nodes' addresses"
    );
}

/// Without a detector, kube-proxy treats pods like any other client.
#[test]
fn policy_local_without_a_detector() {
    let cluster = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &TWO)
        .with(|cluster| cluster.proxy.detector = Detector::None);
    check(
        "no detector",
        &cluster,
        &[
            (
                "own node port",
                node_port("own"),
                ["reached", "reached", "reached", "timeout", ""],
            ),
            ("a backend's node port", node_port("b2"), ["reached"; 5]),
            ("another's node port", node_port("o2"), ["timeout"; 5]),
            (
                "balancer",
                BALANCER,
                ["reached", "reached", "reached", "timeout", "reached"],
            ),
        ],
    );
    let unknown = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &TWO)
        .with(|cluster| cluster.proxy.detector = Detector::Unknown);
    assert_eq!(
        unknown.outcome(Pod, Some("o1"), node_port("o1")),
        "unknown: kube-proxy's cluster CIDR (--cluster-cidr, --local-detector)"
    );
    assert_eq!(
        unknown.outcome(Host, Some("o1"), node_port("o1")),
        "reached"
    );
    assert_eq!(unknown.outcome(Pod, Some("o1"), node_port("o2")), "timeout");
}

/// Policy Local in ipvs mode, tried on Linux 6.1. For the own node port and the balancer's address from a host, see
/// kubernetes/kubernetes#93456.
#[test]
fn policy_local_ipvs() {
    let before = Cluster::new(ProxyMode::Ipvs, "1.20.2", "Local", &TWO);
    check(
        "ipvs 1.20",
        &before,
        &[
            (
                "own node port",
                node_port("own"),
                ["reached", "refused", "reached", "refused", ""],
            ),
            ("a backend's node port", node_port("b2"), ["reached"; 5]),
            ("another's node port", node_port("o2"), ["refused"; 5]),
            (
                "balancer",
                BALANCER,
                ["reached", "refused", "reached", "refused", "reached"],
            ),
            (
                "external IP",
                EXTERNAL_IP,
                ["reached", "refused", "reached", "refused", "unknown"],
            ),
        ],
    );
    let after = Cluster::new(ProxyMode::Ipvs, "1.24", "Local", &TWO);
    check(
        "ipvs 1.24",
        &after,
        &[
            ("own node port", node_port("own"), ["reached"; 5]),
            ("a backend's node port", node_port("b2"), ["reached"; 5]),
            ("another's node port", node_port("o2"), ["timeout"; 5]),
            (
                "balancer",
                BALANCER,
                ["reached", "timeout", "reached", "reached", "reached"],
            ),
        ],
    );
    let overlay = Cluster::new(ProxyMode::Ipvs, "1.24", "Local", &TWO)
        .with(|cluster| cluster.paths = Paths::of_network(Some(NetworkModel::Tunnel)));
    assert_eq!(
        overlay.outcome(Host, Some("o1"), node_port("o1")),
        "unknown: whether a pod's reply to another node's address arrives unchanged (reverse path filter, underlay)"
    );
    assert_eq!(overlay.outcome(Pod, Some("o1"), node_port("o1")), "reached");
}

/// Pods exchange packets without their node's network stack, as in the VPC column of the CCE document.
#[test]
fn replies_that_bypass_the_node() {
    let vpc = |same_node| {
        Cluster::new(ProxyMode::Iptables, "1.30", "Local", &ONE).with(|cluster| {
            cluster.paths = Paths::of_network(Some(NetworkModel::Vpc));
            cluster.paths.same_node_replies = same_node;
        })
    };
    let own = node_port("b1");
    assert_eq!(vpc(Some(false)).outcome(Pod, Some("b1"), own), "timeout");
    assert_eq!(vpc(Some(true)).outcome(Pod, Some("b1"), own), "reached");
    assert_eq!(
        vpc(None).outcome(Pod, Some("b1"), own),
        "unknown: whether packets between pods of one node pass the node's own network stack"
    );
    assert_eq!(
        vpc(None).outcome(Pod, Some("o1"), node_port("o1")),
        "reached"
    );
    // A backend on the host network replies through that stack.
    let host_network = vpc(Some(false)).with(|cluster| {
        cluster.endpoints[0].address = "172.30.0.11".parse().unwrap();
    });
    assert_eq!(host_network.outcome(Pod, Some("b1"), own), "reached");
}

/// The backend is on the host network of the node that translates the packet. The client keeps its address and is
/// served.
#[test]
fn backends_on_the_host_network_are_reached() {
    let endpoint = |node: &str| {
        Cluster::new(
            ProxyMode::Nftables,
            "1.37",
            "Cluster",
            &[("172.30.0.11", node)],
        )
    };
    let mut without_node = endpoint("b1");
    without_node.endpoints[0].node = None;
    for cluster in [endpoint("b1"), without_node] {
        let targets = [
            ("its node's port", node_port("b1"), ["reached"; 5]),
            ("another's node port", node_port("o2"), ["reached"; 5]),
            ("balancer", BALANCER, ["reached"; 5]),
        ];
        check("host network", &cluster, &targets);
        let kept = |client, node, to| cluster.forecast(client, node, node_port(to)).client_kept;
        assert_eq!(kept(External, None, "b1"), Some(true));
        assert_eq!(kept(Pod, Some("b1"), "b1"), Some(true));
        assert_eq!(
            kept(Host, Some("b1"), "b1"),
            Some(true),
            "its node's addresses are its own"
        );
        assert_eq!(kept(External, None, "o2"), Some(false));
    }
}

/// A later version may add a value to `nodePortAddresses`. Only cells that depend on it are unknown.
#[test]
fn node_port_addresses_that_are_not_understood() {
    let of = |values: &[&str], also: Option<&str>| {
        let cluster = Cluster::new(ProxyMode::Nftables, "1.37", "Cluster", &ONE);
        cluster.with(|cluster| {
            cluster.proxy.node_port_addresses = NodePortAddresses::read(values.iter().copied()).0;
            if let Some(first) = also {
                cluster.nodes[0]
                    .internal_ips
                    .insert(0, first.parse().unwrap());
            }
        })
    };
    let unknown = "unknown: which addresses answer node ports (nodePortAddresses has a value that is unknown)";
    let outcome = |cluster: &Cluster| cluster.outcome(External, None, node_port("b1"));
    assert_eq!(outcome(&of(&["primary", "lan"], None)), "reached");
    assert_eq!(outcome(&of(&["lan"], None)), unknown);
    // The client requests the node port on the second address.
    assert_eq!(outcome(&of(&["primary"], Some("172.30.1.11"))), "refused");
    assert_eq!(
        outcome(&of(&["primary", "lan"], Some("172.30.1.11"))),
        unknown
    );
    let cluster_ip = of(&["lan"], None).outcome(Pod, Some("o1"), CLUSTER_IP);
    assert_eq!(cluster_ip, "reached", "no node port");
    // Each node has the settings of its own proxy.
    let one_node = of(&[], None).with(|cluster| {
        let mut own = cluster.proxy.clone();
        own.node_port_addresses = NodePortAddresses::read(["lan"]).0;
        cluster.own.insert("o1".to_owned(), own);
    });
    assert_eq!(one_node.outcome(External, None, node_port("o1")), unknown);
    assert_eq!(one_node.outcome(External, None, node_port("o2")), "reached");
}

/// The Service has no endpoint.
#[test]
fn no_endpoint() {
    let refused = "refused";
    let either = "refused or timeout";
    // In iptables mode kube-proxy leaves a host's packet alone, so it reaches the balancer.
    let iptables = [either, either, refused, refused, refused];
    for (mode, version, balancer) in [
        (ProxyMode::Iptables, "1.20.2", iptables),
        (ProxyMode::Nftables, "1.35", [refused; 5]),
        (ProxyMode::Ipvs, "1.30", [refused; 5]),
    ] {
        let cluster = Cluster::new(mode, version, "Cluster", &[]);
        check(
            &format!("{mode} {version}"),
            &cluster,
            &[
                (
                    "cluster IP",
                    CLUSTER_IP,
                    ["refused", "refused", "refused", "refused", "unknown"],
                ),
                ("own node port", node_port("own"), ["refused"; 5]),
                ("another's node port", node_port("o2"), ["refused"; 5]),
                ("balancer", BALANCER, balancer),
            ],
        );
    }
    let local = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &[]);
    assert_eq!(local.outcome(External, None, BALANCER), "timeout");
}

/// Whether the backend sees one of the client's own addresses. A client on the host network has those of its node.
#[test]
fn client_address_kept() {
    let kept = |policy, client, node, target| {
        Cluster::new(ProxyMode::Iptables, "1.30", policy, &TWO)
            .with(|cluster| {
                cluster.paths.pods_masqueraded = Some(true);
                cluster.paths.balancer.keeps_client = Some(true);
            })
            .forecast(client, node, target)
            .client_kept
    };
    let rows = [
        (
            "pod to cluster IP",
            "Local",
            Pod,
            Some("o1"),
            CLUSTER_IP,
            Some(true),
        ),
        (
            "host to cluster IP",
            "Local",
            Host,
            Some("o1"),
            CLUSTER_IP,
            Some(true),
        ),
        (
            "pod to its node's port",
            "Local",
            Pod,
            Some("o1"),
            node_port("o1"),
            Some(true),
        ),
        (
            "host to its node's port",
            "Local",
            Host,
            Some("o1"),
            node_port("o1"),
            Some(true),
        ),
        (
            "host to another's port",
            "Local",
            Host,
            Some("o1"),
            node_port("b1"),
            Some(true),
        ),
        (
            "pod to another's port, masqueraded by its network",
            "Local",
            Pod,
            Some("o1"),
            node_port("b1"),
            Some(false),
        ),
        (
            "outside to a node's port",
            "Local",
            External,
            None,
            node_port("b1"),
            Some(true),
        ),
        (
            "outside to a node's port",
            "Cluster",
            External,
            None,
            node_port("b1"),
            Some(false),
        ),
        (
            "outside to the balancer",
            "Local",
            External,
            None,
            BALANCER,
            Some(true),
        ),
        (
            "outside to the balancer",
            "Cluster",
            External,
            None,
            BALANCER,
            Some(false),
        ),
    ];
    for (name, policy, client, node, target, expected) in rows {
        assert_eq!(
            kept(policy, client, node, target),
            expected,
            "{name}, policy {policy}"
        );
    }
}

#[test]
fn other_proxies_are_unknown() {
    let cluster = Cluster::new(ProxyMode::Ebpf, "1.30", "Local", &TWO);
    let outcome = cluster.outcome(Pod, Some("o1"), CLUSTER_IP);
    assert!(
        outcome.starts_with("unknown: the model does not know proxy mode ebpf"),
        "{outcome}"
    );
    assert_eq!(
        cluster.outcome(Pod, Some("o1"), (TargetKind::PodIp, "10.244.1.5")),
        "reached"
    );
    assert!(
        cluster
            .forecast(Pod, Some("o1"), CLUSTER_IP)
            .reachability()
            .is_none()
    );
}

#[test]
fn headless_service_names() {
    let mut cluster = Cluster::new(ProxyMode::Iptables, "1.30", "Cluster", &ONE);
    cluster.service.headless = true;
    cluster.service.cluster_ips.clear();
    let name = (TargetKind::Dns, "web.ns.svc");
    // The targets have the Service's port 80. The pod listens on 8080, and nothing maps one to the other.
    let forecast = cluster.forecast(Pod, Some("o1"), name);
    assert_eq!(forecast.outcome, PredictedOutcome::Refused);
    assert!(
        forecast.why[0].rule.contains("nothing maps"),
        "{forecast:?}"
    );
    cluster.endpoints[0].ports[0].port = NonZeroU16::new(80).unwrap();
    let forecast = cluster.forecast(Pod, Some("o1"), name);
    assert_eq!(
        (forecast.outcome.to_string().as_str(), forecast.endpoints),
        ("reached", vec!["10.244.1.5:80".to_owned()])
    );
    cluster.endpoints[0].ready = false;
    assert_eq!(cluster.outcome(Pod, Some("o1"), name), "name not found");
}

#[test]
fn session_affinity_is_explained() {
    let mut cluster = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &TWO);
    cluster.paths.pods_masqueraded = Some(false);
    cluster.service.session_affinity_seconds = Some(10_800);
    let forecast = cluster.forecast(Pod, Some("o1"), node_port("b1"));
    assert_eq!(
        forecast.outcome.to_string(),
        "always or never, by chance (1 of 2)"
    );
    assert!(!forecast.chance().unwrap().each_attempt);
    assert!(
        forecast
            .why
            .iter()
            .any(|why| why.rule.contains("session affinity")),
        "{:?}",
        forecast.why
    );
}
