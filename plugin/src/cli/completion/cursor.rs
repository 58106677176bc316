//! The end of an unfinished command line.

use clap::{Arg, ArgAction, Command};

/// What the last word can be.
#[derive(Debug)]
pub enum Wanted<'c> {
    /// A flag.
    Flag,
    /// The value of a flag.
    Value(&'c Arg),
    /// A subcommand or a positional argument.
    Word {
        /// Whether a subcommand is allowed here.
        commands: bool,
        /// The positional argument that comes next, if there is one.
        argument: Option<&'c Arg>,
    },
}

/// The end of an unfinished command line.
#[derive(Debug)]
pub struct Cursor<'c> {
    /// The command that the last word belongs to.
    pub command: &'c Command,
    /// What the last word can be.
    pub wanted: Wanted<'c>,
    /// The typed part of the last word.
    pub begun: &'c str,
}

impl<'c> Cursor<'c> {
    /// The cursor at the end of the last word. That word is unfinished, and empty if nothing of it is typed yet.
    pub fn at(root: &'c Command, words: &'c [String]) -> Self {
        let (last, before) = match words.split_last() {
            Some((last, before)) => (last.as_str(), before),
            None => ("", words),
        };
        let mut command = root;
        let mut pending = None;
        let mut flags = true;
        let mut seen = 0;
        for word in before {
            if pending.take().is_some() {
                continue;
            }
            match word.as_str() {
                "--" if flags => flags = false,
                word if flags && is_flag(word) => pending = awaits_value(command, word),
                word => match command.find_subcommand(word).filter(|_| seen == 0) {
                    Some(found) => command = found,
                    None => seen += 1,
                },
            }
        }
        let at = |wanted, begun| Cursor {
            command,
            wanted,
            begun,
        };
        if let Some(arg) = pending {
            return at(Wanted::Value(arg), last);
        }
        if flags && last.starts_with('-') {
            return match last.split_once('=') {
                Some((flag, value)) => match by_name(command, flag) {
                    Some(arg) => at(Wanted::Value(arg), value),
                    None => at(Wanted::Flag, last),
                },
                None => at(Wanted::Flag, last),
            };
        }
        let wanted = Wanted::Word {
            commands: seen == 0 && command.has_subcommands(),
            argument: command.get_positionals().nth(seen).or_else(|| {
                let last = command.get_positionals().last();
                last.filter(|arg| matches!(arg.get_action(), ArgAction::Append))
            }),
        };
        at(wanted, last)
    }
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// The argument of a flag such as `--name` or `-n`.
fn by_name<'c>(command: &'c Command, flag: &str) -> Option<&'c Arg> {
    match flag.strip_prefix("--") {
        Some(long) => command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(long)),
        None => by_letter(command, flag.chars().nth(1)?),
    }
}

fn by_letter(command: &Command, letter: char) -> Option<&Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_short() == Some(letter))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The argument that takes the next word as its value.
fn awaits_value<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let takes_word = |arg: &&Arg| takes_value(arg) && !arg.is_require_equals_set();
    if word.starts_with("--") {
        // With an =, the flag has its value already and matches no name.
        return by_name(command, word).filter(takes_word);
    }
    // In -vn, v is a switch and n needs the next word as its value. In -nweb, n has its value already.
    let letters = word.get(1..).unwrap_or_default();
    for (index, letter) in letters.char_indices() {
        let arg = by_letter(command, letter)?;
        if takes_word(&arg) {
            let last = index + letter.len_utf8() == letters.len();
            return Some(arg).filter(|_| last);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Wanted};
    use crate::cli::Cli;
    use clap::CommandFactory;

    /// The command, what the last word can be, and its typed part.
    fn at(words: &[&str]) -> [String; 3] {
        let mut root = Cli::command();
        root.build();
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let cursor = Cursor::at(&root, &words);
        let wanted = match cursor.wanted {
            Wanted::Flag => "a flag".to_owned(),
            Wanted::Value(arg) => format!("value of {}", arg.get_id()),
            Wanted::Word { commands, argument } => {
                let argument = argument.map_or("nothing", |arg| arg.get_id().as_str());
                format!("{argument}{}", if commands { " or a command" } else { "" })
            }
        };
        [
            cursor.command.get_name().to_owned(),
            wanted,
            cursor.begun.to_owned(),
        ]
    }

    #[test]
    fn earlier_words_decide_what_the_last_word_can_be() {
        for (words, command, wanted, begun) in [
            (&[][..], "svc-reach", "services or a command", ""),
            (&[""], "svc-reach", "services or a command", ""),
            (&["svc/ng"], "svc-reach", "services or a command", "svc/ng"),
            (&["-n", "we"], "svc-reach", "value of namespace", "we"),
            (&["-n", "web", ""], "svc-reach", "services or a command", ""),
            (&["-nweb", ""], "svc-reach", "services or a command", ""),
            (&["-vn", ""], "svc-reach", "value of namespace", ""),
            (&["-v", ""], "svc-reach", "services or a command", ""),
            (&["--context=pr"], "svc-reach", "value of context", "pr"),
            (&["nginx", "--con"], "svc-reach", "a flag", "--con"),
            (&["nginx", "--", "-x"], "svc-reach", "services", "-x"),
            (&["nginx", "web", "ng"], "svc-reach", "services", "ng"),
            (&["judge", "a", "b", ""], "judge", "nothing", ""),
            (&["matrix", ""], "matrix", "nothing or a command", ""),
            (&["matrix", "show", "hu"], "show", "matrix", "hu"),
            (&["matrix", "diff", "a", ""], "diff", "to", ""),
            (&["explain", "-n", "web", "n"], "explain", "service", "n"),
            (
                &["--masquerade-all", ""],
                "svc-reach",
                "services or a command",
                "",
            ),
            (
                &["explain", "--masquerade-all", ""],
                "explain",
                "service",
                "",
            ),
            // A namespace named like a command.
            (
                &["-n", "matrix", ""],
                "svc-reach",
                "services or a command",
                "",
            ),
        ] {
            assert_eq!(at(words), [command, wanted, begun], "{words:?}");
        }
    }
}
