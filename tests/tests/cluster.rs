//! Runs of the plugin, through the real `kubectl`, on a real cluster: any that KUBECONFIG names, with three nodes that
//! pods can be put on and the probe's image where its nodes find it.

use serde_json::{Value, json};
use std::time::Duration;
use svc_reach_common::{
    observation::ObservedValue::{NotObserved, Reachable, Unreachable},
    position::Position::{self, NodeOther, NodeSame, PodOther, PodSame},
    report::Report,
    target::{
        NodeRole::{Backend, Other},
        Relation::{Own, Remote},
        TargetKind::{ClusterIp, Dns, NodePort, PodIp},
    },
    verdict::Verdict,
    wire::outcome::Outcome,
};
use svc_reach_tests::{
    fixture::{apply, await_endpoints, await_proxies, deploy, nodes, server, service},
    folder::Folder,
    junit,
    kubectl::{Kubectl, finish},
    namespace::Namespace,
    process::{send, started},
    run::{Run, ask, node_port, of},
    wait::until,
};

const IN_CLUSTER: [Position; 4] = [NodeSame, NodeOther, PodSame, PodOther];

/// A namespace with a Service `web` and a server on each of the first `backends` nodes.
fn with(spec: &Value, backends: usize) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    assert!(
        nodes.len() >= 3,
        "these tests need three nodes, there are {nodes:?}"
    );
    let nodes: Vec<&str> = nodes.iter().take(backends).map(String::as_str).collect();
    deploy(&kubectl, &namespace, &nodes, &service(spec));
    (kubectl, namespace)
}

/// A run without this machine as a position, which is another matter on each cluster.
fn from_inside(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let more: Vec<&str> = ["--external", "never"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let run = ask(kubectl, namespace, &more);
    assert_eq!(
        namespace.leftovers(),
        [""; 0],
        "nothing is left\n{}",
        run.output
    );
    run
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_cluster_ip_is_reached_from_everywhere() {
    let (kubectl, namespace) = with(&json!({}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    for kind in [PodIp, ClusterIp, Dns] {
        run.expect_from(&IN_CLUSTER, of(kind), Reachable);
    }
    assert_eq!(
        run.cells(NodeSame, of(NodePort)).len(),
        0,
        "it has no node port"
    );
    let cell = run.cells(PodOther, of(ClusterIp))[0];
    assert!(
        cell.observed.latency_ms.is_some_and(|ms| ms > 0.0),
        "{:?}",
        cell.observed
    );
    let echo = cell.observed.attempts.iter().all(|attempt| {
        matches!(&attempt.outcome, Outcome::Answered { status: Some(200), echo: Some(echo) } if echo.pod.as_deref() == Some("web-0"))
    });
    assert!(
        echo,
        "the backend answered every attempt: {:?}",
        cell.observed.attempts
    );
    assert!(run.report.environment.kubernetes_version.is_some());
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster and PyPI's JUnit parser: tests/run brings one up and fetches the other"]
fn one_run_goes_to_several_files_beside_standard_output() {
    // Something of each: what is disputed on a node without a backend, a port that nobody serves, and silence.
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "closed", "port": 81, "targetPort": 1},
        {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
    ]);
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports});
    let (kubectl, namespace) = with(&spec, 1);
    let folder = Folder::new("files");
    let (xml, tap) = (
        folder.path().join("report.xml"),
        folder.path().join("report.tap"),
    );
    let (to_junit, to_tap) = (
        format!("junit={}", xml.display()),
        format!("tap={}", tap.display()),
    );
    let cce = ["--matrix", "huawei-cce", "--column", "vpc/iptables"];
    let more = ["--udp-payload", "", "-o", &to_junit, "-o", &to_tap];
    let run = from_inside(&kubectl, &namespace, &[&cce[..], &more].concat());
    let cells = &run.report.cells;
    let tap = std::fs::read_to_string(tap).unwrap();
    assert!(
        tap.starts_with(&format!("TAP version 14\n1..{}\n", cells.len())),
        "{tap}"
    );

    let junit = junit::read(&xml);
    assert_eq!((junit.cases, junit.tests), (cells.len(), cells.len()));
    for (ending, stated, verdicts, says) in [
        (
            "Failure",
            junit.failures,
            &[Verdict::Worse, Verdict::Better, Verdict::Unstable][..],
            "refused",
        ),
        (
            "Error",
            junit.errors,
            &[Verdict::NotObserved],
            "--udp-payload",
        ),
        (
            "Skipped",
            junit.skipped,
            &[Verdict::Disputed, Verdict::Undocumented],
            "disputed",
        ),
    ] {
        let results = junit.results.iter();
        let told: Vec<&str> = results
            .filter(|(one, _)| one == ending)
            .map(|(_, text)| text.as_str())
            .collect();
        let seen = cells.iter().filter(|cell| verdicts.contains(&cell.verdict));
        let seen = seen.count();
        assert_eq!((told.len(), stated), (seen, seen), "{ending}: {junit:?}");
        assert!(
            told.iter().any(|text| text.contains(says)),
            "{ending} with {says:?}: {told:?}"
        );
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn node_ports_with_policy_cluster_are_reached_on_every_node() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&IN_CLUSTER, of(NodePort), Reachable);
    run.expect_exit(0);
}

/// Of the failure table, the column that this cluster has; what was seen is its own.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_is_held_against_the_document_that_it_is_told() {
    let (kubectl, namespace) = with(
        &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        1,
    );
    let (own, remote) = (node_port(Other, Own), node_port(Other, Remote));
    let cce = ["--matrix", "huawei-cce", "--column", "vpc/iptables"];
    let run = from_inside(&kubectl, &namespace, &cce);
    assert_eq!(
        run.report.environment.column.as_deref(),
        Some("vpc/iptables")
    );
    let matrix = run.report.matrix.as_ref().unwrap();
    assert_eq!(
        (matrix.id.as_str(), matrix.edition.as_str()),
        ("huawei-cce", "b553f21")
    );
    let verdict = |run: &Run, position, which| run.cells(position, which)[0].verdict;
    // Stated in every edition, and so it is.
    let reached = run.cells(NodeOther, node_port(Backend, Remote))[0];
    assert_eq!(reached.verdict, Verdict::AsExpected);
    assert_eq!(reached.editions.len(), 12, "{:?}", reached.editions);
    // A pod beside the backend cannot ask its own node there; here it can.
    assert_eq!(
        verdict(&run, PodSame, node_port(Backend, Own)),
        Verdict::Better
    );
    // Editions disagree on a node that asks itself, and on others.
    let disputed = run.cells(NodeOther, own)[0];
    assert_eq!(disputed.verdict, Verdict::Disputed);
    let hint = disputed.hint.as_ref().unwrap();
    for part in [
        "2026-01-otc",
        "say reachable, as was seen",
        "undated-en say",
        " unreachable",
    ] {
        assert!(hint.contains(part), "{part:?} in {hint}");
    }
    assert_eq!(verdict(&run, NodeOther, remote), Verdict::Disputed);
    // What the provider's document does not speak of is upstream's.
    let expected = run.cells(PodOther, of(ClusterIp))[0].expected.as_ref();
    assert_eq!(expected.unwrap().matrix.as_deref(), Some("kubernetes"));
    run.expect_exit(1);

    // Held to one edition, its word is what counts.
    let cce = [
        "--matrix",
        "huawei-cce@2024-01-en",
        "--strict",
        "--column",
        "vpc/iptables",
    ];
    let run = from_inside(&kubectl, &namespace, &cce);
    assert_eq!(verdict(&run, NodeOther, own), Verdict::AsExpected);
    let worse = run.cells(NodeOther, remote)[0];
    assert_eq!(
        (worse.verdict, worse.editions.len()),
        (Verdict::Worse, 1),
        "{worse:?}"
    );

    // Not knowing the network model, a cell is judged where the columns agree.
    let cce = ["--matrix", "huawei-cce@2024-01-en", "--strict"];
    let run = from_inside(&kubectl, &namespace, &cce);
    assert_eq!(run.report.environment.column, None);
    let evidence = &run.report.environment.evidence;
    let remaining = evidence.iter().find(|evidence| evidence.fact == "column");
    assert_eq!(
        remaining.map(|evidence| evidence.value.as_str()),
        Some("one of tunnel/iptables, vpc/iptables, eni/iptables")
    );
    let open = run.cells(PodSame, node_port(Backend, Own))[0];
    assert_eq!(open.verdict, Verdict::Undocumented);
    let hint = open.hint.as_ref().unwrap();
    assert!(
        hint.contains("tunnel/iptables: reachable; vpc/iptables: unreachable"),
        "{hint}"
    );
}

/// A smoke test asks for what matters to it, and fails on that alone.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_smoke_test_asks_for_what_matters_to_it() {
    let (kubectl, namespace) = with(
        &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        1,
    );
    let run = from_inside(
        &kubectl,
        &namespace,
        &[
            "--only",
            "pod-other,cluster-ip,node-port",
            "--skip",
            "node-port",
        ],
    );
    let asked: Vec<_> = run
        .report
        .cells
        .iter()
        .map(|cell| (cell.position, cell.target.kind))
        .collect();
    assert_eq!(asked, [(PodOther, ClusterIp)]);
    run.expect_exit(0);

    // Whatever documents say: here a node port that Local does not serve.
    let run = from_inside(
        &kubectl,
        &namespace,
        &[
            "--only",
            "node-same,node-port",
            "--require-reachable",
            "node-same:node-port",
        ],
    );
    let refused = run.cells(NodeSame, node_port(Other, Remote))[0];
    assert_eq!(refused.verdict, Verdict::Worse);
    assert_eq!(
        refused.expected.as_ref().unwrap().source.as_deref(),
        Some("--require-reachable node-same:node-port")
    );
    run.expect_exit(1);

    // What was required and is not asked is not success.
    let run = from_inside(
        &kubectl,
        &namespace,
        &[
            "--only",
            "pod-other,cluster-ip",
            "--require-reachable",
            "pod-other:load-balancer",
        ],
    );
    assert_eq!(run.report.advisories[0].id, "no-required-cell");
    run.expect_exit(3);

    let cce = [
        "--matrix",
        "huawei-cce@2024-01-en",
        "--strict",
        "--column",
        "vpc/iptables",
    ];
    let run = from_inside(
        &kubectl,
        &namespace,
        &[&cce[..], &["--fail-on", "better"]].concat(),
    );
    assert!(run.report.summary.worse > 0 && run.report.summary.better > 0);
    run.expect_exit(1);
    let run = from_inside(
        &kubectl,
        &namespace,
        &[&cce[..], &["--fail-on", "disputed"]].concat(),
    );
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_waits_until_there_is_something_to_reach() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    apply(&kubectl, &namespace, vec![service(&json!({}))]);
    // Of the pod alone: a node may forward a little later than there is something to forward to.
    let args = ["svc-reach", "web", "--only", "pod-other,pod-ip"];
    let output = kubectl.run(&namespace.args(&[&args[..], &["--wait", "1s"]].concat()));
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains("still waits for a ready backend after 1 s"),
        "{output}"
    );
    let mut child = kubectl.spawn(&namespace.args(&[&args[..], &["--wait", "180s"]].concat()));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A saved report is judged by other documents as a run with these documents would be, and held against a later one.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_saved_report_is_judged_again_and_compared() {
    let (kubectl, namespace) = with(
        &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        1,
    );
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_exit(0);
    let folder = Folder::new("judge");
    let file = |name: &str| {
        let path = folder.join(format!("{name}.json"));
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old"), file("new"));
    std::fs::write(&old, &run.output.stdout).unwrap();
    let cce = [
        "--matrix",
        "huawei-cce@2024-01-en",
        "--strict",
        "--column",
        "vpc/iptables",
    ];
    let judge = |more: &[&str]| {
        let args: Vec<&str> = ["svc-reach", "judge", &old]
            .iter()
            .chain(more)
            .copied()
            .collect();
        kubectl.run(&args)
    };
    let output = judge(&[&["-o", "json"], &cce[..]].concat());
    assert_eq!(output.code, Some(1), "{output}");
    let again: Report = serde_json::from_str(&output.stdout).unwrap();
    let told = from_inside(&kubectl, &namespace, &cce);
    let verdicts = |report: &Report| -> Vec<_> {
        let cells = report.cells.iter();
        cells
            .map(|cell| (cell.position, cell.verdict, cell.expected.clone()))
            .collect()
    };
    assert_eq!(verdicts(&again), verdicts(&told.report));
    assert_eq!(again.matrix, told.report.matrix);
    assert_eq!(again.environment.column.as_deref(), Some("vpc/iptables"));

    let mut later = run.report.clone();
    let compare = |later: &Report| {
        std::fs::write(&new, serde_json::to_string(later).unwrap()).unwrap();
        judge(&[&new])
    };
    let same = compare(&later);
    assert_eq!(same.code, Some(0), "{same}");
    assert!(same.stdout.contains("nothing changed"), "{same}");
    later.cells[0].observed.value = NotObserved;
    let unseen = compare(&later);
    assert_eq!(unseen.code, Some(3), "{unseen}");
    later.cells[0].observed.value = Unreachable;
    later.cells[0].observed.reason = "timed out\u{1b}[31m".to_owned();
    let worse = compare(&later);
    assert_eq!(worse.code, Some(1), "{worse}");
    assert!(
        worse
            .stdout
            .contains("now unreachable (timed out\\u{1b}[31m)"),
        "{worse}"
    );
}

/// A platform team's own matrix, which speaks of one cell.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_is_held_against_a_file() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let folder = Folder::new("matrix");
    let file = folder.join("ours.yaml");
    let text = "name: ours\nprovider: us\neditions:\n- edition: one\n  language: en\n  source: our wiki\n  rows:\n  \
        - {position: pod-other, pointer: page 1, values: {node-port/other: unreachable}}\n";
    std::fs::write(&file, text).unwrap();
    let run = from_inside(&kubectl, &namespace, &["--matrix", file.to_str().unwrap()]);
    let cell = run.cells(PodOther, node_port(Other, Own))[0];
    assert_eq!(cell.verdict, Verdict::Better, "{cell:?}");
    assert_eq!(
        cell.expected.as_ref().unwrap().source.as_deref(),
        Some("our wiki (page 1)")
    );
    run.expect_exit(1);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn node_ports_with_policy_local_are_reached_where_a_backend_runs() {
    let (kubectl, namespace) = with(
        &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
        1,
    );
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&[NodeSame, PodSame], node_port(Backend, Own), Reachable);
    run.expect_from(
        &[NodeOther, PodOther],
        node_port(Backend, Remote),
        Reachable,
    );
    run.expect_from(&IN_CLUSTER, node_port(Other, Remote), Unreachable);
    // Dropped, not refused: who asks there waits.
    for position in IN_CLUSTER {
        for cell in run.cells(position, node_port(Other, Remote)) {
            assert_eq!(cell.observed.reason, "timed out", "{position}");
        }
    }
    for position in IN_CLUSTER {
        for cell in run.cells(position, node_port(Other, Remote)) {
            assert_eq!(
                cell.verdict,
                Verdict::AsExpected,
                "it is documented: {cell:?}"
            );
            assert!(
                cell.hint.is_some(),
                "and there is something to be done about it"
            );
        }
    }
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn several_backends_are_all_asked() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 2);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    assert_eq!(
        run.cells(PodOther, of(PodIp)).len(),
        2,
        "each backend directly"
    );
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    assert_eq!(
        run.cells(PodOther, of(ClusterIp))[0].observed.of,
        Some(6),
        "three attempts for each backend"
    );
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn where_every_node_runs_a_backend_two_positions_cannot_exist() {
    let kubectl = Kubectl::from_environment();
    let all = nodes(&kubectl).len();
    let (kubectl, namespace) = with(&json!({}), all);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&[NodeSame, PodSame], of(ClusterIp), Reachable);
    run.expect_unobserved(NodeOther, "every node runs a backend");
    run.expect_unobserved(PodOther, "every node runs a backend");
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn without_a_backend_refusals_are_seen_and_a_run_is_not_complete() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 0);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_unobserved(NodeSame, "no ready endpoint");
    run.expect_unobserved(PodSame, "no ready endpoint");
    run.expect_from(&[NodeOther, PodOther], of(ClusterIp), Unreachable);
    let cell = run.cells(PodOther, of(ClusterIp))[0];
    assert_eq!(cell.observed.reason, "refused");
    assert_eq!(
        cell.verdict,
        Verdict::AsExpected,
        "the documents are silent, the model is not"
    );
    assert!(
        run.report
            .advisories
            .iter()
            .any(|advisory| advisory.id == "no-ready-endpoint")
    );
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_backend_on_the_host_network_is_reached() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let mut pod = server("web-0", &node);
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["containers"][0]["args"] = json!(["serve", "--port", "28080"]);
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 28080}]);
    pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = 28080.into();
    let service = service(
        &json!({"type": "NodePort", "ports": [{"name": "http", "port": 80, "targetPort": 28080}]}),
    );
    apply(&kubectl, &namespace, vec![service, pod]);
    await_endpoints(&kubectl, &namespace, 1);
    await_proxies(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    for kind in [PodIp, ClusterIp, NodePort] {
        run.expect_from(&IN_CLUSTER, of(kind), Reachable);
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn every_port_is_asked_by_name_and_protocol() {
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "raw", "port": 9000, "targetPort": 8081},
        {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        {"name": "closed", "port": 81, "targetPort": 1},
    ]);
    let (kubectl, namespace) = with(&json!({"type": "NodePort", "ports": ports}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    for position in IN_CLUSTER {
        for cell in run.cells(position, of(ClusterIp)) {
            let reason = cell.observed.reason.as_str();
            let expected = match cell.target.port_name.as_deref() {
                Some("http") => "answered HTTP 200",
                Some("raw") => "connected",
                Some("dns") => "answered",
                Some("closed") => "refused",
                other => panic!("no such port: {other:?}"),
            };
            assert_eq!(reason, expected, "{position}: {:?}", cell.target);
        }
        assert_eq!(run.cells(position, of(ClusterIp)).len(), 4);
    }
    run.expect_exit(1);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn silence_after_a_datagram_proves_nothing_by_itself() {
    let ports = json!([{"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"}]);
    let (kubectl, namespace) = with(&json!({"ports": ports}), 1);
    // The server leaves empty datagrams unanswered.
    let run = from_inside(&kubectl, &namespace, &["--udp-payload", ""]);
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "--udp-payload");
    }
    run.expect_exit(3);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_headless_service_is_asked_by_name_and_by_backend() {
    let (kubectl, namespace) = with(&json!({"clusterIP": "None"}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    assert_eq!(run.cells(PodOther, of(ClusterIp)).len(), 0);
    run.expect_from(&IN_CLUSTER, of(PodIp), Reachable);
    run.expect_from(&IN_CLUSTER, of(Dns), Reachable);
    assert_eq!(
        run.cells(PodOther, of(Dns))[0].target.port.get(),
        8080,
        "the name leads to the backend's own port"
    );
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_external_name_is_nothing_to_reach() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "ExternalName", "externalName": "example.invalid"},
    });
    apply(&kubectl, &namespace, vec![service]);
    let run = from_inside(&kubectl, &namespace, &[]);
    assert_eq!(run.report.cells.len(), 0);
    let advisory = &run.report.advisories[0];
    assert!(
        advisory.text.contains("an alias for example.invalid"),
        "{advisory:?}"
    );
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_service_without_a_selector_has_the_endpoints_it_was_given() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    let ip = until("an address of the pod", Duration::from_secs(180), || {
        let pod = kubectl.object(&namespace.args(&["get", "pod", "web-0"]));
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        pod["status"]["podIP"]
            .as_str()
            .filter(|_| ready)
            .map(str::to_owned)
            .ok_or_else(|| pod["status"].to_string())
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "http", "port": 8080}]}],
    });
    apply(
        &kubectl,
        &namespace,
        vec![service(&json!({"selector": null})), endpoints],
    );
    until("a slice of the endpoints", Duration::from_secs(90), || {
        let slices = kubectl.object(&namespace.args(&["get", "endpointslices"]));
        if slices["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty())
        {
            Ok(())
        } else {
            Err(slices.to_string())
        }
    });
    await_proxies(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_unobserved(NodeSame, "no ready endpoint names its node");
    run.expect_from(&[NodeOther, PodOther], of(ClusterIp), Reachable);
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_image_that_cannot_be_pulled_is_not_an_unreachable_service() {
    let (kubectl, namespace) = with(&json!({}), 1);
    let run = from_inside(
        &kubectl,
        &namespace,
        &["--image", "svc-reach/absent:1", "--probe-timeout", "120s"],
    );
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "ImagePullBackOff");
    }
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_probe_that_does_not_start_in_time_is_given_up() {
    let (kubectl, namespace) = with(&json!({}), 1);
    // Never pulled and absent from every node: the kubelet says so and will not change its mind.
    let more = [
        "--image",
        "svc-reach/absent:2",
        "--image-pull-policy",
        "Never",
        "--probe-timeout",
        "120s",
    ];
    let run = from_inside(&kubectl, &namespace, &more);
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "ErrImageNeverPull");
    }
    run.expect_exit(3);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn what_a_user_may_not_do_is_named_before_anything_is_made() {
    let (kubectl, namespace) = with(&json!({}), 1);
    let user = format!("reader-of-{}", namespace.name);
    let reader = [
        (
            "ClusterRole",
            json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "get"]}]),
        ),
        (
            "Role",
            json!([
                {"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpoints", "endpointslices"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
            ]),
        ),
    ];
    for (kind, rules) in reader {
        let api = "rbac.authorization.k8s.io";
        let mut role = json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": {"name": user}, "rules": rules});
        let mut binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": {"name": user},
            "roleRef": {"apiGroup": api, "kind": kind, "name": user},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        if kind == "Role" {
            for object in [&mut role, &mut binding] {
                object["metadata"]["namespace"] = namespace.name.clone().into();
            }
        }
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}));
    }
    let output =
        kubectl.run(&namespace.args(&["svc-reach", "web", "--external", "never", "--as", &user]));
    let _ = kubectl.run(&["delete", "clusterrole,clusterrolebinding", &user]);
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains("create jobs.batch, delete jobs.batch, create pods"),
        "{output}"
    );
    assert!(
        output.stderr.contains("manifests/rbac-namespaced.yaml"),
        "{output}"
    );
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_service_that_is_not_there_is_named() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let output = kubectl.run(&namespace.args(&["svc-reach", "web"]));
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains(&format!("failed to get Service {}/web", namespace.name)),
        "{output}"
    );
    assert_eq!(output.stdout, "", "{output}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_makes_a_few_requests_however_much_else_there_is() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let calls = || {
        let run = from_inside(&kubectl, &namespace, &["-v"]);
        let log = &run.output.stderr;
        let at = log
            .rfind("calls=")
            .unwrap_or_else(|| panic!("the number of calls is logged\n{}", run.output));
        log[at + 6..]
            .split_whitespace()
            .next()
            .and_then(|number| number.parse::<u32>().ok())
            .unwrap()
    };
    let before = calls();
    assert!(before <= 32, "{before} requests for one Service");
    let more = (0..100).map(|i| {
        let mut service = service(&json!({"selector": {"app": "nobody"}}));
        service["metadata"]["name"] = format!("more-{i}").into();
        service
    });
    apply(&kubectl, &namespace, more.collect());
    let after = calls();
    // Reading a log again, or a pod that is marked a little later, costs one or two.
    assert!(
        after <= before + 2,
        "{after} requests beside 100 more Services, {before} without"
    );
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_interrupted_run_leaves_nothing() {
    for (name, signal, code, marker) in [
        ("as probes are made", "INT", 130, ": creating"),
        ("as probes start", "TERM", 143, "being created"),
        ("as probes run", "INT", 130, "running"),
    ] {
        let (kubectl, namespace) = with(
            &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
            1,
        );
        let args = namespace.args(&["svc-reach", "web", "--external", "never"]);
        let (child, _) = started(&kubectl, &args, marker);
        send(signal, child.id());
        let output = finish(&args, child);
        assert_eq!(output.code, Some(code), "{name}: {output}");
        assert_eq!(namespace.leftovers(), [""; 0], "{name}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn cleanup_removes_what_a_killed_run_left_and_nothing_else() {
    // Every position waits for a node port that drops, so that none of the Jobs has been removed by the run itself.
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&spec, 1);
    let args = namespace.args(&["svc-reach", "web", "--external", "never"]);
    let (child, _) = started(&kubectl, &args, "being created");
    send("KILL", child.id());
    assert_eq!(finish(&args, child).code, None);
    assert_ne!(
        namespace.leftovers(),
        [""; 0],
        "a run that was killed cannot clean up"
    );
    let removed = namespace.kubectl(&["svc-reach", "cleanup"]);
    assert_eq!(removed.matches("deleted").count(), 4, "{removed}");
    until(
        "the pods of the killed run to go",
        Duration::from_secs(90),
        || {
            let left = namespace.leftovers();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        },
    );
    assert!(
        namespace
            .kubectl(&["svc-reach", "cleanup"])
            .starts_with("no probes found")
    );
    assert!(
        namespace
            .kubectl(&["get", "pod", "web-0", "--no-headers"])
            .contains("Running"),
        "the backend stays"
    );
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn two_runs_at_once_do_not_disturb_each_other() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let ask = || ask(&kubectl, &namespace, &["--external", "never"]);
        let running = [scope.spawn(ask), scope.spawn(ask)];
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for run in &runs {
        run.expect_exit(0);
    }
    assert_ne!(runs[0].report.run, runs[1].report.run);
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_cluster_and_its_dump_are_explained_alike_and_nothing_is_made() {
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&spec, 1);
    let explained = |more: &[&str]| -> Value {
        let args: Vec<&str> = ["svc-reach", "explain", "web", "-o", "json"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        serde_json::from_str(&namespace.kubectl(&args)).unwrap()
    };
    let live = explained(&[]);
    assert_eq!(namespace.leftovers(), [""; 0]);
    let kinds = "svc,endpointslices,endpoints,nodes,pods,configmaps";
    let folder = Folder::new("dump");
    let dump = folder.join("dump.json");
    std::fs::write(&dump, kubectl.succeed(&["get", kinds, "-A", "-o", "json"])).unwrap();
    let from_dump = explained(&["--from", dump.to_str().unwrap()]);
    assert_eq!(
        live["cells"], from_dump["cells"],
        "the same cells, whichever way they were read"
    );
    let cells = live["cells"].as_array().unwrap();
    assert!(
        cells.iter().any(|cell| cell["reachable"] == "unreachable"),
        "{live:#}"
    );
    assert!(cells.iter().all(
        |cell| cell["predicted"]["why"][0]["source"].is_string() || cell["reachable"].is_null()
    ));

    // One packet, from both: to the cluster IP, from the node without a backend.
    let service = kubectl.object(&namespace.args(&["get", "service", "web"]));
    let to = format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap());
    let node = nodes(&kubectl)[1].clone();
    let packet = [
        "svc-reach",
        "explain",
        "-o",
        "json",
        "--client",
        "host",
        "--node",
        &node,
        "--to",
        &to,
    ];
    let live: Value = serde_json::from_str(&kubectl.succeed(&packet)).unwrap();
    assert_eq!(live[0]["action"], "endpoints", "{live:#}");
    assert_eq!(live[0]["masquerade"], true, "{live:#}");
    let offline: Vec<&str> = packet
        .iter()
        .copied()
        .chain(["--from", dump.to_str().unwrap()])
        .collect();
    let from_dump: Value = serde_json::from_str(&kubectl.succeed(&offline)).unwrap();
    assert_eq!(live, from_dump);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn what_is_wrong_right_after_a_deploy_comes_with_a_warning() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    let ready = ["wait", "--for=condition=Ready", "pod/web-0"];
    namespace.kubectl(&[&ready[..], &["--timeout=180s"]].concat());
    // The Service last, so that it is new however long the pod took. Its pod is ready by its own port, and silent on the
    // one that the Service leads to.
    let ports = json!([{"name": "http", "port": 80, "targetPort": 9}]);
    apply(
        &kubectl,
        &namespace,
        vec![service(&json!({"ports": ports}))],
    );
    await_endpoints(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &["--only", "pod-other,cluster-ip"]);
    run.expect(PodOther, of(ClusterIp), Unreachable);
    let advisories = &run.report.advisories;
    let told = advisories
        .iter()
        .find(|advisory| advisory.id == "just-changed");
    let told = told.unwrap_or_else(|| panic!("a warning: {advisories:?}"));
    assert!(
        told.text.contains("before the probes were made"),
        "{told:?}"
    );
    run.expect_exit(1);
}
