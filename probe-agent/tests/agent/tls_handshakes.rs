//! TLS handshakes.

use crate::{
    attempts, outcome, plan,
    servers::{Talk, listen},
};
use svc_reach_common::wire::{
    outcome::{Outcome, Phase},
    plan::{RequestKind, Tls},
};

fn https() -> RequestKind {
    RequestKind::Http {
        path: "/".into(),
        host: None,
        tls: Tls::Unverified,
    }
}

#[test]
fn tls_certificates_are_not_verified() {
    let server = listen(Talk::Tls("HTTP/1.1 200 OK\r\n\r\n"));
    let made = attempts(&plan([(server.address, https())]))
        .remove(0)
        .remove(0);
    assert_eq!(
        made.outcome,
        Outcome::Answered {
            status: Some(200),
            echo: None
        }
    );
    assert!(made.tls_us.is_some_and(|us| us > 0), "{made:?}");
}

#[test]
fn failed_tls_handshakes_have_distinct_outcomes() {
    let plain = listen(Talk::Say("HTTP/1.1 400 Bad Request\r\n\r\n".into()));
    assert!(
        matches!(outcome(plain.address, https()), Outcome::TlsFailure { .. }),
        "a plain answer is an answer"
    );
    let closing = listen(Talk::Close);
    assert_eq!(
        outcome(closing.address, https()),
        Outcome::Closed { phase: Phase::Tls }
    );
    let resetting = listen(Talk::Reset);
    let reset = outcome(resetting.address, https());
    assert!(
        matches!(
            reset,
            Outcome::Reset {
                phase: Phase::Tls,
                ..
            }
        ),
        "{reset:?}"
    );
    let silent = listen(Talk::Nothing);
    assert_eq!(
        outcome(silent.address, https()),
        Outcome::TimedOut { phase: Phase::Tls }
    );
    let breaking_off = listen(Talk::Say("\x16\x03\x03\x10\x00".into()));
    let broken = outcome(breaking_off.address, https());
    assert!(
        matches!(broken, Outcome::TlsFailure { .. }),
        "a server that began a handshake was reached: {broken:?}"
    );
    // In TLS 1.3 the client has its session before the server checks the client's certificate.
    let choosy = listen(Talk::TlsForKnownClients);
    let turned_away = outcome(choosy.address, https());
    assert!(
        matches!(&turned_away, Outcome::TlsFailure { detail } if detail.contains("CertificateRequired")),
        "a server that requires client certificates was reached: {turned_away:?}"
    );
}
