//! Measures 10,000 packets over 1,000 Services in every mode: `cargo bench -p svc-reach-common --bench flows`.
//!
//! Each mode should take less than one second, including the index.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measurement for people"
)]

use std::{net::IpAddr, time::Instant};
use svc_reach_common::{
    facts::{Endpoint, Node, Service},
    model::{Detector, Packet, Proxy, Version, World},
    objects::ServiceEndpoints,
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
};

const SERVICES: u16 = 1000;
const ENDPOINTS: u16 = 20;
const NODES: u16 = 100;
const PACKETS: u16 = 10_000;

fn main() {
    let nodes: Vec<Node> = (0..NODES).map(node).collect();
    let services: Vec<(Service, Vec<Endpoint>)> = (0..SERVICES).map(service).collect();
    for mode in [ProxyMode::Iptables, ProxyMode::Ipvs, ProxyMode::Nftables] {
        let mut proxy = Proxy::with_defaults(mode);
        proxy.version = Some(Version::new(1, 30, 0));
        proxy.detector = Detector::ClusterCidr(vec!["10.0.0.0/8".parse().expect("a range")]);
        let began = Instant::now();
        let world = World::new(
            services
                .iter()
                .map(|(service, endpoints)| (service, endpoints.as_slice())),
            &nodes,
            &proxy,
        );
        let indexed = began.elapsed();
        let mut endpoints = 0;
        for number in 0..PACKETS {
            let node = format!("n{}", number % NODES);
            let (ip, port): (IpAddr, u16) = if number.is_multiple_of(2) {
                (cluster_ip(number % SERVICES), 80)
            } else {
                (node_ip(number % NODES), 30_000 + number % SERVICES)
            };
            let packet = Packet {
                node: &node,
                client: Network::ALL[usize::from(number) % Network::ALL.len()],
                client_ip: None,
                ip,
                port,
                protocol: Protocol::Tcp,
            };
            endpoints += world
                .flow(&packet)
                .expect("a mode that is modelled")
                .endpoints
                .len();
        }
        println!(
            "{mode}: {PACKETS} packets over {SERVICES} Services with {ENDPOINTS} endpoints each in {:?}, \
             of which indexing {indexed:?} ({endpoints} endpoints named)",
            began.elapsed()
        );
    }
}

fn cluster_ip(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([172, 16, high, low])
}

fn node_ip(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([192, 168, high, low])
}

fn node(number: u16) -> Node {
    Node::try_from(&serde_json::json!({
        "metadata": {"name": format!("n{number}")},
        "status": {"addresses": [{"type": "InternalIP", "address": node_ip(number)}]},
    }))
    .expect("a node")
}

fn service(number: u16) -> (Service, Vec<Endpoint>) {
    let policy = if number.is_multiple_of(2) {
        "Cluster"
    } else {
        "Local"
    };
    let service = Service::try_from(&serde_json::json!({
        "metadata": {"name": format!("s{number}"), "namespace": "bench"},
        "spec": {"type": "NodePort", "clusterIP": cluster_ip(number), "externalTrafficPolicy": policy,
                 "ports": [{"port": 80, "nodePort": 30_000 + number}]},
    }))
    .expect("a Service");
    let endpoints: Vec<_> = (0..ENDPOINTS)
        .map(|endpoint| {
            let [high, low] = number.to_be_bytes();
            let [_, last] = endpoint.to_be_bytes();
            let address = IpAddr::from([10, high, low, last]);
            serde_json::json!({"addresses": [address], "nodeName": format!("n{}", (number + endpoint) % NODES)})
        })
        .collect();
    let slice = serde_json::json!({
        "metadata": {"name": "slice"}, "ports": [{"name": "", "port": 8080}], "endpoints": endpoints,
    });
    let endpoints = ServiceEndpoints::from_slice(&slice)
        .expect("a slice")
        .endpoints;
    (service, endpoints)
}
