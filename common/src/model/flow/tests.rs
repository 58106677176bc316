//! Every rule has a row here. Each table names the upstream test or file that it follows.

mod endpoints;
mod ipvs;
mod masquerade;
mod node_ports;
mod services;

use super::{NotModelled, Packet, ProxyAction};
use crate::{
    facts::{Endpoint, Node, Service},
    model::{Detector, Proxy, Version, World},
    objects::ServiceEndpoints,
    position::Network::{self, Pod},
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
    let hinted = json!({
        "addresses": ["10.1.0.1"], "nodeName": "there", "hints": {"forZones": [{"name": "b"}]},
    });
    let mut cluster = Cluster::new(ProxyMode::Iptables, "1.37").service(
        json!({"clusterIP": "172.30.0.41", "ports": [{"port": 80}]}),
        json!([]),
        json!([hinted]),
    );
    cluster.nodes[0] = Node::of_pods("here".to_owned(), vec![HERE.parse().unwrap()]);
    let (service, endpoints) = &cluster.services[0];
    let world = World::new(
        [(service, endpoints.as_slice())],
        &cluster.nodes,
        &cluster.proxy,
    );
    assert_eq!(
        world.flow(&packet("here")).unwrap_err(),
        NotModelled::Zone("here".to_owned())
    );
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
