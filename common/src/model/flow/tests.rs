//! Every rule has a row here. Each table names the upstream test or file that it follows.

use super::{NotModelled, Packet, ProxyAction};
use crate::{
    facts::{Endpoint, Node, Service},
    model::{Detector, NodePortAddresses, Proxy, Version, World},
    objects::ServiceEndpoints,
    position::Network::{self, External, Host, Pod},
    protocol::Protocol,
    proxy_mode::ProxyMode,
};
use serde_json::{Value, json};

/// A cluster with the nodes `here` (which handles the packets) and `there`, in zones `a` and `b`.
struct Cluster {
    nodes: Vec<Node>,
    services: Vec<(Service, Vec<Endpoint>)>,
    proxy: Proxy,
}

const HERE: &str = "192.168.0.2";
const HERE_ALSO: &str = "192.168.1.2";
const POD: &str = "10.0.0.2";
const OUTSIDE: &str = "203.0.113.2";

fn node(name: &str, addresses: &[&str], zone: &str, pods: &[&str]) -> Node {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .collect();
    Node::try_from(&json!({
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {"podCIDRs": pods}, "status": {"addresses": addresses},
    }))
    .unwrap()
}

impl Cluster {
    fn new(mode: ProxyMode, version: &str) -> Self {
        let mut proxy = Proxy::with_defaults(mode);
        proxy.version = Some(version.parse().unwrap());
        proxy.detector = Detector::ClusterCidr(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00:10::/32".parse().unwrap(),
        ]);
        Self {
            nodes: vec![
                node(
                    "here",
                    &[HERE, HERE_ALSO, "2001:db8::2"],
                    "a",
                    &["10.180.0.0/24"],
                ),
                node(
                    "there",
                    &["192.168.0.3", "2001:db8::3"],
                    "b",
                    &["10.180.1.0/24"],
                ),
            ],
            services: Vec::new(),
            proxy,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Proxy)) -> Self {
        change(&mut self.proxy);
        self
    }

    /// Adds a Service that is named after its cluster IP, with EndpointSlices.
    fn service(mut self, spec: Value, balancer: Value, endpoints: Value) -> Self {
        self.add(json!({}), spec, balancer, endpoints);
        self
    }

    fn annotated(mut self, metadata: Value, spec: Value, endpoints: Value) -> Self {
        self.add(metadata, spec, json!([]), endpoints);
        self
    }

    fn add(&mut self, mut metadata: Value, spec: Value, balancer: Value, endpoints: Value) {
        metadata["name"] = json!(format!("svc-{}", self.services.len()));
        metadata["namespace"] = json!("ns");
        let service = Service::try_from(
            &json!({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {"ingress": balancer}}}),
        )
        .unwrap();
        let ports: Vec<Value> = service
            .ports
            .iter()
            .map(|port| {
                let target = match &port.target_port {
                    Some(crate::facts::TargetPort::Number(number)) => number.get(),
                    _ => port.port.get(),
                };
                json!({"name": port.name, "protocol": port.protocol, "port": target})
            })
            .collect();
        let slice = json!({"metadata": {"name": "slice", "namespace": "ns"}, "ports": ports, "endpoints": endpoints});
        let endpoints = ServiceEndpoints::from_slice(&slice).unwrap().endpoints;
        self.services.push((service, endpoints));
    }

    fn ask(&self, client: Network, from: Option<&str>, to: &str) -> String {
        let (to, protocol) = match to.split_once('/') {
            Some((to, protocol)) => (to, protocol.parse().unwrap()),
            None => (to, Protocol::Tcp),
        };
        let to: std::net::SocketAddr = to.parse().unwrap();
        let world = World::new(
            self.services
                .iter()
                .map(|(service, endpoints)| (service, endpoints.as_slice())),
            &self.nodes,
            &self.proxy,
        );
        let answer = world
            .flow(&Packet {
                node: "here",
                client,
                client_ip: from.map(|ip| ip.parse().unwrap()),
                ip: to.ip(),
                port: to.port(),
                protocol,
            })
            .unwrap();
        assert!(!answer.why.is_empty(), "an answer without a reason");
        let endpoints: Vec<String> = answer
            .endpoints
            .iter()
            .map(|backend| backend.address.to_string())
            .collect();
        match (answer.action, answer.masquerade) {
            (ProxyAction::Endpoints, Some(true)) => format!("{} masq", endpoints.join(" ")),
            (ProxyAction::Endpoints, Some(false)) => format!("{} keep", endpoints.join(" ")),
            (ProxyAction::Endpoints, None) => format!("{} ?", endpoints.join(" ")),
            (
                action @ (ProxyAction::Reject
                | ProxyAction::Drop
                | ProxyAction::Accept
                | ProxyAction::None),
                masquerade,
            ) => {
                assert_eq!((masquerade, endpoints.len()), (None, 0));
                action.to_string()
            }
        }
    }
}

fn here(address: &str) -> Value {
    json!({"addresses": [address], "nodeName": "here"})
}

fn there(address: &str) -> Value {
    json!({"addresses": [address], "nodeName": "there"})
}

fn terminating(address: &str, node: &str) -> Value {
    json!({"addresses": [address], "nodeName": node,
           "conditions": {"ready": false, "serving": true, "terminating": true}})
}

fn check(cluster: &Cluster, rows: &[(&str, Network, &str, &str, &str)]) {
    for (name, client, from, to, expected) in rows {
        let from = (!from.is_empty()).then_some(*from);
        assert_eq!(
            cluster.ask(*client, from, to),
            *expected,
            "{name} ({} {})",
            cluster.proxy.mode,
            cluster.proxy.version.unwrap()
        );
    }
}

fn load_balancer(cluster_ip: &str, node_port: u16, more: Value) -> Value {
    let mut spec = json!({
        "type": "LoadBalancer", "clusterIP": cluster_ip, "healthCheckNodePort": node_port + 27_000,
        "ports": [{"name": "p80", "port": 80, "nodePort": node_port}],
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

/// The Services of `TestInternalExternalMasquerade` (kubernetes/kubernetes v1.37.2
/// `pkg/proxy/{iptables,nftables}/proxier_test.go`).
fn masquerade_cluster(mode: ProxyMode, version: &str) -> Cluster {
    Cluster::new(mode, version)
        .service(
            load_balancer("172.30.0.41", 3001, json!({})),
            json!([{"ip": "1.2.3.4"}]),
            json!([here("10.180.0.1"), there("10.180.1.1")]),
        )
        .service(
            load_balancer(
                "172.30.0.42",
                3002,
                json!({"externalTrafficPolicy": "Local"}),
            ),
            json!([{"ip": "5.6.7.8"}]),
            json!([here("10.180.0.2"), there("10.180.1.2")]),
        )
        .service(
            load_balancer(
                "172.30.0.43",
                3003,
                json!({"internalTrafficPolicy": "Local"}),
            ),
            json!([{"ip": "9.10.11.12"}]),
            json!([here("10.180.0.3"), there("10.180.1.3")]),
        )
}

/// Name, client, source and destination. Then the results by default, without a detector, with masquerade-all, and with
/// masquerade-all but without a detector.
type MasqueradeRow<'r> = (&'r str, Network, Option<&'r str>, &'r str, [String; 4]);

#[test]
fn internal_and_external_masquerade() {
    let both_1 = "10.180.0.1:80 10.180.1.1:80";
    let both_2 = "10.180.0.2:80 10.180.1.2:80";
    let both_3 = "10.180.0.3:80 10.180.1.3:80";
    let keep = |endpoints: &str| format!("{endpoints} keep");
    let masq = |endpoints: &str| format!("{endpoints} masq");
    let node = Some(HERE);
    let pod = Some(POD);
    let outside = Some(OUTSIDE);
    #[rustfmt::skip]
    let rows: Vec<MasqueradeRow<'_>> = vec![
        ("pod to cluster IP", Pod, pod, "172.30.0.41:80", [keep(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("pod to node port", Pod, pod, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("pod to balancer", Pod, pod, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("node to cluster IP", Host, node, "172.30.0.41:80", [masq(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("node to node port", Host, node, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("node to balancer", Host, node, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("outside to cluster IP", External, outside, "172.30.0.41:80", [masq(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("outside to node port", External, outside, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("outside to balancer", External, outside, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("external local: pod to cluster IP", Pod, pod, "172.30.0.42:80", [keep(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: pod to node port", Pod, pod, "192.168.0.2:3002", [keep(both_2), keep("10.180.0.2:80"), keep(both_2), keep("10.180.0.2:80")]),
        ("external local: pod to balancer", Pod, pod, "5.6.7.8:80", [keep(both_2), keep("10.180.0.2:80"), keep(both_2), keep("10.180.0.2:80")]),
        ("external local: node to cluster IP", Host, node, "172.30.0.42:80", [masq(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: node to node port", Host, node, "192.168.0.2:3002", [masq(both_2), masq(both_2), masq(both_2), masq(both_2)]),
        ("external local: node to balancer", Host, node, "5.6.7.8:80", [masq(both_2), masq(both_2), masq(both_2), masq(both_2)]),
        ("external local: outside to cluster IP", External, outside, "172.30.0.42:80", [masq(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: outside to node port", External, outside, "192.168.0.2:3002", [keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80")]),
        ("external local: outside to balancer", External, outside, "5.6.7.8:80", [keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80")]),
        ("internal local: pod to cluster IP", Pod, pod, "172.30.0.43:80", [keep("10.180.0.3:80"), keep("10.180.0.3:80"), masq("10.180.0.3:80"), masq("10.180.0.3:80")]),
        ("internal local: pod to node port", Pod, pod, "192.168.0.2:3003", [masq(both_3), masq(both_3), masq(both_3), masq(both_3)]),
        ("internal local: node to cluster IP", Host, node, "172.30.0.43:80", [masq("10.180.0.3:80"), keep("10.180.0.3:80"), masq("10.180.0.3:80"), masq("10.180.0.3:80")]),
        ("internal local: outside to balancer", External, outside, "9.10.11.12:80", [masq(both_3), masq(both_3), masq(both_3), masq(both_3)]),
    ];
    for (mode, version) in [
        (ProxyMode::Iptables, "1.24"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Iptables, "1.35"),
        (ProxyMode::Nftables, "1.30"),
        (ProxyMode::Nftables, "1.35"),
    ] {
        let settings = [(true, false), (false, false), (true, true), (false, true)];
        for (column, (detector, masquerade_all)) in settings.into_iter().enumerate() {
            let cluster = masquerade_cluster(mode, version).with(|proxy| {
                proxy.masquerade_all = masquerade_all;
                if !detector {
                    proxy.detector = Detector::None;
                }
            });
            for (name, client, from, to, expected) in &rows {
                assert_eq!(
                    cluster.ask(*client, *from, to),
                    expected[column],
                    "{name} ({mode} {version}, detector {detector}, masquerade-all {masquerade_all})"
                );
            }
        }
    }
}

/// `TestClusterIPGeneral` (kubernetes/kubernetes v1.37.2
/// `pkg/proxy/{iptables,nftables}/proxier_test.go`).
#[test]
fn cluster_ips_by_port_and_protocol() {
    let cluster = |mode, version| {
        Cluster::new(mode, version)
            .with(|proxy| proxy.service_cidrs = vec!["172.30.0.0/16".parse().unwrap()])
            .service(
                json!({"clusterIP": "172.30.0.41", "ports": [{"name": "http", "port": 80}]}),
                json!([]),
                json!([here("10.180.0.1")]),
            )
            .service(
                json!({"clusterIP": "172.30.0.42", "ports": [
                    {"name": "http", "port": 80}, {"name": "https", "port": 443, "targetPort": 8443},
                    {"name": "dns-udp", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
                    {"name": "dns-sctp", "port": 53, "protocol": "SCTP"}]}),
                json!([]),
                json!([here("10.180.0.1"), there("10.180.2.1")]),
            )
    };
    let common = [
        (
            "simple",
            Pod,
            "10.180.0.2",
            "172.30.0.41:80",
            "10.180.0.1:80 keep",
        ),
        (
            "hairpin",
            Pod,
            "10.180.0.1",
            "172.30.0.41:80",
            "10.180.0.1:80 masq",
        ),
        (
            "hairpin to one of two",
            Pod,
            "10.180.0.1",
            "172.30.0.42:80",
            "10.180.0.1:80 10.180.2.1:80 ?",
        ),
        (
            "target port",
            Pod,
            "10.180.0.2",
            "172.30.0.42:443",
            "10.180.0.1:8443 10.180.2.1:8443 keep",
        ),
        (
            "TCP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/TCP",
            "10.180.0.1:5353 10.180.2.1:5353 keep",
        ),
        (
            "UDP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/UDP",
            "10.180.0.1:53 10.180.2.1:53 keep",
        ),
        (
            "SCTP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/SCTP",
            "10.180.0.1:53 10.180.2.1:53 keep",
        ),
    ];
    for (mode, version, other_protocol, other_port, unallocated) in [
        (ProxyMode::Iptables, "1.20.2", "none", "none", "none"),
        (ProxyMode::Iptables, "1.30", "none", "none", "none"),
        (ProxyMode::Nftables, "1.29", "none", "none", "none"),
        (ProxyMode::Nftables, "1.30", "reject", "reject", "drop"),
        (ProxyMode::Ipvs, "1.25", "accept", "accept", "none"),
        (ProxyMode::Ipvs, "1.26", "reject", "reject", "none"),
    ] {
        let cluster = cluster(mode, version);
        check(&cluster, &common);
        check(
            &cluster,
            &[
                (
                    "protocol it has not",
                    Pod,
                    POD,
                    "172.30.0.42:80/UDP",
                    other_protocol,
                ),
                ("port it has not", Pod, POD, "172.30.0.41:443", other_port),
                (
                    "port it has not, from the node",
                    Host,
                    "",
                    "172.30.0.41:443",
                    other_port,
                ),
                (
                    "address that nobody has",
                    Pod,
                    POD,
                    "172.30.0.50:80",
                    unallocated,
                ),
            ],
        );
    }
}

/// `TestLoadBalancer` (kubernetes/kubernetes v1.37.2 `pkg/proxy/{iptables,nftables}/proxier_test.go`), with and without
/// endpoints.
#[test]
fn load_balancer_source_ranges() {
    let ranges = |ranges: Value| {
        load_balancer(
            "172.30.0.41",
            3001,
            json!({"loadBalancerSourceRanges": ranges}),
        )
    };
    let balancer = json!([{"ip": "1.2.3.4"}, {"ip": "5.6.7.8"}]);
    let cluster = |mode, version, endpoints: Value| {
        Cluster::new(mode, version).service(
            ranges(json!([
                "192.168.0.0/24",
                " 203.0.113.0/25",
                "2001:db8::/32"
            ])),
            balancer.clone(),
            endpoints,
        )
    };
    let one = json!([{"addresses": ["10.180.0.1"]}]);
    for (mode, version) in [
        (ProxyMode::Iptables, "1.20.2"),
        (ProxyMode::Iptables, "1.24"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Nftables, "1.30"),
        (ProxyMode::Ipvs, "1.20.2"),
        (ProxyMode::Ipvs, "1.30"),
    ] {
        check(
            &cluster(mode, version, one.clone()),
            &[
                (
                    "pod to cluster IP",
                    Pod,
                    POD,
                    "172.30.0.41:80",
                    "10.180.0.1:80 keep",
                ),
                (
                    "node port is not filtered",
                    External,
                    "203.0.113.200",
                    "192.168.0.2:3001",
                    "10.180.0.1:80 masq",
                ),
                (
                    "listed",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    "10.180.0.1:80 masq",
                ),
                (
                    "listed, second address",
                    External,
                    OUTSIDE,
                    "5.6.7.8:80",
                    "10.180.0.1:80 masq",
                ),
                (
                    "not listed",
                    External,
                    "203.0.113.200",
                    "1.2.3.4:80",
                    "drop",
                ),
                ("a pod is not listed", Pod, POD, "1.2.3.4:80", "drop"),
                (
                    "the node is listed",
                    Host,
                    HERE,
                    "1.2.3.4:80",
                    "10.180.0.1:80 masq",
                ),
            ],
        );
    }
    // Ranges of the other family do not count.
    let other = Cluster::new(ProxyMode::Iptables, "1.30").service(
        ranges(json!(["2001:db8::/32"])),
        balancer.clone(),
        one.clone(),
    );
    check(
        &other,
        &[(
            "ranges of the other family",
            External,
            OUTSIDE,
            "1.2.3.4:80",
            "10.180.0.1:80 masq",
        )],
    );
    // The ranges do not include the node's own address.
    let narrow = |mode, version| {
        Cluster::new(mode, version).service(
            ranges(json!(["203.0.113.0/25"])),
            balancer.clone(),
            one.clone(),
        )
    };
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.30", "drop"),
        (ProxyMode::Nftables, "1.30", "drop"),
        (ProxyMode::Ipvs, "1.24", "drop"),
        (ProxyMode::Ipvs, "1.28", "10.180.0.1:80 masq"),
        (ProxyMode::Ipvs, "1.29", "drop"),
    ] {
        check(
            &narrow(mode, version),
            &[("the node is not listed", Host, "", "1.2.3.4:80", expected)],
        );
    }
    // Without endpoints iptables skips the ranges, but nftables does not (TestLoadBalancerReject, setupNFTables).
    for (mode, expected) in [
        (ProxyMode::Iptables, "reject"),
        (ProxyMode::Nftables, "drop"),
        (ProxyMode::Ipvs, "drop"),
    ] {
        check(
            &cluster(mode, "1.30", json!([])),
            &[(
                "not listed, no endpoints",
                External,
                "203.0.113.200",
                "1.2.3.4:80",
                expected,
            )],
        );
    }
}

/// `TestNodePorts` (kubernetes/kubernetes v1.37.2
/// `pkg/proxy/{iptables,nftables}/proxier_test.go`).
#[test]
fn node_port_addresses() {
    let both = "10.180.0.1:80 10.180.2.1:80 masq";
    let cluster = |mode, version, addresses: NodePortAddresses| {
        Cluster::new(mode, version)
            .with(|proxy| proxy.node_port_addresses = addresses)
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.41",
                       "ports": [{"name": "p80", "port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([{"addresses": ["10.180.0.1"]}, here("10.180.2.1")]),
            )
    };
    let within = |ranges: &[&str]| {
        NodePortAddresses::within(ranges.iter().map(|range| range.parse().unwrap()).collect())
    };
    let own = within(&["192.168.0.0/24"]);
    let other_family = within(&["2001:db8::/64"]);
    let two = within(&["192.168.0.0/24", "192.168.1.0/24", "127.0.0.0/8"]);
    // Mode, version and setting. Then the results on the primary address, on the other address, and on loopback from
    // the node.
    for (mode, version, setting, expected) in [
        (
            ProxyMode::Iptables,
            "1.20.2",
            NodePortAddresses::Default,
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            NodePortAddresses::Default,
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            other_family.clone(),
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            own.clone(),
            [both, "none", "none"],
        ),
        (ProxyMode::Iptables, "1.30", two.clone(), [both, both, both]),
        (
            ProxyMode::Iptables,
            "1.30",
            NodePortAddresses::primary(),
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            NodePortAddresses::Default,
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            other_family.clone(),
            [both, "none", "none"],
        ),
        (
            // Measured with 1.34.4 to 1.37.2: the default of the primary address applies only if the list is empty.
            ProxyMode::Nftables,
            "1.31",
            other_family.clone(),
            [both, both, "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.37",
            other_family,
            [both, both, "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.37",
            NodePortAddresses::Default,
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            two.clone(),
            [both, both, "none"],
        ),
        (
            ProxyMode::Ipvs,
            "1.30",
            NodePortAddresses::Default,
            [both, both, "none"],
        ),
        (ProxyMode::Ipvs, "1.30", own, [both, "none", "none"]),
    ] {
        let cluster = cluster(mode, version, setting);
        check(
            &cluster,
            &[
                (
                    "primary address",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    expected[0],
                ),
                (
                    "other address",
                    External,
                    OUTSIDE,
                    "192.168.1.2:3001",
                    expected[1],
                ),
                ("loopback", Host, "127.0.0.1", "127.0.0.1:3001", expected[2]),
                (
                    "another node's address is not this node's business",
                    Pod,
                    POD,
                    "192.168.0.3:3001",
                    "none",
                ),
                (
                    "a node port is not a port of the cluster IP",
                    External,
                    OUTSIDE,
                    "192.168.0.2:80",
                    "none",
                ),
            ],
        );
    }
    // The words of 1.37: on the primary address, on the other one, on loopback; then on both IPv6 addresses.
    for (mode, words, expected) in [
        (ProxyMode::Nftables, "primary", [both, "none", "none"]),
        (
            ProxyMode::Nftables,
            "primary,localhost",
            [both, "none", "none"],
        ),
        (
            ProxyMode::Iptables,
            "primary,localhost",
            [both, "none", both],
        ),
        (ProxyMode::Iptables, "localhost", ["none", "none", both]),
        (ProxyMode::Nftables, "localhost", ["none", "none", "none"]),
        (ProxyMode::Ipvs, "primary,localhost", [both, "none", "none"]),
        (ProxyMode::Nftables, "all", [both, both, "none"]),
        (ProxyMode::Iptables, "all,primary", [both, both, both]),
        (
            ProxyMode::Nftables,
            "primary,192.168.1.0/24",
            [both, both, "none"],
        ),
    ] {
        let (setting, unknown) = NodePortAddresses::read(words.split(','));
        assert_eq!(unknown, Vec::<&str>::new(), "{words}");
        let cluster = cluster(mode, "1.37", setting);
        let [primary, other, loopback] = expected;
        check(
            &cluster,
            &[
                (words, External, OUTSIDE, "192.168.0.2:3001", primary),
                (words, External, OUTSIDE, "192.168.1.2:3001", other),
                (words, Host, "127.0.0.1", "127.0.0.1:3001", loopback),
            ],
        );
    }
    let (list, unknown) = NodePortAddresses::read(["primary", "lan", "10.0.0.0/8"]);
    assert_eq!((list.is_complete(), unknown), (false, vec!["lan"]));
    let (none, _) = NodePortAddresses::read([]);
    assert_eq!(none, NodePortAddresses::Default);
    let switched_off = cluster(ProxyMode::Iptables, "1.30", NodePortAddresses::Default)
        .with(|proxy| proxy.localhost_node_ports = false);
    check(
        &switched_off,
        &[(
            "localhost node ports off",
            Host,
            "",
            "127.0.0.1:3001",
            "none",
        )],
    );
    let before = cluster(ProxyMode::Iptables, "1.25", NodePortAddresses::Default)
        .with(|proxy| proxy.localhost_node_ports = false);
    check(
        &before,
        &[(
            "no such option before 1.26",
            Host,
            "",
            "127.0.0.1:3001",
            both,
        )],
    );
}

/// A Service with policy Local, with endpoints on the other node or on this node.
#[test]
fn external_policy_local_where_no_endpoint_is() {
    let spec = || {
        load_balancer(
            "172.30.0.41",
            3001,
            json!({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.99"]}),
        )
    };
    let balancer = || json!([{"ip": "5.6.7.8"}]);
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(spec(), balancer(), json!([there("10.180.1.2")]))
    };
    let keep = "10.180.1.2:80 keep";
    let masq = "10.180.1.2:80 masq";
    // Mode and version. Then the results for pod, node and outside: to a node port, to the balancer, to the external
    // IP.
    #[rustfmt::skip]
    let rows = [
        // 1.14 does not have kubernetes/kubernetes#77523. Up to 1.19, external IPs ignore the policy. Up to 1.20, they
        // do not serve the node's own packets.
        (ProxyMode::Iptables, "1.14", [keep, "drop", "drop", keep, "drop", "drop", masq, "none", masq]),
        (ProxyMode::Iptables, "1.16", [keep, masq, "drop", keep, masq, "drop", masq, "none", masq]),
        (ProxyMode::Iptables, "1.20.2", [keep, masq, "drop", keep, masq, "drop", keep, "none", "drop"]),
        (ProxyMode::Iptables, "1.21", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        (ProxyMode::Iptables, "1.24", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        (ProxyMode::Iptables, "1.30", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        // kubernetes/kubernetes#131765, fixed by #132456.
        (ProxyMode::Nftables, "1.29", [keep, "drop", "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.30", [keep, masq, "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.33.1", [keep, masq, "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.34", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        // kubernetes/kubernetes#97081 in 1.24.
        (ProxyMode::Ipvs, "1.20.2", ["reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject"]),
        (ProxyMode::Ipvs, "1.19", ["reject", "reject", "reject", "reject", "reject", "reject", masq, masq, masq]),
        (ProxyMode::Ipvs, "1.23", ["reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject"]),
        (ProxyMode::Ipvs, "1.24", [keep, keep, keep, keep, keep, keep, keep, keep, keep]),
        (ProxyMode::Ipvs, "1.30", [keep, keep, keep, keep, keep, keep, keep, keep, keep]),
    ];
    for (mode, version, expected) in rows {
        let cluster = cluster(mode, version);
        let targets = ["192.168.0.2:3001", "5.6.7.8:80", "192.0.2.99:80"];
        for (index, expected) in expected.into_iter().enumerate() {
            let (client, from) = [(Pod, POD), (Host, ""), (External, OUTSIDE)][index % 3];
            check(
                &cluster,
                &[(
                    "no endpoint here",
                    client,
                    from,
                    targets[index / 3],
                    expected,
                )],
            );
        }
        check(
            &cluster,
            &[("cluster IP", Pod, POD, "172.30.0.41:80", keep)],
        );
    }
}

/// Measured with kube-proxy 1.34.4, 1.35.4, 1.36.3 and 1.37.2 in both modes: kubernetes/kubernetes v1.35.4
/// `pkg/proxy/nftables/proxier.go` marks in each endpoint's chain; v1.36.3 has the set `hairpin-connections` of this
/// node's endpoints.
#[test]
fn a_backend_that_reaches_itself_by_another_node() {
    let spec = || {
        json!({"type": "NodePort", "clusterIP": "172.30.0.41", "externalTrafficPolicy": "Local",
               "ports": [{"name": "p80", "port": 80, "nodePort": 3001}]})
    };
    let (own, other) = ("10.180.1.2", "10.180.0.1");
    for (mode, version, alone, of_two) in [
        (ProxyMode::Iptables, "1.35", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Iptables, "1.37", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Nftables, "1.35", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Nftables, "1.36", "10.180.1.2:80 keep", "keep"),
        (ProxyMode::Nftables, "1.37", "10.180.1.2:80 keep", "keep"),
    ] {
        let one = Cluster::new(mode, version).service(spec(), json!([]), json!([there(own)]));
        let two = Cluster::new(mode, version).service(
            spec(),
            json!([]),
            json!([there(own), there("10.180.1.3")]),
        );
        let of_two = format!("10.180.1.2:80 10.180.1.3:80 {of_two}");
        check(&one, &[("alone", Pod, own, "192.168.0.2:3001", alone)]);
        check(&two, &[("of two", Pod, own, "192.168.0.2:3001", &of_two)]);
        // Every version masquerades it on its own node.
        let on_own_node =
            Cluster::new(mode, version).service(spec(), json!([]), json!([here(other)]));
        check(
            &on_own_node,
            &[(
                "own node",
                Pod,
                other,
                "192.168.0.2:3001",
                "10.180.0.1:80 masq",
            )],
        );
    }
}

/// A packet from elsewhere to a backend on this node's host network goes from PREROUTING to INPUT. It does not pass
/// POSTROUTING, where it would be masqueraded. Measured with kube-proxy 1.34.4 to 1.37.2 in iptables and nftables mode;
/// for ipvs mode see linux v6.1 `net/netfilter/ipvs/ip_vs_xmit.c` `ip_vs_nat_send_or_cont`.
#[test]
fn backends_on_this_nodes_host_network_see_the_client() {
    let spec = || load_balancer("172.30.0.41", 3001, json!({"externalIPs": ["192.0.2.99"]}));
    for (mode, version) in [
        (ProxyMode::Iptables, "1.20.2"),
        (ProxyMode::Iptables, "1.37"),
        (ProxyMode::Nftables, "1.35"),
        (ProxyMode::Nftables, "1.37"),
        (ProxyMode::Ipvs, "1.20.2"),
        (ProxyMode::Ipvs, "1.37"),
    ] {
        let balancer = json!([{"ip": "5.6.7.8"}]);
        let alone =
            Cluster::new(mode, version).service(spec(), balancer.clone(), json!([here(HERE)]));
        for to in ["192.168.0.2:3001", "5.6.7.8:80", "192.0.2.99:80"] {
            check(
                &alone,
                &[
                    ("outside", External, OUTSIDE, to, "192.168.0.2:80 keep"),
                    ("pod", Pod, POD, to, "192.168.0.2:80 keep"),
                ],
            );
        }
        check(
            &alone,
            &[
                // What the node itself sends passes POSTROUTING.
                ("host", Host, "", "192.168.0.2:3001", "192.168.0.2:80 masq"),
                ("host", Host, "", "172.30.0.41:80", "192.168.0.2:80 masq"),
                ("pod", Pod, POD, "172.30.0.41:80", "192.168.0.2:80 keep"),
            ],
        );
        let two = Cluster::new(mode, version).service(
            spec(),
            balancer,
            json!([here(HERE), there("192.168.0.3")]),
        );
        let to = "192.168.0.2:3001";
        let (here, there) = ("192.168.0.2:80", "192.168.0.3:80");
        check(
            &two,
            &[
                (
                    "by the endpoint",
                    External,
                    OUTSIDE,
                    to,
                    &format!("{here} {there} ?"),
                ),
                ("host", Host, "", to, &format!("{here} {there} masq")),
            ],
        );
        // kube-proxy marks clients that are not pods for a cluster IP, and with masqueradeAll pods too.
        let all = alone.with(|proxy| proxy.masquerade_all = true);
        check(
            &all,
            &[
                (
                    "outside",
                    External,
                    OUTSIDE,
                    "172.30.0.41:80",
                    "192.168.0.2:80 keep",
                ),
                ("pod", Pod, POD, "172.30.0.41:80", "192.168.0.2:80 keep"),
            ],
        );
    }
    // Here it makes no difference whether there is a detector.
    let unknown = Cluster::new(ProxyMode::Iptables, "1.37")
        .with(|proxy| proxy.detector = Detector::Unknown)
        .service(spec(), json!([]), json!([here(HERE)]));
    check(
        &unknown,
        &[(
            "outside",
            External,
            OUTSIDE,
            "172.30.0.41:80",
            "192.168.0.2:80 keep",
        )],
    );
}

/// Detectors (kubernetes/kubernetes v1.37.2 `pkg/proxy/util/localdetector.go`).
#[test]
fn who_counts_as_a_pod() {
    let cluster = |detector| {
        Cluster::new(ProxyMode::Iptables, "1.30")
            .with(|proxy| proxy.detector = detector)
            .service(
                load_balancer(
                    "172.30.0.41",
                    3001,
                    json!({"externalTrafficPolicy": "Local"}),
                ),
                json!([]),
                json!([there("10.180.1.2")]),
            )
    };
    let own = "10.180.0.9";
    let others = "10.180.1.9";
    let pods = "10.180.1.2:80 keep";
    #[rustfmt::skip]
    let rows = [
        (Detector::ClusterCidr(vec!["10.180.0.0/16".parse().unwrap()]), pods, pods),
        (Detector::NodeCidr, pods, "drop"),
        (Detector::Bridge, pods, "drop"),
        (Detector::Interface, pods, "drop"),
        (Detector::ClusterCidr(vec!["fd00:10::/32".parse().unwrap()]), "drop", "drop"),
        (Detector::ClusterCidr(Vec::new()), "drop", "drop"),
        (Detector::None, "drop", "drop"),
        (Detector::Unknown, pods, pods),
    ];
    for (detector, expected_own, expected_others) in rows {
        let cluster = cluster(detector);
        check(
            &cluster,
            &[
                (
                    "pod of this node",
                    Pod,
                    own,
                    "192.168.0.2:3001",
                    expected_own,
                ),
                (
                    "pod of another node",
                    Pod,
                    others,
                    "192.168.0.2:3001",
                    expected_others,
                ),
                ("outside", External, OUTSIDE, "192.168.0.2:3001", "drop"),
            ],
        );
    }
    // If the detector is unknown, only what depends on it is unknown.
    let unknown = cluster(Detector::Unknown);
    check(
        &unknown,
        &[
            (
                "pod to cluster IP",
                Pod,
                own,
                "172.30.0.41:80",
                "10.180.1.2:80 keep",
            ),
            (
                "node to cluster IP",
                Host,
                "",
                "172.30.0.41:80",
                "10.180.1.2:80 ?",
            ),
        ],
    );
}

/// No usable endpoint (kubernetes/kubernetes v1.21.1 `pkg/proxy/iptables/proxier_test.go` `TestClusterIPReject`,
/// `TestLoadBalancerReject`, `TestNodePortReject`, `TestExternalIPsReject`; jump chains of each version).
#[test]
fn no_endpoints() {
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(
            load_balancer("172.30.0.41", 3001, json!({"externalIPs": ["192.0.2.99"]})),
            json!([{"ip": "1.2.3.4"}]),
            json!([{"addresses": ["10.180.0.1"], "nodeName": "here", "conditions": {"ready": false}}]),
        )
    };
    // Mode and version. Then the results for the balancer and for the external IP, each from the node and from outside.
    for (mode, version, balancer, external) in [
        (
            ProxyMode::Iptables,
            "1.18",
            ["reject", "reject"],
            ["none", "none"],
        ),
        (
            ProxyMode::Iptables,
            "1.20.2",
            ["none", "reject"],
            ["none", "reject"],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            ["none", "reject"],
            ["none", "reject"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
        (
            ProxyMode::Ipvs,
            "1.20.2",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
        (
            ProxyMode::Ipvs,
            "1.30",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
    ] {
        check(
            &cluster(mode, version),
            &[
                ("cluster IP, pod", Pod, POD, "172.30.0.41:80", "reject"),
                ("cluster IP, node", Host, "", "172.30.0.41:80", "reject"),
                ("node port, node", Host, "", "192.168.0.2:3001", "reject"),
                (
                    "node port, outside",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    "reject",
                ),
                ("balancer, node", Host, "", "1.2.3.4:80", balancer[0]),
                (
                    "balancer, outside",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    balancer[1],
                ),
                ("external IP, node", Host, "", "192.0.2.99:80", external[0]),
                (
                    "external IP, outside",
                    External,
                    OUTSIDE,
                    "192.0.2.99:80",
                    external[1],
                ),
            ],
        );
    }
}

/// External IPs of a cluster IP Service with policy Local, version by version.
#[test]
fn external_ips() {
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(
            json!({"clusterIP": "172.30.0.41", "externalIPs": ["192.0.2.99"], "externalTrafficPolicy": "Local",
                   "ports": [{"port": 80}]}),
            json!([]),
            json!([here("10.180.0.1"), there("10.180.1.1")]),
        )
    };
    let keep = "10.180.0.1:80 10.180.1.1:80 keep";
    let masq = "10.180.0.1:80 10.180.1.1:80 masq";
    let local = "10.180.0.1:80 keep";
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.20.2", [masq, "none", masq]),
        (ProxyMode::Iptables, "1.23", [keep, masq, masq]),
        (ProxyMode::Iptables, "1.28", [masq, masq, masq]),
        // The policy applies to cluster IP Services since 1.29.
        (ProxyMode::Iptables, "1.29", [keep, masq, local]),
        (ProxyMode::Ipvs, "1.28", [masq, masq, masq]),
        // KUBE-IPVS-FILTER knows external IPs under policy Local since 1.30 (kubernetes/kubernetes#124260).
        (ProxyMode::Ipvs, "1.29", ["reject", local, "reject"]),
        (ProxyMode::Ipvs, "1.30", [local, local, local]),
    ] {
        check(
            &cluster(mode, version),
            &[
                ("pod", Pod, POD, "192.0.2.99:80", expected[0]),
                ("node", Host, "", "192.0.2.99:80", expected[1]),
                ("outside", External, OUTSIDE, "192.0.2.99:80", expected[2]),
            ],
        );
    }
    // Up to 1.20, pods on a bridge are not served (`physdev ! --physdev-is-in`).
    let bridged =
        cluster(ProxyMode::Iptables, "1.20.2").with(|proxy| proxy.bridged_pods = Some(true));
    check(
        &bridged,
        &[("pod on a bridge", Pod, POD, "192.0.2.99:80", "none")],
    );
}

/// `TestCategorizeEndpoints` and its predecessors: the internal policy, version by version.
#[test]
fn internal_policy_local() {
    let cluster = |mode, version, endpoints: Value| {
        Cluster::new(mode, version)
            .service(
                json!({"clusterIP": "172.30.0.41", "internalTrafficPolicy": "Local", "ports": [{"port": 80}]}),
                json!([]),
                endpoints.clone(),
            )
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.42", "internalTrafficPolicy": "Local",
                       "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                endpoints.clone(),
            )
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.43", "internalTrafficPolicy": "Local",
                       "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 3002}]}),
                json!([]),
                endpoints,
            )
    };
    let keep = "10.180.1.1:80 keep";
    let masq = "10.180.1.1:80 masq";
    // All endpoints are on the other node. The results are for the cluster IP of a cluster IP Service, the cluster IP
    // and the node port of a Service with node ports, and the cluster IP of a Service with both policies Local.
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.21", [keep, keep, masq, keep]),
        (
            ProxyMode::Iptables,
            "1.22",
            ["reject", "reject", "reject", keep],
        ),
        (
            ProxyMode::Iptables,
            "1.23",
            ["reject", "reject", "reject", keep],
        ),
        (ProxyMode::Iptables, "1.24", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Iptables, "1.30", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Nftables, "1.30", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Ipvs, "1.21", [keep, keep, masq, keep]),
        (
            ProxyMode::Ipvs,
            "1.23",
            ["reject", "reject", "reject", "reject"],
        ),
        // If a Service has other addresses, the fallback of 1.24 undoes the policy.
        (ProxyMode::Ipvs, "1.24", ["reject", keep, masq, keep]),
        (ProxyMode::Ipvs, "1.30", ["reject", keep, masq, keep]),
    ] {
        check(
            &cluster(mode, version, json!([there("10.180.1.1")])),
            &[
                ("cluster IP only", Pod, POD, "172.30.0.41:80", expected[0]),
                (
                    "cluster IP beside a node port",
                    Pod,
                    POD,
                    "172.30.0.42:80",
                    expected[1],
                ),
                ("node port", Pod, POD, "192.168.0.2:3001", expected[2]),
                (
                    "cluster IP, both policies local",
                    Pod,
                    POD,
                    "172.30.0.43:80",
                    expected[3],
                ),
            ],
        );
    }
    let some = cluster(
        ProxyMode::Iptables,
        "1.30",
        json!([here("10.180.0.1"), there("10.180.1.1")]),
    );
    check(
        &some,
        &[(
            "an endpoint here",
            Pod,
            POD,
            "172.30.0.41:80",
            "10.180.0.1:80 keep",
        )],
    );
}

/// `TestTerminatingEndpointsTrafficPolicyLocal` and `…Cluster`.
#[test]
fn terminating_endpoints() {
    let cluster = |version, policy: &str, endpoints: Value| {
        Cluster::new(ProxyMode::Iptables, version).service(
            load_balancer("172.30.1.1", 3001, json!({"externalTrafficPolicy": policy})),
            json!([{"ip": "1.2.3.4"}]),
            endpoints,
        )
    };
    let gone = json!({"addresses": ["10.0.1.4"], "nodeName": "here",
                      "conditions": {"ready": false, "serving": false, "terminating": true}});
    let mixed = json!([
        here("10.0.1.1"),
        terminating("10.0.1.2", "here"),
        gone.clone(),
        there("10.0.1.5")
    ]);
    let only = json!([
        terminating("10.0.1.2", "here"),
        terminating("10.0.1.3", "there"),
        gone.clone()
    ]);
    let local_lingers = json!([terminating("10.0.1.2", "here"), gone, there("10.0.1.5")]);
    #[rustfmt::skip]
    let rows = [
        ("1.26", "Cluster", &mixed, "10.0.1.1:80 10.0.1.5:80 keep", "10.0.1.1:80 10.0.1.5:80 masq"),
        ("1.26", "Cluster", &only, "10.0.1.2:80 10.0.1.3:80 keep", "10.0.1.2:80 10.0.1.3:80 masq"),
        ("1.25", "Cluster", &only, "reject", "reject"),
        ("1.26", "Local", &mixed, "10.0.1.1:80 10.0.1.5:80 keep", "10.0.1.1:80 keep"),
        ("1.26", "Local", &only, "10.0.1.2:80 10.0.1.3:80 keep", "10.0.1.2:80 keep"),
        // The cluster's and the node's endpoints are chosen separately.
        ("1.26", "Local", &local_lingers, "10.0.1.5:80 keep", "10.0.1.2:80 keep"),
        ("1.25", "Local", &local_lingers, "10.0.1.5:80 keep", "drop"),
        ("1.20.2", "Local", &local_lingers, "10.0.1.5:80 keep", "drop"),
    ];
    for (version, policy, endpoints, pod, outside) in rows {
        check(
            &cluster(version, policy, endpoints.clone()),
            &[
                ("pod to cluster IP", Pod, POD, "172.30.1.1:80", pod),
                (
                    "outside to balancer",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    outside,
                ),
            ],
        );
    }
}

/// `TestCategorizeEndpoints`: hints.
#[test]
fn topology_hints() {
    let hinted = |address: &str, node: &str, zones: &[&str], nodes: &[&str]| {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| json!({"name": name}))
                .collect::<Vec<_>>()
        };
        json!({"addresses": [address], "nodeName": node, "hints": {"forZones": names(zones), "forNodes": names(nodes)}})
    };
    let cluster = |version, annotations: Value, endpoints: Value| {
        Cluster::new(ProxyMode::Iptables, version).annotated(
            json!({"annotations": annotations}),
            json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
                   "ports": [{"port": 80, "nodePort": 3001}]}),
            endpoints,
        )
    };
    let old = json!({"service.kubernetes.io/topology-aware-hints": "Auto"});
    let new = json!({"service.kubernetes.io/topology-mode": "Auto"});
    let odd = json!({"service.kubernetes.io/topology-mode": "PreferZone"});
    let none = json!({});
    let zones = json!([
        hinted("10.1.0.1", "here", &["a"], &[]),
        hinted("10.1.0.2", "there", &["b"], &[])
    ]);
    let incomplete = json!([hinted("10.1.0.1", "here", &["a"], &[]), there("10.1.0.2")]);
    let elsewhere = json!([
        hinted("10.1.0.1", "here", &["c"], &[]),
        hinted("10.1.0.2", "there", &["b"], &[])
    ]);
    let nodes = json!([
        hinted("10.1.0.1", "here", &["a"], &["here"]),
        hinted("10.1.0.2", "there", &["a"], &["there"])
    ]);
    let one = "10.1.0.1:80 keep";
    let all = "10.1.0.1:80 10.1.0.2:80 keep";
    for (version, annotations, endpoints, expected) in [
        ("1.23", &old, &zones, all),
        ("1.24", &old, &zones, one),
        ("1.24", &new, &zones, all),
        ("1.26", &odd, &zones, all),
        ("1.27", &new, &zones, one),
        ("1.27", &odd, &zones, one),
        ("1.30", &none, &zones, all),
        ("1.31", &none, &zones, one),
        ("1.30", &new, &incomplete, all),
        ("1.30", &new, &elsewhere, all),
        ("1.33", &none, &nodes, all),
        ("1.34", &none, &nodes, one),
    ] {
        let cluster = cluster(version, annotations.clone(), endpoints.clone());
        check(
            &cluster,
            &[("pod to cluster IP", Pod, POD, "172.30.0.41:80", expected)],
        );
    }
    // Hints do not matter for local endpoints.
    let cluster = cluster("1.30", new, elsewhere);
    check(
        &cluster,
        &[(
            "outside to node port",
            External,
            OUTSIDE,
            "192.168.0.2:3001",
            one,
        )],
    );
}

/// `TestHealthCheckNodePort`, and the ipset of ipvs mode.
#[test]
fn health_check_node_port() {
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.20.2", "none"),
        (ProxyMode::Iptables, "1.21", "accept"),
        (ProxyMode::Iptables, "1.30", "accept"),
        (ProxyMode::Ipvs, "1.20.2", "none"),
        (ProxyMode::Ipvs, "1.21", "accept"),
        (ProxyMode::Nftables, "1.30", "none"),
    ] {
        let cluster = Cluster::new(mode, version)
            .service(
                load_balancer(
                    "172.30.0.41",
                    3001,
                    json!({"externalTrafficPolicy": "Local"}),
                ),
                json!([{"ip": "1.2.3.4"}]),
                json!([]),
            )
            .service(
                load_balancer("172.30.0.42", 3002, json!({})),
                json!([]),
                json!([]),
            );
        check(
            &cluster,
            &[
                ("outside", External, OUTSIDE, "192.168.0.2:30001", expected),
                ("node", Host, "", "192.168.0.2:30001", expected),
                (
                    "UDP is another port",
                    External,
                    OUTSIDE,
                    "192.168.0.2:30001/UDP",
                    "none",
                ),
                (
                    "policy Cluster has none",
                    External,
                    OUTSIDE,
                    "192.168.0.2:30002",
                    "none",
                ),
            ],
        );
    }
}

/// `TestLoadBalancerIngressRouteTypeProxy`, and load balancers with a host name.
#[test]
fn balancers_that_are_left_alone() {
    for (version, by_proxy) in [("1.29", "10.180.0.1:80 masq"), ("1.30", "none")] {
        for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
            let cluster = Cluster::new(mode, version).service(
                load_balancer("172.30.0.41", 3001, json!({})),
                json!([{"ip": "1.2.3.4", "ipMode": "Proxy"}, {"ip": "1.2.3.5", "ipMode": "VIP"}, {"ip": "1.2.3.6"},
                       {"hostname": "lb.example.org"}]),
                json!([here("10.180.0.1")]),
            );
            check(
                &cluster,
                &[
                    ("Proxy", Pod, POD, "1.2.3.4:80", by_proxy),
                    ("VIP", Pod, POD, "1.2.3.5:80", "10.180.0.1:80 masq"),
                    ("unset", Pod, POD, "1.2.3.6:80", "10.180.0.1:80 masq"),
                    ("not the Service's", Pod, POD, "1.2.3.7:80", "none"),
                ],
            );
        }
    }
}

/// `ShouldSkipService` and the label selector of kube-proxy's informers.
#[test]
fn services_that_are_not_proxied() {
    let spec = || json!({"clusterIP": "172.30.0.41", "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]});
    let endpoints = || json!([here("10.180.0.1")]);
    for (name, metadata, spec) in [
        (
            "another proxy's",
            json!({"labels": {"service.kubernetes.io/service-proxy-name": ""}}),
            spec(),
        ),
        (
            "labelled headless",
            json!({"labels": {"service.kubernetes.io/headless": ""}}),
            spec(),
        ),
        (
            "headless",
            json!({}),
            json!({"clusterIP": "None", "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]}),
        ),
        (
            "an alias",
            json!({}),
            json!({"type": "ExternalName", "clusterIP": "172.30.0.41",
            "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]}),
        ),
    ] {
        for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
            let cluster =
                Cluster::new(mode, "1.30").annotated(metadata.clone(), spec.clone(), endpoints());
            check(
                &cluster,
                &[
                    (name, Pod, POD, "172.30.0.41:80", "none"),
                    (name, External, OUTSIDE, "192.0.2.99:80", "none"),
                ],
            );
        }
    }
}

/// Each family has its own proxy (kubernetes/kubernetes v1.37.2 `pkg/proxy/metaproxier/meta_proxier.go`,
/// `pkg/proxy/util/utils.go` `GetClusterIPByFamily`).
#[test]
fn families_are_apart() {
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
        let cluster = Cluster::new(mode, "1.30")
            .service(
                json!({"type": "NodePort", "clusterIPs": ["172.30.0.41", "fd00:172::41"],
                       "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([here("10.180.0.1"), here("fd00:10:180::1")]),
            )
            .service(
                json!({"type": "NodePort", "clusterIPs": ["172.30.0.42"], "externalIPs": ["2001:db8::99"],
                       "ports": [{"port": 80, "nodePort": 3002}]}),
                json!([]),
                json!([here("10.180.0.2"), here("fd00:10:180::2")]),
            )
            .service(
                json!({"clusterIPs": ["172.30.0.43", "fd00:172::43"], "ports": [{"port": 80}]}),
                json!([]),
                json!([here("10.180.0.3")]),
            );
        check(
            &cluster,
            &[
                ("IPv4", Pod, POD, "172.30.0.41:80", "10.180.0.1:80 keep"),
                (
                    "IPv6",
                    Pod,
                    "fd00:10::2",
                    "[fd00:172::41]:80",
                    "[fd00:10:180::1]:80 keep",
                ),
                (
                    "IPv6 node port",
                    External,
                    "2600::1",
                    "[2001:db8::2]:3001",
                    "[fd00:10:180::1]:80 masq",
                ),
                (
                    "no IPv6 cluster IP, no IPv6 node port",
                    External,
                    "2600::1",
                    "[2001:db8::2]:3002",
                    "none",
                ),
                (
                    "no IPv6 cluster IP, no IPv6 external IP",
                    External,
                    "2600::1",
                    "[2001:db8::99]:80",
                    "none",
                ),
                (
                    "no IPv6 endpoint",
                    Pod,
                    "fd00:10::2",
                    "[fd00:172::43]:80",
                    "reject",
                ),
                (
                    "no IPv6 node ports on loopback",
                    Host,
                    "",
                    "[::1]:3001",
                    "none",
                ),
            ],
        );
    }
}

/// Masquerading in ipvs mode.
#[test]
fn ipvs_sources() {
    let cluster = |detector| {
        Cluster::new(ProxyMode::Ipvs, "1.30")
            .with(|proxy| proxy.detector = detector)
            .service(
                json!({"clusterIP": "172.30.0.41", "ports": [{"port": 80}]}),
                json!([]),
                json!([here("10.180.0.1"), there("10.180.1.1")]),
            )
    };
    let both = |mark: &str| format!("10.180.0.1:80 10.180.1.1:80 {mark}");
    let with = cluster(Detector::ClusterCidr(vec!["10.0.0.0/8".parse().unwrap()]));
    check(
        &with,
        &[
            ("pod", Pod, POD, "172.30.0.41:80", &both("keep")),
            ("node", Host, "", "172.30.0.41:80", &both("masq")),
            (
                "outside",
                External,
                OUTSIDE,
                "172.30.0.41:80",
                &both("masq"),
            ),
            (
                "itself, here",
                Pod,
                "10.180.0.1",
                "172.30.0.41:80",
                &both("?"),
            ),
        ],
    );
    // Without a detector, a process of the node is masqueraded because its source is the Service's address.
    check(
        &cluster(Detector::None),
        &[
            ("pod", Pod, POD, "172.30.0.41:80", &both("keep")),
            ("node", Host, "", "172.30.0.41:80", &both("masq")),
            (
                "outside",
                External,
                OUTSIDE,
                "172.30.0.41:80",
                &both("keep"),
            ),
        ],
    );
}

/// The order of the SCTP sets of node ports in `ipsetWithIptablesChain` (kubernetes/kubernetes v1.22.0, v1.23.4).
#[test]
fn ipvs_sctp_node_ports() {
    for (version, expected) in [
        ("1.20.2", "10.180.0.1:80 masq"),
        ("1.22", "10.180.0.1:80 masq"),
        ("1.23", "10.180.0.1:80 keep"),
    ] {
        let cluster = Cluster::new(ProxyMode::Ipvs, version).service(
            json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
                   "ports": [{"port": 80, "protocol": "SCTP", "nodePort": 3001}]}),
            json!([]),
            json!([here("10.180.0.1")]),
        );
        check(
            &cluster,
            &[(
                "outside",
                External,
                OUTSIDE,
                "192.168.0.2:3001/SCTP",
                expected,
            )],
        );
    }
}

/// A Service claims an address of a node (kubernetes/kubernetes v1.26.0 and v1.28.3 `pkg/proxy/ipvs/proxier.go`).
#[test]
fn ipvs_node_address_as_external_ip() {
    for (version, node_port, other_port) in [
        ("1.25", "10.180.0.1:80 masq", "accept"),
        ("1.26", "reject", "reject"),
        ("1.27", "reject", "reject"),
        ("1.28", "10.180.0.1:80 masq", "none"),
    ] {
        let cluster = Cluster::new(ProxyMode::Ipvs, version)
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.41", "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([here("10.180.0.1")]),
            )
            .service(
                json!({"clusterIP": "172.30.0.42", "externalIPs": [HERE], "ports": [{"port": 81}]}),
                json!([]),
                json!([here("10.180.0.2")]),
            );
        check(
            &cluster,
            &[
                (
                    "node port",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    node_port,
                ),
                (
                    "node port, from the node",
                    Host,
                    "",
                    "192.168.0.2:3001",
                    "10.180.0.1:80 masq",
                ),
                (
                    "any other port, such as that of ssh",
                    External,
                    OUTSIDE,
                    "192.168.0.2:22",
                    other_port,
                ),
                (
                    "the external IP",
                    External,
                    OUTSIDE,
                    "192.168.0.2:81",
                    "10.180.0.2:81 masq",
                ),
            ],
        );
    }
}

#[test]
fn slices_that_repeat_an_endpoint_count_once() {
    let cluster = Cluster::new(ProxyMode::Iptables, "1.30").service(
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
               "ports": [{"port": 80, "nodePort": 3001}]}),
        json!([]),
        json!([{"addresses": ["10.180.0.1"]}, here("10.180.0.1"), {"addresses": ["10.180.0.1"]}]),
    );
    check(
        &cluster,
        &[(
            "outside",
            External,
            OUTSIDE,
            "192.168.0.2:3001",
            "10.180.0.1:80 keep",
        )],
    );
}

#[test]
fn an_endpoint_without_a_node_is_local_nowhere() {
    let cluster = Cluster::new(ProxyMode::Iptables, "1.30").service(
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
               "ports": [{"port": 80, "nodePort": 3001}]}),
        json!([]),
        json!([{"addresses": ["198.51.100.7"]}]),
    );
    check(
        &cluster,
        &[
            ("outside", External, OUTSIDE, "192.168.0.2:3001", "drop"),
            ("pod", Pod, POD, "192.168.0.2:3001", "198.51.100.7:80 keep"),
        ],
    );
}

#[test]
fn what_is_not_modelled_is_said() {
    let mut cluster = Cluster::new(ProxyMode::Iptables, "1.30");
    let packet = |node| Packet {
        node,
        client: Pod,
        client_ip: None,
        ip: "172.30.0.41".parse().unwrap(),
        port: 80,
        protocol: Protocol::Tcp,
    };
    let world = World::new([], &cluster.nodes, &cluster.proxy);
    assert_eq!(
        world.flow(&packet("nowhere")).unwrap_err().to_string(),
        r#"unknown node "nowhere", expected one of: here, there"#
    );
    for mode in [ProxyMode::Ebpf, ProxyMode::Userspace] {
        cluster.proxy.mode = mode;
        let world = World::new([], &cluster.nodes, &cluster.proxy);
        assert_eq!(
            world.flow(&packet("here")).unwrap_err(),
            NotModelled::Mode(mode)
        );
    }
}

#[test]
fn a_node_tells_the_version_of_its_proxy() {
    let mut cluster = Cluster::new(ProxyMode::Ipvs, "1.30").service(
        load_balancer(
            "172.30.0.41",
            3001,
            json!({"externalTrafficPolicy": "Local"}),
        ),
        json!([]),
        json!([there("10.180.1.2")]),
    );
    cluster.proxy.version = None;
    cluster.nodes[0].kubelet_version = Some("v1.20.2".to_owned());
    assert_eq!(cluster.ask(Pod, Some(POD), "192.168.0.2:3001"), "reject");
    cluster.nodes[0].kube_proxy_version = Some("v1.24.17-r0".to_owned());
    assert_eq!(
        cluster.ask(Pod, Some(POD), "192.168.0.2:3001"),
        "10.180.1.2:80 keep"
    );
    cluster.nodes[0].kube_proxy_version = None;
    cluster.nodes[0].kubelet_version = None;
    let world = World::new([], &cluster.nodes, &cluster.proxy);
    assert_eq!(world.version(&cluster.nodes[0]), Version::NEWEST);
}
