//! Rules about configuration from Huawei Cloud CCE's documents.

use super::advisory::{Findings, annotation, documented, ipvs, own, sharing, warning};

use serde_json::Value;

use std::{collections::BTreeMap, ops::RangeInclusive};
use svc_reach_common::provider::elb::{
    self, ALGORITHM, CERT_ID, HEALTH_OPTION, PROTOCOL_PORT, STICKINESS, STICKINESS_OPTION,
};
use svc_reach_common::{
    facts::{ServiceType, TrafficPolicy},
    matrix::Class,
    model::Version,
    network_model::NetworkModel,
    protocol::Protocol,
    report::{Advisory, Severity},
    target::Scope,
    wire::line::HostFact,
};

/// The sources of Huawei Cloud CCE's rules, by edition of the matrix.
const NOTES: &str = "huawei-cce@undated-en (notes and constraints)";
const PASS_THROUGH: &str = "huawei-cce@2024-10-zh (limits)";
const TURBO: &str = "huawei-cce@2024-01-en (notes on the failure table); from huawei-cce@2025-02-otc on, for backends on the host network";
const STICKY: &str = "huawei-cce@undated-en (creating a Service, sticky session)";
const HTTP: &str = "huawei-cce@undated-en (HTTP for Services)";
const PARAMETERS: &str = "huawei-cce@undated-en (key parameters)";
/// Annotation of pods that ELB forwards to on the host network (same source as the parameters).
const HOST_NETWORK: &str = "kubernetes.io/hws-hostNetwork";

/// What the rules say about a Service.
pub(super) fn advisories(known: Findings<'_>) -> Vec<Advisory> {
    let rules = [
        pass_through_agrees,
        ingress_is_hidden,
        node_address_as_external_ip,
        local_in_turbo,
        too_old,
        stickiness,
        protocol_port,
        no_private_address,
        option_bounds,
        host_network_forwarding,
        switched_to_local,
    ];
    rules.iter().flat_map(|rule| rule(known)).collect()
}

fn pass_through_agrees(known: Findings<'_>) -> Vec<Advisory> {
    if !ipvs(known) {
        return Vec::new();
    }
    if let Some(HostFact::Unknown(why)) = &known.hints.sharing {
        let text = format!(
            "whether others on this load balancer have the same pass-through setting could not be observed: {why}"
        );
        return vec![documented(
            "load-balancer-sharing-unknown",
            Severity::Info,
            text,
            PASS_THROUGH,
        )];
    }
    let mine = annotation(known, elb::PASS_THROUGH);
    let Some(sharing) = sharing(known) else {
        return Vec::new();
    };
    let others: Vec<&str> = sharing
        .services
        .iter()
        .filter(|(_, setting)| setting.as_deref() != mine)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut advisories = Vec::new();
    if !others.is_empty() {
        let text = format!(
            "in IPVS mode, Services on one load balancer must agree on {}; {} differ from this one's {}",
            elb::PASS_THROUGH,
            others.join(", "),
            mine.unwrap_or("none")
        );
        advisories.push(warning("pass-through-disagrees", text, PASS_THROUGH));
    }
    if !sharing.complete {
        let text = "only the first 500 Services and Ingresses were searched for others on the same load balancer".to_owned();
        advisories.push(own(
            "load-balancer-sharing-partly-known",
            Severity::Info,
            text,
        ));
    }
    advisories
}

fn ingress_is_hidden(known: Findings<'_>) -> Vec<Advisory> {
    let ingresses = match sharing(known) {
        Some(sharing) if ipvs(known) && !sharing.ingresses.is_empty() => &sharing.ingresses,
        Some(_) | None => return Vec::new(),
    };
    let text = format!(
        "in IPVS mode, nodes and containers cannot reach the Ingresses on the load balancer of a Service: {}; use different load balancers",
        ingresses.join(", ")
    );
    vec![warning("ingress-hidden", text, NOTES)]
}

fn node_address_as_external_ip(known: Findings<'_>) -> Vec<Advisory> {
    if !ipvs(known) {
        return Vec::new();
    }
    let service = &known.facts.service;
    let nodes = &known.facts.nodes;
    nodes
        .iter()
        .flat_map(|node| {
            let addresses = node.internal_ips.iter().chain(&node.external_ips);
            addresses
                .filter(|address| service.external_ips.contains(address))
                .map(|address| {
                    let text = format!(
                        "in IPVS mode, an external IP that is a node's address makes the node unavailable: {address} belongs to {}",
                        node.name
                    );
                    warning("node-address-as-external-ip", text, NOTES)
                })
        })
        .collect()
}

fn local_in_turbo(known: Findings<'_>) -> Vec<Advisory> {
    let local = known.facts.service.external_traffic_policy == TrafficPolicy::Local;
    let turbo = known.environment.network_model == Some(NetworkModel::Eni);
    if !local || !turbo || known.circumstances.host_network == Some(true) {
        return Vec::new();
    }
    let text =
        "clusters with Cloud Native Network 2.0 do not support externalTrafficPolicy Local for backends on the pod network"
            .to_owned();
    vec![warning("local-in-turbo", text, TURBO)]
}

fn too_old(known: Findings<'_>) -> Vec<Advisory> {
    let Some(version) = known
        .facts
        .server_version
        .as_deref()
        .and_then(|text| text.parse::<Version>().ok())
    else {
        return Vec::new();
    };
    let mut advisories = Vec::new();
    let mut needs = |id: &str, used: bool, what: &str, minor: u16, source| {
        if used && !version.since(minor) {
            let text = format!("{what} needs Kubernetes 1.{minor}; this cluster has {version}");
            advisories.push(warning(id, text, source));
        }
    };
    let dedicated = annotation(known, elb::CLASS).is_some()
        && known.circumstances.classes == [Class::Dedicated];
    let passing = annotation(known, elb::PASS_THROUGH).is_some_and(|word| word != "false");
    needs(
        "dedicated-too-old",
        dedicated,
        "a dedicated load balancer",
        17,
        NOTES,
    );
    needs(
        "pass-through-too-old",
        passing,
        "pass-through",
        16,
        PASS_THROUGH,
    );
    let http = annotation(known, PROTOCOL_PORT).is_some();
    needs("protocol-port-too-old", http, PROTOCOL_PORT, 21, HTTP);
    advisories
}

fn stickiness(known: Findings<'_>) -> Vec<Advisory> {
    let service = &known.facts.service;
    if annotation(known, STICKINESS) != Some("SOURCE_IP") {
        return Vec::new();
    }
    let mut advisories = Vec::new();
    if service
        .ports
        .iter()
        .any(|port| port.protocol != Protocol::Tcp)
    {
        let text = format!("{STICKINESS} applies to TCP ports only");
        advisories.push(warning("stickiness-without-tcp", text, STICKY));
    }
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for node in known.facts.backend_nodes() {
        *on_node.entry(node).or_default() += 1;
    }
    let crowded: Vec<String> = on_node
        .iter()
        .filter(|(_, backends)| **backends > 1)
        .map(|(node, backends)| format!("{node} runs {backends}"))
        .collect();
    if !crowded.is_empty() {
        let text = format!(
            "{STICKINESS} needs backends on different nodes (anti-affinity), but {}",
            crowded.join(", ")
        );
        advisories.push(warning("stickiness-without-anti-affinity", text, STICKY));
    }
    advisories
}

/// Checks `https:443,http:80`: each port must be a port of the Service, and HTTPS needs a certificate.
fn protocol_port(known: Findings<'_>) -> Vec<Advisory> {
    let Some(word) = annotation(known, PROTOCOL_PORT) else {
        return Vec::new();
    };
    let mut advisories = Vec::new();
    for part in word.split(',').map(str::trim) {
        let port = part
            .split_once(':')
            .and_then(|(_, number)| number.trim().parse::<u16>().ok());
        let known_port = |number: u16| {
            let ports = &known.facts.service.ports;
            ports.iter().any(|port| port.port.get() == number)
        };
        if !port.is_some_and(known_port) {
            let text =
                format!("{PROTOCOL_PORT} {part:?} is not PROTOCOL:PORT with a port of the Service");
            advisories.push(warning("protocol-port-without-port", text, HTTP));
        }
    }
    let https = word
        .split(',')
        .any(|part| part.trim().starts_with("https:"));
    if https && annotation(known, CERT_ID).is_none_or(str::is_empty) {
        let text = format!("{PROTOCOL_PORT} with https needs {CERT_ID}");
        advisories.push(warning("https-without-certificate", text, HTTP));
    }
    advisories
}

fn no_private_address(known: Findings<'_>) -> Vec<Advisory> {
    let service = &known.facts.service;
    let addresses: Vec<Scope> = service
        .load_balancer
        .iter()
        .filter_map(|ingress| ingress.ip.map(Scope::of))
        .collect();
    let dedicated = annotation(known, elb::CLASS).is_some()
        && known.circumstances.classes == [Class::Dedicated];
    if !dedicated || addresses.is_empty() || addresses.contains(&Scope::Private) {
        return Vec::new();
    }
    let text =
        "a dedicated load balancer must have a private address, but the Service has only a public one"
            .to_owned();
    vec![warning("dedicated-without-private-address", text, NOTES)]
}

/// Options outside the limits in the document.
fn option_bounds(known: Findings<'_>) -> Vec<Advisory> {
    const BOUNDS: [(&str, &str, RangeInclusive<u32>); 4] = [
        (STICKINESS_OPTION, "persistence_timeout", 1..=60),
        (HEALTH_OPTION, "delay", 1..=50),
        (HEALTH_OPTION, "timeout", 1..=50),
        (HEALTH_OPTION, "max_retries", 1..=10),
    ];
    const ALGORITHMS: [&str; 3] = ["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP"];
    let mut advisories = Vec::new();
    for (option, key, bounds) in BOUNDS {
        let value = annotation(known, option)
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .and_then(|object| object.get(key).cloned());
        let Some(value) = value else { continue };
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if !text.parse().is_ok_and(|number| bounds.contains(&number)) {
            let text = format!(
                "{option}: {key} {text:?} is not from {} to {}",
                bounds.start(),
                bounds.end()
            );
            advisories.push(warning("option-out-of-bounds", text, PARAMETERS));
        }
    }
    if let Some(algorithm) = annotation(known, ALGORITHM).filter(|word| !ALGORITHMS.contains(word))
    {
        let text = format!(
            "{ALGORITHM} {algorithm:?} is none of {}",
            ALGORITHMS.join(", ")
        );
        advisories.push(warning("unknown-algorithm", text, PARAMETERS));
    }
    advisories
}

/// A load balancer that forwards to the host network needs backends there.
fn host_network_forwarding(known: Findings<'_>) -> Vec<Advisory> {
    let told = annotation(known, HOST_NETWORK) == Some("true");
    if !told || known.circumstances.host_network != Some(false) {
        return Vec::new();
    }
    let text = format!("{HOST_NETWORK} is true, but no backend is on the host network");
    vec![warning("host-network-without-backends", text, PARAMETERS)]
}

fn switched_to_local(known: Findings<'_>) -> Vec<Advisory> {
    let service = &known.facts.service;
    if service.kind != ServiceType::LoadBalancer
        || service.external_traffic_policy != TrafficPolicy::Local
    {
        return Vec::new();
    }
    let text = "if this Service was switched from Cluster to Local, connections tracked before still follow Cluster: recreate the Service"
        .to_owned();
    vec![documented("switched-to-local", Severity::Info, text, NOTES)]
}
