//! The notes and the evidence of a report.

use super::{super::findings, super::wording, Nth, link::linked};
use maud::{Markup, html};
use svc_reach_common::report::{Report, Severity};

/// Notes that are not about single cells, warnings first.
pub fn advisories(report: &Report, nth: Nth) -> Markup {
    let of = |severity: Severity| {
        report
            .advisories
            .iter()
            .filter(move |advisory| advisory.severity == severity)
    };
    let id = nth.id("notes");
    html! {
        @if !report.advisories.is_empty() || !report.absent_positions.is_empty() {
            section aria-labelledby=(id) {
                h3 id=(id) { "Notes" }
                ul.notes {
                    @for line in wording::absent(report) { li.info { (line) } }
                    @for advisory in of(Severity::Warning).chain(of(Severity::Info)) {
                        li.(advisory.severity.as_str()) {
                            @if advisory.severity == Severity::Warning { b { "Warning: " } }
                            (linked(&advisory.text))
                            @if let Some(source) = &advisory.source { p.source { (linked(source)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The document in use, the facts by which it was chosen, where they were found, and what each edition says.
pub fn section(report: &Report, nth: Nth) -> Markup {
    let environment = &report.environment;
    let editions = findings::editions(report);
    let id = nth.id("evidence");
    html! {
        section aria-labelledby=(id) {
            h3 id=(id) { "Evidence" }
            div.scroll tabindex="0" role="region" aria-labelledby=(id) {
                table.plain {
                    thead { tr { th scope="col" { "Fact" } th scope="col" { "Found" } th scope="col" { "Where" } } }
                    tbody {
                        @if let Some(matrix) = &report.matrix {
                            (fact("matrix", &format!("{}@{}", matrix.id, matrix.edition), &matrix.source))
                        } @else {
                            (fact("matrix", "none", "no document covers this cluster"))
                        }
                        @if let Some(column) = &environment.column {
                            (fact("column", column, "network model and proxy mode, from the facts below"))
                        }
                        @for evidence in &environment.evidence {
                            (fact(&evidence.fact, &evidence.value, &evidence.source))
                        }
                    }
                }
            }
            @if !editions.is_empty() {
                details.editions {
                    summary { "What each edition says" }
                    ul { @for line in &editions { li { (line) } } }
                }
            }
        }
    }
}

fn fact(name: &str, value: &str, source: &str) -> Markup {
    html! { tr { th scope="row" { (name) } td { (value) } td { (linked(source)) } } }
}
