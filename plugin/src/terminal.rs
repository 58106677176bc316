//! The terminal: what is read from it and written to it beside the report.

pub mod interrupt;
pub mod logging;
pub mod messages;
pub mod progress;
pub mod reader;
