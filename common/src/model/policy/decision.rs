//! What policies decide about a connection.

use super::missing::Missing;
use std::fmt;

words! {
    /// One of `policyTypes`.
    pub enum Direction("policy type") {
        /// Connections to the selected pods.
        Ingress = "Ingress",
        /// Connections from the selected pods.
        Egress = "Egress",
    }
}

/// What policies decide about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No policy forbids it.
    Allowed,
    /// Policies isolate a pod, and none of their rules allows it.
    Denied(Denial),
    /// It depends on something that is unknown.
    Unknown(Missing),
}

/// Why a connection is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Whether the client's pod may not send it, or the backend's pod may not get it.
    pub direction: Direction,
    /// The isolated pod, as `namespace/name`.
    pub pod: String,
    /// The policies that isolate it; at least one.
    pub policies: Vec<SelectingPolicy>,
}

/// A policy that isolates a pod and does not allow the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectingPolicy {
    /// Its namespace and name, as `namespace/name`.
    pub name: String,
    /// What each of its rules for the direction misses, in order.
    pub misses: Vec<Miss>,
}

/// Why a rule does not allow a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It does not list the other side.
    Peer,
    /// It does not list the port.
    Port,
    /// It lists neither.
    Both,
}

impl Denial {
    /// The policies and what their rules miss, as a text that continues "because ".
    #[must_use]
    pub fn reason(&self) -> String {
        let policies: Vec<String> = self
            .policies
            .iter()
            .map(|policy| policy.reason(self.direction))
            .collect();
        policies.join("; ")
    }
}

impl SelectingPolicy {
    fn reason(&self, direction: Direction) -> String {
        let (list, other, verb) = match direction {
            Direction::Ingress => ("ingress", "client", "ingress to"),
            Direction::Egress => ("egress", "destination", "egress from"),
        };
        if self.misses.is_empty() {
            return format!(
                "NetworkPolicy {} allows no {verb} the pods that it selects",
                self.name
            );
        }
        let rules: Vec<String> = self
            .misses
            .iter()
            .enumerate()
            .map(|(index, miss)| {
                let what = match miss {
                    Miss::Peer => format!("does not list this {other}"),
                    Miss::Port => "does not list this port".to_owned(),
                    Miss::Both => format!("lists neither this {other} nor this port"),
                };
                format!("{list}[{index}] {what}")
            })
            .collect();
        format!("NetworkPolicy {}: {}", self.name, rules.join(", "))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.direction {
            Direction::Ingress => "may not get this connection",
            Direction::Egress => "may not open this connection",
        };
        write!(f, "pod {} {what}: {}", self.pod, self.reason())
    }
}
