//! `-o table` and `-o wide`: the answer in a sentence, the table of positions and targets, and what differs and why.
//!
//! The short table fits the screen, and targets with the same result from every position share a row. The wide table
//! lists every target with nodes, attempts, times and editions, and always shows the evidence.

use super::answer;
use super::marks;
use super::{
    findings,
    grid::{Grid, Row},
    printable::printable,
    screen::{Screen, ending, style},
    wording,
};
use anstyle::Style as Ansi;
use std::io::{self, Write};
use svc_reach_common::{
    exit::Exit,
    observation::ObservedValue,
    position::Position,
    report::{Cell, Report},
    verdict::Verdict,
};
use tabled::{
    builder::Builder,
    settings::{
        Alignment, Color, Modify, Padding, Style,
        object::{Cell as At, Columns},
    },
};
use textwrap::{Options, WordSeparator, WordSplitter, core::Word};

/// The smallest width of the target column while the other columns have names as headings.
const NARROW: usize = 14;

/// The smallest width of the target column at all. With numbers as headings, five positions fit the narrowest screen.
const NARROWEST: usize = 11;

/// Space between two columns of the table.
const GAP: usize = 2;

/// Words of this width or more may be broken between their parts.
const LONG: usize = 30;

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What fits the screen.
    Short,
    /// Everything.
    Wide,
}

pub fn write(
    report: &Report,
    detail: Detail,
    screen: Screen,
    writer: &mut impl Write,
) -> io::Result<()> {
    for line in wrapped(&answer::answer(report), screen.width, "", "") {
        let style = ending(report.summary.exit()).bold();
        writeln!(writer, "{}", screen.paint(style, &line))?;
    }
    for line in wrapped(&answer::service(report), screen.width, "", "  ") {
        writeln!(writer, "{line}")?;
    }
    if !report.cells.is_empty() {
        writeln!(writer)?;
        matrix(report, detail, screen, writer)?;
    }
    for section in findings::sections(report) {
        heading(writer, section.title, style(section.verdict), screen)?;
        for finding in section.findings {
            match finding.to {
                Some(to) => {
                    item(writer, &format!("{} -> {to}", finding.from), 2, screen)?;
                    item(writer, &finding.what, 4, screen)?;
                }
                None => item(
                    writer,
                    &format!("{}: {}", finding.from, finding.what),
                    2,
                    screen,
                )?,
            }
            if let Some(hint) = finding.hint {
                item(writer, &hint, 4, screen)?;
            }
        }
    }
    let wide = detail == Detail::Wide;
    let differs = differs(report);
    for (title, lines) in [
        ("Notes", wording::notes(report, wide || differs)),
        (
            "Backends",
            if wide {
                wording::backends(report)
            } else {
                Vec::new()
            },
        ),
        (
            "Editions",
            if wide {
                findings::editions(report)
            } else {
                Vec::new()
            },
        ),
        (
            "Evidence",
            if wide || differs {
                wording::evidence(report)
            } else {
                Vec::new()
            },
        ),
    ] {
        if !lines.is_empty() {
            heading(writer, title, Ansi::new(), screen)?;
        }
        lines
            .iter()
            .try_for_each(|line| item(writer, line, 2, screen))?;
    }
    Ok(())
}

/// Whether a reader has to look at anything.
fn differs(report: &Report) -> bool {
    report.summary.exit() != Exit::AsExpected
}

/// The table of positions and targets, and what its marks mean.
fn matrix(
    report: &Report,
    detail: Detail,
    screen: Screen,
    writer: &mut impl Write,
) -> io::Result<()> {
    let grid = match detail {
        Detail::Short => Grid::grouped(report),
        Detail::Wide => Grid::of(report),
    };
    let natural = natural(&grid);
    let heading = match detail {
        Detail::Short => Heading::that_fits(&grid, natural, screen.width),
        Detail::Wide => Heading::Nodes,
    };
    for line in draw(&grid, &heading, natural, detail, screen).lines() {
        writeln!(writer, "{}", line.trim_end())?;
    }
    // A line break must not separate a mark from its meaning.
    let legend: Vec<String> = marks::legend(report)
        .into_iter()
        .map(|(mark, text)| format!("{mark} {text}").replace(' ', "\u{a0}"))
        .collect();
    writeln!(writer)?;
    for line in wrapped(&legend.join("   "), screen.width, "", "") {
        writeln!(writer, "{}", line.replace('\u{a0}', " "))?;
    }
    // A healthy Service must fit one screen, so its nodes are only in the wide format.
    if detail == Detail::Short && differs(report) {
        for line in wrapped(&nodes(&grid, &heading), screen.width, "", "  ") {
            writeln!(writer, "{}", line.replace('\u{a0}', " "))?;
        }
    }
    Ok(())
}

fn heading(writer: &mut impl Write, title: &str, style: Ansi, screen: Screen) -> io::Result<()> {
    let title = format!("{title}:");
    writeln!(writer, "\n{}", screen.paint(style.bold(), &title))
}

/// An indented item of a list. Its further lines are indented a little more.
pub fn item(writer: &mut impl Write, text: &str, indent: usize, screen: Screen) -> io::Result<()> {
    let (first, further) = (" ".repeat(indent), " ".repeat(indent + 2));
    wrapped(text, screen.width, &first, &further)
        .iter()
        .try_for_each(|line| writeln!(writer, "{line}"))
}

/// Wraps text from elsewhere into lines of this width.
pub fn wrapped(text: &str, width: usize, first: &str, further: &str) -> Vec<String> {
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(further)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(&printable(text), options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// Splits a line into words, and long words into parts, so that names and links are broken between their parts.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    Box::new(WordSeparator::AsciiSpace.find_words(line).flat_map(parts))
}

fn parts(word: Word<'_>) -> Vec<Word<'_>> {
    if columns(word.word) < LONG {
        return vec![word];
    }
    let mut parts: Vec<Word<'_>> = word
        .word
        .split_inclusive(['/', '.', '-', ':', ','])
        .map(Word::from)
        .collect();
    if let Some(last) = parts.last_mut() {
        last.whitespace = word.whitespace;
    }
    parts
}

/// The headings of the columns of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heading {
    /// Names and nodes.
    Nodes,
    /// Names.
    Names,
    /// Names, in two lines.
    Broken,
    /// Numbers, which are explained below the table.
    Numbers,
}

impl Heading {
    /// The most readable heading that leaves enough room for targets.
    fn that_fits(grid: &Grid<'_>, natural: usize, width: usize) -> Self {
        [(Self::Names, natural), (Self::Broken, natural.min(NARROW))]
            .into_iter()
            .find(|(heading, least)| {
                room(&heading.of(grid), width).is_some_and(|room| room >= *least)
            })
            .map_or(Self::Numbers, |(heading, _)| heading)
    }

    /// One heading for each column.
    fn of(self, grid: &Grid<'_>) -> Vec<String> {
        let columns = (1..).zip(&grid.columns);
        columns
            .map(|(number, (position, node))| match self {
                Self::Nodes => format!("{position}\n{}", printable(node.unwrap_or("-"))),
                Self::Names => position.as_str().to_owned(),
                Self::Broken => position.as_str().replace('-', "-\n"),
                // As wide as a mark with its meaning.
                Self::Numbers => format!("{number:<2}"),
            })
            .collect()
    }
}

/// The node of each position, and its number if columns have numbers.
fn nodes(grid: &Grid<'_>, heading: &Heading) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (number, (position, node)) in (1..).zip(&grid.columns) {
        let node = match node {
            Some(node) => node,
            None if *position == Position::External => "this machine",
            None => "no node",
        };
        let name = match heading {
            // A line break must not separate a number from its meaning.
            Heading::Numbers => format!("{number}\u{a0}{position}"),
            Heading::Nodes | Heading::Names | Heading::Broken => position.to_string(),
        };
        match groups.iter_mut().find(|(known, _)| *known == node) {
            Some((_, positions)) => positions.push(name),
            None => groups.push((node, vec![name])),
        }
    }
    let groups: Vec<String> = groups
        .iter()
        .map(|(node, positions)| format!("{} on {node}", positions.join(", ")))
        .collect();
    format!("Probes: {}", groups.join("; "))
}

/// An address, its place and its statuses, safe to display.
fn label(row: &Row<'_>) -> (String, Vec<String>) {
    let below = row.place.iter().chain(&row.statuses);
    (
        printable(&row.address),
        below.map(|text| printable(text)).collect(),
    )
}

/// The width of the target column if there is room.
fn natural(grid: &Grid<'_>) -> usize {
    let labels = grid.rows.iter().map(label);
    let widths = labels.map(|(address, below)| {
        let below = below.iter().map(|text| 2 + columns(text)).max();
        below.unwrap_or_default().max(columns(&address))
    });
    widths.max().unwrap_or_default()
}

fn draw(
    grid: &Grid<'_>,
    heading: &Heading,
    natural: usize,
    detail: Detail,
    screen: Screen,
) -> String {
    let headers = heading.of(grid);
    let room = match detail {
        Detail::Wide => natural,
        Detail::Short => {
            let room = room(&headers, screen.width).unwrap_or_default();
            room.clamp(NARROWEST, natural.max(NARROWEST))
        }
    };
    let mut builder = Builder::default();
    builder.push_record(std::iter::once(String::new()).chain(headers));
    for row in &grid.rows {
        let (address, below) = label(row);
        let mut label = wrapped(&address, room, "", "  ");
        label.extend(
            below
                .iter()
                .flat_map(|text| wrapped(text, room, "  ", "  ")),
        );
        let marks = row.cells.iter().map(|cell| match (cell, detail) {
            (None, _) => String::new(),
            (Some(cell), Detail::Short) => marks::mark(cell),
            (Some(cell), Detail::Wide) => measured(cell),
        });
        builder.push_record(std::iter::once(label.join("\n")).chain(marks));
    }
    let mut table = builder.build();
    table
        .with(Style::empty())
        .with(Padding::new(0, GAP, 0, 0))
        .with(Modify::new(Columns::new(1..)).with(Alignment::center()));
    if screen.color {
        for (line, Row { cells, .. }) in (1..).zip(&grid.rows) {
            for (column, cell) in (1..).zip(cells) {
                if let Some(cell) = cell {
                    let style = cell_style(cell);
                    let color =
                        Color::new(style.render().to_string(), style.render_reset().to_string());
                    table.with(Modify::new(At::new(line, column)).with(color));
                }
            }
        }
    }
    table.to_string()
}

/// The colour of a cell: red is for what differs, and a target that is unreachable by design is neutral.
fn cell_style(cell: &Cell) -> Ansi {
    match (cell.verdict, cell.observed.value) {
        (Verdict::AsExpected, ObservedValue::Unreachable) => Ansi::new().dimmed(),
        (verdict, _) => style(verdict),
    }
}

/// The width that these headers and the gaps between columns leave for the targets.
fn room(headers: &[String], width: usize) -> Option<usize> {
    let taken: usize = headers
        .iter()
        .map(|header| GAP + header.lines().map(columns).max().unwrap_or_default())
        .sum();
    width.checked_sub(taken + GAP)
}

/// The width of a text on the screen.
fn columns(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// A mark, how many of the attempts were answered, and how long that took.
fn measured(cell: &Cell) -> String {
    let mut text = marks::mark(cell);
    if let (Some(ok), Some(of)) = (cell.observed.ok, cell.observed.of) {
        text += &format!(" {ok} of {of}");
    }
    if let Some(latency) = cell.observed.latency_ms {
        text += &format!(", {latency:.1} ms");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Detail, write};
    use crate::{
        output::{printable::hidden, screen::Screen},
        testing::{absent, crowded, mixed, report},
    };
    use svc_reach_common::report::Report;

    fn text(report: &Report, detail: Detail, width: usize, color: bool) -> String {
        let mut text = Vec::new();
        write(report, detail, Screen { width, color }, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn comes_in_order(text: &str, parts: &[&str]) {
        let mut rest = text;
        for part in parts {
            let at = rest
                .find(part)
                .unwrap_or_else(|| panic!("{part:?} comes next in\n{text}"));
            rest = &rest[at + part.len()..];
        }
    }

    #[test]
    fn the_short_table_has_its_parts_in_order() {
        let text = text(&report(), Detail::Short, 300, false);
        comes_in_order(
            &text,
            &[
                "nginx is not reachable from everywhere it should be: of 10 checks, 1 failed (cluster-ip 10.247.0.7:80 from node-other); 5 could not be made (the probe did not start",
                "Service default/nginx, type NodePort, externalTrafficPolicy Local\n",
                "cluster-ip 10.247.0.7:80          ✗!          ?",
                "node-port 192.168.0.10:30080      ✓           ?",
                "✓ reachable   ✗ unreachable   ? could not look   ! but expected to be reachable",
                "Probes: node-other, pod-other on b",
                "Worse than expected:",
                "node-other -> cluster-ip 10.247.0.7:80\n    expected reachable, was unreachable (timed out)",
                "Not observed:",
                "pod-other (5 cells): the probe did not start: no\\u{1b}[31m image",
                "Evidence:",
                "matrix kubernetes@1.35: https://",
                "kubernetesVersion v1.20.2",
            ],
        );
    }

    #[test]
    fn positions_that_do_not_exist_have_one_line_and_no_column() {
        let text = text(&absent(), Detail::Short, 200, false);
        comes_in_order(
            &text,
            &[
                "nginx is reachable from everywhere",
                "node-same  pod-same  external\n",
                "Notes:\n  node-other and pod-other do not exist here: every node runs a backend\n",
            ],
        );
    }

    #[test]
    fn hidden_characters_never_reach_a_terminal() {
        for detail in [Detail::Short, Detail::Wide] {
            let text = text(&mixed(), detail, 80, false);
            assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
        }
    }

    /// A report with names whose letters are two columns wide.
    fn wide_letters() -> Report {
        let mut report = crowded();
        report.service.name = "服務".repeat(20);
        for (index, cell) in report.cells.iter_mut().enumerate() {
            if index % 2 == 0 {
                cell.target.node = Some("節點一號-東京資料中心".to_owned());
                cell.observed.reason = "讀取逾時，因為對方沒有回應".repeat(4);
            }
            if index % 5 == 1 {
                cell.target.address = "負載平衡器的名稱很長.example".to_owned();
            }
        }
        report
    }

    #[test]
    fn the_short_table_fits_the_screen() {
        for report in [crowded(), wide_letters()] {
            for width in (40..80).step_by(3).chain([60, 80, 160]) {
                let text = text(&report, Detail::Short, width, false);
                for line in text.lines() {
                    let taken = textwrap::core::display_width(line);
                    assert!(taken <= width, "{taken} of {width}:\n{text}");
                }
            }
        }
    }

    #[test]
    fn columns_have_numbers_if_names_do_not_fit() {
        let narrow = text(&crowded(), Detail::Short, 40, false);
        comes_in_order(&narrow, &["1   2   3   4   5\n", "Probes: 1 node-same on"]);
        assert!(narrow.contains("5 external"), "{narrow}");
        for (width, header) in [
            (60, "node-  node-  pod-  pod-   external\n"),
            (
                200,
                "node-same  node-other  pod-same  pod-other  external\n",
            ),
        ] {
            let text = text(&crowded(), Detail::Short, width, false);
            comes_in_order(&text, &[header, "Probes: node-same on"]);
        }
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let plain = text(&mixed(), Detail::Short, 80, false);
        let painted = text(&mixed(), Detail::Short, 80, true);
        for code in ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"] {
            assert!(painted.contains(code), "{code:?}");
        }
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    }

    #[test]
    fn the_wide_table_has_nodes_attempts_times_and_editions() {
        let text = text(&crowded(), Detail::Wide, 300, false);
        comes_in_order(
            &text,
            &[
                "node-same ",
                "ip-10-0-0-1.example.internal ",
                "✓ 3 of 3, 1.5 ms",
                "Editions:",
                "reachable by new; unreachable by old: pod-ip 172.16.0.10:8080 from everywhere; cluster-ip",
            ],
        );
    }
}
