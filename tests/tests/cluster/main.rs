//! Runs of the plugin through the real `kubectl`, on the cluster that KUBECONFIG names. The cluster needs three
//! schedulable nodes that can pull the probe's image.

mod api_server;
mod backends;
mod changes;
mod cleanup;
mod editor;
mod explain;
mod images;
mod protocols;
mod reports;
mod service_types;
mod verdicts;

use serde_json::{Value, json};
use svc_reach_common::position::Position::{self, NodeOther, NodeSame, PodOther, PodSame};
use svc_reach_tests::{
    fixture::{deploy, nodes, service},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, ask},
};

const IN_CLUSTER: [Position; 4] = [NodeSame, NodeOther, PodSame, PodOther];

/// A namespace with a Service `web` and a server on each of the first `backends` nodes.
fn with(spec: &Value, backends: usize) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    assert!(
        nodes.len() >= 3,
        "these tests need three schedulable nodes, but there are {nodes:?}"
    );
    let nodes: Vec<&str> = nodes.iter().take(backends).map(String::as_str).collect();
    deploy(&kubectl, &namespace, &nodes, &service(spec));
    (kubectl, namespace)
}

/// A run without the position `external`, because what this machine can reach depends on the cluster. It also asserts
/// that no probes are left.
fn from_inside(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let more: Vec<&str> = ["--external", "never"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let run = ask(kubectl, namespace, &more);
    assert_eq!(
        namespace.leftovers(),
        [""; 0],
        "the run left probes\n{}",
        run.output
    );
    run
}
