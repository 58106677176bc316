//! A position after its probe has ended: its targets, and the output of the probe.

use super::output::ProbeOutput;
use crate::plan::controls::Control;
use svc_reach_common::{observation::NotObserved, position::Position, target::Target};

/// A position after its probe has ended.
#[derive(Debug)]
pub struct ProbedPosition {
    /// Which position.
    pub position: Position,
    /// The node, if there is one.
    pub node: Option<String>,
    /// The targets, in the order of their ids.
    pub targets: Vec<Target>,
    /// The output of the probe, or why there is none.
    pub heard: Result<ProbeOutput, NotObserved>,
    /// Connections that nothing should accept, but something did.
    pub accepted: Vec<Control>,
}
