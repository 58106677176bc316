//! iptables mode: `syncProxyRules` in `pkg/proxy/iptables/proxier.go`.
//!
//! A packet passes the nat chain KUBE-SERVICES first (in PREROUTING, or in OUTPUT for processes of the node). If no
//! rule there sends it to an endpoint, it passes the filter table: INPUT if it is for the node, FORWARD if it is for
//! another machine. A packet from a process of the node passes OUTPUT, and then INPUT if it is for the node.

use super::{
    Answer, ProxyAction,
    context::{Context, Detected, Mark, NodePortAddress},
    endpoints::Sets,
    rules::{self, Rule},
};
use crate::{
    model::world::{AddressKind, PortOf},
    position::Network,
};

pub(super) fn answer<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    nat(cx).unwrap_or_else(|| filter(cx))
}

/// The nat table; `None` if no rule there decides about the packet.
fn nat<'a>(cx: &Context<'_, 'a>) -> Option<Answer<'a>> {
    for (place, port) in cx.addressed() {
        let answer = match place {
            AddressKind::Cluster => cluster_ip(cx, port),
            AddressKind::External => external_ip(cx, port),
            AddressKind::LoadBalancer => load_balancer(cx, port),
        };
        if answer.is_some() {
            return answer;
        }
    }
    // The last rule is for node ports on addresses of the node.
    if cx.node_port_address() != NodePortAddress::Answers {
        return None;
    }
    cx.node_ports().find_map(|port| {
        let sets = cx.sets(port);
        if cx.external_local(port.service) {
            external_local(cx, port, &sets, &[rules::NODE_PORT])
        } else {
            external_cluster(cx, port, &sets, &[rules::NODE_PORT])
        }
    })
}

fn cluster_ip<'a>(cx: &Context<'_, 'a>, port: &PortOf<'a>) -> Option<Answer<'a>> {
    let sets = cx.sets(port);
    if !sets.any {
        return None;
    }
    let (mark, mark_rule) = cx.cluster_ip_mark();
    let mut why = vec![rules::CLUSTER_IP];
    let endpoints = if cx.version.since(24) && cx.internal_local(port.service) {
        why.push(rules::INTERNAL_LOCAL);
        why.extend(sets.local_rule);
        if sets.local.is_empty() {
            // Up to 1.24 a mark in nat drops the packet, later the filter table does. Both apply in every hook.
            return Some(cx.end(
                ProxyAction::Drop,
                Some(port.service),
                &[rules::CLUSTER_IP, rules::INTERNAL_LOCAL_DROP],
            ));
        }
        &sets.local
    } else {
        why.extend(sets.cluster_rule);
        &sets.cluster
    };
    why.extend(mark_rule);
    Some(cx.serve(port, endpoints, mark, &why, cx.client_ip))
}

fn external_ip<'a>(cx: &Context<'_, 'a>, port: &PortOf<'a>) -> Option<Answer<'a>> {
    let sets = cx.sets(port);
    if !sets.any {
        return None;
    }
    let local = cx.external_ip_local(port.service);
    let mut why = vec![if cx.version.since(20) {
        rules::EXTERNAL_IP
    } else {
        rules::EXTERNAL_IP_IGNORES_POLICY
    }];
    if !cx.version.since(21) && !cx.to_node() {
        // `physdev ! --physdev-is-in` and `addrtype ! --src-type LOCAL`.
        if cx.is_from_node() || cx.bridged() == Some(true) {
            return None;
        }
        if cx.bridged().is_none() {
            why.push(rules::EXTERNAL_IP_BRIDGE_UNKNOWN);
        }
    }
    if local {
        return external_local(cx, port, &sets, &why);
    }
    if cx.version.between(21, 23) {
        why.push(rules::CLUSTER_POLICY_EXTERNAL_IP);
        why.extend(sets.cluster_rule);
        let mark = match cx.detected() {
            Detected::Pod => Mark::Never,
            Detected::NotPod | Detected::Nothing => Mark::Always,
            Detected::Unknown if cx.client == Network::Pod => Mark::Unknown,
            Detected::Unknown => Mark::Always,
        };
        return Some(cx.serve(port, &sets.cluster, mark, &why, cx.client_ip));
    }
    external_cluster(cx, port, &sets, &why)
}

fn load_balancer<'a>(cx: &Context<'_, 'a>, port: &PortOf<'a>) -> Option<Answer<'a>> {
    let sets = cx.sets(port);
    if !sets.any {
        return None;
    }
    let mut why = vec![rules::LOAD_BALANCER];
    match cx.source_allowed(port.service, cx.client_ip) {
        Ok(rule) => why.extend(rule),
        Err(rule) => {
            // Up to 1.24 a mark in nat drops the packet, later KUBE-PROXY-FIREWALL in INPUT, OUTPUT and FORWARD does.
            why.push(rule);
            return Some(cx.end(ProxyAction::Drop, Some(port.service), &why));
        }
    }
    if cx.external_local(port.service) {
        external_local(cx, port, &sets, &why)
    } else {
        external_cluster(cx, port, &sets, &why)
    }
}

/// Policy Cluster for node ports, external IPs and load balancers.
fn external_cluster<'a>(
    cx: &Context<'_, 'a>,
    port: &PortOf<'a>,
    sets: &Sets<'_, 'a>,
    why: &[Rule],
) -> Option<Answer<'a>> {
    if !sets.any {
        return None;
    }
    let mut why = why.to_vec();
    why.push(rules::CLUSTER_POLICY);
    why.extend(sets.cluster_rule);
    Some(cx.serve(port, &sets.cluster, Mark::Always, &why, cx.client_ip))
}

/// Policy Local for node ports, external IPs and load balancers: the chain KUBE-XLB, since 1.24 KUBE-EXT.
pub(super) fn external_local<'a>(
    cx: &Context<'_, 'a>,
    port: &PortOf<'a>,
    sets: &Sets<'_, 'a>,
    why: &[Rule],
) -> Option<Answer<'a>> {
    if !sets.any {
        return None;
    }
    let mut why = why.to_vec();
    let pod = match cx.detected() {
        Detected::Pod => true,
        Detected::NotPod | Detected::Nothing => false,
        Detected::Unknown => {
            let pod = cx.client == Network::Pod;
            if pod {
                why.push(rules::LOCAL_POLICY_POD_ASSUMED);
            }
            pod
        }
    };
    if pod {
        why.push(rules::LOCAL_POLICY_POD);
        why.extend(sets.cluster_rule);
        return Some(cx.serve(port, &sets.cluster, Mark::Never, &why, cx.client_ip));
    }
    // 1.14 does not have this rule (kubernetes/kubernetes#77523).
    if cx.version.since(15) && cx.is_from_node() {
        why.push(rules::LOCAL_POLICY_HOST);
        why.extend(sets.cluster_rule);
        return Some(cx.serve(port, &sets.cluster, Mark::Always, &why, cx.client_ip));
    }
    if !sets.local.is_empty() {
        why.push(rules::LOCAL_POLICY);
        why.extend(sets.local_rule);
        let loopback = cx.client_ip.is_some_and(|ip| ip.is_loopback());
        let mark = if loopback { Mark::Always } else { Mark::Never };
        return Some(cx.serve(port, &sets.local, mark, &why, cx.client_ip));
    }
    if cx.version.since(25) {
        // Nothing matches here; the filter table drops it.
        return None;
    }
    why.push(rules::LOCAL_POLICY_DROP);
    Some(cx.end(ProxyAction::Drop, Some(port.service), &why))
}

/// The filter table.
fn filter<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    let output = cx.client == Network::Host;
    let input = cx.to_node();
    let forward = !output && !input;
    let mut touched: Option<(&PortOf<'a>, Rule)> = None;

    for (place, port) in cx.addressed() {
        let sets = cx.sets(port);
        match place {
            // KUBE-SERVICES is in FORWARD and OUTPUT, and up to 1.18 also in INPUT.
            AddressKind::Cluster if !sets.any => {
                if forward || output || !cx.version.since(19) {
                    return cx.end(
                        ProxyAction::Reject,
                        Some(port.service),
                        &[rules::CLUSTER_IP, rules::NO_ENDPOINTS],
                    );
                }
            }
            AddressKind::Cluster => {}
            AddressKind::External | AddressKind::LoadBalancer => {
                let place_rule = if place == AddressKind::External {
                    rules::EXTERNAL_IP
                } else {
                    rules::LOAD_BALANCER
                };
                let local = match place {
                    AddressKind::External => cx.external_ip_local(port.service),
                    AddressKind::Cluster | AddressKind::LoadBalancer => {
                        cx.external_local(port.service)
                    }
                };
                // KUBE-EXTERNAL-SERVICES is in INPUT, and since 1.19 also in FORWARD. Up to 1.18 a load balancer's
                // address without endpoints is in KUBE-SERVICES.
                let everywhere = place == AddressKind::LoadBalancer && !cx.version.since(19);
                let hooked = input || (forward && cx.version.since(19)) || everywhere;
                if !sets.any {
                    if hooked {
                        return cx.end(
                            ProxyAction::Reject,
                            Some(port.service),
                            &[place_rule, rules::NO_ENDPOINTS],
                        );
                    }
                    touched = Some((port, rules::NO_ENDPOINTS_OUTPUT));
                } else if cx.version.since(25) && local && sets.local.is_empty() && hooked {
                    return cx.end(
                        ProxyAction::Drop,
                        Some(port.service),
                        &[place_rule, rules::LOCAL_POLICY_DROP],
                    );
                } else if place == AddressKind::External && !cx.version.since(21) {
                    touched = Some((port, rules::EXTERNAL_IP_FROM_OUTSIDE));
                }
            }
        }
    }
    if input {
        // Node ports without endpoints are rejected on every address of the node; nodePortAddresses does not matter.
        for port in cx.node_ports() {
            let sets = cx.sets(port);
            if !sets.any {
                return cx.end(
                    ProxyAction::Reject,
                    Some(port.service),
                    &[rules::NODE_PORT, rules::NO_ENDPOINTS],
                );
            }
            if cx.version.since(25) && cx.external_local(port.service) && sets.local.is_empty() {
                return cx.end(
                    ProxyAction::Drop,
                    Some(port.service),
                    &[rules::NODE_PORT, rules::LOCAL_POLICY_DROP],
                );
            }
            touched = Some((
                port,
                if cx.ip.is_loopback() {
                    rules::NODE_PORT_LOOPBACK
                } else {
                    rules::NODE_PORT_ADDRESS
                },
            ));
        }
        // KUBE-NODEPORTS is in INPUT since 1.21.
        if let Some(service) = cx.health_check() {
            return if cx.version.since(21) {
                cx.end(
                    ProxyAction::Accept,
                    Some(service),
                    &[rules::HEALTH_CHECK_ACCEPT],
                )
            } else {
                cx.end(
                    ProxyAction::None,
                    Some(service),
                    &[rules::HEALTH_CHECK_LISTENER],
                )
            };
        }
    }
    match touched {
        Some((port, rule)) => cx.end(ProxyAction::None, Some(port.service), &[rule]),
        None => left_alone(cx),
    }
}

/// No rule mentions this address and port.
pub(super) fn left_alone<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    if let Some(owners) = cx.world.owned.get(&cx.ip)
        && let Some(&(_, service)) = owners.iter().find(|&&(place, service)| {
            place == AddressKind::LoadBalancer && !cx.is_vip(service, cx.ip)
        })
    {
        return cx.end(
            ProxyAction::None,
            Some(service),
            &[rules::LOAD_BALANCER_PROXY],
        );
    }
    if cx.node.external_ips.contains(&cx.ip) && !cx.to_node() {
        return cx.end(ProxyAction::None, None, &[rules::PUBLIC_NODE_ADDRESS]);
    }
    let rule = if cx.to_node() {
        rules::NO_RULE_NODE_PORT
    } else {
        rules::NO_RULE
    };
    cx.end(ProxyAction::None, None, &[rule])
}
