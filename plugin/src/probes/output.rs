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
    /// The output for targets with these ids. Their ids in the result start at 0.
    pub fn part(&self, ids: &[Option<u32>]) -> Self {
        let attempts = |id: &Option<u32>| self.results.get(id.as_ref()?).cloned();
        Self {
            results: (0..)
                .zip(ids)
                .filter_map(|(new, id)| Some((new, attempts(id)?)))
                .collect(),
            host: self.host.clone(),
            end: self.end.clone(),
        }
    }
}
