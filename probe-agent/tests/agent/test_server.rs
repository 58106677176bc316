//! The agent's own server, and how its answers are recognised.

use crate::{
    agent, closed_port, datagram, http, outcome, outcomes,
    servers::{Talk, listen, udp},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};
use svc_reach_common::wire::{outcome::Outcome, plan::RequestKind};

#[test]
fn test_server_reports_itself_and_its_client() {
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
    // The server refuses connections until it listens.
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
fn test_server_limits_requests() {
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
    // The client sends a request that never ends. The server must answer before its own timeout.
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let _ = client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ");
    let _ = client.write_all(&[b'x'; 64 * 1024]);
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        // The server resets the connection because of unread data, and the reset may arrive before the answer.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        Ok(_) => assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}"),
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn answers_of_other_servers_have_no_echo() {
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
