//! ipvs mode: `syncProxyRules`, `syncEndpoint` and `writeIptablesRules` in `pkg/proxy/ipvs/proxier.go`.
//!
//! Every address and port of a Service is a virtual server with real servers. It serves pods, processes of the node and
//! clients outside in the same way. Every node gets the Service's addresses on its device `kube-ipvs0`, except the
//! node's own addresses.

use super::{
    Answer, ProxyAction,
    context::{Context, Detected, Mark, NodePortAddress},
    iptables,
    rules::{self, Rule},
};
use crate::{
    facts::Service,
    model::world::{AddressKind, PortOf},
    position::Network,
    protocol::Protocol,
};
use std::net::IpAddr;

/// The kind of a virtual server's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    ClusterIp,
    ExternalIp,
    LoadBalancer,
    NodePort,
}

pub(super) fn answer<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    let addressed = cx.addressed().map(|(place, port)| {
        let server = match place {
            AddressKind::Cluster => Server::ClusterIp,
            AddressKind::External => Server::ExternalIp,
            AddressKind::LoadBalancer => Server::LoadBalancer,
        };
        (server, port)
    });
    let node_port_answers = cx.node_port_address() == NodePortAddress::Answers;
    let node_ports = cx
        .node_ports()
        .filter(|_| node_port_answers)
        .map(|port| (Server::NodePort, port));
    match addressed.chain(node_ports).next() {
        Some((server, port)) => virtual_server(cx, server, port),
        None => no_virtual_server(cx),
    }
}

fn virtual_server<'a>(cx: &Context<'_, 'a>, server: Server, port: &PortOf<'a>) -> Answer<'a> {
    let service = port.service;
    // If a Service claims an address of the node, that address is also on kube-ipvs0 (up to 1.27). There,
    // KUBE-IPVS-FILTER in INPUT does not know node ports.
    if server == Server::NodePort
        && cx.version.between(26, 27)
        && cx.client != Network::Host
        && owner(cx).is_some()
    {
        return cx.end(
            ProxyAction::Reject,
            Some(service),
            &[rules::IPVS_INVALID_PORT],
        );
    }
    let mut why = vec![match server {
        Server::ClusterIp => rules::CLUSTER_IP,
        Server::ExternalIp if cx.version.since(20) => rules::EXTERNAL_IP,
        Server::ExternalIp => rules::EXTERNAL_IP_IGNORES_POLICY,
        Server::LoadBalancer => rules::LOAD_BALANCER,
        Server::NodePort => rules::NODE_PORT,
    }];
    if server == Server::LoadBalancer {
        match firewall(cx, port) {
            Ok(rule) => why.extend(rule),
            Err(rule) => {
                why.push(rule);
                return cx.end(ProxyAction::Drop, Some(service), &why);
            }
        }
    }
    let local = match server {
        Server::ClusterIp => cx.internal_local(service),
        Server::ExternalIp => cx.external_ip_local(service),
        Server::LoadBalancer | Server::NodePort => cx.external_local(service),
    };
    if server == Server::ExternalIp && local && rejected_on_the_way_in(cx) {
        why.push(rules::IPVS_EXTERNAL_IP_LOCAL_REJECT);
        return cx.end(ProxyAction::Reject, Some(service), &why);
    }
    let sets = cx.sets(port);
    let endpoints = if !local {
        why.extend(sets.cluster_rule);
        sets.cluster
    } else if !sets.local.is_empty() {
        why.push(rules::IPVS_LOCAL);
        why.extend(sets.local_rule);
        sets.local
    } else if cx.version.since(24) && !sets.cluster.is_empty() {
        // kubernetes/kubernetes#97081.
        why.push(rules::IPVS_LOCAL_FALLBACK);
        why.extend(sets.cluster_rule);
        sets.cluster
    } else {
        if sets.any {
            why.push(if server == Server::ClusterIp {
                rules::IPVS_INTERNAL_EMPTY
            } else {
                rules::IPVS_LOCAL_EMPTY
            });
        }
        sets.local
    };
    if endpoints.is_empty() {
        why.push(rules::NO_REAL_SERVER);
        return cx.end(ProxyAction::Reject, Some(service), &why);
    }
    let source = source(cx, server);
    let (mark, mark_rule) = mark(cx, server, port, local, source);
    why.extend(mark_rule);
    cx.serve(port, &endpoints, mark, &why, source)
}

/// KUBE-IPVS-FILTER in INPUT knows external IPs under policy Local only since 1.30
/// (kubernetes/kubernetes#121909, #124260; absent in v1.26.0, v1.27.1, v1.28.3 and v1.29.1, present in v1.30.3). It
/// does know a load balancer's address with the same port.
fn rejected_on_the_way_in(cx: &Context<'_, '_>) -> bool {
    cx.version.between(26, 29)
        && cx.client != Network::Host
        && owner(cx).is_some()
        && cx
            .addressed()
            .all(|(place, _)| place == AddressKind::External)
}

/// The packet's source address when it leaves. If a process of the node binds no address and dials an address that the
/// node has on `kube-ipvs0`, the kernel uses the dialled address as the source (see the comment at `KUBE-CLUSTER-IP` in
/// `writeIptablesRules`; tried on Linux 6.1).
fn source(cx: &Context<'_, '_>, server: Server) -> Option<IpAddr> {
    if cx.client == Network::Host && server != Server::NodePort && !cx.to_node() {
        Some(cx.ip)
    } else {
        cx.client_ip
    }
}

/// Applies `loadBalancerSourceRanges`. Up to 1.24 a mark in nat does this, since 1.25 KUBE-PROXY-FIREWALL in INPUT and
/// FORWARD, and since 1.29 also KUBE-IPVS-OUT-FILTER in OUTPUT.
fn firewall(cx: &Context<'_, '_>, port: &PortOf<'_>) -> Result<Option<Rule>, Rule> {
    let source = if cx.client == Network::Host && cx.version.since(29) {
        // KUBE-IPVS-OUT-FILTER checks whether the ranges include the node's own address.
        cx.node_ip()
    } else {
        source(cx, Server::LoadBalancer)
    };
    let allowed = cx.source_allowed(port.service, source);
    if cx.client == Network::Host && cx.version.between(25, 28) {
        return Ok(allowed.err().map(|_| rules::SOURCE_RANGES_HOST_UNFILTERED));
    }
    allowed
}

fn mark(
    cx: &Context<'_, '_>,
    server: Server,
    port: &PortOf<'_>,
    local: bool,
    source: Option<IpAddr>,
) -> (Mark, Option<Rule>) {
    match server {
        Server::ClusterIp if cx.proxy.masquerade_all => (Mark::Always, Some(rules::MASQUERADE_ALL)),
        Server::ClusterIp => {
            // Without a detector, kube-proxy masquerades if the source is a cluster IP and has the destination's port
            // (`src,dst`).
            let from_service = source.is_some_and(|source| {
                cx.world
                    .by_address
                    .get(&(source, port.port.port.get(), cx.protocol))
                    .is_some_and(|found| {
                        found
                            .iter()
                            .any(|&(place, _)| place == AddressKind::Cluster)
                    })
            });
            match cx.detected() {
                Detected::Pod => (Mark::Never, Some(rules::KEEP_POD)),
                Detected::NotPod => (Mark::Always, Some(rules::MASQUERADE_NOT_POD)),
                Detected::Nothing if from_service => (Mark::Always, Some(rules::IPVS_VIP_SOURCE)),
                Detected::Nothing => (Mark::Never, Some(rules::NO_DETECTOR)),
                // With or without a detector, a pod keeps its address and a process of the node is masqueraded.
                Detected::Unknown if cx.client == Network::Pod => {
                    (Mark::Never, Some(rules::KEEP_POD))
                }
                Detected::Unknown if from_service => (Mark::Always, Some(rules::IPVS_VIP_SOURCE)),
                Detected::Unknown => (Mark::Unknown, None),
            }
        }
        // Up to 1.22 the set of all SCTP node ports comes before the set of those under policy Local.
        Server::NodePort
            if local && cx.protocol == Protocol::Sctp && cx.version.between(15, 22) =>
        {
            (Mark::Always, Some(rules::IPVS_SCTP_MASQUERADE))
        }
        Server::ExternalIp | Server::LoadBalancer | Server::NodePort if local => {
            (Mark::Never, Some(rules::IPVS_KEEP))
        }
        Server::ExternalIp | Server::LoadBalancer | Server::NodePort => {
            (Mark::Always, Some(rules::IPVS_MASQUERADE))
        }
    }
}

fn no_virtual_server<'a>(cx: &Context<'_, 'a>) -> Answer<'a> {
    if let Some(service) = owner(cx) {
        return if cx.health_check().is_some() && cx.version.since(28) {
            // KUBE-IPVS-FILTER allows health check ports since 1.28.
            cx.end(
                ProxyAction::Accept,
                Some(service),
                &[rules::HEALTH_CHECK_ACCEPT],
            )
        } else if cx.version.since(26) {
            cx.end(
                ProxyAction::Reject,
                Some(service),
                &[rules::IPVS_INVALID_PORT],
            )
        } else {
            cx.end(ProxyAction::Accept, Some(service), &[rules::IPVS_HOST_PORT])
        };
    }
    if cx.to_node() {
        if let Some(service) = cx.health_check() {
            // KUBE-NODE-PORT is in INPUT since 1.21.
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
        if let Some(port) = cx.node_ports().next() {
            let rule = if cx.ip.is_loopback() {
                rules::NODE_PORT_LOOPBACK
            } else {
                rules::NODE_PORT_ADDRESS
            };
            return cx.end(ProxyAction::None, Some(port.service), &[rule]);
        }
    }
    iptables::left_alone(cx)
}

/// The Service that owns the destination address, if the node has the address on kube-ipvs0. Since 1.28 an address of
/// another device is not added to kube-ipvs0.
fn owner<'a>(cx: &Context<'_, 'a>) -> Option<&'a Service> {
    if cx.version.since(28) && cx.to_node() {
        return None;
    }
    cx.world
        .owned
        .get(&cx.ip)
        .into_iter()
        .flatten()
        .find(|&&(place, service)| place != AddressKind::LoadBalancer || cx.is_vip(service, cx.ip))
        .map(|&(_, service)| service)
}
