//! What can be wrong with a command line, or with a file given to it.

use svc_reach_common::{
    UnknownWord, matrix::NoColumn, position::Position, target::TargetKind, terms::NotRequired,
};

/// Something on the command line makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A value that is none of those that its flag takes.
    #[error(transparent)]
    Word(#[from] UnknownWord),
    /// A column that there cannot be.
    #[error(transparent)]
    Column(#[from] NoColumn),
    /// A requirement that there cannot be.
    #[error(transparent)]
    Required(#[from] NotRequired),
    /// One of these in the value of a flag.
    #[error("{flag}: {source}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What is wrong with its value.
        source: Box<Self>,
    },
    /// A word that names no cells.
    #[error(
        "{0:?} is neither a position ({positions}) nor a kind of target ({targets})",
        positions = listed(Position::ALL),
        targets = listed(TargetKind::ALL)
    )]
    NoCell(String),
    /// A label selector that the API server does not take.
    #[error("--selector {selector:?}: {why}")]
    Selector {
        /// As it was given.
        selector: String,
        /// What the API server says of it.
        why: String,
    },
    /// A Service that is asked about twice, by names that are spelled differently.
    #[error("Service {0} is listed twice")]
    Twice(String),
    /// More pods than the user allows.
    #[error(
        "this run needs {needed} probe pods, but --max-probes allows {most}; check fewer Services (-l, -n) or raise --max-probes"
    )]
    TooManyProbes {
        /// What is allowed.
        most: usize,
        /// What it takes.
        needed: usize,
    },
    /// A verdict that fails no run.
    #[error("verdict {0:?}: {1}")]
    NoFailure(String, &'static str),
    /// A path that would ask something else than was meant.
    #[error("path {0:?} must begin with / and must not contain spaces")]
    NoPath(String),
    /// A value that cannot be.
    #[error("{flag} {value:?}: {why}")]
    Invalid {
        /// The flag or argument.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn listed(words: &[impl ToString]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl UsageError {
    /// Names the flag whose value it is about.
    pub fn of(self, flag: &'static str) -> Self {
        Self::Flag {
            flag,
            source: Box::new(self),
        }
    }

    /// A value that cannot be.
    pub fn invalid(flag: &'static str, value: &str, why: &'static str) -> Self {
        Self::Invalid {
            flag,
            value: value.to_owned(),
            why,
        }
    }
}
