//! `matrix diff`: what differs between two editions.

use super::grid::{Look, draw, mark, section, service};
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::matrix::{Conditions, DocumentedCell, Edition};

/// What differs between two editions.
#[derive(Debug, Serialize)]
pub struct Difference<'e> {
    from: Named<'e>,
    to: Named<'e>,
    /// Cells that differ. `null` means that an edition does not have the cell.
    cells: Vec<Changed<'e>>,
}

#[derive(Debug, Serialize)]
struct Named<'e> {
    name: &'e str,
    edition: &'e str,
    alias: Option<&'e str>,
}

#[derive(Debug, Serialize)]
struct Changed<'e> {
    #[serde(flatten)]
    conditions: &'e Conditions,
    from: Option<Said<'e>>,
    to: Option<Said<'e>>,
}

#[derive(Debug, Serialize)]
struct Said<'e> {
    value: svc_reach_common::verdict::Reachability,
    basis: svc_reach_common::verdict::Basis,
    pointer: &'e str,
    #[serde(skip)]
    mark: String,
}

impl<'e> Said<'e> {
    fn of(cell: &'e DocumentedCell) -> Self {
        Self {
            value: cell.value,
            basis: cell.basis,
            pointer: &cell.pointer,
            mark: mark(cell),
        }
    }
}

impl<'e> Named<'e> {
    fn of(edition: &'e Edition) -> Self {
        Self {
            name: &edition.name,
            edition: &edition.edition,
            alias: edition.alias.as_deref(),
        }
    }

    fn readable(&self) -> &str {
        self.alias.unwrap_or(self.edition)
    }
}

impl<'e> Difference<'e> {
    /// Compares two editions, cell by cell.
    pub fn between(from: &'e Edition, to: &'e Edition) -> Self {
        let of = |edition: &'e Edition, conditions: &Conditions| {
            edition
                .cells
                .iter()
                .find(|cell| cell.conditions == *conditions)
                .map(Said::of)
        };
        let added = to
            .cells
            .iter()
            .filter(|cell| of(from, &cell.conditions).is_none());
        let cells = from
            .cells
            .iter()
            .chain(added)
            .map(|cell| Changed {
                conditions: &cell.conditions,
                from: of(from, &cell.conditions),
                to: of(to, &cell.conditions),
            })
            .filter(|changed| {
                let said = |said: &Option<Said<'_>>| said.as_ref().map(|s| (s.value, s.basis));
                said(&changed.from) != said(&changed.to)
            })
            .collect();
        Self {
            from: Named::of(from),
            to: Named::of(to),
            cells,
        }
    }

    /// Writes the differences as a table. Cells with the same difference share a row.
    ///
    /// # Errors
    ///
    /// If writing fails.
    pub fn write(&self, look: Look, writer: &mut impl Write) -> io::Result<()> {
        let (from, to) = (self.from.readable(), self.to.readable());
        if self.cells.is_empty() {
            return writeln!(writer, "{from} and {to} are the same");
        }
        let said = |said: &Option<Said<'_>>| {
            said.as_ref()
                .map_or_else(|| "silent".to_owned(), |said| said.mark.clone())
        };
        let mut rows: Vec<Row> = self
            .cells
            .iter()
            .map(|changed| {
                let conditions = changed.conditions;
                let any = || "any".to_owned();
                [
                    section(conditions),
                    service(conditions),
                    conditions.access.map_or_else(any, |word| word.to_string()),
                    conditions.position.to_string(),
                    conditions.target.to_string(),
                    conditions.column.map_or_else(any, |word| word.to_string()),
                    said(&changed.from),
                    said(&changed.to),
                ]
                .map(|word| vec![word])
            })
            .collect();
        for field in [COLUMN, ACCESS, CLIENT, TARGET, WHERE] {
            rows = merged(rows, field);
        }
        // Contradictions come first, then cells that only one edition has.
        rows.sort_by_key(|row| row.iter().flatten().any(|word| word == "silent"));
        let separator = match look {
            Look::Terminal => "\n",
            Look::Markdown => ", ",
        };
        let rows = rows
            .iter()
            .map(|row| row.iter().map(|words| words.join(separator)).collect())
            .collect();
        let header = [
            "where", "service", "access", "client", "target", "columns", from, to,
        ];
        let header = header.iter().map(ToString::to_string).collect();
        writeln!(writer, "{}", draw(header, rows, look))
    }
}

/// A row of the table: for each field, the values that it applies to.
type Row = [Vec<String>; 8];

/// Fields in which the cells of one row may differ.
const WHERE: usize = 0;
const ACCESS: usize = 2;
const CLIENT: usize = 3;
const TARGET: usize = 4;
const COLUMN: usize = 5;

/// Merges rows that differ only in this field.
fn merged(rows: Vec<Row>, field: usize) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        let alike = |other: &&mut Row| {
            other
                .iter()
                .zip(&row)
                .enumerate()
                .all(|(index, (one, other))| index == field || one == other)
        };
        match merged.iter_mut().find(alike) {
            Some(other) => {
                for (words, more) in other.iter_mut().zip(row).skip(field).take(1) {
                    words.extend(more);
                }
            }
            None => merged.push(row),
        }
    }
    merged
}
