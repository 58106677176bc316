//! What NetworkPolicies say about a cell.

use serde::{Deserialize, Serialize};

words! {
    /// What NetworkPolicies do to a connection.
    pub enum PolicyEffect("policy effect") {
        /// They forbid it.
        Denied = "denied",
        /// Whether they forbid it is unknown.
        Unknown = "unknown",
    }
}

/// What NetworkPolicies say about a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFinding {
    /// What they do to the connection.
    pub effect: PolicyEffect,
    /// The policies with their rules, or what would have to be known.
    pub reason: String,
}
