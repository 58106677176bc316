//! Runs the agent's program against servers that answer, refuse, stay silent, break off or send garbage.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod connections;
mod datagrams;
mod early_ends;
mod http_requests;
mod pacing;
mod plans;
#[path = "../servers/mod.rs"]
mod servers;
mod test_server;
mod tls_handshakes;

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    num::{NonZeroU16, NonZeroU32},
    process::{Child, Command, Stdio},
};
use svc_reach_common::wire::{
    line::Line,
    outcome::{Attempt, Outcome},
    plan::{self, Plan, Request, RequestKind, Tls, View},
};

/// Long enough for local connections, and short enough for tests that wait for a timeout.
const TIMEOUT_MS: u32 = 700;

fn http() -> RequestKind {
    RequestKind::Http {
        path: "/".into(),
        host: None,
        tls: Tls::Off,
    }
}

fn datagram() -> RequestKind {
    RequestKind::Udp {
        payload: "hello".into(),
    }
}

fn plan(targets: impl IntoIterator<Item = (SocketAddr, RequestKind)>) -> Plan {
    Plan {
        version: plan::VERSION,
        attempts: NonZeroU16::MIN,
        concurrency: NonZeroU16::new(256).unwrap(),
        connect_timeout_ms: NonZeroU32::new(TIMEOUT_MS).unwrap(),
        attempt_timeout_ms: NonZeroU32::new(TIMEOUT_MS).unwrap(),
        view: View::None,
        targets: (0..)
            .zip(targets)
            .map(|(id, (address, probe))| {
                Request::new(
                    id,
                    address.ip().to_string(),
                    NonZeroU16::new(address.port()).unwrap(),
                    probe,
                )
            })
            .collect(),
    }
}

fn agent() -> Command {
    let mut command = Command::new(servers::probe());
    command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(plan: &Plan) -> Child {
    let mut child = agent().args(["run", "-"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(serde_json::to_string(plan).unwrap().as_bytes())
        .unwrap();
    child
}

/// Runs a plan to its end and returns the agent's lines.
fn lines(plan: &Plan) -> Vec<Line> {
    let output = start(plan).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The attempts on each target, in the order of the plan.
fn attempts(plan: &Plan) -> Vec<Vec<Attempt>> {
    let lines = lines(plan);
    let count = u32::try_from(plan.targets.len()).unwrap();
    assert!(
        matches!(lines.first(), Some(Line::Start { targets, .. }) if *targets == count),
        "{lines:?}"
    );
    assert!(
        matches!(lines.last(), Some(Line::End { targets }) if *targets == count),
        "{lines:?}"
    );
    let mut results: Vec<(u32, Vec<Attempt>)> = lines
        .into_iter()
        .filter_map(|line| match line {
            Line::Result { id, attempts } => Some((id, attempts)),
            Line::Start { .. } | Line::Host(_) | Line::End { .. } | Line::Fatal { .. } => None,
        })
        .collect();
    results.sort_by_key(|(id, _)| *id);
    assert_eq!(
        results.len(),
        plan.targets.len(),
        "each target has one result"
    );
    results.into_iter().map(|(_, attempts)| attempts).collect()
}

fn outcomes(targets: impl IntoIterator<Item = (SocketAddr, RequestKind)>) -> Vec<Outcome> {
    attempts(&plan(targets))
        .into_iter()
        .map(|mut attempts| attempts.remove(0).outcome)
        .collect()
}

fn outcome(address: SocketAddr, probe: RequestKind) -> Outcome {
    outcomes([(address, probe)]).remove(0)
}

/// A port on which nothing listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
