//! A position of a Service before its probe runs: its node, its targets, and the probe that asks them.

use svc_reach_common::{observation::NotObserved, position::Position, target::Target};

/// A position of a Service before its probe runs.
#[derive(Debug)]
pub struct PlannedPosition {
    /// Which position.
    pub position: Position,
    /// Its node. `None`: no node fits.
    pub node: Option<String>,
    /// What to ask.
    pub targets: Vec<Target>,
    /// The probe that asks, or why none does.
    pub slice: Result<PlanSlice, NotObserved>,
}

/// Where the targets of a position are in a probe's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSlice {
    /// Name of the probe.
    pub probe: String,
    /// Id of the first target. The others follow it.
    pub first: u32,
}
