//! The fields of a node that matter for placing probes and for forwarding.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// The fields of a node that matter for placing probes and for forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Addresses of type `InternalIP`.
    pub internal_ips: Vec<IpAddr>,
    /// Addresses of type `ExternalIP`.
    pub external_ips: Vec<IpAddr>,
    /// Whether the condition `Ready` is true.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
    /// Operating system, such as `linux`.
    pub os: Option<String>,
    /// Architecture, such as `amd64`.
    pub arch: Option<String>,
    /// `status.nodeInfo.kubeletVersion`.
    pub kubelet_version: Option<String>,
    /// `status.nodeInfo.kubeProxyVersion`, which current kubelets no longer set.
    pub kube_proxy_version: Option<String>,
}

/// One of `spec.taints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// `key`.
    pub key: String,
    /// `value`, if it has one.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl Node {
    /// The node's zone, from its label.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.labels
            .get("topology.kubernetes.io/zone")
            .or_else(|| self.labels.get("failure-domain.beta.kubernetes.io/zone"))
            .map(String::as_str)
    }
}
