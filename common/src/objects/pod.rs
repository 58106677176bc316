//! Reads pods.

use super::named::{Ip, Metadata, Named, ObjectError, filled_string};
use crate::model::policy::{ContainerPort, Labels, Pod};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    host_network: Option<bool>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    restart_policy: Option<String>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: i64,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Ip>>,
}

impl TryFrom<&Value> for Pod {
    type Error = ObjectError;

    fn try_from(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("pod", object);
        let Wire {
            metadata,
            spec,
            status,
        } = named.read("Pod", object)?;
        let spec = spec.unwrap_or_default();
        let status = status.unwrap_or_default();
        // An init container that restarts is a sidecar, which runs as long as the pod does.
        let sidecars = spec
            .init_containers
            .into_iter()
            .flatten()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let mut ports = Vec::new();
        for container in spec.containers.into_iter().flatten().chain(sidecars) {
            for port in container.ports.into_iter().flatten() {
                let Some(name) = filled_string(port.name) else {
                    continue;
                };
                ports.push(ContainerPort {
                    name,
                    port: named.port(
                        "spec.containers[].ports[].containerPort",
                        port.container_port,
                    )?,
                    protocol: named.parse_or_default(
                        "spec.containers[].ports[].protocol",
                        port.protocol.as_deref(),
                    )?,
                });
            }
        }
        Ok(Self {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
            labels: Labels::all(metadata.labels.unwrap_or_default()),
            addresses: named.ips("status.podIPs[].ip", status.pod_ips, status.pod_ip)?,
            host_network: spec.host_network.unwrap_or_default(),
            node: filled_string(spec.node_name),
            ports: Some(ports),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{model::policy::Pod, protocol::Protocol};
    use serde_json::json;

    #[test]
    fn reads_pods() {
        let pod = Pod::try_from(&json!({
            "metadata": {"namespace": "web", "name": "a", "labels": {"app": "a"}},
            "spec": {
                "nodeName": "n1",
                "containers": [{"ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"containerPort": 9090},
                ]}, {}],
                "initContainers": [
                    {"restartPolicy": "Always", "ports": [{"name": "sidecar", "containerPort": 15000}]},
                    {"ports": [{"name": "setup", "containerPort": 1}]},
                ],
            },
            "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        }))
        .unwrap();
        assert_eq!(
            (pod.to_string().as_str(), pod.host_network),
            ("web/a", false)
        );
        assert_eq!(pod.node.as_deref(), Some("n1"));
        assert_eq!(pod.addresses.len(), 2);
        let ports: Vec<_> = pod
            .ports
            .iter()
            .flatten()
            .map(|port| (port.name.as_str(), port.port.get(), port.protocol))
            .collect();
        assert_eq!(
            ports,
            [
                ("http", 8080, Protocol::Tcp),
                ("dns", 53, Protocol::Udp),
                ("sidecar", 15000, Protocol::Tcp)
            ]
        );
    }

    #[test]
    fn pods_that_are_not_scheduled_have_no_node_and_no_address() {
        let pod = Pod::try_from(&json!({"metadata": {"namespace": "web", "name": "a"}})).unwrap();
        assert!(pod.node.is_none() && pod.addresses.is_empty());
        assert!(pod.labels.complete && pod.labels.known.is_empty());
    }
}
