//! Predicts what a node does with a packet: `cargo run -p svc-reach-common --example predict_flow`.
//!
//! A Service with `externalTrafficPolicy: Local` has one backend, on node-1. A client outside the cluster connects to
//! the node port of each node.

#![expect(clippy::print_stdout, reason = "an example that people run")]

use serde_json::json;
use std::error::Error;
use svc_reach_common::{
    facts::{Node, Service},
    model::{Packet, Proxy, World},
    objects::ServiceEndpoints,
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
};

fn main() -> Result<(), Box<dyn Error>> {
    // The objects have the form in which the API server answers.
    let nodes = [node("node-1", "192.0.2.1")?, node("node-2", "192.0.2.2")?];
    let service = Service::try_from(&json!({
        "metadata": {"name": "nginx", "namespace": "web"},
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.96.0.10",
            "externalTrafficPolicy": "Local",
            "ports": [{"port": 80, "nodePort": 30080}],
        },
    }))?;
    let slice = json!({
        "metadata": {"name": "nginx-1"},
        "ports": [{"name": "", "port": 8080}],
        "endpoints": [{"addresses": ["10.0.1.5"], "nodeName": "node-1"}],
    });
    let endpoints = ServiceEndpoints::from_slice(&slice)?.endpoints;

    let proxy = Proxy::with_defaults(ProxyMode::Nftables);
    let world = World::new([(&service, endpoints.as_slice())], &nodes, &proxy);
    for node in world.nodes() {
        let answer = world.flow(&Packet {
            node: &node.name,
            client: Network::External,
            client_ip: None,
            ip: node.internal_ips[0],
            port: 30080,
            protocol: Protocol::Tcp,
        })?;
        println!("{}: {}", node.name, answer.action);
        for why in &answer.why {
            println!("  {} ({})", why.rule, why.source);
        }
    }
    Ok(())
}

fn node(name: &str, address: &str) -> Result<Node, Box<dyn Error>> {
    let node = Node::try_from(&json!({
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }))?;
    Ok(node)
}
