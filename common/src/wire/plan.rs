//! What the agent is told to do.
//!
//! The agent knows addresses, ports and protocols. Which kind of target an address is, and what should happen there,
//! stays with whoever made the plan; `id` is how answers find back.

use serde::{Deserialize, Serialize};
use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

/// Version of [`Plan`] and of [`crate::wire::line::Line`]. The agent refuses any other.
pub const VERSION: u32 = 1;

/// Everything one probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Must be [`VERSION`].
    pub version: u32,
    /// Attempts made on each target that does not say otherwise.
    pub attempts: NonZeroU16,
    /// Attempts under way at once, over all targets.
    pub concurrency: NonZeroU16,
    /// Bound on resolving and connecting, TLS included, of one attempt, in milliseconds, but for what [`Plan::grace`]
    /// adds.
    pub connect_timeout_ms: NonZeroU32,
    /// Bound on one whole attempt, in milliseconds, but for what [`Plan::grace`] adds.
    pub attempt_timeout_ms: NonZeroU32,
    /// Whether the agent also reports what it sees of the node it runs on.
    pub view: View,
    /// What to request.
    pub targets: Vec<Request>,
}

/// Time enough for a server that lives.
const GRACE: Duration = Duration::from_secs(1);

impl Plan {
    /// Attempts made on one of its targets.
    #[must_use]
    pub fn attempts_on(&self, target: &Request) -> usize {
        usize::from(target.attempts.unwrap_or(self.attempts).get())
    }

    /// Bound on resolving and connecting.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.connect_timeout_ms.get())).min(self.attempt_timeout())
    }

    /// Bound on one whole attempt.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.attempt_timeout_ms.get()))
    }

    /// What a server is given at least for its TLS handshake, and for its answer: a connection that came late, as after
    /// a lost packet, would leave no time for them, and a server that lives would pass for one that is silent.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.attempt_timeout().min(GRACE)
    }

    /// How long an attempt on any of the targets may take.
    #[must_use]
    pub fn longest_attempt(&self) -> Duration {
        let graces = self.targets.iter().map(|target| match target.probe {
            RequestKind::Http {
                tls: Tls::Unverified,
                ..
            } => 2,
            RequestKind::Http { tls: Tls::Off, .. } => 1,
            RequestKind::Tcp | RequestKind::Udp { .. } => 0,
        });
        let late = self.connect_timeout() + self.grace() * graces.max().unwrap_or(0);
        late.max(self.attempt_timeout())
    }
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
    pub probe: RequestKind,
    /// Attempts made on this target; `None`: as many as on any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<NonZeroU16>,
}

/// How a target is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum RequestKind {
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

#[cfg(test)]
mod tests {
    use super::{NonZeroU16, NonZeroU32, Plan, Request, RequestKind, Tls, VERSION, View};
    use std::time::Duration;

    #[test]
    fn an_attempt_takes_as_long_as_what_comes_late_is_waited_for() {
        let http = |tls| RequestKind::Http {
            path: "/".into(),
            host: None,
            tls,
        };
        for (connect_ms, attempt_ms, probe, longest_ms) in [
            (3000, 3000, RequestKind::Tcp, 3000),
            (3000, 3000, http(Tls::Off), 4000),
            (3000, 3000, http(Tls::Unverified), 5000),
            (1000, 5000, http(Tls::Unverified), 5000),
            (9000, 500, http(Tls::Off), 1000),
        ] {
            let plan = Plan {
                version: VERSION,
                attempts: NonZeroU16::MIN,
                concurrency: NonZeroU16::MIN,
                connect_timeout_ms: NonZeroU32::new(connect_ms).unwrap(),
                attempt_timeout_ms: NonZeroU32::new(attempt_ms).unwrap(),
                view: View::None,
                targets: vec![Request {
                    id: 0,
                    host: "192.0.2.1".into(),
                    port: NonZeroU16::MIN,
                    probe,
                    attempts: None,
                }],
            };
            assert_eq!(plan.longest_attempt(), Duration::from_millis(longest_ms));
        }
    }
}
