//! `matrix`: shows the built-in documents. It needs no cluster.

mod args;
mod command;
mod diff;
mod grid;
mod list;
mod show;

pub use args::MatrixArgs;
pub use command::{MatrixCommand, MatrixFormat};
