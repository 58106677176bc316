//! Runs over several Services, watches, and runs with a smoke test file, on a real cluster.

use serde_json::{Value, json};
use std::time::Duration;
use svc_reach_common::{
    observation::ObservedValue::{Reachable, Unreachable},
    position::Position::{self, NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::Other,
        Relation::Remote,
        TargetKind::{ClusterIp, Dns},
    },
    verdict::{Basis, Verdict},
};
use svc_reach_tests::{
    fixture::{apply, await_endpoints, deploy, deploy_named, nodes, server, service},
    folder::Folder,
    kubectl::{Kubectl, Output, finish},
    namespace::Namespace,
    process::{Lines, send},
    run::{Run, ask_several, node_port, of},
    wait::until,
};

const IN_CLUSTER: [Position; 4] = [NodeSame, NodeOther, PodSame, PodOther];

/// Time limit for something that normally takes a few seconds.
const LONG: Duration = Duration::from_secs(180);

/// A namespace with Services, given by name, index of the backend's node, and spec. Each has one backend.
fn with(services: &[(&str, usize, Value)]) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    for (name, node, spec) in services {
        deploy_named(&kubectl, &namespace, name, &[&nodes[*node]], spec);
    }
    (kubectl, namespace)
}

fn from_inside(kubectl: &Kubectl, namespace: &Namespace, args: &[&str]) -> Vec<Run> {
    let args: Vec<&str> = args
        .iter()
        .copied()
        .chain(["--external", "never"])
        .collect();
    let runs = ask_several(kubectl, namespace, &args);
    assert_eq!(namespace.leftovers(), [""; 0], "the run left probes");
    runs
}

fn names(runs: &[Run]) -> Vec<&str> {
    runs.iter()
        .map(|run| run.report.service.name.as_str())
        .collect()
}

/// Number of Jobs that a run created, from the log of a run with `-v`.
fn made(output: &Output) -> usize {
    let jobs =
        |line: &&str| line.contains("POST") && line.contains("/jobs") && !line.contains("dryRun");
    output.stderr.lines().filter(jobs).count()
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn several_services_share_probes_and_get_separate_reports() {
    let local = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&[
        ("a", 0, json!({})),
        ("b", 1, local),
        ("c", 0, json!({"type": "NodePort"})),
        ("d", 1, json!({"clusterIP": "None"})),
    ]);
    let runs = from_inside(&kubectl, &namespace, &["b", "svc/a", "c", "d", "-v"]);
    assert_eq!(
        names(&runs),
        ["b", "a", "c", "d"],
        "reports come in the order of the command line"
    );
    let output = &runs[0].output;
    assert_eq!(
        made(output),
        4,
        "one Job for each of two nodes and two networks\n{output}"
    );
    for run in &runs {
        run.expect_as_predicted();
        run.expect_from(&IN_CLUSTER, of(Dns), Reachable);
        assert_eq!(run.report.summary.exit_code, 0, "{:?}", run.report.summary);
        assert_eq!(run.report.run, runs[0].report.run);
    }
    runs[0].expect(PodSame, node_port(Other, Remote), Unreachable);
    runs[2].expect(PodSame, node_port(Other, Remote), Reachable);
    // The backends are on different nodes, so "same" and "other" are swapped.
    let node = |run: &Run, position| run.cells(position, of(Dns))[0].node.clone();
    assert_eq!(node(&runs[1], PodSame), node(&runs[0], PodOther));
    assert_eq!(node(&runs[1], PodOther), node(&runs[0], PodSame));
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn services_are_selected_by_label_or_all_at_once() {
    let (kubectl, namespace) = with(&[("a", 0, json!({})), ("b", 0, json!({}))]);
    let one = from_inside(&kubectl, &namespace, &["-l", "app=b"]);
    assert_eq!(
        names(&one),
        ["b"],
        "a selector gives a list of reports, even of one"
    );
    let all = from_inside(&kubectl, &namespace, &["--all"]);
    assert_eq!(names(&all), ["a", "b"]);
    let none = namespace.args(&["svc-reach", "-l", "app=nobody"]);
    let none = kubectl.run(&none);
    assert_eq!(none.code, Some(3), "{none}");
    let said = format!("No Services found in {} namespace.", namespace.name);
    assert!(none.stderr.contains(&said), "{none}");
    let args = ["-A", "-l", "app in (a, b)", "--only", "pod-other,dns"];
    let everywhere = from_inside(&kubectl, &namespace, &args);
    let own: Vec<&Run> = everywhere
        .iter()
        .filter(|run| run.report.service.namespace == namespace.name)
        .collect();
    assert_eq!(own.len(), 2);
    for run in own {
        run.expect(PodOther, of(Dns), Reachable);
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_missing_service_is_named_before_anything_is_created() {
    let (kubectl, namespace) = with(&[("a", 0, json!({}))]);
    let output = kubectl.run(&namespace.args(&["svc-reach", "a", "aa", "-v"]));
    assert_eq!(output.code, Some(4), "{output}");
    let said = format!("failed to get Service {}/aa", namespace.name);
    assert!(output.stderr.contains(&said), "{output}");
    assert!(output.stderr.contains("did you mean a?"), "{output}");
    assert_eq!(made(&output), 0, "{output}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_fails_if_it_would_exceed_max_probes() {
    let (kubectl, namespace) = with(&[("a", 0, json!({})), ("b", 1, json!({}))]);
    let args = ["svc-reach", "a", "b", "--external", "never", "-v"];
    let ask = |most: &str| {
        let args: Vec<&str> = args.iter().copied().chain(["--max-probes", most]).collect();
        kubectl.run(&namespace.args(&args))
    };
    let refused = ask("3");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("needs 4 probe pods"), "{refused}");
    assert_eq!(made(&refused), 0, "{refused}");
    let allowed = ask("4");
    assert_eq!((allowed.code, made(&allowed)), (Some(0), 4), "{allowed}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn many_services_are_read_with_few_requests() {
    let (kubectl, namespace) = with(&[("a", 0, json!({}))]);
    let more = (0..60).map(|index| {
        let mut service = service(&json!({"selector": {"app": "a"}}));
        service["metadata"]["name"] = format!("more-{index:02}").into();
        service
    });
    apply(&kubectl, &namespace, more.collect());
    // If a Service has no known backend yet, the run would place its probe on another node.
    until("backends of every Service", LONG, || {
        let slices = kubectl.object(&namespace.args(&["get", "endpointslices"]));
        let slices = slices["items"].as_array().into_iter().flatten();
        let served = slices
            .filter(|slice| !slice["endpoints"][0].is_null())
            .count();
        if served == 61 {
            Ok(())
        } else {
            Err(format!("{served} of 61 Services have a backend"))
        }
    });
    let args = ["--all", "-v", "--only", "pod-other,cluster-ip"];
    let runs = from_inside(&kubectl, &namespace, &args);
    assert_eq!(runs.len(), 61);
    let output = &runs[0].output;
    let log = &output.stderr;
    let calls = log[log.rfind("calls=").unwrap() + 6..]
        .split_whitespace()
        .next()
        .unwrap();
    let calls: u32 = calls.parse().unwrap();
    assert!(calls <= 25, "{calls} requests for 61 Services\n{output}");
    assert_eq!(made(output), 1, "{output}");
    runs[0].expect(PodOther, of(ClusterIp), Reachable);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_smoke_test_file_decides_what_is_expected() {
    let (kubectl, namespace) = with(&[
        ("front", 0, json!({"type": "NodePort"})),
        ("back", 1, json!({})),
    ]);
    let text = |unreachable: &str| {
        format!(
            "apiVersion: svc-reach/v1
kind: SmokeTest
namespace: {}
request:
  skip: [external]
services:
- name: front
  expect:
    reachable: [pod-other:node-port]
- name: back
  request:
    only: [pod-other, cluster-ip, dns]
    path: /healthz
  expect:
    unreachable: [{unreachable}]
",
            namespace.name
        )
    };
    let folder = Folder::new("smoke");
    let file = folder.file("right.yaml", &text("pod-other:dns"));
    let args = ["--config", file.to_str().unwrap()];
    let runs = ask_several(&kubectl, &namespace, &args);
    assert_eq!(names(&runs), ["front", "back"]);
    let [front, back] = &runs[..] else {
        panic!("expected two reports")
    };
    assert_eq!(front.report.summary.exit_code, 0, "{}", front.output);
    let required = front.cells(PodOther, node_port(Other, Remote))[0];
    let expected = required.expected.as_ref().unwrap();
    assert_eq!(expected.basis, Basis::Required);
    assert_eq!(
        expected.source.as_deref(),
        Some("--require-reachable pod-other:node-port")
    );
    assert_eq!(back.report.cells.len(), 2, "{:?}", back.report.cells);
    let better = back.cells(PodOther, of(Dns))[0];
    assert_eq!(better.verdict, Verdict::Better, "{better:?}");
    assert_eq!(
        (front.output.code, back.report.summary.exit_code),
        (Some(1), 1)
    );
    assert_eq!(namespace.leftovers(), [""; 0]);

    let wrong = folder.file("wrong.yaml", &text("pod:dns"));
    let output = kubectl.run(&["svc-reach", "--config", wrong.to_str().unwrap()]);
    assert_eq!(output.code, Some(2), "{output}");
    let says = "line 15, services[1].expect.unreachable[0]: unknown position";
    assert!(output.stderr.contains(says), "{output}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_watch_reports_changes_and_leaves_nothing() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    deploy(&kubectl, &namespace, &[&node], &service(&json!({})));
    let folder = Folder::new("watch");
    let kept = folder.path().join("kept.json");
    let json = format!("json={}", kept.display());
    let args = [
        "svc-reach",
        "web",
        "--watch",
        "--interval",
        "1s",
        "--only",
        "pod-other,cluster-ip",
        "-o",
        "table",
        "-o",
        &json,
    ];
    let args = namespace.args(&args);
    let mut child = kubectl.spawn(&args);
    let mut lines = Lines::of(child.stdout.take().unwrap());
    lines.next_with(&["web is reachable from everywhere"], LONG);

    namespace.kubectl(&["delete", "pod", "web-0"]);
    let line = lines.next_with(&["worse", "pod-other -> cluster-ip"], LONG);
    let name = format!(" worse {}/web ", namespace.name);
    assert!(line.contains(&name) && line.starts_with("20"), "{line}");
    let value = |text: String| -> Value {
        let report: Value = serde_json::from_str(&text).unwrap();
        report["cells"][0]["observed"]["value"].clone()
    };
    let latest = value(std::fs::read_to_string(&kept).unwrap());
    assert_eq!(latest, "unreachable", "the file contains the latest report");

    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    await_endpoints(&kubectl, &namespace, 1);
    lines.next_with(&["better", "pod-other -> cluster-ip"], LONG);
    send("INT", child.id());
    let output = finish(&args, child);
    assert_eq!(output.code, Some(130), "{output}");
    let shown = output.stderr.matches("pod-other: done").count();
    assert_eq!(shown, 1, "only the first run shows progress: {output}");
    assert_eq!(namespace.leftovers(), [""; 0]);
}
