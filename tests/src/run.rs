//! A run of the plugin and its report.

use crate::{
    kubectl::{Kubectl, Output},
    namespace::Namespace,
};
use svc_reach_common::{
    position::Position,
    report::{Cell, ObservedValue, Report},
    target::{NodeRole, Relation, TargetKind},
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
/// When the plugin prints none.
#[must_use]
#[expect(
    clippy::panic,
    reason = "a test without its report fails, and shows what was printed"
)]
pub fn ask(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
    let args: Vec<&str> = ["svc-reach", "web", "-o", "json"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let output = kubectl.run(&namespace.args(&args));
    match serde_json::from_str(&output.stdout) {
        Ok(report) => Run { report, output },
        Err(error) => panic!("no report: {error}\n{output}"),
    }
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
