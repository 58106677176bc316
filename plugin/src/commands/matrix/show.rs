//! `matrix show`: an edition, as a table like that of the document.

use super::grid::{Look, draw, heading, mark, section, service};
use std::io::{self, Write};
use svc_reach_common::{
    client::SourceAddress,
    matrix::{Column, Conditions, DocumentedCell, Edition},
    verdict::Basis,
};

/// A row: its conditions except access and column, the kinds of access that it applies to, and its cells.
struct Row<'e> {
    conditions: Conditions,
    accesses: Vec<&'static str>,
    cells: Vec<(Option<Column>, &'e DocumentedCell)>,
}

/// Writes an edition.
///
/// # Errors
///
/// If writing fails.
pub fn write(edition: &Edition, look: Look, writer: &mut impl Write) -> io::Result<()> {
    let title = format!("{} {}", edition.name, edition.edition);
    match look {
        Look::Terminal => write!(writer, "{title}")?,
        Look::Markdown => write!(writer, "# {title}")?,
    }
    if let Some(alias) = &edition.alias {
        write!(writer, " ({alias})")?;
    }
    let dated = edition.dated.as_deref().unwrap_or("undated");
    writeln!(writer, ", {dated}, {}", edition.language)?;
    if look == Look::Markdown {
        writeln!(writer)?;
    }
    writeln!(writer, "{}", edition.source)?;

    let rows = rows(edition);
    let mut sections: Vec<String> = Vec::new();
    for row in &rows {
        let name = section(&row.conditions);
        if !sections.contains(&name) {
            sections.push(name);
        }
    }
    for name in sections {
        let rows: Vec<&Row<'_>> = rows
            .iter()
            .filter(|row| section(&row.conditions) == name)
            .collect();
        writeln!(writer, "\n{}\n", heading(&name, look))?;
        writeln!(writer, "{}", table(&rows, look))?;
    }
    writeln!(
        writer,
        "\n✓ reachable   ✗ unreachable   ( ) implied: the document says that whatever it does not list works"
    )?;
    let clients = clients(&edition.clients);
    list(
        "What backends see as the client's address",
        clients.iter().map(|(text, pointer)| (text, pointer)),
        look,
        writer,
    )?;
    let advice = edition.remedies.iter().map(|r| (&r.text, &r.pointer));
    list("Advice of the document", advice, look, writer)?;
    let remarks = edition.remarks.iter().map(|r| (&r.text, &r.pointer));
    list("Remarks of the document", remarks, look, writer)
}

/// What the document says about the client's address: each statement once, and its place.
fn clients(cells: &[DocumentedCell<SourceAddress>]) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    for cell in cells {
        let conditions = Conditions {
            column: None,
            ..cell.conditions.clone()
        };
        let text = match cell.basis {
            Basis::Implied => format!("{conditions}: ({})", cell.value),
            Basis::Stated | Basis::Predicted | Basis::Required | Basis::Policy => {
                format!("{conditions}: {}", cell.value)
            }
        };
        // The columns of a cell differ only in the end of its pointer.
        if !said.iter().any(|(known, _)| *known == text) {
            said.push((text, cell.pointer.clone()));
        }
    }
    said
}

fn list<'e>(
    title: &str,
    items: impl Iterator<Item = (&'e String, &'e String)>,
    look: Look,
    writer: &mut impl Write,
) -> io::Result<()> {
    let mut items = items.peekable();
    if items.peek().is_some() {
        writeln!(writer, "\n{}\n", heading(title, look))?;
    }
    for (text, pointer) in items {
        writeln!(writer, "- {text} ({pointer})")?;
    }
    Ok(())
}

/// Rows in the order of the document. Public and private access share a row if all their cells are the same.
fn rows(edition: &Edition) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for cell in &edition.cells {
        let conditions = Conditions {
            column: None,
            ..cell.conditions.clone()
        };
        match rows.iter_mut().find(|row| row.conditions == conditions) {
            Some(row) => row.cells.push((cell.conditions.column, cell)),
            None => rows.push(Row {
                accesses: conditions.access.iter().map(|a| a.as_str()).collect(),
                conditions,
                cells: vec![(cell.conditions.column, cell)],
            }),
        }
    }
    let mut merged: Vec<Row<'_>> = Vec::new();
    for mut row in rows {
        row.conditions.access = None;
        match merged.iter_mut().find(|other| {
            other.conditions == row.conditions
                && other.cells.len() == row.cells.len()
                && other.cells.iter().zip(&row.cells).all(|(one, other)| {
                    one.0 == other.0 && (one.1.value, one.1.basis) == (other.1.value, other.1.basis)
                })
        }) {
            Some(other) => other.accesses.append(&mut row.accesses),
            None => merged.push(row),
        }
    }
    merged
}

fn table(rows: &[&Row<'_>], look: Look) -> String {
    let mut columns: Vec<Option<Column>> = Vec::new();
    for (column, _) in rows.iter().flat_map(|row| &row.cells) {
        if !columns.contains(column) {
            columns.push(*column);
        }
    }
    let mut header: Vec<String> = ["service", "access", "client", "target"]
        .iter()
        .map(ToString::to_string)
        .collect();
    header.extend(columns.iter().map(|column| {
        column.map_or_else(|| "any cluster".to_owned(), |column| column.to_string())
    }));
    let rows = rows
        .iter()
        .map(|row| {
            let access = match row.accesses.as_slice() {
                [] => "any".to_owned(),
                accesses => accesses.join(", "),
            };
            let mut record = vec![
                service(&row.conditions),
                access,
                row.conditions.position.to_string(),
                row.conditions.target.to_string(),
            ];
            record.extend(columns.iter().map(|column| {
                row.cells
                    .iter()
                    .find(|(of, _)| of == column)
                    .map_or_else(String::new, |(_, cell)| mark(cell))
            }));
            record
        })
        .collect();
    draw(header, rows, look)
}
