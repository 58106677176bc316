//! The output of a probe, and how it ended.

use crate::plan::controls::Control;
use std::collections::BTreeMap;
use svc_reach_common::wire::{line::HostView, outcome::Attempt};

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It printed everything.
    Complete,
    /// It did not start.
    NotStarted {
        /// Why.
        why: String,
        /// Where the fault is.
        fault: Fault,
    },
    /// It started, but ended before it had printed everything.
    Failed(String),
    /// The run ended first.
    Interrupted,
}

/// Where the fault is if a probe did not start. It decides whether another node is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// In its node: it is full, or it refused or lost the pod.
    Node,
    /// In its node or everywhere, as with an image that could not be pulled.
    Unclear,
    /// Not in the node: a quota or admission refused the pod, or the API server failed.
    NotTheNode,
}

impl End {
    /// The probe did not start.
    pub fn not_started(why: impl Into<String>, fault: Fault) -> Self {
        Self::NotStarted {
            why: why.into(),
            fault,
        }
    }
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
    /// The output of a probe that printed nothing.
    pub const fn nothing(end: End) -> Self {
        Self {
            results: BTreeMap::new(),
            host: None,
            end,
        }
    }

    /// Those of these controls that something accepted. Each has the id of its request.
    pub fn accepted(&self, controls: Vec<(Control, Option<u32>)>) -> Vec<Control> {
        let connected = |id: Option<u32>| {
            let attempts = self.results.get(&id?)?;
            attempts.iter().find_map(|attempt| attempt.connect_us)
        };
        let accepted = controls
            .into_iter()
            .filter(|(_, id)| connected(*id).is_some());
        accepted.map(|(control, _)| control).collect()
    }

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
