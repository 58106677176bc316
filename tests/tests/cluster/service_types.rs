//! Each type of Service is reached at its own addresses.

use crate::{IN_CLUSTER, from_inside, with};
use serde_json::json;
use svc_reach_common::{
    observation::ObservedValue::{Reachable, Unreachable},
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::{Backend, Other},
        Relation::{Own, Remote},
        TargetKind::{ClusterIp, Dns, NodePort, PodIp},
    },
    verdict::Verdict,
    wire::outcome::Outcome,
};
use svc_reach_tests::{
    fixture::apply,
    kubectl::Kubectl,
    namespace::Namespace,
    run::{node_port, of},
};

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
        "a ClusterIP Service has no node port"
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
        "the backend did not answer every attempt: {:?}",
        cell.observed.attempts
    );
    assert!(run.report.environment.kubernetes_version.is_some());
    run.expect_exit(0);
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
    // kube-proxy drops these packets and does not refuse them, so the attempts time out.
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
            assert!(cell.hint.is_some(), "a hint says what to do about it");
        }
    }
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_headless_service_is_checked_by_name_and_backend() {
    let (kubectl, namespace) = with(&json!({"clusterIP": "None"}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    assert_eq!(run.cells(PodOther, of(ClusterIp)).len(), 0);
    run.expect_from(&IN_CLUSTER, of(PodIp), Reachable);
    run.expect_from(&IN_CLUSTER, of(Dns), Reachable);
    assert_eq!(
        run.cells(PodOther, of(Dns))[0].target.port.get(),
        8080,
        "the name resolves to the backend, so its own port is used"
    );
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_external_name_service_has_nothing_to_check() {
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
    run.expect_absent(&IN_CLUSTER, "an alias");
    run.expect_exit(0);
}
