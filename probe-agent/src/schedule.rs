//! Decides when each attempt of a plan begins, and which targets are asked again.

use crate::{
    attempt::Context,
    gate::Gate,
    lane::{Lane, UNCONNECTED},
};
use futures_util::{StreamExt, stream};
use std::{cell::Cell, collections::HashMap, pin::pin, time::Duration};
use svc_reach_common::wire::{
    line::Line,
    outcome::{Attempt, Meaning, Outcome, Phase},
    plan::{self, Again, Plan, Request, RequestKind},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// A plan that is carried out.
pub struct Schedule<'p> {
    plan: &'p Plan,
    context: &'p Context,
    at_once: usize,
    gates: HashMap<u32, Gate>,
}

/// A target in one round.
struct Asked<'p> {
    request: &'p Request,
    attempts: usize,
    /// Whether an attempt reached it, so that the next one is unlikely to be refused.
    reached: Cell<bool>,
    /// Whether an attempt was refused.
    refused: Cell<bool>,
    /// Whether an attempt got no connection soon, so that the next one need not occupy a lane.
    dropped: Cell<bool>,
}

/// What the attempts on a target saw in one round.
struct Answers {
    /// Attempts that are finished or were given up.
    ended: usize,
    made: Vec<(usize, Attempt)>,
}

impl<'p> Schedule<'p> {
    pub fn new(plan: &'p Plan, context: &'p Context, at_once: usize) -> Self {
        Self {
            plan,
            context,
            at_once,
            gates: plan
                .targets
                .iter()
                .filter_map(|target| Some((target.gate?, Gate::new())))
                .collect(),
        }
    }

    /// Makes all attempts, with as much concurrency as the plan and the system allow. Reports each target when it is
    /// finished.
    ///
    /// What was not seen as the plan expects is asked again: nodes learn of new pods and changed Services late, and a
    /// mixed result may come from our own burst. From the second round on, attempts on the same backends are made one by
    /// one.
    pub async fn carry_out(&self, mut finished: impl FnMut(Line)) {
        let targets = self.plan.targets.iter();
        let first = targets.map(|request| Asked::new(request, self.plan.attempts_on(request)));
        let mut targets: Vec<Asked<'_>> = first.collect();
        let mut first_round: HashMap<u32, Vec<Attempt>> = HashMap::new();
        for round in 1.. {
            let mut again = Vec::new();
            self.round(&targets, round == 1, |asked, attempts| {
                let Request {
                    id, again: when, ..
                } = *asked.request;
                if round < when.most_rounds() && is_asked_again(when, &attempts) {
                    let settles = when.most_rounds() == 2 && is_mixed(&attempts);
                    let times = if settles { 2 } else { 1 };
                    let count = times * self.plan.attempts_on(asked.request);
                    again.push(Asked::new(asked.request, count));
                    // Rounds between the first and the last say nothing more.
                    first_round.entry(id).or_insert(attempts);
                    return;
                }
                let mut all = first_round.remove(&id).unwrap_or_default();
                for attempt in &mut all {
                    attempt.superseded = !attempts.is_empty();
                }
                all.extend(attempts);
                finished(Line::Result { id, attempts: all });
            })
            .await;
            if again.is_empty() {
                return;
            }
            sleep(plan::PAUSE).await;
            self.gates.values().for_each(Gate::renew);
            targets = again;
        }
    }

    /// Makes the attempts of one round: the first ones on all targets, then the second ones, and so on. An attempt is
    /// created only shortly before it starts, so that a plan of thousands of targets needs memory for few of them.
    ///
    /// Datagrams come last, so that their pace delays nothing else. When everything else is done, the agent sends those
    /// that were not answered once more: they may have been lost in a burst.
    async fn round<'a>(
        &self,
        targets: &'a [Asked<'p>],
        lanes_grow: bool,
        mut finished: impl FnMut(&'a Asked<'p>, Vec<Attempt>),
    ) {
        let lanes = targets.iter().filter_map(|asked| asked.request.lane);
        let lanes: HashMap<u32, Lane> = lanes.map(|lane| (lane, Lane::new(lanes_grow))).collect();
        let mut under_way: HashMap<u32, Answers> = HashMap::new();
        let mut add = |asked: &'a Asked<'p>, nth, attempt: Option<Attempt>| {
            let id = asked.request.id;
            let answers = under_way.entry(id).or_insert_with(|| Answers {
                ended: 0,
                made: Vec::new(),
            });
            answers.ended += 1;
            answers.made.extend(attempt.map(|attempt| (nth, attempt)));
            if answers.ended == asked.attempts
                && let Some(mut answers) = under_way.remove(&id)
            {
                answers.made.sort_by_key(|(nth, _)| *nth);
                let attempts = answers.made.into_iter().map(|(_, attempt)| attempt);
                finished(asked, attempts.collect());
            }
        };
        let most = targets.iter().map(|asked| asked.attempts).max();
        let in_turn = |datagrams: bool| {
            (0..most.unwrap_or_default()).flat_map(move |nth| {
                targets
                    .iter()
                    .filter(move |asked| {
                        nth < asked.attempts && is_datagram(asked.request) == datagrams
                    })
                    .map(move |asked| (asked, nth))
            })
        };
        let mut lost = Vec::new();
        let mut all = stream::iter(in_turn(false).chain(in_turn(true)))
            .map(|(asked, nth)| {
                let lane = asked.request.lane.and_then(|lane| lanes.get(&lane));
                async move { (asked, nth, self.attempt(asked, lane).await) }
            })
            .buffer_unordered(self.at_once);
        while let Some((asked, nth, attempt)) = all.next().await {
            match attempt {
                Some(attempt) if attempt.outcome == Outcome::Silent => {
                    lost.push((asked, nth, attempt));
                }
                attempt => add(asked, nth, attempt),
            }
        }
        let mut resent = stream::iter(lost)
            .map(|(asked, nth, attempt)| async move {
                let again = self.context.send_again(asked.request, attempt).await;
                (asked, nth, again)
            })
            .buffer_unordered(self.at_once);
        while let Some((asked, nth, attempt)) = resent.next().await {
            add(asked, nth, Some(attempt));
        }
    }

    /// Makes one attempt when it is its turn. `None`: others were refused, and this one would have waited too long.
    async fn attempt(&self, asked: &Asked<'p>, lane: Option<&Lane>) -> Option<Attempt> {
        let request = asked.request;
        let lane = lane.filter(|_| !is_datagram(request) && !asked.dropped.get());
        let mut slot = match lane {
            Some(lane) => lane.slot().await,
            None => None,
        };
        let gate = request.gate.and_then(|gate| self.gates.get(&gate));
        let mut pass = None;
        if let Some(gate) = gate.filter(|_| !asked.reached.get()) {
            pass = gate.pass().await;
            if pass.is_none() && asked.refused.get() {
                return None;
            }
        }
        let connected = Notify::new();
        let mut work = pin!(self.context.attempt(request, &connected));
        let mut soon = pin!(sleep_until(Instant::now() + UNCONNECTED));
        let early = tokio::select! {
            biased;
            attempt = &mut work => Some(attempt),
            () = connected.notified() => {
                // A bare connection burdens no server.
                if request.probe == RequestKind::Tcp {
                    slot = None;
                }
                None
            }
            () = &mut soon => {
                asked.dropped.set(!is_datagram(request));
                slot = None;
                None
            }
        };
        let attempt = match early {
            Some(attempt) => attempt,
            None => {
                if let Some(pass) = pass.take() {
                    pass.end(false);
                }
                work.await
            }
        };
        let refused = matches!(
            attempt.outcome,
            Outcome::Refused { .. } | Outcome::HostUnreachable { .. }
        );
        if let Some(pass) = pass {
            pass.end(refused);
        }
        if refused {
            asked.refused.set(true);
        }
        if attempt.outcome.meaning() == Meaning::Reached {
            asked.reached.set(true);
        }
        if let Some(lane) = lane.filter(|_| slot.is_some()) {
            let late = matches!(
                attempt.outcome,
                Outcome::TimedOut {
                    phase: Phase::Tls | Phase::Answer
                }
            );
            if late {
                lane.unanswered();
            } else if attempt.connect_us.is_some() {
                lane.answered(slot, took(&attempt));
            }
        }
        Some(attempt)
    }
}

impl<'p> Asked<'p> {
    const fn new(request: &'p Request, attempts: usize) -> Self {
        Self {
            request,
            attempts,
            reached: Cell::new(false),
            refused: Cell::new(false),
            dropped: Cell::new(false),
        }
    }
}

/// How long the server took.
fn took(attempt: &Attempt) -> Duration {
    let parts = [attempt.connect_us, attempt.tls_us, attempt.first_byte_us];
    Duration::from_micros(parts.into_iter().flatten().sum())
}

pub const fn is_datagram(request: &Request) -> bool {
    matches!(request.probe, RequestKind::Udp { .. })
}

fn reached(attempt: &Attempt) -> bool {
    attempt.outcome.meaning() == Meaning::Reached
}

/// Whether the attempts differ in whether they reached the target, or in whether it refused them.
fn is_mixed(attempts: &[Attempt]) -> bool {
    let refused = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Refused { .. });
    let late = |attempt: &Attempt| {
        let phase = Phase::Connect;
        attempt.outcome == Outcome::TimedOut { phase }
    };
    let some_reached = attempts.iter().any(reached) && !attempts.iter().all(reached);
    some_reached || (attempts.iter().any(refused) && attempts.iter().any(late))
}

fn is_asked_again(again: Again, attempts: &[Attempt]) -> bool {
    match again {
        Again::Never => false,
        Again::IfMixed => is_mixed(attempts),
        Again::UnlessReached | Again::UntilReached => !attempts.iter().all(reached),
        Again::UnlessAnswered => !attempts
            .iter()
            .all(|attempt| reached(attempt) || matches!(attempt.outcome, Outcome::Answered { .. })),
        Again::UnlessNotReached => is_mixed(attempts) || attempts.iter().any(reached),
        Again::UntilNotReached => attempts.iter().any(reached),
    }
}
