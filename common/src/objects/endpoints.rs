//! EndpointSlices of both versions, and core Endpoints.

use super::named::{Metadata, Named, ObjectError, filled_string};
use crate::facts::{Endpoint, EndpointPort};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Label of an EndpointSlice with the name of its Service (`k8s.io/api/discovery/v1`, `LabelServiceName`).
const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Annotation of EndpointSlices and Endpoints with the time of the last change of a pod or Service, RFC 3339, in UTC
/// (kubernetes/kubernetes v1.37.2 `staging/src/k8s.io/api/core/v1/annotation_key_constants.go`,
/// `EndpointsLastChangeTriggerTime`).
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Key of `topology` in `discovery.k8s.io/v1beta1`: the endpoint's node.
const TOPOLOGY_HOSTNAME: &str = "kubernetes.io/hostname";

/// Keys of `topology` in `discovery.k8s.io/v1beta1`: the endpoint's zone.
const TOPOLOGY_ZONE: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];

/// What one EndpointSlice or one Endpoints object says about a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service; `None` for a slice without a Service.
    pub service: Option<String>,
    /// The endpoints, in the object's order.
    pub endpoints: Vec<Endpoint>,
    /// When they last changed, or were created: RFC 3339, in UTC, to the second.
    pub changed: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    metadata: Metadata,
    address_type: Option<String>,
    endpoints: Option<Vec<SliceEndpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SliceEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<Conditions>,
    node_name: Option<String>,
    target_ref: Option<Reference>,
    zone: Option<String>,
    topology: Option<BTreeMap<String, String>>,
    hints: Option<Hints>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
struct Reference {
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hints {
    for_zones: Option<Vec<Hint>>,
    for_nodes: Option<Vec<Hint>>,
}

#[derive(Deserialize)]
struct Hint {
    name: String,
}

#[derive(Deserialize)]
struct Port {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<i64>,
}

#[derive(Deserialize)]
struct Endpoints {
    metadata: Metadata,
    subsets: Option<Vec<Subset>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subset {
    addresses: Option<Vec<EndpointAddress>>,
    not_ready_addresses: Option<Vec<EndpointAddress>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointAddress {
    ip: String,
    node_name: Option<String>,
    target_ref: Option<Reference>,
}

/// The ports that kube-proxy forwards to. It ignores ports without a number
/// (kubernetes/kubernetes v1.20.2 and v1.30.0 `pkg/proxy/endpointslicecache.go`).
fn ports(named: &Named, ports: Option<Vec<Port>>) -> Result<Vec<EndpointPort>, ObjectError> {
    let mut known = Vec::new();
    for port in ports.unwrap_or_default() {
        if let Some(number) = named.optional_port("ports[].port", port.port)? {
            known.push(EndpointPort {
                name: filled_string(port.name),
                protocol: named.parse_or_default("ports[].protocol", port.protocol.as_deref())?,
                port: number,
            });
        }
    }
    Ok(known)
}

/// The time of creation or of the last change, whichever is later. RFC 3339 times of equal length sort as text.
fn changed(metadata: &Metadata) -> Option<String> {
    let annotations = metadata.annotations.as_ref();
    let last = annotations.and_then(|annotations| annotations.get(LAST_CHANGE));
    let to_the_second = |time: &String| Some(format!("{}Z", time.get(..19)?));
    let times = [metadata.created.as_ref(), last];
    times.into_iter().flatten().filter_map(to_the_second).max()
}

/// The pod's name, if the reference is to a pod.
fn pod(reference: Option<Reference>) -> Option<String> {
    reference
        .filter(|reference| reference.kind.as_deref() == Some("Pod"))
        .and_then(|reference| filled_string(reference.name))
}

impl ServiceEndpoints {
    /// Reads an EndpointSlice of `discovery.k8s.io/v1` or `v1beta1`.
    ///
    /// Only the first address of each endpoint counts, as in kube-proxy. The API defines the others as interchangeable
    /// with it. kube-proxy does not forward to slices of names (`addressType: FQDN`), so they have no endpoints here.
    ///
    /// # Errors
    ///
    /// Fails if the object is of another kind, or if a field has an invalid value.
    pub fn from_slice(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("endpointslice", object);
        let Slice {
            metadata,
            address_type,
            endpoints,
            ports: wire_ports,
        } = named.read("EndpointSlice", object)?;
        let ports = ports(&named, wire_ports)?;
        let mut known = Vec::new();
        let endpoints = match address_type.as_deref() {
            Some("FQDN") => Vec::new(),
            _ => endpoints.unwrap_or_default(),
        };
        for endpoint in endpoints {
            let Some(address) = endpoint.addresses.iter().flatten().next() else {
                continue;
            };
            let conditions = endpoint.conditions.unwrap_or_default();
            let hints = endpoint.hints.unwrap_or_default();
            let names = |hints: Option<Vec<Hint>>| -> Vec<String> {
                hints
                    .unwrap_or_default()
                    .into_iter()
                    .map(|hint| hint.name)
                    .collect()
            };
            let topology = |key: &str| {
                endpoint
                    .topology
                    .as_ref()
                    .and_then(|topology| topology.get(key))
            };
            known.push(Endpoint {
                address: named.parse("endpoints[].addresses[]", address)?,
                node: filled_string(endpoint.node_name)
                    .or_else(|| topology(TOPOLOGY_HOSTNAME).cloned()),
                pod: pod(endpoint.target_ref),
                zone: filled_string(endpoint.zone)
                    .or_else(|| TOPOLOGY_ZONE.iter().find_map(|key| topology(key)).cloned()),
                ready: conditions.ready.unwrap_or(true),
                serving: conditions.serving,
                terminating: conditions.terminating,
                hint_zones: names(hints.for_zones),
                hint_nodes: names(hints.for_nodes),
                ports: ports.clone(),
            });
        }
        Ok(Self {
            changed: changed(&metadata),
            namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
            service: metadata
                .labels
                .and_then(|mut labels| labels.remove(LABEL_SERVICE_NAME)),
            endpoints: known,
        })
    }

    /// Reads core Endpoints, which have the same name as their Service.
    ///
    /// # Errors
    ///
    /// Fails if the object is of another kind, or if a field has an invalid value.
    pub fn from_endpoints(object: &Value) -> Result<Self, ObjectError> {
        let named = Named::of("endpoints", object);
        let Endpoints { metadata, subsets } = named.read("Endpoints", object)?;
        let mut known = Vec::new();
        for subset in subsets.unwrap_or_default() {
            let ports = ports(&named, subset.ports)?;
            for (addresses, ready) in [
                (subset.addresses, true),
                (subset.not_ready_addresses, false),
            ] {
                for address in addresses.unwrap_or_default() {
                    known.push(Endpoint {
                        address: named.parse("subsets[].addresses[].ip", &address.ip)?,
                        node: filled_string(address.node_name),
                        pod: pod(address.target_ref),
                        zone: None,
                        ready,
                        serving: None,
                        terminating: None,
                        hint_zones: Vec::new(),
                        hint_nodes: Vec::new(),
                        ports: ports.clone(),
                    });
                }
            }
        }
        Ok(Self {
            changed: changed(&metadata),
            namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
            service: Some(metadata.name),
            endpoints: known,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceEndpoints;
    use serde_json::json;

    #[test]
    fn reads_v1_slices() {
        let read = ServiceEndpoints::from_slice(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "", "protocol": "TCP", "port": 8080}, {"name": "any", "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["10.0.1.5", "10.0.1.6"], "conditions": {}, "nodeName": "n1", "zone": "a",
                 "targetRef": {"kind": "Pod", "name": "web-1"}, "hints": {"forZones": [{"name": "a"}]}},
                {"addresses": ["10.0.1.7"],
                 "conditions": {"ready": false, "serving": true, "terminating": true}},
            ],
        })).unwrap();
        assert_eq!(read.service.as_deref(), Some("web"));
        let [first, second] = read.endpoints.as_slice() else {
            panic!("two endpoints expected, got {:?}", read.endpoints)
        };
        assert!(first.ready, "an endpoint without the condition is ready");
        assert_eq!(first.address.to_string(), "10.0.1.5");
        assert_eq!(
            (
                first.node.as_deref(),
                first.zone.as_deref(),
                first.pod.as_deref()
            ),
            (Some("n1"), Some("a"), Some("web-1"))
        );
        assert_eq!(first.hint_zones, ["a"]);
        assert_eq!(first.ports.len(), 1, "a port without a number is ignored");
        assert_eq!(first.ports[0].name, None);
        assert_eq!(
            (
                second.ready,
                second.serving,
                second.terminating,
                second.node.as_deref()
            ),
            (false, Some(true), Some(true), None)
        );
    }

    #[test]
    fn reads_node_and_zone_of_v1beta1_slices() {
        let read = ServiceEndpoints::from_slice(&json!({
            "apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"port": 8080}],
            "endpoints": [{"addresses": ["10.0.1.5"],
                "topology": {"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "a"}}],
        })).unwrap();
        let endpoint = &read.endpoints[0];
        assert_eq!(endpoint.node.as_deref(), Some("n1"));
        assert_eq!(endpoint.zone.as_deref(), Some("a"));
        assert_eq!((endpoint.ready, endpoint.serving), (true, None));
        assert_eq!(endpoint.ports[0].protocol.as_str(), "TCP");
    }

    #[test]
    fn fqdn_slices_have_no_endpoints() {
        let read = ServiceEndpoints::from_slice(&json!({
            "kind": "EndpointSlice", "addressType": "FQDN", "metadata": {"name": "x"},
            "endpoints": [{"addresses": ["example.org"]}],
        }))
        .unwrap();
        assert_eq!((read.service, read.endpoints.len()), (None, 0));
    }

    #[test]
    fn reads_core_endpoints() {
        let read = ServiceEndpoints::from_endpoints(&json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "shop"},
            "subsets": [{
                "addresses": [{"ip": "10.0.1.5", "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "web-1"}}],
                "notReadyAddresses": [{"ip": "10.0.1.6"}],
                "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
            }],
        })).unwrap();
        let seen: Vec<_> = read
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.address.to_string(), endpoint.ready))
            .collect();
        assert_eq!(
            seen,
            [
                ("10.0.1.5".to_owned(), true),
                ("10.0.1.6".to_owned(), false)
            ]
        );
        assert_eq!(read.endpoints[0].ports[0].name.as_deref(), Some("web"));
    }

    #[test]
    fn last_change_in_seconds() {
        for (metadata, changed) in [
            (json!({}), None),
            (
                json!({"creationTimestamp": "2026-01-02T03:04:05Z"}),
                Some("2026-01-02T03:04:05Z"),
            ),
            (
                json!({
                    "creationTimestamp": "2026-01-02T03:04:05Z",
                    "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:07.123456Z"},
                }),
                Some("2026-01-02T03:04:07Z"),
            ),
            (json!({"creationTimestamp": "long ago"}), None),
        ] {
            let mut object = json!({"metadata": metadata, "endpoints": []});
            object["metadata"]["name"] = "web".into();
            let slice = ServiceEndpoints::from_slice(&object).unwrap();
            assert_eq!(slice.changed.as_deref(), changed, "{object}");
            let endpoints = ServiceEndpoints::from_endpoints(&object).unwrap();
            assert_eq!(endpoints.changed.as_deref(), changed, "{object}");
        }
    }
}
