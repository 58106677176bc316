//! Runs the plugin and checks its report.

use crate::{
    kubectl::{Kubectl, Output},
    namespace::Namespace,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::IpAddr;
use svc_reach_common::{
    observation::ObservedValue,
    position::{Network, Position},
    report::{Cell, Kind, Report, ReportList, SCHEMA},
    target::{NodeRole, Relation, TargetKind},
    verdict::Reachability,
};

/// A run that printed a report.
pub struct Run {
    /// The report.
    pub report: Report,
    /// What the plugin printed, and its exit code.
    pub output: Output,
}

/// Selects cells by their target.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// Kind of target.
    pub kind: TargetKind,
    /// Role of the target's node. `None`: any.
    pub role: Option<NodeRole>,
    /// Relation of the target's node to the probe. `None`: any.
    pub relation: Option<Relation>,
}

/// Selects all cells of one kind of target.
#[must_use]
pub const fn of(kind: TargetKind) -> Which {
    Which {
        kind,
        role: None,
        relation: None,
    }
}

/// Selects node ports on nodes with this role and relation.
#[must_use]
pub const fn node_port(role: NodeRole, relation: Relation) -> Which {
    Which {
        kind: TargetKind::NodePort,
        role: Some(role),
        relation: Some(relation),
    }
}

/// Checks the Service `web` and reads the report.
///
/// # Panics
///
/// If the plugin prints no report, or one that does not match the schema.
#[must_use]
pub fn ask(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let args: Vec<&str> = ["svc-reach", "web", "-o", "json"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    reported(kubectl.run(&namespace.args(&args)))
}

/// The report that a run over one Service printed.
///
/// # Panics
///
/// If the plugin printed no report, or one that does not match the schema.
#[must_use]
pub fn reported(output: Output) -> Run {
    Run {
        report: read(&output),
        output,
    }
}

/// Checks several Services and reads the list of reports. `args` has neither `svc-reach` nor the namespace.
///
/// # Panics
///
/// If the plugin prints no report, or one that does not match the schema.
#[must_use]
pub fn ask_several(kubectl: &Kubectl, namespace: &Namespace, args: &[&str]) -> Vec<Run> {
    let args: Vec<&str> = ["svc-reach", "-o", "json"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    let output = kubectl.run(&namespace.args(&args));
    let list: ReportList = read(&output);
    assert_eq!(list.kind, Kind::ReportList);
    list.items
        .into_iter()
        .map(|report| Run {
            report,
            output: output.clone(),
        })
        .collect()
}

/// Parses what a run printed and validates it with the schema.
#[expect(
    clippy::panic,
    reason = "a test fails if there is no report, and shows what was printed"
)]
fn read<T: DeserializeOwned>(output: &Output) -> T {
    let report: Result<Value, _> = serde_json::from_str(&output.stdout);
    let faults = report.as_ref().map(faults).unwrap_or_default();
    assert!(
        faults.is_empty(),
        "the report does not match its schema: {faults:?}\n{output}"
    );
    match report.and_then(serde_json::from_value) {
        Ok(report) => report,
        Err(error) => panic!("standard output is not a report: {error}\n{output}"),
    }
}

/// How the report violates the schema.
#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program and has tests of its own"
)]
fn faults(report: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema)
        .expect("the schema is a valid schema")
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

impl Run {
    /// The selected cells of a position.
    #[must_use]
    pub fn cells(&self, position: Position, which: Which) -> Vec<&Cell> {
        self.report
            .cells
            .iter()
            .filter(|cell| {
                cell.position == position
                    && cell.target.kind == which.kind
                    && (which.role.is_none() || cell.target.node_role == which.role)
                    && (which.relation.is_none() || cell.target.relation == which.relation)
            })
            .collect()
    }

    /// Asserts that the position has such cells and that each of them was observed with this value.
    ///
    /// # Panics
    ///
    /// If the assertion fails.
    pub fn expect(&self, position: Position, which: Which, value: ObservedValue) {
        let cells = self.cells(position, which);
        assert!(
            !cells.is_empty(),
            "{position} has no cell {which:?}\n{}",
            self.output
        );
        for cell in cells {
            assert_eq!(
                cell.observed.value, value,
                "{position} ({:?}) to {:?}: {}\n{}",
                cell.node, cell.target, cell.observed.reason, self.output.stderr
            );
        }
    }

    /// As [`Self::expect`], for several positions.
    pub fn expect_from(&self, positions: &[Position], which: Which, value: ObservedValue) {
        for position in positions {
            self.expect(*position, which, value);
        }
    }

    /// Asserts that no cell of a position was observed, and that each reason contains these words.
    ///
    /// # Panics
    ///
    /// If the assertion fails.
    pub fn expect_unobserved(&self, position: Position, reason: &str) {
        let cells: Vec<&Cell> = self
            .report
            .cells
            .iter()
            .filter(|cell| cell.position == position)
            .collect();
        assert!(
            !cells.is_empty(),
            "{position} has no cells\n{}",
            self.output
        );
        for cell in cells {
            assert_eq!(
                cell.observed.value,
                ObservedValue::NotObserved,
                "{position}: {}",
                cell.observed.reason
            );
            assert!(
                cell.observed.reason.contains(reason),
                "{position}: {}",
                cell.observed.reason
            );
        }
    }

    /// Asserts that these positions do not exist, have no cells, and that each reason contains these words.
    ///
    /// # Panics
    ///
    /// If the assertion fails.
    pub fn expect_absent(&self, positions: &[Position], reason: &str) {
        for position in positions {
            let mut absent = self.report.absent_positions.iter();
            let found = absent.find(|absent| absent.position == *position);
            let found = found
                .map(|absent| absent.reason.as_str())
                .unwrap_or_default();
            assert!(
                !found.is_empty() && found.contains(reason),
                "{position}: {found:?}\n{}",
                self.output
            );
            let mut cells = self.report.cells.iter();
            assert!(
                !cells.any(|cell| cell.position == *position),
                "{position} has cells\n{}",
                self.output
            );
        }
    }

    /// Compares the report with the forwarding model. If the model is certain about a cell and the cell was observed,
    /// both must agree. They must also agree whether the backend saw the client's own address.
    ///
    /// # Panics
    ///
    /// If a cell differs, or if nothing could be compared.
    #[expect(
        clippy::print_stdout,
        reason = "the test log shows how much was compared"
    )]
    pub fn expect_as_predicted(&self) {
        let mut compared = 0;
        for cell in &self.report.cells {
            let Some(predicted) = &cell.predicted else {
                continue;
            };
            let expected = match predicted.reachable {
                Some(Reachability::Reachable) => ObservedValue::Reachable,
                Some(Reachability::Unreachable) => ObservedValue::Unreachable,
                None => continue,
            };
            if cell.observed.value == ObservedValue::NotObserved {
                continue;
            }
            compared += 1;
            let text = || {
                let (target, observed) = (&cell.target, &cell.observed.reason);
                format!(
                    "{} to {target:?}: {observed}, predicted {predicted:?}",
                    cell.position
                )
            };
            assert_eq!(cell.observed.value, expected, "{}", text());
            // Masquerading changes a pod's address into a node's. From a node, the address may be the same either way.
            let own = cell
                .observed
                .attempts
                .iter()
                .find_map(|attempt| attempt.local)
                .map(|local| local.ip());
            // If the load balancer is known by a name, it may change the client's address before kube-proxy sees it.
            if cell.target.address.parse::<IpAddr>().is_err()
                && cell.target.kind == TargetKind::LoadBalancer
            {
                continue;
            }
            // If the backend uses the host network of the node that receives the packet, the packet is delivered
            // locally. It does not pass POSTROUTING, so a packet that is marked for masquerading keeps its address.
            let on_host_network = |cell: &&Cell| {
                cell.target.kind == TargetKind::PodIp
                    && self.report.cells.iter().any(|other| {
                        other.target.kind == TargetKind::NodePort
                            && other.target.address == cell.target.address
                    })
            };
            if self.report.cells.iter().any(|cell| on_host_network(&cell)) {
                continue;
            }
            if let (Network::Pod, Some(masquerade), Some(seen)) = (
                cell.position.network(),
                predicted.masquerade,
                cell.observed.client_ip_seen,
            ) {
                assert_eq!(
                    Some(seen) != own,
                    masquerade,
                    "{}, the backend saw {seen}",
                    text()
                );
            }
        }
        assert!(
            compared > 0,
            "no cell could be compared with the model\n{}",
            self.output
        );
        println!("{compared} cells are as the model predicts");
    }

    /// Asserts the exit code of the program, and the exit code in the report.
    ///
    /// # Panics
    ///
    /// If either is different.
    pub fn expect_exit(&self, code: u8) {
        assert_eq!(self.output.code, Some(i32::from(code)), "{}", self.output);
        assert_eq!(
            self.report.summary.exit_code, code,
            "{:?}",
            self.report.summary
        );
    }
}
