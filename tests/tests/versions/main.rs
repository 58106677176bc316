//! Puts real kube-proxies of several versions and modes on the nodes of the test cluster, in turn, and compares what
//! they do with what the forwarding model predicts. If the model is certain about a cell, the observation must match.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that fails must fail its test, and the test log shows what was compared"
)]

mod comparison;
mod proxies;
mod services;

use comparison::{Found, Table};
use proxies::KubeProxy;
use serde_json::json;
use std::time::Instant;
use svc_reach_tests::{fixture::nodes, kubectl::Kubectl, namespace::Namespace, run::ask_several};

/// One test, because the kube-proxies belong to the whole cluster and the Services are the same for all.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn each_kube_proxy_does_what_the_model_predicts() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    let proxies = KubeProxy::offered();
    let backends = services::apply_all(&kubectl, &namespace, &nodes);

    println!("{}", Table::HEAD);
    let mut differing = Vec::new();
    for choice in proxies::choices(&proxies, nodes.len()) {
        let began = Instant::now();
        proxies::put(&kubectl, &nodes, &choice);
        services::await_balancers(&kubectl, &namespace);
        let name = proxies::name(&choice);
        let (table, mut found) = compare(&kubectl, &namespace);
        println!("{name}: {:.0?}", began.elapsed());
        for line in table.rows(&name).into_iter().chain(table.unknown()) {
            println!("{line}");
        }
        assert!(table.is_conclusive(), "{name}: {table:?}");
        for line in &mut found {
            *line = format!("{name}: {line}");
            println!("differs: {line}");
        }
        differing.append(&mut found);
    }
    drop(backends);
    assert_eq!(differing, [""; 0], "cells differ from their prediction");
}

/// Checks every Service. A Service with a cell that differs is checked again alone, since a busy machine loses packets.
/// Only a cell that differs both times counts.
fn compare(kubectl: &Kubectl, namespace: &Namespace) -> (Table, Vec<String>) {
    let mut table = Table::default();
    let mut differing = Vec::new();
    for run in ask_several(kubectl, namespace, &["--all"]) {
        let mut found = comparison::of(&run);
        if found.iter().any(Found::differs) {
            let selector = format!("service={}", run.report.service.name);
            let again = ask_several(kubectl, namespace, &["-l", &selector]);
            let again: Vec<Found> = again.iter().flat_map(comparison::of).collect();
            for cell in found.iter_mut().filter(|cell| cell.differs()) {
                if let Some(second) = again.iter().find(|second| second.cell == cell.cell) {
                    println!("checked again: {cell}; then {second}");
                    *cell = second.clone();
                }
            }
        }
        table.add(&found);
        differing.extend(
            found
                .iter()
                .filter(|cell| cell.differs())
                .map(Found::to_string),
        );
    }
    (table, differing)
}
