//! One Service in a run, with everything from its facts to its positions.

use super::{
    placement::{self, NoNode, Placement},
    planned_position::PlannedPosition,
    targets,
};
use crate::{
    config::{Check, ProbeSettings},
    probes::probed_position::ProbedPosition,
    survey::changes::Changes,
};
use svc_reach_common::{
    facts::{Endpoint, Facts, Service},
    observation::NotObserved,
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
    /// What changed during the run.
    pub changes: Changes,
    /// Its positions in the cluster.
    pub positions: Vec<PlannedPosition>,
    /// Its positions that do not exist.
    pub absent: Vec<AbsentPosition>,
    /// Why nothing can answer, if it has no ready endpoint.
    pub outage: Option<String>,
    /// The position on this machine.
    pub external: ExternalPosition,
}

impl ServiceCheck {
    /// Notes what changed during the run. `now`: what the API server says at its end, or `None` if the Service was
    /// deleted. A position that did not exist but does now was not observed.
    pub fn notice(&mut self, now: Option<&Facts>, settings: &ProbeSettings) {
        self.changes = Changes::between(&self.facts, now);
        let Some(now) = now else { return };
        if now.endpoints.iter().any(Endpoint::may_get_traffic) {
            self.outage = None;
        }
        let Some(placement) = placement::place(&[now], settings).pop() else {
            return;
        };
        let (choice, positions) = (&self.check.choice, &mut self.positions);
        self.absent.retain(|absent| {
            let position = absent.position;
            if matches!(placement.node(position), Some(Err(NoNode::Absent(_)))) {
                return true;
            }
            let mut targets = targets::targets(now, &placement, position);
            targets.retain(|target| choice.target(target.kind));
            positions.push(PlannedPosition {
                position,
                node: None,
                targets,
                slice: Err(NotObserved::Changed(format!(
                    "there was no {position} at the beginning of the run, but there is one now"
                ))),
                tried: Vec::new(),
            });
            false
        });
    }

    /// Whether a change during the run concerns any cell.
    pub fn disturbed(&self) -> bool {
        let planned = self.positions.iter();
        let appeared =
            |planned: &PlannedPosition| matches!(planned.slice, Err(NotObserved::Changed(_)));
        let planned = planned.map(|it| (appeared(it), it.node.as_deref(), &it.targets));
        let external = self.external.probed.iter();
        let external = external.map(|it| (false, it.node.as_deref(), &it.targets));
        planned.chain(external).any(|(appeared, node, targets)| {
            let concerned = |target| self.changes.concerning(node, target).is_some();
            appeared && !targets.is_empty() || targets.iter().any(concerned)
        })
    }
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
            changes: Changes::default(),
            external: ExternalPosition::default(),
        })
        .collect()
}
