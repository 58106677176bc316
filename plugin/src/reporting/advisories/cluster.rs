//! Notes about nodes, pods and kube-proxy's settings that matter to the Service, whatever was observed.

use super::advisory::{own, warning};
use ipnet::IpNet;
use std::net::IpAddr;
use svc_reach_common::{
    facts::{Facts, ServiceType},
    model::Detector,
    proxy_mode::ProxyMode,
    report::{Advisory, Severity},
};

const AFFINITY: &str = "kubernetes.io/docs/reference/networking/virtual-ips, session affinity";

/// Every note. `pods` are known addresses of pods that are not on a host network.
pub fn of_the_cluster(
    facts: &Facts,
    pods: &[IpAddr],
    mode: Option<ProxyMode>,
    detector: &Detector,
) -> Vec<Advisory> {
    let mut advisories = Vec::new();
    advisories.extend(pods_outside_cluster_cidr(pods, detector));
    advisories.extend(nodes_without_node_ports(facts));
    advisories.extend(node_address_as_external_ip(facts, mode));
    advisories.extend(affinity(facts));
    advisories
}

/// Pods have addresses outside of the ranges by which kube-proxy recognises pods (kubernetes/kubernetes#112820).
fn pods_outside_cluster_cidr(pods: &[IpAddr], detector: &Detector) -> Option<Advisory> {
    let Detector::ClusterCidr(ranges) = detector else {
        return None;
    };
    // A family without a range has no detector at all.
    let of_family = |pod: &IpAddr| {
        let range = |range: &&IpNet| range.addr().is_ipv4() == pod.is_ipv4();
        ranges.iter().any(|own| range(&own))
    };
    let outside: Vec<&IpAddr> = pods
        .iter()
        .filter(|pod| of_family(pod) && !ranges.iter().any(|range| range.contains(*pod)))
        .collect();
    let first = outside.first()?;
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    let text = format!(
        "kube-proxy's clusterCIDR {} does not hold {} of {} known addresses of pods, such as {first}; kube-proxy takes these pods for clients from outside, so with externalTrafficPolicy Local they reach node ports and load balancers only where a backend runs; set clusterCIDR to the range of the pods",
        ranges.join(","),
        outside.len(),
        pods.len(),
    );
    Some(warning(
        "pods-outside-cluster-cidr",
        text,
        "kubernetes/kubernetes#112820",
    ))
}

/// Virtual nodes have no node ports.
fn nodes_without_node_ports(facts: &Facts) -> Option<Advisory> {
    let ports = &facts.service.ports;
    if !ports.iter().any(|port| port.node_port.is_some()) {
        return None;
    }
    let nodes = facts.nodes.iter();
    let names: Vec<&str> = nodes
        .filter(|node| node.is_virtual())
        .map(|node| node.name.as_str())
        .collect();
    let first = names.first()?;
    let all = names.len() == facts.nodes.len();
    let text = format!(
        "{} virtual, such as {first}: no kube-proxy runs on them, so they serve no node ports; use a load balancer that sends to pods (IP targets)",
        if all {
            "all known nodes are".to_owned()
        } else {
            format!("{} of {} known nodes are", names.len(), facts.nodes.len())
        },
    );
    let severity = if all {
        Severity::Warning
    } else {
        Severity::Info
    };
    Some(own("nodes-without-node-ports", severity, text))
}

/// In IPVS mode every node takes an external IP for itself, also if it is another node's address.
fn node_address_as_external_ip(facts: &Facts, mode: Option<ProxyMode>) -> Vec<Advisory> {
    if mode != Some(ProxyMode::Ipvs) {
        return Vec::new();
    }
    let external = &facts.service.external_ips;
    let nodes = facts.nodes.iter();
    nodes
        .flat_map(|node| node.internal_ips.iter().map(move |ip| (node, ip)))
        .filter(|(_, ip)| external.contains(ip))
        .map(|(node, ip)| {
            let text = format!(
                "the external IP {ip} is the address of node {}; in IPVS mode every node takes it for itself, so the node cannot be reached from the others",
                node.name
            );
            warning(
                "node-address-as-external-ip",
                text,
                "kubernetes/kubernetes pkg/proxy/ipvs/proxier.go, which adds external IPs to kube-ipvs0",
            )
        })
        .collect()
}

/// With session affinity, attempts of one client meet one backend.
fn affinity(facts: &Facts) -> Option<Advisory> {
    let seconds = facts.service.session_affinity_seconds?;
    let endpoints = facts.endpoints.iter();
    let ready = endpoints.filter(|endpoint| endpoint.ready).count();
    if ready < 2 || facts.service.kind == ServiceType::ExternalName || facts.service.headless {
        return None;
    }
    let text = format!(
        "sessionAffinity ClientIP keeps a client with one of {ready} backends for {seconds} s, so each position meets one backend only; a backend that does not answer looks like a position that is not served"
    );
    Some(Advisory {
        source: Some(AFFINITY.to_owned()),
        ..own("session-affinity", Severity::Info, text)
    })
}
