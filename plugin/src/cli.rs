//! The syntax of the command line. [`action`] has its meaning.

pub mod action;
pub mod completion;
pub mod man;

use crate::{
    commands::{
        explain::args::ExplainArgs, judge::JudgeArgs, matrix::MatrixArgs,
        permissions::PermissionsArgs, plain::PlainArgs,
    },
    config::{ConnectionArgs, ExpectationArgs, OutputArgs, ProbeArgs, RequestArgs},
};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};
use clap_complete::Shell;
use std::{ffi::OsString, path::PathBuf};

/// From where can a Service be reached, is that what the documentation says, and if not, why?
///
/// The plugin creates short-lived probe pods on the pod network and on the host network, on a node that runs a backend and on
/// a node that does not. The probes request every address of the Service. The report compares what they saw with the
/// documentation of the provider and with a model of kube-proxy. All probes are removed at the end.
#[derive(Debug, Parser)]
#[command(
    bin_name = "kubectl svc-reach",
    version,
    // As in kubectl, the last value of a repeated flag counts.
    args_override_self = true,
    subcommand_precedence_over_arg = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_SHORT_HELP,
    after_long_help = AFTER_LONG_HELP
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
    /// Parses a command line. Cluster flags may precede a command. Run flags may not, because the command would ignore
    /// them.
    ///
    /// # Errors
    ///
    /// Any error of clap, which also returns `--help` and `--version` as errors.
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

const AFTER_SHORT_HELP: &str = "\
Examples:
  kubectl svc-reach nginx                      check the Service nginx
  kubectl svc-reach -l app=web -n web          check every Service with a label
  kubectl svc-reach nginx -o junit=report.xml  write test results for a pipeline

See 'kubectl svc-reach --help' for all options and exit codes.";

const AFTER_LONG_HELP: &str = "\
Examples:
  kubectl svc-reach nginx                         check the Service nginx of the current namespace
  kubectl svc-reach -l app=web -n web             check every Service with a label; --all and -A check every Service
  kubectl svc-reach svc/nginx -n web -o json      print the report for scripts
  kubectl svc-reach nginx -o junit=report.xml     write test results for a pipeline
  kubectl svc-reach nginx --watch                 check again and again while something changes
  kubectl svc-reach explain nginx                 say what to expect and why, without creating a pod
  kubectl svc-reach matrix show huawei-cce        show what a provider documents, without a cluster
  kubectl svc-reach judge before.json after.json  compare two runs
  kubectl svc-reach cleanup -n web                remove what a killed run left

Exit codes:
  0    every cell was observed and is as expected
  1    a cell is worse, better or unstable, or no backend is ready
  2    the command line or a file given to it is wrong
  3    a cell could not be observed, or nothing could be compared
  4    the cluster refused or failed
  130  interrupted (SIGINT) and cleaned up; 143: terminated (SIGTERM) and cleaned up";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what to expect of a Service and why; creates nothing
    #[command(after_help = "\
Examples:
  kubectl svc-reach explain nginx                   say what to expect of each address
  kubectl svc-reach explain nginx --from dump.json  the same from a dump, without a cluster
  kubectl svc-reach explain --client pod --node node-1 --to 10.247.0.7:80")]
    Explain(Box<ExplainArgs>),
    /// Judge an earlier report again, or compare two reports
    #[command(after_help = "\
Examples:
  kubectl svc-reach nginx -o json > before.json
  kubectl svc-reach judge before.json --matrix huawei-cce@2024-01-en --column vpc/ipvs
  kubectl svc-reach judge before.json after.json  say what changed")]
    Judge(Box<JudgeArgs>),
    /// Show what the documents of each provider say
    #[command(after_help = "\
Examples:
  kubectl svc-reach matrix list
  kubectl svc-reach matrix show huawei-cce@2024-01-en
  kubectl svc-reach matrix diff huawei-cce@2024-01-en huawei-cce@2026-01-otc")]
    Matrix(Box<MatrixArgs>),
    /// Remove the probes that earlier runs left
    #[command(after_help = "\
Examples:
  kubectl svc-reach cleanup           remove them from the current namespace
  kubectl svc-reach cleanup -n web")]
    Cleanup(CleanupArgs),
    /// Print the roles that a run needs, for kubectl apply -f -
    ///
    /// It prints the least permissions for checking the Services of one namespace, each with its reason. The built-in role
    /// edit in the namespace has nearly all of them. This command does not change anything.
    #[command(after_help = "\
Examples:
  kubectl svc-reach permissions -n web                    print the roles
  kubectl svc-reach permissions -n web --for user:ann | kubectl apply -f -
  kubectl svc-reach permissions -n web --for group:web-team | kubectl apply -f -")]
    Permissions(PermissionsArgs),
    /// Print a completion script for a shell
    ///
    /// kubectl 1.26 and later completes kubectl svc-reach by itself, names of
    /// Services included, if kubectl_complete-svc_reach from the release is on
    /// the PATH. You need this script only to call kubectl-svc_reach directly:
    ///
    ///   source <(kubectl svc-reach completion bash)
    #[command(verbatim_doc_comment)]
    Completion(CompletionArgs),
    /// List the images that a run pulls
    ///
    /// Mirror them if your cluster reaches no public registry. This command needs no cluster.
    #[command(after_help = "\
Examples:
  kubectl svc-reach images             print one per line
  kubectl svc-reach images -o json     print them for programs")]
    Images(PlainArgs),
    /// Print the versions of the plugin, its probe and its matrices
    #[command(after_help = "\
Examples:
  kubectl svc-reach version
  kubectl svc-reach version -o json    print them for programs")]
    Version(PlainArgs),
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Name of the shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Remove only the probes of the run with this ID
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Services: nginx, svc/nginx, or nginx.web for namespace web
    #[arg(
        value_name = "SERVICE",
        required_unless_present_any = ["selector", "all", "all_namespaces", "config"],
        conflicts_with_all = ["selector", "all", "all_namespaces", "config"],
    )]
    pub services: Vec<String>,
    /// Check the Services with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with_all = ["all", "config"])]
    pub selector: Option<String>,
    /// Check all Services of the namespace
    #[arg(long, conflicts_with = "config")]
    pub all: bool,
    /// Check the Services of all namespaces
    #[arg(short = 'A', long, conflicts_with = "config")]
    pub all_namespaces: bool,
    /// Read the Services, and what must hold for each, from a smoke test file
    #[arg(hide_short_help = true, long, value_name = "FILE", conflicts_with_all = ["require_reachable", "require_unreachable", "fail_on", "only", "skip"])]
    pub config: Option<PathBuf>,
    /// Wait this long for a ready backend
    ///
    /// The run begins as soon as a backend is ready and the load balancer has an address. If this takes longer, the run fails.
    #[arg(hide_short_help = true, long, value_name = "DURATION")]
    pub wait: Option<String>,
    /// If the Service, its endpoints or nodes change during the run, repeat it, for at most this long
    ///
    /// Cells that depend on something that changed are not observed, and the exit code is 3. A repeated run can observe them.
    #[arg(hide_short_help = true, long, value_name = "DURATION")]
    pub settle: Option<String>,
    /// Check again and again, and print what changes
    #[arg(short, long)]
    pub watch: bool,
    /// With --watch: pause between the end of one run and the start of the next
    #[arg(
        hide_short_help = true,
        long,
        value_name = "DURATION",
        default_value = "30s",
        requires = "watch"
    )]
    pub interval: String,
    /// Check only these positions and kinds of target
    ///
    /// For example: pod-other,cluster-ip
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Do not check these positions and kinds of target
    #[arg(
        hide_short_help = true,
        long,
        value_name = "WORDS",
        value_delimiter = ','
    )]
    pub skip: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub expectations: ExpectationArgs,
    #[command(flatten)]
    pub probe: ProbeArgs,
    #[command(flatten)]
    pub request: RequestArgs,
}

#[cfg(test)]
mod snapshots;

#[cfg(test)]
mod tests {
    use super::{Cli, Command};

    fn read(args: &[&str]) -> Result<Cli, String> {
        let args = std::iter::once(&"kubectl-svc_reach").chain(args);
        Cli::read(args.copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn cluster_flags_may_precede_or_follow_a_command() {
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
    fn a_command_refuses_run_flags() {
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
    fn a_service_named_like_a_command_needs_its_kind() {
        let cli = read(&["svc/explain"]).unwrap();
        assert_eq!(cli.run.services, ["svc/explain"]);
    }
}
