//! `matrix list`: all editions in short.

use super::grid::{Look, draw};
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::{matrix::Edition, verdict::Basis};

/// The summary of an edition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'e> {
    name: &'e str,
    provider: &'e str,
    edition: &'e str,
    alias: Option<&'e str>,
    dated: Option<&'e str>,
    language: &'e str,
    source: &'e str,
    cells: usize,
    implied: usize,
}

impl<'e> Entry<'e> {
    /// The summary of an edition.
    pub fn of(edition: &'e Edition) -> Self {
        let implied =
            |cell: &&svc_reach_common::matrix::DocumentedCell| cell.basis == Basis::Implied;
        Self {
            name: &edition.name,
            provider: &edition.provider,
            edition: &edition.edition,
            alias: edition.alias.as_deref(),
            dated: edition.dated.as_deref(),
            language: &edition.language,
            source: &edition.source,
            cells: edition.cells.len(),
            implied: edition.cells.iter().filter(implied).count(),
        }
    }
}

/// Writes the summaries of editions. Sources follow below the table, because they are long.
///
/// # Errors
///
/// If writing fails.
pub fn write(entries: &[Entry<'_>], look: Look, writer: &mut impl Write) -> io::Result<()> {
    let header = [
        "name", "edition", "also", "dated", "language", "cells", "implied",
    ];
    let rows = entries
        .iter()
        .map(|entry| {
            vec![
                entry.name.to_owned(),
                entry.edition.to_owned(),
                entry.alias.unwrap_or_default().to_owned(),
                entry.dated.unwrap_or("-").to_owned(),
                entry.language.to_owned(),
                entry.cells.to_string(),
                entry.implied.to_string(),
            ]
        })
        .collect();
    let header = header.iter().map(ToString::to_string).collect();
    writeln!(writer, "{}\n", draw(header, rows, look))?;
    for entry in entries {
        let name = entry.alias.unwrap_or(entry.edition);
        let item = match look {
            Look::Terminal => "",
            Look::Markdown => "- ",
        };
        writeln!(writer, "{item}{}@{name}: {}", entry.name, entry.source)?;
    }
    Ok(())
}
