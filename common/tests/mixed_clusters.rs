//! Nodes with proxies of different modes, versions and settings: each packet goes by the proxy of the node that has it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::json;
use std::{collections::BTreeMap, num::NonZeroU16};
use svc_reach_common::{
    facts::{Endpoint, Node, Service},
    model::{
        Detector, NotModelled, Packet, Proxy, ProxyAction, Version, World,
        connection::{Client, Paths},
    },
    objects::ServiceEndpoints,
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    target::{Target, TargetKind},
};

const ADDRESSES: [&str; 3] = ["172.30.0.11", "172.30.0.12", "172.30.0.13"];

/// Second addresses of the nodes.
const SECOND: [&str; 3] = ["172.31.0.11", "172.31.0.12", "172.31.0.13"];

struct Cluster {
    nodes: Vec<Node>,
    service: Service,
    endpoints: Vec<Endpoint>,
    shared: Proxy,
    own: BTreeMap<String, Proxy>,
}

fn proxy(mode: ProxyMode, version: &str) -> Proxy {
    Proxy {
        version: Some(version.parse().unwrap()),
        detector: Detector::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]),
        ..Proxy::with_defaults(mode)
    }
}

/// Three nodes; node-1 and node-2 have proxies of their own.
fn cluster() -> Cluster {
    let node = |(index, address): (usize, &&str)| {
        Node::try_from(&json!({
            "metadata": {"name": format!("node-{}", index + 1)},
            "spec": {"podCIDR": format!("10.244.{}.0/24", index + 1)},
            "status": {"addresses": [{"type": "InternalIP", "address": address},
                                     {"type": "InternalIP", "address": SECOND[index]}],
                       "nodeInfo": {"kubeletVersion": "v1.37.2", "kubeProxyVersion": ""}},
        }))
        .unwrap()
    };
    let service = json!({
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"type": "NodePort", "clusterIP": "10.96.0.7", "healthCheckNodePort": 31000,
                 "ports": [{"port": 80, "nodePort": 30080}]},
    });
    let slice = json!({
        "metadata": {"name": "web-1", "namespace": "ns"}, "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": ["10.244.3.7"], "nodeName": "node-3"}],
    });
    Cluster {
        nodes: ADDRESSES.iter().enumerate().map(node).collect(),
        service: Service::try_from(&service).unwrap(),
        endpoints: ServiceEndpoints::from_slice(&slice).unwrap().endpoints,
        shared: proxy(ProxyMode::Iptables, "1.30"),
        own: BTreeMap::from([
            (
                "node-1".to_owned(),
                Proxy {
                    masquerade_all: true,
                    ..proxy(ProxyMode::Nftables, "1.29")
                },
            ),
            ("node-2".to_owned(), proxy(ProxyMode::Nftables, "1.34")),
        ]),
    }
}

impl Cluster {
    fn world(&self, others_known: bool) -> World<'_> {
        World::new(
            [(&self.service, self.endpoints.as_slice())],
            &self.nodes,
            &self.shared,
        )
        .with_own_proxies(&self.own, others_known)
    }
}

fn packet(node: &'static str, to: &str) -> Packet<'static> {
    let to: std::net::SocketAddr = to.parse().unwrap();
    Packet {
        node,
        client: Network::Pod,
        client_ip: None,
        ip: to.ip(),
        port: to.port(),
        protocol: Protocol::Tcp,
    }
}

#[test]
fn each_node_goes_by_its_own_proxy() {
    let cluster = cluster();
    let world = cluster.world(true);
    let answers = |to: fn(usize) -> String| {
        ["node-1", "node-2", "node-3"]
            .into_iter()
            .enumerate()
            .map(|(index, node)| world.flow(&packet(node, &to(index))).unwrap())
            .map(|answer| (answer.action, answer.masquerade))
            .collect::<Vec<_>>()
    };
    let (serves, rejects, leaves) = (
        ProxyAction::Endpoints,
        ProxyAction::Reject,
        ProxyAction::None,
    );
    assert_eq!(
        answers(|_| "10.96.0.7:80".to_owned()),
        [
            (serves, Some(true)),
            (serves, Some(false)),
            (serves, Some(false))
        ],
        "masqueradeAll of node-1 alone"
    );
    assert_eq!(
        answers(|_| "10.96.0.7:443".to_owned()),
        [(leaves, None), (rejects, None), (leaves, None)],
        "nftables rejects ports that no Service has since 1.30"
    );
    assert_eq!(
        answers(|index| format!("{}:30080", SECOND[index]))
            .into_iter()
            .map(|(action, _)| action)
            .collect::<Vec<_>>(),
        [serves, leaves, serves],
        "in nftables mode only the primary address answers since 1.30"
    );
    let versions: Vec<Version> = world.nodes().map(|node| world.version(node)).collect();
    assert_eq!(
        versions,
        ["1.29", "1.34", "1.30"].map(|version| version.parse().unwrap())
    );
}

#[test]
fn a_node_with_an_old_kubelet_and_no_version_of_its_proxy_goes_by_the_kubelet() {
    let mut cluster = cluster();
    for proxy in cluster.own.values_mut().chain([&mut cluster.shared]) {
        proxy.version = None;
    }
    cluster.own.get_mut("node-1").unwrap().version = Some(Version::new(1, 36, 3));
    let world = cluster.world(true);
    let versions: Vec<String> = world
        .nodes()
        .map(|node| world.version(node).to_string())
        .collect();
    assert_eq!(versions, ["v1.36.3", "v1.37.2", "v1.37.2"]);
}

#[test]
fn of_a_proxy_that_nobody_saw_nothing_is_predicted() {
    let cluster = cluster();
    let world = cluster.world(false);
    assert!(world.flow(&packet("node-1", "10.96.0.7:80")).is_ok());
    let unseen = world.flow(&packet("node-3", "10.96.0.7:80")).unwrap_err();
    assert_eq!(unseen, NotModelled::Proxy("node-3".to_owned()));
    let outcome = |kind, from, to: Option<usize>| {
        let (address, port) = match (kind, to) {
            (TargetKind::HealthCheckNodePort, Some(index)) => (ADDRESSES[index], 31000),
            (_, Some(index)) => (ADDRESSES[index], 30080),
            (_, None) => ("10.96.0.7", 80),
        };
        let target = Target {
            kind,
            address: address.to_owned(),
            port: NonZeroU16::new(port).unwrap(),
            protocol: Protocol::Tcp,
            port_name: None,
            node: to.map(|index| format!("node-{}", index + 1)),
            node_role: None,
            relation: None,
            scope: None,
            route: None,
        };
        let client = Client {
            network: Network::Host,
            node: Some(from),
            addresses: &[],
        };
        let forecast = world.connect(&Paths::of_network(None), &cluster.service, client, &target);
        forecast.outcome.to_string()
    };
    let unknown = "unknown: the proxy mode (--proxy-mode gives it)";
    let rows = [
        (TargetKind::ClusterIp, "node-1", None, "reached"),
        (TargetKind::ClusterIp, "node-3", None, unknown),
        (TargetKind::NodePort, "node-2", Some(0), "reached"),
        (TargetKind::NodePort, "node-1", Some(2), unknown),
        (
            TargetKind::HealthCheckNodePort,
            "node-3",
            Some(0),
            "reached",
        ),
        (TargetKind::HealthCheckNodePort, "node-1", Some(2), unknown),
    ];
    for (kind, from, to, expected) in rows {
        assert_eq!(outcome(kind, from, to), expected, "{kind} {from} {to:?}");
    }
}
