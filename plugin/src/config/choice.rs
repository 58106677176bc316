//! `--only` and `--skip`: which positions and kinds of target to check.

use super::error::UsageError;
use serde::Deserialize;
use svc_reach_common::{position::Position, target::TargetKind};

/// Which cells to check, by position and kind of target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--only`. No position means every position; no target means every target.
    pub only: CellWords,
    /// `--skip`.
    pub skip: CellWords,
}

/// Positions and kinds of target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellWords {
    positions: Vec<Position>,
    targets: Vec<TargetKind>,
}

impl Choice {
    /// Whether to check from a position.
    pub fn position(&self, position: Position) -> bool {
        let only = &self.only.positions;
        (only.is_empty() || only.contains(&position)) && !self.skip.positions.contains(&position)
    }

    /// Whether to check targets of a kind.
    pub fn target(&self, target: TargetKind) -> bool {
        let only = &self.only.targets;
        (only.is_empty() || only.contains(&target)) && !self.skip.targets.contains(&target)
    }
}

/// A position or a kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CellWord {
    /// A position.
    Position(Position),
    /// A kind of target.
    Target(TargetKind),
}

impl TryFrom<String> for CellWord {
    type Error = UsageError;

    fn try_from(word: String) -> Result<Self, UsageError> {
        let position = word.parse().map(Self::Position);
        position
            .or_else(|_| word.parse().map(Self::Target))
            .map_err(|_| UsageError::NoCell(word))
    }
}

impl FromIterator<CellWord> for CellWords {
    fn from_iter<I: IntoIterator<Item = CellWord>>(words: I) -> Self {
        let mut cells = Self::default();
        for word in words {
            match word {
                CellWord::Position(position) => cells.positions.push(position),
                CellWord::Target(target) => cells.targets.push(target),
            }
        }
        cells
    }
}

pub fn cells(flag: &'static str, words: Vec<String>) -> Result<CellWords, UsageError> {
    let cells = words.into_iter().map(CellWord::try_from);
    cells
        .collect::<Result<_, _>>()
        .map_err(|error| error.of(flag))
}
