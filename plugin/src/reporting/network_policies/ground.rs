//! What is known about a Service, the policies around it, and the nodes. Pure.

use crate::{probes::probed_position::ProbedPosition, survey::network_policies::PolicySurvey};
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use svc_reach_common::{
    facts::{Endpoint, Facts},
    model::policy::{Identity, Labels, Party, Pod},
    position::{Network, Position},
    target::{Target, TargetKind},
    wire::outcome::Attempt,
};

/// What a policy does to one possible connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No policy forbids it.
    Allowed,
    /// Policies forbid it. The text names them.
    Denied(String),
    /// It depends on something that is unknown, which the text names.
    Unknown(String),
}

/// A backend, with its pod if that is known.
pub struct Backend<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Its pod.
    pub pod: Option<Pod>,
}

/// One cell: who connects to what.
#[derive(Debug, Clone, Copy)]
pub struct PolicyQuestion<'a> {
    /// Where the client is.
    pub position: Position,
    /// The client's node.
    pub node: Option<&'a str>,
    /// What it connects to.
    pub target: &'a Target,
    /// What it saw, if it was asked.
    pub attempts: &'a [Attempt],
}

/// What is known about a Service and the policies around it.
pub struct Ground<'a> {
    /// The policies.
    pub survey: &'a PolicySurvey,
    /// The Service.
    pub facts: &'a Facts,
    /// The positions of a run, with what their probes saw.
    pub stands: &'a [ProbedPosition],
    /// Whether the nodes run a kube-proxy that the model knows.
    pub kube_proxy: bool,
    /// Whether the load balancer's address is left to the load balancer, if that is known.
    pub pass_through: Option<bool>,
    /// The backends that take connections.
    pub backends: Vec<Backend<'a>>,
}

impl<'a> Ground<'a> {
    /// Combines what is known about one Service.
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

    /// A policy of a kind that is not evaluated, which may select pods of this namespace.
    pub fn not_evaluated(&self, namespace: &str) -> Option<Effect> {
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
    pub fn node(&self, name: &'a str, v4: bool) -> Party<'a> {
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

/// The effect of several possible connections, of which any may be the real one.
pub fn together(effects: Vec<Effect>) -> Effect {
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
pub fn node_with(facts: &Facts, address: IpAddr) -> Option<&str> {
    let mut nodes = facts.nodes.iter();
    let node = nodes.find(|node| node.internal_ips.contains(&address));
    node.map(|node| node.name.as_str())
}

/// The addresses that attempts came from.
pub fn locals(attempts: &[Attempt], v4: bool) -> impl Iterator<Item = IpAddr> + '_ {
    let addresses = attempts
        .iter()
        .filter_map(|attempt| Some(attempt.local?.ip()));
    addresses.filter(move |address| address.is_ipv4() == v4 && !address.is_loopback())
}

/// Every address of a family.
pub fn everything(v4: bool) -> IpNet {
    if v4 {
        IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0))
    } else {
        IpNet::V6(ipnet::Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0))
    }
}
