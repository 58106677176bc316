//! One cell of a report: what was expected, predicted and observed, and the verdict.

use crate::{
    observation::ObservedValue,
    position::Position,
    target::Target,
    verdict::{Basis, Reachability, Verdict},
    wire::outcome::Attempt,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One position and one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Where the probe stood.
    pub position: Position,
    /// The node it stood on; `null` for the plugin's own machine and where there was none.
    pub node: Option<String>,
    /// What it requested.
    pub target: Target,
    /// What the documents say should happen.
    pub expected: Option<Expectation>,
    /// What each edition of the matrix says, of those that speak of the cell.
    pub editions: Vec<EditionValue>,
    /// What the forwarding model says should happen.
    pub predicted: Option<Prediction>,
    /// What happened.
    pub observed: Observed,
    /// What that means.
    pub verdict: Verdict,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// What should happen in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Whether the target can be reached.
    pub value: Reachability,
    /// What that rests on.
    pub basis: Basis,
    /// Name of the matrix.
    pub matrix: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// Where it says so.
    pub source: Option<String>,
}

/// What one edition says of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditionValue {
    /// The edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// What it says.
    pub value: Reachability,
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
    /// What the client sees.
    pub outcome: String,
    /// Whether the target can be reached; `null` where that is not known, or depends on chance.
    pub reachable: Option<Reachability>,
    /// The rules that lead there.
    pub why: Vec<Why>,
    /// What can be done where the client is not served; `null`: nothing that is known.
    pub remedy: Option<String>,
}

/// A rule, and where it is written.
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
    /// Attempts that were answered; `null` where none was made.
    pub ok: Option<usize>,
    /// Attempts that were made; `null` where none was.
    pub of: Option<usize>,
    /// Median time to connect of the answered attempts, or to the answer for UDP, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The client's address as the server saw it, where the server told, and told the same each time.
    pub client_ip_seen: Option<IpAddr>,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}
