//! Manual pages for a release: one for the program and one for each subcommand.

use crate::{cli::Cli, error::Error};
use clap::{Command, CommandFactory};
use std::{ffi::OsString, path::PathBuf};

/// The first argument of a command line that asks for the pages. No Service can have this name. Users do not need it.
const ASKED: &str = "__man";

/// The folder for the pages, if the command line asks for them.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.next();
    args.next().filter(|word| word == ASKED)?;
    args.next().map(PathBuf::from)
}

/// Writes the pages.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write(folder: PathBuf) -> Result<(), Error> {
    // Readers look for the page under the name that they type.
    let command = with_long_help(Cli::command().name("kubectl-svc-reach"));
    clap_mangen::generate_to(command, folder).map_err(Error::Write)
}

/// Copies each short help to the long one. clap_mangen 0.3 omits the short help of an argument that `-h` hides.
fn with_long_help(command: Command) -> Command {
    command
        .mut_args(|arg| match arg.get_help().cloned() {
            Some(help) if arg.get_long_help().is_none() => arg.long_help(help),
            _ => arg,
        })
        .mut_subcommands(with_long_help)
}
