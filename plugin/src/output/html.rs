//! `-o html`: one file for a browser, without scripts and without anything to load. It has the answer in a sentence, a
//! picture, the matrix, what differs and why, and the evidence.
//!
//! Escaping is automatic: maud escapes what HTML would treat as markup, and [`page`] makes hidden characters visible.

mod cell;
mod evidence;
mod findings;
mod link;
mod matrix;
mod picture;
mod service;

use super::answer;
use super::printable::printable;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::{
    fmt,
    io::{self, Write},
};
use svc_reach_common::report::Report;

const STYLE: &str = include_str!("html/style.css");

/// Forbids scripts, fonts, frames and images from elsewhere, whatever text a report contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

pub fn write(reports: &[Report], writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, "{}", page(reports).0)
}

/// The index of a report in a page. It makes anchors unique.
#[derive(Debug, Clone, Copy)]
struct Nth(usize);

impl Nth {
    /// The id of an element of this report.
    fn id(self, part: impl fmt::Display) -> String {
        format!("{part}-{}", self.0 + 1)
    }
}

fn page(reports: &[Report]) -> Markup {
    let title = match reports {
        [report] => format!("{}: Service reachability", name(report)),
        several => format!("Reachability of {} Services", several.len()),
    };
    // An escape such as \u{1b} contains no character that is special in HTML.
    let body = PreEscaped(printable(&body(reports).0));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                // Without this, a browser requests an icon from the server.
                link rel="icon" href="data:,";
                title { (printable(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

fn body(reports: &[Report]) -> Markup {
    html! {
        @if let [_] = reports {
            h1 { "Service reachability" }
        } @else {
            h1 { "Reachability of " (reports.len()) " Services" }
            (contents(reports))
        }
        main {
            @for (index, report) in reports.iter().enumerate() {
                (article(report, Nth(index)))
            }
        }
        footer { p { "Made by " code { "kubectl svc-reach" } ". Select a mark in a table to see everything about its cell." } }
    }
}

/// Every Service with its answer, if there are several.
fn contents(reports: &[Report]) -> Markup {
    html! {
        nav aria-label="Services" {
            ul.contents {
                @for (index, report) in reports.iter().enumerate() {
                    li.(service::tone(report)) {
                        a href={ "#" (Nth(index).id("service")) } { (name(report)) }
                        span { (service::answer(report)) ": " (answer::answer(report)) }
                    }
                }
            }
        }
    }
}

fn article(report: &Report, nth: Nth) -> Markup {
    html! {
        article aria-labelledby=(nth.id("service")) {
            (service::header(report, nth))
            @if !report.cells.is_empty() {
                (picture::section(report, nth))
                (matrix::section(report, nth))
            }
            (findings::section(report, nth))
            (evidence::advisories(report, nth))
            (evidence::section(report, nth))
            (service::run(report))
        }
    }
}

fn name(report: &Report) -> String {
    format!("{}/{}", report.service.namespace, report.service.name)
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::{
        output::{
            answer,
            printable::{hidden, printable},
        },
        testing::{NASTY, mixed, report, undocumented},
    };
    use svc_reach_common::report::Report;

    fn page(reports: &[Report]) -> String {
        let mut text = Vec::new();
        write(reports, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_cell_has_its_details() {
        let report = report();
        let page = page(std::slice::from_ref(&report));
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
        let cells = page.matches("<details name=\"cell-1\">").count();
        assert_eq!(cells, report.cells.len());
        let holds = |text: &str| {
            let text = printable(&maud::html! { (text) }.0);
            assert!(page.contains(&text), "{text}");
        };
        holds(&answer::answer(&report));
        for cell in &report.cells {
            holds(&cell.target.address);
            for attempt in &cell.observed.attempts {
                holds(&attempt.outcome.to_string());
            }
        }
    }

    #[test]
    fn text_from_elsewhere_is_never_markup() {
        let hostile = "<img src=x onerror=alert(1)><script>alert(1)</script>\" onclick=\"alert(1)";
        let mut report = mixed();
        let links = "javascript:alert(1) https://e.example/\"onmouseover=alert(1)";
        for cell in &mut report.cells {
            cell.observed.reason = format!("{hostile} {NASTY}");
            cell.hint = Some(links.to_owned());
            cell.node = Some(hostile.to_owned());
            cell.target.node = Some(hostile.to_owned());
        }
        report.service.name = hostile.to_owned();
        report.environment.provider = Some(hostile.to_owned());
        let page = page(&[report]);
        for markup in [
            "<img",
            "<script",
            "</script",
            "\" onclick",
            "href=\"javascript",
            "\"onmouseover",
        ] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(
            !page
                .trim_end()
                .chars()
                .any(|c| hidden(c) && !c.is_whitespace())
        );
    }

    #[test]
    fn several_services_have_unique_anchors() {
        let page = page(&[report(), mixed(), undocumented()]);
        assert!(
            page.contains("<title>Reachability of 3 Services</title>"),
            "{page}"
        );
        let mut ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        for nth in 1..=3 {
            assert!(page.contains(&format!("href=\"#service-{nth}\"")), "{nth}");
            assert!(ids.contains(&format!("service-{nth}").as_str()));
        }
        assert!(super::page(&[]).0.contains("Reachability of 0 Services"));
    }
}
