//! What was typed. What it means is [`action`].

pub mod action;
pub mod completion;
pub mod man;

use crate::{
    commands::{
        explain::args::ExplainArgs, judge::JudgeArgs, matrix::MatrixArgs, plain::PlainArgs,
    },
    config::{ConnectionArgs, ExpectationArgs, OutputArgs, ProbeArgs, RequestArgs},
};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};
use clap_complete::Shell;
use std::{ffi::OsString, path::PathBuf};

/// From where can a Service be reached, is that what the documentation says, and if not, why?
#[derive(Debug, Parser)]
#[command(
    bin_name = "kubectl svc-reach",
    version,
    // As in kubectl, the last one counts.
    args_override_self = true,
    subcommand_precedence_over_arg = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads a command line. Flags of the cluster may stand before a command, flags of a run may not: they would mean
    /// nothing to it.
    ///
    /// # Errors
    ///
    /// What clap says, `--help` and `--version` among it.
    pub fn read<T: Into<OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(args)?;
        let of_run = command
            .get_arguments()
            .filter(|arg| !arg.is_global_set())
            .find(|arg| {
                let id = arg.get_id().as_str();
                matches.try_contains_id(id).is_ok()
                    && matches.value_source(id) == Some(ValueSource::CommandLine)
            });
        if let (Some((name, _)), Some(arg)) = (matches.subcommand(), of_run) {
            let text = format!("the command '{name}' cannot be used with '{arg}'");
            return Err(command.error(ErrorKind::ArgumentConflict, text));
        }
        Self::from_arg_matches(&matches)
    }
}

const AFTER_HELP: &str = "\
Examples:
  kubectl svc-reach nginx                         the Service nginx of the current namespace
  kubectl svc-reach -l app=web -n web             every Service with a label; --all, -A: every Service
  kubectl svc-reach svc/nginx -n web -o json      for scripts
  kubectl svc-reach nginx -o junit=report.xml     for pipelines
  kubectl svc-reach nginx --watch                 again and again, while something is changed
  kubectl svc-reach explain nginx                 what to expect and why, without a single pod
  kubectl svc-reach matrix show huawei-cce        what the provider's document says, without a cluster
  kubectl svc-reach judge before.json after.json  what changed between two runs
  kubectl svc-reach cleanup -n web                remove what a killed run left

Exit codes:
  0    every cell was observed and is as expected
  1    a cell is worse, better or unstable
  2    the command line or a file given to it is wrong
  3    some cell could not be observed, or nothing could be compared
  4    the cluster refused or failed
  130  interrupted (SIGINT), 143: terminated (SIGTERM); cleaned up";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What to expect of a Service, or of single packets, and why; deploys nothing
    #[command(after_help = "\
Examples:
  kubectl svc-reach explain nginx                   what to expect of each address
  kubectl svc-reach explain nginx --from dump.json  the same from a dump, without a cluster
  kubectl svc-reach explain --client pod --node node-1 --to 10.247.0.7:80")]
    Explain(Box<ExplainArgs>),
    /// A report of an earlier run, judged again; or what changed between two
    #[command(after_help = "\
Examples:
  kubectl svc-reach nginx -o json > before.json
  kubectl svc-reach judge before.json --matrix huawei-cce@2024-01-en --column vpc/ipvs
  kubectl svc-reach judge before.json after.json  what changed from one to a later one")]
    Judge(Box<JudgeArgs>),
    /// The documented matrices: what is expected, by whose word; needs no cluster
    #[command(after_help = "\
Examples:
  kubectl svc-reach matrix list
  kubectl svc-reach matrix show huawei-cce@2024-01-en
  kubectl svc-reach matrix diff huawei-cce@2024-01-en huawei-cce@2026-01-otc")]
    Matrix(Box<MatrixArgs>),
    /// Remove the probes that earlier runs left in the namespace
    #[command(after_help = "\
Examples:
  kubectl svc-reach cleanup                of the current namespace
  kubectl svc-reach cleanup -n web")]
    Cleanup(CleanupArgs),
    /// A script by which a shell completes kubectl-svc_reach
    ///
    /// From 1.26 on, kubectl itself completes kubectl svc-reach, names of
    /// Services among it, where kubectl_complete-svc_reach of the release is
    /// on the PATH. This script is for kubectl-svc_reach called directly:
    ///
    ///   source <(kubectl svc-reach completion bash)
    #[command(verbatim_doc_comment)]
    Completion(CompletionArgs),
    /// The images that a run pulls, for a registry that mirrors them; needs no cluster
    #[command(after_help = "\
Examples:
  kubectl svc-reach images             one per line
  kubectl svc-reach images -o json     for programs")]
    Images(PlainArgs),
    /// Versions of this program, its probe and its matrices; needs no cluster
    #[command(after_help = "\
Examples:
  kubectl svc-reach version
  kubectl svc-reach version -o json    for programs")]
    Version(PlainArgs),
}

/// What `completion` takes.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Only those of this run
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Services: nginx, svc/nginx or service/nginx; nginx.web: that of namespace web
    #[arg(
        value_name = "SERVICE",
        required_unless_present_any = ["selector", "all", "all_namespaces", "config"],
        conflicts_with_all = ["selector", "all", "all_namespaces", "config"],
    )]
    pub services: Vec<String>,
    /// Services with these labels, such as app=web
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with_all = ["all", "config"])]
    pub selector: Option<String>,
    /// All Services of the namespace
    #[arg(long, conflicts_with = "config")]
    pub all: bool,
    /// Services of all namespaces
    #[arg(short = 'A', long, conflicts_with = "config")]
    pub all_namespaces: bool,
    /// Services, and what is expected of each, from a file; its format is in README.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["require_reachable", "require_unreachable", "fail_on", "only", "skip"])]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Wait so long for a ready backend, and for an address of the load balancer
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
    /// Again and again, with a line for each change
    #[arg(short, long)]
    pub watch: bool,
    /// Time from the end of one run to the next, with --watch
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        requires = "watch"
    )]
    pub interval: String,
    /// Only these positions and kinds of target, such as pod-other,cluster-ip
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Not these positions and kinds of target
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub skip: Vec<String>,
    #[command(flatten)]
    pub expectations: ExpectationArgs,
    #[command(flatten)]
    pub probe: ProbeArgs,
    #[command(flatten)]
    pub request: RequestArgs,
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command};

    fn read(args: &[&str]) -> Result<Cli, String> {
        let args = std::iter::once(&"kubectl-svc_reach").chain(args);
        Cli::read(args.copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_of_the_cluster_stand_before_a_command_or_behind_it() {
        for args in [
            &["explain", "nginx", "-n", "web"][..],
            &["-n", "web", "explain", "nginx"],
            &["-n", "shop", "--context=c", "explain", "nginx", "-n", "web"],
        ] {
            let cli = read(args).unwrap();
            assert_eq!(cli.connection.namespace.as_deref(), Some("web"), "{args:?}");
            assert!(matches!(cli.command, Some(Command::Explain(_))), "{args:?}");
        }
    }

    #[test]
    fn what_a_command_would_not_heed_is_refused() {
        for (args, named) in [
            (&["nginx", "explain", "nginx"][..], "[SERVICE]..."),
            (&["--watch", "matrix", "list"], "--watch"),
            (&["-A", "explain", "nginx"], "--all-namespaces"),
            (&["--image", "x", "cleanup"], "--image"),
        ] {
            let error = read(args).unwrap_err();
            assert!(error.contains("cannot be used with"), "{args:?}: {error}");
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_service_that_is_called_like_a_command_is_named_with_its_kind() {
        let cli = read(&["svc/explain"]).unwrap();
        assert_eq!(cli.run.services, ["svc/explain"]);
    }
}
