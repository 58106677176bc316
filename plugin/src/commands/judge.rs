//! `judge`: compares a saved report with other documents, or with a later report.

mod args;
pub mod change;
mod command;
mod saved;
pub mod table;

pub use args::JudgeArgs;
pub use command::JudgeCommand;
