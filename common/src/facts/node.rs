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
    /// Whether the object was read. Otherwise pods on the node tell its name and its private addresses, and that the
    /// rest is empty says nothing.
    pub complete: bool,
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

/// Labels of virtual nodes: Virtual Kubelet's (virtual-kubelet/virtual-kubelet, `node/node.go` and the providers), and
/// those of AWS Fargate (EKS user guide, "Fargate pod configuration").
pub const VIRTUAL_NODES: [(&str, &str); 2] = [
    ("type", "virtual-kubelet"),
    ("eks.amazonaws.com/compute-type", "fargate"),
];

impl Node {
    /// A node whose object was not read, but which runs pods.
    #[must_use]
    pub fn of_pods(name: String, addresses: Vec<IpAddr>) -> Self {
        Self {
            name,
            complete: false,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            internal_ips: addresses,
            external_ips: Vec::new(),
            ready: true,
            unschedulable: false,
            taints: Vec::new(),
            pod_cidrs: Vec::new(),
            provider_id: None,
            os: None,
            arch: None,
            kubelet_version: None,
            kube_proxy_version: None,
        }
    }

    /// The node's zone, from its label.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.labels
            .get("topology.kubernetes.io/zone")
            .or_else(|| self.labels.get("failure-domain.beta.kubernetes.io/zone"))
            .map(String::as_str)
    }

    /// Whether it only represents capacity elsewhere, where no kube-proxy runs and a pod cannot use a host network. It has
    /// one of [`VIRTUAL_NODES`], or a taint of Virtual Kubelet.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        let has =
            |(label, value): &(&str, &str)| self.labels.get(*label).is_some_and(|own| own == value);
        VIRTUAL_NODES.iter().any(has)
            || self
                .taints
                .iter()
                .any(|taint| taint.key.starts_with("virtual-kubelet.io/"))
    }

    /// Why no kube-proxy that the model knows runs on it, as a text that continues "the node"; `None` if one may run.
    #[must_use]
    pub fn without_kube_proxy(&self) -> Option<&'static str> {
        if self.is_virtual() {
            Some("is virtual, so no kube-proxy runs on it and it has no node ports")
        } else if self.os.as_deref() == Some("windows") {
            Some("runs Windows, whose kube-proxy the model does not know")
        } else {
            None
        }
    }

    /// Whether a load balancer's controller leaves it out
    /// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>; kubernetes/cloud-provider
    /// `controllers/service/controller.go`, whose predicates leave out nodes with this label whatever its value is).
    #[must_use]
    pub fn is_excluded_from_load_balancers(&self) -> bool {
        self.labels
            .contains_key("node.kubernetes.io/exclude-from-external-load-balancers")
    }
}
