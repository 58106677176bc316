//! What one attempt saw.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

words! {
    /// The part of an attempt during which something happened.
    pub enum Phase("phase") {
        /// Resolving the name.
        Resolve = "resolve",
        /// Connecting, for UDP: sending.
        Connect = "connect",
        /// TLS handshake.
        Tls = "tls",
        /// Between the request and the first byte or datagram of the answer.
        Answer = "answer",
    }
}

/// What one attempt saw, with the evidence for it. `errno` values are those of Linux.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Outcome {
    /// An HTTP response head, or a datagram, came back.
    Answered {
        /// HTTP status code; `None` for UDP.
        status: Option<u16>,
        /// What `svc-reach-probe serve` told, where it was the server.
        echo: Option<Echo>,
    },
    /// The TCP connection was accepted; nothing further was asked.
    Connected,
    /// The connection was accepted and bytes came back, but not an HTTP response.
    NotHttp {
        /// What was wrong with them.
        detail: String,
    },
    /// The connection was accepted and the server answered, but no TLS session came of it.
    TlsFailure {
        /// What was wrong.
        detail: String,
    },
    /// The connection was accepted, then closed without one byte of an answer.
    Closed {
        /// When.
        phase: Phase,
    },
    /// A TCP reset, or an ICMP port unreachable.
    Refused {
        /// `ECONNREFUSED`.
        errno: i32,
    },
    /// An established connection was reset.
    Reset {
        /// When.
        phase: Phase,
        /// `ECONNRESET` or `EPIPE`.
        errno: i32,
    },
    /// Nothing came within the time allowed.
    TimedOut {
        /// While waiting for what.
        phase: Phase,
    },
    /// A datagram went out and nothing came back. A server need not answer a datagram, so alone this proves nothing.
    Silent,
    /// ICMP host unreachable, or no answer to ARP.
    HostUnreachable {
        /// `EHOSTUNREACH`.
        errno: i32,
    },
    /// No route.
    NetworkUnreachable {
        /// `ENETUNREACH`.
        errno: i32,
    },
    /// The probe's own node rejected or dropped the packet on its way out.
    Blocked {
        /// `EPERM` or `EACCES`.
        errno: i32,
    },
    /// The cluster's DNS says that there is no such name or no address for it.
    NameNotFound,
    /// The cluster's DNS did not answer, or answered with a failure.
    NameLookupFailed {
        /// What it said.
        detail: String,
    },
    /// The attempt could not be made. Says nothing of the target.
    Failed {
        /// What went wrong here.
        detail: String,
        /// Where the kernel said it.
        errno: Option<i32>,
    },
}

/// What the project's own test server tells of itself and of its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// Pod that answered.
    pub pod: Option<String>,
    /// Node of that pod.
    pub node: Option<String>,
    /// Address of the client, as the server saw it.
    pub client: Option<IpAddr>,
}

/// What the name of an object may be long at most (Kubernetes documentation, "DNS Subdomain Names").
const NAME: usize = 253;

impl Echo {
    /// Itself, where our own server can have sent it: it always tells its client's address, and its names are names.
    /// Whatever else looks like it is the answer of another server.
    #[must_use]
    pub fn plausible(self) -> Option<Self> {
        let fits = |name: &Option<String>| {
            name.as_ref().is_none_or(|name| {
                (1..=NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
            })
        };
        (self.client.is_some() && fits(&self.pod) && fits(&self.node)).then_some(self)
    }
}

/// One try: a new connection from a new source port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What it saw.
    pub outcome: Outcome,
    /// Where it came from, once a socket was bound.
    pub local: Option<SocketAddr>,
    /// Where it went, once the name was resolved.
    pub remote: Option<SocketAddr>,
    /// Time taken to connect, in microseconds.
    pub connect_us: Option<u64>,
    /// Time taken by the TLS handshake, in microseconds.
    pub tls_us: Option<u64>,
    /// Time from the request to the first byte of the answer, in microseconds.
    pub first_byte_us: Option<u64>,
}

/// What an outcome says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Something at the other end answered.
    Reached,
    /// Nothing did, and that is an answer too.
    NotReached,
    /// A datagram was not answered; only a comparison with another cell can tell what that means.
    Ambiguous,
    /// The probe could not look.
    Unknown,
}

impl Outcome {
    /// What this outcome says about the target.
    ///
    /// Bytes that are not HTTP, or a TLS handshake that the server ended, were sent by a server: it was reached.
    /// A connection that was accepted and then closed or reset before any answer was not: a load balancer that works
    /// above TCP accepts connections for backends that it has not.
    #[must_use]
    pub const fn meaning(&self) -> Meaning {
        match self {
            Self::Answered { .. }
            | Self::Connected
            | Self::NotHttp { .. }
            | Self::TlsFailure { .. } => Meaning::Reached,
            Self::Closed { .. }
            | Self::Refused { .. }
            | Self::Reset { .. }
            | Self::TimedOut { .. }
            | Self::HostUnreachable { .. }
            | Self::NetworkUnreachable { .. }
            | Self::Blocked { .. }
            | Self::NameNotFound
            | Self::NameLookupFailed { .. } => Meaning::NotReached,
            Self::Silent => Meaning::Ambiguous,
            Self::Failed { .. } => Meaning::Unknown,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered {
                status: Some(status),
                ..
            } => write!(f, "answered HTTP {status}"),
            Self::Answered { status: None, .. } => f.write_str("answered"),
            Self::Connected => f.write_str("connected"),
            Self::NotHttp { detail } => write!(f, "answered, but not HTTP ({detail})"),
            Self::TlsFailure { detail } => write!(f, "answered, but no TLS session ({detail})"),
            Self::Closed { phase: Phase::Tls } => {
                f.write_str("accepted, then closed during the TLS handshake")
            }
            Self::Closed {
                phase: Phase::Resolve | Phase::Connect | Phase::Answer,
            } => f.write_str("accepted, then closed without an answer"),
            Self::Refused { .. } => f.write_str("refused"),
            Self::Reset { .. } => f.write_str("accepted, then reset"),
            Self::TimedOut {
                phase: Phase::Resolve,
            } => f.write_str("timed out resolving the name"),
            Self::TimedOut {
                phase: Phase::Connect,
            } => f.write_str("timed out"),
            Self::TimedOut { phase: Phase::Tls } => {
                f.write_str("accepted, then timed out in the TLS handshake")
            }
            Self::TimedOut {
                phase: Phase::Answer,
            } => f.write_str("accepted, then timed out without an answer"),
            Self::Silent => f.write_str("no answer to the datagram"),
            Self::HostUnreachable { .. } => f.write_str("host unreachable"),
            Self::NetworkUnreachable { .. } => f.write_str("network unreachable"),
            Self::Blocked { .. } => f.write_str("rejected or dropped by the probe's own node"),
            Self::NameNotFound => f.write_str("name not found"),
            Self::NameLookupFailed { detail } => write!(f, "name lookup failed ({detail})"),
            Self::Failed { detail, .. } => write!(f, "could not try ({detail})"),
        }
    }
}
