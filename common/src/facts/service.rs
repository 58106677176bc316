//! The fields of a Service that matter for forwarding.

use crate::protocol::Protocol;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU16};

words! {
    /// `spec.type`.
    #[derive(Default)]
    pub enum ServiceType("Service type") {
        /// An address within the cluster, or no address (headless).
        #[default]
        ClusterIp = "ClusterIP",
        /// Also a port on every node.
        NodePort = "NodePort",
        /// Also a load balancer in front of the node ports.
        LoadBalancer = "LoadBalancer",
        /// A DNS alias; nothing is forwarded.
        ExternalName = "ExternalName",
    }
}

words! {
    /// `spec.externalTrafficPolicy` or `spec.internalTrafficPolicy`.
    #[derive(Default)]
    pub enum TrafficPolicy("traffic policy") {
        /// All endpoints of the cluster.
        #[default]
        Cluster = "Cluster",
        /// Endpoints of the node that handles the packet.
        Local = "Local",
    }
}

words! {
    /// `status.loadBalancer.ingress[].ipMode` (Kubernetes 1.29 and later).
    pub enum IpMode("ipMode") {
        /// kube-proxy handles the address on every node.
        Vip = "VIP",
        /// kube-proxy leaves the address alone.
        Proxy = "Proxy",
    }
}

/// `spec.ports[].targetPort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// A port number.
    Number(NonZeroU16),
    /// The name of a container's port.
    Name(String),
}

/// One of `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name. The API requires one if the Service has several ports.
    pub name: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port of the Service's own addresses.
    pub port: NonZeroU16,
    /// Port on every node, if one is allocated.
    pub node_port: Option<NonZeroU16>,
    /// Port of the backends.
    pub target_port: Option<TargetPort>,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its host name, if the load balancer has a name instead of an address.
    pub hostname: Option<String>,
    /// How kube-proxy treats the address; `None` on clusters without this field, which treat it as [`IpMode::Vip`].
    pub ip_mode: Option<IpMode>,
}

/// The fields of a Service that matter for forwarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.type`.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// `spec.selector`. If it is empty, Kubernetes does not manage the endpoints.
    pub selector: BTreeMap<String, String>,
    /// `spec.clusterIPs`; empty for headless and `ExternalName` Services.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.externalName`.
    pub external_name: Option<String>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`; `Cluster` if it does not apply.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`; `Cluster` on clusters without this field.
    pub internal_traffic_policy: TrafficPolicy,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<NonZeroU16>,
    /// `spec.loadBalancerSourceRanges`; empty means every client.
    pub load_balancer_source_ranges: Vec<IpNet>,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<String>,
    /// `status.loadBalancer.ingress`.
    pub load_balancer: Vec<Ingress>,
    /// Addresses of its load balancer that the API does not show. So nodes do not know them.
    pub unlisted_addresses: Vec<IpAddr>,
    /// Timeout of `ClientIP` session affinity, in seconds; `None` without affinity.
    pub session_affinity_seconds: Option<u32>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready_addresses: bool,
    /// `spec.trafficDistribution`.
    pub traffic_distribution: Option<String>,
}

impl Service {
    /// Whether the Service's selector selects a pod with these labels. An empty selector selects none.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut parts = self.selector.iter();
        !self.selector.is_empty() && parts.all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The selector as the API and `kubectl get --selector` take it, such as `app=nginx,tier=web`.
    #[must_use]
    pub fn selector_text(&self) -> String {
        let parts = self.selector.iter();
        let parts: Vec<String> = parts.map(|(key, value)| format!("{key}={value}")).collect();
        parts.join(",")
    }
}

impl fmt::Display for Service {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
