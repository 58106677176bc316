//! `-o tap`: a test point for each cell, in the Test Anything Protocol, version 14 (testanything.org).
//!
//! A cell is `not ok` if it fails the run (by default if it is worse, better or unstable, or lost the client's address;
//! see `--fail-on`) or if it was not observed. A YAML block says which. Every other cell that is not as expected is skipped.
//!
//! Some points belong to no cell:
//!
//! - a position that does not exist: skipped
//! - nothing can answer, because no backend is ready: `not ok`
//! - a requirement that no cell covers: `not ok`
//! - nothing could be compared: `not ok`
//! - no Service was found: `not ok`
//!
//! So there is a `not ok` point exactly if the exit code is not 0.

use super::answer;
use super::{
    printable::printable,
    test_results::{self, Ending},
    wording,
};
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::report::{Cell, Report};

/// The YAML block of a point that is `not ok`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostic {
    message: String,
    severity: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

pub fn write(reports: &[Report], writer: &mut impl Write) -> io::Result<()> {
    let points = |report: &Report| report.cells.len() + test_results::others(report).len();
    writeln!(writer, "TAP version 14")?;
    if reports.is_empty() {
        let (name, why) = test_results::FOUND;
        writeln!(writer, "1..1")?;
        return failed(writer, 1, name, why, INCOMPLETE);
    }
    writeln!(writer, "1..{}", reports.iter().map(points).sum::<usize>())?;
    let mut first = 1;
    for report in reports {
        service(writer, first, report)?;
        first += points(report);
    }
    Ok(())
}

/// The points of a Service, numbered from `first`.
fn service(writer: &mut impl Write, first: usize, report: &Report) -> io::Result<()> {
    let (service, sentence) = (answer::service(report), answer::answer(report));
    writeln!(
        writer,
        "# {}: {}",
        printable(&service),
        printable(&sentence)
    )?;
    for (number, cell) in (first..).zip(&report.cells) {
        point(writer, number, report, cell)?;
    }
    for (number, test) in (first + report.cells.len()..).zip(test_results::others(report)) {
        let (name, why) = (&test.name, &test.why);
        match test.ending {
            Ending::Skipped => skipped(writer, number, &escape(name), why)?,
            Ending::Failed => failed(writer, number, name, why, "outage")?,
            Ending::Errored | Ending::Passed => failed(writer, number, name, why, INCOMPLETE)?,
        }
    }
    for (title, lines) in [
        ("note", wording::notes(report, true)),
        ("evidence", wording::evidence(report)),
    ] {
        for line in lines {
            writeln!(writer, "# {title}: {}", printable(&line))?;
        }
    }
    Ok(())
}

/// The verdict of points that have no cell and could not be checked.
const INCOMPLETE: &str = "incomplete";

/// A point that belongs to no cell and is not `ok`.
fn failed(
    writer: &mut impl Write,
    number: usize,
    name: &str,
    why: &str,
    verdict: &'static str,
) -> io::Result<()> {
    writeln!(writer, "not ok {number} - {}", escape(name))?;
    diagnostic(
        writer,
        &Diagnostic {
            message: printable(why),
            severity: "fail",
            verdict,
            details: Vec::new(),
        },
    )
}

fn point(writer: &mut impl Write, number: usize, report: &Report, cell: &Cell) -> io::Result<()> {
    let what = escape(&wording::cell(report, cell));
    match test_results::ending(report, cell) {
        Ending::Passed => {
            writeln!(writer, "ok {number} - {what}")?;
            match wording::statuses(cell) {
                Some(statuses) => writeln!(writer, "# {statuses}"),
                None => Ok(()),
            }
        }
        Ending::Skipped => skipped(writer, number, &what, &test_results::skipped(cell)),
        Ending::Failed | Ending::Errored => {
            writeln!(writer, "not ok {number} - {what}")?;
            let details = wording::details(cell).map(|line| printable(&line));
            diagnostic(
                writer,
                &Diagnostic {
                    message: printable(&wording::difference(cell)),
                    severity: "fail",
                    verdict: test_results::failure(cell),
                    details: details.collect(),
                },
            )
        }
    }
}

/// A point that is skipped. `what`: its description, escaped.
fn skipped(writer: &mut impl Write, number: usize, what: &str, why: &str) -> io::Result<()> {
    writeln!(writer, "ok {number} - {what} # SKIP {}", escape(why))
}

/// A YAML block, indented by two spaces. Every text in it is one line, so none can look like the block's end.
fn diagnostic(writer: &mut impl Write, diagnostic: &Diagnostic) -> io::Result<()> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text =
        serde_saphyr::to_string_with_options(diagnostic, options).map_err(io::Error::other)?;
    writeln!(writer, "  ---")?;
    text.lines()
        .try_for_each(|line| writeln!(writer, "  {line}"))?;
    writeln!(writer, "  ...")
}

/// Escapes a description, in which a `#` would begin a directive.
fn escape(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use super::{escape, write};
    use crate::testing::{absent, down, mixed, under_all_terms, undocumented};
    use svc_reach_common::{report::Report, verdict::Verdict};

    fn text(report: &Report) -> String {
        let mut text = Vec::new();
        write(std::slice::from_ref(report), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_cell_is_a_test_point() {
        let report = mixed();
        let text = text(&report);
        let mut lines = text.lines().skip_while(|line| line.starts_with('#'));
        assert_eq!(lines.next(), Some("TAP version 14"));
        assert_eq!(lines.next(), Some("1..10"));
        let points: Vec<&str> = lines.filter(|line| line.contains("ok ")).collect();
        let points: Vec<&&str> = points
            .iter()
            .filter(|l| !l.starts_with([' ', '#']))
            .collect();
        assert_eq!(points.len(), report.cells.len(), "{text}");
        for ((number, cell), point) in (1..).zip(&report.cells).zip(points) {
            let (ok, skipped) = match cell.verdict {
                Verdict::AsExpected => ("ok", false),
                Verdict::Disputed | Verdict::Undocumented => ("ok", true),
                Verdict::Worse | Verdict::Better | Verdict::Unstable | Verdict::NotObserved => {
                    ("not ok", false)
                }
            };
            assert!(point.starts_with(&format!("{ok} {number} - ")), "{point}");
            assert_eq!(point.contains(" # SKIP "), skipped, "{point}");
        }
        assert!(
            text.contains("could not be observed: the probe did not start"),
            "{text}"
        );
    }

    #[test]
    fn a_run_that_found_no_service_is_not_ok() {
        let mut text = Vec::new();
        write(&[], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let begins = "TAP version 14\n1..1\nnot ok 1 - a Service was found\n  ---\n";
        assert!(text.starts_with(begins), "{text}");
    }

    #[test]
    fn every_block_is_complete_yaml() {
        let text = text(&mixed());
        let mut blocks = 0;
        let mut rest = text.as_str();
        while let Some((_, block)) = rest.split_once("\n  ---\n") {
            let (block, after) = block.split_once("\n  ...\n").unwrap();
            assert!(block.lines().all(|line| line.starts_with("  ")), "{block}");
            let yaml: serde_json::Value = serde_saphyr::from_str(block).unwrap();
            assert_eq!(yaml["severity"], "fail");
            assert!(yaml["message"].is_string(), "{block}");
            blocks += 1;
            rest = after;
        }
        assert_eq!(blocks, 5, "one for each that is not ok");
    }

    #[test]
    fn text_is_never_a_directive() {
        assert_eq!(escape("a # SKIP\n\\"), "a \\# SKIP\\\\n\\\\");
    }

    #[test]
    fn points_match_the_exit_code() {
        for report in under_all_terms() {
            let text = text(&report);
            let failed = text.lines().any(|line| line.starts_with("not ok "));
            let code = report.summary.exit_code;
            assert_eq!(failed, code != 0, "{:?}: {text}", report.terms);
            let points = text
                .lines()
                .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "));
            let plan = format!("1..{}", points.count());
            assert!(text.lines().any(|line| line == plan), "{plan}: {text}");
        }
    }

    #[test]
    fn an_absent_position_is_skipped_and_an_outage_is_not_ok() {
        let skipped = text(&absent());
        let point =
            " - node-other exists # SKIP there is no such position: every node runs a backend\n";
        assert!(skipped.contains(point), "{skipped}");
        assert!(!skipped.contains("not ok"), "{skipped}");
        let failed = text(&down());
        let point = " - the Service has a ready backend\n  ---\n  message: no pod matches its selector app=nginx\n";
        assert!(failed.contains(point), "{failed}");
    }

    #[test]
    fn a_run_that_compared_nothing_does_not_pass() {
        let report = undocumented();
        let last = format!("not ok {} - ", report.cells.len() + 1);
        assert!(text(&report).contains(&last), "{}", text(&report));
    }
}
