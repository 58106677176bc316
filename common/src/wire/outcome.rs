//! What one attempt saw.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

words! {
    /// The part of an attempt during which something happened.
    pub enum Phase("phase") {
        /// Resolving the name.
        Resolve = "resolve",
        /// Connecting (for UDP: sending).
        Connect = "connect",
        /// TLS handshake.
        Tls = "tls",
        /// Waiting for the first byte or datagram of the answer.
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
        /// What the server reported about itself, if it was `svc-reach-probe serve`.
        echo: Option<Echo>,
    },
    /// The TCP connection was accepted, and was not ended while the agent watched it
    /// ([`crate::wire::plan::WATCHED`]). No request was sent.
    Connected,
    /// The connection was accepted and bytes came back, but not an HTTP response.
    NotHttp {
        /// What was wrong with the bytes.
        detail: String,
    },
    /// The connection was accepted and the server answered, but the TLS handshake failed.
    TlsFailure {
        /// What was wrong.
        detail: String,
    },
    /// The connection was accepted, then closed before any byte of an answer.
    Closed {
        /// The phase in which it was closed. `connect`: no request was sent.
        phase: Phase,
    },
    /// A TCP reset or an ICMP "port unreachable" came back.
    Refused {
        /// `ECONNREFUSED`.
        errno: i32,
    },
    /// An established connection was reset.
    Reset {
        /// The phase in which it was reset. `connect`: no request was sent.
        phase: Phase,
        /// `ECONNRESET` or `EPIPE`.
        errno: i32,
    },
    /// Nothing came back in time.
    TimedOut {
        /// The phase that took too long.
        phase: Phase,
    },
    /// A datagram was sent and nothing came back. A server need not answer a datagram, so this alone proves nothing.
    Silent,
    /// An ICMP "host unreachable" came back, or ARP got no answer.
    HostUnreachable {
        /// `EHOSTUNREACH`.
        errno: i32,
    },
    /// There is no route to the address.
    NetworkUnreachable {
        /// `ENETUNREACH`.
        errno: i32,
    },
    /// The probe's own node rejected or dropped the outgoing packet.
    Blocked {
        /// `EPERM` or `EACCES`.
        errno: i32,
    },
    /// The cluster's DNS says that the name does not exist or has no address.
    NameNotFound,
    /// The cluster's DNS did not answer, or answered with a failure.
    NameLookupFailed {
        /// What DNS answered, or what went wrong.
        detail: String,
    },
    /// The attempt could not be made. This says nothing about the target.
    Failed {
        /// What went wrong on the probe's side.
        detail: String,
        /// The kernel's error, if it was one.
        errno: Option<i32>,
    },
}

/// What this project's test server reports about itself and its client.
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

/// Maximum length of an object's name (Kubernetes documentation, "DNS Subdomain Names").
const NAME: usize = 253;

impl Echo {
    /// Returns the echo only if our test server can have sent it. That server always reports the client's address, and
    /// its names are valid. Other servers may send answers that look similar.
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
    /// Local address, once a socket is bound.
    pub local: Option<SocketAddr>,
    /// Remote address, once the name is resolved.
    pub remote: Option<SocketAddr>,
    /// Time to connect, in microseconds.
    pub connect_us: Option<u64>,
    /// Time for the TLS handshake, in microseconds.
    pub tls_us: Option<u64>,
    /// Time from the request to the first byte of the answer, in microseconds.
    pub first_byte_us: Option<u64>,
    /// The `server` header of an HTTP response (RFC 9110, section 10.2.4), cut if it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Whether this is what became of a datagram that was sent again, since the first one was not answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent_again: bool,
    /// Whether the target was asked again in another round, so that this attempt does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

impl From<Outcome> for Attempt {
    /// An attempt of which only the outcome is known yet.
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            local: None,
            remote: None,
            connect_us: None,
            tls_us: None,
            first_byte_us: None,
            server: None,
            sent_again: false,
            superseded: false,
        }
    }
}

/// What an outcome says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The target answered.
    Reached,
    /// The target was not reached.
    NotReached,
    /// Something accepted the connection, but it may be a proxy that has no backend. Only a comparison with what the
    /// backends do directly shows what that means ([`crate::comparison::Comparison`]).
    Accepted,
    /// A datagram was not answered. Only a comparison with other cells shows what that means.
    Ambiguous,
    /// The probe could not try.
    Unknown,
}

impl Outcome {
    /// What our own test server reported about itself, if it answered.
    #[must_use]
    pub const fn echo(&self) -> Option<&Echo> {
        if let Self::Answered { echo, .. } = self {
            echo.as_ref()
        } else {
            None
        }
    }

    /// What this outcome says about the target.
    ///
    /// If bytes came that are not HTTP, or if the server ended a TLS handshake, a server was reached. A load balancer
    /// that works above TCP accepts connections even if it has no backend. Then it ends them, leaves requests
    /// unanswered, or answers with a gateway error (RFC 9110, sections 15.6.3 to 15.6.5: 502, 503 and 504).
    #[must_use]
    pub const fn meaning(&self) -> Meaning {
        match self {
            Self::Answered {
                status: Some(502..=504),
                ..
            }
            | Self::Closed { .. }
            | Self::Reset { .. }
            | Self::TimedOut {
                phase: Phase::Tls | Phase::Answer,
            } => Meaning::Accepted,
            Self::Answered { .. }
            | Self::Connected
            | Self::NotHttp { .. }
            | Self::TlsFailure { .. } => Meaning::Reached,
            Self::Refused { .. }
            | Self::TimedOut {
                phase: Phase::Resolve | Phase::Connect,
            }
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
