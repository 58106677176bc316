//! Reads objects of the Kubernetes API from JSON into [`facts`](crate::facts).
//!
//! Live objects and dumps are read in the same way. Unknown fields are ignored. A missing field gets the API server's
//! default. A field of the wrong type is an error that names the object and the field.
//!
//! Field names and defaults are those of `k8s.io/api` `core/v1`, `discovery/v1`, `discovery/v1beta1` and
//! `networking/v1`, and of `pkg/apis/{core,discovery,networking}/*/defaults.go` in kubernetes/kubernetes v1.37.2.

mod endpoints;
mod ingress;
mod named;
mod network_policy;
mod node;
mod pod;
mod pod_node;
mod service;

pub use endpoints::ServiceEndpoints;
pub use ingress::routes;
pub use named::ObjectError;
pub use pod_node::PodNode;
