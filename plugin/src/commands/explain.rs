//! `explain`: what the forwarding model expects, and why. It creates nothing, and it can read a dump instead of a
//! cluster.
//!
//! ```text
//! dump (files) ──► cluster objects ──► settings ──► world ──► flows: what one node's proxy does with packets
//!                                                       └──► cells: what happens to connections ──► table, JSON
//! ```
//!
//! Everything is pure, except [`dump::read_files`] and `command`.

pub mod answer;
pub mod args;
pub mod cells;
mod command;
pub mod dump;
pub mod flows;
pub mod table;

#[cfg(test)]
mod tests;

pub use command::{ExplainCommand, ExplainFormat};
