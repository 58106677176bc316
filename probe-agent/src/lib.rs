//! To be written.

use svc_reach_common::{line::Line, plan::Plan};

/// To be written.
pub async fn run(_plan: &Plan, _sink: impl FnMut(Line)) {}
