//! Ways through Ingresses to a Service.

use super::{Endpoint, Service};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroU16, sync::Arc};

/// How a request must look to get to the Service through an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Name of the Ingress, which is in the Service's namespace.
    pub ingress: String,
    /// The host to ask for; `None`: any.
    pub host: Option<String>,
    /// The path to ask for.
    pub path: String,
    /// Whether the Ingress serves the host with TLS.
    pub tls: bool,
}

/// A route, and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedRoute {
    /// The route.
    pub route: Route,
    /// `spec.ports[].name` of the Service port that it leads to.
    pub port_name: Option<String>,
    /// IP addresses and names in the status of the Ingress. Without any, no controller serves it yet.
    pub addresses: Vec<String>,
    /// The port of these addresses.
    pub port: NonZeroU16,
    /// The controller that has the addresses, if it was found, or why nobody could look for it.
    pub controller: Result<Option<Arc<IngressController>>, String>,
}

/// The Service in front of an ingress controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressController {
    /// The Service.
    pub service: Service,
    /// The pods of the controller.
    pub endpoints: Vec<Endpoint>,
}
