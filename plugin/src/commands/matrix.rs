//! `matrix`: the documents that the program carries, read without a cluster.

mod args;
mod command;
mod diff;
mod grid;
mod list;
mod show;

pub use args::MatrixArgs;
pub use command::{MatrixCommand, MatrixFormat};
