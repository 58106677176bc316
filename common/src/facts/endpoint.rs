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
    /// The node it is on, where that is said.
    pub node: Option<String>,
    /// The pod behind it, where it is one.
    pub pod: Option<String>,
    /// The zone it is in.
    pub zone: Option<String>,
    /// Whether it takes new connections. Endpoints that do not say are ready (EndpointSlice API documentation).
    pub ready: bool,
    /// Whether it still serves, terminating or not; `None` on clusters that do not say.
    pub serving: Option<bool>,
    /// Whether it is about to go; `None` on clusters that do not say.
    pub terminating: Option<bool>,
    /// Zones that topology hints give it to.
    pub hint_zones: Vec<String>,
    /// Nodes that topology hints give it to.
    pub hint_nodes: Vec<String>,
    /// Its ports, by the name of the Service port.
    pub ports: Vec<EndpointPort>,
}

/// A port of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name of the Service port that it serves.
    pub name: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number; a slice without one means every port and is not forwarded to.
    pub port: NonZeroU16,
}
