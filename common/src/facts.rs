//! What the API server says about the Service, its endpoints and the nodes, reduced to the fields that are used here.
//!
//! The facts are the same, whether they were read from a live cluster or from a dump.

mod endpoint;
mod node;
mod route;
mod service;

pub use endpoint::{Endpoint, EndpointPort};
pub use node::{Node, Taint, VIRTUAL_NODES};
pub use route::{IngressController, Route, ServedRoute};
pub use service::{Ingress, IpMode, Service, ServicePort, ServiceType, TargetPort, TrafficPolicy};

use std::sync::Arc;

/// A Service with its endpoints, and the nodes that matter to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The Service.
    pub service: Service,
    /// Its endpoints, ready or not.
    pub endpoints: Vec<Endpoint>,
    /// The nodes that run an endpoint, and some that run none. Services of one cluster share this list.
    pub nodes: Arc<Vec<Node>>,
    /// Whether the cluster has further nodes.
    pub further_nodes: FurtherNodes,
    /// When the endpoints last changed, if the cluster says so: RFC 3339, in UTC.
    pub changed: Option<String>,
    /// The API server's version, such as `v1.20.2`.
    pub server_version: Option<String>,
    /// Ways through Ingresses, or why they are unknown.
    pub routes: Result<Vec<ServedRoute>, String>,
}

/// Whether a cluster has nodes besides those that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FurtherNodes {
    /// It has none, so "no such node" is a fact.
    None,
    /// It may have some, which were not read.
    NotRead,
    /// It may have some, but none could be found, for this reason.
    NotFound(String),
}

impl Facts {
    /// Whether every node of the cluster is known.
    #[must_use]
    pub fn all_nodes(&self) -> bool {
        self.further_nodes == FurtherNodes::None
    }

    /// Names of the nodes that run a backend (a ready endpoint).
    pub fn backend_nodes(&self) -> impl Iterator<Item = &str> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.ready)
            .filter_map(|endpoint| endpoint.node.as_deref())
    }

    /// Whether the named node runs a backend.
    #[must_use]
    pub fn runs_backend(&self, node: &str) -> bool {
        self.backend_nodes().any(|name| name == node)
    }

    /// The named node, if it is known.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}
