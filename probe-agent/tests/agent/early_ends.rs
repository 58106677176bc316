//! Runs that end before their plan does.

use crate::{
    agent, closed_port, http, plan,
    servers::{Talk, listen},
    start,
};
use std::{
    io::{BufRead, BufReader},
    num::NonZeroU32,
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn killed_agent_prints_no_end() {
    let silent = listen(Talk::Nothing);
    let mut child = start(&plan([(silent.address, http())]));
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(output.next().unwrap().contains(r#""line":"start""#));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.count(), 0, "neither a result nor an end");
}

#[test]
fn signal_ends_a_run() {
    let silent = listen(Talk::Nothing);
    let mut plan = plan([(silent.address, http())]);
    plan.attempt_timeout_ms = NonZeroU32::new(60_000).unwrap();
    plan.connect_timeout_ms = plan.attempt_timeout_ms;
    let mut child = start(&plan);
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(output.next().unwrap().contains("start"));
    let began = Instant::now();
    assert!(
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn signal_ends_waiting_for_a_plan() {
    let mut child = agent().args(["run", "-"]).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    // Wait until the kernel shows a handler for SIGTERM. Without a handler, the signal would end any program.
    let status = format!("/proc/{}/status", child.id());
    let began = Instant::now();
    while !std::fs::read_to_string(&status)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("SigCgt:"))
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & (1 << 14) != 0)
    {
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
    assert!(
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(input);
}

#[test]
fn closed_output_ends_the_run() {
    let silent = listen(Talk::Nothing);
    let mut plan = plan([(silent.address, http()), (closed_port(), http())]);
    plan.attempt_timeout_ms = NonZeroU32::new(60_000).unwrap();
    plan.connect_timeout_ms = plan.attempt_timeout_ms;
    let began = Instant::now();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = agent()
        .args(["run", &serde_json::to_string(&plan).unwrap()])
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the rest of the plan is skipped"
    );
}
