//! A position after its probe has ended: its targets, and what the probe said about them.

use super::output::ProbeOutput;
use svc_reach_common::{observation::NotObserved, position::Position, target::Target};

/// One position: its targets, and what came of them.
#[derive(Debug)]
pub struct ProbedPosition {
    /// Where.
    pub position: Position,
    /// The node, where there is one.
    pub node: Option<String>,
    /// What was to be asked, in the order of ids.
    pub targets: Vec<Target>,
    /// What was heard, or why nothing could be.
    pub heard: Result<ProbeOutput, NotObserved>,
}
