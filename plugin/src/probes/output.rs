//! What a probe said, and how it ended.

use std::collections::BTreeMap;
use svc_reach_common::wire::{line::HostView, outcome::Attempt};

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It told all.
    Complete,
    /// It did not start.
    NotStarted(String),
    /// It started, and ended before it had told all.
    Failed(String),
    /// The run ended first.
    Interrupted,
}

/// What was heard of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutput {
    /// Attempts by target. What was heard is true, however the probe ended.
    pub results: BTreeMap<u32, Vec<Attempt>>,
    /// What it saw of its node.
    pub host: Option<HostView>,
    /// How it ended.
    pub end: End,
}

impl ProbeOutput {
    /// What was heard of some of the targets, `count` from `first` on, counted anew.
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
