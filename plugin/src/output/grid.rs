//! Cells as rows and columns: targets down, positions across.

use super::wording;
use svc_reach_common::{
    position::Position,
    report::{Cell, Report},
    target::Target,
};

/// Cells as rows and columns.
pub struct Grid<'r> {
    /// Positions, each with its node.
    pub columns: Vec<(Position, Option<&'r str>)>,
    /// Targets, in the order of the report.
    pub rows: Vec<Row<'r>>,
}

/// One target, from everywhere.
pub struct Row<'r> {
    /// Its address: `node-port 192.168.0.10:30080`.
    pub address: String,
    /// Whose address it is: `on node-3 (backend)`.
    pub place: Option<String>,
    /// What became of it, column by column; `None` where it was not asked.
    pub cells: Vec<Option<&'r Cell>>,
}

impl<'r> Grid<'r> {
    /// Arranges the cells of a report.
    pub fn of(report: &'r Report) -> Self {
        let mut columns: Vec<(Position, Option<&str>)> = Vec::new();
        let mut targets: Vec<Target> = Vec::new();
        for cell in &report.cells {
            if !columns.iter().any(|(known, _)| *known == cell.position) {
                columns.push((cell.position, cell.node.as_deref()));
            }
            let target = from_anywhere(cell);
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        columns.sort();
        let rows = targets
            .iter()
            .map(|target| Row {
                address: wording::address(report, target),
                place: wording::place(target),
                cells: columns
                    .iter()
                    .map(|(position, _)| {
                        report.cells.iter().find(|cell| {
                            cell.position == *position && from_anywhere(cell) == *target
                        })
                    })
                    .collect(),
            })
            .collect();
        Self { columns, rows }
    }
}

/// A target as every position sees it: its relation to the probe differs from one to the next.
fn from_anywhere(cell: &Cell) -> Target {
    Target {
        relation: None,
        ..cell.target.clone()
    }
}
