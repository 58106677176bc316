//! All matrices that are known.

use super::{
    cell::DocumentedCell,
    document,
    edition::Edition,
    error::MatrixError,
    reading::{Branch, Reading},
    situation::Situation,
};
use crate::verdict::Reachability;

/// The files that are embedded, by name and text.
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

/// Name of the matrix that holds for every Kubernetes.
pub const UPSTREAM: &str = "kubernetes";

/// All matrices that are known; of each, the newest edition comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    editions: Vec<Edition>,
}

/// What cells are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixSelection {
    /// Names of matrices. The first that speaks of a cell is the one that counts for it.
    pub matrices: Vec<String>,
    /// The edition of the first of them to go by; `None`: the newest that speaks of the cell.
    pub edition: Option<String>,
    /// Whether other editions do not count, even where they disagree.
    pub strict: bool,
}

/// What the selected documents say of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling<'c> {
    /// Nothing.
    Silent,
    /// What the edition says depends on what is not known.
    Depends(&'c Edition, Vec<Branch>),
    /// This.
    Says {
        /// The edition that counts.
        edition: &'c Edition,
        /// What it says.
        cell: &'c DocumentedCell,
        /// What every edition of the matrix that speaks of it says, that one included.
        all: Vec<(&'c Edition, Reachability)>,
    },
}

impl Catalog {
    /// The matrices that the program carries.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, which a test rules out.
    pub fn builtin() -> Result<Self, MatrixError> {
        let mut catalog = Self::default();
        for (file, text) in BUILTIN {
            catalog.add(file, text)?;
        }
        Ok(catalog)
    }

    /// Adds a file, whose name errors will carry, in the place of whatever had its matrix' name. Tells that name.
    ///
    /// # Errors
    ///
    /// When the text is not a matrix, or has an edition twice.
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

    /// What `NAME[@EDITION]` names: an edition, or the newest one.
    ///
    /// # Errors
    ///
    /// When there is no such matrix or no such edition.
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

    /// The provider's matrix where there is one of its name, and upstream's for the rest.
    #[must_use]
    pub fn select(&self, provider: Option<&str>, strict: bool) -> MatrixSelection {
        let provider = provider.filter(|name| self.of(name).next().is_some());
        MatrixSelection {
            strict,
            ..MatrixSelection::of(provider)
        }
    }

    /// The edition that a selection goes by first.
    #[must_use]
    pub fn primary(&self, selection: &MatrixSelection) -> Option<&Edition> {
        let name = selection.matrices.first()?;
        match &selection.edition {
            Some(chosen) => self.of(name).find(|edition| edition.is(chosen)),
            None => self.of(name).next(),
        }
    }

    /// What the selected documents say of a cell that can be in one of these situations.
    #[must_use]
    pub fn ruling(&self, selection: &MatrixSelection, situations: &[Situation]) -> Ruling<'_> {
        for (nth, name) in selection.matrices.iter().enumerate() {
            let chosen = selection.edition.as_deref().filter(|_| nth == 0);
            let mut editions: Vec<&Edition> = self.of(name).collect();
            if let Some(chosen) = chosen {
                editions.sort_by_key(|edition| !edition.is(chosen));
            }
            if selection.strict {
                editions.truncate(1);
            }
            let readings: Vec<(&Edition, Reading<'_>)> = editions
                .iter()
                .map(|edition| (*edition, edition.reading(situations)))
                .collect();
            let Some((edition, first)) = readings
                .iter()
                .find(|(_, reading)| *reading != Reading::Silent)
            else {
                continue;
            };
            return match first {
                Reading::Silent => continue,
                Reading::Depends(branches) => Ruling::Depends(edition, branches.clone()),
                Reading::Says(cell) => Ruling::Says {
                    edition,
                    cell,
                    all: readings
                        .iter()
                        .filter_map(|(edition, reading)| match reading {
                            Reading::Says(cell) => Some((*edition, cell.value)),
                            Reading::Silent | Reading::Depends(_) => None,
                        })
                        .collect(),
                },
            };
        }
        Ruling::Silent
    }
}

impl MatrixSelection {
    /// The provider's matrix where there is one, and what upstream says of the cells that it is silent on.
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
