//! `-o junit`: one test case for each cell, for CI systems.
//!
//! - as expected: passed
//! - what fails the run (by default worse, better, unstable and client-address; see `--fail-on`): failed
//! - not observed: an error, because JUnit distinguishes "could not look" from "looked, and it is wrong"
//! - every other verdict (disputed, undocumented, and what `--fail-on` leaves out): skipped
//!
//! Some tests belong to no cell:
//!
//! - a position that does not exist: skipped
//! - nothing can answer, because no backend is ready: failed
//! - a requirement that no cell covers: an error
//! - nothing could be compared: an error
//! - no Service was found: an error
//!
//! If the exit code is 1, there are failures. If it is 3, there are errors but no failures. If it is 0, there are
//! neither.

use super::answer;
use super::{
    printable::printable,
    test_results::{self, Ending},
    wording,
};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use std::io::{self, Write};
use svc_reach_common::{
    position::Position,
    report::{Cell, Report},
};

/// Attributes of an element.
type Attributes = Vec<(&'static str, String)>;

pub fn write(reports: &[Report], writer: &mut impl Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(&mut *writer, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = named("svc-reach".to_owned(), reports);
    element(&mut xml, "testsuites", &all, |xml| {
        if reports.is_empty() {
            let run = named("svc-reach".to_owned(), reports);
            let (name, why) = test_results::FOUND;
            element(xml, "testsuite", &run, |xml| {
                let (name, why) = (name.to_owned(), why.to_owned());
                let result = ("error", Some("incomplete"));
                other(xml, "svc-reach".to_owned(), name, result, why)
            })?;
        }
        reports.iter().try_for_each(|report| suite(xml, report))
    })?;
    writeln!(writer)
}

fn suite<W: Write>(xml: &mut Writer<W>, report: &Report) -> io::Result<()> {
    let service = &report.service;
    let name = format!("{}/{}", service.namespace, service.name);
    let attributes = named(name, std::slice::from_ref(report));
    element(xml, "testsuite", &attributes, |xml| {
        element(xml, "properties", &Vec::new(), |xml| {
            properties(report).iter().try_for_each(|(name, value)| {
                let attributes = vec![("name", (*name).to_owned()), ("value", value.clone())];
                empty(xml, "property", &attributes)
            })
        })?;
        report
            .cells
            .iter()
            .try_for_each(|cell| case(xml, report, cell))?;
        test_results::others(report).iter().try_for_each(|test| {
            let place = test.position.map_or("run", Position::as_str);
            let (result, kind) = match test.ending {
                Ending::Failed => ("failure", Some("outage")),
                Ending::Skipped => ("skipped", None),
                Ending::Errored | Ending::Passed => ("error", Some("incomplete")),
            };
            let name = test.name.clone();
            other(
                xml,
                class(report, place),
                name,
                (result, kind),
                test.why.clone(),
            )
        })
    })
}

/// A test case that belongs to no cell. `result`: the element that says how it ended, and its type.
fn other<W: Write>(
    xml: &mut Writer<W>,
    class: String,
    name: String,
    result: (&'static str, Option<&str>),
    why: String,
) -> io::Result<()> {
    let attributes = vec![("classname", class), ("name", name)];
    element(xml, "testcase", &attributes, |xml| {
        let kind = result.1.map(|kind| ("type", kind.to_owned()));
        let about = [("message", why)].into_iter().chain(kind).collect();
        empty(xml, result.0, &about)
    })
}

/// A name, and the number of test cases for each ending. The Services of one run have the same time.
fn named(name: String, reports: &[Report]) -> Attributes {
    let mut endings: Vec<Ending> = reports
        .iter()
        .flat_map(|report| {
            let cells = report.cells.iter();
            let cells = cells.map(|cell| test_results::ending(report, cell));
            let others = test_results::others(report).into_iter();
            cells.chain(others.map(|test| test.ending))
        })
        .collect();
    if reports.is_empty() {
        endings.push(Ending::Errored);
    }
    let count = |ending| endings.iter().filter(|one| **one == ending).count();
    let elapsed = reports.iter().map(|report| report.elapsed_ms).max();
    let elapsed = elapsed.unwrap_or_default();
    vec![
        ("name", name),
        ("tests", endings.len().to_string()),
        ("failures", count(Ending::Failed).to_string()),
        ("errors", count(Ending::Errored).to_string()),
        ("skipped", count(Ending::Skipped).to_string()),
        ("time", format!("{}.{:03}", elapsed / 1000, elapsed % 1000)),
    ]
}

/// Properties of the whole run.
fn properties(report: &Report) -> Attributes {
    let mut properties = vec![
        ("service", answer::service(report)),
        ("verdict", answer::answer(report)),
        ("run", report.run.clone()),
    ];
    properties.extend(
        wording::evidence(report)
            .into_iter()
            .map(|text| ("knownBy", text)),
    );
    properties.extend(
        wording::notes(report, true)
            .into_iter()
            .map(|text| ("note", text)),
    );
    properties
}

fn class(report: &Report, position: &str) -> String {
    let service = &report.service;
    format!(
        "svc-reach.{}.{}.{position}",
        service.namespace, service.name
    )
}

fn case<W: Write>(xml: &mut Writer<W>, report: &Report, cell: &Cell) -> io::Result<()> {
    let attributes = vec![
        ("classname", class(report, cell.position.as_str())),
        ("name", wording::cell(report, cell)),
    ];
    let (result, message) = match test_results::ending(report, cell) {
        Ending::Passed => {
            let Some(statuses) = wording::statuses(cell) else {
                return empty(xml, "testcase", &attributes);
            };
            return element(xml, "testcase", &attributes, |xml| {
                element(xml, "system-out", &Vec::new(), |xml| {
                    xml.write_event(Event::Text(BytesText::new(&statuses)))
                })
            });
        }
        Ending::Failed => ("failure", wording::difference(cell)),
        Ending::Errored => ("error", wording::difference(cell)),
        Ending::Skipped => ("skipped", test_results::skipped(cell)),
    };
    element(xml, "testcase", &attributes, |xml| {
        let mut about = vec![("message", message)];
        if result != "skipped" {
            about.push(("type", test_results::failure(cell).to_owned()));
        }
        element(xml, result, &about, |xml| {
            let lines: Vec<String> = wording::details(cell)
                .map(|line| printable(&line))
                .collect();
            xml.write_event(Event::Text(BytesText::new(&lines.join("\n"))))
        })
    })
}

/// An element with content.
fn element<W: Write>(
    xml: &mut Writer<W>,
    name: &'static str,
    attributes: &Attributes,
    content: impl FnOnce(&mut Writer<W>) -> io::Result<()>,
) -> io::Result<()> {
    let attributes = shown(attributes);
    xml.create_element(name)
        .with_attributes(attributes.iter().map(|(key, text)| (*key, text.as_str())))
        .write_inner_content(content)
        .map(|_| ())
}

/// An element without content.
fn empty<W: Write>(
    xml: &mut Writer<W>,
    name: &'static str,
    attributes: &Attributes,
) -> io::Result<()> {
    let attributes = shown(attributes);
    xml.create_element(name)
        .with_attributes(attributes.iter().map(|(key, text)| (*key, text.as_str())))
        .write_empty()
        .map(|_| ())
}

/// Attributes without characters that XML forbids. The writer escapes the rest.
fn shown(attributes: &Attributes) -> Attributes {
    attributes
        .iter()
        .map(|(key, text)| (*key, printable(text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::{
        output::printable::hidden,
        testing::{absent, down, mixed, required, under_all_terms, undocumented},
    };
    use quick_xml::{Reader, XmlVersion, events::Event};
    use std::collections::{BTreeMap, BTreeSet};
    use svc_reach_common::{exit::Exit, report::Report, verdict::Verdict};

    /// Name and attributes of every element, in order.
    fn elements(report: &Report) -> Vec<(String, BTreeMap<String, String>)> {
        elements_of(std::slice::from_ref(report))
    }

    fn elements_of(reports: &[Report]) -> Vec<(String, BTreeMap<String, String>)> {
        let mut text = Vec::new();
        write(reports, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
        let mut reader = Reader::from_str(&text);
        let mut elements = Vec::new();
        loop {
            let event = reader.read_event().unwrap();
            if let Event::Eof = event {
                return elements;
            }
            if let Event::Start(element) | Event::Empty(element) = event {
                let attributes = element.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
                    (attribute.key.0.to_owned(), value.into_owned())
                });
                elements.push((element.name().0.to_owned(), attributes.collect()));
            }
        }
    }

    #[test]
    fn every_cell_is_a_test_case() {
        let report = mixed();
        let elements = elements(&report);
        let count = |name: &str| elements.iter().filter(|(n, _)| n == name).count();
        let of = |verdicts: &[Verdict]| {
            let cells = report.cells.iter();
            cells
                .filter(|cell| verdicts.contains(&cell.verdict))
                .count()
        };
        let numbers = [
            ("testcase", "tests", report.cells.len()),
            (
                "failure",
                "failures",
                of(&[Verdict::Worse, Verdict::Better, Verdict::Unstable]),
            ),
            ("error", "errors", of(&[Verdict::NotObserved])),
            (
                "skipped",
                "skipped",
                of(&[Verdict::Disputed, Verdict::Undocumented]),
            ),
        ];
        for (element, attribute, number) in numbers {
            assert!(number > 0, "{element}");
            assert_eq!(count(element), number, "{element}");
            for (_, attributes) in &elements[..2] {
                assert_eq!(attributes[attribute], number.to_string(), "{attribute}");
            }
        }
        let worse = elements
            .iter()
            .find(|(_, a)| a.get("type").is_some_and(|t| t == "worse"));
        assert_eq!(
            worse.unwrap().1["message"],
            "expected reachable, was unreachable (timed out)"
        );
    }

    #[test]
    fn a_run_that_found_no_service_is_an_error() {
        let elements = elements_of(&[]);
        let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["testsuites", "testsuite", "testcase", "error"]);
        for (_, attributes) in &elements[..2] {
            let counted = ["tests", "failures", "errors"].map(|name| attributes[name].as_str());
            assert_eq!(counted, ["1", "0", "1"]);
        }
    }

    #[test]
    fn failures_and_errors_match_the_exit_code() {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let mut codes = BTreeSet::new();
        for report in under_all_terms() {
            let exit = report.summary.exit();
            let elements = elements(&report);
            let (failures, errors) = (&elements[0].1["failures"], &elements[0].1["errors"]);
            let terms = &report.terms;
            assert_eq!(number(failures) > 0, exit == Exit::Differs, "{terms:?}");
            if exit == Exit::AsExpected {
                assert_eq!(errors, "0", "{terms:?}");
            }
            if exit == Exit::Incomplete {
                assert!(number(errors) > 0, "{terms:?}");
            }
            for (name, counted) in [
                ("testcase", "tests"),
                ("failure", "failures"),
                ("error", "errors"),
                ("skipped", "skipped"),
            ] {
                let there = elements.iter().filter(|(n, _)| n == name).count();
                assert_eq!(elements[1].1[counted], there.to_string(), "{terms:?}");
            }
            codes.insert(exit.code());
        }
        assert_eq!(codes, BTreeSet::from([0, 1, 3]), "every end was there");
    }

    #[test]
    fn a_requirement_without_a_cell_is_an_error() {
        let mut report = mixed();
        report.terms.required = vec![required("external:external-ip")];
        let elements = elements(&report);
        assert!(elements.iter().any(|(name, attributes)| {
            name == "testcase"
                && attributes["name"].starts_with("external:external-ip is reachable")
        }));
    }

    #[test]
    fn an_absent_position_is_skipped() {
        let elements = elements(&absent());
        let at = elements
            .iter()
            .position(|(name, _)| name == "skipped")
            .unwrap();
        assert_eq!(
            elements[at].1["message"],
            "there is no such position: every node runs a backend"
        );
        let case = &elements[at - 1].1;
        assert_eq!(case["classname"], "svc-reach.default.nginx.node-other");
        assert_eq!(elements[0].1["skipped"], "2");
        assert_eq!(
            (&*elements[0].1["failures"], &*elements[0].1["errors"]),
            ("0", "0")
        );
    }

    #[test]
    fn an_outage_is_a_failure() {
        let elements = elements(&down());
        let failures: Vec<&str> = elements
            .iter()
            .filter(|(name, _)| name == "failure")
            .map(|(_, attributes)| attributes["message"].as_str())
            .collect();
        assert_eq!(failures, ["no pod matches its selector app=nginx"]);
        assert_eq!(elements[0].1["failures"], "1");
    }

    #[test]
    fn a_run_that_compared_nothing_does_not_pass() {
        let elements = elements(&undocumented());
        assert_eq!(elements[0].1["errors"], "1");
        assert!(elements.iter().any(|(name, _)| name == "error"));
    }
}
