//! Tests with a real kernel: routes, packet filters and names. Each test has its own namespaces.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod servers;

use servers::{Talk, listen, probe};
use std::{
    collections::HashMap,
    net::UdpSocket,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};
use svc_reach_common::wire::{
    line::{HostFact, HostView, Line},
    outcome::{Outcome, Phase},
};

/// Runs a shell script in new namespaces. At its end, the script runs the agent with a plan of one target.
fn in_namespaces(flags: &[&str], script: &str, plan: &str) -> Vec<Line> {
    let output = Command::new("unshare")
        .args(flags)
        .args([
            "--",
            "sh",
            "-eu",
            "-c",
            &format!("{script}\nexec \"$0\" run \"$1\""),
            probe().to_str().unwrap(),
            plan,
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Line> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        matches!(lines.last(), Some(Line::End { .. })),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
}

fn plan(view: &str, host: &str, port: u16, probe: &str) -> String {
    format!(
        r#"{{"version":2,"attempts":1,"concurrency":8,"connectTimeoutMs":1500,"attemptTimeoutMs":1500,"view":"{view}",
            "targets":[{{"id":0,"host":"{host}","port":{port},"probe":{probe}}}]}}"#
    )
}

fn outcome(lines: Vec<Line>) -> Outcome {
    let result = lines.into_iter().find_map(|line| match line {
        Line::Result { attempts, .. } => attempts.into_iter().next(),
        Line::Start { .. } | Line::Host(_) | Line::End { .. } | Line::Fatal { .. } => None,
    });
    result.unwrap().outcome
}

const TCP: &str = r#"{"kind":"tcp"}"#;
const UDP: &str = r#"{"kind":"udp","payload":"hello"}"#;

#[test]
#[ignore = "needs root, for network namespaces: tests/run has it"]
fn routes_and_filters_have_distinct_outcomes() {
    let link = "ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up; ip addr add 198.18.0.1/24 dev d0;\
                ip -6 addr add fd00::1/64 dev d0 nodad";
    let filter = |rule: &str| format!("{link}; iptables -A OUTPUT {rule}");
    let rows = [
        (
            "no route",
            "ip link set lo up".to_owned(),
            "198.18.9.9",
            TCP,
            Outcome::NetworkUnreachable { errno: 101 },
        ),
        (
            "no IPv6 route",
            "ip link set lo up".to_owned(),
            "fd00::9",
            TCP,
            Outcome::NetworkUnreachable { errno: 101 },
        ),
        (
            "a route that says unreachable",
            format!("{link}; ip route add unreachable 198.18.9.0/24"),
            "198.18.9.9",
            TCP,
            Outcome::HostUnreachable { errno: 113 },
        ),
        (
            "a route that says prohibited",
            format!("{link}; ip route add prohibit 198.18.9.0/24"),
            "198.18.9.9",
            TCP,
            Outcome::Blocked { errno: 13 },
        ),
        (
            "dropped on the way out",
            filter("-p tcp -j DROP"),
            "198.18.0.1",
            TCP,
            Outcome::TimedOut {
                phase: Phase::Connect,
            },
        ),
        (
            "rejected on the way out",
            filter("-p tcp -j REJECT"),
            "198.18.0.1",
            TCP,
            Outcome::Refused { errno: 111 },
        ),
        (
            "a datagram dropped on the way out",
            filter("-p udp -j DROP"),
            "198.18.0.1",
            UDP,
            Outcome::Blocked { errno: 1 },
        ),
        (
            "a datagram rejected on the way out",
            filter("-p udp -j REJECT"),
            "198.18.0.1",
            UDP,
            Outcome::Blocked { errno: 1 },
        ),
        (
            "nobody listens",
            link.to_owned(),
            "198.18.0.1",
            UDP,
            Outcome::Refused { errno: 111 },
        ),
        (
            "a neighbour that is not there, for a datagram",
            link.to_owned(),
            "198.18.0.9",
            UDP,
            Outcome::Silent,
        ),
    ];
    for (name, script, host, probe, expected) in rows {
        let lines = in_namespaces(&["--net"], &script, &plan("none", host, 9, probe));
        assert_eq!(outcome(lines), expected, "{name}");
    }
}

#[test]
#[ignore = "needs root, for network namespaces: tests/run has it"]
fn host_view_needs_no_privileges() {
    // The agent runs as in its image: as another user, without capabilities, and unable to gain any.
    let script = "ip link set lo up; ip link add kube-ipvs0 type bridge; ip link add eth7 type veth peer name eth8; ip link set eth8 up
        ip addr add 198.18.0.1/24 dev eth7; ip link set eth7 up; ip route add 198.18.7.0/24 via 198.18.0.2
        ip route add unreachable 198.18.8.0/24
        exec setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set=-all --no-new-privs \"$0\" run \"$1\"";
    let lines = in_namespaces(&["--net"], script, &plan("host", "127.0.0.1", 9, TCP));
    let view: HostView = lines
        .into_iter()
        .find_map(|line| match line {
            Line::Host(view) => Some(*view),
            Line::Start { .. } | Line::Result { .. } | Line::End { .. } | Line::Fatal { .. } => {
                None
            }
        })
        .unwrap();
    assert_eq!(view.kube_ipvs0, HostFact::Seen(true));
    assert!(
        matches!(&view.proxy_mode, HostFact::Unknown(why) if why.contains("refused")),
        "{:?}",
        view.proxy_mode
    );
    let interfaces = view.interfaces.get().unwrap();
    let eth7 = interfaces
        .iter()
        .find(|interface| interface.name == "eth7")
        .unwrap();
    assert!(
        eth7.addresses.contains(&"198.18.0.1".parse().unwrap()),
        "{eth7:?}"
    );
    let routes = view.routes.get().unwrap();
    let route = routes
        .iter()
        .find(|route| route.destination.to_string() == "198.18.7.0/24")
        .unwrap();
    assert_eq!(
        (route.gateway, route.interface.as_str()),
        (Some("198.18.0.2".parse().unwrap()), "eth7")
    );
    assert!(
        !routes
            .iter()
            .any(|route| route.destination.to_string() == "198.18.8.0/24"),
        "unreachable routes are left out: {routes:?}"
    );
}

#[test]
#[ignore = "needs root, for network namespaces: tests/run has it"]
fn datagrams_are_answered_from_the_address_that_was_asked() {
    // The server has a second address on another interface, as a node has one for its pods. The kernel would answer
    // from the address on the client's link.
    let script = "mount -t tmpfs none /run; ip netns add server; ip link set lo up
        ip link add d0 type veth peer name d1 netns server; ip link set d0 up
        ip addr add 198.18.0.1/24 dev d0; ip -6 addr add fd00::1/64 dev d0 nodad
        ip route add 198.18.7.0/24 via 198.18.0.2; ip -6 route add fd00:7::/64 via fd00::2
        run() { ip netns exec server \"$@\"; }
        run ip link set lo up; run ip link set d1 up; run ip link add d2 type bridge; run ip link set d2 up
        run ip addr add 198.18.0.2/24 dev d1; run ip -6 addr add fd00::2/64 dev d1 nodad
        run ip addr add 198.18.7.1/24 dev d2; run ip -6 addr add fd00:7::1/64 dev d2 nodad
        run \"$0\" serve --udp-port 5353 >&2 &
        until run ss -Hlun 'sport = 5353' | grep -q .; do :; done";
    let flags = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
    for host in ["198.18.7.1", "fd00:7::1"] {
        let answer = outcome(in_namespaces(
            &flags,
            script,
            &plan("none", host, 5353, UDP),
        ));
        let Outcome::Answered {
            echo: Some(echo), ..
        } = answer
        else {
            panic!("{host}: {answer:?}")
        };
        let own = if host.contains(':') {
            "fd00::1"
        } else {
            "198.18.0.1"
        };
        assert_eq!(echo.client, Some(own.parse().unwrap()), "{host}");
    }
}

/// What a name server answers for a name.
#[derive(Clone)]
enum Said {
    Addresses(Vec<[u8; 4]>),
    Failure,
    Nothing,
}

/// A name server on port 53 of a loopback address. It answers that other names do not exist.
struct NameServer {
    resolv_conf: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    fn start(address: &str, names: HashMap<&'static str, Said>) -> Self {
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                if let Some(reply) = reply(&query[..length], &names, &log) {
                    let _ = socket.send_to(&reply, client);
                }
            }
        });
        let resolv_conf =
            std::env::temp_dir().join(format!("svc-reach-{}-{address}", std::process::id()));
        // The kubelet writes it like this.
        let text = format!(
            "nameserver {address}\nsearch web.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
        );
        std::fs::write(&resolv_conf, text).unwrap();
        Self { resolv_conf, asked }
    }

    fn outcome(&self, host: &str, port: u16) -> Outcome {
        let script = format!(
            "mount --bind {} /etc/resolv.conf",
            self.resolv_conf.display()
        );
        outcome(in_namespaces(
            &["--mount"],
            &script,
            &plan("none", host, port, TCP),
        ))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.resolv_conf);
    }
}

/// A reply to a query of one question (RFC 1035, section 4).
fn reply(
    query: &[u8],
    names: &HashMap<&'static str, Said>,
    log: &Mutex<Vec<String>>,
) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let name = labels.join(".");
    let is_a = query[at + 1..at + 3] == [0, 1];
    if is_a {
        log.lock().unwrap().push(name.clone());
    }
    let (code, addresses) = match names.get(name.as_str()) {
        Some(Said::Nothing) => return None,
        Some(Said::Failure) => (2, vec![]),
        Some(Said::Addresses(addresses)) => (0, if is_a { addresses.clone() } else { vec![] }),
        None => (3, vec![]),
    };
    let mut reply = query[..2].to_vec();
    reply.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(addresses.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    reply.extend(&query[12..at + 5]);
    for address in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        reply.extend(address);
    }
    Some(reply)
}

#[test]
#[ignore = "needs root, for mount namespaces and port 53: tests/run has it"]
fn resolves_with_the_kubelets_settings() {
    let server = listen(Talk::Nothing);
    let local = |last| [127, 0, 0, last];
    let names = NameServer::start(
        "127.53.0.1",
        HashMap::from([
            ("web.web.svc.cluster.local", Said::Addresses(vec![local(1)])),
            // Nothing listens on the first address.
            (
                "two.web.svc.cluster.local",
                Said::Addresses(vec![local(2), local(1)]),
            ),
            // Nothing listens on the first address. The second is the broadcast address, which TCP cannot use.
            (
                "split.web.svc.cluster.local",
                Said::Addresses(vec![local(2), [255; 4]]),
            ),
            ("none.web.svc.cluster.local", Said::Addresses(vec![])),
            ("broken.web.svc.cluster.local", Said::Failure),
            ("slow.web.svc.cluster.local", Said::Nothing),
        ]),
    );
    let port = server.address.port();
    assert_eq!(names.outcome("web.web.svc", port), Outcome::Connected);
    let asked = names.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "web.web.svc.web.svc.cluster.local",
            "web.web.svc.svc.cluster.local",
            "web.web.svc.cluster.local"
        ],
        "the search list comes first, since the name has fewer than five dots"
    );
    assert_eq!(names.outcome("web", port), Outcome::Connected);
    assert_eq!(
        names.outcome("web.web.svc.cluster.local", port),
        Outcome::Connected
    );
    assert_eq!(
        names.outcome("two", port),
        Outcome::Connected,
        "the second address is also tried"
    );
    assert_eq!(
        names.outcome("split", port),
        Outcome::Refused { errno: 111 },
        "the first address counts"
    );
    assert_eq!(names.outcome("absent", port), Outcome::NameNotFound);
    assert_eq!(names.outcome("none", port), Outcome::NameNotFound);
    assert_eq!(
        names.outcome("slow", port),
        Outcome::TimedOut {
            phase: Phase::Resolve
        }
    );
    for name in ["broken.web.svc.cluster.local.", "broken.web.svc", "broken"] {
        let broken = names.outcome(name, port);
        assert!(
            matches!(broken, Outcome::NameLookupFailed { .. }),
            "a failure is not hidden by further names that do not exist: {name}: {broken:?}"
        );
    }
}

#[test]
#[ignore = "needs root, for mount namespaces: tests/run has it"]
fn missing_resolv_conf_is_a_failure() {
    let lines = in_namespaces(
        &["--mount"],
        "mount --bind /dev/null /etc/resolv.conf",
        &plan("none", "web", 80, TCP),
    );
    let Outcome::Failed { detail, .. } = outcome(lines) else {
        panic!("the attempt should have failed")
    };
    assert!(
        detail.contains("failed to read the resolver's settings"),
        "{detail}"
    );
}

#[test]
#[ignore = "needs root, for mount namespaces and port 53: tests/run has it"]
fn missing_descriptors_are_a_failure() {
    let server = listen(Talk::Nothing);
    let names = NameServer::start(
        "127.53.0.2",
        HashMap::from([(
            "web.web.svc.cluster.local",
            Said::Addresses(vec![[127, 0, 0, 1]]),
        )]),
    );
    // The limits range from too few descriptors to enough.
    let outcomes: Vec<Outcome> = (9..=20)
        .map(|limit| {
            let script = format!(
                "mount --bind {} /etc/resolv.conf; ulimit -n {limit}",
                names.resolv_conf.display()
            );
            outcome(in_namespaces(
                &["--mount"],
                &script,
                &plan(
                    "none",
                    "web.web.svc.cluster.local.",
                    server.address.port(),
                    TCP,
                ),
            ))
        })
        .collect();
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Connected)),
        "{outcomes:?}"
    );
    assert!(outcomes.contains(&Outcome::Connected), "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Failed { .. })),
        "{outcomes:?}"
    );
}
