//! One dated version of a document, as cells.

use super::{
    axes::{ServiceKind, Spot},
    cell::DocumentedCell,
    column::Column,
    text::text,
};
use crate::facts::TrafficPolicy;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One dated version of a document, as cells; printed as it is by `matrix show -o json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edition {
    /// Name of the matrix.
    pub name: String,
    /// Whose document it is.
    pub provider: String,
    /// Names the edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// Date of the document, as `YYYY-MM-DD`; `null` where it bears none.
    pub dated: Option<String>,
    /// Language of the document.
    pub language: String,
    /// The document.
    pub source: String,
    /// What it says.
    pub cells: Vec<DocumentedCell>,
    /// Advice of the document where a cell is unreachable.
    #[serde(default)]
    pub remedies: Vec<Remedy>,
    /// What it says beside who reaches what.
    #[serde(default)]
    pub remarks: Vec<Remark>,
}

/// What an edition advises where a cell is unreachable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remedy {
    /// The advice, in our words.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// The kinds of Service that it helps; empty: all.
    #[serde(default)]
    pub services: Vec<ServiceKind>,
    /// Whether it is to turn pass-through on.
    #[serde(default)]
    pub pass_through: bool,
    /// Where in the document.
    #[serde(deserialize_with = "text")]
    pub pointer: String,
}

/// What an edition says beside who reaches what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remark {
    /// What it says, in our words.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// Where in the document.
    #[serde(deserialize_with = "text")]
    pub pointer: String,
}

impl Edition {
    /// Columns that the edition speaks of, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> = self
            .cells
            .iter()
            .filter_map(|cell| cell.conditions.column)
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Advice of the document where a cell is unreachable, policy Local being what its remedies are for.
    #[must_use]
    pub fn remedy(&self, cell: &DocumentedCell) -> Option<String> {
        let conditions = &cell.conditions;
        if conditions.external_traffic_policy == Some(TrafficPolicy::Cluster) {
            return None;
        }
        let service = conditions.service.or(match conditions.target {
            Spot::NodePortBackend | Spot::NodePortOther | Spot::NodePortOwn => {
                Some(ServiceKind::NodePort)
            }
            Spot::Address
            | Spot::ExternalIp
            | Spot::ClusterIp
            | Spot::Dns
            | Spot::PodIp
            | Spot::HealthCheckNodePort => None,
        });
        // What is already on is no remedy.
        let texts: Vec<&str> = self
            .remedies
            .iter()
            .filter(|remedy| {
                remedy.services.is_empty()
                    || service.is_some_and(|service| remedy.services.contains(&service))
            })
            .filter(|remedy| !(remedy.pass_through && conditions.pass_through == Some(true)))
            .map(|remedy| remedy.text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join(", or "))
    }

    /// The name that readers use: the alias, or the edition where there is none.
    #[must_use]
    pub fn readable(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.edition)
    }

    /// Whether the edition goes by this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.edition == name || self.alias.as_deref() == Some(name)
    }

    /// Newest first; what bears no date is taken for older than what does.
    #[must_use]
    pub fn by_age(&self, other: &Self) -> Ordering {
        other
            .dated
            .cmp(&self.dated)
            .then_with(|| self.edition.cmp(&other.edition))
    }
}
