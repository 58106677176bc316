//! The probe: carries out a [`Plan`] and reports what it saw, one [`Line`] at a time.
//!
//! ```text
//! plan → targets × attempts → (resolve → connect → tls → request) → outcome → line
//! ```
//!
//! It knows only addresses, ports and protocols. It does not know which kind of target an address is, or what should
//! happen there.

mod attempt;
mod bounds;
mod datagrams;
mod failure;
mod host_view;
mod http;
mod kube_proxy;
mod pace;
mod resolver;
pub mod serve;
mod tap;
mod tls;
mod udp;

use attempt::Context;
use futures_util::{StreamExt, stream};
use std::{collections::HashMap, net::IpAddr, time::Duration};
use svc_reach_common::wire::{
    line::Line,
    outcome::{Attempt, Outcome},
    plan::{self, Plan, Request, RequestKind, View},
};

/// File descriptors that are reserved for everything but attempts: standard streams, the runtime, the host view.
const SPARE_DESCRIPTORS: usize = 32;

/// Maximum number of open sockets of an attempt on a name: it asks two servers for IPv4 and for IPv6 addresses.
const SOCKETS_PER_NAME: usize = 4;

/// Carries out `plan` and passes lines to `sink`: a start, the view of the host if the plan asks for it, a result for
/// each target as it finishes, and an end.
pub async fn run(plan: &Plan, mut sink: impl FnMut(Line)) {
    let count = u32::try_from(plan.targets.len()).unwrap_or(u32::MAX);
    sink(Line::Start {
        version: plan::VERSION,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        targets: count,
    });
    let (lines, mut received) = tokio::sync::mpsc::unbounded_channel();
    let work = async {
        let view = async {
            if plan.view == View::Host {
                let _ = lines.send(Line::Host(Box::new(host_view::look().await)));
            }
        };
        let targets = targets(plan, |line| {
            let _ = lines.send(line);
        });
        tokio::join!(view, targets);
    };
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            Some(line) = received.recv() => sink(line),
            () = &mut work => break,
        }
    }
    while let Ok(line) = received.try_recv() {
        sink(line);
    }
    sink(Line::End { targets: count });
}

/// Makes all attempts on all targets, with as much concurrency as the plan and the system allow. An attempt is created
/// only when it starts, so that a plan of thousands of targets needs memory for the running attempts only.
///
/// Datagrams come last, so that their pace delays nothing else. When everything else is done, the agent sends those
/// that were not answered once more: they may have been lost in a burst.
async fn targets(plan: &Plan, finished: impl FnMut(Line)) {
    let context = Context::new(plan);
    let at_once = at_once(plan, descriptors());
    let others = plan.targets.iter().filter(|target| !is_datagram(target));
    let datagrams = plan.targets.iter().filter(|target| is_datagram(target));
    let mut results = Results {
        plan,
        under_way: HashMap::new(),
        finished,
    };
    let mut lost = Vec::new();
    let mut all = stream::iter(
        others
            .chain(datagrams)
            .flat_map(|target| (0..plan.attempts_on(target)).map(move |nth| (target, nth))),
    )
    .map(|(target, nth)| {
        let context = &context;
        async move { (target, nth, context.attempt(target).await) }
    })
    .buffer_unordered(at_once);
    while let Some((target, nth, attempt)) = all.next().await {
        if attempt.outcome == Outcome::Silent {
            lost.push((target, nth, attempt));
        } else {
            results.add(target, nth, attempt);
        }
    }
    let mut again = stream::iter(lost)
        .map(|(target, nth, attempt)| {
            let context = &context;
            async move { (target, nth, context.send_again(target, attempt).await) }
        })
        .buffer_unordered(at_once);
    while let Some((target, nth, attempt)) = again.next().await {
        results.add(target, nth, attempt);
    }
}

/// What was seen of targets that are not finished.
struct Results<'p, F> {
    plan: &'p Plan,
    under_way: HashMap<u32, Vec<(usize, Attempt)>>,
    finished: F,
}

impl<F: FnMut(Line)> Results<'_, F> {
    fn add(&mut self, target: &Request, nth: usize, attempt: Attempt) {
        let id = target.id;
        let made = self.under_way.entry(id).or_default();
        made.push((nth, attempt));
        if made.len() == self.plan.attempts_on(target)
            && let Some(mut made) = self.under_way.remove(&id)
        {
            made.sort_by_key(|(nth, _)| *nth);
            (self.finished)(Line::Result {
                id,
                attempts: made.into_iter().map(|(_, attempt)| attempt).collect(),
            });
        }
    }
}

const fn is_datagram(target: &Request) -> bool {
    matches!(target.probe, RequestKind::Udp { .. })
}

/// The time that pacing may add to a plan: each datagram waits for its turn, and once more if it is sent again.
#[must_use]
pub fn pacing(plan: &Plan) -> Duration {
    let datagrams: usize = plan
        .targets
        .iter()
        .filter(|target| is_datagram(target))
        .map(|target| plan.attempts_on(target))
        .sum();
    if datagrams == 0 {
        return Duration::ZERO;
    }
    let each = pace::longest_wait() + pace::GAP_AGAIN;
    each * u32::try_from(datagrams).unwrap_or(u32::MAX) + plan.grace()
}

/// Maximum number of attempts at the same time, for an agent with so many file descriptors.
#[must_use]
pub fn at_once(plan: &Plan, descriptors: usize) -> usize {
    let names = plan
        .targets
        .iter()
        .any(|target| target.host.parse::<IpAddr>().is_err());
    let sockets = if names { SOCKETS_PER_NAME } else { 1 };
    usize::from(plan.concurrency.get())
        .min(descriptors.saturating_sub(SPARE_DESCRIPTORS) / sockets)
        .max(1)
}

/// Maximum number of file descriptors of this process.
#[cfg(unix)]
fn descriptors() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => usize::try_from(soft).unwrap_or(usize::MAX),
        Err(_) => usize::MAX,
    }
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}
