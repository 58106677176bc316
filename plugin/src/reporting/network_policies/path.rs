//! How the packets of one cell travel, and whom policies see on the way. Pure.
//!
//! The address that a policy sees is the one with which a packet arrives at the backend's node. If a node on the way
//! replaced the client's address with its own, that is the node's. The API does not define what a policy sees if the
//! backend's own node replaces it, so both addresses are tried (kubernetes.io, "Network Policies", on `ipBlock`).

use super::ground::{
    Backend, Effect, Ground, PolicyQuestion, everything, locals, node_with, together,
};
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
};
use svc_reach_common::{
    facts::{IpMode, ServiceType},
    model::{
        connection::Forecast,
        policy::{Decision, Identity, Missing, Party, Pod, PortNumber},
    },
    position::{Network, Position},
    protocol::Protocol,
    target::{Scope, Target, TargetKind},
    wire::outcome::Attempt,
};

/// The port of the cluster's DNS, if its servers are unknown.
const DNS: PortNumber = PortNumber {
    port: NonZeroU16::new(53).unwrap(),
    protocol: Protocol::Udp,
};

/// One cell, and how its packets travel.
pub struct CellPath<'c, 'a> {
    ground: &'c Ground<'a>,
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
    pub fn new(
        ground: &'c Ground<'a>,
        question: PolicyQuestion<'a>,
        forecast: Option<&'c Forecast>,
    ) -> Option<Self> {
        let PolicyQuestion {
            position,
            node: own,
            target,
            attempts,
        } = question;
        if own.is_none() && position != Position::External {
            return None;
        }
        let v4 = match target.address.parse::<IpAddr>() {
            Ok(address) => address.is_ipv4(),
            Err(_) => {
                let cluster_ip = ground.facts.service.cluster_ips.first();
                let first = ground.facts.endpoints.first().map(|first| &first.address);
                cluster_ip.or(first).is_none_or(IpAddr::is_ipv4)
            }
        };
        Some(Self {
            probe: Pod {
                namespace: ground.survey.probes_in.clone(),
                name: format!("of the probe {position}"),
                labels: ground.survey.probe_labels.clone(),
                addresses: Vec::new(),
                host_network: position.network() == Network::Host,
                node: own.map(str::to_owned),
                ports: Some(Vec::new()),
            },
            ground,
            forecast,
            target,
            position,
            own,
            v4,
            attempts,
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
                    ranges = self.ground.node(own, self.v4).addresses;
                }
                Party::new(Identity::Pod(&self.probe), ranges)
            }
            (Network::Pod, Some(own)) => {
                let stands = self.ground.stands.iter().filter(|stand| {
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
            TargetKind::Dns if self.ground.facts.service.headless => vec![Translator::None],
            TargetKind::ClusterIp | TargetKind::Dns => vec![own],
            TargetKind::NodePort => {
                let public = self.target.scope == Some(Scope::Public);
                let nodes = &self.ground.facts.nodes;
                let node = nodes
                    .iter()
                    .find(|node| Some(node.name.as_str()) == self.target.node.as_deref());
                match node.map(|node| node.name.as_str()) {
                    None => vec![Translator::Unknown],
                    // The address is replaced on the way back from outside.
                    Some(_) if public && self.own.is_some() => vec![Translator::Unknown],
                    Some(node) if Some(node) == self.own => vec![own],
                    Some(node) if self.ground.kube_proxy || self.own.is_none() => {
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
            TargetKind::ExternalIp if self.ground.kube_proxy => vec![own],
            TargetKind::ExternalIp => vec![own, Translator::Unknown],
            TargetKind::HealthCheckNodePort | TargetKind::Dnat | TargetKind::Ingress => {
                vec![Translator::Unknown]
            }
        }
    }

    /// Whether the client's own node translates the load balancer's address.
    fn captured(&self) -> Option<bool> {
        let address = self.target.address.parse::<IpAddr>().ok();
        let entries = &self.ground.facts.service.load_balancer;
        let entry = entries
            .iter()
            .find(|entry| address.is_some() && entry.ip == address);
        match entry {
            None => Some(false),
            Some(entry) if entry.ip_mode == Some(IpMode::Proxy) => Some(false),
            Some(_) if self.own.is_none() => Some(false),
            Some(_) if self.ground.kube_proxy => self.ground.pass_through.map(|pass| !pass),
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
        let all = self.ground.backends.iter();
        let direct = match self.target.kind {
            TargetKind::PodIp => {
                let address = self.target.address.parse::<IpAddr>().ok();
                let one = all.filter(|backend| Some(backend.endpoint.address) == address);
                return one.map(|backend| (backend, own_port)).collect();
            }
            TargetKind::Dns => self.ground.facts.service.headless,
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
                        arriving.push(self.ground.node(own, self.v4));
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
                sources.push(self.ground.node(at, self.v4));
            }
        }
        sources
    }

    /// What policies do to the connections that backends may get.
    pub fn ingress(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (backend, number) in self.backends() {
            let destination = self.destination(backend);
            for source in self.sources(backend) {
                let policies = &self.ground.survey.policies;
                let decision = policies.ingress(&source, &destination, number);
                effects.push(self.effect(decision, &destination));
            }
        }
        effects
    }

    /// What policies do to the connections that the client may open. Only one on the pod network is subject to them.
    pub fn egress(&self) -> Vec<Effect> {
        if self.position.network() != Network::Pod {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let source = self.client();
        let policies = &self.ground.survey.policies;
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
        effects
    }

    /// What policies do to the client's questions to the cluster's DNS.
    pub fn lookup(&self) -> Effect {
        if self.target.kind != TargetKind::Dns || self.position.network() != Network::Pod {
            return Effect::Allowed;
        }
        let servers = &self.ground.survey.dns;
        let source = self.client();
        let policies = &self.ground.survey.policies;
        let ask = |server: &Party<'_>, number| {
            self.effect(policies.egress(&source, server, number), &source)
        };
        if servers.is_empty() {
            let server = Party::new(Identity::Unknown, [everything(self.v4)]);
            return ask(&server, DNS);
        }
        let effects = servers.iter().map(|server| {
            let on_host = node_with(self.ground.facts, server.address).map(Identity::Node);
            let identity = on_host
                .or_else(|| server.pod.as_ref().map(Identity::Pod))
                .unwrap_or(Identity::Outside);
            ask(
                &Party::new(identity, [IpNet::from(server.address)]),
                server.port,
            )
        });
        match together(effects.collect()) {
            // A cache on the client's own node may answer, to which policies always allow connections.
            Effect::Denied(reason) if self.is_resolved() => Effect::Unknown(reason),
            effect @ (Effect::Allowed | Effect::Denied(_) | Effect::Unknown(_)) => effect,
        }
    }

    fn is_resolved(&self) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| attempt.remote.is_some())
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
                if self.ground.facts.service.kind == ServiceType::LoadBalancer =>
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
            None => node_with(self.ground.facts, address).map_or(Identity::Outside, Identity::Node),
        };
        Party::new(identity, [IpNet::from(address)])
    }

    /// The effect of a decision on the side that policies may isolate.
    fn effect(&self, decision: Decision, subject: &Party<'_>) -> Effect {
        if let Identity::Pod(pod) = subject.identity
            && !pod.host_network
            && let Some(unknown) = self.ground.not_evaluated(&pod.namespace)
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
