//! Completion of command lines, for shells and for kubectl.
//!
//! kubectl 1.26 and later asks the executable `kubectl_complete-svc_reach` for completions, which calls [`answer`]. To
//! complete `kubectl-svc_reach` itself, a shell loads the output of [`script`].

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

/// The words to complete, if the command line asks for completions. Call this before the normal parser, which refuses
/// an unfinished command line.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    args.next();
    args.next().filter(|word| word == ASKED)?;
    Some(
        args.map(|word| word.to_string_lossy().into_owned())
            .collect(),
    )
}

/// Writes the candidates for the last word, one per line, and a directive, in the format of kubectl's own `__complete`:
/// <https://github.com/spf13/cobra/blob/v1.8.1/site/content/completions/_index.md>. Unknown candidates are left out.
///
/// # Errors
///
/// If writing fails.
pub fn answer(words: &[String], writer: &mut impl Write) -> io::Result<()> {
    let mut root = Cli::command();
    root.build();
    let cursor = Cursor::at(&root, words);
    let candidates = Candidates::of(&cursor, || typed(words));
    for candidate in &candidates.lines {
        writeln!(writer, "{candidate}")?;
    }
    // 0: the shell offers files, too. 4: it does not.
    writeln!(writer, ":{}", if candidates.files { 0 } else { 4 })
}

/// Parses as much as possible of an unfinished command line. Its kubectl flags say which cluster to ask.
fn typed(words: &[String]) -> Option<Cli> {
    let before = words.split_last().map_or(words, |(_, before)| before);
    let line = std::iter::once("kubectl-svc_reach").chain(before.iter().map(String::as_str));
    let matches = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(line)
        .ok()?;
    Cli::from_arg_matches(&matches).ok()
}

/// Writes the script with which a shell completes `kubectl-svc_reach`. Our own scripts call `__complete` of this
/// program, so they know Services, namespaces and contexts. For other shells, clap generates a script that knows only
/// commands and flags.
///
/// # Errors
///
/// If writing fails.
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
    // The generator panics if it cannot write, for example into a closed pipe.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-svc_reach", &mut text);
    writer.write_all(&text).map_err(Error::Write)
}
