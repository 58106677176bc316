//! What a document says should happen, as data: one file for each document and edition.
//!
//! ```text
//! file → Matrix { rows } → (facts, position, target) → Statement
//! ```

use crate::{
    facts::{Facts, TrafficPolicy},
    position::Position,
    report::{Basis, Expectation},
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    verdict::Reachability,
};
use serde::{Deserialize, Serialize};

/// The matrices that this program carries, by the names of their files.
const BUILTIN: [(&str, &str); 1] = [KUBERNETES];

const KUBERNETES: (&str, &str) = (
    "kubernetes.yaml",
    include_str!("../matrices/kubernetes.yaml"),
);

/// A matrix file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// It is not of the format.
    #[error("failed to read matrix {file}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong with it, and where.
        source: Box<serde_saphyr::Error>,
    },
    /// A row can never speak, since one before it speaks for all of its cells.
    #[error(
        "failed to read matrix {file}: row {row} ({pointer}) says again what row {before} says"
    )]
    Repeated {
        /// The file.
        file: String,
        /// The row, counted from 1.
        row: usize,
        /// Its pointer.
        pointer: String,
        /// The row before it.
        before: usize,
    },
}

/// One edition of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// Whose document it is.
    pub provider: String,
    /// Which edition of it.
    pub edition: String,
    /// When it was read, or the date that it bears.
    pub dated: String,
    /// Language of the document, by its ISO 639-1 code.
    pub language: String,
    /// Where it stands.
    pub source: String,
    /// What it says, first fit first.
    pub rows: Vec<Row>,
}

/// What a document says of the cells that fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    /// Kinds of target that it speaks of.
    pub targets: Vec<TargetKind>,
    /// Positions that it speaks of; empty: all.
    #[serde(default)]
    pub positions: Vec<Position>,
    /// Only Services with this policy.
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Only Services with this policy.
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Only targets of nodes with this role.
    pub node_role: Option<NodeRole>,
    /// Only targets with this relation to the probe.
    pub relation: Option<Relation>,
    /// Only targets of this scope.
    pub scope: Option<Scope>,
    /// What it says.
    pub value: Reachability,
    /// Whether it says so itself.
    pub basis: Basis,
    /// Where in the document.
    pub pointer: String,
    /// Where the document stands, if elsewhere than the matrix as a whole.
    pub source: Option<String>,
    /// What can be done about it.
    pub hint: Option<String>,
}

impl Matrix {
    /// The matrices that this program carries.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse`]; a test reads every one of them.
    pub fn builtin() -> Result<Vec<Self>, MatrixError> {
        BUILTIN
            .iter()
            .map(|(file, text)| Self::parse(file, text))
            .collect()
    }

    /// What upstream's documents say, which hold for every cluster.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse`].
    pub fn kubernetes() -> Result<Self, MatrixError> {
        Self::parse(KUBERNETES.0, KUBERNETES.1)
    }

    /// Reads a matrix.
    ///
    /// # Errors
    ///
    /// Name the file, and the line or the row that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, MatrixError> {
        let matrix: Self = serde_saphyr::from_str(text).map_err(|source| MatrixError::Format {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        for (index, row) in matrix.rows.iter().enumerate() {
            if let Some(before) = matrix
                .rows
                .iter()
                .take(index)
                .position(|before| before.covers(row))
            {
                return Err(MatrixError::Repeated {
                    file: file.to_owned(),
                    row: index + 1,
                    pointer: row.pointer.clone(),
                    before: before + 1,
                });
            }
        }
        Ok(matrix)
    }

    /// What the document says of a cell; `None`: nothing. No document speaks of a Service that nothing stands behind.
    #[must_use]
    pub fn row(&self, facts: &Facts, position: Position, target: &Target) -> Option<&Row> {
        if !facts.endpoints.iter().any(|endpoint| endpoint.ready) {
            return None;
        }
        self.rows
            .iter()
            .find(|row| row.fits(facts, position, target))
    }

    /// A row as a report has it.
    #[must_use]
    pub fn expectation(&self, row: &Row) -> Expectation {
        let source = row.source.as_ref().unwrap_or(&self.source);
        Expectation {
            value: row.value,
            basis: row.basis,
            matrix: Some(self.name.clone()),
            edition: Some(self.edition.clone()),
            source: Some(format!("{source} ({})", row.pointer)),
        }
    }
}

impl Row {
    fn fits(&self, facts: &Facts, position: Position, target: &Target) -> bool {
        let service = &facts.service;
        let is =
            |wanted: Option<TrafficPolicy>, policy| wanted.is_none_or(|wanted| wanted == policy);
        self.targets.contains(&target.kind)
            && (self.positions.is_empty() || self.positions.contains(&position))
            && is(
                self.external_traffic_policy,
                service.external_traffic_policy,
            )
            && is(
                self.internal_traffic_policy,
                service.internal_traffic_policy,
            )
            && (self.node_role.is_none() || self.node_role == target.node_role)
            && (self.relation.is_none() || self.relation == target.relation)
            && (self.scope.is_none() || self.scope == target.scope)
    }

    /// Whether every cell that `other` fits is one that this row fits.
    fn covers(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(ours: Option<&T>, theirs: Option<&T>) -> bool {
            ours.is_none() || ours == theirs
        }
        other
            .targets
            .iter()
            .all(|target| self.targets.contains(target))
            && (self.positions.is_empty()
                || !other.positions.is_empty()
                    && other
                        .positions
                        .iter()
                        .all(|position| self.positions.contains(position)))
            && within(
                self.external_traffic_policy.as_ref(),
                other.external_traffic_policy.as_ref(),
            )
            && within(
                self.internal_traffic_policy.as_ref(),
                other.internal_traffic_policy.as_ref(),
            )
            && within(self.node_role.as_ref(), other.node_role.as_ref())
            && within(self.relation.as_ref(), other.relation.as_ref())
            && within(self.scope.as_ref(), other.scope.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    fn kubernetes() -> String {
        include_str!("../matrices/kubernetes.yaml").to_owned()
    }

    #[test]
    fn every_matrix_is_read_whole_and_says_where_from() {
        for matrix in Matrix::builtin().unwrap() {
            assert!(!matrix.rows.is_empty(), "{}", matrix.name);
            for row in &matrix.rows {
                let expectation = matrix.expectation(row);
                assert!(
                    expectation.source.unwrap().starts_with("https://"),
                    "{}: {}",
                    matrix.name,
                    row.pointer
                );
                assert!(!row.targets.is_empty(), "{}: {}", matrix.name, row.pointer);
            }
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line_or_row() {
        let rows = [
            (
                "an unknown word",
                kubernetes().replacen("pod-same, pod-other", "pod-same, pod-elsewhere", 1),
                "line 13",
            ),
            (
                "an unknown key",
                kubernetes().replacen("  value: reachable", "  worth: reachable", 1),
                "line 14",
            ),
            (
                "a row that can never speak",
                kubernetes()
                    + "- {targets: [cluster-ip], positions: [pod-same], value: unreachable, basis: stated, pointer: again}\n",
                "row 13 (again) says again what row 3 says",
            ),
        ];
        for (name, text, expected) in rows {
            let error = Matrix::parse("m.yaml", &text).unwrap_err();
            let source = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                format!("{error}: {source}").contains(expected),
                "{name}: {error}: {source}"
            );
        }
    }
}
