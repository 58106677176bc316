//! An explanation for people: a table of cells, then numbered notes with reasons and remedies.

use super::{
    cells::{ExplainedCell, Explanation},
    dump::FULL,
};
use crate::output::{printable::printable, table::wrapped};
use std::io::{self, Write};
use svc_reach_common::{position::Position, report::Why, target::Target, verdict::Reachability};
use tabled::{
    Table,
    builder::Builder,
    settings::{Alignment, Modify, Style, Width, object::Columns, peaker::Priority},
};
use textwrap::core::display_width;

/// A reason that several cells can share: what happens, the rules that decide it, and what to do.
#[derive(PartialEq, Eq)]
struct Note<'e> {
    outcome: &'e str,
    why: &'e [Why],
    remedy: Option<&'static str>,
    client_address_kept: Option<bool>,
}

impl<'e> Note<'e> {
    fn of(cell: &'e ExplainedCell) -> Self {
        Self {
            outcome: &cell.predicted.outcome,
            why: &cell.predicted.why,
            remedy: cell.remedy,
            client_address_kept: cell.client_address_kept,
        }
    }
}

/// Writes an explanation for a screen of this width.
///
/// # Errors
///
/// If writing fails.
pub fn write(explanation: &Explanation, width: usize, writer: &mut impl Write) -> io::Result<()> {
    let paragraph = |writer: &mut dyn Write, text: &str, first: &str, further: &str| {
        wrapped(text, width, first, further)
            .iter()
            .try_for_each(|line| writeln!(writer, "{line}"))
    };
    paragraph(writer, &headline(explanation), "", "  ")?;
    if !explanation.missing.is_empty() {
        let text = format!(
            "Not known: the dump holds {}. Print a full dump with: {FULL}",
            explanation.missing.join("; ")
        );
        writeln!(writer)?;
        paragraph(writer, &text, "", "  ")?;
    }
    if explanation.cells.is_empty() {
        writeln!(writer, "\nThere is nothing to reach.")?;
    } else {
        let notes = notes(explanation);
        writeln!(writer, "\n{}\n", grid(explanation, &notes, width))?;
        let legend = "✓ reachable   ✗ unreachable   ~ sometimes   ? unknown   [n] see note n";
        paragraph(writer, legend, "", "")?;
        for (index, note) in notes.iter().enumerate() {
            writeln!(writer)?;
            paragraph(
                writer,
                &sentence(note),
                &format!("[{}] ", index + 1),
                "    ",
            )?;
            for why in note.why {
                let text = format!("{} ({})", why.rule, why.source);
                paragraph(writer, &text, "    - ", "      ")?;
            }
            if let Some(remedy) = note.remedy {
                paragraph(writer, &format!("Try: {remedy}"), "    ", "      ")?;
            }
        }
    }
    for left_out in &explanation.left_out {
        let text = format!("{} is left out: {}", left_out.position, left_out.reason);
        writeln!(writer)?;
        paragraph(writer, &text, "", "  ")?;
    }
    if !explanation.advisories.is_empty() {
        writeln!(writer)?;
    }
    for advisory in &explanation.advisories {
        let text = match &advisory.source {
            Some(source) => format!("{}: {} ({source})", advisory.severity, advisory.text),
            None => format!("{}: {}", advisory.severity, advisory.text),
        };
        paragraph(writer, &text, "", "  ")?;
    }
    let evidence = &explanation.environment.evidence;
    if !evidence.is_empty() {
        writeln!(writer, "\nEvidence:")?;
    }
    for evidence in evidence {
        let text = format!("{} {}: {}", evidence.fact, evidence.value, evidence.source);
        paragraph(writer, &text, "  ", "    ")?;
    }
    Ok(())
}

fn headline(explanation: &Explanation) -> String {
    let service = &explanation.service;
    let mut text = format!(
        "Service {}/{} ({}",
        service.namespace, service.name, service.kind
    );
    if let Some(policy) = service.external_traffic_policy {
        text += &format!(", externalTrafficPolicy {policy}");
    }
    if let Some(policy) = service
        .internal_traffic_policy
        .filter(|policy| *policy == svc_reach_common::facts::TrafficPolicy::Local)
    {
        text += &format!(", internalTrafficPolicy {policy}");
    }
    text += "): ";
    let count = |wanted: Option<Reachability>| {
        explanation
            .cells
            .iter()
            .filter(|cell| cell.reachable == wanted)
            .count()
    };
    text += &format!(
        "{} of {} cells should be reachable",
        count(Some(Reachability::Reachable)),
        explanation.cells.len()
    );
    let unknown = explanation
        .cells
        .iter()
        .filter(|cell| mark(cell) == '?')
        .count();
    if unknown > 0 {
        text += &format!(", {unknown} unknown");
    }
    text
}

/// The notes in the order of the table.
fn notes(explanation: &Explanation) -> Vec<Note<'_>> {
    let mut notes: Vec<Note<'_>> = Vec::new();
    for target in rows(explanation) {
        for position in positions(explanation) {
            if let Some(cell) = find(explanation, position, &target) {
                let note = Note::of(cell);
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
    }
    notes
}

fn positions(explanation: &Explanation) -> Vec<Position> {
    Position::ALL
        .iter()
        .copied()
        .filter(|position| {
            explanation
                .cells
                .iter()
                .any(|cell| cell.position == *position)
        })
        .collect()
}

/// The labels of the rows, sorted by kind of target.
fn rows(explanation: &Explanation) -> Vec<String> {
    let mut rows: Vec<(&Target, String)> = Vec::new();
    for cell in &explanation.cells {
        let label = label(&cell.target);
        if !rows.iter().any(|(_, known)| *known == label) {
            rows.push((&cell.target, label));
        }
    }
    rows.sort_by_key(|(target, _)| target.kind);
    rows.into_iter().map(|(_, label)| label).collect()
}

fn find<'e>(
    explanation: &'e Explanation,
    position: Position,
    row: &str,
) -> Option<&'e ExplainedCell> {
    explanation
        .cells
        .iter()
        .find(|cell| cell.position == position && label(&cell.target) == row)
}

fn label(target: &Target) -> String {
    let address = printable(&target.address);
    let mut text = if address.contains(':') {
        format!("{} [{address}]:{}", target.kind, target.port)
    } else {
        format!("{} {address}:{}", target.kind, target.port)
    };
    if target.protocol != svc_reach_common::protocol::Protocol::Tcp {
        text += &format!("/{}", target.protocol);
    }
    if let Some(node) = &target.node {
        text += &format!("\n  on {}", printable(node));
        if let Some(role) = target.node_role {
            text += &format!(" ({role})");
        }
    }
    text
}

/// The table. If it is too wide for the screen, the kind of a target has a line of its own, and long names are broken.
fn grid(explanation: &Explanation, notes: &[Note<'_>], width: usize) -> String {
    let wide = table(explanation, notes, &|label| label.to_owned());
    let natural = wide.to_string();
    if natural.lines().map(display_width).max().unwrap_or_default() <= width {
        return natural;
    }
    table(explanation, notes, &|label| label.replacen(' ', "\n", 1))
        .with(Width::wrap(width).priority(Priority::max(true)))
        .to_string()
}

fn table(explanation: &Explanation, notes: &[Note<'_>], shown: &dyn Fn(&str) -> String) -> Table {
    let positions = positions(explanation);
    let mut builder = Builder::default();
    let header = positions.iter().map(|position| {
        let node = explanation
            .cells
            .iter()
            .find(|cell| cell.position == *position)
            .and_then(|cell| cell.node.as_deref());
        format!("{position}\n{}", printable(node.unwrap_or("-")))
    });
    builder.push_record(std::iter::once(String::new()).chain(header));
    for row in rows(explanation) {
        let marks = positions.iter().map(|position| {
            find(explanation, *position, &row).map_or_else(String::new, |cell| {
                let number = notes
                    .iter()
                    .position(|note| *note == Note::of(cell))
                    .map_or(0, |index| index + 1);
                format!("{} [{number}]", mark(cell))
            })
        });
        builder.push_record(std::iter::once(shown(&row)).chain(marks));
    }
    let mut table = builder.build();
    table
        .with(Style::sharp())
        .with(Modify::new(Columns::new(1..)).with(Alignment::center()));
    table
}

fn mark(cell: &ExplainedCell) -> char {
    match cell.reachable {
        Some(Reachability::Reachable) => '✓',
        Some(Reachability::Unreachable) => '✗',
        None if cell.predicted.chance.is_some() => '~',
        None => '?',
    }
}

fn sentence(note: &Note<'_>) -> String {
    let mut text = note.outcome.to_owned();
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    match note.client_address_kept {
        Some(true) => text + "; the backend sees the client's own address",
        Some(false) => text + "; the backend does not see the client's own address",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::{
        commands::explain::cells::{OmittedPosition, Surroundings, explanation},
        output::printable::hidden,
        survey::kube_proxy::{ProxyOverrides, Settings},
        testing::{NASTY, facts},
    };
    use svc_reach_common::{position::Position, report::Evidence};

    #[test]
    fn text_from_the_cluster_is_escaped() {
        let settings = Settings::gather(&ProxyOverrides::default(), None, &[]);
        let mut explanation = explanation(&facts(), &settings, None, &Surroundings::default());
        explanation.left_out.push(OmittedPosition {
            position: Position::PodOther,
            reason: NASTY.to_owned(),
        });
        explanation.environment.evidence.push(Evidence {
            fact: NASTY.to_owned(),
            value: NASTY.to_owned(),
            source: NASTY.to_owned(),
        });
        let mut text = Vec::new();
        write(&explanation, 80, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
        assert!(
            !text.lines().any(|line| line.starts_with("ok 99")),
            "{text}"
        );
    }
}
