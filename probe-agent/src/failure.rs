//! What an error of the system or of a protocol says about the target.

use std::{
    error::Error,
    io::{self, ErrorKind},
};
use svc_reach_common::wire::outcome::{Outcome, Phase};
use tokio_rustls::rustls;

/// Characters of foreign text that are passed on.
const DETAIL: usize = 120;

/// `EAFNOSUPPORT`: the kernel has no IPv6 at all, for which the standard library has no kind.
const NO_SUCH_FAMILY: i32 = 97;

/// An error while connecting, or while sending and receiving datagrams.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library adds kinds; what is unknown says nothing of the target"
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

/// An error while getting hold of a socket. A node without IPv6 has no way to such an address, however that shows.
pub fn opening(error: &io::Error) -> Outcome {
    match error.raw_os_error() {
        Some(errno @ NO_SUCH_FAMILY) => Outcome::NetworkUnreachable { errno },
        errno => Outcome::Failed {
            detail: error.to_string(),
            errno,
        },
    }
}

/// An error while asking over an established connection, on which so many bytes had come.
pub fn exchanging(error: &hyper::Error, received: u64) -> Outcome {
    let cause = io_cause(error);
    // The client's part of a TLS handshake may be over before the server finds fault with it.
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

/// An error during a TLS handshake, in which so many bytes had come.
pub fn handshaking(error: &io::Error, received: u64) -> Outcome {
    answering(Some(error), received, Phase::Tls, || Outcome::TlsFailure {
        detail: short(&error.to_string()),
    })
}

/// A server that sent something was reached, whatever became of the connection. One that sent nothing closed it or
/// reset it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library adds kinds; what is unknown says nothing of the target"
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

/// The error of the system behind a protocol's error.
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

/// What was wrong with something that the server sent over its TLS session, an alert included.
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

/// Bounded, and without anything that a terminal would take for a command.
pub fn short(text: &str) -> String {
    text.escape_default().take(DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::{connecting, handshaking, opening};
    use std::io;
    use svc_reach_common::wire::outcome::Outcome;

    #[test]
    fn a_node_without_ipv6_has_no_way_to_it() {
        let error = io::Error::from_raw_os_error(97);
        let expected = Outcome::NetworkUnreachable { errno: 97 };
        assert_eq!(connecting(&error), expected);
        assert_eq!(opening(&error), expected);
    }

    #[test]
    fn what_this_machine_is_short_of_says_nothing_of_the_target() {
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, and EADDRNOTAVAIL: no port of our own is left.
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
