//! TCP connections.

use crate::{
    attempts, closed_port, http, outcome, plan,
    servers::{Talk, listen},
};
use std::num::NonZeroU16;
use svc_reach_common::wire::{
    outcome::{Outcome, Phase},
    plan::RequestKind,
};

#[test]
fn failed_connections_have_distinct_outcomes() {
    let silent = listen(Talk::Nothing);
    let closing = listen(Talk::Close);
    let resetting = listen(Talk::Reset);
    let reset = outcome(resetting.address, http());
    assert!(
        matches!(
            reset,
            Outcome::Reset {
                phase: Phase::Answer,
                errno: 104
            }
        ),
        "{reset:?}"
    );
    assert_eq!(
        outcome(closed_port(), http()),
        Outcome::Refused { errno: 111 }
    );
    assert_eq!(
        outcome(closed_port(), RequestKind::Tcp),
        Outcome::Refused { errno: 111 }
    );
    assert_eq!(
        outcome(silent.address, http()),
        Outcome::TimedOut {
            phase: Phase::Answer
        }
    );
    assert_eq!(
        outcome(closing.address, http()),
        Outcome::Closed {
            phase: Phase::Answer
        }
    );
    assert_eq!(
        outcome(silent.address, RequestKind::Tcp),
        Outcome::Connected
    );
}

#[test]
fn a_control_request_only_asks_whether_something_accepts_it() {
    let hanging_up = listen(Talk::HangUp);
    assert_eq!(
        outcome(hanging_up.address, RequestKind::Control),
        Outcome::Connected
    );
    assert_eq!(
        outcome(closed_port(), RequestKind::Control),
        Outcome::Refused { errno: 111 }
    );
}

#[test]
fn a_bare_connection_that_is_ended_at_once_is_no_connection() {
    let hanging_up = listen(Talk::HangUp);
    assert_eq!(
        outcome(hanging_up.address, RequestKind::Tcp),
        Outcome::Closed {
            phase: Phase::Connect
        }
    );
    let greeting = listen(Talk::Say("SSH-2.0-x\r\n".into()));
    assert_eq!(
        outcome(greeting.address, RequestKind::Tcp),
        Outcome::Connected
    );
}

#[test]
fn attempts_use_new_source_ports() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let mut plan = plan([(server.address, http())]);
    plan.attempts = NonZeroU16::new(40).unwrap();
    let made = attempts(&plan).remove(0);
    let mut ports: Vec<u16> = made
        .iter()
        .filter_map(|attempt| attempt.local.map(|local| local.port()))
        .collect();
    assert_eq!(ports.len(), 40);
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 40, "no source port twice");
    assert!(
        made.iter()
            .all(|attempt| attempt.connect_us.is_some() && attempt.first_byte_us.is_some())
    );
}
