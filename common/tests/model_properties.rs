//! Properties of the model for every Service, in every mode and version.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use std::net::IpAddr;
use svc_reach_common::{
    facts::{Endpoint, EndpointPort, Facts, FurtherNodes, IpMode, Node, Service, TrafficPolicy},
    model::{
        Detector, Packet, Proxy, ProxyAction, Version, World,
        connection::{Client, Paths, PredictedOutcome},
    },
    objects::ServiceEndpoints,
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    target::{Target, TargetKind},
    verdict::Reachability,
};

const NODES: usize = 3;

/// Addresses of one family. Both families have the same structure.
struct Addresses {
    node: fn(usize) -> String,
    pod: fn(usize) -> String,
    cluster_ip: &'static str,
    external_ip: &'static str,
    balancer: &'static str,
    outside: &'static str,
    pods: &'static str,
}

const V4: Addresses = Addresses {
    node: |node| format!("172.30.0.{}", node + 1),
    pod: |pod| format!("10.244.0.{}", pod + 1),
    cluster_ip: "10.96.0.7",
    external_ip: "192.0.2.99",
    balancer: "203.0.113.5",
    outside: "198.51.100.7",
    pods: "10.244.0.0/16",
};

const V6: Addresses = Addresses {
    node: |node| format!("fd00:30::{}", node + 1),
    pod: |pod| format!("fd00:244::{}", pod + 1),
    cluster_ip: "fd00:96::7",
    external_ip: "2001:db8:99::99",
    balancer: "2001:db8:5::5",
    outside: "2001:db8:7::7",
    pods: "fd00:244::/32",
};

/// An endpoint: its node, ready, serving, terminating.
type EndpointCase = (Option<usize>, bool, bool, bool);

/// A cluster with one Service.
#[derive(Debug, Clone)]
struct Case {
    mode: ProxyMode,
    minor: u16,
    external: TrafficPolicy,
    internal: TrafficPolicy,
    detector: bool,
    masquerade_all: bool,
    ip_mode: Option<IpMode>,
    endpoints: Vec<EndpointCase>,
}

fn endpoint() -> impl Strategy<Value = EndpointCase> {
    (
        prop::option::weighted(0.9, 0..NODES),
        prop::bool::weighted(0.7),
        any::<bool>(),
        any::<bool>(),
    )
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop::sample::select(TrafficPolicy::ALL)
}

fn case() -> impl Strategy<Value = Case> {
    let mode = prop::sample::select(vec![
        ProxyMode::Iptables,
        ProxyMode::Ipvs,
        ProxyMode::Nftables,
    ]);
    let minor = mode.prop_flat_map(|mode| {
        let first = if mode == ProxyMode::Nftables { 29 } else { 14 };
        (Just(mode), first..=35_u16)
    });
    (
        minor,
        policy(),
        policy(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(prop::sample::select(IpMode::ALL)),
        prop::collection::vec(endpoint(), 0..6),
    )
        .prop_map(
            |((mode, minor), external, internal, detector, masquerade_all, ip_mode, endpoints)| {
                Case {
                    mode,
                    minor,
                    external,
                    internal,
                    detector,
                    masquerade_all,
                    ip_mode,
                    endpoints,
                }
            },
        )
}

impl Case {
    fn facts(&self, addresses: &Addresses) -> Facts {
        let ingress = match self.ip_mode {
            Some(mode) => serde_json::json!({"ip": addresses.balancer, "ipMode": mode}),
            None => serde_json::json!({"ip": addresses.balancer}),
        };
        let service = Service::try_from(&serde_json::json!({
            "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"type": "LoadBalancer", "clusterIPs": [addresses.cluster_ip],
                     "externalIPs": [addresses.external_ip], "healthCheckNodePort": 31000,
                     "externalTrafficPolicy": self.external, "internalTrafficPolicy": self.internal,
                     "ports": [{"port": 80, "nodePort": 30080}]},
            "status": {"loadBalancer": {"ingress": [ingress]}},
        }))
        .unwrap();
        let endpoints = self
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, &(node, ready, serving, terminating))| Endpoint {
                address: (addresses.pod)(index).parse().unwrap(),
                node: node.map(|node| format!("n{node}")),
                pod: None,
                zone: None,
                ready,
                serving: Some(serving),
                terminating: Some(terminating),
                hint_zones: Vec::new(),
                hint_nodes: Vec::new(),
                ports: vec![EndpointPort {
                    name: None,
                    protocol: Protocol::Tcp,
                    port: 8080.try_into().unwrap(),
                }],
            })
            .collect();
        let nodes: Vec<_> = (0..NODES)
            .map(|index| {
                Node::try_from(&serde_json::json!({
                    "metadata": {"name": format!("n{index}")},
                    "status": {"addresses": [{"type": "InternalIP", "address": (addresses.node)(index)}]},
                }))
                .unwrap()
            })
            .collect();
        Facts {
            service,
            endpoints,
            nodes: nodes.into(),
            further_nodes: FurtherNodes::None,
            changed: None,
            server_version: None,
            routes: Ok(Vec::new()),
        }
    }

    fn proxy(&self, addresses: &Addresses) -> Proxy {
        let mut proxy = Proxy::with_defaults(self.mode);
        proxy.version = Some(Version::new(1, self.minor, 0));
        proxy.masquerade_all = self.masquerade_all;
        if self.detector {
            proxy.detector = Detector::ClusterCidr(vec![addresses.pods.parse().unwrap()]);
        }
        proxy
    }

    fn has_ready(&self) -> bool {
        self.endpoints.iter().any(|&(_, ready, ..)| ready)
    }

    fn has_ready_on(&self, node: usize) -> bool {
        self.endpoints
            .iter()
            .any(|&(on, ready, ..)| ready && on == Some(node))
    }
}

const CLIENTS: [Network; 3] = [Network::Host, Network::Pod, Network::External];

/// The destinations of packets on the first node, with a name, address and port.
fn destinations(addresses: &Addresses) -> [(&'static str, IpAddr, u16); 4] {
    [
        ("cluster IP", addresses.cluster_ip.parse().unwrap(), 80),
        ("node port", (addresses.node)(0).parse().unwrap(), 30080),
        ("balancer", addresses.balancer.parse().unwrap(), 80),
        ("external IP", addresses.external_ip.parse().unwrap(), 80),
    ]
}

/// Client, destination, action, endpoints, and whether the packet is masqueraded.
type AnswerCase = (
    Network,
    &'static str,
    ProxyAction,
    Vec<String>,
    Option<bool>,
);

/// What the first node does with each packet.
fn answers(case: &Case, addresses: &Addresses) -> Vec<AnswerCase> {
    let facts = case.facts(addresses);
    let proxy = case.proxy(addresses);
    let world = World::of(&facts, &proxy);
    let mut answers = Vec::new();
    for client in CLIENTS {
        for (name, ip, port) in destinations(addresses) {
            let answer = world
                .flow(&Packet {
                    node: "n0",
                    client,
                    client_ip: (client == Network::External)
                        .then(|| addresses.outside.parse().unwrap()),
                    ip,
                    port,
                    protocol: Protocol::Tcp,
                })
                .unwrap();
            let nodes = answer
                .endpoints
                .iter()
                .map(|backend| {
                    let index = facts
                        .endpoints
                        .iter()
                        .position(|endpoint| endpoint.address == backend.address.ip());
                    format!("{index:?} on {:?}", backend.node)
                })
                .collect();
            answers.push((client, name, answer.action, nodes, answer.masquerade));
        }
    }
    answers
}

fn target(kind: TargetKind, address: String, port: u16, node: Option<String>) -> Target {
    Target {
        kind,
        address,
        port: port.try_into().unwrap(),
        protocol: Protocol::Tcp,
        port_name: None,
        node,
        node_role: None,
        relation: None,
        scope: None,
        route: None,
    }
}

fn targets(addresses: &Addresses) -> Vec<Target> {
    let mut targets = vec![
        target(
            TargetKind::ClusterIp,
            addresses.cluster_ip.to_owned(),
            80,
            None,
        ),
        target(
            TargetKind::LoadBalancer,
            addresses.balancer.to_owned(),
            80,
            None,
        ),
        target(
            TargetKind::ExternalIp,
            addresses.external_ip.to_owned(),
            80,
            None,
        ),
    ];
    for node in 0..NODES {
        let name = Some(format!("n{node}"));
        targets.push(target(
            TargetKind::NodePort,
            (addresses.node)(node),
            30080,
            name,
        ));
    }
    targets
}

fn clients() -> impl Iterator<Item = (Network, Option<String>)> {
    let on_nodes = (0..NODES).flat_map(|node| {
        [Network::Host, Network::Pod].map(|network| (network, Some(format!("n{node}"))))
    });
    on_nodes.chain([(Network::External, None)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With policy Cluster and a ready backend, no client is refused and nothing is dropped.
    #[test]
    fn cluster_policy_serves_everyone(case in case()) {
        let mut case = case;
        case.external = TrafficPolicy::Cluster;
        case.internal = TrafficPolicy::Cluster;
        prop_assume!(case.has_ready());
        for (client, name, action, endpoints, _) in answers(&case, &V4) {
            prop_assert!(
                matches!(action, ProxyAction::Endpoints | ProxyAction::None),
                "{client} to {name}: {action}"
            );
            prop_assert_eq!(action == ProxyAction::Endpoints, !endpoints.is_empty());
        }
        let facts = case.facts(&V4);
        let proxy = case.proxy(&V4);
        let world = World::of(&facts, &proxy);
        for (network, node) in clients() {
            for target in targets(&V4) {
                let client = Client { network, node: node.as_deref(), addresses: &[] };
                let forecast = world.connect(&Paths::of_network(None), &facts.service, client, &target);
                prop_assert_ne!(
                    forecast.reachability(),
                    Some(Reachability::Unreachable),
                    "{} {:?} to {:?}: {:?}", network, node, target, forecast
                );
            }
        }
    }

    /// With policy Local, packets from outside are served only by the node that they arrive at.
    #[test]
    fn local_policy_stays_on_the_node(case in case()) {
        let mut case = case;
        case.external = TrafficPolicy::Local;
        for (client, name, _, endpoints, masquerade) in answers(&case, &V4) {
            let applies = client == Network::External
                && name != "cluster IP"
                // Up to 1.19 the policy does not apply to external IPs.
                && (name != "external IP" || case.minor >= 20)
                // Since 1.24, ipvs falls back to endpoints of other nodes, but their replies are lost.
                && (case.mode != ProxyMode::Ipvs || case.minor < 24 || case.has_ready_on(0));
            if applies && !endpoints.is_empty() {
                prop_assert!(
                    endpoints.iter().all(|endpoint| endpoint.ends_with("on Some(\"n0\")")),
                    "{name}: {endpoints:?}"
                );
                prop_assert_eq!(masquerade, Some(false), "{}", name);
            }
        }
        let facts = case.facts(&V4);
        let proxy = case.proxy(&V4);
        let world = World::of(&facts, &proxy);
        for target in targets(&V4) {
            if target.kind != TargetKind::NodePort {
                continue;
            }
            let client = Client { network: Network::External, node: None, addresses: &[] };
            let forecast = world.connect(&Paths::of_network(None), &facts.service, client, &target);
            for served in &forecast.endpoints {
                let on_node = facts.endpoints.iter().any(|endpoint| {
                    served.starts_with(&format!("{}:", endpoint.address)) && endpoint.node == target.node
                });
                prop_assert!(on_node, "{served} answers at {:?}", target.node);
            }
        }
    }

    /// The order of endpoints in slices does not matter.
    #[test]
    fn endpoint_order_does_not_matter(
        case in case(),
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let facts = case.facts(&V4);
        let mut shuffled = facts.clone();
        shuffled.endpoints = order
            .iter()
            .filter_map(|&index| facts.endpoints.get(index).cloned())
            .collect();
        let proxy = case.proxy(&V4);
        let (world, other) = (World::of(&facts, &proxy), World::of(&shuffled, &proxy));
        for (network, node) in clients() {
            for target in targets(&V4) {
                let client = Client { network, node: node.as_deref(), addresses: &[] };
                let paths = Paths::of_network(None);
                prop_assert_eq!(
                    world.connect(&paths, &facts.service, client, &target),
                    other.connect(&paths, &shuffled.service, client, &target)
                );
            }
        }
    }

    /// Repeated endpoints in slices change nothing.
    #[test]
    fn repeated_endpoints_count_once(case in case()) {
        let facts = case.facts(&V4);
        let mut twice = facts.clone();
        twice.endpoints.extend(facts.endpoints.iter().cloned());
        let proxy = case.proxy(&V4);
        let (world, other) = (World::of(&facts, &proxy), World::of(&twice, &proxy));
        for target in targets(&V4) {
            let client = Client { network: Network::Pod, node: Some("n0"), addresses: &[] };
            let paths = Paths::of_network(None);
            prop_assert_eq!(
                world.connect(&paths, &facts.service, client, &target),
                other.connect(&paths, &twice.service, client, &target)
            );
        }
    }

    /// IPv4 and IPv6 have the same results.
    #[test]
    fn families_agree(case in case()) {
        prop_assert_eq!(answers(&case, &V4), answers(&case, &V6));
    }

    /// If a result is known without an input, it does not change once the input is known.
    #[test]
    fn more_inputs_keep_known_results(case in case(), inputs in any::<[bool; 4]>()) {
        let facts = case.facts(&V4);
        let mut proxy = case.proxy(&V4);
        let ignorant = Paths {
            pods_masqueraded: None,
            same_node_replies: None,
            other_node_replies: None,
            host_replies: None,
            ..Paths::of_network(None)
        };
        let informed = Paths {
            pods_masqueraded: Some(inputs[0]),
            same_node_replies: Some(inputs[1]),
            other_node_replies: Some(inputs[2]),
            host_replies: Some(inputs[3]),
            ..Paths::of_network(None)
        };
        let known = case.proxy(&V4);
        proxy.detector = Detector::Unknown;
        let (world, known_world) = (World::of(&facts, &proxy), World::of(&facts, &known));
        for (network, node) in clients() {
            for target in targets(&V4) {
                let client = Client { network, node: node.as_deref(), addresses: &[] };
                let before = world.connect(&ignorant, &facts.service, client, &target);
                let after = known_world.connect(&informed, &facts.service, client, &target);
                if !matches!(before.outcome, PredictedOutcome::Unknown(_)) {
                    prop_assert_eq!(
                        before.reachability(), after.reachability(),
                        "{} {:?} to {:?}: {:?}, then {:?}", network, node, target, before, after
                    );
                }
            }
        }
    }
}

/// The test cases above have the same endpoints as real slices.
#[test]
fn test_endpoints_match_slices() {
    let slice = serde_json::json!({"metadata": {"name": "web-1"}, "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": ["10.244.0.1"], "nodeName": "n0",
                       "conditions": {"ready": true, "serving": true, "terminating": false}}]});
    let case = Case {
        mode: ProxyMode::Iptables,
        minor: 30,
        external: TrafficPolicy::Cluster,
        internal: TrafficPolicy::Cluster,
        detector: true,
        masquerade_all: false,
        ip_mode: None,
        endpoints: vec![(Some(0), true, true, false)],
    };
    assert_eq!(
        ServiceEndpoints::from_slice(&slice).unwrap().endpoints,
        case.facts(&V4).endpoints
    );
}
