//! Runs by a user who has the built-in role `edit` in one namespace, and no right outside of it.

use crate::{IN_CLUSTER, from_inside, with};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use svc_reach_common::{
    observation::ObservedValue::Reachable,
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::TargetKind::{ClusterIp, NodePort},
};
use svc_reach_tests::{
    fixture::{apply, nodes},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, of},
    wait::until,
};

/// A user who may edit the namespace.
fn editor(kubectl: &Kubectl, namespace: &Namespace) -> String {
    let user = format!("{}-editor", namespace.name);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "editor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    apply(kubectl, namespace, vec![binding]);
    until("the role to take effect", Duration::from_secs(60), || {
        let may = ["auth", "can-i", "create", "jobs", "--as", &user];
        let output = kubectl.run(&namespace.args(&may));
        match output.code {
            Some(0) => Ok(()),
            _ => Err(output.to_string()),
        }
    });
    user
}

fn by_editor(kubectl: &Kubectl, namespace: &Namespace) -> Run {
    let user = editor(kubectl, namespace);
    let run = from_inside(kubectl, namespace, &["--as", &user]);
    let mut notes = run.report.advisories.iter();
    let note = notes.find(|advisory| advisory.id == "nodes-unlisted");
    assert!(
        note.is_some_and(|note| note.text.contains("list nodes")),
        "{}",
        run.output
    );
    run
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_editor_of_a_namespace_gets_a_complete_report() {
    for policy in ["Cluster", "Local"] {
        let spec = json!({"type": "NodePort", "externalTrafficPolicy": policy});
        let (kubectl, namespace) = with(&spec, 1);
        let run = by_editor(&kubectl, &namespace);
        run.expect_as_predicted();
        run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
        for position in IN_CLUSTER {
            let cells = run.cells(position, of(NodePort));
            let asked: BTreeSet<_> = cells.iter().map(|cell| &cell.target.node).collect();
            assert_eq!(asked.len(), 2, "{position}: the ports of both nodes");
            for cell in cells {
                assert!(cell.predicted.is_some(), "{cell:?}");
            }
        }
        run.expect_exit(0);
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_editor_learns_that_every_node_runs_a_backend() {
    let all = nodes(&Kubectl::from_environment()).len();
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), all);
    let run = by_editor(&kubectl, &namespace);
    run.expect_from(&[NodeSame, PodSame], of(ClusterIp), Reachable);
    run.expect_absent(&[NodeOther, PodOther], "every node runs a backend");
    run.expect_exit(0);
}
