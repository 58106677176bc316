//! What a reader has to look at, the most serious first.

use super::{
    groups::groups,
    wording::{self, of},
};
use svc_reach_common::{
    client::ClientVerdict,
    matrix::Standing,
    position::Position,
    report::{Cell, EditionValue, Report},
    verdict::{Basis, ExpectedValue, Reachability, Verdict},
};

/// Findings of one kind.
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// The verdict that they share.
    pub verdict: Verdict,
    /// At least one.
    pub findings: Vec<Finding>,
}

/// Cells with the same result. Contains text from elsewhere, so it must be escaped.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The positions.
    pub from: String,
    /// The target. `None`: there are several.
    pub to: Option<String>,
    /// What was expected and what was observed, or why nothing was observed.
    pub what: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Every section that is not empty.
pub fn sections(report: &Report) -> Vec<Section> {
    let differing = |verdict, explained: bool| {
        differing(
            report,
            of(report, verdict).filter(move |cell| unexplained(cell) != explained),
        )
    };
    let all = |verdict| differing_all(report, verdict);
    let sections = [
        (
            "Worse than both the documents and the model expect",
            Verdict::Worse,
            differing(Verdict::Worse, false),
        ),
        (
            "Worse than expected",
            Verdict::Worse,
            differing(Verdict::Worse, true),
        ),
        ("Unstable", Verdict::Unstable, all(Verdict::Unstable)),
        (
            "Better than both the documents and the model expect",
            Verdict::Better,
            differing(Verdict::Better, false),
        ),
        (
            "Better than expected",
            Verdict::Better,
            differing(Verdict::Better, true),
        ),
        (
            "Client address lost",
            Verdict::Worse,
            clients(report, ClientVerdict::Worse),
        ),
        (
            "Client address kept, unlike expected",
            Verdict::Better,
            clients(report, ClientVerdict::Better),
        ),
        (
            "Client address disputed",
            Verdict::Disputed,
            clients(report, ClientVerdict::Disputed),
        ),
        (
            "Disputed between editions",
            Verdict::Disputed,
            all(Verdict::Disputed),
        ),
        (
            "Not observed",
            Verdict::NotObserved,
            grouped(of(report, Verdict::NotObserved), |cell| {
                Some(&cell.observed.reason)
            }),
        ),
        (
            "Not judged",
            Verdict::Undocumented,
            grouped(of(report, Verdict::Undocumented), |cell| cell.hint.as_ref()),
        ),
    ];
    sections
        .into_iter()
        .map(|(title, verdict, findings)| Section {
            title,
            verdict,
            findings,
        })
        .filter(|section| !section.findings.is_empty())
        .collect()
}

/// Whether document and model expect the same, so that neither explains a difference. Requirements and policies are no
/// documents.
fn unexplained(cell: &Cell) -> bool {
    let expected = cell
        .expected
        .as_ref()
        .filter(|expected| !matches!(expected.basis, Basis::Required | Basis::Policy))
        .map(|expected| expected.value);
    let predicted = cell
        .predicted
        .as_ref()
        .and_then(|predicted| predicted.reachable)
        .map(ExpectedValue::from);
    expected.is_some() && expected == predicted
}

fn differing_all(report: &Report, verdict: Verdict) -> Vec<Finding> {
    differing(report, of(report, verdict))
}

/// Findings for cells with this verdict about the client's address. Cells with the same difference share one finding.
fn clients(report: &Report, verdict: ClientVerdict) -> Vec<Finding> {
    let cells = report.cells.iter();
    let cells = cells.filter(|cell| cell.client.verdict == verdict);
    let alike = |cell: &Cell| {
        (
            wording::target(report, &cell.target),
            wording::client_seen(&cell.client),
        )
    };
    groups(cells.map(|cell| (alike(cell), cell.position.as_str())))
        .into_iter()
        .map(|((target, what), positions)| Finding {
            from: positions.join(", "),
            to: Some(target),
            what,
            hint: None,
        })
        .collect()
}

/// Findings for cells that differ. Cells with the same difference from several positions share one finding.
fn differing<'r>(report: &Report, cells: impl Iterator<Item = &'r Cell>) -> Vec<Finding> {
    let alike = |cell: &'r Cell| (&cell.target, wording::difference(cell), &cell.hint);
    groups(cells.map(|cell| (alike(cell), cell.position.as_str())))
        .into_iter()
        .map(|((target, what, hint), positions)| Finding {
            from: positions.join(", "),
            to: Some(wording::target(report, target)),
            what,
            hint: hint.clone(),
        })
        .collect()
}

/// One finding for each reason, with the positions to which it applies.
fn grouped<'r>(
    cells: impl Iterator<Item = &'r Cell>,
    reason: impl Fn(&'r Cell) -> Option<&'r String>,
) -> Vec<Finding> {
    groups(cells.filter_map(|cell| Some((reason(cell)?, cell.position))))
        .into_iter()
        .map(|(reason, all)| {
            let count = all.len();
            let mut positions: Vec<&str> = Vec::new();
            for position in all.into_iter().map(Position::as_str) {
                if !positions.contains(&position) {
                    positions.push(position);
                }
            }
            let cells = if count == 1 { "cell" } else { "cells" };
            Finding {
                from: format!("{} ({count} {cells})", positions.join(", ")),
                to: None,
                what: reason.to_owned(),
                hint: None,
            }
        })
        .collect()
}

/// The readable name of an edition, with a remark if it does not count.
pub fn edition(said: &EditionValue) -> String {
    let name = said.alias.as_ref().unwrap_or(&said.edition);
    match said.standing {
        None | Some(Standing::Counts) => name.clone(),
        Some(Standing::Superseded) => format!("{name} (superseded)"),
        Some(Standing::OtherOperator) => format!("{name} (of another operator)"),
    }
}

/// What editions say: each answer once, with its cells.
pub fn editions(report: &Report) -> Vec<String> {
    let answer = |cell: &Cell| {
        let saying = |value: Reachability| {
            let names: Vec<String> = cell
                .editions
                .iter()
                .filter(|said| said.value == value)
                .map(edition)
                .collect();
            (!names.is_empty()).then(|| format!("{value} by {}", names.join(", ")))
        };
        let said: Vec<String> = Reachability::ALL
            .iter()
            .filter_map(|value| saying(*value))
            .collect();
        said.join("; ")
    };
    groups(report.cells.iter().map(|cell| (answer(cell), cell)))
        .into_iter()
        .filter(|(answer, _)| !answer.is_empty())
        .map(|(answer, cells)| {
            let places = wording::places(report, &cells).into_iter();
            let places: Vec<String> = places.map(|(text, _)| text).collect();
            format!("{answer}: {}", places.join("; "))
        })
        .collect()
}
