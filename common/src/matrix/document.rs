//! Reads a matrix file: a document's editions in YAML, with rows of its tables and rules of its text.
//!
//! A row names its axes, each with one word or a list of words. It gives one value for all columns, or one value for
//! each column in the order of the edition's `columns`; `~` means that the document says nothing. A row with its own
//! `columns` comes from the document's text, not from its table. If a row leaves out an axis, the document does not
//! distinguish its values.

use super::{
    axes::{Class, Flavour, Forwarder, ServiceKind, Spot},
    cell::{Conditions, DocumentedCell},
    column::Column,
    edition::{Edition, Remark, Remedy},
    error::MatrixError,
    many::Many,
    text::{optional_text, text},
};
use crate::{
    UnknownWord,
    client::SourceAddress,
    facts::TrafficPolicy,
    position::Position,
    target::{Relation, Scope},
    verdict::{Basis, Reachability},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_saphyr::Spanned;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    marker::PhantomData,
    str::FromStr,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    provider: String,
    editions: Vec<Spanned<Document>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(deserialize_with = "text")]
    edition: String,
    #[serde(default, deserialize_with = "optional_text")]
    alias: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    dated: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    operator: Option<String>,
    #[serde(deserialize_with = "text")]
    language: String,
    #[serde(deserialize_with = "text")]
    source: String,
    #[serde(default)]
    columns: Vec<Heading>,
    rows: Vec<Spanned<Row<Reachability>>>,
    /// Rows about the client's address.
    #[serde(default)]
    clients: Vec<Spanned<Row<SourceAddress>>>,
    #[serde(default)]
    remedies: Vec<Remedy>,
    #[serde(default)]
    remarks: Vec<Remark>,
}

/// A column of the document's table, and its title in the document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    column: Column,
    #[serde(deserialize_with = "text")]
    title: String,
}

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    bound = "V: Deserialize<'de> + FromStr<Err = UnknownWord>"
)]
struct Row<V> {
    #[serde(default)]
    service: Many<ServiceKind>,
    #[serde(default)]
    class: Many<Class>,
    #[serde(default)]
    access: Many<Scope>,
    position: Many<Position>,
    columns: Option<Many<Column>>,
    #[serde(default)]
    external_traffic_policy: Many<TrafficPolicy>,
    #[serde(default)]
    internal_traffic_policy: Many<TrafficPolicy>,
    #[serde(default)]
    pass_through: Many<bool>,
    #[serde(default)]
    flavour: Many<Flavour>,
    #[serde(default)]
    host_network: Many<bool>,
    #[serde(default)]
    forwarder: Many<Forwarder>,
    #[serde(default)]
    relation: Many<Relation>,
    #[serde(default = "stated")]
    basis: Basis,
    #[serde(deserialize_with = "text")]
    pointer: String,
    #[serde(default, deserialize_with = "optional_text")]
    source: Option<String>,
    values: BTreeMap<Spot, Spanned<Values<V>>>,
}

const fn stated() -> Basis {
    Basis::Stated
}

/// One value for all columns, or one value for each column.
enum Values<V> {
    All(V),
    Each(Vec<Option<V>>),
}

impl<'de, V: Deserialize<'de> + FromStr<Err = UnknownWord>> Deserialize<'de> for Values<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrEach<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de> + FromStr<Err = UnknownWord>> Visitor<'de> for AllOrEach<V> {
            type Value = Values<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a list of values with one for each column")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Values<V>, E> {
                value.parse().map(Values::All).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Values<V>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Values::Each)
            }
        }

        deserializer.deserialize_any(AllOrEach(PhantomData))
    }
}

/// Reads a matrix file. `file` names it in errors.
///
/// # Errors
///
/// - [`MatrixError::Format`] if the text does not have the format.
/// - [`MatrixError::Cell`] if a row cannot be read as cells: its number of values is not the number of columns, or
///   another row has the same cell.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Edition>, MatrixError> {
    // A matrix repeats its columns and rows by aliases. The reader's other limits still bound what a file can expand to.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false },
    };
    let parsed: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        MatrixError::Format {
            file: file.to_owned(),
            line: error.location().map_or(0, |location| location.line()),
            message: error.without_snippet().to_string(),
        }
    })?;
    if parsed.editions.is_empty() {
        return Err(wrong(file, 1, "the matrix has no editions"));
    }
    parsed
        .editions
        .into_iter()
        .map(|edition| {
            let line = edition.referenced.line();
            edition
                .value
                .read(file, line, &parsed.name, &parsed.provider)
        })
        .collect()
}

fn wrong(file: &str, line: u64, message: &str) -> MatrixError {
    MatrixError::Format {
        file: file.to_owned(),
        line,
        message: message.to_owned(),
    }
}

impl Document {
    fn read(
        self,
        file: &str,
        line: u64,
        name: &str,
        provider: &str,
    ) -> Result<Edition, MatrixError> {
        if self.source.trim().is_empty() {
            return Err(wrong(file, line, "the source of the edition is empty"));
        }
        let cells = read_rows(file, &self.columns, &self.rows)?;
        let clients = read_rows(file, &self.columns, &self.clients)?;
        if cells.is_empty() {
            return Err(wrong(file, line, "the edition has no cells"));
        }
        Ok(Edition {
            name: name.to_owned(),
            provider: provider.to_owned(),
            edition: self.edition,
            alias: self.alias,
            dated: self.dated,
            operator: self.operator,
            language: self.language,
            source: self.source,
            cells,
            clients,
            remedies: self.remedies,
            remarks: self.remarks,
        })
    }
}

/// The cells of these rows.
fn read_rows<V: Copy + Eq + Hash>(
    file: &str,
    headings: &[Heading],
    rows: &[Spanned<Row<V>>],
) -> Result<Vec<DocumentedCell<V>>, MatrixError> {
    let mut cells = Vec::new();
    // Two rows may give the same cell opposite values, since a document can contradict itself.
    let mut lines: HashMap<(Conditions, V), u64> = HashMap::new();
    for row in rows {
        let line = row.referenced.line();
        let row = &row.value;
        if row.pointer.trim().is_empty() {
            return Err(wrong(file, line, "the pointer of the row is empty"));
        }
        if matches!(
            row.basis,
            Basis::Predicted | Basis::Required | Basis::Policy
        ) {
            let message = "the basis of a row must be stated or implied";
            return Err(wrong(file, line, message));
        }
        for (&target, values) in &row.values {
            let line = values.referenced.line();
            let wrong = |cell: String, message| MatrixError::Cell {
                file: file.to_owned(),
                line,
                cell,
                message,
            };
            for cell in row
                .cells(headings, target, &values.value)
                .map_err(|message| wrong(target.to_string(), message))?
            {
                if let Some(earlier) = lines.insert((cell.conditions.clone(), cell.value), line) {
                    let message = format!("line {earlier} has the same cell");
                    return Err(wrong(cell.conditions.to_string(), message));
                }
                cells.push(cell);
            }
        }
    }
    Ok(cells)
}

impl<V: Copy> Row<V> {
    /// The cells of one target: every combination of the row's axes.
    fn cells(
        &self,
        headings: &[Heading],
        target: Spot,
        values: &Values<V>,
    ) -> Result<Vec<DocumentedCell<V>>, String> {
        let columns: Vec<(Option<Column>, Option<&str>)> = match &self.columns {
            Some(columns) => columns
                .0
                .iter()
                .map(|&column| (Some(column), None))
                .collect(),
            None if headings.is_empty() => vec![(None, None)],
            None => headings
                .iter()
                .map(|heading| (Some(heading.column), Some(heading.title.as_str())))
                .collect(),
        };
        let values: Vec<Option<V>> = match values {
            Values::All(value) => vec![Some(*value); columns.len()],
            Values::Each(values) if values.len() == columns.len() => values.clone(),
            Values::Each(values) => {
                return Err(format!(
                    "{} values for {} columns",
                    values.len(),
                    columns.len()
                ));
            }
        };
        let mut cells = Vec::new();
        for base in self.bases(target) {
            for ((column, title), value) in columns.iter().zip(&values) {
                let Some(value) = *value else { continue };
                cells.push(DocumentedCell {
                    conditions: Conditions {
                        column: *column,
                        ..base.clone()
                    },
                    value,
                    basis: self.basis,
                    pointer: match title {
                        Some(title) => format!("{}, column {title}", self.pointer),
                        None => self.pointer.clone(),
                    },
                    source: self.source.clone(),
                });
            }
        }
        Ok(cells)
    }

    /// Every combination of the row's axes, without columns.
    fn bases(&self, target: Spot) -> Vec<Conditions> {
        let bases = self
            .position
            .0
            .iter()
            .map(|&position| Conditions::anywhere(position, target))
            .collect();
        let bases = spread(bases, &self.service, |to, word| to.service = word);
        let bases = spread(bases, &self.class, |to, word| to.class = word);
        let bases = spread(bases, &self.access, |to, word| to.access = word);
        let bases = spread(bases, &self.external_traffic_policy, |to, word| {
            to.external_traffic_policy = word;
        });
        let bases = spread(bases, &self.pass_through, |to, word| to.pass_through = word);
        let bases = spread(bases, &self.flavour, |to, word| to.flavour = word);
        let bases = spread(bases, &self.internal_traffic_policy, |to, word| {
            to.internal_traffic_policy = word;
        });
        let bases = spread(bases, &self.relation, |to, word| to.relation = word);
        let bases = spread(bases, &self.host_network, |to, word| to.host_network = word);
        spread(bases, &self.forwarder, |to, word| to.forwarder = word)
    }
}

/// One base for each value of an axis.
fn spread<T: Copy>(
    bases: Vec<Conditions>,
    axis: &Many<T>,
    set: impl Fn(&mut Conditions, Option<T>),
) -> Vec<Conditions> {
    let words = axis.walk();
    bases
        .iter()
        .flat_map(|base| words.iter().map(move |&word| (base.clone(), word)))
        .map(|(mut base, word)| {
            set(&mut base, word);
            base
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::{matrix::Edition, verdict::Reachability};

    const SMALL: &str = "\
name: small
provider: nobody
editions:
- edition: first
  language: en
  source: a wall
  columns:
  - {column: tunnel/ipvs, title: T}
  - {column: vpc/ipvs, title: V}
  rows:
  - service: NodePort
    access: [public, private]
    position: node-same
    pointer: row 1
    values:
      node-port/backend: reachable
      node-port/other: [unreachable, ~]
";

    fn small(from: &str, to: &str) -> Result<Vec<Edition>, String> {
        assert!(SMALL.contains(from), "{from}");
        read("small.yaml", &SMALL.replacen(from, to, 1)).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_become_cells() {
        let editions = read("small.yaml", SMALL).unwrap();
        let cells = &editions[0].cells;
        assert_eq!(cells.len(), 6, "{cells:#?}");
        let silent = cells
            .iter()
            .filter(|cell| cell.value == Reachability::Unreachable);
        assert_eq!(silent.count(), 2, "the second column is silent");
        assert_eq!(cells[0].pointer, "row 1, column T");
    }

    #[test]
    fn a_document_may_contradict_itself() {
        let again = "  - {service: NodePort, access: public, position: node-same, pointer: row 2, columns: vpc/ipvs, values: {node-port/backend: unreachable}}\n";
        let end = "      node-port/other: [unreachable, ~]\n";
        let editions = small(end, &format!("{end}{again}")).unwrap();
        assert_eq!(editions[0].cells.len(), 7);
    }

    #[test]
    fn errors_name_line_and_cell() {
        let again = "  - {service: NodePort, access: public, position: node-same, pointer: row 2, columns: vpc/ipvs, values: {node-port/backend: reachable}}\n";
        let rows = [
            (
                "an unknown word",
                ("node-same", "node-elsewhere"),
                "line 13: unknown position \"node-elsewhere\"",
            ),
            ("an unknown key", ("access:", "acces:"), "line 12"),
            (
                "an unknown target",
                ("node-port/other", "port"),
                "unknown cell target \"port\"",
            ),
            (
                "a column too many",
                ("[unreachable, ~]", "[unreachable, ~, ~]"),
                "line 17, cell node-port/other: 3 values for 2 columns",
            ),
            (
                "no pointer",
                ("pointer: row 1", "pointer: ''"),
                "line 11: the pointer of the row is empty",
            ),
            (
                "a prediction",
                ("pointer: row 1", "pointer: row 1\n    basis: predicted"),
                "line 11: the basis of a row must be stated or implied",
            ),
            (
                "no source",
                ("a wall", "''"),
                "line 4: the source of the edition is empty",
            ),
            (
                "a cell twice",
                (
                    "      node-port/other: [unreachable, ~]\n",
                    &format!("      node-port/other: [unreachable, ~]\n{again}"),
                ),
                "line 18, cell NodePort, public, node-same, vpc/ipvs, node-port/backend: line 16 has the same cell",
            ),
            (
                "a terminal escape",
                ("pointer: row 1", "pointer: \"\\e[31mrow 1\""),
                "\\u{1b}[31mrow 1\" contains a control character or an invisible character",
            ),
            (
                "an invisible character",
                ("pointer: row 1", "pointer: \"row\\u202E 1\""),
                "\"row\\u{202e} 1\" contains a control character or an invisible character",
            ),
            (
                "an empty list",
                ("[public, private]", "[]"),
                "a word or a list of words",
            ),
        ];
        for (name, (from, to), expected) in rows {
            let error = small(from, to).unwrap_err();
            assert!(
                error.starts_with("small.yaml, line") && error.contains(expected),
                "{name}: {error}"
            );
        }
    }
}
