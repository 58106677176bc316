//! One dated version of a document, as cells.

use super::{
    axes::{ServiceKind, Spot},
    cell::DocumentedCell,
    column::Column,
    text::text,
};
use crate::{client::SourceAddress, facts::TrafficPolicy};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One dated version of a document, as cells. `matrix show -o json` prints it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edition {
    /// Name of the matrix.
    pub name: String,
    /// The provider that published the document.
    pub provider: String,
    /// Name of the edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// Date of the document, as `YYYY-MM-DD`; `null` if it has none.
    pub dated: Option<String>,
    /// Who runs the clusters that the document is about, such as `open-telekom-cloud`; `None` if the matrix has only one
    /// operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Language of the document.
    pub language: String,
    /// The document.
    pub source: String,
    /// What it says.
    pub cells: Vec<DocumentedCell>,
    /// What it says about the client's address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<DocumentedCell<SourceAddress>>,
    /// The document's advice for unreachable cells.
    #[serde(default)]
    pub remedies: Vec<Remedy>,
    /// What the document says in addition to its cells.
    #[serde(default)]
    pub remarks: Vec<Remark>,
}

/// An edition's advice for unreachable cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remedy {
    /// The advice, in our words.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// The kinds of Service that it helps; empty means all.
    #[serde(default)]
    pub services: Vec<ServiceKind>,
    /// Whether the advice is to turn pass-through on.
    #[serde(default)]
    pub pass_through: bool,
    /// The place in the document.
    #[serde(deserialize_with = "text")]
    pub pointer: String,
}

/// Something that an edition says in addition to its cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remark {
    /// What it says, in our words.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// The place in the document.
    #[serde(deserialize_with = "text")]
    pub pointer: String,
}

impl Edition {
    /// Columns that the edition mentions, in order.
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

    /// The document's advice if this cell is unreachable. Its remedies are for policy Local, so there is none for
    /// policy Cluster.
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
        // Turning pass-through on does not help if it is already on.
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

    /// The name that readers use: the alias, or else the edition.
    #[must_use]
    pub fn readable(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.edition)
    }

    /// Whether this is the edition's name or alias.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.edition == name || self.alias.as_deref() == Some(name)
    }

    /// Orders editions, newest first. Editions without a date come last.
    #[must_use]
    pub fn by_age(&self, other: &Self) -> Ordering {
        other
            .dated
            .cmp(&self.dated)
            .then_with(|| self.edition.cmp(&other.edition))
    }
}
