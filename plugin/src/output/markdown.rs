//! `-o markdown`: for a pull request or a page.

use super::answer;
use super::marks;
use super::{findings, grid::Grid, printable::printable, wording};
use std::io::{self, Write};
use svc_reach_common::report::Report;

pub fn write(report: &Report, writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, "### {}\n", escape(&answer::service(report)))?;
    writeln!(writer, "**{}**", escape(&answer::answer(report)))?;
    if !report.cells.is_empty() {
        writeln!(writer)?;
        matrix(report, writer)?;
        let legend: Vec<String> = marks::legend(report)
            .into_iter()
            .map(|(mark, text)| format!("{} {text}", escape(&mark.to_string())))
            .collect();
        writeln!(writer, "\n{}", legend.join(", "))?;
    }
    for section in findings::sections(report) {
        writeln!(writer, "\n#### {}\n", section.title)?;
        for finding in section.findings {
            write!(writer, "- {}", escape(&finding.from))?;
            if let Some(to) = &finding.to {
                write!(writer, " to {}", escape(to))?;
            }
            writeln!(writer, ": {}", escape(&finding.what))?;
            if let Some(hint) = &finding.hint {
                writeln!(writer, "  - {}", escape(hint))?;
            }
        }
    }
    for (title, lines) in [
        ("Notes", wording::notes(report, true)),
        ("Backends", wording::backends(report)),
        ("Evidence", wording::evidence(report)),
    ] {
        if lines.is_empty() {
            continue;
        }
        writeln!(writer, "\n#### {title}\n")?;
        for line in lines {
            writeln!(writer, "- {}", escape(&line))?;
        }
    }
    Ok(())
}

/// The grouped table. If a row covers several targets, a second table that can be unfolded lists every target.
fn matrix(report: &Report, writer: &mut impl Write) -> io::Result<()> {
    let grouped = Grid::grouped(report);
    table(&grouped, writer)?;
    if grouped.rows.iter().any(|row| row.targets > 1) {
        let targets: usize = grouped.rows.iter().map(|row| row.targets).sum();
        writeln!(
            writer,
            "\n<details><summary>All {targets} targets</summary>\n"
        )?;
        table(&Grid::of(report), writer)?;
        writeln!(writer, "\n</details>")?;
    }
    Ok(())
}

fn table(grid: &Grid<'_>, writer: &mut impl Write) -> io::Result<()> {
    write!(writer, "| target |")?;
    for (position, node) in &grid.columns {
        write!(writer, " {position}<br>{} |", escape(node.unwrap_or("-")))?;
    }
    write!(writer, "\n| --- |")?;
    for _ in &grid.columns {
        write!(writer, " :-: |")?;
    }
    writeln!(writer)?;
    for row in &grid.rows {
        write!(writer, "| {}", escape(&row.address))?;
        for text in row.place.iter().chain(&row.statuses) {
            write!(writer, "<br>{}", escape(text))?;
        }
        for cell in &row.cells {
            write!(
                writer,
                " | {}",
                cell.map_or_else(String::new, |cell| escape(&marks::mark(cell)))
            )?;
        }
        writeln!(writer, " |")?;
    }
    Ok(())
}

/// Escapes text so that it is shown literally, in one line: no markup, no table, no HTML, and no @mention. Links stay
/// whole, so that they can be followed.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut before = ' ';
    let text = printable(text);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let within = before.is_alphanumeric() && rest.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            // GitHub and GitLab notify the user named after it, even after a backslash.
            '@' => escaped += "@<!-- -->",
            '_' if within => escaped.push(c),
            '#' if before.is_alphanumeric() || before == '/' => escaped.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
        before = c;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, write};
    use crate::testing::{NASTY, mixed};

    #[test]
    fn text_is_shown_literally() {
        for (text, markdown) in [
            ("a|b", "a\\|b"),
            ("`rm`", "\\`rm\\`"),
            ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
            ("two\nlines", "two\\\\nlines"),
            ("*bold* _it_ ~~no~~", "\\*bold\\* \\_it\\_ \\~\\~no\\~\\~"),
            ("[a](http://b)", "\\[a\\](http://b)"),
            ("# head", "\\# head"),
            ("@everyone", "@<!-- -->everyone"),
            (
                "https://example.org/a_b/#c (x)",
                "https://example.org/a_b/#c (x)",
            ),
        ] {
            assert_eq!(escape(text), markdown, "{text}");
        }
    }

    #[test]
    fn the_answer_comes_first_and_rows_are_complete() {
        let mut text = Vec::new();
        write(&mixed(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let mut rest = text.as_str();
        for part in [
            "### Service default/nginx, type NodePort, externalTrafficPolicy Local\n\n",
            "**nginx is not reachable from everywhere it should be: of 10 checks, 1 failed (cluster-ip 10.247.0.7:80 from node-other); 1 succeeded only sometimes ",
            "| target | node-other<br>b | pod-other<br>b |\n| --- | :-: | :-: |\n",
            "| cluster-ip 10.247.0.7:80 | ✗! | ✓+ |\n",
            "#### Worse than expected\n\n- node-other to cluster-ip 10.247.0.7:80: expected reachable, was unreachable (timed out)\n",
            "#### Unstable\n",
            "#### Better than expected\n",
            "#### Disputed between editions\n",
            "#### Not observed\n",
            "#### Evidence\n\n- matrix kubernetes@",
        ] {
            let at = rest
                .find(part)
                .unwrap_or_else(|| panic!("{part:?} comes next in\n{text}"));
            rest = &rest[at + part.len()..];
        }
        assert!(!text.contains(NASTY), "{text}");
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(
            rows.len() > 2 && rows.iter().all(|row| bars(row) == 4),
            "{rows:?}"
        );
    }
}
