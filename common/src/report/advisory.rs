//! What a reader should know beside the cells.

use serde::{Deserialize, Serialize};

words! {
    /// How much an advisory matters.
    pub enum Severity("severity") {
        /// Good to know.
        Info = "info",
        /// Likely to bite.
        Warning = "warning",
    }
}

/// Something a reader should know beside the cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advisory {
    /// Names the kind of advisory.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub text: String,
    /// Where that comes from; `null`: from this run.
    pub source: Option<String>,
}
