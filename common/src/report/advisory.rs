//! What a reader should know in addition to the cells.

use serde::{Deserialize, Serialize};

words! {
    /// How much an advisory matters.
    pub enum Severity("severity") {
        /// Useful information.
        Info = "info",
        /// Likely to cause problems.
        Warning = "warning",
    }
}

/// ID of the advisory that the position `external` was not checked, or only in part.
pub const EXTERNAL_LEFT_OUT: &str = "external-left-out";

/// Something that a reader should know in addition to the cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advisory {
    /// The kind of advisory.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub text: String,
    /// The source of the text; `null` if it comes from this run.
    pub source: Option<String>,
}
