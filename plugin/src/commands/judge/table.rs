//! What changed between two runs, for people.

use super::change::{CellState, Change, Comparison};
use crate::output::{printable::printable, screen::Screen, table::item};
use std::io::{self, Write};

/// Writes a comparison.
///
/// # Errors
///
/// If writing fails.
pub fn write(comparison: &Comparison, screen: Screen, writer: &mut impl Write) -> io::Result<()> {
    let changed = match comparison.changes.len() {
        0 => "nothing changed".to_owned(),
        n => format!("{n} changed"),
    };
    let unseen = match comparison.not_observed {
        0 => String::new(),
        n => format!(", {n} could not be observed"),
    };
    let answer = format!(
        "Service {}, run {} to {}: {} cells compared{unseen}, {changed}",
        comparison.service, comparison.from.run, comparison.to.run, comparison.compared
    );
    item(writer, &answer, 0, screen)?;
    let mut heading = None;
    for change in &comparison.changes {
        if heading != Some(change.became) {
            writeln!(writer, "\n{}:", change.became)?;
            heading = Some(change.became);
        }
        item(writer, &text(change), 2, screen)?;
    }
    Ok(())
}

/// A change in one line.
pub fn line(change: &Change) -> String {
    printable(&text(change))
}

fn text(change: &Change) -> String {
    let seen = |seen: &Option<CellState>| {
        seen.as_ref().map_or_else(
            || "not checked".to_owned(),
            |seen| format!("{} ({})", seen.value, seen.reason),
        )
    };
    format!(
        "{}: {}, now {}",
        change.way,
        seen(&change.from),
        seen(&change.to)
    )
}
