//! Reads nodes.

use super::named::{Metadata, Named, ObjectError, filled_string};
use crate::facts::{Node, Taint};
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    unschedulable: Option<bool>,
    taints: Option<Vec<WireTaint>>,
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
}

#[derive(Deserialize)]
struct WireTaint {
    key: String,
    value: Option<String>,
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    addresses: Option<Vec<Address>>,
    conditions: Option<Vec<Condition>>,
    node_info: Option<NodeInfo>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    operating_system: Option<String>,
    architecture: Option<String>,
    kubelet_version: Option<String>,
    kube_proxy_version: Option<String>,
}

impl TryFrom<&Value> for Node {
    type Error = ObjectError;

    fn try_from(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("node", object);
        let Wire {
            metadata,
            spec,
            status,
        } = named.read("Node", object)?;
        let spec = spec.unwrap_or_default();
        let status = status.unwrap_or_default();
        let info = status.node_info.unwrap_or_default();
        let addresses = status.addresses.unwrap_or_default();
        let of_kind = |kind: &str| -> Result<Vec<IpAddr>, ObjectError> {
            let of_kind = addresses.iter().filter(|address| address.kind == kind);
            named.addresses(
                "status.addresses[].address",
                of_kind.map(|address| address.address.as_str()),
            )
        };
        let pod_cidrs = match spec.pod_cidrs {
            Some(several) if !several.is_empty() => several,
            Some(_) | None => filled_string(spec.pod_cidr).into_iter().collect(),
        };
        Ok(Self {
            complete: true,
            internal_ips: of_kind("InternalIP")?,
            external_ips: of_kind("ExternalIP")?,
            ready: status
                .conditions
                .unwrap_or_default()
                .iter()
                .any(|condition| condition.kind == "Ready" && condition.status == "True"),
            unschedulable: spec.unschedulable.unwrap_or_default(),
            taints: spec
                .taints
                .unwrap_or_default()
                .into_iter()
                .map(|taint| Taint {
                    key: taint.key,
                    value: filled_string(taint.value),
                    effect: taint.effect,
                })
                .collect(),
            pod_cidrs: pod_cidrs
                .iter()
                .map(|text| named.parse("spec.podCIDRs[]", text))
                .collect::<Result<_, _>>()?,
            provider_id: filled_string(spec.provider_id),
            os: filled_string(info.operating_system),
            arch: filled_string(info.architecture),
            kubelet_version: filled_string(info.kubelet_version),
            kube_proxy_version: filled_string(info.kube_proxy_version),
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::Node;
    use serde_json::json;

    #[test]
    fn reads_nodes() {
        let node = Node::try_from(&json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/zone": "a"}},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], "unschedulable": true,
                     "taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "172.30.0.11"}, {"type": "Hostname", "address": "node-1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"kubeProxyVersion": "v1.20.2", "kubeletVersion": "v1.20.2", "operatingSystem": "linux", "architecture": "amd64"},
            },
        })).unwrap();
        assert_eq!(node.name, "node-1");
        assert_eq!(node.zone(), Some("a"));
        assert_eq!(
            node.internal_ips,
            ["172.30.0.11".parse::<std::net::IpAddr>().unwrap()]
        );
        assert!(node.external_ips.is_empty());
        assert!(node.ready && node.unschedulable);
        assert_eq!(node.pod_cidrs, ["10.244.1.0/24".parse().unwrap()]);
        assert_eq!(node.taints[0].value, None);
        assert_eq!(node.kube_proxy_version.as_deref(), Some("v1.20.2"));
    }

    #[test]
    fn nodes_without_status_are_not_ready() {
        let node = Node::try_from(&json!({"metadata": {"name": "bare"}})).unwrap();
        assert!(!node.ready && node.internal_ips.is_empty());
    }
}
