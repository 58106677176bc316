//! Complete outputs: each kind of report in each format. `UPDATE_EXPECT=1 cargo test` rewrites the files.

use super::write;
use crate::{
    config::ReportFormat,
    output::screen::Screen,
    testing::{healthy, mixed, report},
};
use expect_test::expect_file;
use svc_reach_common::report::Reports;

const SCREEN: Screen = Screen {
    width: 80,
    color: false,
};

fn text(format: ReportFormat, reports: &Reports) -> String {
    let mut text = Vec::new();
    write(format, reports, SCREEN, &mut text).unwrap();
    // The style sheet has its own file, so leave it out.
    String::from_utf8(text)
        .unwrap()
        .replace(include_str!("html/style.css"), "STYLE")
}

/// Records a report with one failure and gaps, and one with hostile text, in every format. A healthy Service and
/// several Services have too many cells for that, so only the formats for people are recorded.
#[test]
fn every_format_matches_its_snapshot() {
    let for_people = [
        ReportFormat::Table,
        ReportFormat::Wide,
        ReportFormat::Markdown,
    ];
    let several = Reports::list(vec![healthy(), report()]);
    let rows: [(&str, Reports, &[ReportFormat]); 4] = [
        ("failing", report().into(), ReportFormat::ALL),
        ("hostile", mixed().into(), ReportFormat::ALL),
        ("healthy", healthy().into(), &for_people),
        ("several", several, &for_people),
    ];
    for (name, reports, formats) in &rows {
        for format in *formats {
            let path = format!("snapshots/{name}.{format}");
            expect_file![path].assert_eq(&text(*format, reports));
        }
    }
}

#[test]
fn a_healthy_service_fits_one_screen() {
    let table = text(ReportFormat::Table, &healthy().into());
    assert!(table.lines().count() <= 24, "{table}");
}
