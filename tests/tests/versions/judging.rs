//! Judges what happened to a packet.

use crate::{
    backends::Pod,
    clients::Client,
    destinations::{Destination, Kind},
};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use svc_reach_common::{
    model::ProxyAction,
    position::Network,
    report::Why,
    wire::outcome::{Attempt, Outcome},
};

/// What the model says about a packet at a node.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// What the node's proxy does.
    pub action: ProxyAction,
    /// The endpoints that it may choose.
    pub endpoints: Vec<SocketAddr>,
    /// Whether the endpoint sees another address than the client's own.
    pub masquerade: Option<bool>,
    /// The rules.
    pub why: Vec<Why>,
}

/// A packet, and what the model says about it.
pub struct Packet<'a> {
    /// Who sends it.
    pub client: &'a Client,
    /// The client's address.
    pub own: IpAddr,
    /// Where it goes.
    pub to: &'a Destination,
    /// The node that decides.
    pub at: &'a str,
    /// What that node's proxy does.
    pub answer: Answer,
}

/// What the comparison of a packet says.
pub enum Found {
    /// As predicted.
    Agreed,
    /// The model does not know.
    Unknown,
    /// Not as predicted.
    Differing(String),
}

impl Packet<'_> {
    /// Compares what happened with what the model says.
    pub fn judge(&self, attempt: &Attempt, pods: &[Pod]) -> Found {
        let (agreed, expected) = match self.answer.action {
            ProxyAction::Endpoints => self.endpoints(attempt, pods),
            // Clients may also see silence, since the kernel limits its ICMP errors.
            ProxyAction::Reject => (!is_answered(attempt), "a refusal"),
            ProxyAction::Drop => (is_timeout(attempt), "silence"),
            ProxyAction::Accept => (is_answered(attempt), "an answer of the node"),
            ProxyAction::None => match self.to.kind {
                Kind::HealthCheck => (is_answered(attempt), "an answer of kube-proxy"),
                Kind::Node | Kind::Virtual => (!is_answered(attempt), "no answer"),
                Kind::Balancer => return Found::Unknown,
            },
        };
        if agreed {
            return Found::Agreed;
        }
        let Self {
            client,
            own,
            to,
            at,
            answer,
        } = self;
        let (client, name, address) = (&client.name, &to.name, to.address);
        let rules: Vec<&str> = answer.why.iter().map(|why| why.rule.as_str()).collect();
        let (action, endpoints, masquerade) = (answer.action, &answer.endpoints, answer.masquerade);
        Found::Differing(format!(
            "{client} {own} to {name} {address}: expected {expected}, observed {attempt:?}; \
             {at} decides {action} {endpoints:?}, masquerade {masquerade:?}: {rules:?}"
        ))
    }

    /// Judges a packet that goes to an endpoint.
    fn endpoints(&self, attempt: &Attempt, pods: &[Pod]) -> (bool, &'static str) {
        let of = |address: IpAddr| pods.iter().find(|pod| pod.addresses.contains(&address));
        let answers = |endpoint: &&SocketAddr| {
            let node = of(endpoint.ip()).map(|pod| pod.node.as_str());
            endpoint.port() != BROKEN_PORT && self.returns(**endpoint, node)
        };
        let endpoints = || self.answer.endpoints.iter();
        let Outcome::Answered { echo, .. } = &attempt.outcome else {
            let all = endpoints().all(|endpoint| answers(&endpoint));
            return (!all, "an answer of an endpoint");
        };
        let Some(echo) = echo else {
            return (false, "the name of an endpoint");
        };
        let is_it =
            |endpoint: &&SocketAddr| of(endpoint.ip()).map(|pod| &pod.name) == echo.pod.as_ref();
        let Some(endpoint) = endpoints().filter(answers).find(is_it) else {
            return (false, "an answer of one of the endpoints");
        };
        let kept = echo.client == attempt.local.map(|local| local.ip());
        match self.answer.masquerade {
            // On a node, masquerading can leave the address as it is.
            Some(true) if self.client.network == Network::Host => (true, ""),
            Some(masquerade) => (kept != masquerade, "the other client address"),
            // It depends on the endpoint: only a client that reaches itself is masqueraded.
            None => (
                kept != (endpoint.ip() == self.own),
                "the client's address, except from itself",
            ),
        }
    }

    /// Whether the answer of an endpoint, which is on this node, reaches the client.
    fn returns(&self, endpoint: SocketAddr, node: Option<&str>) -> bool {
        // If it depends on the endpoint, only a client that reaches itself is masqueraded.
        let itself = endpoint.ip() == self.own;
        let masquerade = self.answer.masquerade.or(itself.then_some(true));
        if endpoint.ip() == self.own && masquerade == Some(false) {
            // The client drops a packet from its own address.
            return false;
        }
        // Only the node that translated the packet can translate the answer. Without masquerading, the answer of an
        // endpoint on another node goes to the client directly.
        let translated_elsewhere = self
            .client
            .node
            .as_ref()
            .is_some_and(|node| node != self.at);
        !translated_elsewhere || masquerade == Some(true) || node == Some(self.at)
    }
}

/// Nothing listens on this port of the backends.
const BROKEN_PORT: u16 = 9;

const fn is_answered(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Answered { .. })
}

const fn is_timeout(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::TimedOut { .. })
}
