//! nftables mode: `syncProxyRules` and `setupNFTables` in `pkg/proxy/nftables/proxier.go` (1.29 and later).
//!
//! The rules are those of iptables mode since 1.25, with other hooks:
//!
//! - The source ranges are checked before anything else.
//! - Services without endpoints are looked up in INPUT, FORWARD and OUTPUT.
//! - If a Service has the cluster IP but not the port, the packet is rejected.

use super::{
    Answer, ProxyAction,
    context::{Context, Mark, NodePortAddress},
    endpoints::Sets,
    iptables,
    rules::{self, Rule},
};
use crate::{
    model::{
        version::Version,
        world::{AddressKind, Family, PortOf},
    },
    position::Network,
};

/// The first versions whose OUTPUT checks come after the destination is rewritten.
///
/// In earlier versions, a node without endpoints drops packets of its own processes to an external address under policy
/// Local, although a later rule would send them to an endpoint (kubernetes/kubernetes#131765; fixed by #132456 in 1.34
/// and by #133969 in 1.33: `filter-output-pre-dnat` is absent in v1.33.5 and present in v1.33.6
/// `pkg/proxy/nftables/proxier.go`).
const OUTPUT_AFTER_DNAT: [Version; 2] = [Version::new(1, 33, 6), Version::new(1, 34, 0)];

pub(super) fn answer<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    firewall(cx)
        .or_else(|| early_output(cx))
        .or_else(|| nat(cx))
        .unwrap_or_else(|| filter(cx))
}

/// `firewall-check`, in filter-prerouting and filter-output, with or without endpoints. In 1.29, which was alpha, its
/// hooks see forwarded packets too late (kubernetes/kubernetes#122614). The model ignores that bug.
fn firewall<'a>(cx: &Context<'_, 'a>) -> Option<Answer<'a>> {
    cx.addressed()
        .filter(|&(place, _)| place == AddressKind::LoadBalancer)
        .find_map(|(_, port)| {
            let rule = cx.source_allowed(port.service, cx.client_ip).err()?;
            Some(cx.end(
                ProxyAction::Drop,
                Some(port.service),
                &[rules::LOAD_BALANCER, rule],
            ))
        })
}

/// Before [`OUTPUT_AFTER_DNAT`], packets of the node's processes are checked before their destination is rewritten.
fn early_output<'a>(cx: &Context<'_, 'a>) -> Option<Answer<'a>> {
    let fixed = OUTPUT_AFTER_DNAT
        .iter()
        .any(|first| cx.version.minor == first.minor && cx.version >= *first)
        || cx.version.since(35);
    if fixed || cx.client != Network::Host {
        return None;
    }
    let drops = |port: &PortOf<'a>| {
        let sets = cx.sets(port);
        cx.external_local(port.service) && sets.any && sets.local.is_empty()
    };
    let external = cx
        .addressed()
        .find(|(place, port)| *place != AddressKind::Cluster && drops(port))
        .map(|(_, port)| port);
    // 1.29 also checks node ports there.
    let node_port = || {
        cx.node_ports()
            .find(|port| !cx.version.since(30) && is_node_port(cx) && drops(port))
    };
    external.or_else(node_port).map(|port| {
        cx.end(
            ProxyAction::Drop,
            Some(port.service),
            &[rules::LOCAL_POLICY_DROP, rules::LOCAL_POLICY_DROP_OUTPUT],
        )
    })
}

/// The nat chains; `None` if no rule there decides about the packet.
fn nat<'a>(cx: &Context<'_, 'a>) -> Option<Answer<'a>> {
    for (place, port) in cx.addressed() {
        let sets = cx.sets(port);
        let answer = match place {
            AddressKind::Cluster => cluster_ip(cx, port, &sets),
            AddressKind::External => external(cx, port, &sets, rules::EXTERNAL_IP),
            AddressKind::LoadBalancer => external(cx, port, &sets, rules::LOAD_BALANCER),
        };
        if answer.is_some() {
            return answer;
        }
    }
    if !is_node_port(cx) {
        return None;
    }
    cx.node_ports()
        .find_map(|port| external(cx, port, &cx.sets(port), rules::NODE_PORT))
}

fn is_node_port(cx: &Context<'_, '_>) -> bool {
    cx.node_port_address() == NodePortAddress::Answers
}

fn cluster_ip<'a>(
    cx: &Context<'_, 'a>,
    port: &PortOf<'a>,
    sets: &Sets<'_, 'a>,
) -> Option<Answer<'a>> {
    if !sets.any {
        return None;
    }
    let (mark, mark_rule) = cx.cluster_ip_mark();
    let mut why = vec![rules::CLUSTER_IP];
    let endpoints = if cx.internal_local(port.service) {
        if sets.local.is_empty() {
            return Some(cx.end(
                ProxyAction::Drop,
                Some(port.service),
                &[rules::CLUSTER_IP, rules::INTERNAL_LOCAL_DROP],
            ));
        }
        why.push(rules::INTERNAL_LOCAL);
        why.extend(sets.local_rule);
        &sets.local
    } else {
        why.extend(sets.cluster_rule);
        &sets.cluster
    };
    why.extend(mark_rule);
    Some(cx.serve(port, endpoints, mark, &why, cx.client_ip))
}

fn external<'a>(
    cx: &Context<'_, 'a>,
    port: &PortOf<'a>,
    sets: &Sets<'_, 'a>,
    place: Rule,
) -> Option<Answer<'a>> {
    if !sets.any {
        return None;
    }
    let mut why = vec![place];
    if cx.external_local(port.service) {
        return iptables::external_local(cx, port, sets, &why);
    }
    why.push(rules::CLUSTER_POLICY);
    why.extend(sets.cluster_rule);
    Some(cx.serve(port, &sets.cluster, Mark::Always, &why, cx.client_ip))
}

/// The filter chains: `service-endpoints-check`, `nodeport-endpoints-check` and `cluster-ips-check`.
fn filter<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    for (place, port) in cx.addressed() {
        let place_rule = match place {
            AddressKind::Cluster => rules::CLUSTER_IP,
            AddressKind::External => rules::EXTERNAL_IP,
            AddressKind::LoadBalancer => rules::LOAD_BALANCER,
        };
        let sets = cx.sets(port);
        if !sets.any {
            return cx.end(
                ProxyAction::Reject,
                Some(port.service),
                &[place_rule, rules::NO_ENDPOINTS],
            );
        }
        if place != AddressKind::Cluster && cx.external_local(port.service) && sets.local.is_empty()
        {
            return cx.end(
                ProxyAction::Drop,
                Some(port.service),
                &[place_rule, rules::LOCAL_POLICY_DROP],
            );
        }
    }
    if cx.to_node() {
        // If all addresses answer node ports, every address except loopback is checked. Otherwise only those that
        // answer are.
        let checked = if cx.all_node_port_addresses() {
            !cx.ip.is_loopback()
        } else {
            is_node_port(cx)
        };
        if let Some(port) = cx.node_ports().next() {
            let sets = cx.sets(port);
            if checked && !sets.any {
                return cx.end(
                    ProxyAction::Reject,
                    Some(port.service),
                    &[rules::NODE_PORT, rules::NO_ENDPOINTS],
                );
            }
            if checked && cx.external_local(port.service) && sets.local.is_empty() {
                return cx.end(
                    ProxyAction::Drop,
                    Some(port.service),
                    &[rules::NODE_PORT, rules::LOCAL_POLICY_DROP],
                );
            }
            let rule = if cx.ip.is_loopback() {
                rules::NODE_PORT_LOOPBACK
            } else {
                rules::NODE_PORT_PRIMARY
            };
            return cx.end(ProxyAction::None, Some(port.service), &[rule]);
        }
        if let Some(service) = cx.health_check() {
            return cx.end(
                ProxyAction::None,
                Some(service),
                &[rules::HEALTH_CHECK_LISTENER],
            );
        }
        return iptables::left_alone(cx);
    }
    if cx.version.since(30) {
        let owners = cx.world.owned.get(&cx.ip).into_iter().flatten();
        if let Some(&(_, service)) = owners
            .clone()
            .find(|&&(place, _)| place == AddressKind::Cluster)
        {
            return cx.end(
                ProxyAction::Reject,
                Some(service),
                &[rules::NFT_INVALID_PORT],
            );
        }
        let unallocated = cx
            .proxy
            .service_cidrs
            .iter()
            .filter(|range| Family::of(range.network()) == cx.family)
            .any(|range| range.contains(&cx.ip));
        if unallocated {
            return cx.end(ProxyAction::Drop, None, &[rules::NFT_UNALLOCATED]);
        }
    }
    iptables::left_alone(cx)
}
