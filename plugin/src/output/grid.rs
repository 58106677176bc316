//! Cells as rows and columns: targets down, positions across.

use super::{groups::groups, wording};
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
        for cell in &report.cells {
            if !columns.iter().any(|(known, _)| *known == cell.position) {
                columns.push((cell.position, cell.node.as_deref()));
            }
        }
        columns.sort();
        let rows = groups(report.cells.iter().map(|cell| (from_anywhere(cell), cell)))
            .into_iter()
            .map(|(target, cells)| Row {
                address: wording::address(report, &target),
                place: wording::place(&target),
                cells: columns
                    .iter()
                    .map(|(position, _)| {
                        let mut cells = cells.iter().copied();
                        cells.find(|cell| cell.position == *position)
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
