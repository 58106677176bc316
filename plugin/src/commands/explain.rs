//! `explain`: what the forwarding model expects, and why. Deploys nothing; a dump will do for a cluster.
//!
//! ```text
//! dump (files) ──► cluster objects ──► settings ──► world ──► flows: what one node's proxy does with packets
//!                                                       └──► cells: what becomes of connections ──► table, JSON
//! ```
//!
//! Pure, but for [`dump::read_files`].

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
