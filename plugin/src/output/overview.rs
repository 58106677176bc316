//! Several Services at a glance: first a list of all, then the details of those that need attention.

use super::answer;
use super::{
    markdown::{self, escape},
    screen::{Screen, ending},
    table::{self, Detail},
};
use std::io::{self, Write};
use svc_reach_common::{
    exit::Exit,
    report::{Report, Reports},
};

/// The possible results of a Service, in the order in which they are counted.
const KINDS: [(Exit, &str, &str); 3] = [
    (Exit::AsExpected, "✓", "as expected"),
    (Exit::Differs, "!", "not as expected"),
    (Exit::Incomplete, "?", "incomplete"),
];

/// As tables. The wide format shows the table of every Service, the short one only of those that are not as expected.
pub fn table(
    reports: &Reports,
    detail: Detail,
    screen: Screen,
    writer: &mut impl Write,
) -> io::Result<()> {
    let list = match reports {
        Reports::One(report) => return table::write(report, detail, screen, writer),
        Reports::List(list) => &list.items,
    };
    let style = ending(reports.exit()).bold();
    for line in table::wrapped(&sentence(list), screen.width, "", "") {
        writeln!(writer, "{}", screen.paint(style, &line))?;
    }
    if !list.is_empty() {
        writeln!(writer)?;
    }
    for report in list {
        table::item(writer, &line(report), 2, screen)?;
    }
    let shown = |report: &&Report| detail == Detail::Wide || noteworthy(report);
    for report in list.iter().filter(shown) {
        writeln!(writer)?;
        table::write(report, detail, screen, writer)?;
    }
    Ok(())
}

/// As Markdown.
pub fn markdown(reports: &Reports, writer: &mut impl Write) -> io::Result<()> {
    let list = match reports {
        Reports::One(report) => return markdown::write(report, writer),
        Reports::List(list) => &list.items,
    };
    writeln!(writer, "### {}", escape(&sentence(list)))?;
    if !list.is_empty() {
        writeln!(writer)?;
    }
    for report in list {
        writeln!(writer, "- {}", escape(&line(report)))?;
    }
    for report in list.iter().filter(|report| noteworthy(report)) {
        writeln!(writer)?;
        markdown::write(report, writer)?;
    }
    Ok(())
}

/// Whether a reader has to look at it.
fn noteworthy(report: &Report) -> bool {
    report.summary.exit() != Exit::AsExpected
}

/// The answer in a sentence.
fn sentence(list: &[Report]) -> String {
    let services = match list.len() {
        0 => return "No Service was found.".to_owned(),
        1 => "1 Service".to_owned(),
        count => format!("{count} Services"),
    };
    let counts = KINDS.iter().filter_map(|(exit, _, text)| {
        let reports = list.iter().filter(|report| report.summary.exit() == *exit);
        let count = reports.count();
        (count > 0).then(|| format!("{count} {text}"))
    });
    format!("{services}: {}.", counts.collect::<Vec<_>>().join(", "))
}

/// A Service in a line.
fn line(report: &Report) -> String {
    let exit = report.summary.exit();
    let mark = KINDS
        .iter()
        .find(|(kind, _, _)| *kind == exit)
        .map_or("?", |(_, mark, _)| mark);
    format!("{mark} {}", answer::answer_of_many(report))
}

#[cfg(test)]
mod tests {
    use super::{markdown, table};
    use crate::{
        output::{screen::Screen, table::Detail},
        testing::{mixed, report, undocumented},
    };
    use svc_reach_common::{
        report::{Report, Reports, Summary},
        terms::Terms,
        verdict::Verdict,
    };

    fn named(name: &str, mut report: Report) -> Report {
        name.clone_into(&mut report.service.name);
        report
    }

    /// One Service as expected, one that differs, and one that could not be judged.
    fn several() -> Reports {
        let mut good = report();
        good.cells.truncate(1);
        good.cells[0].verdict = Verdict::AsExpected;
        good.summary = Summary::of(&good.cells, &Terms::default());
        Reports::list(vec![
            named("good", good),
            named("bad", mixed()),
            named("odd", undocumented()),
        ])
    }

    fn text(reports: &Reports, detail: Detail) -> String {
        let screen = Screen {
            width: 80,
            color: false,
        };
        let mut text = Vec::new();
        table(reports, detail, screen, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_list_comes_before_tables_of_services_that_differ() {
        let short = text(&several(), Detail::Short);
        assert!(
            short.starts_with(
                "3 Services: 1 as expected, 1 not as expected, 1 incomplete.\n\n  ✓ default/good is reachable from everywhere "
            ),
            "{short}"
        );
        assert!(
            short.contains("\n  ! default/bad is not reachable "),
            "{short}"
        );
        assert!(
            short.contains("\n  ? default/odd could not be judged"),
            "{short}"
        );
        let tables = |text: &str| text.matches("\nService default/").count();
        assert_eq!(tables(&short), 2, "{short}");
        assert!(!short.contains("\nService default/good"), "{short}");
        assert_eq!(tables(&text(&several(), Detail::Wide)), 3);
    }

    #[test]
    fn no_service_is_incomplete() {
        let none = Reports::list(Vec::new());
        assert_eq!(text(&none, Detail::Short), "No Service was found.\n");
        assert_eq!(none.exit().code(), 3);
    }

    #[test]
    fn markdown_has_the_same_parts() {
        let mut text = Vec::new();
        markdown(&several(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("### 3 Services: "), "{text}");
        assert_eq!(text.matches("\n### Service default/").count(), 2, "{text}");
    }
}
