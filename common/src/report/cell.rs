//! One cell of a report: what was expected, predicted and observed, and the verdict.

use super::policy_finding::PolicyFinding;
use crate::{
    client::Client,
    matrix::Standing,
    model::Cause,
    observation::ObservedValue,
    position::Position,
    target::Target,
    verdict::{Basis, ExpectedValue, Reachability, Verdict},
    wire::outcome::{Attempt, Outcome},
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One position and one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The position of the probe.
    pub position: Position,
    /// The node of the probe; `null` for the plugin's own machine, and if there was no node.
    pub node: Option<String>,
    /// The address that the probe connects to.
    pub target: Target,
    /// What the documents say should happen.
    pub expected: Option<Expectation>,
    /// What each edition of the matrix says. Editions that do not mention the cell are left out.
    pub editions: Vec<EditionValue>,
    /// What the forwarding model says should happen.
    pub predicted: Option<Prediction>,
    /// What NetworkPolicies say; `null` if they do not forbid the connection, or if they were not read.
    pub policy: Option<PolicyFinding>,
    /// What happened.
    pub observed: Observed,
    /// How the observation compares with the expectation.
    pub verdict: Verdict,
    /// What the backends saw as the client's address, and how that compares with the expectation.
    #[serde(default)]
    pub client: Client,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// What should happen in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Whether the target can be reached.
    pub value: ExpectedValue,
    /// What the expectation is based on.
    pub basis: Basis,
    /// Name of the matrix.
    pub matrix: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// The place in the document that says so.
    pub source: Option<String>,
}

/// What one edition says about a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditionValue {
    /// The edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// What it says.
    pub value: Reachability,
    /// Who runs the clusters that the edition is about; `null` if the matrix has only one operator.
    #[serde(default)]
    pub operator: Option<String>,
    /// Whether the edition counts; `null` only in older reports.
    #[serde(default)]
    pub standing: Option<Standing>,
}

/// What the forwarding model computes for a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// What the first proxy on the way does with the packet.
    pub action: String,
    /// Endpoints that may answer, as `ip:port`.
    pub endpoints: Vec<String>,
    /// Whether the backend sees a node's address instead of the client's.
    pub masquerade: Option<bool>,
    /// Whether the backend sees one of the client's own addresses; `null` if that is unknown. A client on the host
    /// network has all addresses of its node.
    #[serde(default)]
    pub client_kept: Option<bool>,
    /// What the client sees.
    pub outcome: String,
    /// Whether the target can be reached; `null` if that is unknown or depends on chance.
    pub reachable: Option<Reachability>,
    /// What chance decides; `null` if it decides nothing, or if the prediction is unknown.
    #[serde(default)]
    pub chance: Option<Chance>,
    /// The rules that lead to this result.
    pub why: Vec<Why>,
    /// Why the client is not served, at least sometimes; `null` if it is served, or if the reason has no name.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// What can be done if the client is not served; `null` if no remedy is known.
    pub remedy: Option<String>,
}

/// A choice on the path that decides whether a client is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chance {
    /// How many choices serve the client. A choice is an endpoint, a load balancer's node, or one of each.
    pub served: usize,
    /// How many there are to choose from.
    pub of: usize,
    /// Whether each attempt is a new choice; otherwise the client stays with its first choice.
    pub each_attempt: bool,
}

/// A rule and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The rule.
    pub rule: String,
    /// Its source.
    pub source: String,
}

/// What happened in a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// What the attempts amount to.
    pub value: ObservedValue,
    /// What they saw, or why there were none.
    pub reason: String,
    /// Number of attempts that were answered; `null` if none was made.
    pub ok: Option<usize>,
    /// Number of attempts; `null` if none was made.
    pub of: Option<usize>,
    /// Median time to connect (for UDP: until the answer) of the answered attempts, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The client's address as the server saw it; `null` unless the server reported it, and the same one each time.
    pub client_ip_seen: Option<IpAddr>,
    /// Every attempt of the first round and of the last one. If these are two, those of the first round are superseded.
    pub attempts: Vec<Attempt>,
}

impl Observed {
    /// HTTP statuses that are neither a success nor a redirect (RFC 9110, section 15), in the order in which each first
    /// occurred.
    #[must_use]
    pub fn error_statuses(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for attempt in &self.attempts {
            if let Outcome::Answered {
                status: Some(status),
                ..
            } = attempt.outcome
                && !attempt.superseded
                && !(200..400).contains(&status)
                && !statuses.contains(&status)
            {
                statuses.push(status);
            }
        }
        statuses
    }
}
