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

/// ID of the advisory that the user may not list nodes.
pub const NODES_UNLISTED: &str = "nodes-unlisted";

impl Advisory {
    /// Whether a reader should know it in any case, because it says what the answer does not cover.
    #[must_use]
    pub fn limits_the_answer(&self) -> bool {
        [EXTERNAL_LEFT_OUT, NODES_UNLISTED].contains(&self.id.as_str())
    }
}

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
