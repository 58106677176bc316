//! Compares the forwarding model with the real kube-proxy in IPVS mode. It runs on user-mode Linux, because the kernel
//! of the test cluster may have no IPVS. If the model is certain about a cell, the observation must match.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that fails must fail its test, and the test log shows what was compared"
)]

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    path::Path,
    process::Command,
};
use svc_reach_common::{
    facts::{Facts, Node, Service},
    model::{
        Detector, Proxy, World,
        connection::{Client, Paths, PredictedOutcome as Predicted},
    },
    network_model::NetworkModel,
    objects::ServiceEndpoints,
    position::{Network, Position},
    protocol::Protocol,
    proxy_mode::ProxyMode,
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    wire::{
        line::Line,
        outcome::{Attempt, Outcome},
        plan::{self, Plan, Request, RequestKind, Tls, View},
    },
};
use svc_reach_tests::folder::Folder;

/// Each position, the node that it is on, and its own address. The position `external` has no node.
const PLACES: [(Position, Option<&str>, &str); 5] = [
    (Position::NodeSame, Some("node-1"), "192.168.70.11"),
    (Position::NodeOther, Some("node-2"), "192.168.70.12"),
    (Position::PodSame, Some("node-1"), "172.21.1.20"),
    (Position::PodOther, Some("node-2"), "172.21.2.20"),
    (Position::External, None, "192.168.70.100"),
];

/// Services: name, policy, whether there is a backend, and the last byte of their addresses.
const SERVICES: [(&str, &str, bool, u8); 3] = [
    ("cluster", "Cluster", true, 11),
    ("local", "Local", true, 12),
    ("empty", "Cluster", false, 13),
];

fn node(index: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": format!("node-{index}")},
        "spec": {"podCIDR": format!("172.21.{index}.0/24"), "podCIDRs": [format!("172.21.{index}.0/24")]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": format!("192.168.70.1{index}")}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeProxyVersion": "v1.20.2", "kubeletVersion": "v1.20.2"},
        },
    })
}

fn service(name: &str, policy: &str, byte: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": format!("10.249.0.{byte}"),
            "externalIPs": [format!("198.51.100.{byte}")],
            "externalTrafficPolicy": policy,
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30000 + u16::from(byte), "protocol": "TCP"}],
        },
    })
}

fn status(byte: u8) -> Value {
    json!({"status": {"loadBalancer": {"ingress": [{"ip": format!("203.0.113.{byte}")}]}}})
}

fn endpoints(name: &str, backend: bool) -> Value {
    let subsets = if backend {
        json!([{"addresses": [{"ip": "172.21.1.10", "nodeName": "node-1"}], "ports": [{"port": 8080, "protocol": "TCP"}]}])
    } else {
        json!([])
    };
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name, "namespace": "default"}, "subsets": subsets,
    })
}

fn facts(name: &str, policy: &str, backend: bool, byte: u8) -> Facts {
    let mut object = service(name, policy, byte);
    object["status"] = status(byte)["status"].clone();
    Facts {
        service: Service::try_from(&object).unwrap(),
        endpoints: ServiceEndpoints::from_endpoints(&endpoints(name, backend))
            .unwrap()
            .endpoints,
        nodes: (1..=3)
            .map(|index| Node::try_from(&node(index)).unwrap())
            .collect::<Vec<_>>()
            .into(),
        all_nodes: true,
        changed: None,
        server_version: Some("v1.20.2".to_owned()),
    }
}

/// The targets of a Service that are checked from a position on node `own`. `None`: the position `external`.
fn targets(facts: &Facts, own: Option<&str>) -> Vec<Target> {
    let service = &facts.service;
    let port = service.ports[0].port;
    let target = |kind, address: IpAddr, port| Target {
        kind,
        address: address.to_string(),
        port,
        protocol: Protocol::Tcp,
        port_name: None,
        node: None,
        node_role: None,
        relation: None,
        scope: None,
    };
    let mut targets: Vec<Target> = facts
        .nodes
        .iter()
        .map(|node| Target {
            node: Some(node.name.clone()),
            node_role: Some(if facts.runs_backend(&node.name) {
                NodeRole::Backend
            } else {
                NodeRole::Other
            }),
            relation: Some(if own == Some(&node.name) {
                Relation::Own
            } else {
                Relation::Remote
            }),
            scope: Some(Scope::Private),
            ..target(
                TargetKind::NodePort,
                node.internal_ips[0],
                service.ports[0].node_port.unwrap(),
            )
        })
        .collect();
    // This network has no routes from outside to the other addresses.
    if own.is_some() {
        targets.push(target(TargetKind::ClusterIp, service.cluster_ips[0], port));
        targets.push(target(
            TargetKind::LoadBalancer,
            service.load_balancer[0].ip.unwrap(),
            port,
        ));
        targets.push(target(
            TargetKind::ExternalIp,
            service.external_ips[0],
            port,
        ));
    }
    targets
}

fn plan(targets: &[Target]) -> Plan {
    Plan {
        version: plan::VERSION,
        attempts: NonZeroU16::new(2).unwrap(),
        concurrency: NonZeroU16::new(64).unwrap(),
        // The timeout for a connection decides that a target is silent. After that the answer may be slow, because the
        // guest has only one processor.
        connect_timeout_ms: NonZeroU32::new(8000).unwrap(),
        attempt_timeout_ms: NonZeroU32::new(60_000).unwrap(),
        view: View::None,
        targets: (0..)
            .zip(targets)
            .map(|(id, target)| Request {
                id,
                host: target.address.clone(),
                port: target.port,
                probe: RequestKind::Http {
                    path: "/".into(),
                    host: None,
                    tls: Tls::Off,
                },
                attempts: None,
            })
            .collect(),
    }
}

fn said(file: &Path) -> BTreeMap<u32, Vec<Attempt>> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<Line> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        matches!(lines.last(), Some(Line::End { .. })),
        "{}",
        file.display()
    );
    lines
        .into_iter()
        .filter_map(|line| match line {
            Line::Result { id, attempts } => Some((id, attempts)),
            Line::Start { .. } | Line::Host(_) | Line::End { .. } | Line::Fatal { .. } => None,
        })
        .collect()
}

/// Whether the observation matches the prediction. `None`: the model is not certain.
fn agrees(predicted: &Predicted, seen: &Outcome) -> Option<bool> {
    let answered = matches!(seen, Outcome::Answered { .. });
    let refused = matches!(seen, Outcome::Refused { .. });
    let silent = matches!(seen, Outcome::TimedOut { .. });
    match predicted {
        Predicted::Reached => Some(answered),
        Predicted::Refused => Some(refused),
        Predicted::TimedOut => Some(silent),
        Predicted::RefusedOrTimedOut => Some(refused || silent),
        Predicted::Sometimes { .. }
        | Predicted::NoName
        | Predicted::Unknown(_)
        | Predicted::NotModelled(_) => None,
    }
}

#[test]
#[ignore = "boots a kernel with the real kube-proxy, which tests/run builds"]
fn the_model_matches_the_real_kube_proxy_in_ipvs_mode() {
    let folder = Folder::new("ipvs");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    let mut items: Vec<Value> = (1..=3).map(node).collect();
    let all: Vec<Facts> = SERVICES
        .map(|(name, policy, backend, byte)| facts(name, policy, backend, byte))
        .to_vec();
    for (name, policy, backend, byte) in SERVICES {
        items.push(service(name, policy, byte));
        items.push(endpoints(name, backend));
        write(&format!("status-{name}.json"), status(byte).to_string());
    }
    write(
        "objects.json",
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string(),
    );
    let asked: Vec<Vec<(usize, Target)>> = PLACES
        .iter()
        .map(|(_, own, _)| {
            let of = |(index, facts)| {
                targets(facts, *own)
                    .into_iter()
                    .map(move |target| (index, target))
            };
            all.iter().enumerate().flat_map(of).collect()
        })
        .collect();
    for ((position, ..), asked) in PLACES.iter().zip(&asked) {
        let targets: Vec<Target> = asked.iter().map(|(_, target)| target.clone()).collect();
        write(
            &format!("plan-{position}.json"),
            serde_json::to_string(&plan(&targets)).unwrap(),
        );
    }
    // Virtual servers per Service: cluster IP, load balancer, external IP, and the node port on the node's two
    // addresses.
    write("servers", (SERVICES.len() * 5).to_string());

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ipvs/run");
    let output = Command::new(script).arg(folder.path()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let proxy = Proxy {
        detector: Detector::ClusterCidr(vec!["172.21.0.0/16".parse().unwrap()]),
        bridged_pods: Some(true),
        ..Proxy::with_defaults(ProxyMode::Ipvs)
    };
    let paths = Paths::of_network(Some(NetworkModel::Vpc));
    let paths = Paths {
        pods_masqueraded: Some(false),
        same_node_replies: Some(true),
        ..paths
    };
    let (mut compared, mut uncertain, mut differences) = (0, 0, Vec::new());
    for ((position, own, address), asked) in PLACES.iter().zip(&asked) {
        let said = said(&folder.join(format!("said-{position}.jsonl")));
        for (id, (index, target)) in (0..).zip(asked) {
            let facts = &all[*index];
            let world = World::of(facts, &proxy);
            let client = Client {
                network: position.network(),
                node: *own,
            };
            let forecast = world.connect(&paths, &facts.service, client, target);
            let cell = format!(
                "{position} to {} of {}, {}",
                target.kind, facts.service.name, target.address
            );
            for attempt in &said[&id] {
                match agrees(&forecast.outcome, &attempt.outcome) {
                    None => uncertain += 1,
                    Some(true) => compared += 1,
                    Some(false) => {
                        differences.push(format!(
                            "{cell}: predicted {}, observed {}",
                            forecast.outcome, attempt.outcome
                        ));
                    }
                }
                if let (
                    Network::Pod,
                    Some(kept),
                    Outcome::Answered {
                        echo: Some(echo), ..
                    },
                ) = (position.network(), forecast.client_kept, &attempt.outcome)
                    && (echo.client == Some(address.parse().unwrap())) != kept
                {
                    differences.push(format!(
                        "{cell}: predicted kept={kept}, the backend saw {:?}",
                        echo.client
                    ));
                }
            }
        }
    }
    println!(
        "{compared} attempts are as predicted; the model is not certain about {uncertain} more"
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 60, "only {compared} attempts were compared");
}
