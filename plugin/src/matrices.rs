//! `matrix`: the documents that the program carries, read without a cluster.

mod args;
mod command;
mod diff;
mod documents;
mod grid;
mod list;
mod show;
mod source;

pub use args::MatrixArgs;
pub use command::{Format, MatrixCommand};
pub use documents::Documents;
pub use source::reference;
