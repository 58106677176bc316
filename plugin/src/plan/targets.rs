//! The addresses of the Service that a position requests. Pure.
//!
//! Only this file knows how to find the targets of each kind.

use super::placement::Placement;
use std::{net::IpAddr, num::NonZeroU16};
use svc_reach_common::provider::elb;
use svc_reach_common::{
    facts::{Endpoint, Facts, Node, ServedRoute, ServicePort, ServiceType},
    position::Position,
    protocol::Protocol,
    target::{NodeRole, Relation, Scope, Target, TargetKind},
};

/// How many backends are requested directly. This distinguishes a dead backend from a Service that does not forward. A
/// few are enough, and a Service can have thousands.
pub const DIRECT_BACKENDS: usize = 4;

/// How many addresses of Ingresses are requested. A Service can have hundreds of hosts and paths, which share them.
const ROUTES: usize = 4;

/// Every target of a position, sorted by kind.
pub fn targets(facts: &Facts, placement: &Placement, position: Position) -> Vec<Target> {
    TargetKind::ALL
        .iter()
        .flat_map(|kind| of_kind(*kind, facts, placement, position))
        .collect()
}

fn of_kind(
    kind: TargetKind,
    facts: &Facts,
    placement: &Placement,
    position: Position,
) -> Vec<Target> {
    let service = &facts.service;
    let own = placement.node(position).and_then(Result::ok);
    match kind {
        TargetKind::PodIp => pod_ips(facts, own),
        TargetKind::ClusterIp => at_ports(
            kind,
            service.cluster_ips.iter().map(ToString::to_string),
            &service.ports,
        ),
        TargetKind::Dns => dns(facts),
        TargetKind::NodePort => placement
            .asked
            .iter()
            .filter_map(|at| facts.nodes.get(*at))
            .flat_map(|node| {
                service
                    .ports
                    .iter()
                    .filter_map(|port| Some((port, port.node_port?)))
                    .flat_map(move |(port, number)| {
                        of_node(
                            kind,
                            facts,
                            node,
                            own,
                            number,
                            port.protocol,
                            port.name.as_deref(),
                        )
                    })
            })
            .collect(),
        // A DNAT gateway's address is in the same place as a load balancer's.
        TargetKind::LoadBalancer | TargetKind::Dnat
            if (kind == TargetKind::Dnat)
                == (elb::class(service) == Some(elb::ElbClass::DnatGateway)) =>
        {
            service
                .load_balancer
                .iter()
                .filter_map(|ingress| match (ingress.ip, &ingress.hostname) {
                    (Some(ip), _) => Some((ip.to_string(), Some(Scope::of(ip)))),
                    (None, Some(hostname)) => Some((hostname.clone(), None)),
                    (None, None) => None,
                })
                .chain(
                    service
                        .unlisted_addresses
                        .iter()
                        .map(|ip| (ip.to_string(), Some(Scope::of(*ip)))),
                )
                .flat_map(|(address, scope)| {
                    at_ports(kind, [address], &service.ports)
                        .into_iter()
                        .map(move |target| Target { scope, ..target })
                })
                .collect()
        }
        TargetKind::ExternalIp => service
            .external_ips
            .iter()
            .flat_map(|ip| {
                at_ports(kind, [ip.to_string()], &service.ports)
                    .into_iter()
                    .map(|target| Target {
                        scope: Some(Scope::of(*ip)),
                        ..target
                    })
            })
            .collect(),
        TargetKind::HealthCheckNodePort => placement
            .asked
            .iter()
            .filter_map(|at| facts.nodes.get(*at))
            .zip(service.health_check_node_port.into_iter().cycle())
            .flat_map(|(node, number)| of_node(kind, facts, node, own, number, Protocol::Tcp, None))
            .collect(),
        TargetKind::Ingress => facts
            .routes
            .iter()
            .flatten()
            .flat_map(routed)
            .take(ROUTES)
            .collect(),
        TargetKind::LoadBalancer | TargetKind::Dnat => Vec::new(),
    }
}

/// The addresses of an Ingress.
fn routed(served: &ServedRoute) -> impl Iterator<Item = Target> {
    served.addresses.iter().map(|address| Target {
        scope: address.parse().ok().map(Scope::of),
        route: Some(served.route.clone()),
        ..target(
            TargetKind::Ingress,
            address.clone(),
            served.port,
            Protocol::Tcp,
            served.port_name.as_deref(),
        )
    })
}

fn target(
    kind: TargetKind,
    address: String,
    port: NonZeroU16,
    protocol: Protocol,
    port_name: Option<&str>,
) -> Target {
    Target {
        kind,
        address,
        port,
        protocol,
        port_name: port_name.map(str::to_owned),
        node: None,
        node_role: None,
        relation: None,
        scope: None,
        route: None,
    }
}

fn at_ports(
    kind: TargetKind,
    addresses: impl IntoIterator<Item = String>,
    ports: &[ServicePort],
) -> Vec<Target> {
    addresses
        .into_iter()
        .flat_map(|address| {
            ports.iter().map(move |port| {
                target(
                    kind,
                    address.clone(),
                    port.port,
                    port.protocol,
                    port.name.as_deref(),
                )
            })
        })
        .collect()
}

/// A few backends. The first backend of each node comes before the second of any.
fn pod_ips(facts: &Facts, own: Option<&str>) -> Vec<Target> {
    let mut ready: Vec<&Endpoint> = facts
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ready)
        .collect();
    ready.sort_by_key(|endpoint| (&endpoint.node, endpoint.address));
    let mut chosen: Vec<&Endpoint> = Vec::new();
    for first_of_node in [true, false] {
        for endpoint in &ready {
            let known = chosen.iter().any(|other| other.address == endpoint.address);
            let new_node = !chosen.iter().any(|other| other.node == endpoint.node);
            if !known && (new_node || !first_of_node) && chosen.len() < DIRECT_BACKENDS {
                chosen.push(endpoint);
            }
        }
    }
    chosen
        .iter()
        .flat_map(|endpoint| {
            endpoint.ports.iter().map(move |port| Target {
                node: endpoint.node.clone(),
                node_role: endpoint.node.as_ref().map(|_| NodeRole::Backend),
                relation: relation(endpoint.node.as_deref(), own),
                ..target(
                    TargetKind::PodIp,
                    endpoint.address.to_string(),
                    port.port,
                    port.protocol,
                    port.name.as_deref(),
                )
            })
        })
        .collect()
}

/// The Service's name without the cluster's domain. The domain is in the search list of every pod, but not in the API.
fn dns(facts: &Facts) -> Vec<Target> {
    let service = &facts.service;
    let name = format!("{}.{}.svc", service.name, service.namespace);
    if !service.headless || service.kind == ServiceType::ExternalName {
        return at_ports(TargetKind::Dns, [name], &service.ports);
    }
    // The name of a headless Service leads to its backends directly, so it is their ports that answer.
    service
        .ports
        .iter()
        .map(|port| {
            let backend = facts
                .endpoints
                .iter()
                .flat_map(|endpoint| &endpoint.ports)
                .find(|p| p.name == port.name);
            let number = backend.map_or(port.port, |backend| backend.port);
            target(
                TargetKind::Dns,
                name.clone(),
                number,
                port.protocol,
                port.name.as_deref(),
            )
        })
        .collect()
}

fn of_node<'a>(
    kind: TargetKind,
    facts: &Facts,
    node: &'a Node,
    own: Option<&str>,
    number: NonZeroU16,
    protocol: Protocol,
    port_name: Option<&'a str>,
) -> impl Iterator<Item = Target> + use<'a> {
    let role = if facts.runs_backend(&node.name) {
        NodeRole::Backend
    } else {
        NodeRole::Other
    };
    let relation = relation(Some(&node.name), own);
    let private = node.internal_ips.iter().map(|ip| (ip, Scope::Private));
    let public = node.external_ips.iter().map(|ip| (ip, Scope::Public));
    // kube-proxy serves a Service in the families of its cluster IPs only (kubernetes/kubernetes v1.37.2
    // `pkg/proxy/servicechangetracker.go`, `serviceToServiceMap`).
    let cluster_ips = &facts.service.cluster_ips;
    let families = [false, true].map(|v6| {
        cluster_ips.is_empty() || cluster_ips.iter().any(|ip: &IpAddr| ip.is_ipv6() == v6)
    });
    let served = move |ip: &IpAddr| families[usize::from(ip.is_ipv6())];
    let addresses = private.chain(public).filter(move |(ip, _)| served(ip));
    addresses.map(move |(ip, scope)| Target {
        node: Some(node.name.clone()),
        node_role: Some(role),
        relation,
        scope: Some(scope),
        route: None,
        ..target(kind, ip.to_string(), number, protocol, port_name)
    })
}

fn relation(node: Option<&str>, own: Option<&str>) -> Option<Relation> {
    match (node, own) {
        (Some(node), Some(own)) if node == own => Some(Relation::Own),
        (Some(_), _) => Some(Relation::Remote),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::targets;
    use crate::{
        plan::placement::place,
        testing::{endpoint, facts, node, nodes_mut, port, probe_settings},
    };
    use svc_reach_common::{
        facts::{EndpointPort, Facts, Ingress, ServicePort, ServiceType},
        position::Position,
        protocol::Protocol,
        target::TargetKind,
    };

    /// Targets as text: kind, address, port, and what is known about the node.
    fn short(facts: &Facts, position: Position) -> Vec<String> {
        let placement = place(&[facts], &probe_settings()).remove(0);
        targets(facts, &placement, position)
            .iter()
            .map(|target| {
                let mut text = format!("{} {}:{}", target.kind, target.address, target.port);
                if target.protocol != Protocol::Tcp {
                    text += &format!("/{}", target.protocol);
                }
                for word in [
                    target.node_role.map(|w| w.to_string()),
                    target.relation.map(|w| w.to_string()),
                    target.scope.map(|w| w.to_string()),
                ]
                .into_iter()
                .flatten()
                {
                    text += &format!(" {word}");
                }
                text
            })
            .collect()
    }

    fn three_nodes() -> Facts {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1), node("c", 2)].into();
        facts.endpoints = vec![endpoint("a", 0)];
        facts
    }

    #[test]
    fn a_node_port_service_from_a_node_without_a_backend() {
        assert_eq!(
            short(&three_nodes(), Position::NodeOther),
            [
                "pod-ip 172.16.0.10:8080 backend remote",
                "cluster-ip 10.247.0.7:80",
                "dns nginx.default.svc:80",
                "node-port 192.168.0.10:30080 backend remote private",
                "node-port 192.168.0.11:30080 other own private",
                "node-port 192.168.0.12:30080 other remote private",
            ]
        );
    }

    #[test]
    fn a_load_balancer_service_with_everything() {
        let mut facts = three_nodes();
        nodes_mut(&mut facts).truncate(1);
        nodes_mut(&mut facts)[0].external_ips = vec!["203.0.113.5".parse().unwrap()];
        facts.service.kind = ServiceType::LoadBalancer;
        facts.service.health_check_node_port = Some(port(31000));
        facts.service.external_ips = vec!["198.51.100.7".parse().unwrap()];
        facts.service.load_balancer = vec![
            Ingress {
                ip: Some("192.168.0.200".parse().unwrap()),
                hostname: None,
                ip_mode: None,
            },
            Ingress {
                ip: Some("203.0.113.9".parse().unwrap()),
                hostname: None,
                ip_mode: None,
            },
            Ingress {
                ip: None,
                hostname: Some("lb.example".into()),
                ip_mode: None,
            },
        ];
        assert_eq!(
            short(&facts, Position::PodSame)[3..],
            [
                "node-port 192.168.0.10:30080 backend own private",
                "node-port 203.0.113.5:30080 backend own public",
                "load-balancer 192.168.0.200:80 private",
                "load-balancer 203.0.113.9:80 public",
                "load-balancer lb.example:80",
                "external-ip 198.51.100.7:80 public",
                "health-check-node-port 192.168.0.10:31000 backend own private",
                "health-check-node-port 203.0.113.5:31000 backend own public",
            ]
        );
    }

    #[test]
    fn node_addresses_have_the_families_of_the_service() {
        let v6 = "fd00::7".parse().unwrap();
        let mut facts = three_nodes();
        nodes_mut(&mut facts).truncate(1);
        nodes_mut(&mut facts)[0]
            .internal_ips
            .push("fd00::1".parse().unwrap());
        facts.service.health_check_node_port = Some(port(31000));
        let v4 = facts.service.cluster_ips[0];
        for (cluster_ips, expected) in [
            (vec![v4], &["192.168.0.10"][..]),
            (vec![v6], &["fd00::1"]),
            (vec![v4, v6], &["192.168.0.10", "fd00::1"]),
            (vec![], &["192.168.0.10", "fd00::1"]),
        ] {
            facts.service.cluster_ips.clone_from(&cluster_ips);
            let placement = place(&[&facts], &probe_settings()).remove(0);
            let targets = targets(&facts, &placement, Position::PodSame);
            for kind in [TargetKind::NodePort, TargetKind::HealthCheckNodePort] {
                let of_kind = targets.iter().filter(|target| target.kind == kind);
                let addresses: Vec<&str> = of_kind.map(|target| target.address.as_str()).collect();
                assert_eq!(addresses, expected, "{kind} of {cluster_ips:?}");
            }
        }
    }

    #[test]
    fn a_headless_name_uses_the_port_of_the_backend() {
        let mut facts = three_nodes();
        facts.service.kind = ServiceType::ClusterIp;
        facts.service.headless = true;
        facts.service.cluster_ips.clear();
        facts.service.ports[0].node_port = None;
        assert_eq!(
            short(&facts, Position::PodOther),
            [
                "pod-ip 172.16.0.10:8080 backend remote",
                "dns nginx.default.svc:8080"
            ]
        );
    }

    #[test]
    fn every_port_keeps_its_protocol() {
        let mut facts = three_nodes();
        facts.service.ports = [
            ("web", Protocol::Tcp, 80),
            ("dns", Protocol::Udp, 53),
            ("sig", Protocol::Sctp, 2905),
        ]
        .map(|(name, protocol, number)| ServicePort {
            name: Some(name.into()),
            protocol,
            port: port(number),
            node_port: None,
            target_port: None,
            app_protocol: None,
        })
        .to_vec();
        facts.endpoints[0].ports = vec![EndpointPort {
            name: Some("dns".into()),
            protocol: Protocol::Udp,
            port: port(5353),
        }];
        assert_eq!(
            short(&facts, Position::PodOther)[..4],
            [
                "pod-ip 172.16.0.10:5353/UDP backend remote",
                "cluster-ip 10.247.0.7:80",
                "cluster-ip 10.247.0.7:53/UDP",
                "cluster-ip 10.247.0.7:2905/SCTP",
            ]
        );
    }

    #[test]
    fn a_few_backends_on_different_nodes_are_requested_directly() {
        let mut facts = three_nodes();
        facts.endpoints = ["a", "a", "a", "a", "b", "c"]
            .iter()
            .enumerate()
            .map(|(i, n)| endpoint(n, i))
            .collect();
        let asked: Vec<_> = short(&facts, Position::PodSame)
            .into_iter()
            .filter(|text| text.starts_with("pod-ip"))
            .collect();
        assert_eq!(
            asked,
            [
                "pod-ip 172.16.0.10:8080 backend own",
                "pod-ip 172.16.0.14:8080 backend remote",
                "pod-ip 172.16.0.15:8080 backend remote",
                "pod-ip 172.16.0.11:8080 backend own",
            ]
        );
    }
}
