//! All known matrices.

use super::{
    cell::DocumentedCell,
    document,
    edition::Edition,
    error::MatrixError,
    ruling::{Branch, EditionReading, Ruling, Statement},
    situation::Situation,
};
use crate::client::SourceAddress;

/// The embedded files: name and text.
const BUILTIN: &[(&str, &str)] = &[
    (
        "alibaba-ack.yaml",
        include_str!("../../matrices/alibaba-ack.yaml"),
    ),
    ("aws-nlb.yaml", include_str!("../../matrices/aws-nlb.yaml")),
    (
        "huawei-cce.yaml",
        include_str!("../../matrices/huawei-cce.yaml"),
    ),
    (
        "kubernetes.yaml",
        include_str!("../../matrices/kubernetes.yaml"),
    ),
    (
        "tencent-tke.yaml",
        include_str!("../../matrices/tencent-tke.yaml"),
    ),
];

/// Name of the matrix that applies to every Kubernetes.
pub const UPSTREAM: &str = "kubernetes";

/// All known matrices. The newest edition of each comes first.
///
/// ```
/// use svc_reach_common::matrix::{Catalog, UPSTREAM};
///
/// let catalog = Catalog::builtin()?;
/// assert_eq!(catalog.find(UPSTREAM)?.name, UPSTREAM);
/// # Ok::<(), svc_reach_common::matrix::MatrixError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    editions: Vec<Edition>,
}

/// What cells are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixSelection {
    /// Names of matrices. The first one that mentions a cell counts for that cell.
    pub matrices: Vec<String>,
    /// The edition of the first matrix; `None` for the newest edition that mentions the cell.
    pub edition: Option<String>,
    /// Who runs the cluster; `None` if that is unknown. It does not matter if an edition is chosen.
    pub operator: Option<String>,
    /// Whether to ignore all other editions, so that they cannot dispute a cell.
    pub strict: bool,
}

impl Catalog {
    /// The embedded matrices.
    ///
    /// # Errors
    ///
    /// Fails if one of them cannot be read. A test makes sure that this does not happen.
    pub fn builtin() -> Result<Self, MatrixError> {
        let mut catalog = Self::default();
        for (file, text) in BUILTIN {
            catalog.add(file, text)?;
        }
        Ok(catalog)
    }

    /// Adds a file. It replaces a matrix of the same name. Returns the name of the matrix.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a matrix, or if it has an edition twice. The error contains the file's name.
    pub fn add(&mut self, file: &str, text: &str) -> Result<String, MatrixError> {
        let editions = document::read(file, text)?;
        let name = editions
            .first()
            .map(|edition| edition.name.clone())
            .unwrap_or_default();
        self.editions.retain(|edition| edition.name != name);
        for edition in editions {
            let names = [Some(&edition.edition), edition.alias.as_ref()];
            for known in names.into_iter().flatten() {
                if self.of(&name).any(|other| other.is(known)) {
                    return Err(MatrixError::Twice {
                        file: file.to_owned(),
                        name,
                        edition: known.clone(),
                    });
                }
            }
            self.editions.push(edition);
        }
        self.editions
            .sort_by(|one, other| one.name.cmp(&other.name).then_with(|| one.by_age(other)));
        Ok(name)
    }

    /// Every edition, grouped by matrix, newest first.
    #[must_use]
    pub fn editions(&self) -> &[Edition] {
        &self.editions
    }

    /// The editions of the matrix of this name, newest first.
    pub fn of<'c, 'n>(&'c self, name: &'n str) -> impl Iterator<Item = &'c Edition> + use<'c, 'n> {
        self.editions
            .iter()
            .filter(move |edition| edition.name == name)
    }

    /// The edition that `NAME[@EDITION]` names, or the newest one.
    ///
    /// # Errors
    ///
    /// Fails if there is no such matrix or edition.
    pub fn find(&self, reference: &str) -> Result<&Edition, MatrixError> {
        let (name, edition) = split(reference);
        let known: Vec<&Edition> = self.of(name).collect();
        let Some(newest) = known.first() else {
            let mut valid: Vec<String> = self
                .editions
                .iter()
                .map(|edition| edition.name.clone())
                .collect();
            valid.dedup();
            return Err(MatrixError::UnknownMatrix {
                given: name.to_owned(),
                valid,
            });
        };
        let Some(edition) = edition else {
            return Ok(newest);
        };
        known
            .iter()
            .find(|known| known.is(edition))
            .copied()
            .ok_or_else(|| MatrixError::UnknownEdition {
                name: name.to_owned(),
                given: edition.to_owned(),
                valid: known
                    .iter()
                    .map(|known| known.readable().to_owned())
                    .collect(),
            })
    }

    /// The provider's matrix, if it has one, and upstream's for all other cells.
    #[must_use]
    pub fn select(
        &self,
        provider: Option<&str>,
        operator: Option<&str>,
        strict: bool,
    ) -> MatrixSelection {
        let provider = provider.filter(|name| self.of(name).next().is_some());
        MatrixSelection {
            operator: operator.map(str::to_owned),
            strict,
            ..MatrixSelection::of(provider)
        }
    }

    /// The edition that a selection uses first.
    #[must_use]
    pub fn primary(&self, selection: &MatrixSelection) -> Option<&Edition> {
        let name = selection.matrices.first()?;
        let first = self.in_order(selection, name).into_iter().next()?;
        let chosen = selection.edition.as_deref();
        chosen
            .is_none_or(|chosen| first.is(chosen))
            .then_some(first)
    }

    /// What the selected documents say about a cell that can be in one of these situations.
    ///
    /// In each situation, the first matrix that mentions the cell counts. So if a matrix is silent in only one of them,
    /// the next matrix is used there.
    #[must_use]
    pub fn ruling(&self, selection: &MatrixSelection, situations: &[Situation]) -> Ruling<'_> {
        let branches: Vec<Branch<'_>> = situations
            .iter()
            .map(|situation| Branch {
                when: situation.differences(situations),
                statement: self.statement(selection, situation, |edition| &edition.cells),
            })
            .collect();
        let editions = branches
            .iter()
            .find_map(|branch| branch.statement.as_ref())
            .map(|statement| self.readings(selection, statement, situations))
            .unwrap_or_default();
        Ruling { branches, editions }
    }

    /// What the selected documents say about the client's address, in each situation.
    #[must_use]
    pub fn clients(
        &self,
        selection: &MatrixSelection,
        situations: &[Situation],
    ) -> Vec<Option<Statement<'_, SourceAddress>>> {
        situations
            .iter()
            .map(|situation| self.statement(selection, situation, |edition| &edition.clients))
            .collect()
    }

    /// What the first matrix that mentions the cell says in this situation.
    fn statement<V: Copy + PartialEq>(
        &self,
        selection: &MatrixSelection,
        situation: &Situation,
        cells: impl Fn(&Edition) -> &[DocumentedCell<V>],
    ) -> Option<Statement<'_, V>> {
        selection.matrices.iter().find_map(|name| {
            let editions = self.in_order(selection, name);
            let operator = operator(selection, &editions);
            let readings = editions
                .into_iter()
                .filter_map(|edition| edition.reading_of(cells(edition), situation));
            Statement::of(readings, operator)
        })
    }

    /// What every selected edition of the first statement's matrix says, except those that do not mention the cell and
    /// those whose value depends on the situation.
    fn readings<'c>(
        &'c self,
        selection: &MatrixSelection,
        statement: &Statement<'c>,
        situations: &[Situation],
    ) -> Vec<EditionReading<'c>> {
        let one_value = |edition: &'c Edition| {
            let mut values = situations
                .iter()
                .filter_map(|situation| Some(edition.reading(situation)?.cell.value));
            let value = values.next()?;
            values.all(|other| other == value).then(|| EditionReading {
                edition,
                value,
                standing: statement.standing(edition),
            })
        };
        self.in_order(selection, &statement.first.edition.name)
            .into_iter()
            .filter_map(one_value)
            .collect()
    }

    /// The editions of a matrix that a selection uses. Each comes before those that it supersedes:
    ///
    /// 1. the chosen one
    /// 2. those of the cluster's operator, newest first
    /// 3. all others, newest first
    fn in_order(&self, selection: &MatrixSelection, name: &str) -> Vec<&Edition> {
        let first = selection
            .matrices
            .first()
            .is_some_and(|first| first == name);
        let chosen = selection.edition.as_deref().filter(|_| first);
        let mut editions: Vec<&Edition> = self.of(name).collect();
        editions.sort_by_key(|edition| {
            let is_chosen = chosen.is_some_and(|chosen| edition.is(chosen));
            (!is_chosen, edition.operator != selection.operator)
        });
        if selection.strict {
            editions.truncate(1);
        }
        editions
    }
}

/// Whose editions of a matrix count: those of the operator of the chosen edition, or else those of the cluster's
/// operator. `None`: it is unknown, so those of every operator do.
fn operator<'s>(selection: &'s MatrixSelection, editions: &[&'s Edition]) -> Option<&'s str> {
    let chosen = selection.edition.as_deref().and_then(|chosen| {
        editions
            .iter()
            .find(|edition| edition.is(chosen))
            .and_then(|edition| edition.operator.as_deref())
    });
    chosen.or(selection.operator.as_deref())
}

impl MatrixSelection {
    /// The provider's matrix, if given, and upstream's for all other cells.
    #[must_use]
    pub fn of(provider: Option<&str>) -> Self {
        Self {
            matrices: provider
                .into_iter()
                .filter(|&name| name != UPSTREAM)
                .chain([UPSTREAM])
                .map(str::to_owned)
                .collect(),
            edition: None,
            operator: None,
            strict: false,
        }
    }
}

/// Name and edition of `NAME[@EDITION]`.
#[must_use]
pub fn split(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('@') {
        Some((name, edition)) => (name, Some(edition)),
        None => (reference, None),
    }
}
