//! Reads the node of a pod.

use super::named::{Ip, Named, ObjectError, filled_string};
use crate::facts::Node;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

/// What a pod tells about its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNode {
    /// The node.
    pub node: Node,
    /// Whether the pod is ready, so that the node is alive.
    pub ready: bool,
}

#[derive(Deserialize)]
struct Wire {
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    host_network: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    #[serde(rename = "hostIPs")]
    host_ips: Option<Vec<Ip>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl PodNode {
    /// Reads a pod. `None`: the pod has no node yet, or its node has not yet said its addresses.
    ///
    /// Since Kubernetes 1.29, `hostIPs` has an address of each family (KEP-2681). They are the node's private addresses,
    /// or its public ones if it has no others (kubernetes/kubernetes v1.37.2 `pkg/util/node/node.go` `GetNodeHostIPs`).
    ///
    /// If a pod that is not on the host network has its node's address, the node is virtual, and has no ports of its own:
    /// on AWS Fargate each pod has a node for itself (EKS user guide, "Simplify compute management with AWS Fargate").
    /// Such a node has no addresses here.
    ///
    /// # Errors
    ///
    /// If a field is invalid.
    pub fn of(pod: &Value) -> Result<Option<Self>, ObjectError> {
        let named = Named::of("pod", pod);
        let Wire { spec, status } = named.read("Pod", pod)?;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let mut addresses = named.ips("status.hostIPs[].ip", status.host_ips, status.host_ip)?;
        let Some(name) = filled_string(spec.node_name).filter(|_| !addresses.is_empty()) else {
            return Ok(None);
        };
        let own = status.pod_ip.and_then(|ip| ip.parse::<IpAddr>().ok());
        if spec.host_network != Some(true) && own.is_some_and(|own| addresses.contains(&own)) {
            addresses.clear();
        }
        let mut conditions = status.conditions.iter().flatten();
        Ok(Some(Self {
            node: Node::of_pods(name, addresses),
            ready: conditions
                .any(|condition| condition.kind == "Ready" && condition.status == "True"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::PodNode;
    use serde_json::{Value, json};

    fn pod(host_network: bool, status: &Value) -> Value {
        json!({
            "metadata": {"namespace": "web", "name": "a"},
            "spec": {"nodeName": "n1", "hostNetwork": host_network},
            "status": status,
        })
    }

    #[test]
    fn a_pod_tells_the_addresses_of_its_node() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let both = json!([{"ip": "192.168.0.1"}, {"ip": "fd00::1"}]);
        let rows = [
            (
                "both families",
                pod(
                    false,
                    &json!({"hostIP": "192.168.0.1", "hostIPs": both, "conditions": ready}),
                ),
                &["192.168.0.1", "fd00::1"][..],
                true,
            ),
            (
                "before 1.29",
                pod(false, &json!({"hostIP": "192.168.0.1"})),
                &["192.168.0.1"],
                false,
            ),
            (
                "the host network",
                pod(
                    true,
                    &json!({"hostIP": "192.168.0.1", "podIP": "192.168.0.1"}),
                ),
                &["192.168.0.1"],
                false,
            ),
            (
                "a virtual node",
                pod(
                    false,
                    &json!({"hostIP": "192.168.0.1", "podIP": "192.168.0.1", "conditions": ready}),
                ),
                &[],
                true,
            ),
        ];
        for (name, pod, addresses, ready) in rows {
            let told = PodNode::of(&pod).unwrap().unwrap();
            let found = told.node.internal_ips.iter().map(ToString::to_string);
            assert_eq!(found.collect::<Vec<_>>(), addresses, "{name}");
            assert_eq!(
                (told.node.name.as_str(), told.node.complete, told.ready),
                ("n1", false, ready),
                "{name}"
            );
        }
    }

    #[test]
    fn a_pod_that_waits_tells_nothing() {
        for waiting in [
            json!({"metadata": {"name": "a"}}),
            pod(false, &json!({"phase": "Pending"})),
        ] {
            assert_eq!(PodNode::of(&waiting).unwrap(), None, "{waiting}");
        }
    }
}
