//! The output of a probe, and how it ended.

use std::collections::BTreeMap;
use svc_reach_common::wire::{line::HostView, outcome::Attempt};

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It printed everything.
    Complete,
    /// It did not start.
    NotStarted(String),
    /// It started, but ended before it had printed everything.
    Failed(String),
    /// The run ended first.
    Interrupted,
}

/// The output of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutput {
    /// Attempts by the id of their target. They are valid even if the probe failed later.
    pub results: BTreeMap<u32, Vec<Attempt>>,
    /// What it observed about its node.
    pub host: Option<HostView>,
    /// How it ended.
    pub end: End,
}

impl ProbeOutput {
    /// The output for `count` targets from the id `first` on. Their ids in the result start at 0.
    pub fn part(&self, first: u32, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let results = self.results.range(first..first.saturating_add(count));
        Self {
            results: results
                .map(|(id, attempts)| (id - first, attempts.clone()))
                .collect(),
            host: self.host.clone(),
            end: self.end.clone(),
        }
    }
}
