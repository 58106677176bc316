//! `judge`: a saved report held against other documents, or against a later one.

mod args;
mod change;
mod command;
mod saved;
mod table;

pub use args::JudgeArgs;
pub use command::JudgeCommand;
