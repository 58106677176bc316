//! Objects of the Kubernetes API, as JSON, turned into [`facts`](crate::facts).
//!
//! The same conversion serves live objects and dumps. Unknown fields are ignored; a missing field gets the value that
//! the API server would have given it; a field of a wrong shape is an error that names the object and the field.
//!
//! Field names and defaults are those of `k8s.io/api` `core/v1`, `discovery/v1` and `discovery/v1beta1`, and of
//! `pkg/apis/{core,discovery}/*/defaults.go` in kubernetes/kubernetes.

mod endpoints;
mod named;
mod node;
mod service;

pub use endpoints::ServiceEndpoints;
pub use named::ObjectError;
