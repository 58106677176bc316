//! A run of the plugin and its report.

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
    /// How it ended.
    pub output: Output,
}

/// Which cells are meant.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// Kind of target.
    pub kind: TargetKind,
    /// Role of its node; `None`: any.
    pub role: Option<NodeRole>,
    /// Relation of its node to the probe; `None`: any.
    pub relation: Option<Relation>,
}

/// Cells of a kind of target.
#[must_use]
pub const fn of(kind: TargetKind) -> Which {
    Which {
        kind,
        role: None,
        relation: None,
    }
}

/// Cells of node ports.
#[must_use]
pub const fn node_port(role: NodeRole, relation: Relation) -> Which {
    Which {
        kind: TargetKind::NodePort,
        role: Some(role),
        relation: Some(relation),
    }
}

/// Asks about the Service `web` and reads the report.
///
/// # Panics
///
/// When the plugin prints none, or one that the schema does not allow.
#[must_use]
pub fn ask(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let args: Vec<&str> = ["svc-reach", "web", "-o", "json"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let output = kubectl.run(&namespace.args(&args));
    Run {
        report: read(&output),
        output,
    }
}

/// Asks about several Services and reads the list of reports; `args` without `svc-reach` and namespace.
///
/// # Panics
///
/// When the plugin prints none, or one that the schema does not allow.
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

/// What a run printed, which the schema allows.
#[expect(
    clippy::panic,
    reason = "a test without its report fails, and shows what was printed"
)]
fn read<T: DeserializeOwned>(output: &Output) -> T {
    let report: Result<Value, _> = serde_json::from_str(&output.stdout);
    let faults = report.as_ref().map(faults).unwrap_or_default();
    assert!(
        faults.is_empty(),
        "against the schema: {faults:?}\n{output}"
    );
    match report.and_then(serde_json::from_value) {
        Ok(report) => report,
        Err(error) => panic!("no report: {error}\n{output}"),
    }
}

/// What the schema of reports finds wrong.
#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program, and tests of its own hold it against the program"
)]
fn faults(report: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema)
        .expect("the schema is one")
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

impl Run {
    /// The cells of a position that are meant.
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

    /// Asserts that there are such cells and that all of them were observed like this.
    ///
    /// # Panics
    ///
    /// When not.
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

    /// Asserts that all cells of a position were not observed, for a reason that holds these words.
    ///
    /// # Panics
    ///
    /// When not.
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

    /// Asserts that every cell that was observed, and of which the model says for certain what should happen, is as the
    /// model says, down to whether the backend saw the client's own address.
    ///
    /// # Panics
    ///
    /// When one is not.
    #[expect(clippy::print_stdout, reason = "tests print what they compared")]
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
            // A pod's own address and a node's can be told apart; a node's address and that same node's cannot.
            let own = cell
                .observed
                .attempts
                .iter()
                .find_map(|attempt| attempt.local)
                .map(|local| local.ip());
            // What a load balancer makes of the address before any kube-proxy sees it is not kube-proxy's doing.
            if cell.target.address.parse::<IpAddr>().is_err()
                && cell.target.kind == TargetKind::LoadBalancer
            {
                continue;
            }
            // A packet that is marked for masquerading keeps its address where the backend is on the host network of the
            // very node that takes it: it is delivered there and passes no POSTROUTING.
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
        assert!(compared > 0, "nothing was compared\n{}", self.output);
        println!("{compared} cells as predicted");
    }

    /// Asserts the exit code, of the program and in the report.
    ///
    /// # Panics
    ///
    /// When it is another.
    pub fn expect_exit(&self, code: u8) {
        assert_eq!(self.output.code, Some(i32::from(code)), "{}", self.output);
        assert_eq!(
            self.report.summary.exit_code, code,
            "{:?}",
            self.report.summary
        );
    }
}
