//! The nodes, Services and endpoints of the network in `tests/ipvs`.

use serde_json::{Value, json};
use std::net::IpAddr;
use svc_reach_common::{
    facts::{Facts, FurtherNodes, Node, Service},
    objects::ServiceEndpoints,
    position::Position,
    protocol::Protocol,
    target::{NodeRole, Relation, Scope, Target, TargetKind},
};

/// IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

/// How many nodes there are: one that runs the backend of most Services, and one that does not.
pub const NODES: u8 = 2;

/// Families of a cluster whose kube-proxy knows both.
pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

/// Each position, the node that it is on, and its own addresses. The position `external` has no node.
pub const PLACES: [(Position, Option<&str>, [&str; 2]); 5] = [
    (
        Position::NodeSame,
        Some("node-1"),
        ["192.168.70.11", "fd00:70::11"],
    ),
    (
        Position::NodeOther,
        Some("node-2"),
        ["192.168.70.12", "fd00:70::12"],
    ),
    (
        Position::PodSame,
        Some("node-1"),
        ["172.21.1.20", "fd00:21:0:1::20"],
    ),
    (
        Position::PodOther,
        Some("node-2"),
        ["172.21.2.20", "fd00:21:0:2::20"],
    ),
    (Position::External, None, ["192.168.70.100", "fd00:70::100"]),
];

/// A backend: its node, its addresses, its port, and whether it is terminating.
type Backend = (&'static str, [&'static str; 2], u16, bool);

const ON_NODE_1: Backend = ("node-1", ["172.21.1.10", "fd00:21:0:1::10"], 8080, false);
const ON_NODE_2: Backend = ("node-2", ["172.21.2.10", "fd00:21:0:2::10"], 8080, false);
const ON_HOST: Backend = ("node-1", ["192.168.70.11", "fd00:70::11"], 18080, false);
const ENDING: Backend = ("node-1", ["172.21.1.10", "fd00:21:0:1::10"], 8080, true);

/// A Service of type LoadBalancer, with external IPs.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub name: &'static str,
    /// The last byte of its addresses, and of its node port.
    byte: u8,
    external_local: bool,
    internal_local: bool,
    backends: &'static [Backend],
    ranges: &'static [&'static str],
}

const fn sample(name: &'static str, byte: u8, backends: &'static [Backend]) -> Sample {
    Sample {
        name,
        byte,
        external_local: false,
        internal_local: false,
        backends,
        ranges: &[],
    }
}

/// node-2 and its pods.
const RANGES: &[&str] = &[
    "192.168.70.12/32",
    "172.21.2.0/24",
    "fd00:70::12/128",
    "fd00:21:0:2::/64",
];

/// Every Service.
pub const SAMPLES: [Sample; 9] = [
    sample("cluster", 11, &[ON_NODE_1]),
    Sample {
        external_local: true,
        ..sample("local", 12, &[ON_NODE_1])
    },
    sample("empty", 13, &[]),
    Sample {
        internal_local: true,
        ..sample("internal-local", 15, &[ON_NODE_1])
    },
    Sample {
        external_local: true,
        ..sample("two-local", 17, &[ON_NODE_1, ON_NODE_2])
    },
    sample("host", 18, &[ON_HOST]),
    sample("ending", 20, &[ENDING]),
    Sample {
        ranges: RANGES,
        ..sample("ranges", 21, &[ON_NODE_1])
    },
    Sample {
        external_local: true,
        ranges: RANGES,
        ..sample("ranges-local", 22, &[ON_NODE_1])
    },
];

/// The values of these families.
fn of<T: Copy>(values: [T; 2], families: &[Family]) -> Vec<T> {
    let index = |family: &Family| match family {
        Family::V4 => 0,
        Family::V6 => 1,
    };
    families
        .iter()
        .map(|family| values[index(family)])
        .collect()
}

fn both(first: String, second: String, families: &[Family]) -> Vec<String> {
    of([first.as_str(), second.as_str()], families)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// A Node object.
pub fn node(index: u8, families: &[Family]) -> Value {
    let pods = both(
        format!("172.21.{index}.0/24"),
        format!("fd00:21:0:{index}::/64"),
        families,
    );
    let addresses: Vec<Value> = both(
        format!("192.168.70.1{index}"),
        format!("fd00:70::1{index}"),
        families,
    )
    .into_iter()
    .map(|address| json!({"type": "InternalIP", "address": address}))
    .collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": format!("node-{index}")},
        "spec": {"podCIDR": pods[0], "podCIDRs": pods},
        "status": {
            "addresses": addresses,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

impl Sample {
    /// Its Service object, as a kube-proxy with these families sees it.
    pub fn service(self, families: &[Family]) -> Value {
        let byte = self.byte;
        let policy = |local: bool| if local { "Local" } else { "Cluster" };
        let cluster_ips = both(
            format!("10.249.0.{byte}"),
            format!("fd00:249::{byte}"),
            families,
        );
        let names = of(["IPv4", "IPv6"], families);
        let balancer: Vec<Value> = both(
            format!("203.0.113.{byte}"),
            format!("2001:db8:b::{byte}"),
            families,
        )
        .into_iter()
        .map(|address| json!({"ip": address}))
        .collect();
        let mut object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": "default"},
            "spec": {
                "type": "LoadBalancer",
                "clusterIP": cluster_ips[0],
                "clusterIPs": cluster_ips,
                "ipFamilies": names,
                "ipFamilyPolicy": if families.len() > 1 { "RequireDualStack" } else { "SingleStack" },
                "externalIPs": both(
                    format!("198.51.100.{byte}"), format!("2001:db8:e::{byte}"), families,
                ),
                "externalTrafficPolicy": policy(self.external_local),
                "internalTrafficPolicy": policy(self.internal_local),
                "ports": [{
                    "port": 80, "targetPort": 8080, "nodePort": 30000 + u16::from(byte), "protocol": "TCP",
                }],
            },
            "status": {"loadBalancer": {"ingress": balancer}},
        });
        if self.external_local {
            object["spec"]["healthCheckNodePort"] = (32000 + u16::from(byte)).into();
        }
        if !self.ranges.is_empty() {
            object["spec"]["loadBalancerSourceRanges"] = json!(self.ranges);
        }
        object
    }

    /// Its core Endpoints object, which kube-proxies up to 1.20 read here.
    pub fn endpoints(self) -> Value {
        let subset = |&(node, addresses, port, ending): &Backend| {
            let kind = if ending {
                "notReadyAddresses"
            } else {
                "addresses"
            };
            json!({
                kind: [{"ip": addresses[0], "nodeName": node}],
                "ports": [{"port": port, "protocol": "TCP"}],
            })
        };
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": self.name, "namespace": "default"},
            "subsets": self.backends.iter().map(subset).collect::<Vec<Value>>(),
        })
    }

    /// Its EndpointSlices, one for each backend and family.
    pub fn slices(self) -> Vec<Value> {
        let slice = |&(node, addresses, port, ending): &Backend, family: Family| {
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{}-{node}-{family:?}", self.name).to_lowercase(), "namespace": "default",
                    "labels": {"kubernetes.io/service-name": self.name},
                },
                "addressType": of(["IPv4", "IPv6"], &[family])[0],
                "endpoints": [{
                    "addresses": of(addresses, &[family]),
                    "conditions": {"ready": !ending, "serving": true, "terminating": ending},
                    "nodeName": node,
                }],
                "ports": [{"name": "", "port": port, "protocol": "TCP"}],
            })
        };
        self.backends
            .iter()
            .flat_map(|backend| BOTH.map(|family| slice(backend, family)))
            .collect()
    }

    /// What a plugin would read about it. With IPv4 alone, the endpoints come from the core Endpoints.
    pub fn facts(self, families: &[Family]) -> Facts {
        let endpoints = if families == BOTH {
            self.slices()
                .iter()
                .flat_map(|slice| ServiceEndpoints::from_slice(slice).unwrap().endpoints)
                .collect()
        } else {
            ServiceEndpoints::from_endpoints(&self.endpoints())
                .unwrap()
                .endpoints
        };
        Facts {
            service: Service::try_from(&self.service(families)).unwrap(),
            endpoints,
            nodes: (1..=NODES)
                .map(|index| Node::try_from(&node(index, families)).unwrap())
                .collect::<Vec<_>>()
                .into(),
            further_nodes: FurtherNodes::None,
            changed: None,
            server_version: None,
            routes: Ok(Vec::new()),
        }
    }
}

/// The targets of a Service that are checked from a position on node `own`. `None`: the position `external`.
pub fn targets(facts: &Facts, own: Option<&str>) -> Vec<Target> {
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
        route: None,
    };
    let mut targets = Vec::new();
    for node in facts.nodes.iter() {
        let role = if facts.runs_backend(&node.name) {
            NodeRole::Backend
        } else {
            NodeRole::Other
        };
        let relation = if own == Some(&node.name) {
            Relation::Own
        } else {
            Relation::Remote
        };
        let mut add = |kind, address, port| {
            targets.push(Target {
                node: Some(node.name.clone()),
                node_role: Some(role),
                relation: Some(relation),
                scope: Some(Scope::Private),
                ..target(kind, address, port)
            });
        };
        for &address in &node.internal_ips {
            add(
                TargetKind::NodePort,
                address,
                service.ports[0].node_port.unwrap(),
            );
            if let Some(port) = service.health_check_node_port {
                add(TargetKind::HealthCheckNodePort, address, port);
            }
        }
    }
    for &address in &service.external_ips {
        targets.push(target(TargetKind::ExternalIp, address, port));
    }
    // This network has no routes from outside to the other addresses.
    if own.is_some() {
        for &address in &service.cluster_ips {
            targets.push(target(TargetKind::ClusterIp, address, port));
        }
        for address in service.load_balancer.iter().filter_map(|entry| entry.ip) {
            targets.push(target(TargetKind::LoadBalancer, address, port));
        }
    }
    targets
}
