//! What changed between two runs, for people.

use super::change::{Change, Comparison, Seen};
use crate::output::printable::printable;
use std::io::{self, Write};
use svc_reach_common::target::Relation;

/// Writes a comparison.
///
/// # Errors
///
/// What the writer says.
pub fn write(comparison: &Comparison, writer: &mut impl Write) -> io::Result<()> {
    let changed = match comparison.changes.len() {
        0 => "nothing changed".to_owned(),
        n => format!("{n} changed"),
    };
    writeln!(
        writer,
        "Service {}, run {} to {}: {} cells compared, {changed}",
        printable(&comparison.service),
        printable(&comparison.from.run),
        printable(&comparison.to.run),
        comparison.compared
    )?;
    let mut heading = None;
    for change in &comparison.changes {
        if heading != Some(change.became) {
            writeln!(writer, "\n{}:", change.became)?;
            heading = Some(change.became);
        }
        writeln!(writer, "  {}", line(change))?;
    }
    Ok(())
}

/// A change in a line.
pub fn line(change: &Change) -> String {
    let target = &change.target;
    let mut text = format!("{} -> {} {}", change.position, target.kind, target.address);
    text += &format!(":{}", target.port);
    if let Some(role) = target.node_role {
        text += &format!(" ({role}");
        if target.relation == Some(Relation::Own) {
            text += ", its own node";
        }
        text += ")";
    }
    let seen = |seen: &Option<Seen>| {
        seen.as_ref().map_or_else(
            || "not asked".to_owned(),
            |seen| format!("{} ({})", seen.value, seen.reason),
        )
    };
    text += &format!(": {}, now {}", seen(&change.from), seen(&change.to));
    printable(&text)
}
