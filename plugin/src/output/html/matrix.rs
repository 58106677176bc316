//! The table: one column for each position, one row for each target.

use super::{
    super::{
        grid::{Grid, Row},
        wording,
    },
    Nth, cell,
};
use crate::output::marks;
use maud::{Markup, html};
use svc_reach_common::report::{Cell, Report};

pub fn section(report: &Report, nth: Nth) -> Markup {
    let grouped = Grid::grouped(report);
    let targets: usize = grouped.rows.iter().map(|row| row.targets).sum();
    let every = || every_target(report, nth);
    let id = nth.id("matrix");
    html! {
        section aria-labelledby=(id) {
            h3 id=(id) { "Positions and targets" }
            p.guide { "Each column is a position, a place to connect from. Each row is a target, an address of the Service." }
            @if grouped.rows.len() == targets {
                (every())
            } @else {
                (sheet(&grouped, |cell| html! { span title=(marks::words(cell)) { (cell::mark(cell)) } }))
                details.targets {
                    summary { "All " (targets) " targets" }
                    (every())
                }
            }
            (legend(report))
            (list(report))
        }
    }
}

/// One row for each target. A mark opens what is known about its cell.
fn every_target(report: &Report, nth: Nth) -> Markup {
    html! {
        p.guide { "Select a mark to see what was observed, expected and predicted." }
        (sheet(&Grid::of(report), |cell| entry(report, cell, nth)))
    }
}

fn sheet(grid: &Grid<'_>, entry: impl Fn(&Cell) -> Markup) -> Markup {
    html! {
        div.sheet {
            table.matrix {
                caption.unseen { "What each position observed of each target" }
                thead {
                    tr {
                        td {}
                        @for (position, node) in &grid.columns {
                            th scope="col" {
                                span.position { (position) }
                                @if let Some(node) = node { span.place { (node) } }
                            }
                        }
                    }
                }
                tbody {
                    @for row in &grid.rows {
                        tr {
                            th scope="row" { (head(row)) }
                            @for cell in &row.cells {
                                td {
                                    @match cell {
                                        Some(cell) => { (entry(cell)) }
                                        None => { span.unseen { "not checked" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn head(row: &Row<'_>) -> Markup {
    let (kind, address) = row.address.split_once(' ').unwrap_or(("", &row.address));
    html! {
        span.target { (kind) }
        " "
        span.address { (address) }
        @for text in row.place.iter().chain(&row.statuses) { " " span.place { (text) } }
    }
}

/// A mark that opens the details of its cell. Only one is open at a time, because it covers the rows below.
fn entry(report: &Report, cell: &Cell, nth: Nth) -> Markup {
    html! {
        details name=(nth.id("cell")) {
            summary title=(marks::words(cell)) { (cell::mark(cell)) }
            div.panel { (cell::everything(report, cell)) }
        }
    }
}

/// The marks that occur.
fn legend(report: &Report) -> Markup {
    html! {
        ul.legend aria-label="Marks" {
            @for (mark, meaning) in marks::legend(report) {
                li { span.mark aria-hidden="true" { (mark) } " " (meaning) }
            }
        }
    }
}

/// One line for each cell. It replaces the details in print, where nothing can be opened.
fn list(report: &Report) -> Markup {
    html! {
        table.plain.paper {
            thead {
                tr {
                    th scope="col" { "From, to" } th scope="col" { "Seen" } th scope="col" { "Expected" }
                    th scope="col" { "Predicted" }
                }
            }
            tbody {
                @for cell in &report.cells {
                    tr {
                        th scope="row" { (cell::mark(cell)) " " (wording::cell(report, cell)) }
                        td { (cell::seen(cell)) }
                        td { (cell::expected(report, cell)) }
                        td { @if let Some(predicted) = &cell.predicted { (cell::outcome(predicted)) } }
                    }
                }
            }
        }
    }
}
