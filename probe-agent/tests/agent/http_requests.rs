//! HTTP requests, and answers that are not HTTP.

use crate::{
    TIMEOUT_MS, http, outcome,
    servers::{Talk, listen},
};
use std::time::{Duration, Instant};
use svc_reach_common::wire::{
    outcome::Outcome,
    plan::{RequestKind, Tls},
};

#[test]
fn any_http_status_is_an_answer() {
    for (head, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 503),
        ("HTTP/1.0 404 Not Found\r\n\r\n", 404),
        (
            "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n",
            302,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            204,
        ),
    ] {
        let server = listen(Talk::Say(head.into()));
        assert_eq!(
            outcome(server.address, http()),
            Outcome::Answered {
                status: Some(status),
                echo: None
            },
            "{head}"
        );
        assert_eq!(
            server.requests(),
            1,
            "a redirect is an answer and is not followed: {head}"
        );
    }
}

#[test]
fn sends_the_planned_request() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let probe = RequestKind::Http {
        path: "/ready?deep=1".into(),
        host: Some("shop.example".into()),
        tls: Tls::Off,
    };
    outcome(server.address, probe);
    let request = server.heard();
    assert!(
        request.starts_with("GET /ready?deep=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("host: shop.example\r\n"), "{request}");
    assert!(
        request.contains("user-agent: svc-reach-probe/"),
        "{request}"
    );
}

#[test]
fn non_http_servers_are_reached() {
    for (name, talk) in [
        ("a greeting", Talk::Say("SSH-2.0-OpenSSH_9.2\r\n".into())),
        (
            "binary",
            Talk::Say("\u{1}\u{0}\u{0}\u{2}\u{16}\u{3}".into()),
        ),
        ("half a head", Talk::Say("HTTP/1.1 200".into())),
        (
            "endless headers",
            Talk::Forever {
                first: "HTTP/1.1 200 OK\r\n",
                then: "x-more: of the same\r\n",
            },
        ),
        (
            "one endless header",
            Talk::Forever {
                first: "HTTP/1.1 200 OK\r\nx: ",
                then: "aaaaaaaaaaaaaaaaaaaaaaaa",
            },
        ),
        (
            "endless beginnings",
            Talk::Forever {
                first: "",
                then: "HTTP/1.1 100 Continue\r\n\r\n",
            },
        ),
        (
            "a slow drip",
            Talk::Drip("HTTP/1.1 200 OK\r\nserver: a-very-patient-one-that-takes-its-time\r\n\r\n"),
        ),
    ] {
        let server = listen(talk);
        let began = Instant::now();
        let outcome = outcome(server.address, http());
        assert!(
            matches!(outcome, Outcome::NotHttp { .. } | Outcome::Answered { .. }),
            "{name}: {outcome:?}"
        );
        if let Outcome::NotHttp { detail } = &outcome {
            assert!(
                detail.len() <= 120 && !detail.contains('\u{1}'),
                "{name}: {detail}"
            );
        }
        assert_ne!(
            outcome.meaning(),
            svc_reach_common::wire::outcome::Meaning::Unknown,
            "{name}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{name}: bounded in time"
        );
    }
}

#[test]
fn bodies_are_not_read() {
    let server = listen(Talk::Forever {
        first: "HTTP/1.1 200 OK\r\n\r\n",
        then: "and on, and on, ",
    });
    let began = Instant::now();
    assert_eq!(
        outcome(server.address, http()),
        Outcome::Answered {
            status: Some(200),
            echo: None
        }
    );
    assert!(
        began.elapsed() < Duration::from_millis(u64::from(TIMEOUT_MS)),
        "the head is enough"
    );
}
