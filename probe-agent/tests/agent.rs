//! The agent as a program, against servers that answer, refuse, stay silent, break off and talk nonsense.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod servers;

use servers::{Talk, listen, udp};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    num::{NonZeroU16, NonZeroU32},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use svc_reach_common::wire::{
    line::Line,
    outcome::{Attempt, Outcome, Phase},
    plan::{self, Plan, Request, RequestKind, Tls, View},
};

/// Long enough for anything on this machine, short enough to wait for where silence is the point.
const TIMEOUT_MS: u32 = 700;

fn http() -> RequestKind {
    RequestKind::Http {
        path: "/".into(),
        host: None,
        tls: Tls::Off,
    }
}

fn https() -> RequestKind {
    RequestKind::Http {
        path: "/".into(),
        host: None,
        tls: Tls::Unverified,
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
            .map(|(id, (address, probe))| Request {
                id,
                host: address.ip().to_string(),
                port: NonZeroU16::new(address.port()).unwrap(),
                probe,
                attempts: None,
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

/// Runs a plan to its end and returns what the agent said.
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

/// A port that nobody listens on.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn an_answer_is_an_answer_whatever_its_status() {
    for (head, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 503),
        ("HTTP/1.0 404 Not Found\r\n\r\n", 404),
        (
            "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n",
            302,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            204,
        ),
    ] {
        let server = listen(Talk::Say(head.into()));
        assert_eq!(
            outcome(server.address, http()),
            Outcome::Answered {
                status: Some(status),
                echo: None
            },
            "{head}"
        );
        assert_eq!(
            server.requests(),
            1,
            "a redirect is an answer and is not followed: {head}"
        );
    }
}

#[test]
fn the_request_is_the_one_that_was_planned() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let probe = RequestKind::Http {
        path: "/ready?deep=1".into(),
        host: Some("shop.example".into()),
        tls: Tls::Off,
    };
    outcome(server.address, probe);
    let request = server.heard();
    assert!(
        request.starts_with("GET /ready?deep=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("host: shop.example\r\n"), "{request}");
    assert!(
        request.contains("user-agent: svc-reach-probe/"),
        "{request}"
    );
}

#[test]
fn a_connection_that_comes_to_nothing_says_how() {
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
fn a_server_that_speaks_something_else_was_reached() {
    for (name, talk) in [
        ("a greeting", Talk::Say("SSH-2.0-OpenSSH_9.2\r\n".into())),
        (
            "binary",
            Talk::Say("\u{1}\u{0}\u{0}\u{2}\u{16}\u{3}".into()),
        ),
        ("half a head", Talk::Say("HTTP/1.1 200".into())),
        (
            "endless headers",
            Talk::Forever {
                first: "HTTP/1.1 200 OK\r\n",
                then: "x-more: of the same\r\n",
            },
        ),
        (
            "one endless header",
            Talk::Forever {
                first: "HTTP/1.1 200 OK\r\nx: ",
                then: "aaaaaaaaaaaaaaaaaaaaaaaa",
            },
        ),
        (
            "endless beginnings",
            Talk::Forever {
                first: "",
                then: "HTTP/1.1 100 Continue\r\n\r\n",
            },
        ),
        (
            "a slow drip",
            Talk::Drip("HTTP/1.1 200 OK\r\nserver: a-very-patient-one-that-takes-its-time\r\n\r\n"),
        ),
    ] {
        let server = listen(talk);
        let began = Instant::now();
        let outcome = outcome(server.address, http());
        assert!(
            matches!(outcome, Outcome::NotHttp { .. } | Outcome::Answered { .. }),
            "{name}: {outcome:?}"
        );
        if let Outcome::NotHttp { detail } = &outcome {
            assert!(
                detail.len() <= 120 && !detail.contains('\u{1}'),
                "{name}: {detail}"
            );
        }
        assert_ne!(
            outcome.meaning(),
            svc_reach_common::wire::outcome::Meaning::Unknown,
            "{name}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{name}: bounded in time"
        );
    }
}

#[test]
fn an_endless_body_is_not_read() {
    let server = listen(Talk::Forever {
        first: "HTTP/1.1 200 OK\r\n\r\n",
        then: "and on, and on, ",
    });
    let began = Instant::now();
    assert_eq!(
        outcome(server.address, http()),
        Outcome::Answered {
            status: Some(200),
            echo: None
        }
    );
    assert!(
        began.elapsed() < Duration::from_millis(u64::from(TIMEOUT_MS)),
        "the head is enough"
    );
}

#[test]
fn tls_is_spoken_and_nobody_is_verified() {
    let server = listen(Talk::Tls("HTTP/1.1 200 OK\r\n\r\n"));
    let made = attempts(&plan([(server.address, https())]))
        .remove(0)
        .remove(0);
    assert_eq!(
        made.outcome,
        Outcome::Answered {
            status: Some(200),
            echo: None
        }
    );
    assert!(made.tls_us.is_some_and(|us| us > 0), "{made:?}");
}

#[test]
fn tls_that_comes_to_nothing_says_how() {
    let plain = listen(Talk::Say("HTTP/1.1 400 Bad Request\r\n\r\n".into()));
    assert!(
        matches!(outcome(plain.address, https()), Outcome::TlsFailure { .. }),
        "a plain answer is an answer"
    );
    let closing = listen(Talk::Close);
    assert_eq!(
        outcome(closing.address, https()),
        Outcome::Closed { phase: Phase::Tls }
    );
    let resetting = listen(Talk::Reset);
    let reset = outcome(resetting.address, https());
    assert!(
        matches!(
            reset,
            Outcome::Reset {
                phase: Phase::Tls,
                ..
            }
        ),
        "{reset:?}"
    );
    let silent = listen(Talk::Nothing);
    assert_eq!(
        outcome(silent.address, https()),
        Outcome::TimedOut { phase: Phase::Tls }
    );
    let breaking_off = listen(Talk::Say("\x16\x03\x03\x10\x00".into()));
    let broken = outcome(breaking_off.address, https());
    assert!(
        matches!(broken, Outcome::TlsFailure { .. }),
        "a server that began a handshake was reached: {broken:?}"
    );
    // In TLS 1.3 the client has its session before the server has looked for a certificate.
    let choosy = listen(Talk::TlsForKnownClients);
    let turned_away = outcome(choosy.address, https());
    assert!(
        matches!(&turned_away, Outcome::TlsFailure { detail } if detail.contains("CertificateRequired")),
        "a server that wants to know its clients was reached: {turned_away:?}"
    );
}

#[test]
fn datagrams_are_answered_refused_or_lost() {
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
fn our_own_server_tells_who_it_is_and_whom_it_sees() {
    let tcp = closed_port().port();
    let other = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut serving = agent()
        .args([
            "serve",
            "--port",
            &tcp.to_string(),
            "--udp-port",
            &other.to_string(),
        ])
        .env("POD_NAME", "web-0")
        .env("NODE_NAME", "node-1")
        .spawn()
        .unwrap();
    let targets = |host: &str| {
        let address = |port| SocketAddr::new(host.parse().unwrap(), port);
        [(address(tcp), http()), (address(other), datagram())]
    };
    // Listening is what it does first; until then it refuses.
    let began = Instant::now();
    while outcome(targets("127.0.0.1")[0].0, RequestKind::Tcp) != Outcome::Connected {
        assert!(began.elapsed() < Duration::from_secs(10), "serve listens");
    }
    for host in ["127.0.0.1", "::1"] {
        for outcome in outcomes(targets(host)) {
            let Outcome::Answered {
                echo: Some(echo), ..
            } = outcome
            else {
                panic!("{host}: {outcome:?}")
            };
            assert_eq!(echo.pod.as_deref(), Some("web-0"));
            assert_eq!(echo.node.as_deref(), Some("node-1"));
            assert_eq!(echo.client, Some(host.parse().unwrap()));
        }
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn our_own_server_reads_no_endless_request() {
    let address = closed_port();
    let mut serving = agent()
        .args(["serve", "--port", &address.port().to_string()])
        .spawn()
        .unwrap();
    let began = Instant::now();
    let mut client = loop {
        match TcpStream::connect(address) {
            Ok(client) => break client,
            Err(_) => assert!(began.elapsed() < Duration::from_secs(10), "serve listens"),
        }
    };
    // Within its bound on time, and without an end.
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let _ = client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ");
    let _ = client.write_all(&[b'x'; 64 * 1024]);
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        // The reset of what was not read any more may overtake the answer.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        Ok(_) => assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}"),
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn an_answer_that_only_looks_like_our_own_servers_tells_of_no_pod() {
    let long = "x".repeat(254);
    for (name, json, fields) in [
        ("any object", r#"{"status":"ok"}"#.to_owned(), String::new()),
        ("no object", "{}".to_owned(), String::new()),
        (
            "no client",
            r#"{"pod":"web-0","node":"node-1"}"#.to_owned(),
            "svc-reach-pod: web-0\r\nsvc-reach-node: node-1\r\n".to_owned(),
        ),
        (
            "no address",
            r#"{"pod":"web-0","client":"somebody"}"#.to_owned(),
            "svc-reach-pod: web-0\r\nsvc-reach-client: somebody\r\n".to_owned(),
        ),
        (
            "no name",
            format!(r#"{{"pod":"{long}","client":"192.0.2.1"}}"#),
            format!("svc-reach-pod: {long}\r\nsvc-reach-client: 192.0.2.1\r\n"),
        ),
    ] {
        let tcp = listen(Talk::Say(format!("HTTP/1.1 200 OK\r\n{fields}\r\n")));
        let udp = udp(Some(json.leak().as_bytes()));
        assert_eq!(
            outcomes([(tcp.address, http()), (udp, datagram())]),
            [Some(200), None].map(|status| Outcome::Answered { status, echo: None }),
            "{name}"
        );
    }
}

#[test]
fn every_attempt_comes_from_a_port_of_its_own() {
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

#[test]
fn a_target_may_ask_for_attempts_of_its_own() {
    let server = listen(Talk::Say("HTTP/1.1 200 OK\r\n\r\n".into()));
    let mut plan = plan([(server.address, http()), (server.address, http())]);
    plan.targets[1].attempts = NonZeroU16::new(3);
    let made: Vec<usize> = attempts(&plan).iter().map(Vec::len).collect();
    assert_eq!(made, [1, 3]);
}

#[test]
fn results_come_as_targets_finish_and_silence_is_waited_for_together() {
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

#[test]
fn a_stream_that_was_cut_has_no_end() {
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
fn a_signal_ends_it_at_once() {
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
fn a_signal_ends_it_even_before_it_has_a_plan() {
    let mut child = agent().args(["run", "-"]).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    // The kernel shows which signals have a handler; one that came before that would end any program.
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
fn a_plan_may_come_in_pieces() {
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
fn a_plan_that_makes_no_sense_ends_with_2_and_a_fatal_line() {
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
fn nobody_who_listens_is_an_error() {
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
        "what is left of the plan is left"
    );
}

/// The bound is that of the program as it is released; one without optimisation takes more.
#[test]
#[ignore = "needs the released probe: tests/run builds it"]
fn ten_thousand_targets_fit_in_sixteen_mebibytes() {
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
