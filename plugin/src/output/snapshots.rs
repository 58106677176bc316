//! Whole outputs, as a reader sees them: each kind of report in each format. `UPDATE_EXPECT=1 cargo test` rewrites the files.

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
    String::from_utf8(text).unwrap()
}

/// A healthy Service, one that fails and could not be checked completely, one with hostile text, and several at once.
#[test]
fn every_format_looks_as_it_is_recorded() {
    let reports: [(&str, Reports); 4] = [
        ("healthy", healthy().into()),
        ("failing", report().into()),
        ("hostile", mixed().into()),
        ("several", Reports::list(vec![healthy(), report()])),
    ];
    for (name, reports) in &reports {
        for format in ReportFormat::ALL {
            let path = format!("snapshots/{name}.{format}");
            expect_file![path].assert_eq(&text(*format, reports));
        }
    }
}

#[test]
fn a_healthy_service_of_any_shape_fits_one_screen() {
    let table = text(ReportFormat::Table, &healthy().into());
    assert!(table.lines().count() <= 24, "{table}");
}
