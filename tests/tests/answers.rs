//! Who answers, what backends see of their clients, and how traffic is spread over them, on the test cluster. Rules in
//! the nodes' network and servers of other kinds make the faults.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::{Value, json};
use std::{
    process::{Child, Command, Stdio},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};
use svc_reach_common::{
    client::{ClientValue, ClientVerdict},
    observation::ObservedValue::{NotObserved, Reachable, Unreachable},
    position::Position::{self, NodeOther, PodOther, PodSame},
    report::{Affinity, Share},
    target::{
        NodeRole::Backend,
        Relation::Remote,
        TargetKind::{ClusterIp, PodIp},
    },
    verdict::Verdict,
};
use svc_reach_tests::{
    fixture::{apply, await_proxies, deploy, front, nodes, service, text},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, Which, ask, node_port, of},
    wait::until,
};

/// The client's address in the VPC.
const CLIENT: &str = "192.168.60.100";

/// One test changes what all pods see of a node, so no other test may run at the same time.
static NODES: RwLock<()> = RwLock::new(());

/// Lets other tests run at the same time.
fn together() -> RwLockReadGuard<'static, ()> {
    NODES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lets no other test run.
fn alone() -> RwLockWriteGuard<'static, ()> {
    NODES.write().unwrap_or_else(PoisonError::into_inner)
}

/// The Service `web` with a backend on each of the first nodes.
fn with(backends: usize, spec: &Value) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    let nodes: Vec<&str> = nodes.iter().take(backends).map(String::as_str).collect();
    deploy(&kubectl, &namespace, &nodes, &service(spec));
    (kubectl, namespace)
}

/// A rule of address translation on a node, which comes before kube-proxy's rules. It is removed at the end.
struct Rule<'k> {
    kubectl: &'k Kubectl,
    node: String,
    table: String,
}

impl<'k> Rule<'k> {
    /// `table`: a name that no other rule on the node has. `hook`: prerouting or postrouting.
    fn new(kubectl: &'k Kubectl, node: &str, table: &str, hook: &str, rule: &str) -> Self {
        // kube-proxy uses the priorities -100 and 100, in every mode.
        let priority = if hook == "prerouting" { -101 } else { 99 };
        let made = Self {
            kubectl,
            node: node.to_owned(),
            table: table.to_owned(),
        };
        let chain = format!("{{ type nat hook {hook} priority {priority}; }}");
        for command in [
            format!("add table ip {table}"),
            format!("add chain ip {table} {hook} {chain}"),
            format!("add rule ip {table} {hook} {rule}"),
        ] {
            assert!(made.nft(&command), "failed to run nft {command} on {node}");
        }
        made
    }

    fn nft(&self, command: &str) -> bool {
        Command::new(self.kubectl.testbed())
            .args(["enter", &self.node, "nft", command])
            .status()
            .unwrap()
            .success()
    }
}

impl Drop for Rule<'_> {
    fn drop(&mut self) {
        self.nft(&format!("delete table ip {}", self.table));
    }
}

fn client(run: &Run, position: Position, which: Which) -> (ClientValue, ClientVerdict) {
    let client = &run.cells(position, which)[0].client;
    (client.value, client.verdict)
}

fn inside(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let args: Vec<&str> = ["--external", "never"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    ask(kubectl, namespace, &args)
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_client_address_is_kept_and_replaced_as_expected() {
    let _nodes = together();
    let kept = (ClientValue::Kept, ClientVerdict::AsExpected);
    let replaced = (ClientValue::Replaced, ClientVerdict::AsExpected);
    for (policy, through_node) in [("Local", kept), ("Cluster", replaced)] {
        let spec = json!({"type": "NodePort", "externalTrafficPolicy": policy});
        let (kubectl, namespace) = with(1, &spec);
        let run = inside(&kubectl, &namespace, &[]);
        for position in [PodSame, PodOther, NodeOther] {
            assert_eq!(client(&run, position, of(ClusterIp)), kept, "{position}");
            assert_eq!(client(&run, position, of(PodIp)), kept, "{position}");
        }
        let remote = node_port(Backend, Remote);
        assert_eq!(client(&run, NodeOther, remote), through_node, "{policy}");
        let summary = &run.report.summary;
        assert_eq!((summary.client_worse, summary.client_better), (0, 0));
        run.expect_exit(0);
    }
}

/// A masquerading rule on the backend's node, such as a wrong cluster CIDR makes.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_lost_client_address_fails_the_run_unless_told_otherwise() {
    let _nodes = together();
    let (kubectl, namespace) = with(1, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let pod = kubectl.object(&namespace.args(&["get", "pod", "web-0"]));
    let pod = pod["status"]["podIP"].as_str().unwrap();
    let rule = format!("ip daddr {pod} tcp dport 8080 masquerade");
    let _rule = Rule::new(&kubectl, &node, &namespace.name, "postrouting", &rule);
    let run = inside(&kubectl, &namespace, &["--only", "pod-other,pod-ip"]);
    let lost = (ClientValue::Replaced, ClientVerdict::Worse);
    assert_eq!(client(&run, PodOther, of(PodIp)), lost);
    let by = &run.cells(PodOther, of(PodIp))[0].client.replaced_by;
    assert_eq!(by.as_deref(), Some(format!("node {node}").as_str()));
    run.expect_exit(1);
    let only_worse = ["--only", "pod-other,pod-ip", "--fail-on", "worse"];
    inside(&kubectl, &namespace, &only_worse).expect_exit(0);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_backend_that_gets_no_traffic_is_found() {
    let _nodes = together();
    let (kubectl, namespace) = with(2, &json!({}));
    let only = ["--only", "pod-other,cluster-ip", "--attempts", "20"];
    let shares = |run: &Run| -> Vec<(String, Share)> {
        let distribution = run.report.distribution.as_ref().unwrap();
        let backends = distribution.backends.iter();
        backends
            .map(|backend| (backend.pod.clone(), backend.share))
            .collect()
    };
    let of_pods = |first, second| vec![("web-0".to_owned(), first), ("web-1".to_owned(), second)];
    let run = inside(&kubectl, &namespace, &only);
    assert_eq!(shares(&run), of_pods(Share::Answered, Share::Answered));
    run.expect_exit(0);

    // From now on, every node sends the Service's traffic to the first pod.
    let text = |kind: &str, name: &str, field: &str| {
        let object = kubectl.object(&namespace.args(&["get", kind, name]));
        object.pointer(field).unwrap().as_str().unwrap().to_owned()
    };
    let pod = text("pod", "web-0", "/status/podIP");
    let ip = text("service", "web", "/spec/clusterIP");
    let rule = format!("ip daddr {ip} tcp dport 80 dnat to {pod}:8080");
    let nodes = nodes(&kubectl);
    let _rules: Vec<Rule<'_>> = nodes
        .iter()
        .map(|node| Rule::new(&kubectl, node, &namespace.name, "prerouting", &rule))
        .collect();
    let run = inside(&kubectl, &namespace, &only);
    assert_eq!(shares(&run), of_pods(Share::Answered, Share::Silent));
    let mut advisories = run.report.advisories.iter();
    assert!(advisories.any(|advisory| advisory.id == "backend-without-traffic"));
    run.expect_exit(0);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn session_affinity_is_seen_to_hold() {
    let _nodes = together();
    let (kubectl, namespace) = with(2, &json!({"sessionAffinity": "ClientIP"}));
    let only = ["--only", "pod-other,cluster-ip", "--attempts", "8"];
    let run = inside(&kubectl, &namespace, &only);
    let distribution = run.report.distribution.as_ref().unwrap();
    assert_eq!(
        distribution.affinity,
        Some(Affinity::Held),
        "{distribution:?}"
    );
    run.expect_exit(0);
}

/// The cluster's pods that ask, the backend's node and the asked ports.
const ASKED: [&str; 2] = ["--only", "pod-other,node-port,pod-ip"];

/// A Service with one backend, whose node port leads to something else on the backend's node. `says`: how that answers.
/// `everywhere`: whether every port of the node leads there, for pods of other nodes.
fn with_a_front(says: &str, everywhere: bool) -> Run {
    let (kubectl, namespace) = with(1, &json!({"type": "NodePort"}));
    let nodes = nodes(&kubectl);
    let front = front(&kubectl, &namespace, &nodes[0], says);
    let address = text(
        &kubectl,
        &namespace,
        ["node", &nodes[0], "/status/addresses/0/address"],
    );
    let port = text(
        &kubectl,
        &namespace,
        ["service", "web", "/spec/ports/0/nodePort"],
    );
    let port = if everywhere {
        "meta l4proto tcp".to_owned()
    } else {
        format!("tcp dport {port}")
    };
    // Pods of the other nodes ask.
    let pods: Vec<String> = nodes[1..]
        .iter()
        .map(|client| text(&kubectl, &namespace, ["node", client, "/spec/podCIDR"]))
        .collect();
    let rule = format!(
        "ip saddr {{ {} }} ip daddr {address} {port} dnat to {front}:80",
        pods.join(", ")
    );
    let _rule = Rule::new(&kubectl, &nodes[0], &namespace.name, "prerouting", &rule);
    inside(&kubectl, &namespace, &ASKED)
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn an_answer_of_something_else_is_no_answer_of_the_service() {
    let _nodes = together();
    for (says, reason) in [
        ("return 503;", "503"),
        (
            "return 200;",
            "someone else answered: HTTP 200 with \"server: nginx",
        ),
    ] {
        let run = with_a_front(says, false);
        let cell = run.cells(PodOther, node_port(Backend, Remote))[0];
        assert_eq!(
            (cell.observed.value, cell.verdict),
            (Unreachable, Verdict::Worse),
            "{cell:#?}"
        );
        assert!(cell.observed.reason.contains(reason), "{cell:#?}");
        run.expect_from(&[PodOther], of(PodIp), Reachable);
        run.expect_exit(1);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn what_accepts_every_connection_leaves_cells_unobserved() {
    let _nodes = alone();
    let run = with_a_front("return 200;", true);
    let cell = run.cells(PodOther, node_port(Backend, Remote))[0];
    assert_eq!(cell.observed.value, NotObserved, "{cell:#?}");
    assert!(
        cell.observed.reason.contains("accepts every connection"),
        "{cell:#?}"
    );
    run.expect_from(&[PodOther], of(PodIp), Reachable);
    run.expect_exit(3);
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A backend outside of the cluster accepts connections, and answers too late.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_server_that_is_too_slow_is_not_unreachable() {
    let _nodes = together();
    const PORT: &str = "9413";
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let listen = format!("TCP-LISTEN:{PORT},fork,reuseaddr");
    let server = Command::new(kubectl.testbed())
        .args(["enter", "client", "socat", &listen, "EXEC:sleep 20"])
        .stdin(Stdio::null())
        .spawn();
    let _server = Running(server.unwrap());
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": CLIENT}], "ports": [{"name": "http", "port": PORT.parse::<u16>().unwrap()}]}],
    });
    apply(
        &kubectl,
        &namespace,
        vec![service(&json!({"selector": null})), endpoints],
    );
    await_proxies(&kubectl, &namespace, 1);
    until("the server", Duration::from_secs(30), || {
        let connect = format!("TCP:{CLIENT}:{PORT},connect-timeout=1");
        let output = Command::new(kubectl.testbed())
            .args(["enter", "node-1", "socat", "-u", "/dev/null", &connect])
            .output();
        let output = output.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    });
    let run = inside(
        &kubectl,
        &namespace,
        &["--only", "node-other,pod-ip,cluster-ip"],
    );
    for kind in [PodIp, ClusterIp] {
        let cell = run.cells(NodeOther, of(kind))[0];
        assert_eq!(cell.observed.value, NotObserved, "{cell:#?}");
        assert!(
            cell.observed.reason.contains("the backends do the same"),
            "{cell:#?}"
        );
    }
    run.expect_exit(3);
}
