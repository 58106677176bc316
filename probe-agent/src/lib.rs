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
mod gate;
mod host_view;
mod http;
mod kube_proxy;
mod lane;
mod pace;
mod resolver;
mod schedule;
pub mod serve;
mod tap;
mod tls;
mod udp;

use attempt::Context;
use schedule::{Schedule, is_datagram};
use std::{net::IpAddr, time::Duration};
use svc_reach_common::wire::{
    line::Line,
    plan::{self, Plan, View},
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
        let context = Context::new(plan);
        let schedule = Schedule::new(plan, &context, at_once(plan, descriptors()));
        let targets = schedule.carry_out(|line| {
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

/// The time that pacing may add to a plan:
///
/// - Each datagram waits for its turn, and once more if it is sent again.
/// - Attempts on the same backends are spread, and attempts that are refused wait for their turn.
/// - What is asked again takes the same time again, with up to twice as many attempts.
#[must_use]
pub fn pacing(plan: &Plan) -> Duration {
    let datagrams: usize = plan
        .targets
        .iter()
        .filter(|target| is_datagram(target))
        .map(|target| plan.attempts_on(target))
        .sum();
    let mut round = Duration::ZERO;
    if datagrams > 0 {
        let each = pace::longest_wait() + pace::GAP_AGAIN;
        round += each * u32::try_from(datagrams).unwrap_or(u32::MAX) + plan.grace();
    }
    if plan.targets.iter().any(|target| target.lane.is_some()) {
        round += lane::SPREAD;
    }
    if plan.targets.iter().any(|target| target.gate.is_some()) {
        round += gate::PATIENCE;
    }
    round
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
