//! What was typed. What it means is [`crate::config`].

pub mod completion;
pub mod man;

use crate::{
    cli::completion::CompletionArgs,
    commands::{
        explain::args::ExplainArgs, judge::JudgeArgs, matrix::MatrixArgs, plain::PlainArgs,
    },
};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};
use std::{ffi::OsString, num::ParseIntError, path::PathBuf, str::FromStr};

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

#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Only those of this run
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// How much more to log, by one `-v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// `-v`.
    More,
    /// `-v=6`, as kubectl has it.
    Level(u8),
}

impl FromStr for Verbosity {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text {
            "+" => Ok(Self::More),
            level => level.parse().map(Self::Level),
        }
    }
}

/// kubectl's own flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ConnectionArgs {
    /// Namespace of the Service
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Path to the kubeconfig file
    // Empty, it is not given, which clap's own parser of paths does not have.
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Address of the API server, in place of the kubeconfig's
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Name to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Certificates to trust the API server by
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub certificate_authority: Option<String>,
    /// Trust whatever answers as the API server
    #[arg(long, global = true, conflicts_with = "certificate_authority")]
    pub insecure_skip_tls_verify: bool,
    /// Client certificate
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_certificate: Option<String>,
    /// Key of the client certificate
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_key: Option<String>,
    /// Bearer token
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with_all = ["username", "password"])]
    pub token: Option<String>,
    /// User for basic authentication
    #[arg(long, global = true, value_name = "USER", requires = "password")]
    pub username: Option<String>,
    /// Password for basic authentication
    #[arg(long, global = true, value_name = "PASSWORD", requires = "username")]
    pub password: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// Taken as kubectl takes it; answers are not compressed anyhow
    #[arg(long, global = true, hide = true)]
    pub disable_compression: bool,
    /// Bound on one request to the API server, such as 10s; 0 for the default of 30s
    #[arg(long, global = true, value_name = "DURATION")]
    pub request_timeout: Option<String>,
    /// Log what is done, on stderr: -v (kubectl's -v=6) requests, -vv (-v=8) everything; RUST_LOG says it finer
    #[arg(short, long, alias = "v", global = true, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "+")]
    pub verbose: Vec<Verbosity>,
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

/// Where the report goes, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Form of the report: table, wide, json, yaml, junit, tap, markdown or html; with =FILE, into that file (repeatable)
    #[arg(short, long, value_name = "FORMAT[=FILE]", default_value = "table")]
    pub output: Vec<String>,
    /// File for the output that names none
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Colours in tables: auto (on a terminal, NO_COLOR not set), always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: String,
}

/// What observations are held against.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expectations")]
pub struct ExpectationArgs {
    /// Matrix to go by: NAME[@EDITION] or FILE[@EDITION]; that of the provider where not given
    #[arg(long, value_name = "MATRIX")]
    pub matrix: Option<String>,
    /// Hold to one edition, even where others disagree
    #[arg(long)]
    pub strict: bool,
    /// Verdicts that end a run with exit code 1, of worse, better, unstable, disputed, undocumented; the first three where not given
    #[arg(long, value_name = "VERDICTS")]
    pub fail_on: Option<String>,
    /// What must be reachable, whatever documents say, such as pod-other:cluster-ip (repeatable)
    #[arg(long, value_name = "POSITION:TARGET")]
    pub require_reachable: Vec<String>,
    /// What must not be reachable, whatever documents say, such as external:node-port (repeatable)
    #[arg(long, value_name = "POSITION:TARGET")]
    pub require_unreachable: Vec<String>,
    /// Network model and proxy mode, such as vpc/iptables
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["network_model", "proxy_mode"])]
    pub column: Option<String>,
    /// Container network model: tunnel, vpc or eni; as far as it can be found out where not given
    #[arg(long, value_name = "MODEL")]
    pub network_model: Option<String>,
    /// What forwards Service traffic: iptables, ipvs, nftables, userspace or ebpf; found out where not given
    #[arg(long, value_name = "MODE")]
    pub proxy_mode: Option<String>,
}

/// The probe pods.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probes")]
pub struct ProbeArgs {
    /// Image of the probe
    #[arg(long, value_name = "IMAGE", env = "SVC_REACH_IMAGE", default_value = svc_reach_common::names::IMAGE)]
    pub image: String,
    /// Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY")]
    pub image_pull_policy: Option<String>,
    /// Secret to pull the image with (repeatable)
    #[arg(long, value_name = "SECRET")]
    pub image_pull_secret: Vec<String>,
    /// Architectures that the image is made for
    #[arg(
        long,
        value_name = "ARCH",
        value_delimiter = ',',
        default_value = "amd64"
    )]
    pub arch: Vec<String>,
    /// Namespace of the probes; where not given, that of the Services, or the current one where they have several
    #[arg(long, value_name = "NAMESPACE")]
    pub probe_namespace: Option<String>,
    /// Only nodes with these labels, such as pool=web,zone=a
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub node_selector: Vec<String>,
    /// Taint to tolerate, as KEY[=VALUE][:EFFECT] (repeatable); every taint where not given
    #[arg(long, value_name = "TAINT")]
    pub toleration: Vec<String>,
    /// PriorityClass of the probes
    #[arg(long, value_name = "NAME")]
    pub priority_class: Option<String>,
    /// Probe pods that a run may make; one that would make more makes none
    #[arg(long, value_name = "N", default_value = "100")]
    pub max_probes: usize,
    /// How long a probe may take to start
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub probe_timeout: String,
}

/// What the probes do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub struct RequestArgs {
    /// How to ask a TCP port: auto, http, https or tcp
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub probe: String,
    /// Path of HTTP requests
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
    /// Host header of HTTP requests; the address asked where not given
    #[arg(long, value_name = "HOST")]
    pub host_header: Option<String>,
    /// What to send to a UDP port
    #[arg(long, value_name = "TEXT", default_value = "svc-reach")]
    pub udp_payload: String,
    /// Attempts on each target; by the number of backends where not given
    #[arg(long, value_name = "N")]
    pub attempts: Option<u16>,
    /// Bound on one attempt
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    pub timeout: String,
    /// Whether this machine is a position too: auto or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub external: String,
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
