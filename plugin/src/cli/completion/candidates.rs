//! Completion candidates for an unfinished word.

use super::cursor::{Cursor, Wanted};
use crate::reporting::source::reference;
use crate::{
    cli::Cli,
    cluster::{kubeconfig, live::Live, names},
    commands::{explain, matrix, plain},
    config::{self, Connection},
};
use clap::{Arg, Command, ValueHint};
use std::{sync::mpsc, thread, time::Duration};
use svc_reach_common::{
    matrix::{Catalog, Column},
    network_model::NetworkModel,
    position::Position,
    proxy_mode::ProxyMode,
    target::TargetKind,
    terms::Failure,
};

/// How long a completion waits for the cluster, including its credential plugin.
const PATIENCE: Duration = Duration::from_secs(2);

/// Completion candidates for an unfinished word.
#[derive(Debug, Default)]
pub struct Candidates {
    /// One candidate per line. A description may follow after a tab.
    pub lines: Vec<String>,
    /// Whether the word can be a file, too.
    pub files: bool,
}

/// Kinds of names to ask the cluster for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Services,
    Namespaces,
}

impl Candidates {
    /// The candidates at the cursor. `typed` parses the rest of the line.
    pub fn of(cursor: &Cursor<'_>, typed: impl FnOnce() -> Option<Cli>) -> Self {
        let mut candidates = match &cursor.wanted {
            Wanted::Flag => Self::plain(flags(cursor.command, cursor.begun)),
            Wanted::Value(arg) => Self::values(cursor, arg, typed),
            Wanted::Word { commands, argument } => {
                let mut found = Self::default();
                if *commands {
                    found.lines = subcommands(cursor.command);
                }
                if let Some(arg) = argument {
                    let values = Self::values(cursor, arg, typed);
                    found.lines.extend(values.lines);
                    found.files = values.files;
                }
                found
            }
        };
        candidates
            .lines
            .retain(|line| line.starts_with(cursor.begun));
        candidates
    }

    fn plain(lines: Vec<String>) -> Self {
        Self {
            lines,
            files: false,
        }
    }

    fn values(cursor: &Cursor<'_>, arg: &Arg, typed: impl FnOnce() -> Option<Cli>) -> Self {
        let possible = arg.get_possible_values();
        if !possible.is_empty() {
            let names = possible.iter().map(|value| value.get_name().to_owned());
            return Self::plain(names.collect());
        }
        match arg.get_id().as_str() {
            "service" | "services" => {
                // Keep the kind as typed: svc/ng becomes svc/nginx.
                let kind = cursor.begun.split_once('/').map_or("", |(kind, _)| kind);
                let prefix = match kind {
                    "" => String::new(),
                    kind => format!("{kind}/"),
                };
                if config::service_name(&format!("{prefix}a")).is_err() {
                    return Self::default();
                }
                let names = known(Names::Services, typed);
                Self::plain(names.iter().map(|name| format!("{prefix}{name}")).collect())
            }
            "namespace" | "probe_namespace" => Self::plain(known(Names::Namespaces, typed)),
            "context" => Self::plain(contexts(typed)),
            "matrix" | "from" | "to" if takes_matrix(arg) => Self {
                lines: editions(),
                files: true,
            },
            "output" => match cursor.command.get_name() {
                "list" | "show" | "diff" => Self::plain(words(matrix::MatrixFormat::ALL)),
                "images" | "version" => Self::plain(words(plain::PlainFormat::ALL)),
                "explain" => Self::plain(words(explain::ExplainFormat::ALL)),
                _ if cursor.begun.contains('=') => Self {
                    lines: Vec::new(),
                    files: true,
                },
                _ => Self::plain(words(config::ReportFormat::ALL)),
            },
            "color" => Self::plain(words(config::Color::ALL)),
            "only" | "skip" => Self::plain(one_more(
                cursor.begun,
                &[words(Position::ALL), words(TargetKind::ALL)].concat(),
            )),
            "fail_on" => Self::plain(one_more(cursor.begun, &words(Failure::ALL))),
            "require_reachable" | "require_unreachable" => Self::plain(places()),
            "column" => Self::plain(Column::all().map(|column| column.to_string()).collect()),
            "network_model" => Self::plain(words(NetworkModel::ALL)),
            "proxy_mode" => Self::plain(words(ProxyMode::ALL)),
            "image_pull_policy" => Self::plain(words(config::PullPolicy::ALL)),
            "protocol" => Self::plain(words(config::ProtocolChoice::ALL)),
            "external" => Self::plain(words(config::External::ALL)),
            _ => Self {
                lines: Vec::new(),
                files: matches!(
                    arg.get_value_hint(),
                    ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
                ),
            },
        }
    }
}

fn words(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Words for the item after the last comma, each with the text before it.
fn one_more(begun: &str, words: &[String]) -> Vec<String> {
    let before = begun.rfind(',').map_or("", |comma| &begun[..=comma]);
    words.iter().map(|word| format!("{before}{word}")).collect()
}

/// Every `POSITION:TARGET`.
fn places() -> Vec<String> {
    let targets = |position| {
        TargetKind::ALL
            .iter()
            .map(move |target| format!("{position}:{target}"))
    };
    Position::ALL.iter().flat_map(targets).collect()
}

/// Whether an argument takes a matrix. `--to` and `--from` of `explain` do not.
fn takes_matrix(arg: &Arg) -> bool {
    arg.is_positional() || arg.get_long() == Some("matrix")
}

fn editions() -> Vec<String> {
    let Ok(catalog) = Catalog::builtin() else {
        return Vec::new();
    };
    let mut lines: Vec<String> = Vec::new();
    for edition in catalog.editions() {
        if lines.iter().all(|line| *line != edition.name) {
            lines.push(edition.name.clone());
        }
        lines.push(reference(&edition.name, Some(edition.readable())));
    }
    lines
}

fn described(name: &str, about: Option<String>) -> String {
    // A candidate is one line, so take only the first line of the description.
    match about.as_deref().and_then(|about| about.lines().next()) {
        Some(about) => format!("{name}\t{about}"),
        None => name.to_owned(),
    }
}

fn subcommands(command: &Command) -> Vec<String> {
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| described(sub.get_name(), sub.get_about().map(ToString::to_string)))
        .collect()
}

fn flags(command: &Command, begun: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let about = || arg.get_help().map(ToString::to_string);
        if let Some(long) = arg.get_long() {
            lines.push(described(&format!("--{long}"), about()));
        }
        // Short flags would only be noise among the long ones.
        if let Some(short) = arg.get_short().filter(|_| begun == "-") {
            lines.push(described(&format!("-{short}"), about()));
        }
    }
    lines
}

/// Names of contexts, except those with characters that would break a line of output.
fn contexts(typed: impl FnOnce() -> Option<Cli>) -> Vec<String> {
    let Some(Ok(connection)) = typed().map(|cli| Connection::new(cli.connection)) else {
        return Vec::new();
    };
    let Ok(Some(kubeconfig)) = kubeconfig::read(&connection) else {
        return Vec::new();
    };
    kubeconfig
        .contexts
        .into_iter()
        .map(|context| context.name)
        .filter(|name| !name.chars().any(|c| c.is_control() || c.is_whitespace()))
        .collect()
}

/// Names from the cluster; none if it does not answer in time.
fn known(which: Names, typed: impl FnOnce() -> Option<Cli>) -> Vec<String> {
    let Some(Ok(connection)) = typed().map(|cli| Connection::new(cli.connection)) else {
        return Vec::new();
    };
    // Use a thread: kube waits for a credential plugin without yielding, so a timer in the same runtime could not fire.
    let (sender, receiver) = mpsc::channel();
    let ask = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            // Nothing receives the names if the time is up.
            let _ = sender.send(runtime.block_on(ask(which, &connection)));
        }
    };
    thread::spawn(ask);
    receiver.recv_timeout(PATIENCE).unwrap_or_default()
}

async fn ask(which: Names, connection: &Connection) -> Vec<String> {
    let Ok((cluster, namespace)) = Live::connect(connection).await else {
        return Vec::new();
    };
    match which {
        Names::Services => names::services(&cluster, &namespace).await,
        Names::Namespaces => names::namespaces(&cluster).await,
    }
    .unwrap_or_default()
}
