//! Everything that is known about one cell.

use super::{super::findings, super::wording, link::linked};
use crate::output::marks;
use maud::{Markup, html};
use std::net::SocketAddr;
use svc_reach_common::{
    client::ClientValue,
    report::{Cell, Prediction, Report},
    verdict::Basis,
    wire::outcome::{Attempt, Outcome},
};

/// The mark of a cell, with its meaning for screen readers.
pub fn mark(cell: &Cell) -> Markup {
    html! {
        span.mark.{ "seen-" (cell.observed.value) }.{ "is-" (cell.verdict) } {
            span aria-hidden="true" { (marks::mark(cell)) }
            span.unseen { (marks::words(cell)) }
        }
    }
}

/// What was observed, what was expected and why, what the model predicts, and every attempt.
pub fn everything(report: &Report, cell: &Cell) -> Markup {
    html! {
        p.way {
            b { (wording::stand(cell.position, cell.node.as_deref())) }
            " → "
            (wording::target(report, &cell.target))
        }
        dl.cell {
            dt { "Seen" }
            dd { b { (marks::words(cell)) } ": " (seen(cell)) }
            dt { "Expected" }
            dd {
                (expected(report, cell))
                @if let Some(source) = cell.expected.as_ref().and_then(|expected| expected.source.as_ref()) {
                    p.source { (linked(source)) }
                }
            }
            @if !cell.editions.is_empty() {
                dt { "Editions" }
                dd { (editions(cell)) }
            }
            @if let Some(predicted) = &cell.predicted {
                dt { "Predicted" }
                dd { (prediction(predicted)) }
            }
            @if let Some(hint) = &cell.hint {
                dt { "Hint" }
                dd { (linked(hint)) }
            }
        }
        (attempts(&cell.observed.attempts))
    }
}

/// What was observed, how often and how fast.
pub fn seen(cell: &Cell) -> Markup {
    let observed = &cell.observed;
    html! {
        (observed.reason)
        @if let (Some(ok), Some(of)) = (observed.ok, observed.of) { "; " (ok) " of " (of) " attempts were answered" }
        @if let Some(latency) = observed.latency_ms { ", connected in " (format!("{latency:.1} ms")) }
        @match (cell.client.value, observed.client_ip_seen) {
            (ClientValue::NotKnown, Some(client)) => { "; the server saw the client as " (client) },
            (ClientValue::NotKnown, None) => {},
            (ClientValue::Kept | ClientValue::Replaced, _) => { "; client address: " (wording::client_seen(&cell.client)) },
        }
    }
}

/// What was expected, and on what basis.
pub fn expected(report: &Report, cell: &Cell) -> Markup {
    html! {
        @match &cell.expected {
            None => "nothing to compare with",
            Some(expected) => {
                b { (wording::expectation(expected.value)) }
                ", "
                (match expected.basis {
                    Basis::Stated => "stated",
                    Basis::Implied => "implied: it follows from what the document says",
                    Basis::Predicted => "by the forwarding model alone, because no document covers this cell",
                    Basis::Required => "required by you, whatever the documents say",
                    Basis::Policy => "because NetworkPolicies forbid it, whatever the documents say",
                })
                @if let Some(matrix) = &expected.matrix { " by " (matrix) }
                @if let Some(edition) = &expected.edition {
                    "@" (edition)
                    @if let Some(alias) = alias(report, cell, edition) { " (" (alias) ")" }
                }
            }
        }
    }
}

/// The readable name of an edition, if it has one.
fn alias<'r>(report: &'r Report, cell: &'r Cell, edition: &str) -> Option<&'r String> {
    let of_cell = cell.editions.iter().find(|said| said.edition == edition);
    let of_report = report.matrix.as_ref().filter(|matrix| {
        let named = cell
            .expected
            .as_ref()
            .and_then(|expected| expected.matrix.as_ref());
        matrix.edition == edition && named == Some(&matrix.id)
    });
    of_cell
        .and_then(|said| said.alias.as_ref())
        .or_else(|| of_report.and_then(|matrix| matrix.alias.as_ref()))
}

fn editions(cell: &Cell) -> Markup {
    html! {
        ul {
            @for said in &cell.editions {
                li { (findings::edition(said)) ": " b { (said.value) } }
            }
        }
    }
}

/// What the model predicts, without the reasons.
pub fn outcome(predicted: &Prediction) -> Markup {
    html! {
        b {
            (match (predicted.reachable, predicted.chance) {
                (Some(value), _) => value.as_str(),
                (None, Some(_)) => "a matter of chance",
                // A report of an earlier version does not distinguish these.
                (None, None) => "unknown, or a matter of chance",
            })
        }
        ": " (predicted.outcome)
    }
}

fn prediction(predicted: &Prediction) -> Markup {
    html! {
        (outcome(predicted))
        "; the first proxy's action: " (predicted.action)
        @if !predicted.endpoints.is_empty() { " → " (predicted.endpoints.join(", ")) }
        @match predicted.masquerade {
            Some(true) => ", the backend sees a node's address",
            Some(false) => ", the backend sees the client's address",
            None => {},
        }
        @if !predicted.why.is_empty() {
            ul {
                @for why in &predicted.why {
                    li { (linked(&why.rule)) p.source { (linked(&why.source)) } }
                }
            }
        }
        @if let Some(remedy) = &predicted.remedy { p { b { "Remedy: " } (linked(remedy)) } }
    }
}

fn attempts(attempts: &[Attempt]) -> Markup {
    html! {
        @if !attempts.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Attempts" {
                table.plain {
                    thead {
                        tr {
                            th scope="col" { "Attempt" } th scope="col" { "Outcome" } th scope="col" { "From" }
                            th scope="col" { "To" } th.number scope="col" { "Connect" } th.number scope="col" { "TLS" }
                            th.number scope="col" { "First byte" }
                        }
                    }
                    tbody {
                        @for (number, attempt) in (1_usize..).zip(attempts) {
                            tr {
                                th scope="row" { (number) }
                                td { (attempt.outcome) (served_by(&attempt.outcome)) }
                                td.address { (socket(attempt.local)) }
                                td.address { (socket(attempt.remote)) }
                                td.number { (time(attempt.connect_us)) }
                                td.number { (time(attempt.tls_us)) }
                                td.number { (time(attempt.first_byte_us)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The backend that answered, if it identified itself.
fn served_by(outcome: &Outcome) -> String {
    let Some(echo) = outcome.echo() else {
        return String::new();
    };
    let pod = echo.pod.as_ref().map(|pod| format!(" by {pod}"));
    let node = echo.node.as_ref().map(|node| format!(" on {node}"));
    let client = echo
        .client
        .as_ref()
        .map(|client| format!(", which saw the client as {client}"));
    [pod, node, client].into_iter().flatten().collect()
}

fn socket(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "–".to_owned(), |address| address.to_string())
}

fn time(microseconds: Option<u64>) -> String {
    microseconds.map_or_else(
        || "–".to_owned(),
        |time| format!("{}.{} ms", time / 1000, time % 1000 / 100),
    )
}
