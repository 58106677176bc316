//! Cells as tests: which pass, fail, could not run, or are skipped.

use super::{answer::answer, wording::difference};
use svc_reach_common::{
    exit::Exit,
    position::Position,
    report::{Cell, Report},
    terms::Failure,
    verdict::Verdict,
};

/// Name of the test that is about the run and not about a cell.
const COMPARED: &str = "something could be compared with what is expected";

/// Name of the test that a backend can answer.
const SERVED: &str = "the Service has a ready backend";

/// Whether every cell was observed, but no cell has an expectation to compare it with.
pub fn nothing_compared(report: &Report) -> bool {
    let summary = &report.summary;
    summary.exit() == Exit::Incomplete && summary.not_observed == 0 && summary.compared() == 0
}

/// How the test of a cell ends. Together with [`others`], test results always match the exit code.
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

/// What is wrong with a cell that did not pass, in one word.
pub fn failure(cell: &Cell) -> &'static str {
    if cell.verdict == Verdict::AsExpected {
        Failure::ClientAddress.as_str()
    } else {
        cell.verdict.as_str()
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

/// A test that belongs to no cell.
pub struct OtherTest {
    /// The position that it is about. `None`: it is about the whole run.
    pub position: Option<Position>,
    /// What it tests.
    pub name: String,
    /// How it ends. It never passes.
    pub ending: Ending,
    /// Why it does not pass.
    pub why: String,
}

impl OtherTest {
    fn of_run(name: &str, ending: Ending, why: String) -> Self {
        Self {
            position: None,
            name: name.to_owned(),
            ending,
            why,
        }
    }
}

/// Tests that belong to no cell: positions that do not exist, an outage, requirements without a cell, and a run that
/// compared nothing.
pub fn others(report: &Report) -> Vec<OtherTest> {
    let absent = report.absent_positions.iter().map(|absent| OtherTest {
        position: Some(absent.position),
        name: format!("{} exists", absent.position),
        ending: Ending::Skipped,
        why: format!("there is no such position: {}", absent.reason),
    });
    let outage = report.outage.iter().filter(|_| report.fails_by_outage());
    let outage = outage.map(|why| OtherTest::of_run(SERVED, Ending::Failed, why.clone()));
    let unmet = report.terms.unmet(&report.cells).map(|required| {
        let name = format!("{} is {}, as required", required.place(), required.value);
        let why = "not checked: the run has no such cell".to_owned();
        OtherTest::of_run(&name, Ending::Errored, why)
    });
    let compared = nothing_compared(report)
        .then(|| OtherTest::of_run(COMPARED, Ending::Errored, answer(report)));
    absent.chain(outage).chain(unmet).chain(compared).collect()
}
