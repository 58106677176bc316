//! `judge`: a saved report held against other documents, or against a later one.

mod args;
pub mod change;
mod command;
mod saved;
pub mod table;

pub use args::JudgeArgs;
pub use command::JudgeCommand;
