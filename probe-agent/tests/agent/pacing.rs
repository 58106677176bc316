//! Attempts are spread and paced, and what is not as expected is asked again.

use crate::{
    attempts, closed_port, http, plan,
    servers::{Server, single_threaded},
};
use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    time::{Duration, Instant},
};
use svc_reach_common::wire::{
    outcome::{Attempt, Outcome},
    plan::{Again, MOST_ROUNDS, PAUSE, Plan, Request},
};

const TIMEOUT_MS: NonZeroU32 = NonZeroU32::new(2000).unwrap();

/// A plan that makes so many attempts on each of these addresses, all of which lead to the same backends.
fn spread(addresses: impl IntoIterator<Item = SocketAddr>, count: u16, again: Again) -> Plan {
    let mut plan = plan(addresses.into_iter().map(|address| (address, http())));
    plan.attempts = NonZeroU16::new(count).unwrap();
    plan.connect_timeout_ms = TIMEOUT_MS;
    plan.attempt_timeout_ms = TIMEOUT_MS;
    for request in &mut plan.targets {
        *request = Request {
            again,
            lane: Some(0),
            gate: Some(0),
            ..request.clone()
        };
    }
    plan
}

fn all(attempts: &[Attempt], outcome: fn(&Outcome) -> bool) -> bool {
    !attempts.is_empty() && attempts.iter().all(|attempt| outcome(&attempt.outcome))
}

const fn answered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered { .. })
}

const fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { .. })
}

/// Five probes at once, each with 6 attempts: together they take twice as long as one attempt may.
#[test]
fn a_server_with_one_thread_is_not_overrun() {
    let server = single_threaded(Duration::from_millis(100), ..);
    let probes: Vec<_> = (0..5)
        .map(|_| {
            let plan = spread([server.address], 6, Again::Never);
            std::thread::spawn(move || attempts(&plan))
        })
        .collect();
    for probe in probes {
        let made = probe.join().unwrap().remove(0);
        assert!(all(&made, answered), "{made:?}");
    }
}

#[test]
fn a_healthy_server_costs_no_time() {
    let server = single_threaded(Duration::ZERO, ..);
    let began = Instant::now();
    let made = attempts(&spread([server.address], 40, Again::UnlessReached)).remove(0);
    assert!(all(&made, answered), "{made:?}");
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(1),
        "{took:?}, without a second round"
    );
}

#[test]
fn a_server_that_answers_late_is_asked_again() {
    let late = || -> Server { single_threaded(Duration::ZERO, 2..) };
    let made = attempts(&spread([late().address], 3, Again::UnlessReached)).remove(0);
    let (first, second): (Vec<_>, Vec<_>) = made.into_iter().partition(|one| one.superseded);
    assert_eq!(first.len(), 3);
    assert!(!all(&first, answered), "{first:?}");
    assert!(
        second.len() >= 3,
        "a mixed result is settled by more attempts"
    );
    assert!(all(&second, answered), "{second:?}");

    let made = attempts(&spread([late().address], 3, Again::Never)).remove(0);
    assert_eq!(made.len(), 3);
    let made = attempts(&spread([closed_port()], 3, Again::UnlessNotReached)).remove(0);
    assert!(
        made.len() == 3 && all(&made, refused),
        "as expected: {made:?}"
    );
    let made = attempts(&spread([closed_port()], 3, Again::UnlessReached)).remove(0);
    assert!(made.len() == 6 && all(&made, refused), "{made:?}");
}

#[test]
fn what_policies_decide_is_asked_until_it_is_as_expected() {
    let answers_six = single_threaded(Duration::ZERO, ..6);
    let began = Instant::now();
    let made = attempts(&spread([answers_six.address], 3, Again::UntilNotReached)).remove(0);
    assert!(began.elapsed() >= 2 * PAUSE, "three rounds");
    let (first, last): (Vec<_>, Vec<_>) = made.into_iter().partition(|one| one.superseded);
    assert!(first.len() == 3 && all(&first, answered), "{first:?}");
    assert!(last.len() == 3, "without the second round: {last:?}");
    assert!(!last.iter().any(|one| answered(&one.outcome)), "{last:?}");

    let answers_late = single_threaded(Duration::ZERO, 7..);
    let made = attempts(&spread([answers_late.address], 3, Again::UntilReached)).remove(0);
    let (first, last): (Vec<_>, Vec<_>) = made.into_iter().partition(|one| one.superseded);
    assert!(first.len() == 3 && !all(&first, answered), "{first:?}");
    assert!(last.len() == 3 && all(&last, answered), "{last:?}");

    let answers_all = single_threaded(Duration::ZERO, ..);
    let made = attempts(&spread([answers_all.address], 3, Again::UntilNotReached)).remove(0);
    assert!(made.len() == 6 && all(&made, answered), "{made:?}");
    assert_eq!(answers_all.requests(), 3 * MOST_ROUNDS as usize);
}

#[test]
fn refusals_of_one_node_are_paced() {
    let began = Instant::now();
    let ports = [closed_port(), closed_port(), closed_port()];
    let made = attempts(&spread(ports, 3, Again::Never));
    assert!(
        made.iter()
            .all(|made| made.len() == 3 && all(made, refused))
    );
    let took = began.elapsed();
    let least = Duration::from_secs(4);
    assert!(took >= least, "five at once and one per second: {took:?}");
}
