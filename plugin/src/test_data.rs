//! Facts and settings that tests start from.

use crate::config::{Ask, External, ProbeSettings, RequestSettings};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    time::Duration,
};
use svc_reach_common::{
    facts::{
        Endpoint, EndpointPort, Facts, Node, Service, ServicePort, ServiceType, TrafficPolicy,
    },
    position::Position,
    protocol::Protocol,
    report::{Cell, Observed, ObservedValue},
    target::{Target, TargetKind},
    verdict::Verdict,
};

pub fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The Service `default/nginx`: type NodePort, port 80 to 8080, no endpoints, no nodes.
pub fn facts() -> Facts {
    Facts {
        service: Service {
            namespace: "default".into(),
            name: "nginx".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            kind: ServiceType::NodePort,
            selector: BTreeMap::from([("app".into(), "nginx".into())]),
            cluster_ips: vec![ip(10, 247, 0, 7)],
            headless: false,
            external_name: None,
            external_ips: Vec::new(),
            external_traffic_policy: TrafficPolicy::Cluster,
            internal_traffic_policy: TrafficPolicy::Cluster,
            ports: vec![ServicePort {
                name: None,
                protocol: Protocol::Tcp,
                port: port(80),
                node_port: Some(port(30080)),
                target_port: None,
                app_protocol: None,
            }],
            health_check_node_port: None,
            load_balancer_source_ranges: Vec::new(),
            load_balancer_class: None,
            load_balancer: Vec::new(),
            session_affinity_seconds: None,
            publish_not_ready_addresses: false,
            traffic_distribution: None,
        },
        endpoints: Vec::new(),
        nodes: Vec::new(),
        server_version: Some("v1.20.2".into()),
    }
}

/// A ready node with the private address `192.168.0.(10 + index)`.
pub fn node(name: &str, index: usize) -> Node {
    Node {
        name: name.into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        internal_ips: vec![ip(192, 168, 0, 10 + u8::try_from(index).unwrap())],
        external_ips: Vec::new(),
        ready: true,
        unschedulable: false,
        taints: Vec::new(),
        pod_cidrs: Vec::new(),
        provider_id: None,
        os: Some("linux".into()),
        arch: Some("amd64".into()),
        kubelet_version: None,
        kube_proxy_version: None,
    }
}

/// A ready endpoint `172.16.0.(10 + index):8080` on a node.
pub fn endpoint(node: &str, index: usize) -> Endpoint {
    Endpoint {
        address: ip(172, 16, 0, 10 + u8::try_from(index).unwrap()),
        node: Some(node.into()),
        pod: Some(format!("nginx-{index}")),
        zone: None,
        ready: true,
        serving: None,
        terminating: None,
        hint_zones: Vec::new(),
        hint_nodes: Vec::new(),
        ports: vec![EndpointPort {
            name: None,
            protocol: Protocol::Tcp,
            port: port(8080),
        }],
    }
}

/// The settings of a command line without flags.
pub fn probe_settings() -> ProbeSettings {
    ProbeSettings {
        image: "svc-reach/probe:test".into(),
        pull_policy: None,
        pull_secrets: Vec::new(),
        architectures: vec!["amd64".into()],
        namespace: None,
        node_selector: BTreeMap::new(),
        tolerations: Vec::new(),
        priority_class: None,
        start_timeout: Duration::from_secs(60),
    }
}

/// The settings of a command line without flags.
pub fn request_settings() -> RequestSettings {
    RequestSettings {
        ask: Ask::Auto,
        path: "/".into(),
        host: None,
        udp_payload: "svc-reach".into(),
        attempts: None,
        timeout_ms: std::num::NonZeroU32::new(3000).unwrap(),
        external: External::Auto,
    }
}

/// A cell of which nothing but this is known: TCP port 80, no node.
pub fn cell(position: Position, kind: TargetKind, address: &str, value: ObservedValue) -> Cell {
    Cell {
        position,
        node: None,
        target: Target {
            kind,
            address: address.to_owned(),
            port: port(80),
            protocol: Protocol::Tcp,
            port_name: None,
            node: None,
            node_role: None,
            relation: None,
            scope: None,
        },
        expected: None,
        editions: Vec::new(),
        predicted: None,
        observed: Observed {
            value,
            reason: value.to_string(),
            ok: None,
            of: None,
            latency_ms: None,
            client_ip_seen: None,
            attempts: Vec::new(),
        },
        verdict: Verdict::Undocumented,
        hint: None,
    }
}
