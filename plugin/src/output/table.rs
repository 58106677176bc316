//! `-o table`: the answer in a sentence, what differs and why, then everything.

use std::{
    fmt,
    io::{self, Write},
};
use svc_reach_common::{
    position::Position,
    report::{Basis, Cell, ObservedValue, Report},
    target::{Relation, Target},
    verdict::Verdict,
};
use tabled::{
    builder::Builder,
    settings::{Alignment, Modify, Style, object::Columns},
};

pub fn write(report: &Report, writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, "{}", headline(report))?;
    let of = |verdict: Verdict| {
        report
            .cells
            .iter()
            .filter(move |cell| cell.verdict == verdict)
    };
    let (unexplained, explained): (Vec<&Cell>, Vec<&Cell>) = of(Verdict::Worse)
        .chain(of(Verdict::Better))
        .partition(|cell| unexplained(cell));
    let explained = |verdict| {
        explained
            .iter()
            .copied()
            .filter(move |cell| cell.verdict == verdict)
    };
    section(
        writer,
        "Explained by neither the documents nor the model",
        unexplained.into_iter().flat_map(differing),
    )?;
    section(
        writer,
        "Worse than expected",
        explained(Verdict::Worse).flat_map(differing),
    )?;
    section(
        writer,
        "Unstable",
        of(Verdict::Unstable).flat_map(differing),
    )?;
    section(
        writer,
        "Better than expected",
        explained(Verdict::Better).flat_map(differing),
    )?;
    section(
        writer,
        "Disputed between editions",
        of(Verdict::Disputed).flat_map(differing),
    )?;
    section(
        writer,
        "Not observed",
        grouped(of(Verdict::NotObserved), |cell| Some(&cell.observed.reason)),
    )?;
    section(
        writer,
        "Not judged",
        grouped(of(Verdict::Undocumented), |cell| {
            cell.expected.is_none().then_some(cell.hint.as_ref()?)
        }),
    )?;
    if !report.cells.is_empty() {
        writeln!(writer, "\n{}\n\n{}", grid(report), legend(report))?;
    }
    section(
        writer,
        "Known by",
        report
            .environment
            .evidence
            .iter()
            .map(|evidence| format!("{} {}: {}", evidence.fact, evidence.value, evidence.source))
            .chain(report.matrix.as_ref().map(|matrix| {
                let edition = matrix.alias.as_ref().unwrap_or(&matrix.edition);
                format!("matrix {} {edition}: {}", matrix.id, matrix.source)
            })),
    )?;
    section(
        writer,
        "Note",
        report
            .advisories
            .iter()
            .map(|advisory| match &advisory.source {
                Some(source) => format!("{} ({source})", advisory.text),
                None => advisory.text.clone(),
            }),
    )
}

fn section(
    writer: &mut impl Write,
    title: &str,
    lines: impl IntoIterator<Item = String>,
) -> io::Result<()> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(writer, "\n{title}:")?;
    }
    lines.try_for_each(|line| writeln!(writer, "  {}", Printable(&line)))
}

/// Text from elsewhere, with what a terminal would take for a command made visible.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() {
                write!(f, "{}", c.escape_default())
            } else {
                write!(f, "{c}")
            }
        })
    }
}

fn headline(report: &Report) -> String {
    let service = &report.service;
    let mut text = format!(
        "Service {}/{} ({}",
        service.namespace, service.name, service.kind
    );
    if let Some(policy) = service.external_traffic_policy {
        text += &format!(", externalTrafficPolicy {policy}");
    }
    text += "): ";
    let summary = &report.summary;
    if summary.cells() == 0 {
        return text + "nothing to ask";
    }
    text += &format!(
        "{} of {} cells as expected",
        summary.as_expected,
        summary.cells()
    );
    for (count, what) in [
        (summary.worse, "worse"),
        (summary.better, "better"),
        (summary.unstable, "unstable"),
        (summary.disputed, "disputed"),
        (summary.not_observed, "not observed"),
        (summary.undocumented, "undocumented"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// Whether documents and model agree on a cell that was seen otherwise.
fn unexplained(cell: &Cell) -> bool {
    let expected = cell.expected.as_ref().map(|expected| expected.value);
    let predicted = cell
        .predicted
        .as_ref()
        .and_then(|predicted| predicted.reachable);
    expected.is_some() && expected == predicted
}

/// A cell that differs: from where, to what, what was expected, what was seen; and, on a line of its own, what to do.
fn differing(cell: &Cell) -> impl Iterator<Item = String> {
    let mut text = from(cell);
    text += &format!(" -> {}: ", describe(&cell.target));
    if let Some(expected) = &cell.expected {
        let by = match expected.basis {
            Basis::Stated | Basis::Implied => "expected",
            Basis::Predicted => "the model expects",
        };
        text += &format!("{by} {}, ", expected.value);
    }
    text += &format!("was {} ({})", cell.observed.value, cell.observed.reason);
    std::iter::once(text).chain(cell.hint.iter().map(|hint| format!("  {hint}")))
}

/// Each reason once, with where it holds.
fn grouped<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    reason: impl Fn(&'a Cell) -> Option<&'a String>,
) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<Position>, usize)> = Vec::new();
    for (cell, reason) in cells.filter_map(|cell| Some((cell, reason(cell)?))) {
        match groups.iter_mut().find(|(known, ..)| known == reason) {
            Some((_, positions, count)) => {
                if !positions.contains(&cell.position) {
                    positions.push(cell.position);
                }
                *count += 1;
            }
            None => groups.push((reason, vec![cell.position], 1)),
        }
    }
    groups
        .into_iter()
        .map(|(reason, positions, count)| {
            let positions: Vec<&str> = positions.into_iter().map(Position::as_str).collect();
            let cells = if count == 1 {
                "1 cell".to_owned()
            } else {
                format!("{count} cells")
            };
            format!("{} ({cells}): {reason}", positions.join(", "))
        })
        .collect()
}

fn from(cell: &Cell) -> String {
    match &cell.node {
        Some(node) => format!("{} ({node})", cell.position),
        None => cell.position.to_string(),
    }
}

fn describe(target: &Target) -> String {
    let mut text = row_label(target).replace("\n  ", " ");
    if target.relation == Some(Relation::Own) {
        text += ", its own node";
    }
    text
}

/// A target as every position sees it: without its relation, which differs from one to the next.
fn row_label(target: &Target) -> String {
    let address = if target.address.contains(':') {
        format!("[{}]:{}", target.address, target.port)
    } else {
        format!("{}:{}", target.address, target.port)
    };
    let mut text = format!("{} {address}", target.kind);
    if target.protocol != svc_reach_common::protocol::Protocol::Tcp {
        text += &format!("/{}", target.protocol);
    }
    if let Some(node) = &target.node {
        text += &format!("\n  on {node}");
        if let Some(role) = target.node_role {
            text += &format!(" ({role})");
        }
    }
    text
}

fn grid(report: &Report) -> String {
    let mut positions: Vec<(Position, Option<&str>)> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    for cell in &report.cells {
        if !positions
            .iter()
            .any(|(position, _)| *position == cell.position)
        {
            positions.push((cell.position, cell.node.as_deref()));
        }
        let label = row_label(&cell.target);
        if !rows.contains(&label) {
            rows.push(label);
        }
    }
    positions.sort();
    let mut builder = Builder::default();
    let header = positions
        .iter()
        .map(|(position, node)| format!("{position}\n{}", node.unwrap_or("-")));
    builder.push_record(std::iter::once(String::new()).chain(header));
    for row in &rows {
        let marks = positions.iter().map(|(position, _)| {
            let cell = report
                .cells
                .iter()
                .find(|c| c.position == *position && row_label(&c.target) == *row);
            cell.map_or_else(String::new, mark)
        });
        builder.push_record(std::iter::once(Printable::lines(row)).chain(marks));
    }
    builder
        .build()
        .with(Style::sharp())
        .with(Modify::new(Columns::new(1..)).with(Alignment::center()))
        .to_string()
}

impl Printable<'_> {
    /// Several lines, each made printable.
    fn lines(text: &str) -> String {
        text.lines()
            .map(|line| Printable(line).to_string())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// What was seen, and behind it what that means where it is not as expected.
fn mark(cell: &Cell) -> String {
    let seen = seen_mark(cell.observed.value).0;
    match meaning_mark(cell.verdict) {
        Some((mark, _)) => format!("{seen}{mark}"),
        None => seen.to_string(),
    }
}

const fn seen_mark(value: ObservedValue) -> (char, &'static str) {
    match value {
        ObservedValue::Reachable => ('✓', "reachable"),
        ObservedValue::Unreachable => ('✗', "unreachable"),
        ObservedValue::Unstable => ('~', "unstable"),
        ObservedValue::NotObserved => ('?', "not observed"),
    }
}

const fn meaning_mark(verdict: Verdict) -> Option<(char, &'static str)> {
    match verdict {
        Verdict::Worse => Some(('!', "worse than expected")),
        Verdict::Better => Some(('+', "better than expected")),
        Verdict::Disputed => Some(('/', "disputed between editions")),
        Verdict::Undocumented => Some(('·', "undocumented")),
        Verdict::AsExpected | Verdict::Unstable | Verdict::NotObserved => None,
    }
}

/// The marks that occur.
fn legend(report: &Report) -> String {
    let seen = ObservedValue::ALL
        .iter()
        .filter(|value| {
            report
                .cells
                .iter()
                .any(|cell| cell.observed.value == **value)
        })
        .map(|value| seen_mark(*value));
    let meanings = Verdict::ALL
        .iter()
        .filter(|verdict| report.cells.iter().any(|cell| cell.verdict == **verdict))
        .filter_map(|verdict| meaning_mark(*verdict));
    seen.chain(meanings)
        .map(|(mark, text)| format!("{mark} {text}"))
        .collect::<Vec<_>>()
        .join("   ")
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::test_data::report;

    #[test]
    fn the_answer_comes_first_then_what_differs_then_everything() {
        let mut text = Vec::new();
        write(&report(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected = [
            "Service default/nginx (NodePort, externalTrafficPolicy Local): 3 of 10 cells as expected, 1 worse, 5 not observed, 1 undocumented",
            "Worse than expected:",
            "node-other (b) -> cluster-ip 10.247.0.7:80: expected reachable, was unreachable (timed out)",
            "Not observed:",
            "pod-other (5 cells): the probe did not start: no\\u{1b}[31m image",
            "│ cluster-ip 10.247.0.7:80     │     ✗!     │     ?     │",
            "│ node-port 192.168.0.10:30080 │     ✓      │     ?     │",
            "✓ reachable   ✗ unreachable   ? not observed   ! worse than expected",
        ];
        let mut rest = text.as_str();
        for line in expected {
            let at = rest
                .find(line)
                .unwrap_or_else(|| panic!("{line:?} comes next in\n{text}"));
            rest = &rest[at + line.len()..];
        }
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{7}'),
            "nothing that a terminal obeys"
        );
    }
}
