//! The words that formats share. They hold text from elsewhere: whoever prints them escapes it.

use super::groups::groups;
use std::collections::HashMap;
use svc_reach_common::{
    exit::Exit,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    report::{Cell, Observed, Report, Severity},
    target::{Relation, Target},
    verdict::{Basis, Verdict},
};

/// How many targets of one verdict the sentence names.
const NAMED: usize = 2;

/// Verdicts that a reader has to look at, the gravest first.
const NOTEWORTHY: [Verdict; 6] = [
    Verdict::Worse,
    Verdict::Unstable,
    Verdict::Better,
    Verdict::Disputed,
    Verdict::NotObserved,
    Verdict::Undocumented,
];

/// The Service: which, of which type, under which policy.
pub fn service(report: &Report) -> String {
    let service = &report.service;
    let mut text = format!(
        "Service {}/{} ({}",
        service.namespace, service.name, service.kind
    );
    if let Some(policy) = service.external_traffic_policy {
        text += &format!(", externalTrafficPolicy {policy}");
    }
    text + ")"
}

/// The answer in a sentence.
pub fn sentence(report: &Report) -> String {
    let all = report.cells.len();
    if all == 0 {
        return "nothing to ask".to_owned();
    }
    let as_expected = of(report, Verdict::AsExpected).count();
    let resting_on = |basis| {
        of(report, Verdict::AsExpected)
            .filter(|cell| {
                let expected = cell.expected.as_ref();
                expected.is_some_and(|expected| expected.basis == basis)
            })
            .count()
    };
    let modelled = resting_on(Basis::Predicted);
    let required = resting_on(Basis::Required);
    let mut text = format!("{as_expected} of {all} cells as ");
    text += &match (modelled, required) {
        (0, 0) => "documented".to_owned(),
        (n, 0) if n == as_expected => "expected by the model alone".to_owned(),
        (0, n) if n == as_expected => "required".to_owned(),
        (n, 0) => format!("expected, {n} of them by the model alone"),
        (0, n) => format!("expected, {n} of them as required"),
        (n, m) => format!("expected, {n} of them by the model alone and {m} as required"),
    };
    for verdict in NOTEWORTHY {
        let cells: Vec<&Cell> = of(report, verdict).collect();
        if cells.is_empty() {
            continue;
        }
        let verb = match (verdict, cells.len()) {
            (Verdict::NotObserved, 1) => "was",
            (Verdict::NotObserved, _) => "were",
            (_, 1) => "is",
            _ => "are",
        };
        text += &format!("; {} {verb} {}", cells.len(), adjective(verdict));
        text += &match verdict {
            Verdict::Worse | Verdict::Unstable | Verdict::Better => first_places(report, &cells),
            Verdict::NotObserved => only_reason(&cells),
            Verdict::AsExpected | Verdict::Disputed | Verdict::Undocumented => String::new(),
        };
    }
    text
}

/// Cells of a verdict.
pub fn of(report: &Report, verdict: Verdict) -> impl Iterator<Item = &Cell> {
    report
        .cells
        .iter()
        .filter(move |cell| cell.verdict == verdict)
}

const fn adjective(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::AsExpected => "as expected",
        Verdict::Worse => "worse",
        Verdict::Better => "better",
        Verdict::Disputed => "disputed",
        Verdict::Unstable => "unstable",
        Verdict::NotObserved => "not observed",
        Verdict::Undocumented => "undocumented",
    }
}

/// The first few places of a sentence.
fn first_places(report: &Report, cells: &[&Cell]) -> String {
    let mut named = places(report, cells);
    let rest: usize = named.drain(NAMED.min(named.len())..).map(|(_, n)| n).sum();
    let mut named: Vec<String> = named.into_iter().map(|(text, _)| text).collect();
    if rest > 0 {
        named.push(format!("and {rest} more"));
    }
    format!(": {}", named.join(", "))
}

/// Which targets, each with the positions, and how many cells that is.
pub fn places(report: &Report, cells: &[&Cell]) -> Vec<(String, usize)> {
    let mut asked: HashMap<String, usize> = HashMap::new();
    for cell in &report.cells {
        *asked.entry(address(report, &cell.target)).or_default() += 1;
    }
    groups(
        cells
            .iter()
            .map(|cell| (address(report, &cell.target), cell.position)),
    )
    .into_iter()
    .map(|(target, positions)| {
        let asked = asked.get(&target).copied().unwrap_or_default();
        let from = if positions.len() == asked && asked > 1 {
            "everywhere".to_owned()
        } else {
            list(&positions)
        };
        (format!("{target} from {from}"), positions.len())
    })
    .collect()
}

/// The reason, where there is only one.
fn only_reason(cells: &[&Cell]) -> String {
    let reason = cells.first().map_or("", |cell| &cell.observed.reason);
    if cells.iter().all(|cell| cell.observed.reason == reason) {
        format!(": {reason}")
    } else {
        String::new()
    }
}

/// Positions as a list in a sentence.
pub fn list(positions: &[Position]) -> String {
    let words: Vec<&str> = positions.iter().map(|position| position.as_str()).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
    }
}

/// A target's kind, address and port.
pub fn address(report: &Report, target: &Target) -> String {
    let mut text = if target.address.contains(':') {
        format!("{} [{}]:{}", target.kind, target.address, target.port)
    } else {
        format!("{} {}:{}", target.kind, target.address, target.port)
    };
    if target.protocol != Protocol::Tcp {
        text += &format!("/{}", target.protocol);
    }
    // Two ports of a Service can lead to the same port of a pod.
    if let Some(name) = &target.port_name
        && report.service.ports.len() > 1
    {
        text += &format!(" ({name})");
    }
    text
}

/// The node whose address it is.
pub fn place(target: &Target) -> Option<String> {
    let node = target.node.as_ref()?;
    Some(match target.node_role {
        Some(role) => format!("on {node} ({role})"),
        None => format!("on {node}"),
    })
}

/// A target in one line, as a probe sees it.
pub fn target(report: &Report, target: &Target) -> String {
    let mut text = address(report, target);
    if let Some(place) = place(target) {
        text += &format!(" {place}");
    }
    if target.relation == Some(Relation::Own) {
        text += ", its own node";
    }
    text
}

/// Where a probe stood.
pub fn stand(position: Position, node: Option<&str>) -> String {
    match node {
        Some(node) => format!("{position} ({node})"),
        None => position.to_string(),
    }
}

/// What was expected and what was seen.
pub fn difference(cell: &Cell) -> String {
    let mut text = String::new();
    if let Some(expected) = &cell.expected {
        let by = match expected.basis {
            Basis::Stated | Basis::Implied => "expected",
            Basis::Predicted => "the model expects",
            Basis::Required => "required to be",
        };
        text += &format!("{by} {}, ", expected.value);
    }
    let Observed { value, reason, .. } = &cell.observed;
    if *value == ObservedValue::NotObserved {
        text + "could not be looked at: " + reason
    } else {
        text + &format!("was {value} ({reason})")
    }
}

/// What was seen, and behind it what that means where it is not as expected.
pub fn mark(cell: &Cell) -> String {
    let seen = seen_mark(cell.observed.value).0;
    match meaning_mark(cell.verdict) {
        Some((mark, _)) => format!("{seen}{mark}"),
        None => seen.to_string(),
    }
}

/// What was seen and what that means, for who cannot see the mark.
pub fn words(cell: &Cell) -> String {
    let seen = seen_mark(cell.observed.value).1;
    match (meaning_mark(cell.verdict), cell.verdict) {
        (Some((_, meaning)), _) => format!("{seen}, {meaning}"),
        (None, Verdict::AsExpected) => format!("{seen}, as expected"),
        (None, _) => seen.to_owned(),
    }
}

/// The mark of what was seen, and what it is called.
pub const fn seen_mark(value: ObservedValue) -> (char, &'static str) {
    match value {
        ObservedValue::Reachable => ('✓', "reachable"),
        ObservedValue::Unreachable => ('✗', "unreachable"),
        ObservedValue::Unstable => ('~', "unstable"),
        ObservedValue::NotObserved => ('?', "not observed"),
    }
}

const fn meaning_mark(verdict: Verdict) -> Option<(char, &'static str)> {
    match verdict {
        Verdict::Worse => Some(('!', "worse than expected")),
        Verdict::Better => Some(('+', "better than expected")),
        Verdict::Disputed => Some(('/', "disputed between editions")),
        Verdict::Undocumented => Some(('·', "undocumented")),
        Verdict::AsExpected | Verdict::Unstable | Verdict::NotObserved => None,
    }
}

/// The marks that occur, each with its meaning.
pub fn legend(report: &Report) -> impl Iterator<Item = (char, &'static str)> {
    let seen = ObservedValue::ALL
        .iter()
        .filter(|value| {
            report
                .cells
                .iter()
                .any(|cell| cell.observed.value == **value)
        })
        .map(|value| seen_mark(*value));
    let meanings = Verdict::ALL
        .iter()
        .filter(|verdict| of(report, **verdict).next().is_some())
        .filter_map(|verdict| meaning_mark(*verdict));
    seen.chain(meanings)
}

/// How it is known what was expected: the evidence, and the matrix.
pub fn evidence(report: &Report) -> Vec<String> {
    let environment = &report.environment;
    let column = environment
        .column
        .iter()
        .map(|column| format!("column {column} (network model and proxy mode), by what follows"));
    let evidence = environment
        .evidence
        .iter()
        .map(|evidence| format!("{} {}: {}", evidence.fact, evidence.value, evidence.source));
    let matrix = report.matrix.as_ref().map(|matrix| {
        let edition = matrix.alias.as_ref().unwrap_or(&matrix.edition);
        format!("matrix {}@{edition}: {}", matrix.id, matrix.source)
    });
    matrix.into_iter().chain(column).chain(evidence).collect()
}

/// What a reader should know beside the cells.
pub fn notes(report: &Report) -> Vec<String> {
    report
        .advisories
        .iter()
        .map(|advisory| {
            let mut text = match advisory.severity {
                Severity::Warning => format!("warning: {}", advisory.text),
                Severity::Info => advisory.text.clone(),
            };
            if let Some(source) = &advisory.source {
                text += &format!(" ({source})");
            }
            text
        })
        .collect()
}

/// A cell in one line.
pub fn cell(report: &Report, cell: &Cell) -> String {
    let from = stand(cell.position, cell.node.as_deref());
    format!("{from} to {}", target(report, &cell.target))
}

/// What else there is to say of a cell: the remedy, who expects what, and how often it was tried.
pub fn details(cell: &Cell) -> impl Iterator<Item = String> {
    let expected = cell.expected.as_ref();
    let source = expected.and_then(|expected| {
        let source = expected.source.as_ref()?;
        Some(match expected.basis {
            Basis::Required => format!("required by {source}"),
            Basis::Stated | Basis::Implied | Basis::Predicted => {
                format!("{} says {source}", expected.value)
            }
        })
    });
    let model = cell.predicted.as_ref().map(|predicted| {
        let why: Vec<&str> = predicted.why.iter().map(|why| why.rule.as_str()).collect();
        let because = if why.is_empty() { "" } else { ", because " };
        format!(
            "the model says {}{because}{}",
            predicted.outcome,
            why.join("; ")
        )
    });
    let attempts = cell.observed.ok.zip(cell.observed.of);
    let attempts = attempts.map(|(ok, of)| format!("{ok} of {of} attempts were answered"));
    cell.hint
        .clone()
        .into_iter()
        .chain(source)
        .chain(model)
        .chain(attempts)
}

/// What the one test is called that is about the run and not about a cell.
const COMPARED: &str = "something could be compared with what is expected";

/// Whether the run is incomplete although every cell was looked at: there was nothing to hold any of them against.
pub fn nothing_compared(report: &Report) -> bool {
    let summary = &report.summary;
    summary.exit() == Exit::Incomplete && summary.not_observed == 0 && summary.compared() == 0
}

/// How a test of a cell ends. Together with [`unmet`], tests end as the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is as it shall be.
    Passed,
    /// It ends the run with exit code 1.
    Failed,
    /// Nobody could look.
    Errored,
    /// It is for nobody to fail on.
    Skipped,
}

/// How the test of a cell ends.
pub fn ending(report: &Report, cell: &Cell) -> Ending {
    if report.terms.fail(cell) {
        return Ending::Failed;
    }
    match cell.verdict {
        Verdict::AsExpected => Ending::Passed,
        Verdict::NotObserved => Ending::Errored,
        Verdict::Worse
        | Verdict::Better
        | Verdict::Unstable
        | Verdict::Disputed
        | Verdict::Undocumented => Ending::Skipped,
    }
}

/// Why a test of a cell was skipped.
pub fn skipped(cell: &Cell) -> String {
    let verdict = cell.verdict;
    match verdict {
        Verdict::Worse | Verdict::Better | Verdict::Unstable => {
            format!(
                "{verdict}, which --fail-on does not name: {}",
                difference(cell)
            )
        }
        Verdict::AsExpected | Verdict::NotObserved | Verdict::Disputed | Verdict::Undocumented => {
            format!("{verdict}: {}", difference(cell))
        }
    }
}

/// What the one test of a run is called that found no Service, and why it cannot pass.
pub const FOUND: (&str, &str) = (
    "a Service was found",
    "no Service found, so that nothing was asked",
);

/// Tests that stand for no cell, and cannot pass: what they are of, and why they end as they do.
pub fn unmet(report: &Report) -> Vec<(String, String)> {
    let mut tests: Vec<_> = report
        .terms
        .unmet(&report.cells)
        .map(|required| {
            let name = format!("{} is {}, as is required", required.place(), required.value);
            (name, "not asked: the run has no such cell".to_owned())
        })
        .collect();
    if nothing_compared(report) {
        tests.push((COMPARED.to_owned(), sentence(report)));
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use crate::testing::{crowded, undocumented};
    use svc_reach_common::{
        position::Position,
        report::Report,
        verdict::{Basis, Verdict},
    };

    /// Five targets from five positions, of those cells that documents speak of, with verdicts by the target's place.
    fn judged(verdict: impl Fn(Position, usize) -> Verdict) -> Report {
        let mut report = crowded();
        for (index, cell) in report.cells.iter_mut().enumerate() {
            cell.verdict = verdict(cell.position, index % 5);
            cell.observed.reason = "no image".to_owned();
        }
        report.cells.retain(|cell| {
            let basis = cell.expected.as_ref().map(|expected| expected.basis);
            basis == Some(Basis::Stated)
        });
        report
    }

    #[test]
    fn the_sentence_names_what_a_reader_has_to_know() {
        use Verdict::{AsExpected, NotObserved, Unstable, Worse};
        let one = |verdict| {
            move |position, target| match (position, target) {
                (Position::PodOther, 1) => verdict,
                _ => AsExpected,
            }
        };
        let all = judged(|_, _| AsExpected).cells.len();
        let but = all - 1;
        let rows = [
            (
                judged(|_, _| AsExpected),
                format!("{all} of {all} cells as documented"),
            ),
            (
                judged(one(Worse)),
                format!(
                    "{but} of {all} cells as documented; 1 is worse: cluster-ip 10.247.0.7:80 from pod-other"
                ),
            ),
            (
                judged(one(NotObserved)),
                format!("{but} of {all} cells as documented; 1 was not observed: no image"),
            ),
            (
                judged(|_, target| if target == 1 { Unstable } else { AsExpected }),
                format!(
                    "{} of {all} cells as documented; 5 are unstable: cluster-ip 10.247.0.7:80 from everywhere",
                    all - 5
                ),
            ),
        ];
        for (report, expected) in rows {
            assert_eq!(sentence(&report), expected);
        }
        let worse = sentence(&judged(|_, _| Worse));
        let more = format!(", and {} more", all - 10);
        assert!(worse.ends_with(&more), "only the first are named: {worse}");
    }

    #[test]
    fn neither_the_model_nor_a_requirement_is_a_document() {
        let mut report = judged(|_, _| Verdict::AsExpected);
        let all = report.cells.len();
        for cell in report.cells.iter_mut().take(2) {
            if let Some(expected) = &mut cell.expected {
                expected.basis = Basis::Predicted;
            }
        }
        assert_eq!(
            sentence(&report),
            format!("{all} of {all} cells as expected, 2 of them by the model alone")
        );
        for cell in &mut report.cells {
            if let Some(expected) = &mut cell.expected {
                expected.basis = Basis::Predicted;
            }
        }
        assert_eq!(
            sentence(&report),
            format!("{all} of {all} cells as expected by the model alone")
        );
        assert!(sentence(&undocumented()).starts_with("0 of 5 cells as "));
        for cell in report.cells.iter_mut().skip(2) {
            if let Some(expected) = &mut cell.expected {
                expected.basis = Basis::Required;
            }
        }
        assert_eq!(
            sentence(&report),
            format!(
                "{all} of {all} cells as expected, 2 of them by the model alone and {} as required",
                all - 2
            )
        );
        report.cells.drain(..2);
        let all = all - 2;
        assert_eq!(
            sentence(&report),
            format!("{all} of {all} cells as required")
        );
    }
}
