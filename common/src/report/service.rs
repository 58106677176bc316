//! The Service that a report is about.

use crate::{
    facts::{IpMode, ServicePort, ServiceType, TrafficPolicy},
    target::Scope,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The Service that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// `spec.externalTrafficPolicy`; `null` if it does not apply.
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// `spec.internalTrafficPolicy`; `null` if it does not apply.
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its load balancer; `null` if it has none.
    pub load_balancer: Option<LoadBalancer>,
}

/// A Service's load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// Its class, as the provider names it.
    pub class: Option<String>,
    /// The provider's pass-through setting.
    pub pass_through: Option<String>,
    /// Its addresses.
    pub addresses: Vec<LoadBalancerAddress>,
}

/// One address of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerAddress {
    /// The address; `null` if the load balancer has only a name.
    pub ip: Option<IpAddr>,
    /// The name; `null` if the load balancer has only an address.
    pub hostname: Option<String>,
    /// Whether the address is private or public.
    pub scope: Option<Scope>,
    /// How kube-proxy treats it.
    pub ip_mode: Option<IpMode>,
}
