//! The marks of a table: what was observed, and what that means.

use super::wording::of;
use svc_reach_common::{
    observation::ObservedValue,
    report::{Cell, Report},
    verdict::Verdict,
};

/// The mark of a cell: what was observed, and a second character if that needs attention.
pub fn mark(cell: &Cell) -> String {
    let (seen, _) = seen_mark(cell);
    match meaning_mark(cell.verdict) {
        Some((mark, _)) => format!("{seen}{mark}"),
        None => seen.to_string(),
    }
}

/// The same in words, for readers who cannot see the mark.
pub fn words(cell: &Cell) -> String {
    let (_, seen) = seen_mark(cell);
    match meaning_mark(cell.verdict) {
        Some((_, meaning)) => format!("{seen}, {meaning}"),
        None => seen.to_owned(),
    }
}

/// What was observed, in words that do not depend on the expectation.
pub const fn seen(value: ObservedValue) -> &'static str {
    match value {
        ObservedValue::Reachable => "reachable",
        ObservedValue::Unreachable => "unreachable",
        ObservedValue::Unstable => "reachable only sometimes",
        ObservedValue::NotObserved => "could not look",
    }
}

/// What was observed. A target that is unreachable by design must not look like a failure.
const fn seen_mark(cell: &Cell) -> (char, &'static str) {
    match (cell.observed.value, cell.verdict) {
        (ObservedValue::Reachable, _) => ('✓', "reachable"),
        (ObservedValue::Unreachable, Verdict::AsExpected) => ('–', "unreachable, as expected"),
        (ObservedValue::Unreachable, _) => ('✗', "unreachable"),
        (ObservedValue::Unstable, Verdict::AsExpected) => {
            ('≈', "reachable only sometimes, as expected: by chance")
        }
        (ObservedValue::Unstable, _) => ('~', "reachable only sometimes"),
        (ObservedValue::NotObserved, _) => ('?', "could not look"),
    }
}

const fn meaning_mark(verdict: Verdict) -> Option<(char, &'static str)> {
    match verdict {
        Verdict::Worse => Some(('!', "but expected to be reachable")),
        Verdict::Better => Some(('+', "but expected to be unreachable")),
        Verdict::Disputed => Some(('/', "and editions of the documentation disagree")),
        Verdict::Undocumented => Some(('·', "and nothing says what to expect")),
        Verdict::AsExpected | Verdict::Unstable | Verdict::NotObserved => None,
    }
}

/// The marks that occur in a report, each with its meaning: first the observations, then the verdicts.
pub fn legend(report: &Report) -> Vec<(char, &'static str)> {
    const SEEN: [char; 6] = ['✓', '–', '✗', '≈', '~', '?'];
    let mut seen: Vec<(char, &'static str)> = Vec::new();
    for cell in &report.cells {
        let mark = seen_mark(cell);
        if !seen.contains(&mark) {
            seen.push(mark);
        }
    }
    seen.sort_by_key(|(mark, _)| SEEN.iter().position(|known| known == mark));
    let meanings = Verdict::ALL
        .iter()
        .filter(|verdict| of(report, **verdict).next().is_some())
        .filter_map(|verdict| meaning_mark(*verdict));
    seen.into_iter().chain(meanings).collect()
}
