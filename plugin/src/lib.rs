//! `kubectl svc-reach`: from where can a Service be reached, is that what the documentation says, and if not, why?
//!
//! The entry point is [`main`]. `run.rs` has a run in reading order.

mod app;
mod cli;
mod cluster;
mod commands;
mod config;
mod error;
mod output;
mod plan;
mod probes;
mod reporting;
mod run;
mod survey;
mod terminal;
#[cfg(test)]
mod testing;

pub use app::main;
