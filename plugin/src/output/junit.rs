//! `-o junit`: a test case for each cell, as CI systems collect them.
//!
//! - as expected: passed
//! - worse, better, unstable: failed
//! - not observed: an error, which is how JUnit tells "could not look" from "looked, and it is wrong"
//! - disputed, undocumented: skipped, since nobody says which way is right; they fail no run either
//!
//! Where nothing could be compared, which ends a run with code 3, one more case is an error: without it a viewer would
//! take a run of skipped cases for a good one.

use super::{printable::printable, wording};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use std::io::{self, Write};
use svc_reach_common::{
    report::{Cell, Report},
    verdict::Verdict,
};

/// Attributes of an element.
type Attributes = Vec<(&'static str, String)>;

pub fn write(reports: &[Report], writer: &mut impl Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(&mut *writer, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = named("svc-reach".to_owned(), reports);
    element(&mut xml, "testsuites", &all, |xml| {
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
        if wording::nothing_compared(report) {
            let attributes = vec![
                ("classname", class(report, "run")),
                ("name", wording::COMPARED.to_owned()),
            ];
            element(xml, "testcase", &attributes, |xml| {
                let message = wording::sentence(report);
                empty(
                    xml,
                    "error",
                    &vec![("message", message), ("type", "incomplete".to_owned())],
                )
            })?;
        }
        Ok(())
    })
}

/// A name, and how many cases of these reports ended in which way. Services of one run share its time.
fn named(name: String, reports: &[Report]) -> Attributes {
    let sum = |count: fn(&Report) -> usize| reports.iter().map(count).sum::<usize>().to_string();
    let elapsed = reports.iter().map(|report| report.elapsed_ms).max();
    let elapsed = elapsed.unwrap_or_default();
    vec![
        ("name", name),
        ("tests", sum(|report| report.cells.len() + nothing(report))),
        (
            "failures",
            sum(|Report { summary, .. }| summary.worse + summary.better + summary.unstable),
        ),
        (
            "errors",
            sum(|report| report.summary.not_observed + nothing(report)),
        ),
        (
            "skipped",
            sum(|Report { summary, .. }| summary.disputed + summary.undocumented),
        ),
        ("time", format!("{}.{:03}", elapsed / 1000, elapsed % 1000)),
    ]
}

/// One case more where nothing could be compared.
fn nothing(report: &Report) -> usize {
    usize::from(wording::nothing_compared(report))
}

/// What the whole run went by.
fn properties(report: &Report) -> Attributes {
    let mut properties = vec![
        ("service", wording::service(report)),
        ("verdict", wording::sentence(report)),
        ("run", report.run.clone()),
    ];
    properties.extend(
        wording::evidence(report)
            .into_iter()
            .map(|text| ("knownBy", text)),
    );
    properties.extend(
        wording::notes(report)
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
    let result = match cell.verdict {
        Verdict::AsExpected => return empty(xml, "testcase", &attributes),
        Verdict::Worse | Verdict::Better | Verdict::Unstable => "failure",
        Verdict::NotObserved => "error",
        Verdict::Disputed | Verdict::Undocumented => "skipped",
    };
    element(xml, "testcase", &attributes, |xml| {
        let mut about = vec![("message", wording::difference(cell))];
        if result != "skipped" {
            about.push(("type", cell.verdict.to_string()));
        }
        element(xml, result, &about, |xml| {
            let lines: Vec<String> = wording::details(cell)
                .map(|line| printable(&line))
                .collect();
            xml.write_event(Event::Text(BytesText::new(&lines.join("\n"))))
        })
    })
}

/// An element with something in it.
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

/// An element with nothing in it.
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

/// Attributes without what XML does not allow; the writer escapes the rest.
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
        test_data::{mixed, undocumented},
    };
    use quick_xml::{Reader, XmlVersion, events::Event};
    use std::collections::BTreeMap;
    use svc_reach_common::{report::Report, verdict::Verdict};

    /// Name and attributes of every element, in order.
    fn elements(report: &Report) -> Vec<(String, BTreeMap<String, String>)> {
        let mut text = Vec::new();
        write(std::slice::from_ref(report), &mut text).unwrap();
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
    fn every_cell_is_a_case_and_ends_by_its_verdict() {
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
    fn a_run_that_compared_nothing_does_not_pass() {
        let elements = elements(&undocumented());
        assert_eq!(elements[0].1["errors"], "1");
        assert!(elements.iter().any(|(name, _)| name == "error"));
    }
}
