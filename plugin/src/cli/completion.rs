//! Completion of command lines, for shells and for kubectl.
//!
//! kubectl from 1.26 on asks the executable `kubectl_complete-svc_reach` for completions, which asks [`answer`]. A shell
//! that completes `kubectl-svc_reach` itself has a script by [`script`].

mod candidates;
mod cursor;

use crate::{cli::Cli, error::Error};
use candidates::Candidates;
use clap::{CommandFactory, FromArgMatches};
use clap_complete::Shell;
use cursor::Cursor;
use std::{
    ffi::OsString,
    io::{self, Write},
};

/// The first argument of a command line that asks for completions. No Service can have this name.
const ASKED: &str = "__complete";

/// The words to complete, where that is what a command line asks for. They are read before anything else is: they are
/// half typed, and make no sense yet.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    args.next();
    args.next().filter(|word| word == ASKED)?;
    Some(
        args.map(|word| word.to_string_lossy().into_owned())
            .collect(),
    )
}

/// Writes what the last of the words can become, one per line, and a directive, as `__complete` of kubectl itself does:
/// <https://github.com/spf13/cobra/blob/v1.8.1/site/content/completions/_index.md>. What cannot be found out is left out.
///
/// # Errors
///
/// What the writer says.
pub fn answer(words: &[String], writer: &mut impl Write) -> io::Result<()> {
    let mut root = Cli::command();
    root.build();
    let cursor = Cursor::at(&root, words);
    let candidates = Candidates::of(&cursor, || typed(words));
    for candidate in &candidates.lines {
        writeln!(writer, "{candidate}")?;
    }
    // 0: the shell may offer files as well; 4: it may not.
    writeln!(writer, ":{}", if candidates.files { 0 } else { 4 })
}

/// What can be made of words that are half typed: kubectl's own flags among them say which cluster to ask.
fn typed(words: &[String]) -> Option<Cli> {
    let before = words.split_last().map_or(words, |(_, before)| before);
    let line = std::iter::once("kubectl-svc_reach").chain(before.iter().map(String::as_str));
    let matches = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(line)
        .ok()?;
    Cli::from_arg_matches(&matches).ok()
}

/// Writes the script by which a shell completes `kubectl-svc_reach`. Scripts of ours ask this program, by `__complete`, and so
/// know Services, namespaces and contexts; for other shells, clap makes one that knows commands and flags.
///
/// # Errors
///
/// What the writer says.
pub fn script(shell: Shell, writer: &mut impl Write) -> Result<(), Error> {
    let ours = match shell {
        Shell::Bash => Some(include_str!("completion/scripts/bash")),
        Shell::Zsh => Some(include_str!("completion/scripts/zsh")),
        Shell::Fish => Some(include_str!("completion/scripts/fish")),
        Shell::Elvish | Shell::PowerShell | _ => None,
    };
    if let Some(text) = ours {
        return writer.write_all(text.as_bytes()).map_err(Error::Write);
    }
    // The generator panics where it cannot write, as into a pipe whose reader has left.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-svc_reach", &mut text);
    writer.write_all(&text).map_err(Error::Write)
}
