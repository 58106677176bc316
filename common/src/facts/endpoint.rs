//! An endpoint of the Service: one address of one backend.

use crate::protocol::Protocol;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, num::NonZeroU16};

/// One address of one EndpointSlice, or of core Endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// The node it is on, if known.
    pub node: Option<String>,
    /// The pod behind it, if there is one.
    pub pod: Option<String>,
    /// The zone it is in.
    pub zone: Option<String>,
    /// Whether it takes new connections. An endpoint without this condition is ready (EndpointSlice API documentation).
    pub ready: bool,
    /// Whether it still serves, even while it is terminating; `None` on clusters without this condition.
    pub serving: Option<bool>,
    /// Whether it is terminating; `None` on clusters without this condition.
    pub terminating: Option<bool>,
    /// Zones that should use it, by topology hints.
    pub hint_zones: Vec<String>,
    /// Nodes that should use it, by topology hints.
    pub hint_nodes: Vec<String>,
    /// Its ports, named like the Service ports.
    pub ports: Vec<EndpointPort>,
}

impl Endpoint {
    /// Whether a proxy may send traffic to it: it is ready, or it is terminating and still serves. Proxies use the latter
    /// if there is no ready one (KEP-1669).
    #[must_use]
    pub fn may_get_traffic(&self) -> bool {
        self.ready || self.serving == Some(true) && self.terminating == Some(true)
    }
}

/// A port of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name of the Service port that it serves.
    pub name: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number. A slice port without a number means "every port"; kube-proxy does not forward to it, so it is left
    /// out.
    pub port: NonZeroU16,
}
