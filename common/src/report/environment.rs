//! What a run found out about the cluster, and how.

use crate::{network_model::NetworkModel, provider::operator::Operator, proxy_mode::ProxyMode};
use serde::{Deserialize, Serialize};

/// What was found out about the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Cloud or distribution.
    pub provider: Option<String>,
    /// Who runs the cluster, if the provider's product has several operators. Older reports do not have it.
    #[serde(default)]
    pub operator: Option<Operator>,
    /// The API server's version.
    pub kubernetes_version: Option<String>,
    /// How pods are connected.
    pub network_model: Option<NetworkModel>,
    /// What forwards Service traffic.
    pub proxy_mode: Option<ProxyMode>,
    /// Network model and proxy mode, as in the documents' tables.
    pub column: Option<String>,
    /// Where each of these values comes from.
    pub evidence: Vec<Evidence>,
}

/// Something that was found out, and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What it is about, such as `proxyMode`.
    pub fact: String,
    /// What was found.
    pub value: String,
    /// Where it was found.
    pub source: String,
}
