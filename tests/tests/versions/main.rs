//! Puts real kube-proxies of several versions and modes on the nodes of the test cluster, in turn, and compares what
//! they do with what the forwarding model predicts. If the model is certain about a cell, the observation must match.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper that fails must fail its test, and the test log shows what was compared"
)]

mod backends;
mod clients;
mod comparison;
mod destinations;
mod families;
mod judging;
mod packets;
mod proxies;
mod random;
mod services;

use comparison::{Found, Table};
use families::Families;
use proxies::KubeProxy;
use serde_json::json;
use services::{Case, SETTINGS};
use std::{cell::RefCell, collections::BTreeSet, time::Instant};
use svc_reach_tests::{
    fixture::nodes,
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, ask_several},
};

/// Node ports of IPv4 answer on loopback addresses only. Those of IPv6 answer on all, since no range is of IPv6.
const NODE_PORT_ADDRESSES: &str = "nodePortAddresses: [127.0.0.0/8]";

/// One test, because the kube-proxies belong to the whole cluster and the Services are the same for all.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn each_kube_proxy_does_what_the_model_predicts() {
    let proxies = KubeProxy::offered();
    Comparison::of(services::all, |comparison| {
        let nodes = comparison.nodes.len();
        for choice in proxies::choices(&proxies, nodes) {
            comparison.run(&choice, "", &comparison.cases, "--all");
        }
        let mut settings = comparison.cases.clone();
        settings.retain(|case| !case.object["metadata"]["labels"][SETTINGS].is_null());
        for proxy in proxies {
            let choice = vec![proxy; nodes];
            let labels = format!("-l={SETTINGS}");
            comparison.run(&choice, NODE_PORT_ADDRESSES, &settings, &labels);
        }
    });
}

/// The model must be right about any Service, not only about those that somebody thought of.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn each_kube_proxy_does_what_the_model_predicts_for_random_services() {
    let seed = random::seed();
    println!("SVC_REACH_SEED={seed}");
    let services = |families: &Families| random::services(seed, families);
    Comparison::of(services, |comparison| {
        for proxy in KubeProxy::offered_random() {
            let choice = vec![proxy; comparison.nodes.len()];
            comparison.run(&choice, "", &comparison.cases, "--all");
        }
    });
}

/// Services on the cluster, and what was found about them.
struct Comparison<'a> {
    kubectl: &'a Kubectl,
    namespace: &'a Namespace,
    families: Families,
    nodes: Vec<String>,
    cases: Vec<Case>,
    differing: RefCell<Vec<String>>,
}

impl Comparison<'_> {
    /// Creates Services, compares them, and asserts that nothing differs.
    fn of(services: impl FnOnce(&Families) -> Vec<Case>, compare: impl FnOnce(&Comparison<'_>)) {
        let kubectl = Kubectl::from_environment();
        let families = Families::of_cluster(&kubectl);
        let cases = services(&families);
        let namespace = Namespace::new(&kubectl, &json!({}));
        let nodes = nodes(&kubectl);
        for (node, zone) in nodes.iter().zip(["a", "b", "b"]) {
            let zone = format!("topology.kubernetes.io/zone={zone}");
            kubectl.succeed(&["label", "--overwrite", "node", node, &zone]);
        }
        let pods = backends::create(&kubectl, &namespace, &nodes);
        services::create(&kubectl, &namespace, &cases);
        let comparison = Comparison {
            kubectl: &kubectl,
            namespace: &namespace,
            families,
            nodes,
            cases,
            differing: Vec::new().into(),
        };
        println!("{}\n{}", Table::HEAD, packets::HEAD);
        compare(&comparison);
        let differing = comparison.differing.take();
        drop(pods);
        assert_eq!(differing, [""; 0], "something differs from its prediction");
    }

    /// Puts kube-proxies on the nodes, and compares the Services.
    fn run(&self, choice: &[KubeProxy], settings: &str, cases: &[Case], selection: &str) {
        let began = Instant::now();
        proxies::put(self.kubectl, &self.families, &self.nodes, choice, settings);
        services::await_balancers(self.kubectl, self.namespace, cases);
        let name = match settings {
            "" => proxies::name(choice),
            settings => format!("{}, {settings}", proxies::name(choice)),
        };
        let put = began.elapsed();
        let (table, mut differing) = self.cells(cases, selection);
        let checked = began.elapsed();
        let packets = packets::compare(self.kubectl, self.namespace, &self.nodes, choice, cases);
        println!(
            "{name}: {:.0?}, of which {put:.0?} until ready and {:.0?} for packets",
            began.elapsed(),
            began.elapsed() - checked
        );
        for line in table.rows(&name).into_iter().chain(table.unknown()) {
            println!("{line}");
        }
        println!("{}", packets.row(&name));
        assert!(
            table.is_conclusive() && packets.is_conclusive(),
            "{name}: {table:?} {}",
            packets.row(&name)
        );
        differing.extend(packets.differing);
        for line in &mut differing {
            *line = format!("{name}: {line}");
            println!("differs: {line}");
        }
        self.differing.borrow_mut().append(&mut differing);
    }

    /// Checks Services. Those with a cell that differs are checked again alone, since a busy machine loses packets. Only
    /// a cell that differs both times counts.
    fn cells(&self, cases: &[Case], selection: &str) -> (Table, Vec<String>) {
        let mut found = self.found(cases, selection);
        let names = |found: &[Found], which: fn(&Found) -> bool| -> BTreeSet<String> {
            let cells = found.iter().filter(|cell| which(cell));
            cells.map(|cell| cell.cell.0.clone()).collect()
        };
        let checked = names(&found, |_| true);
        assert_eq!(
            checked.len(),
            cases.len(),
            "not every Service was checked: {checked:?}"
        );
        let differing = names(&found, Found::differs);
        if !differing.is_empty() {
            let names: Vec<String> = differing.into_iter().collect();
            let again = self.found(cases, &format!("-l=service in ({})", names.join(",")));
            for cell in found.iter_mut().filter(|cell| cell.differs()) {
                if let Some(second) = again.iter().find(|second| second.cell == cell.cell) {
                    println!("checked again: {cell}; then {second}");
                    *cell = second.clone();
                }
            }
        }
        let mut table = Table::default();
        table.add(&found);
        let differs = found.iter().filter(|cell| cell.differs());
        (table, differs.map(Found::to_string).collect())
    }

    /// Every cell of the selected Services.
    fn found(&self, cases: &[Case], selection: &str) -> Vec<Found> {
        let runs = ask_several(self.kubectl, self.namespace, &[selection]);
        let of = |run: &Run| {
            let name = &run.report.service.name;
            match cases.iter().find(|case| case.name() == name) {
                Some(case) => comparison::of(run, case),
                None => panic!("nobody created the Service {name}"),
            }
        };
        runs.iter().flat_map(of).collect()
    }
}
