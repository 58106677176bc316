//! The plan: what the agent has to do.
//!
//! The agent knows only addresses, ports and protocols. The plugin knows which kind of target an address is and what
//! should happen there. It matches answers to targets by `id`.

use serde::{Deserialize, Serialize};
use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

/// Version of [`Plan`] and of [`crate::wire::line::Line`]. The agent refuses any other.
pub const VERSION: u32 = 2;

/// Everything one probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Must be [`VERSION`].
    pub version: u32,
    /// Number of attempts on each target, unless the target sets its own.
    pub attempts: NonZeroU16,
    /// Maximum number of attempts at the same time, over all targets.
    pub concurrency: NonZeroU16,
    /// Timeout of one attempt for resolving and connecting, including TLS, in milliseconds. [`Plan::grace`] can extend
    /// it.
    pub connect_timeout_ms: NonZeroU32,
    /// Timeout of one whole attempt, in milliseconds. [`Plan::grace`] can extend it.
    pub attempt_timeout_ms: NonZeroU32,
    /// Whether the agent also reports what it sees on its node.
    pub view: View,
    /// The targets to try.
    pub targets: Vec<Request>,
}

/// Least time between two rounds of attempts on a target. A node learns of a changed Service within a second or so.
pub const PAUSE: Duration = Duration::from_secs(2);

/// Most rounds of attempts on a target that a NetworkPolicy forbids or allows. On a busy node, a network plugin enforces the
/// policies of a new pod only after seconds. The API does not say when
/// (<https://kubernetes.io/docs/concepts/services-networking/network-policies/#pod-lifecycle>).
pub const MOST_ROUNDS: u32 = 6;

/// How long the agent watches a bare TCP connection that was accepted. A proxy without a backend ends it.
pub const WATCHED: Duration = Duration::from_millis(300);

/// How long the agent waits until something accepts a control request. A proxy that answers for everything is near.
pub const CONTROL: Duration = Duration::from_secs(1);

/// Enough time for a working server.
const GRACE: Duration = Duration::from_secs(1);

impl Plan {
    /// Number of attempts on one of its targets.
    #[must_use]
    pub fn attempts_on(&self, target: &Request) -> usize {
        usize::from(target.attempts.unwrap_or(self.attempts).get())
    }

    /// Timeout for resolving and connecting.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.connect_timeout_ms.get())).min(self.attempt_timeout())
    }

    /// Timeout of one whole attempt.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.attempt_timeout_ms.get()))
    }

    /// Minimum time that a server gets for its TLS handshake, and again for its answer. Without it, a connection that
    /// is late, for example after a lost packet, would leave no time for them, and a working server would look silent.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.attempt_timeout().min(GRACE)
    }

    /// Maximum duration of an attempt on any of the targets.
    #[must_use]
    pub fn longest_attempt(&self) -> Duration {
        let after_connecting = self.targets.iter().map(|target| match target.probe {
            RequestKind::Http {
                tls: Tls::Unverified,
                ..
            } => self.grace() * 2,
            RequestKind::Http { tls: Tls::Off, .. } => self.grace(),
            RequestKind::Tcp => WATCHED,
            RequestKind::Udp { .. } | RequestKind::Control => Duration::ZERO,
        });
        let late = self.connect_timeout() + after_connecting.max().unwrap_or_default();
        late.max(self.attempt_timeout())
    }
}

words! {
    /// Whether the agent reports what it sees on its node.
    pub enum View("view") {
        /// No report.
        None = "none",
        /// The node's addresses, routes and kube-proxy mode, for an agent on the host network.
        Host = "host",
    }
}

/// One target of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Identifies the target in the answer. Unique within a plan.
    pub id: u32,
    /// An IP address, or a name that the agent resolves with the pod's `resolv.conf`.
    pub host: String,
    /// Port number.
    pub port: NonZeroU16,
    /// How to try it.
    pub probe: RequestKind,
    /// Number of attempts on this target; `None` for the plan's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<NonZeroU16>,
    /// When it is asked again, in another round.
    #[serde(default, skip_serializing_if = "Again::is_never")]
    pub again: Again,
    /// Requests with the same number may lead to the same backends. Their attempts are spread. `None`: not spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<u32>,
    /// Requests with the same number may be refused by the same node. Their attempts are paced as soon as one is refused.
    /// `None`: not paced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<u32>,
}

impl Request {
    /// A request that the plan's number of attempts applies to, that is never asked again, and that shares nothing.
    #[must_use]
    pub const fn new(id: u32, host: String, port: NonZeroU16, probe: RequestKind) -> Self {
        Self {
            id,
            host,
            port,
            probe,
            attempts: None,
            again: Again::Never,
            lane: None,
            gate: None,
        }
    }
}

words! {
    /// When a target is asked again, in another round of attempts.
    pub enum Again("second round") {
        /// Not at all.
        Never = "never",
        /// If only some attempts reached it, or if it refused only some of them.
        IfMixed = "if-mixed",
        /// Unless every attempt reached it.
        UnlessReached = "unless-reached",
        /// Unless every attempt reached it, and again after that, in at most [`MOST_ROUNDS`] rounds.
        UntilReached = "until-reached",
        /// Unless every attempt reached it, or got any HTTP status.
        UnlessAnswered = "unless-answered",
        /// If any attempt reached it, or if it refused only some of them.
        UnlessNotReached = "unless-not-reached",
        /// If any attempt reached it, and again after that, in at most [`MOST_ROUNDS`] rounds.
        UntilNotReached = "until-not-reached",
    }
}

#[expect(
    clippy::derivable_impls,
    reason = "the macro that makes the enum has no place for it"
)]
impl Default for Again {
    fn default() -> Self {
        Self::Never
    }
}

impl Again {
    /// How many rounds a target gets at most.
    #[must_use]
    pub const fn most_rounds(self) -> u32 {
        match self {
            Self::Never => 1,
            Self::IfMixed | Self::UnlessReached | Self::UnlessAnswered | Self::UnlessNotReached => {
                2
            }
            Self::UntilReached | Self::UntilNotReached => MOST_ROUNDS,
        }
    }

    /// Whether a target is never asked again.
    #[must_use]
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }

    /// What applies to a target that two Services share.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other {
            self
        } else {
            Self::UnlessReached
        }
    }
}

/// How a target is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
        /// `Host` header; `None` for the target's host and port.
        host: Option<String>,
        /// Whether to use TLS. Certificates are not verified, since only reachability matters.
        tls: Tls,
    },
    /// A TCP connection, which the agent closes after [`WATCHED`].
    Tcp,
    /// A TCP connection to an address and port that nothing serves. Whoever accepts it, accepts everything. The agent
    /// waits for [`CONTROL`] at most.
    Control,
    /// One datagram; any datagram counts as an answer.
    Udp {
        /// Bytes to send, as text.
        payload: String,
    },
}

words! {
    /// Whether a request goes over TLS.
    pub enum Tls("tls") {
        /// Without TLS.
        Off = "off",
        /// TLS, without verifying the certificate.
        Unverified = "unverified",
    }
}

/// Whether a path is safe in the first line of a request. A path that names another host or ends the line would send a
/// different request than planned.
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::{NonZeroU16, NonZeroU32, Plan, Request, RequestKind, Tls, VERSION, View};
    use std::time::Duration;

    #[test]
    fn longest_attempt_includes_grace() {
        let http = |tls| RequestKind::Http {
            path: "/".into(),
            host: None,
            tls,
        };
        for (connect_ms, attempt_ms, probe, longest_ms) in [
            (3000, 3000, RequestKind::Tcp, 3300),
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
                targets: vec![Request::new(0, "192.0.2.1".into(), NonZeroU16::MIN, probe)],
            };
            assert_eq!(plan.longest_attempt(), Duration::from_millis(longest_ms));
        }
    }
}
