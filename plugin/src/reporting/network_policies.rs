//! What NetworkPolicies say about each cell, with the addresses that they see. Pure.
//!
//! The address that a policy sees is the one with which a packet arrives at the backend's node. If a node on the way
//! replaced the client's address with its own, that is the node's. The API does not define what a policy sees if the
//! backend's own node replaces it, so both addresses are tried (kubernetes.io, "Network Policies", on `ipBlock`).

#[cfg(test)]
mod tests;

use crate::{
    probes::probed_position::ProbedPosition, reporting::cells::ObservedCell,
    survey::network_policies::PolicySurvey,
};
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use svc_reach_common::{
    facts::{Endpoint, Facts, IpMode, ServiceType},
    model::{
        connection::Forecast,
        policy::{Decision, Identity, Labels, Missing, Party, Pod, PortNumber},
    },
    position::{Network, Position},
    protocol::Protocol,
    report::{PolicyEffect, PolicyFinding, Prediction, Why},
    target::{Scope, Target, TargetKind},
    verdict::Reachability,
    wire::outcome::Attempt,
};

/// The source of every rule of policies.
const SOURCE: &str = "https://kubernetes.io/docs/concepts/services-networking/network-policies/";

/// What can be done about a connection that policies forbid.
const REMEDY: &str = "allow it in a NetworkPolicy, or give the probes the labels of clients that are allowed (--probe-label)";

/// The port of the cluster's DNS.
const DNS: u16 = 53;

/// What a policy does to one possible connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    Allowed,
    Denied(String),
    Unknown(String),
}

/// A backend, with its pod if that is known.
struct Backend<'a> {
    endpoint: &'a Endpoint,
    pod: Option<Pod>,
}

/// Evaluates the policies for the cells of one Service.
pub struct PolicyCheck<'a> {
    survey: &'a PolicySurvey,
    facts: &'a Facts,
    stands: &'a [ProbedPosition],
    /// Whether the nodes run a kube-proxy that the model knows.
    kube_proxy: bool,
    /// Whether the load balancer's address is left to the load balancer, if that is known.
    pass_through: Option<bool>,
    backends: Vec<Backend<'a>>,
}

impl<'a> PolicyCheck<'a> {
    /// Prepares the check of one Service.
    pub fn new(
        survey: &'a PolicySurvey,
        facts: &'a Facts,
        stands: &'a [ProbedPosition],
        kube_proxy: bool,
        pass_through: Option<bool>,
    ) -> Self {
        let any_ready = facts.endpoints.iter().any(|endpoint| endpoint.ready);
        let backends = facts
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.ready || !any_ready)
            .map(|endpoint| Backend {
                pod: pod_of(survey, facts, endpoint),
                endpoint,
            })
            .collect();
        Self {
            survey,
            facts,
            stands,
            kube_proxy,
            pass_through,
            backends,
        }
    }

    /// What the policies say about a cell; `None` if they allow it, or if nothing is known about any policy.
    pub fn finding(
        &self,
        seen: &ObservedCell<'a>,
        forecast: Option<&Forecast>,
    ) -> Option<PolicyFinding> {
        if self.survey.is_empty() {
            return None;
        }
        let cell = CellPath::new(self, seen, forecast)?;
        let egress = together(cell.egress());
        let ingress = together(cell.ingress());
        let (effect, reason) = match (egress, ingress) {
            (Effect::Denied(reason), _) | (_, Effect::Denied(reason)) => {
                (PolicyEffect::Denied, reason)
            }
            (Effect::Unknown(reason), _) | (_, Effect::Unknown(reason)) => {
                (PolicyEffect::Unknown, reason)
            }
            (Effect::Allowed, Effect::Allowed) => return None,
        };
        Some(PolicyFinding { effect, reason })
    }

    /// A policy of a kind that is not evaluated, which may select pods of this namespace.
    fn not_evaluated(&self, namespace: &str) -> Option<Effect> {
        let policies = self.survey.not_evaluated.iter();
        let mut here = policies.filter(|policy| {
            policy
                .namespace
                .as_deref()
                .is_none_or(|name| name == namespace)
        });
        here.next()
            .map(|policy| Effect::Unknown(policy.why.clone()))
    }

    /// A node, as others see it. Towards pods, a node may use an address of the pod network. A probe on its host
    /// network shows which one.
    fn node(&self, name: &'a str, v4: bool) -> Party<'a> {
        let shown: BTreeSet<IpAddr> = self
            .stands
            .iter()
            .filter(|stand| {
                stand.position.network() == Network::Host && stand.node.as_deref() == Some(name)
            })
            .flat_map(|stand| {
                let results = stand.heard.as_ref().ok().map(|heard| &heard.results);
                (0..).zip(&stand.targets).flat_map(move |(id, target)| {
                    let remote =
                        target.kind == TargetKind::PodIp && target.node.as_deref() != Some(name);
                    let attempts = results.and_then(|results| results.get(&id));
                    locals(attempts.filter(|_| remote).map_or(&[], Vec::as_slice), v4)
                })
            })
            .collect();
        let mut ranges: Vec<IpNet> = shown.into_iter().map(IpNet::from).collect();
        if ranges.is_empty()
            && let Some(node) = self.facts.node(name)
        {
            let own = node.internal_ips.iter().copied().map(IpNet::from);
            let all = own.chain(node.pod_cidrs.iter().copied());
            ranges = all.filter(|range| range.addr().is_ipv4() == v4).collect();
        }
        if ranges.is_empty() {
            ranges.push(everything(v4));
        }
        Party::new(Identity::Node(name), ranges)
    }
}

/// One cell, and how its packets travel.
struct CellPath<'c, 'a> {
    check: &'c PolicyCheck<'a>,
    forecast: Option<&'c Forecast>,
    target: &'a Target,
    position: Position,
    /// The client's node.
    own: Option<&'a str>,
    probe: Pod,
    v4: bool,
    attempts: &'a [Attempt],
}

/// Which node translates the destination to a backend.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Translator<'a> {
    /// None: the client connects to a backend's own address.
    None,
    /// The client's own node.
    Own(&'a str),
    /// Another node, which the packet reaches with the client's address or, if the pod network replaces it, with the
    /// address of the client's node.
    Other(&'a str),
    /// It is unknown which node it is, and with which address the packet reaches it.
    Unknown,
}

impl<'c, 'a> CellPath<'c, 'a> {
    /// `None` for a cell that no policy can concern: the client is on a node that is unknown.
    fn new(
        check: &'c PolicyCheck<'a>,
        seen: &ObservedCell<'a>,
        forecast: Option<&'c Forecast>,
    ) -> Option<Self> {
        let position = seen.stand.position;
        let own = seen.stand.node.as_deref();
        if own.is_none() && position != Position::External {
            return None;
        }
        let v4 = match seen.target.address.parse::<IpAddr>() {
            Ok(address) => address.is_ipv4(),
            Err(_) => {
                let cluster_ip = check.facts.service.cluster_ips.first();
                let first = check.facts.endpoints.first().map(|first| &first.address);
                cluster_ip.or(first).is_none_or(IpAddr::is_ipv4)
            }
        };
        Some(Self {
            probe: Pod {
                namespace: check.survey.probes_in.clone(),
                name: format!("of the probe {position}"),
                labels: Labels::all(check.survey.probe_labels.clone()),
                addresses: Vec::new(),
                host_network: position.network() == Network::Host,
                node: own.map(str::to_owned),
                ports: Some(Vec::new()),
            },
            check,
            forecast,
            target: seen.target,
            position,
            own,
            v4,
            attempts: seen.attempts,
        })
    }

    /// The client, with the address that it uses itself.
    fn client(&self) -> Party<'_> {
        match (self.position.network(), self.own) {
            (Network::External, _) | (_, None) => {
                Party::new(Identity::Outside, [everything(self.v4)])
            }
            (Network::Host, Some(own)) => {
                let node_port = self.target.kind == TargetKind::NodePort;
                let mut ranges: Vec<IpNet> = locals(self.attempts, self.v4)
                    .filter(|_| node_port)
                    .map(IpNet::from)
                    .collect();
                if ranges.is_empty() {
                    ranges = self.check.node(own, self.v4).addresses;
                }
                Party::new(Identity::Pod(&self.probe), ranges)
            }
            (Network::Pod, Some(own)) => {
                let stands = self.check.stands.iter().filter(|stand| {
                    stand.position == self.position && stand.node.as_deref() == Some(own)
                });
                let shown: BTreeSet<IpAddr> = stands
                    .filter_map(|stand| stand.heard.as_ref().ok())
                    .flat_map(|heard| heard.results.values())
                    .flat_map(|attempts| locals(attempts, self.v4))
                    .collect();
                let mut ranges: Vec<IpNet> = shown.into_iter().map(IpNet::from).collect();
                if ranges.is_empty() {
                    ranges.push(everything(self.v4));
                }
                Party::new(Identity::Pod(&self.probe), ranges)
            }
        }
    }

    /// The nodes that may translate the destination.
    fn translators(&self) -> Vec<Translator<'a>> {
        let own = self.own.map_or(Translator::Unknown, Translator::Own);
        match self.target.kind {
            TargetKind::PodIp => vec![Translator::None],
            TargetKind::Dns if self.check.facts.service.headless => vec![Translator::None],
            TargetKind::ClusterIp | TargetKind::Dns => vec![own],
            TargetKind::NodePort => {
                let public = self.target.scope == Some(Scope::Public);
                let nodes = &self.check.facts.nodes;
                let node = nodes
                    .iter()
                    .find(|node| Some(node.name.as_str()) == self.target.node.as_deref());
                match node.map(|node| node.name.as_str()) {
                    None => vec![Translator::Unknown],
                    // The address is replaced on the way back from outside.
                    Some(_) if public && self.own.is_some() => vec![Translator::Unknown],
                    Some(node) if Some(node) == self.own => vec![own],
                    Some(node) if self.check.kube_proxy || self.own.is_none() => {
                        vec![Translator::Other(node)]
                    }
                    // Other proxies may translate on the client's node.
                    Some(node) => vec![own, Translator::Other(node)],
                }
            }
            TargetKind::LoadBalancer => match self.captured() {
                Some(true) => vec![own],
                Some(false) => vec![Translator::Unknown],
                None => vec![own, Translator::Unknown],
            },
            TargetKind::ExternalIp if self.check.kube_proxy => vec![own],
            TargetKind::ExternalIp => vec![own, Translator::Unknown],
            TargetKind::HealthCheckNodePort | TargetKind::Dnat | TargetKind::Ingress => {
                vec![Translator::Unknown]
            }
        }
    }

    /// Whether the client's own node translates the load balancer's address.
    fn captured(&self) -> Option<bool> {
        let address = self.target.address.parse::<IpAddr>().ok();
        let entries = &self.check.facts.service.load_balancer;
        let entry = entries
            .iter()
            .find(|entry| address.is_some() && entry.ip == address);
        match entry {
            None => Some(false),
            Some(entry) if entry.ip_mode == Some(IpMode::Proxy) => Some(false),
            Some(_) if self.own.is_none() => Some(false),
            Some(_) if self.check.kube_proxy => self.check.pass_through.map(|pass| !pass),
            Some(_) => None,
        }
    }

    /// The backends that may get the connection, with their ports.
    fn backends(&self) -> Vec<(&Backend<'a>, PortNumber)> {
        let number = |port| PortNumber {
            port,
            protocol: self.target.protocol,
        };
        let own_port = number(self.target.port);
        let all = self.check.backends.iter();
        let direct = match self.target.kind {
            TargetKind::PodIp => {
                let address = self.target.address.parse::<IpAddr>().ok();
                let one = all.filter(|backend| Some(backend.endpoint.address) == address);
                return one.map(|backend| (backend, own_port)).collect();
            }
            TargetKind::Dns => self.check.facts.service.headless,
            TargetKind::ClusterIp
            | TargetKind::NodePort
            | TargetKind::LoadBalancer
            | TargetKind::ExternalIp
            | TargetKind::Dnat
            | TargetKind::Ingress => false,
            TargetKind::HealthCheckNodePort => return Vec::new(),
        };
        if direct {
            return all.map(|backend| (backend, own_port)).collect();
        }
        let predicted: BTreeSet<SocketAddr> = self
            .forecast
            .iter()
            .flat_map(|forecast| &forecast.endpoints)
            .filter_map(|text| text.parse().ok())
            .collect();
        all.filter(|backend| backend.endpoint.address.is_ipv4() == self.v4)
            .flat_map(|backend| {
                let ports = backend.endpoint.ports.iter().filter(|port| {
                    port.name == self.target.port_name && port.protocol == self.target.protocol
                });
                ports.map(move |port| (backend, port.port))
            })
            .filter(|(backend, port)| {
                let address = SocketAddr::new(backend.endpoint.address, port.get());
                predicted.is_empty() || predicted.contains(&address)
            })
            .map(|(backend, port)| (backend, number(port)))
            .collect()
    }

    /// The sides that a backend may see as the client.
    fn sources(&self, backend: &Backend<'_>) -> Vec<Party<'_>> {
        let masquerade = self.forecast.and_then(|forecast| forecast.masquerade);
        let mut sources = Vec::new();
        for translator in self.translators() {
            let (at, arriving) = match translator {
                Translator::None => {
                    sources.push(self.client());
                    continue;
                }
                Translator::Unknown => {
                    sources.push(Party::new(Identity::Unknown, [everything(self.v4)]));
                    continue;
                }
                Translator::Own(own) => (own, vec![self.client()]),
                Translator::Other(node) => {
                    let mut arriving = vec![self.client()];
                    if self.position.network() == Network::Pod
                        && let Some(own) = self.own
                    {
                        arriving.push(self.check.node(own, self.v4));
                    }
                    (node, arriving)
                }
            };
            let on_this_node = backend
                .endpoint
                .node
                .as_deref()
                .is_none_or(|node| node == at);
            if masquerade != Some(true) || on_this_node {
                sources.extend(arriving);
            }
            if masquerade != Some(false) {
                sources.push(self.check.node(at, self.v4));
            }
        }
        sources
    }

    fn ingress(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (backend, number) in self.backends() {
            let destination = self.destination(backend);
            for source in self.sources(backend) {
                let policies = &self.check.survey.policies;
                let decision = policies.ingress(&source, &destination, number);
                effects.push(self.effect(decision, &destination));
            }
        }
        effects
    }

    /// The probe's side. Only a probe on the pod network is subject to policies.
    fn egress(&self) -> Vec<Effect> {
        if self.position.network() != Network::Pod {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let source = self.client();
        let policies = &self.check.survey.policies;
        let mut add = |destination: &Party<'_>, number| {
            let decision = policies.egress(&source, destination, number);
            effects.push(self.effect(decision, &source));
        };
        for translator in self.translators() {
            match translator {
                Translator::None | Translator::Own(_) => {
                    for (backend, number) in self.backends() {
                        add(&self.destination(backend), number);
                    }
                }
                Translator::Other(_) | Translator::Unknown => {
                    let number = PortNumber {
                        port: self.target.port,
                        protocol: self.target.protocol,
                    };
                    add(&self.dialled(), number);
                }
            }
        }
        if self.target.kind == TargetKind::Dns
            && let Ok(port) = DNS.try_into()
        {
            let server = Party::new(Identity::Unknown, [everything(self.v4)]);
            let protocol = Protocol::Udp;
            add(&server, PortNumber { port, protocol });
        }
        effects
    }

    /// The target itself, as a policy of the client sees it before any translation.
    fn dialled(&self) -> Party<'_> {
        let range = self.target.address.parse::<IpAddr>().map(IpNet::from);
        let range = range.unwrap_or(everything(self.v4));
        let identity = match (self.target.kind, self.target.node.as_deref()) {
            (TargetKind::NodePort | TargetKind::HealthCheckNodePort, Some(node)) => {
                Identity::Node(node)
            }
            (TargetKind::LoadBalancer, _)
                if self.check.facts.service.kind == ServiceType::LoadBalancer =>
            {
                Identity::Outside
            }
            _ => Identity::Unknown,
        };
        Party::new(identity, [range])
    }

    fn destination<'b>(&'b self, backend: &'b Backend<'_>) -> Party<'b> {
        let address = backend.endpoint.address;
        let identity = match &backend.pod {
            Some(pod) => Identity::Pod(pod),
            None => node_with(self.check.facts, address).map_or(Identity::Outside, Identity::Node),
        };
        Party::new(identity, [IpNet::from(address)])
    }

    /// The effect of a decision on the side that policies may isolate.
    fn effect(&self, decision: Decision, subject: &Party<'_>) -> Effect {
        if let Identity::Pod(pod) = subject.identity
            && !pod.host_network
            && let Some(unknown) = self.check.not_evaluated(&pod.namespace)
        {
            return unknown;
        }
        match decision {
            Decision::Allowed => Effect::Allowed,
            Decision::Denied(denial) => Effect::Denied(denial.reason()),
            Decision::Unknown(Missing::HostNetwork(_)) => Effect::Unknown(
                "a policy selects the probe, which is on the host network, and the API does not define that"
                    .to_owned(),
            ),
            Decision::Unknown(missing) => Effect::Unknown(missing.to_string()),
        }
    }
}

/// The effect of several possible connections, of which any may be the real one.
fn together(effects: Vec<Effect>) -> Effect {
    let mut allowed = false;
    let mut denied = None;
    for effect in effects {
        match effect {
            Effect::Allowed => allowed = true,
            Effect::Denied(reason) => denied = denied.or(Some(reason)),
            unknown @ Effect::Unknown(_) => return unknown,
        }
    }
    match denied {
        None => Effect::Allowed,
        Some(reason) if !allowed => Effect::Denied(reason),
        Some(reason) => Effect::Unknown(format!(
            "it depends on the backend, or on whether the policy sees the client's own address; for some, {reason}"
        )),
    }
}

/// The pod behind an endpoint. If it could not be read, it has the labels that the Service's selector requires, and
/// perhaps others.
fn pod_of(survey: &PolicySurvey, facts: &Facts, endpoint: &Endpoint) -> Option<Pod> {
    let service = &facts.service;
    let Some(name) = &endpoint.pod else {
        let mut pods = survey.pods.values();
        let found = pods.find(|pod| pod.addresses.contains(&endpoint.address));
        return found.cloned();
    };
    let known = survey.pods.get(&(service.namespace.clone(), name.clone()));
    Some(known.cloned().unwrap_or_else(|| Pod {
        namespace: service.namespace.clone(),
        name: name.clone(),
        labels: Labels::some(service.selector.clone()),
        addresses: vec![endpoint.address],
        host_network: node_with(facts, endpoint.address).is_some(),
        node: endpoint.node.clone(),
        ports: None,
    }))
}

/// The node that has this address.
fn node_with(facts: &Facts, address: IpAddr) -> Option<&str> {
    let mut nodes = facts.nodes.iter();
    let node = nodes.find(|node| node.internal_ips.contains(&address));
    node.map(|node| node.name.as_str())
}

/// The addresses that attempts came from.
fn locals(attempts: &[Attempt], v4: bool) -> impl Iterator<Item = IpAddr> + '_ {
    let addresses = attempts
        .iter()
        .filter_map(|attempt| Some(attempt.local?.ip()));
    addresses.filter(move |address| address.is_ipv4() == v4 && !address.is_loopback())
}

/// Every address of a family.
fn everything(v4: bool) -> IpNet {
    if v4 {
        IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0))
    } else {
        IpNet::V6(ipnet::Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0))
    }
}

/// Adds a finding to a prediction, which was computed as if there were no policies.
pub fn apply(finding: &PolicyFinding, prediction: &mut Prediction) {
    let rule = match finding.effect {
        PolicyEffect::Denied => {
            prediction.outcome = "denied by a NetworkPolicy".to_owned();
            prediction.reachable = Some(Reachability::Unreachable);
            prediction.remedy = Some(REMEDY.to_owned());
            finding.reason.clone()
        }
        PolicyEffect::Unknown if prediction.reachable == Some(Reachability::Reachable) => {
            prediction.outcome = "unknown: whether NetworkPolicies allow it".to_owned();
            prediction.reachable = None;
            finding.reason.clone()
        }
        PolicyEffect::Unknown => return,
    };
    prediction.why.push(Why {
        rule,
        source: SOURCE.to_owned(),
    });
}
