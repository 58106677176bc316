//! `kubectl svc-reach`: from where can a Service be reached, is that what the documentation says, and if not, why?
//!
//! The program is [`main`]. `run.rs` tells its story in reading order.

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
