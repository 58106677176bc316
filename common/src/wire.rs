//! The contract between the plugin and the probe agent: the plan that the plugin sends, the lines that the agent answers,
//! and the outcomes in them.

pub mod line;
pub mod outcome;
pub mod plan;
