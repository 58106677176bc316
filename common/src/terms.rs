//! The user's terms for success, in addition to the documents.

use crate::{
    UnknownWord,
    position::Position,
    report::Cell,
    target::TargetKind,
    verdict::{Reachability, Verdict},
};
use serde::{Deserialize, Serialize};
use std::fmt;

words! {
    /// What can make a run fail.
    pub enum Failure("failure") {
        /// [`Verdict::Worse`].
        Worse = "worse",
        /// [`Verdict::Better`].
        Better = "better",
        /// [`Verdict::Unstable`].
        Unstable = "unstable",
        /// [`Verdict::Disputed`].
        Disputed = "disputed",
        /// [`Verdict::Undocumented`].
        Undocumented = "undocumented",
        /// Backends do not see the client's address, although that is certain to be expected.
        ClientAddress = "client-address",
    }
}

impl Failure {
    /// Whether a cell fails in this way.
    fn applies(self, cell: &Cell) -> bool {
        match self {
            Self::Worse => cell.verdict == Verdict::Worse,
            Self::Better => cell.verdict == Verdict::Better,
            Self::Unstable => cell.verdict == Verdict::Unstable,
            Self::Disputed => cell.verdict == Verdict::Disputed,
            Self::Undocumented => cell.verdict == Verdict::Undocumented,
            Self::ClientAddress => cell.client.is_lost(),
        }
    }
}

/// The user's terms for success, in addition to the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Terms {
    /// What makes a run fail.
    pub fail_on: Vec<Failure>,
    /// What must be reachable or unreachable. This takes precedence over documents.
    pub required: Vec<Required>,
}

/// [`Terms`] as they are in a report, named like the flags.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    fail_on: Vec<Failure>,
    require_reachable: Vec<String>,
    require_unreachable: Vec<String>,
}

impl From<Terms> for Written {
    fn from(terms: Terms) -> Self {
        let places = |value| {
            let required = terms.required.iter();
            let required = required.filter(|required| required.value == value);
            required.map(Required::place).collect()
        };
        Self {
            require_reachable: places(Reachability::Reachable),
            require_unreachable: places(Reachability::Unreachable),
            fail_on: terms.fail_on,
        }
    }
}

impl TryFrom<Written> for Terms {
    type Error = NotRequired;

    fn try_from(written: Written) -> Result<Self, NotRequired> {
        let mut required = Vec::new();
        for (places, value) in [
            (&written.require_reachable, Reachability::Reachable),
            (&written.require_unreachable, Reachability::Unreachable),
        ] {
            for place in places {
                required.push(Required::parse(place, value)?);
            }
        }
        Ok(Self {
            fail_on: written.fail_on,
            required,
        })
    }
}

/// Terms that may be incomplete. Other terms fill the gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenTerms {
    /// What makes a run fail.
    pub fail_on: Option<Vec<Failure>>,
    /// What must be reachable.
    pub reachable: Option<Vec<Required>>,
    /// What must be unreachable.
    pub unreachable: Option<Vec<Required>>,
}

impl GivenTerms {
    /// These terms, with gaps filled from `others`.
    #[must_use]
    pub fn over(&self, others: &Terms) -> Terms {
        let required = |given: &Option<Vec<Required>>, value| {
            given.clone().unwrap_or_else(|| {
                let others = others.required.iter().copied();
                others.filter(|required| required.value == value).collect()
            })
        };
        let mut all = required(&self.reachable, Reachability::Reachable);
        all.extend(required(&self.unreachable, Reachability::Unreachable));
        Terms {
            fail_on: self.fail_on.as_ref().unwrap_or(&others.fail_on).clone(),
            required: all,
        }
    }
}

/// A requirement for all cells of a position and a kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Required {
    /// Where the client is.
    pub position: Position,
    /// The kind of address that it connects to.
    pub target: TargetKind,
    /// Whether the target must be reachable.
    pub value: Reachability,
}

/// A text that is not a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRequired {
    /// It has no colon.
    #[error("{0:?} is not a position and a target such as \"pod-other:cluster-ip\"")]
    Shape(String),
    /// One of its halves is unknown.
    #[error(transparent)]
    Word(#[from] UnknownWord),
}

impl Default for Terms {
    /// Every difference from an expectation makes a run fail, and nothing is required.
    fn default() -> Self {
        Self {
            fail_on: vec![
                Failure::Worse,
                Failure::Better,
                Failure::Unstable,
                Failure::ClientAddress,
            ],
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

    /// A requirement that contradicts another one, if there is any.
    #[must_use]
    pub fn contradiction(&self) -> Option<Required> {
        self.required.iter().copied().find(|required| {
            let place = required.place();
            let mut others = self.required.iter();
            others.any(|other| other.place() == place && other.value != required.value)
        })
    }

    /// Whether a cell ends a run with exit code 1.
    #[must_use]
    pub fn fail(&self, cell: &Cell) -> bool {
        self.fail_on.iter().any(|failure| failure.applies(cell))
            || self.of(cell).is_some()
                && matches!(
                    cell.verdict,
                    Verdict::Worse | Verdict::Better | Verdict::Unstable
                )
    }

    /// Whether a requirement says that nothing may answer. Such a requirement names an address that always leads to a
    /// ready backend, if there is one: the cluster IP or the DNS name, from inside the cluster.
    #[must_use]
    pub fn want_outage(&self) -> bool {
        self.required.iter().any(|required| {
            required.value == Reachability::Unreachable
                && required.position != Position::External
                && matches!(required.target, TargetKind::ClusterIp | TargetKind::Dns)
        })
    }

    /// Requirements that no cell can meet, because no cell has their position and target.
    pub fn unmet(&self, cells: &[Cell]) -> impl Iterator<Item = Required> {
        self.required
            .iter()
            .copied()
            .filter(|required| !cells.iter().any(|cell| required.means(cell)))
    }
}

impl Required {
    /// The position and the target, as users write them.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.position, self.target)
    }

    fn means(self, cell: &Cell) -> bool {
        (self.position, self.target) == (cell.position, cell.target.kind)
    }
}

impl fmt::Display for Required {
    /// Writes it like the flag on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--require-{} {}", self.value, self.place())
    }
}

impl Required {
    /// Reads `POSITION:TARGET`.
    ///
    /// # Errors
    ///
    /// Fails if the text does not have this form, or if the position or target is unknown.
    pub fn parse(given: &str, value: Reachability) -> Result<Self, NotRequired> {
        let (position, target) = given
            .split_once(':')
            .ok_or_else(|| NotRequired::Shape(given.to_owned()))?;
        Ok(Self {
            position: position.parse()?,
            target: target.parse()?,
            value,
        })
    }
}
