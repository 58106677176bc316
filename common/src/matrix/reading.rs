//! What an edition says about a cell if some facts are unknown.

use super::{cell::DocumentedCell, edition::Edition, situation::Situation};
use crate::verdict::Reachability;
use std::fmt;

/// What an edition says about a cell if some facts are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<'e> {
    /// Nothing in any situation.
    Silent,
    /// The same value in every situation. The cell is that of the first situation.
    Says(&'e DocumentedCell),
    /// It depends on unknown facts.
    Depends(Vec<Branch>),
}

/// What an edition says under one of several conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The condition, such as `vpc/ipvs`.
    pub when: String,
    /// What it says then; `None` for nothing.
    pub value: Option<Reachability>,
}

impl Edition {
    /// What the edition says about a cell that can be in one of these situations.
    #[must_use]
    pub fn reading(&self, situations: &[Situation]) -> Reading<'_> {
        let cells: Vec<Option<&DocumentedCell>> = situations
            .iter()
            .map(|situation| situation.best(&self.cells))
            .collect();
        let Some(&first) = cells.first() else {
            return Reading::Silent;
        };
        let value = |cell: &Option<&DocumentedCell>| cell.map(|cell| cell.value);
        if cells.iter().all(|cell| value(cell) == value(&first)) {
            return first.map_or(Reading::Silent, Reading::Says);
        }
        let mut branches = Vec::new();
        for (situation, cell) in situations.iter().zip(&cells) {
            let branch = Branch {
                when: situation.differences(situations),
                value: value(cell),
            };
            if !branches.contains(&branch) {
                branches.push(branch);
            }
        }
        Reading::Depends(branches)
    }
}

impl Situation {
    /// What differs between this situation and the others.
    fn differences(&self, others: &[Self]) -> String {
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

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map_or("silent", Reachability::as_str);
        write!(f, "{}: {value}", self.when)
    }
}
