//! Cells as tests: which pass, fail, could not run, or are skipped.

use super::{answer::answer, wording::difference};
use svc_reach_common::{
    exit::Exit,
    report::{Cell, Report},
    verdict::Verdict,
};

/// Name of the test that is about the run and not about a cell.
const COMPARED: &str = "something could be compared with what is expected";

/// Whether every cell was observed, but no cell has an expectation to compare it with.
pub fn nothing_compared(report: &Report) -> bool {
    let summary = &report.summary;
    summary.exit() == Exit::Incomplete && summary.not_observed == 0 && summary.compared() == 0
}

/// How the test of a cell ends. Together with [`unmet`], test results always match the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The cell is as expected.
    Passed,
    /// The cell ends the run with exit code 1.
    Failed,
    /// The probe could not look.
    Errored,
    /// Neither passed nor failed: there is no authoritative answer.
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
                "{verdict}, but --fail-on does not list it: {}",
                difference(cell)
            )
        }
        Verdict::AsExpected | Verdict::NotObserved | Verdict::Disputed | Verdict::Undocumented => {
            format!("{verdict}: {}", difference(cell))
        }
    }
}

/// Name of the one test of a run that found no Service, and why it cannot pass.
pub const FOUND: (&str, &str) = (
    "a Service was found",
    "no Service was found, so nothing was checked",
);

/// Tests that belong to no cell and cannot pass: their names, and why they do not pass.
pub fn unmet(report: &Report) -> Vec<(String, String)> {
    let mut tests: Vec<_> = report
        .terms
        .unmet(&report.cells)
        .map(|required| {
            let name = format!("{} is {}, as required", required.place(), required.value);
            (name, "not checked: the run has no such cell".to_owned())
        })
        .collect();
    if nothing_compared(report) {
        tests.push((COMPARED.to_owned(), answer(report)));
    }
    tests
}
