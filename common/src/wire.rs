//! The contract between the plugin and the probe agent. The plugin sends a plan, and the agent answers with lines,
//! which contain outcomes.

pub mod line;
pub mod outcome;
pub mod plan;
