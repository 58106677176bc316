//! One Service in a run, with everything from its facts to its positions.

use super::{
    placement::{self, Placement},
    planned_position::PlannedPosition,
};
use crate::{
    config::{Check, ProbeSettings},
    probes::probed_position::ProbedPosition,
};
use svc_reach_common::{
    facts::{Facts, Service},
    report::AbsentPosition,
};

/// One Service in a run.
#[derive(Debug)]
pub struct ServiceCheck {
    /// What the API server says about it.
    pub facts: Facts,
    /// What to check, and what is required.
    pub check: Check,
    /// The nodes that its probes use.
    pub placement: Placement,
    /// Its positions in the cluster.
    pub positions: Vec<PlannedPosition>,
    /// Its positions that do not exist.
    pub absent: Vec<AbsentPosition>,
    /// Why nothing can answer, if it has no ready endpoint.
    pub outage: Option<String>,
    /// The position on this machine.
    pub external: ExternalPosition,
}

/// The position on the machine that runs the plugin.
#[derive(Debug, Default)]
pub struct ExternalPosition {
    /// What was observed. `None`: nothing was requested, or no result counts.
    pub probed: Option<ProbedPosition>,
    /// Why some or all of its targets were left out, if the user should know.
    pub left_out: Option<String>,
}

/// Chooses nodes for the probes of all Services. `check`: what to check of a Service.
pub fn place(
    services: Vec<Facts>,
    probe: &ProbeSettings,
    check: impl Fn(&Service) -> Check,
) -> Vec<ServiceCheck> {
    let all: Vec<&Facts> = services.iter().collect();
    let placements = placement::place(&all, probe);
    services
        .into_iter()
        .zip(placements)
        .map(|(facts, placement)| ServiceCheck {
            check: check(&facts.service),
            facts,
            placement,
            positions: Vec::new(),
            absent: Vec::new(),
            outage: None,
            external: ExternalPosition::default(),
        })
        .collect()
}
