//! Reads Services.

use super::named::{Metadata, Named, ObjectError, filled, filled_string};
use crate::facts::{Ingress, Service, ServicePort, ServiceType, TargetPort};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, num::NonZeroU16};

/// Default of `sessionAffinityConfig.clientIP.timeoutSeconds`: three hours
/// (kubernetes/kubernetes v1.37.2 `staging/src/k8s.io/api/core/v1/types.go`, `DefaultClientIPServiceAffinitySeconds`).
const AFFINITY_SECONDS: u32 = 10_800;

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    selector: Option<BTreeMap<String, String>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    external_name: Option<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<String>>,
    external_traffic_policy: Option<String>,
    internal_traffic_policy: Option<String>,
    ports: Option<Vec<Port>>,
    health_check_node_port: Option<i64>,
    load_balancer_source_ranges: Option<Vec<String>>,
    load_balancer_class: Option<String>,
    session_affinity: Option<String>,
    session_affinity_config: Option<AffinityConfig>,
    publish_not_ready_addresses: Option<bool>,
    traffic_distribution: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    protocol: Option<String>,
    port: i64,
    node_port: Option<i64>,
    target_port: Option<Value>,
    app_protocol: Option<String>,
}

#[derive(Deserialize)]
struct AffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: Option<ClientIp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientIp {
    timeout_seconds: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    load_balancer: Option<LoadBalancer>,
}

#[derive(Default, Deserialize)]
struct LoadBalancer {
    ingress: Option<Vec<WireIngress>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIngress {
    ip: Option<String>,
    hostname: Option<String>,
    ip_mode: Option<String>,
}

impl TryFrom<&Value> for Service {
    type Error = ObjectError;

    fn try_from(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("service", object);
        let Wire {
            metadata,
            spec,
            status,
        } = named.read("Service", object)?;
        let spec = spec.unwrap_or_default();
        let kind: ServiceType = named.parse_or_default("spec.type", spec.kind.as_deref())?;
        let headless = kind != ServiceType::ExternalName
            && (spec.cluster_ip.as_deref() == Some("None")
                || spec
                    .cluster_ips
                    .as_ref()
                    .is_some_and(|ips| ips.iter().any(|ip| ip == "None")));
        // Before 1.20 there is only `clusterIP`. An ExternalName Service may still have an address; it is not used.
        let cluster_ips = match spec.cluster_ips {
            _ if headless || kind == ServiceType::ExternalName => Vec::new(),
            Some(several) if !several.is_empty() => several,
            Some(_) | None => filled_string(spec.cluster_ip).into_iter().collect(),
        };
        let affinity = spec
            .session_affinity
            .is_some_and(|affinity| affinity == "ClientIP")
            .then(|| {
                spec.session_affinity_config
                    .and_then(|config| config.client_ip?.timeout_seconds)
                    .unwrap_or(AFFINITY_SECONDS)
            });
        let ingress = status
            .and_then(|status| status.load_balancer?.ingress)
            .unwrap_or_default();
        Ok(Self {
            kind,
            selector: spec.selector.unwrap_or_default(),
            cluster_ips: named
                .addresses("spec.clusterIPs[]", cluster_ips.iter().map(String::as_str))?,
            headless,
            external_name: filled_string(spec.external_name),
            external_ips: named.addresses(
                "spec.externalIPs[]",
                spec.external_ips.iter().flatten().map(String::as_str),
            )?,
            external_traffic_policy: named.parse_or_default(
                "spec.externalTrafficPolicy",
                spec.external_traffic_policy.as_deref(),
            )?,
            internal_traffic_policy: named.parse_or_default(
                "spec.internalTrafficPolicy",
                spec.internal_traffic_policy.as_deref(),
            )?,
            ports: spec
                .ports
                .unwrap_or_default()
                .into_iter()
                .map(|port| port.read(&named))
                .collect::<Result<_, _>>()?,
            health_check_node_port: named
                .optional_port("spec.healthCheckNodePort", spec.health_check_node_port)?,
            load_balancer_source_ranges: spec
                .load_balancer_source_ranges
                .unwrap_or_default()
                .iter()
                // The API and kube-proxy accept blanks around a range.
                .map(|range| named.parse("spec.loadBalancerSourceRanges[]", range.trim()))
                .collect::<Result<_, _>>()?,
            load_balancer_class: filled_string(spec.load_balancer_class),
            unlisted_addresses: Vec::new(),
            load_balancer: ingress
                .into_iter()
                .map(|ingress| ingress.read(&named))
                .collect::<Result<_, _>>()?,
            session_affinity_seconds: affinity,
            publish_not_ready_addresses: spec.publish_not_ready_addresses.unwrap_or_default(),
            traffic_distribution: filled_string(spec.traffic_distribution),
            namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
        })
    }
}

impl Port {
    fn read(self, named: &Named) -> Result<ServicePort, ObjectError> {
        let target_port = match self.target_port {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()).map(|name| {
                name.parse::<NonZeroU16>()
                    .map_or(TargetPort::Name(name), TargetPort::Number)
            }),
            Some(number @ Value::Number(_)) => match number.as_i64() {
                Some(0) => None,
                Some(value) => Some(TargetPort::Number(
                    named.port("spec.ports[].targetPort", value)?,
                )),
                None => {
                    return Err(named.wrong(
                        "spec.ports[].targetPort",
                        number,
                        "not a port number",
                    ));
                }
            },
            Some(other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
                return Err(named.wrong(
                    "spec.ports[].targetPort",
                    other,
                    "neither a number nor a name",
                ));
            }
        };
        Ok(ServicePort {
            name: filled_string(self.name),
            protocol: named.parse_or_default("spec.ports[].protocol", self.protocol.as_deref())?,
            port: named.port("spec.ports[].port", self.port)?,
            node_port: named.optional_port("spec.ports[].nodePort", self.node_port)?,
            target_port,
            app_protocol: filled_string(self.app_protocol),
        })
    }
}

impl WireIngress {
    fn read(self, named: &Named) -> Result<Ingress, ObjectError> {
        Ok(Ingress {
            ip: filled(self.ip.as_deref())
                .map(|ip| named.parse("status.loadBalancer.ingress[].ip", ip))
                .transpose()?,
            hostname: filled_string(self.hostname),
            ip_mode: filled(self.ip_mode.as_deref())
                .map(|mode| named.parse("status.loadBalancer.ingress[].ipMode", mode))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::{IpMode, Service, ServiceType, TargetPort, TrafficPolicy};
    use serde_json::{Value, json};

    fn read(object: Value) -> Service {
        Service::try_from(&object).unwrap()
    }

    #[test]
    fn missing_fields_get_defaults() {
        let service = read(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80, "targetPort": "http"}]},
        }));
        assert_eq!(service.kind, ServiceType::ClusterIp);
        assert_eq!(
            service.cluster_ips.len(),
            1,
            "clusterIP alone, as before 1.20"
        );
        assert_eq!(service.external_traffic_policy, TrafficPolicy::Cluster);
        assert_eq!(service.internal_traffic_policy, TrafficPolicy::Cluster);
        assert_eq!(service.session_affinity_seconds, None);
        let port = &service.ports[0];
        assert_eq!(port.name, None);
        assert_eq!(port.protocol.as_str(), "TCP");
        assert_eq!(port.node_port, None);
        assert_eq!(port.target_port, Some(TargetPort::Name("http".to_owned())));
    }

    #[test]
    fn reads_every_field() {
        let service = read(json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": null},
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"],
                "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster", "healthCheckNodePort": 31000,
                "loadBalancerSourceRanges": [" 10.0.0.0/8 "], "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "ports": [{"name": "web", "protocol": "UDP", "port": 80, "targetPort": 8080, "nodePort": 30080}],
                "somethingNew": {"x": 1},
            },
            "status": {"loadBalancer": {"ingress": [
                {"ip": "192.0.2.1", "ipMode": "Proxy"}, {"hostname": "lb.example.org"}]}},
        }));
        assert_eq!(service.kind, ServiceType::LoadBalancer);
        assert_eq!(service.cluster_ips.len(), 2);
        assert_eq!(service.external_traffic_policy, TrafficPolicy::Local);
        assert_eq!(service.health_check_node_port.map(u16::from), Some(31000));
        assert_eq!(
            service.load_balancer_source_ranges,
            ["10.0.0.0/8".parse().unwrap()]
        );
        assert_eq!(service.session_affinity_seconds, Some(60));
        assert_eq!(service.load_balancer[0].ip_mode, Some(IpMode::Proxy));
        assert_eq!(service.load_balancer[1].ip, None);
        assert_eq!(
            service.load_balancer[1].hostname.as_deref(),
            Some("lb.example.org")
        );
    }

    #[test]
    fn services_without_an_address() {
        let headless = read(
            json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}),
        );
        assert!(headless.headless && headless.cluster_ips.is_empty());
        let alias = read(json!({"metadata": {"name": "a"},
            "spec": {"type": "ExternalName", "externalName": "example.org", "clusterIP": "10.96.0.9"}}));
        assert!(!alias.headless && alias.cluster_ips.is_empty());
        assert_eq!(alias.external_name.as_deref(), Some("example.org"));
    }

    #[test]
    fn errors_name_object_and_field() {
        let rows = [
            (
                json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"externalTrafficPolicy": "Remote"}}),
                "read service shop/web: spec.externalTrafficPolicy cannot be \"Remote\" \
                 (unknown traffic policy \"Remote\", expected one of: Cluster, Local)",
            ),
            (
                json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"ports": [{"port": 70000}]}}),
                "read service shop/web: spec.ports[].port cannot be \"70000\" (not a port number)",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}),
                "expected Service, found v1 Pod",
            ),
        ];
        for (object, text) in rows {
            assert_eq!(Service::try_from(&object).unwrap_err().to_string(), text);
        }
    }
}
