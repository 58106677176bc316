//! Verdicts follow the matrix and the flags that the user chooses.

use crate::{from_inside, with};
use serde_json::json;
use svc_reach_common::{
    matrix::Standing,
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::{Backend, Other},
        Relation::{Own, Remote},
        TargetKind::ClusterIp,
    },
    verdict::{Reachability, Verdict},
};
use svc_reach_tests::{
    folder::Folder,
    run::{Run, node_port, of},
};

/// Uses the column of the matrix that fits this cluster. The cluster differs from the document in some cells.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_is_judged_by_the_chosen_matrix() {
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
    // Every edition states this, and it is observed.
    let reached = run.cells(NodeOther, node_port(Backend, Remote))[0];
    assert_eq!(reached.verdict, Verdict::AsExpected);
    assert_eq!(reached.editions.len(), 12, "{:?}", reached.editions);
    // According to the document, a pod on the backend's node cannot reach this. In this cluster it can.
    assert_eq!(
        verdict(&run, PodSame, node_port(Backend, Own)),
        Verdict::Better
    );
    // It is unknown who runs this cluster. The newest editions of both operators agree about the client's own node. An
    // older one disagrees, but it is superseded.
    let agreed = run.cells(NodeOther, own)[0];
    assert_eq!(agreed.verdict, Verdict::AsExpected);
    let superseded = agreed
        .editions
        .iter()
        .find(|said| said.alias.as_deref() == Some("undated-en"))
        .unwrap();
    assert_eq!(superseded.standing, Some(Standing::Superseded));
    assert_eq!(superseded.value, Reachability::Unreachable);
    // The newest editions of the two operators disagree about another node without a backend.
    let disputed = run.cells(NodeOther, remote)[0];
    assert_eq!(disputed.verdict, Verdict::Disputed);
    let hint = disputed.hint.as_ref().unwrap();
    for part in [
        "2026-01-otc says unreachable, as observed",
        "2024-01-zh says reachable",
    ] {
        assert!(hint.contains(part), "{part:?} in {hint}");
    }
    // If the provider's document says nothing about a cell, the upstream matrix is used.
    let expected = run.cells(PodOther, of(ClusterIp))[0].expected.as_ref();
    assert_eq!(expected.unwrap().matrix.as_deref(), Some("kubernetes"));
    run.expect_exit(1);

    // With one selected edition, only that edition counts.
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

    // If the network model is unknown and the remaining columns disagree, only a certain prediction decides.
    let cce = ["--matrix", "huawei-cce@2024-01-en", "--strict"];
    let run = from_inside(&kubectl, &namespace, &cce);
    assert_eq!(run.report.environment.column, None);
    let evidence = &run.report.environment.evidence;
    let remaining = evidence.iter().find(|evidence| evidence.fact == "column");
    let mode = run.report.environment.proxy_mode.unwrap();
    assert_eq!(
        remaining.map(|evidence| evidence.value.clone()),
        Some(format!("one of tunnel/{mode}, vpc/{mode}, eni/{mode}"))
    );
    let open = run.cells(PodSame, node_port(Backend, Own))[0];
    let certain = open.predicted.as_ref().unwrap().reachable;
    let verdict = certain.map_or(Verdict::Undocumented, |value| match value {
        Reachability::Reachable => Verdict::AsExpected,
        Reachability::Unreachable => Verdict::Better,
    });
    assert_eq!(open.verdict, verdict, "{open:?}");
    let hint = open.hint.as_ref().unwrap();
    assert!(
        hint.contains(&format!(
            "tunnel/{mode}: reachable; vpc/{mode}: unreachable"
        )),
        "{hint}"
    );
}

/// A user's own matrix, with one cell.
#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_is_judged_by_a_matrix_file() {
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
fn a_smoke_test_checks_only_what_it_names() {
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

    // A requirement overrides the documents. This node port is unreachable because of policy Local.
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

    // If a requirement matches no cell, the run does not succeed.
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
