//! What a reader has to look at, and what to do about it.

use super::{
    super::findings::{self, Finding},
    Nth,
    link::linked,
};
use maud::{Markup, html};
use svc_reach_common::report::Report;

pub fn section(report: &Report, nth: Nth) -> Markup {
    let sections = findings::sections(report);
    let id = nth.id("findings");
    html! {
        @if !sections.is_empty() {
            section aria-labelledby=(id) {
                h3 id=(id) { "What to look at" }
                @for section in &sections {
                    div.finding.{ "is-" (section.verdict) } {
                        h4 { (section.title) }
                        ul { @for finding in &section.findings { li { (item(finding)) } } }
                    }
                }
            }
        }
    }
}

fn item(finding: &Finding) -> Markup {
    html! {
        p.way {
            b { (finding.from) }
            @if let Some(to) = &finding.to { " → " (to) }
        }
        p { (linked(&finding.what)) }
        @if let Some(hint) = &finding.hint { p.hint { (linked(hint)) } }
    }
}
