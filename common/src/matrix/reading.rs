//! What an edition says about a cell in one situation.

use super::{cell::DocumentedCell, edition::Edition, situation::Situation};
use crate::verdict::Reachability;

/// What an edition says about a cell in one situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'e, V = Reachability> {
    /// The edition.
    pub edition: &'e Edition,
    /// The cell that counts.
    pub cell: &'e DocumentedCell<V>,
    /// A cell of the same rank with the opposite value, if the document contradicts itself.
    pub contradiction: Option<&'e DocumentedCell<V>>,
}

impl Edition {
    /// What the edition says about a cell in this situation; `None` if it does not mention it.
    #[must_use]
    pub fn reading(&self, situation: &Situation) -> Option<Reading<'_>> {
        self.reading_of(&self.cells, situation)
    }

    /// What these cells of the edition say in this situation; `None` if they do not mention it.
    pub(super) fn reading_of<'e, V: PartialEq>(
        &'e self,
        cells: &'e [DocumentedCell<V>],
        situation: &Situation,
    ) -> Option<Reading<'e, V>> {
        let best = situation.best(cells);
        let (&cell, others) = best.split_first()?;
        let contradiction = others
            .iter()
            .copied()
            .find(|other| other.value != cell.value);
        Some(Reading {
            edition: self,
            cell,
            contradiction,
        })
    }
}

impl Situation {
    /// What differs between this situation and the others.
    pub(super) fn differences(&self, others: &[Self]) -> String {
        let mut words = Vec::new();
        if others.iter().any(|other| other.column != self.column) {
            words.extend(self.column.map(|word| word.to_string()));
        }
        if others.iter().any(|other| other.class != self.class) {
            words.extend(self.class.map(|word| format!("{word} load balancer")));
        }
        if others.iter().any(|other| other.access != self.access) {
            words.extend(self.access.map(|word| format!("{word} address")));
        }
        if others
            .iter()
            .any(|other| other.pass_through != self.pass_through)
        {
            words.extend(self.pass_through.map(|on| {
                let word = if on { "with" } else { "without" };
                format!("{word} pass-through")
            }));
        }
        words.join(", ")
    }
}
