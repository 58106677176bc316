//! What a command line means, as one action. Pure: it reads no file and makes no call.

use super::{CleanupArgs, Cli, Command, RunArgs};
use crate::{
    commands::{
        explain::ExplainCommand, judge::JudgeCommand, matrix::MatrixCommand, permissions::Subject,
        plain,
    },
    config::{
        Check, Choice, Connection, ReportFormat, RunSettings, ServiceName, ServiceSelection,
        UsageError, cells, duration, expectations, given, given_terms, outputs, probe, request,
        terms,
    },
};
use svc_reach_common::terms::Terms;

/// A valid command line.
#[derive(Debug)]
pub struct Config {
    /// Which cluster to use, and as which user.
    pub connection: Connection,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Check Services.
    Run(Box<RunSettings>),
    /// Say what to expect, and why.
    Explain(Box<ExplainCommand>),
    /// Show what documents say.
    Matrix(Box<MatrixCommand>),
    /// Judge or compare saved reports.
    Judge(Box<JudgeCommand>),
    /// Remove the probes that earlier runs left.
    Cleanup {
        /// Remove only the probes of the run with this ID.
        run: Option<String>,
    },
    /// Print the roles that a run needs.
    Permissions(Option<Subject>),
    /// Print a completion script.
    Completion(clap_complete::Shell),
    /// List the images that a run pulls.
    Images(plain::PlainFormat),
    /// Print versions.
    Version(plain::PlainFormat),
}

impl Config {
    /// Interprets a command line.
    pub fn new(cli: Cli) -> Result<Self, UsageError> {
        let mut cli = cli;
        cli.connection.namespace = given(cli.connection.namespace);
        if let Some(Command::Explain(args)) = &mut cli.command
            && let Some(service) = &mut args.service
        {
            let named = ServiceName::parse(service, cli.connection.namespace.as_deref())?;
            cli.connection.namespace = named.namespace.or(cli.connection.namespace);
            *service = named.name;
        }
        let namespace = cli.connection.namespace.clone();
        let connection = Connection::new(cli.connection)?;
        let action = match cli.command {
            Some(Command::Explain(args)) => Action::Explain(Box::new(ExplainCommand::new(*args)?)),
            Some(Command::Judge(args)) => Action::Judge(Box::new(JudgeCommand::new(*args)?)),
            Some(Command::Matrix(args)) => Action::Matrix(Box::new(MatrixCommand::new(*args)?)),
            Some(Command::Cleanup(CleanupArgs { run })) => Action::Cleanup { run },
            Some(Command::Permissions(args)) => Action::Permissions(args.subject()?),
            Some(Command::Completion(args)) => Action::Completion(args.shell),
            Some(Command::Images(args)) => Action::Images(args.format()?),
            Some(Command::Version(args)) => Action::Version(args.format()?),
            None => Action::Run(Box::new(run(cli.run, namespace.as_deref())?)),
        };
        Ok(Self { connection, action })
    }
}

fn run(args: RunArgs, namespace: Option<&str>) -> Result<RunSettings, UsageError> {
    let check = Check {
        choice: Choice {
            only: cells("--only", args.only)?,
            skip: cells("--skip", args.skip)?,
        },
        request: request(args.request)?,
        terms: terms(&given_terms(&args.expectations)?, &Terms::default())?,
    };
    let list = args.services.len() != 1;
    let selection = if args.services.is_empty() {
        ServiceSelection::Matching {
            selector: args.selector,
            everywhere: args.all_namespaces,
        }
    } else {
        let mut names: Vec<ServiceName> = Vec::new();
        for given in &args.services {
            let name = ServiceName::parse(given, namespace)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        ServiceSelection::Named(names)
    };
    let watch = args
        .watch
        .then(|| duration("--interval", &args.interval))
        .transpose()?;
    let color = args.output.color.parse()?;
    let outputs = outputs(args.output)?;
    if watch.is_some() {
        for output in &outputs {
            let lines = matches!(
                output.format,
                ReportFormat::Table | ReportFormat::Wide | ReportFormat::Json
            );
            if output.file.is_none() && !lines {
                return Err(UsageError::invalid(
                    "--output",
                    output.format.as_str(),
                    "needs a file with --watch: FORMAT=FILE",
                ));
            }
        }
    }
    Ok(RunSettings {
        selection,
        list,
        config: args.config,
        color,
        outputs,
        wait: args
            .wait
            .map(|text| duration("--wait", &text))
            .transpose()?,
        settle: args
            .settle
            .map(|text| duration("--settle", &text))
            .transpose()?,
        watch,
        check,
        own: Vec::new(),
        expectations: expectations(args.expectations)?,
        probe: probe(args.probe)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Action, Config};
    use crate::{
        cli::Cli,
        config::{ReportFormat, RunSettings, ServiceSelection, Toleration},
    };
    use clap::Parser;
    use std::{path::PathBuf, time::Duration};

    fn read(args: &[&str]) -> Result<RunSettings, String> {
        let cli = Cli::try_parse_from(std::iter::once(&"kubectl-svc_reach").chain(args))
            .map_err(|e| e.to_string())?;
        match Config::new(cli).map_err(|e| e.to_string())?.action {
            Action::Run(run) => Ok(*run),
            Action::Explain(_)
            | Action::Matrix(_)
            | Action::Judge(_)
            | Action::Cleanup { .. }
            | Action::Permissions(_)
            | Action::Completion(_)
            | Action::Images(_)
            | Action::Version(_) => Err("another command".to_owned()),
        }
    }

    fn names(args: &[&str]) -> Result<Vec<String>, String> {
        match read(args)?.selection {
            ServiceSelection::Named(names) => Ok(names
                .into_iter()
                .map(|name| match name.namespace {
                    None => name.name,
                    Some(namespace) => format!("{}.{namespace}", name.name),
                })
                .collect()),
            ServiceSelection::Matching { .. } => Err("no names".to_owned()),
        }
    }

    #[test]
    fn flags_name_the_same_cluster_and_user_without_secrets() {
        for (args, expected) in [
            (&[][..], ""),
            (
                &["-n", "web", "--token", "secret", "--request-timeout", "5s"],
                "",
            ),
            (
                &["--context", "my cluster", "--kubeconfig", "a.yaml"],
                " --kubeconfig a.yaml --context 'my cluster'",
            ),
            (
                &[
                    "--server",
                    "https://192.0.2.1:6443",
                    "--insecure-skip-tls-verify",
                ],
                " --server https://192.0.2.1:6443 --insecure-skip-tls-verify",
            ),
            (
                &[
                    "--as",
                    "ann",
                    "--as-group",
                    "a",
                    "--as-group",
                    "b",
                    "--as-uid",
                    "7",
                ],
                " --as ann --as-uid 7 --as-group a --as-group b",
            ),
        ] {
            let args = ["kubectl-svc_reach", "nginx"].iter().chain(args);
            let config = Config::new(Cli::try_parse_from(args).unwrap()).unwrap();
            assert_eq!(config.connection.flags(), expected);
        }
    }

    #[test]
    fn a_service_is_named_as_in_kubectl() {
        for given in ["nginx", "svc/nginx", "service/nginx", "services/nginx"] {
            assert_eq!(names(&[given]).unwrap(), ["nginx"], "{given}");
        }
        for (given, why) in [
            ("deploy/nginx", "only Services can be checked"),
            ("Nginx", "not a valid Service name"),
            ("svc/", "not a valid Service name"),
            ("a/b/c", "only Services can be checked"),
        ] {
            let error = read(&[given]).unwrap_err();
            assert!(error.contains(why), "{given}: {error}");
        }
    }

    #[test]
    fn only_one_named_service_is_not_a_list() {
        for (args, expected, list) in [
            (&["a"][..], &["a"][..], false),
            (&["a", "svc/b", "a"], &["a", "b"], true),
            (&["a.x", "b.y"], &["a.x", "b.y"], true),
            (&["a", "--watch", "-o", "junit=f"], &["a"], false),
        ] {
            assert_eq!(names(args).unwrap(), expected, "{args:?}");
            assert_eq!(read(args).unwrap().list, list, "{args:?}");
        }
        let matching = |selector: Option<&str>, everywhere| ServiceSelection::Matching {
            selector: selector.map(str::to_owned),
            everywhere,
        };
        for (args, expected) in [
            (&["-l", "app=web"][..], matching(Some("app=web"), false)),
            (&["--all"], matching(None, false)),
            (&["-A"], matching(None, true)),
            (&["-A", "--all"], matching(None, true)),
            (
                &["-A", "--selector", "a in (b)"],
                matching(Some("a in (b)"), true),
            ),
        ] {
            let run = read(args).unwrap();
            assert_eq!((run.selection, run.list), (expected, true), "{args:?}");
        }
        for args in [
            &["a", "-A"][..],
            &["a", "-l", "b=c"],
            &["a", "--all"],
            &["--all", "-l", "b=c"],
            &["a", "--interval", "3s"],
            &["a", "--watch", "-o", "junit"],
            &["a", "--config", "f"],
            &["--config", "f", "--all"],
            &[],
        ] {
            assert!(read(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn words_select_the_same_services() {
        for (args, words) in [
            (&["a", "b.x"][..], "a.here b.x"),
            (&["--all"], "--all -n here"),
            (&["-A"], "-A"),
            (&["-l", "a in (b)"], "-l 'a in (b)' -n here"),
        ] {
            let selection = read(args).unwrap().selection;
            assert_eq!(selection.words("here"), words, "{args:?}");
        }
    }

    #[test]
    fn probes_use_a_shared_namespace_or_the_current_one() {
        for (args, namespace) in [
            (&["a"][..], "here"),
            (&["a.x"], "x"),
            (&["a.x", "b.x"], "x"),
            (&["a.x", "b.y"], "here"),
            (&["a.x", "b"], "here"),
            (&["a.x", "--probe-namespace", "z"], "z"),
            (&["-A"], "here"),
        ] {
            assert_eq!(read(args).unwrap().probes_in("here"), namespace, "{args:?}");
        }
    }

    #[test]
    fn contradicting_requirements_are_refused() {
        let args = |target| ["a", "--require-reachable=external:node-port", target];
        let error = read(&args("--require-unreachable=external:node-port")).unwrap_err();
        assert!(
            error.contains("is also required to be reachable"),
            "{error}"
        );
        let run = read(&args("--require-unreachable=external:load-balancer")).unwrap();
        let required = run.check.terms.required.iter().map(ToString::to_string);
        assert_eq!(
            required.collect::<Vec<_>>(),
            [
                "--require-reachable external:node-port",
                "--require-unreachable external:load-balancer"
            ]
        );
    }

    #[test]
    fn at_most_one_output_has_no_file() {
        let table = |file: Option<&str>| (ReportFormat::Table, file.map(PathBuf::from));
        let json = |file: Option<&str>| (ReportFormat::Json, file.map(PathBuf::from));
        for (args, expected) in [
            (vec![], vec![table(None)]),
            (vec!["-o", "json"], vec![json(None)]),
            (vec!["-ojson=a=b"], vec![json(Some("a=b"))]),
            (
                vec!["-o", "table", "-o", "json=r.json"],
                vec![table(None), json(Some("r.json"))],
            ),
            (vec!["--output-file", "r"], vec![table(Some("r"))]),
            (
                vec!["-o", "table=t", "-o", "json", "--output-file", "r"],
                vec![table(Some("t")), json(Some("r"))],
            ),
        ] {
            let run = read(&[&["nginx"], args.as_slice()].concat()).unwrap();
            let outputs: Vec<_> = run
                .outputs
                .into_iter()
                .map(|output| (output.format, output.file))
                .collect();
            assert_eq!(outputs, expected, "{args:?}");
        }
        for (args, why) in [
            (
                vec!["-o", "table", "-o", "json"],
                "only one -o may omit =FILE",
            ),
            (
                vec!["-o", "table", "-o", "json", "--output-file", "r"],
                "only one -o may omit =FILE",
            ),
            (vec!["-o", "json="], "has no file name"),
            (vec!["--output-file", ""], "a value is required"),
            (
                vec!["-o", "json=a", "--output-file", "r"],
                "--output-file needs an -o without =FILE",
            ),
            (vec!["-o", "=r"], "unknown output format"),
        ] {
            let error = read(&[&["nginx"], args.as_slice()].concat()).unwrap_err();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_name_may_have_a_namespace() {
        let namespace = |args: &[&str]| {
            let cli = Cli::try_parse_from(std::iter::once(&"kubectl-svc_reach").chain(args));
            Config::new(cli.unwrap())
                .map(|config| config.connection.namespace)
                .map_err(|e| e.to_string())
        };
        for args in [&["nginx.web"][..], &["svc/nginx.web", "-n", "web"]] {
            assert_eq!(names(args).unwrap(), ["nginx.web"], "{args:?}");
        }
        let explained = namespace(&["explain", "nginx.web"]).unwrap();
        assert_eq!(explained.as_deref(), Some("web"));
        for (args, why) in [
            (&["nginx.web", "-n", "shop"][..], "its namespace differs"),
            (
                &["explain", "nginx.web", "-n", "shop"],
                "its namespace differs",
            ),
            (&["nginx.web.svc"], "only a namespace"),
            (&["nginx."], "only a namespace"),
            (&[".web"], "not a valid Service name"),
        ] {
            let error = namespace(args).unwrap_err();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }

    #[test]
    fn empty_kubectl_flags_are_ignored() {
        let connection = |args: &[&str]| {
            let cli = Cli::try_parse_from(std::iter::once(&"kubectl-svc_reach").chain(args));
            Config::new(cli.unwrap())
                .map(|config| config.connection)
                .map_err(|e| e.to_string())
        };
        let bare = connection(&["nginx"]).unwrap();
        for flag in [
            "kubeconfig",
            "context",
            "cluster",
            "user",
            "namespace",
            "server",
            "tls-server-name",
            "certificate-authority",
            "client-certificate",
            "client-key",
            "token",
            "as",
            "as-group",
            "as-uid",
            "request-timeout",
        ] {
            let empty = connection(&["nginx", &format!("--{flag}=")]);
            assert_eq!(empty.as_ref(), Ok(&bare), "{flag}");
        }
        let with_password = ["nginx", "--username=", "--password="];
        assert_eq!(connection(&with_password), Ok(bare));
        assert_eq!(names(&["nginx.web", "-n", ""]).unwrap(), ["nginx.web"]);
        for namespace in ["a/b", "Web", "a b", "-a", "."] {
            let error = connection(&["nginx", &format!("--namespace={namespace}")]).unwrap_err();
            assert!(error.contains("not a valid namespace name"), "{error}");
        }
    }

    #[test]
    fn durations_use_kubectls_notation() {
        for (text, millis) in [
            ("3s", 3000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("7", 7000),
        ] {
            let run = read(&["nginx", "--probe-timeout", text]).unwrap();
            assert_eq!(
                run.probe.start_timeout,
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for text in ["", "fast", "-3s", "0s"] {
            let error = read(&["nginx", &format!("--probe-timeout={text}")]).unwrap_err();
            assert!(error.contains("--probe-timeout"), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_at_most_a_day() {
        for flag in [
            "wait",
            "settle",
            "probe-timeout",
            "timeout",
            "request-timeout",
        ] {
            let with = |text: &str| read(&["nginx", &format!("--{flag}={text}")]);
            assert!(with("24h").is_ok(), "{flag}");
            for text in ["24h1s", "18446744073709551615"] {
                let error = with(text).unwrap_err();
                let expected = format!("--{flag} {text:?}: must be at most 24h");
                assert_eq!(error, expected);
            }
        }
        let error = read(&["nginx", "--watch", "--interval=25h"]).unwrap_err();
        assert!(error.contains("must be at most 24h"), "{error}");
    }

    #[test]
    fn tolerations_are_written_as_taints() {
        let toleration = |key: &str, value: Option<&str>, effect: Option<&str>| Toleration {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            effect: effect.map(str::to_owned),
        };
        for (text, expected) in [
            ("gpu", toleration("gpu", None, None)),
            ("gpu=yes", toleration("gpu", Some("yes"), None)),
            (
                "gpu:NoSchedule",
                toleration("gpu", None, Some("NoSchedule")),
            ),
            (
                "gpu=yes:NoExecute",
                toleration("gpu", Some("yes"), Some("NoExecute")),
            ),
        ] {
            assert_eq!(
                read(&["nginx", "--toleration", text])
                    .unwrap()
                    .probe
                    .tolerations,
                [expected],
                "{text}"
            );
        }
        for text in ["", "=yes", "gpu:Never"] {
            assert!(
                read(&["nginx", &format!("--toleration={text}")]).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn an_error_lists_the_valid_words() {
        for (args, words) in [
            (
                ["nginx", "--output=xml"],
                "table, wide, json, yaml, junit, tap, markdown, html",
            ),
            (["nginx", "--color=yes"], "auto, always, never"),
            (["nginx", "--probe=icmp"], "auto, http, https, tcp"),
            (
                ["nginx", "--image-pull-policy=always"],
                "Always, IfNotPresent, Never",
            ),
            (["nginx", "--external=yes"], "auto, never"),
        ] {
            let error = read(&args).unwrap_err();
            assert!(error.contains(words), "{args:?}: {error}");
        }
    }
}
