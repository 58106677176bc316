//! UDP.

use crate::{
    TIMEOUT_MS, attempts, datagram, http, outcomes, plan,
    servers::{Heard, Talk, choosy_udp, listen, udp},
};
use std::{
    net::UdpSocket,
    num::NonZeroU16,
    time::{Duration, Instant},
};
use svc_reach_common::wire::outcome::{Attempt, Outcome};

#[test]
fn datagram_outcomes() {
    let answering = udp(Some(b"anything"));
    let silent = udp(None);
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        outcomes([
            (answering, datagram()),
            (silent, datagram()),
            (closed, datagram())
        ]),
        [
            Outcome::Answered {
                status: None,
                echo: None
            },
            Outcome::Silent,
            Outcome::Refused { errno: 111 }
        ]
    );
}

#[test]
fn a_lost_datagram_is_sent_again_at_the_end() {
    // The first datagram of the burst is lost, as in a buffer that is full.
    let (lossy, heard) = choosy_udp(|heard| heard.len() != 1);
    let silent = listen(Talk::Nothing);
    let mut plan = plan([(lossy, datagram()), (silent.address, http())]);
    plan.targets[0].attempts = NonZeroU16::new(5);
    let began = Instant::now();
    let made = attempts(&plan).remove(0);
    assert_eq!(made.len(), 5);
    for attempt in &made {
        assert!(
            matches!(attempt.outcome, Outcome::Answered { .. }),
            "{attempt:?}"
        );
    }
    let again: Vec<&Attempt> = made.iter().filter(|attempt| attempt.sent_again).collect();
    assert_eq!(again.len(), 1, "only what was lost: {made:?}");
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 6);
    let (at, from) = heard[5];
    assert!(
        at - began >= Duration::from_millis(u64::from(TIMEOUT_MS)),
        "all other attempts are over by then"
    );
    assert_eq!(from, heard[0].1, "from the same port");
    assert_eq!(again[0].local, Some(from));
}

#[test]
fn a_datagram_is_sent_again_once_from_the_same_port() {
    // Each port is like a backend of its own: one of three does not answer, the first time or ever after.
    let (server, heard) = choosy_udp(|heard| {
        let latest = heard.last();
        latest.is_some_and(|(_, from)| from.port() % 3 != 0)
    });
    let mut plan = plan([(server, datagram())]);
    plan.attempts = NonZeroU16::new(60).unwrap();
    let made = attempts(&plan).remove(0);
    for attempt in &made {
        let dead = attempt.local.unwrap().port() % 3 == 0;
        let expected = if dead {
            Outcome::Silent
        } else {
            Outcome::Answered {
                status: None,
                echo: None,
            }
        };
        assert_eq!(attempt.outcome, expected, "{attempt:?}");
        assert_eq!(attempt.sent_again, dead, "{attempt:?}");
        // A port that is free again may be that of a later attempt, too.
        let of_port = made.iter().filter(|other| other.local == attempt.local);
        let expected: usize = of_port.map(|made| 1 + usize::from(made.sent_again)).sum();
        let heard = heard.lock().unwrap();
        let sent = heard
            .iter()
            .filter(|(_, from)| Some(*from) == attempt.local);
        assert_eq!(sent.count(), expected, "{attempt:?}");
    }
}

#[test]
fn datagrams_are_paced() {
    // Lower bounds only: a busy machine cannot break them.
    let (quick, heard) = choosy_udp(|_| true);
    let burst = |address| {
        let mut plan = plan([(address, datagram())]);
        plan.attempts = NonZeroU16::new(100).unwrap();
        plan
    };
    attempts(&burst(quick));
    let span = |heard: &[Heard]| heard[99].0 - heard[0].0;
    assert!(span(&heard.lock().unwrap()) >= Duration::from_millis(90));
    // At most 32 of those that are not answered are sent in 100 ms.
    let (silent, heard) = choosy_udp(|_| false);
    attempts(&burst(silent));
    assert!(span(&heard.lock().unwrap()) >= Duration::from_millis(250));
}
