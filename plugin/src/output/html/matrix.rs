//! Positions across, targets down.

use super::{
    super::{
        grid::{Grid, Row},
        wording,
    },
    Nth, cell,
};
use maud::{Markup, html};
use svc_reach_common::report::{Cell, Report};

pub fn section(report: &Report, nth: Nth) -> Markup {
    let grid = Grid::of(report);
    let id = nth.id("matrix");
    html! {
        section aria-labelledby=(id) {
            h3 id=(id) { "Every cell" }
            p.guide { "Positions stand across, targets downwards. A mark opens what was seen, expected and predicted." }
            div.sheet {
                table.matrix {
                    caption.unseen { "What each position saw of each target" }
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
                                @for cell in &row.cells { td { (entry(report, *cell, nth)) } }
                            }
                        }
                    }
                }
            }
            (legend(report))
            (list(report))
        }
    }
}

fn head(row: &Row<'_>) -> Markup {
    let (kind, address) = row.address.split_once(' ').unwrap_or(("", &row.address));
    html! {
        span.target { (kind) }
        " "
        span.address { (address) }
        @if let Some(place) = &row.place { " " span.place { (place) } }
    }
}

/// A mark that opens what is known. One at a time is open, since it lies over the rows below.
fn entry(report: &Report, cell: Option<&Cell>, nth: Nth) -> Markup {
    html! {
        @match cell {
            None => { span.none { span aria-hidden="true" { "–" } span.unseen { "not asked" } } }
            Some(cell) => {
                details name=(nth.id("cell")) {
                    summary title=(wording::words(cell)) { (cell::mark(cell)) }
                    div.panel { (cell::everything(report, cell)) }
                }
            }
        }
    }
}

/// The marks that occur.
fn legend(report: &Report) -> Markup {
    html! {
        ul.legend aria-label="Marks" {
            @for (mark, meaning) in wording::legend(report) {
                li { span.mark aria-hidden="true" { (mark) } " " (meaning) }
            }
        }
    }
}

/// What paper cannot open, in a line for each cell.
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
