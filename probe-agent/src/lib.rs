//! The probe: does what a [`Plan`] says and tells what it saw, one [`Line`] at a time.
//!
//! ```text
//! plan → targets × attempts → (resolve → connect → tls → request) → outcome → line
//! ```
//!
//! It knows addresses, ports and protocols. What kind of target an address is, and what should happen there, it does
//! not know.

mod attempt;
mod bounds;
mod failure;
mod host_view;
mod http;
mod resolver;
pub mod serve;
mod tap;
mod tls;
mod udp;

use attempt::Context;
use futures_util::{StreamExt, stream};
use std::{collections::HashMap, net::IpAddr};
use svc_reach_common::wire::{
    line::Line,
    outcome::Attempt,
    plan::{self, Plan, View},
};

/// File descriptors kept free for everything that is not an attempt: standard streams, the runtime, the host view.
const SPARE_DESCRIPTORS: usize = 32;

/// Sockets that one attempt on a name has at once: both kinds of address are asked for, of two servers each.
const SOCKETS_PER_NAME: usize = 4;

/// Does what `plan` says and tells `sink` what it saw: a start, the view of the host where it is asked for, a result for
/// each target as it finishes, and an end.
pub async fn run(plan: &Plan, mut sink: impl FnMut(Line)) {
    let count = u32::try_from(plan.targets.len()).unwrap_or(u32::MAX);
    sink(Line::Start {
        version: plan::VERSION,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        targets: count,
    });
    let (lines, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let work = async {
        let view = async {
            if plan.view == View::Host {
                let _ = lines.send(Line::Host(host_view::look().await));
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
            Some(line) = heard.recv() => sink(line),
            () = &mut work => break,
        }
    }
    while let Ok(line) = heard.try_recv() {
        sink(line);
    }
    sink(Line::End { targets: count });
}

/// All attempts on all targets, as many at once as the plan and the system allow. Attempts are made as their turn
/// comes, so that a plan of thousands of targets costs memory for those under way only.
async fn targets(plan: &Plan, mut finished: impl FnMut(Line)) {
    let context = Context::new(plan);
    let at_once = at_once(plan, descriptors());
    let mut under_way: HashMap<u32, Vec<(usize, Attempt)>> = HashMap::new();
    let mut all = stream::iter(
        plan.targets
            .iter()
            .flat_map(|target| (0..plan.attempts_on(target)).map(move |nth| (target, nth))),
    )
    .map(|(target, nth)| {
        let context = &context;
        async move { (target, nth, context.attempt(target).await) }
    })
    .buffer_unordered(at_once);
    while let Some((target, nth, attempt)) = all.next().await {
        let id = target.id;
        let made = under_way.entry(id).or_default();
        made.push((nth, attempt));
        if made.len() == plan.attempts_on(target)
            && let Some(mut made) = under_way.remove(&id)
        {
            made.sort_by_key(|(nth, _)| *nth);
            finished(Line::Result {
                id,
                attempts: made.into_iter().map(|(_, attempt)| attempt).collect(),
            });
        }
    }
}

/// Attempts that an agent with so many file descriptors has under way at once.
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

/// File descriptors that this process can have at once.
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
