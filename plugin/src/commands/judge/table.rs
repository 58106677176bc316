//! What changed between two runs, for people.

use super::change::{CellState, Change, Comparison};
use crate::output::{printable::printable, screen::Screen, table::item};
use std::io::{self, Write};
use svc_reach_common::client::ClientValue;

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
    let clients = [&change.from, &change.to].map(|seen| seen.as_ref().map(|seen| seen.client));
    let same_client = clients[0] == clients[1];
    let seen = |seen: &Option<CellState>| match seen {
        None => "not checked".to_owned(),
        Some(CellState {
            value,
            reason,
            client,
        }) => {
            let client = match client {
                ClientValue::Kept | ClientValue::Replaced if !same_client => {
                    format!("; client address {client}")
                }
                ClientValue::Kept | ClientValue::Replaced | ClientValue::NotKnown => String::new(),
            };
            format!("{value} ({reason}{client})")
        }
    };
    format!(
        "{}: {}, now {}",
        change.way,
        seen(&change.from),
        seen(&change.to)
    )
}
