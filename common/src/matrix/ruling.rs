//! What the selected documents say about a cell.

use super::{edition::Edition, reading::Reading};
use crate::verdict::{Documented, Reachability};
use std::fmt;

/// What the selected documents say about a cell if some facts are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling<'c> {
    /// One branch for each possible situation; empty if documents do not mention such a Service at all.
    pub branches: Vec<Branch<'c>>,
    /// What the editions of the matrix say that counts in the first branch that is not silent.
    pub editions: Vec<EditionReading<'c>>,
}

/// What the documents say in one possible situation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch<'c> {
    /// What differs from the other situations, such as `vpc/ipvs`; empty if there is only one.
    pub when: String,
    /// What they say; `None` if no matrix mentions the cell.
    pub statement: Option<Statement<'c>>,
}

/// What the editions of one matrix say in one situation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'c, V = Reachability> {
    /// The edition that gives the expectation, and what it says.
    pub first: Reading<'c, V>,
    /// The editions of other operators that count too.
    pub others: Vec<Reading<'c, V>>,
}

words! {
    /// Whether an edition counts for a cell.
    pub enum Standing("standing") {
        /// It counts: of the editions of its operator that mention the cell, it is the newest or the chosen one.
        Counts = "counts",
        /// Another edition of the same operator counts instead. So a difference is history.
        Superseded = "superseded",
        /// It is about the clusters of another operator.
        OtherOperator = "other-operator",
    }
}

/// What one edition says in every situation in which it mentions the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditionReading<'c> {
    /// The edition.
    pub edition: &'c Edition,
    /// What it says.
    pub value: Reachability,
    /// Whether it counts.
    pub standing: Standing,
}

impl<'c, V: Copy + PartialEq> Statement<'c, V> {
    /// The statement of these readings; `None` if there are none. The first edition of each operator counts.
    ///
    /// If the cluster's operator is known, only its own editions count. If none of them mentions the cell, those of the
    /// other operators count, since they run the same product.
    pub(super) fn of(
        readings: impl Iterator<Item = Reading<'c, V>>,
        operator: Option<&str>,
    ) -> Option<Self> {
        let mut firsts: Vec<Reading<'c, V>> = Vec::new();
        for reading in readings {
            let of = &reading.edition.operator;
            if !firsts.iter().any(|first| first.edition.operator == *of) {
                firsts.push(reading);
            }
        }
        let own = |reading: &Reading<'_, V>| reading.edition.operator.as_deref() == operator;
        if operator.is_some() && firsts.iter().any(own) {
            firsts.retain(own);
        }
        let mut firsts = firsts.into_iter();
        Some(Self {
            first: firsts.next()?,
            others: firsts.collect(),
        })
    }

    /// Whether an edition of the same matrix counts in this statement.
    pub(super) fn standing(&self, edition: &Edition) -> Standing {
        let mut counting = std::iter::once(&self.first).chain(&self.others);
        match counting.find(|reading| reading.edition.operator == edition.operator) {
            Some(reading) if reading.edition.edition == edition.edition => Standing::Counts,
            Some(_) => Standing::Superseded,
            None => Standing::OtherOperator,
        }
    }

    /// Whether editions that count disagree, or one of them contradicts itself.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        let value = self.first.cell.value;
        self.first.contradiction.is_some()
            || self
                .others
                .iter()
                .any(|other| other.contradiction.is_some() || other.cell.value != value)
    }

    /// Every edition and value that counts. An edition that contradicts itself appears with both values.
    #[must_use]
    pub fn values(&self) -> Vec<(&'c Edition, V)> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .flat_map(|reading| {
                let cells = std::iter::once(reading.cell).chain(reading.contradiction);
                cells.map(|cell| (reading.edition, cell.value))
            })
            .collect()
    }
}

impl Branch<'_> {
    /// What the documents say, without their places.
    #[must_use]
    pub fn documented(&self) -> Documented {
        match &self.statement {
            None => Documented::Silent,
            Some(statement) if statement.is_disputed() => Documented::Disputed,
            Some(statement) => Documented::Says(statement.first.cell.value),
        }
    }
}

impl fmt::Display for Branch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.documented() {
            Documented::Silent => "silent",
            Documented::Says(value) => value.as_str(),
            Documented::Disputed => "disputed",
        };
        write!(f, "{}: {value}", self.when)
    }
}
