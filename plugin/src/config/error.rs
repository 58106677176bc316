//! What can be wrong with a command line, or with a file given to it.

use svc_reach_common::{
    UnknownWord, matrix::NoColumn, position::Position, target::TargetKind, terms::NotRequired,
};

/// The command line is invalid.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A word that a flag does not know.
    #[error(transparent)]
    Word(#[from] UnknownWord),
    /// An invalid column.
    #[error(transparent)]
    Column(#[from] NoColumn),
    /// An invalid requirement.
    #[error(transparent)]
    Required(#[from] NotRequired),
    /// One of these errors, with the name of the flag.
    #[error("{flag}: {source}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What is wrong with its value.
        source: Box<Self>,
    },
    /// A word that is neither a position nor a kind of target.
    #[error(
        "{0:?} is neither a position ({positions}) nor a kind of target ({targets})",
        positions = listed(Position::ALL),
        targets = listed(TargetKind::ALL)
    )]
    NoCell(String),
    /// A label selector that the API server refuses.
    #[error("--selector {selector:?}: {why}")]
    Selector {
        /// As it was given.
        selector: String,
        /// The API server's message.
        why: String,
    },
    /// Two different spellings of the same Service.
    #[error("Service {0} is listed twice")]
    Twice(String),
    /// More pods than the user allows.
    #[error(
        "this run needs {needed} probe pods, but --max-probes allows {most}; check fewer Services (-l, -n) or raise --max-probes"
    )]
    TooManyProbes {
        /// The limit.
        most: usize,
        /// How many the run needs.
        needed: usize,
    },
    /// A node that the run does not know.
    #[error(
        "--node-public-address {0}: no node of this name was read; check its name with: kubectl get nodes"
    )]
    NoNode(String),
    /// A Service that the run does not check.
    #[error("--load-balancer-address {0}: this run checks no such Service")]
    NoServiceOfAddress(String),
    /// A verdict that cannot be used with `--fail-on`.
    #[error("verdict {0:?}: {1}")]
    NoFailure(String, &'static str),
    /// An invalid path of HTTP requests.
    #[error("path {0:?} must begin with / and must not contain spaces")]
    NoPath(String),
    /// An invalid value.
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
    /// Adds the name of the flag.
    pub fn of(self, flag: &'static str) -> Self {
        Self::Flag {
            flag,
            source: Box::new(self),
        }
    }

    /// An invalid value.
    pub fn invalid(flag: &'static str, value: &str, why: &'static str) -> Self {
        Self::Invalid {
            flag,
            value: value.to_owned(),
            why,
        }
    }
}
