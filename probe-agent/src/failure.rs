//! Turns errors of the system and of protocols into outcomes.

use std::{
    error::Error,
    io::{self, ErrorKind},
};
use svc_reach_common::wire::outcome::{Outcome, Phase};
use tokio_rustls::rustls;

/// Maximum number of characters of foreign text in an outcome.
const DETAIL: usize = 120;

/// `EAFNOSUPPORT`: the kernel has no IPv6. The standard library has no error kind for this.
const NO_SUCH_FAMILY: i32 = 97;

/// The outcome of an error while connecting, or while sending and receiving datagrams.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library adds kinds; an unknown kind says nothing about the target"
)]
pub fn connecting(error: &io::Error) -> Outcome {
    let errno = error.raw_os_error();
    let known = errno.unwrap_or_default();
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::Refused { errno: known },
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Outcome::Reset {
            phase: Phase::Connect,
            errno: known,
        },
        ErrorKind::TimedOut => Outcome::TimedOut {
            phase: Phase::Connect,
        },
        ErrorKind::HostUnreachable => Outcome::HostUnreachable { errno: known },
        ErrorKind::NetworkUnreachable => Outcome::NetworkUnreachable { errno: known },
        ErrorKind::PermissionDenied => Outcome::Blocked { errno: known },
        _ => opening(error),
    }
}

/// The outcome of an error while opening a socket. If the node has no IPv6, the network is unreachable.
pub fn opening(error: &io::Error) -> Outcome {
    match error.raw_os_error() {
        Some(errno @ NO_SUCH_FAMILY) => Outcome::NetworkUnreachable { errno },
        errno => Outcome::Failed {
            detail: error.to_string(),
            errno,
        },
    }
}

/// The outcome of an error during a request on an established connection. `received` is the number of bytes that came.
pub fn exchanging(error: &hyper::Error, received: u64) -> Outcome {
    let cause = io_cause(error);
    // The client may finish its part of a TLS handshake before the server rejects it.
    if received == 0
        && let Some(alert) = cause.and_then(tls_cause)
    {
        return Outcome::TlsFailure {
            detail: short(&alert.to_string()),
        };
    }
    answering(cause, received, Phase::Answer, || Outcome::NotHttp {
        detail: short(&spelled(error)),
    })
}

/// The outcome of an error during a TLS handshake. `received` is the number of bytes that came.
pub fn handshaking(error: &io::Error, received: u64) -> Outcome {
    answering(Some(error), received, Phase::Tls, || Outcome::TlsFailure {
        detail: short(&error.to_string()),
    })
}

/// If the server sent anything, it was reached, and `spoke` is the outcome. Otherwise the outcome says how the
/// connection ended.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library adds kinds; an unknown kind says nothing about the target"
)]
fn answering(
    cause: Option<&io::Error>,
    received: u64,
    phase: Phase,
    spoke: impl FnOnce() -> Outcome,
) -> Outcome {
    if received > 0 {
        return spoke();
    }
    let Some(error) = cause else {
        return Outcome::Closed { phase };
    };
    let errno = error.raw_os_error();
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            Outcome::Reset {
                phase,
                errno: errno.unwrap_or_default(),
            }
        }
        ErrorKind::UnexpectedEof => Outcome::Closed { phase },
        ErrorKind::TimedOut => Outcome::TimedOut { phase },
        ErrorKind::HostUnreachable => Outcome::HostUnreachable {
            errno: errno.unwrap_or_default(),
        },
        ErrorKind::NetworkUnreachable => Outcome::NetworkUnreachable {
            errno: errno.unwrap_or_default(),
        },
        _ => Outcome::Failed {
            detail: error.to_string(),
            errno,
        },
    }
}

/// The system's error that caused a protocol's error.
fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// The TLS error behind an I/O error, for example an alert from the server.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error
        .get_ref()
        .filter(|_| error.kind() == ErrorKind::InvalidData)?
        .downcast_ref()
}

/// An error and its cause.
fn spelled(error: &(dyn Error + 'static)) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Escapes text, so that it cannot control a terminal, and limits its length.
pub fn short(text: &str) -> String {
    text.escape_default().take(DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::{connecting, handshaking, opening};
    use std::io;
    use svc_reach_common::wire::outcome::Outcome;

    #[test]
    fn no_ipv6_is_network_unreachable() {
        let error = io::Error::from_raw_os_error(97);
        let expected = Outcome::NetworkUnreachable { errno: 97 };
        assert_eq!(connecting(&error), expected);
        assert_eq!(opening(&error), expected);
    }

    #[test]
    fn local_shortages_are_failures() {
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, and EADDRNOTAVAIL (no local port is left).
        for errno in [24, 23, 12, 105, 99] {
            let error = io::Error::from_raw_os_error(errno);
            let connecting = connecting(&error);
            let handshaking = handshaking(&error, 0);
            for outcome in [connecting, handshaking, opening(&error)] {
                assert!(
                    matches!(outcome, Outcome::Failed { errno: Some(told), .. } if told == errno),
                    "{errno}: {outcome:?}"
                );
            }
        }
    }
}
