//! A Service, as far as forwarding goes by it.

use crate::protocol::Protocol;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU16};

words! {
    /// `spec.type`.
    #[derive(Default)]
    pub enum ServiceType("Service type") {
        /// An address within the cluster, or none (headless).
        #[default]
        ClusterIp = "ClusterIP",
        /// A port on every node, too.
        NodePort = "NodePort",
        /// A load balancer in front of that, too.
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
    /// Its name; required by the API where there are several.
    pub name: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port of the Service's own addresses.
    pub port: NonZeroU16,
    /// Port on every node, where the type has one and one is allocated.
    pub node_port: Option<NonZeroU16>,
    /// Port of the backends.
    pub target_port: Option<TargetPort>,
    /// Application protocol, where it is told.
    pub app_protocol: Option<String>,
}

/// One of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its name, where the load balancer has one instead.
    pub hostname: Option<String>,
    /// How kube-proxy treats the address; `None` on clusters that do not say (they treat it as [`IpMode::Vip`]).
    pub ip_mode: Option<IpMode>,
}

/// A Service, as far as forwarding goes by it.
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
    /// `spec.selector`; empty: endpoints are managed by someone else.
    pub selector: BTreeMap<String, String>,
    /// `spec.clusterIPs`; empty for headless and `ExternalName` Services.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.externalName`.
    pub external_name: Option<String>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`; `Cluster` where it does not apply.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`; `Cluster` on clusters that do not have it.
    pub internal_traffic_policy: TrafficPolicy,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<NonZeroU16>,
    /// `spec.loadBalancerSourceRanges`; empty: everyone.
    pub load_balancer_source_ranges: Vec<IpNet>,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<String>,
    /// `status.loadBalancer.ingress`.
    pub load_balancer: Vec<Ingress>,
    /// Seconds of `ClientIP` session affinity; `None`: no affinity.
    pub session_affinity_seconds: Option<u32>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready_addresses: bool,
    /// `spec.trafficDistribution`.
    pub traffic_distribution: Option<String>,
}

impl fmt::Display for Service {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
