//! A position of a Service before its probe runs: its node, its targets, and the probe that requests them.

use super::controls::Control;
use svc_reach_common::{observation::NotObserved, position::Position, target::Target};

/// A position of a Service before its probe runs.
#[derive(Debug)]
pub struct PlannedPosition {
    /// Which position.
    pub position: Position,
    /// Its node. `None`: no node fits.
    pub node: Option<String>,
    /// What to request.
    pub targets: Vec<Target>,
    /// The probe that requests them, or why there is none.
    pub slice: Result<PlanSlice, NotObserved>,
    /// Other nodes of its kind on which its probe did not start, each with the reason.
    pub tried: Vec<String>,
}

/// Where the targets of a position are in a probe's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSlice {
    /// Name of the probe.
    pub probe: String,
    /// The id of each target. `None`: no probe knows its protocol.
    pub ids: Vec<Option<u32>>,
    /// Connections that nothing should accept, each with its id.
    pub controls: Vec<(Control, Option<u32>)>,
}
