//! The terminal except for the report: progress, signals, logs and error messages.

pub mod interrupt;
pub mod logging;
pub mod messages;
pub mod progress;
pub mod reader;
