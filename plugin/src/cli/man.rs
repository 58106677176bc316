//! Pages for `man`, which a release carries: one of the program and one of each subcommand.

use crate::{cli::Cli, error::Error};
use clap::CommandFactory;
use std::{ffi::OsString, path::PathBuf};

/// The first argument of a command line that asks for the pages. No Service can have this name, and no user needs it.
const ASKED: &str = "__man";

/// The folder to write the pages to, where that is what a command line asks for.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.next();
    args.next().filter(|word| word == ASKED)?;
    args.next().map(PathBuf::from)
}

/// Writes them.
///
/// # Errors
///
/// When the folder cannot be written to.
pub fn write(folder: PathBuf) -> Result<(), Error> {
    // Its readers look for what they type.
    let command = Cli::command().name("kubectl-svc-reach");
    clap_mangen::generate_to(command, folder).map_err(Error::Write)
}
