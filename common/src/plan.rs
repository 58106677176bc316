//! What the agent is told to do.
//!
//! The agent knows addresses, ports and protocols. Which kind of target an address is, and what should happen there,
//! stays with whoever made the plan; `id` is how answers find back.

use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32};

/// Version of [`Plan`] and of [`crate::line::Line`]. The agent refuses any other.
pub const VERSION: u32 = 1;

/// Everything one probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Must be [`VERSION`].
    pub version: u32,
    /// Attempts made on each target.
    pub attempts: NonZeroU16,
    /// Attempts under way at once, over all targets.
    pub concurrency: NonZeroU16,
    /// Bound on resolving and connecting, TLS included, of one attempt, in milliseconds.
    pub connect_timeout_ms: NonZeroU32,
    /// Bound on one whole attempt, in milliseconds.
    pub attempt_timeout_ms: NonZeroU32,
    /// Whether the agent also reports what it sees of the node it runs on.
    pub view: View,
    /// What to request.
    pub targets: Vec<Request>,
}

words! {
    /// Whether the agent reports what it sees around itself.
    pub enum View("view") {
        /// Requests only.
        None = "none",
        /// The node's addresses, routes and kube-proxy mode, for an agent on the host network.
        Host = "host",
    }
}

/// One target of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Names the target in the answer. Unique within a plan.
    pub id: u32,
    /// An IP address, or a name to be resolved as the pod's `resolv.conf` says.
    pub host: String,
    /// Port number.
    pub port: NonZeroU16,
    /// What to do there.
    pub probe: Probe,
}

/// How a target is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Probe {
    /// One HTTP/1.1 GET request.
    Http {
        /// Path and query, beginning with `/`.
        path: String,
        /// `Host` header; `None`: the target's host and port.
        host: Option<String>,
        /// Whether TLS comes first. Certificates are not verified: reaching is asked, not trusting.
        tls: Tls,
    },
    /// A TCP connection, closed again.
    Tcp,
    /// One datagram out, any datagram back.
    Udp {
        /// Bytes to send, as text.
        payload: String,
    },
}

words! {
    /// Whether a request goes over TLS.
    pub enum Tls("tls") {
        /// Plain.
        Off = "off",
        /// TLS, without verifying the certificate.
        Unverified = "unverified",
    }
}

/// Whether a path fits into the first line of a request. One that names another host, or ends the line, would ask
/// something else than was planned.
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || c.is_control())
}
