//! Plans, and results in the order in which targets finish.

use crate::{
    TIMEOUT_MS, agent, attempts, closed_port, http, plan,
    servers::{Talk, listen},
    start,
};
use std::{
    io::{BufRead, BufReader},
    num::{NonZeroU16, NonZeroU32},
    time::{Duration, Instant},
};
use svc_reach_common::wire::{
    line::Line,
    plan::{Plan, RequestKind, Tls},
};

#[test]
fn plan_in_several_arguments() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let text = serde_json::to_string(&plan([(server.address, http())])).unwrap();
    let (head, tail) = text.split_at(text.len() / 2);
    let output = agent().args(["run", head, tail]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .ends_with(r#"{"line":"end","targets":1}"#)
    );
}

#[test]
fn invalid_plans_end_with_fatal_and_code_2() {
    let other = serde_json::to_string(&Plan {
        version: 99,
        ..plan([])
    })
    .unwrap();
    let mut twice = plan([(closed_port(), http()), (closed_port(), http())]);
    twice.targets[1].id = 0;
    let twice = serde_json::to_string(&twice).unwrap();
    let [relative, elsewhere, spaced, injected] =
        ["status", "http://shop.example/", "/a b", "/\r\nhost: shop"].map(|path| {
            let probe = RequestKind::Http {
                path: path.into(),
                host: None,
                tls: Tls::Off,
            };
            serde_json::to_string(&plan([(closed_port(), probe)])).unwrap()
        });
    for (text, says) in [
        (relative.as_str(), "path of target 0"),
        (elsewhere.as_str(), "path of target 0"),
        (spaced.as_str(), "path of target 0"),
        (injected.as_str(), "path of target 0"),
        (twice.as_str(), "target 0 twice"),
        ("{", "not a plan"),
        ("{}", "missing field"),
        (other.as_str(), "version 99"),
    ] {
        let output = agent().args(["run", text]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let line: Line = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            matches!(&line, Line::Fatal { error } if error.contains(says)),
            "{text}: {line:?}"
        );
    }
    for args in [
        &["run"][..],
        &["walk"],
        &[],
        &["serve", "--port"],
        &["serve", "--port", "http"],
    ] {
        assert_eq!(
            agent().args(args).output().unwrap().status.code(),
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn targets_can_set_their_attempts() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let mut plan = plan([(server.address, http()), (server.address, http())]);
    plan.targets[1].attempts = NonZeroU16::new(3);
    let made: Vec<usize> = attempts(&plan).iter().map(Vec::len).collect();
    assert_eq!(made, [1, 3]);
}

#[test]
fn results_come_as_targets_finish() {
    let silent = listen(Talk::Nothing);
    let quick = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let mut targets = vec![(silent.address, http()); 20];
    targets.push((quick.address, http()));
    let began = Instant::now();
    let mut child = start(&plan(targets));
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let first = output
        .find(|line| line.contains(r#""line":"result""#))
        .unwrap();
    assert!(
        first.contains(r#""id":20"#),
        "the quick one comes first: {first}"
    );
    assert!(
        began.elapsed() < Duration::from_millis(u64::from(TIMEOUT_MS)),
        "and at once"
    );
    assert_eq!(
        output
            .filter(|line| line.contains(r#""line":"result""#))
            .count(),
        20
    );
    assert!(child.wait().unwrap().success());
    assert!(
        began.elapsed() < Duration::from_millis(u64::from(TIMEOUT_MS) * 3),
        "all of them time out together"
    );
}

/// The limit is for the released program. A build without optimisation needs more memory.
#[test]
#[ignore = "needs the released probe: tests/run builds it"]
fn memory_of_ten_thousand_targets() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let mut plan = plan(std::iter::repeat_n((server.address, http()), 10_000));
    plan.attempt_timeout_ms = NonZeroU32::new(20_000).unwrap();
    plan.connect_timeout_ms = plan.attempt_timeout_ms;
    let mut child = start(&plan);
    let output = BufReader::new(child.stdout.take().unwrap());
    let status = format!("/proc/{}/status", child.id());
    let mut answered = 0;
    let mut peak = 0;
    for line in output.lines().map(Result::unwrap) {
        answered += usize::from(line.contains("answered"));
        // The kernel keeps the peak for as long as the process lives.
        if line.contains(r#""line":"end""#) || answered % 1000 == 0 {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let peak_now = text.lines().find_map(|line| {
                line.strip_prefix("VmHWM:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            });
            peak = peak.max(peak_now.unwrap_or(0));
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(answered, 10_000);
    assert!((1..=16 * 1024).contains(&peak), "{peak} KiB at the most");
}
