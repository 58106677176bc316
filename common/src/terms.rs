//! What a run has to live up to, beside what documents say.

use crate::{UnknownWord, position::Position, report::Cell, target::TargetKind, verdict::Verdict};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a run has to live up to, beside what documents say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Verdicts that a run may not hold.
    pub fail_on: Vec<Verdict>,
    /// What must be reachable, whatever documents say.
    #[serde(rename = "requireReachable")]
    pub required: Vec<Required>,
}

/// Cells that must be reachable: those of a position and a kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Required {
    /// Where the client stands.
    pub position: Position,
    /// What it requests.
    pub target: TargetKind,
}

/// A text that requires nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRequired {
    /// There is no colon in it.
    #[error("{0:?} is not a position and a target such as \"pod-other:cluster-ip\"")]
    Shape(String),
    /// One of its halves is not a word of ours.
    #[error(transparent)]
    Word(#[from] UnknownWord),
}

impl Default for Terms {
    /// Whatever differs from what is expected fails; nothing is required.
    fn default() -> Self {
        Self {
            fail_on: vec![Verdict::Worse, Verdict::Better, Verdict::Unstable],
            required: Vec::new(),
        }
    }
}

impl Terms {
    /// The requirement that a cell has to meet, if any.
    #[must_use]
    pub fn of(&self, cell: &Cell) -> Option<Required> {
        self.required
            .iter()
            .copied()
            .find(|required| required.means(cell))
    }

    /// Whether a cell ends a run with exit code 1.
    #[must_use]
    pub fn fail(&self, cell: &Cell) -> bool {
        self.fail_on.contains(&cell.verdict)
            || self.of(cell).is_some() && matches!(cell.verdict, Verdict::Worse | Verdict::Unstable)
    }

    /// Requirements that no cell can meet, since none is of such a kind.
    pub fn unmet(&self, cells: &[Cell]) -> impl Iterator<Item = Required> {
        self.required
            .iter()
            .copied()
            .filter(|required| !cells.iter().any(|cell| required.means(cell)))
    }
}

impl Required {
    fn means(self, cell: &Cell) -> bool {
        (self.position, self.target) == (cell.position, cell.target.kind)
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.target)
    }
}

impl From<Required> for String {
    fn from(required: Required) -> Self {
        required.to_string()
    }
}

impl TryFrom<String> for Required {
    type Error = NotRequired;

    fn try_from(given: String) -> Result<Self, NotRequired> {
        given.parse()
    }
}

impl FromStr for Required {
    type Err = NotRequired;

    fn from_str(given: &str) -> Result<Self, NotRequired> {
        let (position, target) = given
            .split_once(':')
            .ok_or_else(|| NotRequired::Shape(given.to_owned()))?;
        Ok(Self {
            position: position.parse()?,
            target: target.parse()?,
        })
    }
}
