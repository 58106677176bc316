//! A position that does not exist.

use crate::position::Position;
use serde::{Deserialize, Serialize};

/// A position that the cluster does not have for this Service. That is a fact that was read: a position that may exist,
/// but where no probe could look, has cells that were not observed. An absent position has no cells, and changes
/// neither verdicts nor the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbsentPosition {
    /// The position.
    pub position: Position,
    /// Why there is none.
    pub reason: String,
}
