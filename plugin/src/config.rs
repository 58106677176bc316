//! What the command line means. Reading it touches nothing outside.

use crate::{
    cli::{
        CleanupArgs, Cli, Command, ConnectionArgs, ExpectationArgs, OutputArgs, ProbeArgs,
        RequestArgs, RunArgs,
    },
    detection,
    error::UsageError,
    explain::ExplainCommand,
    judge::JudgeCommand,
    matrices::MatrixCommand,
    plain, shell,
};
use jiff::SignedDuration;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};
use svc_reach_common::{
    matrix::Column,
    plan::is_path,
    position::Position,
    report::{Report, Reports},
    target::TargetKind,
    terms::{GivenTerms, Required, Terms},
    verdict::{Reachability, Verdict},
    words,
};

/// A command line that makes sense.
#[derive(Debug)]
pub struct Config {
    /// Which cluster, as whom.
    pub connection: Connection,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// The main job.
    Run(Box<Run>),
    /// What to expect, and why.
    Explain(Box<ExplainCommand>),
    /// What documents say.
    Matrix(Box<MatrixCommand>),
    /// Reports of earlier runs.
    Judge(Box<JudgeCommand>),
    /// Removal of what earlier runs left.
    Cleanup {
        /// Only this run's.
        run: Option<String>,
    },
    /// A shell's script.
    Completion(clap_complete::Shell),
    /// What a closed network has to mirror.
    Images(plain::Format),
    /// What this program is made of.
    Version(plain::Format),
}

/// Which cluster, as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--server`.
    pub server: Option<String>,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: bool,
    /// `--client-certificate`.
    pub client_certificate: Option<String>,
    /// `--client-key`.
    pub client_key: Option<String>,
    /// `--token`.
    pub token: Option<String>,
    /// `--username`.
    pub username: Option<String>,
    /// `--password`.
    pub password: Option<String>,
    /// `--as`.
    pub impersonate: Option<String>,
    /// `--as-group`.
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`.
    pub impersonate_uid: Option<String>,
    /// `--request-timeout`; `None`: ours.
    pub request_timeout: Option<Duration>,
}

/// The main job.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which Services.
    pub selection: Selection,
    /// Whether their reports are a list, be it of one.
    pub list: bool,
    /// The file that says which Services instead, and what is expected of each.
    pub config: Option<PathBuf>,
    /// Where the report goes, and how; at most one without a file.
    pub outputs: Vec<Output>,
    /// Whether tables have colours.
    pub color: Color,
    /// How long to wait until the Services can be reached at all.
    pub wait: Option<Duration>,
    /// How long after a run the next one begins; `None`: once is enough.
    pub watch: Option<Duration>,
    /// What is asked of each Service.
    pub check: Check,
    /// What is asked of each named Service instead, where they differ.
    pub own: Vec<Check>,
    /// What observations are held against.
    pub expectations: ExpectationSettings,
    /// The probe pods.
    pub probe: ProbeSettings,
}

/// Which Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those of these names.
    Named(Vec<ServiceName>),
    /// Whatever there is.
    Matching {
        /// Label selector; `None`: all.
        selector: Option<String>,
        /// Of all namespaces.
        everywhere: bool,
    },
}

/// Name of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace; `None`: the current one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What is asked of a Service, and what it has to live up to.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which cells are asked.
    pub choice: Choice,
    /// What the probes do.
    pub request: RequestSettings,
    /// What a run has to live up to beside documents.
    pub terms: Terms,
}

impl Run {
    /// What is asked of a Service, by its place among those that are asked about.
    pub fn check(&self, index: usize) -> &Check {
        self.own.get(index).unwrap_or(&self.check)
    }

    /// The same without one of the Services that are named, and with its probes where they were; `None`: no other is named.
    /// `current`: namespace of those that are named without one.
    pub fn without(&self, namespace: &str, name: &str, current: &str) -> Option<Self> {
        let mut rest = self.clone();
        rest.probe.namespace = Some(self.probes_in(current).to_owned());
        let Selection::Named(names) = &mut rest.selection else {
            return None;
        };
        let gone = names.iter().position(|named| {
            named.name == name && named.namespace.as_deref().unwrap_or(current) == namespace
        })?;
        names.remove(gone);
        let others = !names.is_empty();
        // What is asked of each stands in the order of their names.
        if gone < rest.own.len() {
            rest.own.remove(gone);
        }
        others.then_some(rest)
    }

    /// Namespace of the probes. `current`: of Services that are named without one.
    pub fn probes_in<'a>(&'a self, current: &'a str) -> &'a str {
        if let Some(namespace) = &self.probe.namespace {
            return namespace;
        }
        let Selection::Named(names) = &self.selection else {
            return current;
        };
        let mut namespaces = names
            .iter()
            .map(|name| name.namespace.as_deref().unwrap_or(current));
        let first = namespaces.next().unwrap_or(current);
        if namespaces.all(|namespace| namespace == first) {
            first
        } else {
            current
        }
    }

    /// The reports of a run as they are printed.
    pub fn reports(&self, mut reports: Vec<Report>) -> Reports {
        match reports.pop() {
            Some(report) if !self.list && reports.is_empty() => report.into(),
            last => {
                reports.extend(last);
                Reports::list(reports)
            }
        }
    }
}

/// Which cells are asked: positions and kinds of target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--only`; of positions, or of targets, none means all.
    pub only: CellWords,
    /// `--skip`.
    pub skip: CellWords,
}

/// Positions and kinds of target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellWords {
    positions: Vec<Position>,
    targets: Vec<TargetKind>,
}

impl Choice {
    /// Whether a position is taken.
    pub fn position(&self, position: Position) -> bool {
        let only = &self.only.positions;
        (only.is_empty() || only.contains(&position)) && !self.skip.positions.contains(&position)
    }

    /// Whether targets of a kind are asked.
    pub fn target(&self, target: TargetKind) -> bool {
        let only = &self.only.targets;
        (only.is_empty() || only.contains(&target)) && !self.skip.targets.contains(&target)
    }
}

/// A position or a kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CellWord {
    /// A position.
    Position(Position),
    /// A kind of target.
    Target(TargetKind),
}

impl TryFrom<String> for CellWord {
    type Error = UsageError;

    fn try_from(word: String) -> Result<Self, UsageError> {
        let position = word.parse().map(Self::Position);
        position
            .or_else(|_| word.parse().map(Self::Target))
            .map_err(|_| UsageError::NoCell(word))
    }
}

impl FromIterator<CellWord> for CellWords {
    fn from_iter<I: IntoIterator<Item = CellWord>>(words: I) -> Self {
        let mut cells = Self::default();
        for word in words {
            match word {
                CellWord::Position(position) => cells.positions.push(position),
                CellWord::Target(target) => cells.targets.push(target),
            }
        }
        cells
    }
}

fn cells(flag: &'static str, words: Vec<String>) -> Result<CellWords, UsageError> {
    let cells = words.into_iter().map(CellWord::try_from);
    cells
        .collect::<Result<_, _>>()
        .map_err(|error| error.of(flag))
}

/// What observations are held against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectationSettings {
    /// `NAME[@EDITION]` or `FILE[@EDITION]`; `None`: the provider's.
    pub matrix: Option<String>,
    /// Whether one edition alone counts.
    pub strict: bool,
    /// What the user tells of the cluster.
    pub told: detection::Told,
}

/// One form of the report, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How to print it.
    pub format: Format,
    /// The file; `None`: standard output.
    pub file: Option<PathBuf>,
}

words! {
    /// How to print a report.
    pub enum Format("output format") {
        /// For people.
        Table = "table",
        /// For people, with everything in it.
        Wide = "wide",
        /// For programs.
        Json = "json",
        /// For programs, and for people who read it.
        Yaml = "yaml",
        /// For what collects test results.
        Junit = "junit",
        /// For what follows test results.
        Tap = "tap",
        /// For pull requests.
        Markdown = "markdown",
        /// For browsers.
        Html = "html",
    }
}

words! {
    /// Whether tables have colours.
    pub enum Color("value of --color") {
        /// Where standard output is a terminal that takes them.
        Auto = "auto",
        /// Everywhere.
        Always = "always",
        /// Nowhere.
        Never = "never",
    }
}

words! {
    /// `imagePullPolicy`.
    pub enum PullPolicy("image pull policy") {
        /// Every time.
        Always = "Always",
        /// Where the node does not have it.
        IfNotPresent = "IfNotPresent",
        /// The node must have it.
        Never = "Never",
    }
}

/// The probe pods.
#[derive(Debug, Clone)]
pub struct ProbeSettings {
    /// Image of the probe.
    pub image: String,
    /// `imagePullPolicy`; `None`: as Kubernetes defaults it from the image's name.
    pub pull_policy: Option<PullPolicy>,
    /// Names of `imagePullSecrets`.
    pub pull_secrets: Vec<String>,
    /// Architectures that the image is made for.
    pub architectures: Vec<String>,
    /// Namespace of the probes; `None`: the Service's.
    pub namespace: Option<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints to tolerate; empty: every taint.
    pub tolerations: Vec<Toleration>,
    /// `priorityClassName`.
    pub priority_class: Option<String>,
    /// Probes that a run may make.
    pub most: usize,
    /// How long a probe may take to start.
    pub start_timeout: Duration,
}

/// A taint to tolerate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// Its key.
    pub key: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
    /// Its effect; `None`: any.
    pub effect: Option<String>,
}

words! {
    /// How to ask a TCP port.
    pub enum Ask("probe") {
        /// As the port's `appProtocol`, name or number suggests.
        Auto = "auto",
        /// HTTP.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// A connection only.
        Tcp = "tcp",
    }
}

words! {
    /// Whether this machine is a position too.
    pub enum External("value of --external") {
        /// Where an address is meant for it, or shows that this machine has a way there.
        Auto = "auto",
        /// No.
        Never = "never",
    }
}

/// What the probes do.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// How to ask a TCP port.
    pub ask: Ask,
    /// Path of HTTP requests.
    pub path: String,
    /// `Host` header of HTTP requests.
    pub host: Option<String>,
    /// What to send to a UDP port.
    pub udp_payload: String,
    /// Attempts on each target; `None`: by the number of backends.
    pub attempts: Option<NonZeroU16>,
    /// Bound on one attempt, in milliseconds.
    pub timeout_ms: NonZeroU32,
    /// Whether this machine is a position too.
    pub external: External,
}

impl Config {
    /// Makes sense of a command line, or says what is wrong with it.
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
            Some(Command::Completion(args)) => Action::Completion(args.shell),
            Some(Command::Images(args)) => Action::Images(args.format()?),
            Some(Command::Version(args)) => Action::Version(args.format()?),
            None => Action::Run(Box::new(run(cli.run, namespace.as_deref())?)),
        };
        Ok(Self { connection, action })
    }
}

impl Connection {
    /// Makes sense of kubectl's own flags.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn new(args: ConnectionArgs) -> Result<Self, UsageError> {
        let namespace = given(args.namespace);
        if let Some(name) = namespace.as_deref().filter(|name| !is_label(name)) {
            return Err(UsageError::invalid(
                "--namespace",
                name,
                "not a name that a namespace can have",
            ));
        }
        let mut impersonate_groups = args.impersonate_groups;
        impersonate_groups.retain(|group| !group.is_empty());
        Ok(Self {
            kubeconfig: args.kubeconfig.filter(|file| !file.as_os_str().is_empty()),
            context: given(args.context),
            cluster: given(args.cluster),
            user: given(args.user),
            namespace,
            server: given(args.server),
            tls_server_name: given(args.tls_server_name),
            certificate_authority: given(args.certificate_authority),
            insecure_skip_tls_verify: args.insecure_skip_tls_verify,
            client_certificate: given(args.client_certificate),
            client_key: given(args.client_key),
            token: given(args.token),
            username: given(args.username),
            password: given(args.password),
            impersonate: given(args.impersonate),
            impersonate_groups,
            impersonate_uid: given(args.impersonate_uid),
            request_timeout: given(args.request_timeout)
                .map(|text| duration("--request-timeout", &text))
                .transpose()?
                .filter(|timeout| !timeout.is_zero()),
        })
    }

    /// The flags by which another command asks the same cluster as the same user, each after a space, as a shell takes
    /// them. Secrets are not among them: the text goes to logs.
    pub fn flags(&self) -> String {
        let Self {
            kubeconfig,
            context,
            cluster,
            user,
            namespace: _,
            server,
            tls_server_name,
            certificate_authority,
            insecure_skip_tls_verify,
            client_certificate,
            client_key,
            token: _,
            username: _,
            password: _,
            impersonate,
            impersonate_groups,
            impersonate_uid,
            request_timeout: _,
        } = self;
        let kubeconfig = kubeconfig.as_ref().map(|file| file.display().to_string());
        let mut flags = String::new();
        for (flag, value) in [
            ("--kubeconfig", &kubeconfig),
            ("--context", context),
            ("--cluster", cluster),
            ("--user", user),
            ("--server", server),
            ("--tls-server-name", tls_server_name),
            ("--certificate-authority", certificate_authority),
            ("--client-certificate", client_certificate),
            ("--client-key", client_key),
            ("--as", impersonate),
            ("--as-uid", impersonate_uid),
        ] {
            if let Some(value) = value {
                flags.push_str(&format!(" {flag} {}", shell::word(value)));
            }
        }
        for group in impersonate_groups {
            flags.push_str(&format!(" --as-group {}", shell::word(group)));
        }
        if *insecure_skip_tls_verify {
            flags.push_str(" --insecure-skip-tls-verify");
        }
        flags
    }
}

/// The value of one of kubectl's flags, where it has one: kubectl takes an empty one, as of an unset variable, for none.
fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

fn run(args: RunArgs, namespace: Option<&str>) -> Result<Run, UsageError> {
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
        Selection::Matching {
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
        Selection::Named(names)
    };
    let watch = args
        .watch
        .then(|| duration("--interval", &args.interval))
        .transpose()?;
    let color = args.output.color.parse()?;
    let outputs = outputs(args.output)?;
    if watch.is_some() {
        for output in &outputs {
            let lines = matches!(output.format, Format::Table | Format::Wide | Format::Json);
            if output.file.is_none() && !lines {
                return Err(UsageError::invalid(
                    "--output",
                    output.format.as_str(),
                    "needs a file with --watch, which is written anew each time: FORMAT=FILE",
                ));
            }
        }
    }
    Ok(Run {
        selection,
        list,
        config: args.config,
        color,
        outputs,
        wait: args
            .wait
            .map(|text| duration("--wait", &text))
            .transpose()?,
        watch,
        check,
        own: Vec::new(),
        expectations: expectations(args.expectations)?,
        probe: probe(args.probe)?,
    })
}

/// Every output, of which one at most may be without a file.
pub fn outputs(args: OutputArgs) -> Result<Vec<Output>, UsageError> {
    let invalid = |text: &str, why| Err(UsageError::invalid("--output", text, why));
    let mut outputs = Vec::new();
    for text in &args.output {
        let (format, file) = match text.split_once('=') {
            Some((_, "")) => return invalid(text, "names no file behind the ="),
            Some((format, file)) => (format, Some(PathBuf::from(file))),
            None => (text.as_str(), None),
        };
        outputs.push(Output {
            format: format.parse()?,
            file,
        });
    }
    let without_file = |outputs: &[Output]| outputs.iter().filter(|o| o.file.is_none()).count();
    match (args.output_file, without_file(&outputs)) {
        (_, 2..) => {
            let last = outputs.iter().rfind(|output| output.file.is_none());
            invalid(
                last.map_or("", |output| output.format.as_str()),
                "is not the only output without a file; write FORMAT=FILE",
            )
        }
        (Some(file), 0) => Err(UsageError::invalid(
            "--output-file",
            &file.display().to_string(),
            "every output has a file of its own",
        )),
        (Some(file), _) => {
            if let Some(output) = outputs.iter_mut().find(|output| output.file.is_none()) {
                output.file = Some(file);
            }
            Ok(outputs)
        }
        (None, _) => Ok(outputs),
    }
}

/// A verdict that can fail a run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct FailOn(pub Verdict);

impl TryFrom<String> for FailOn {
    type Error = UsageError;

    fn try_from(word: String) -> Result<Self, UsageError> {
        match word.parse()? {
            Verdict::AsExpected => Err(UsageError::NoFailure(
                word,
                "what is as expected cannot fail a run",
            )),
            Verdict::NotObserved => Err(UsageError::NoFailure(
                word,
                "a run that could not look ends with exit code 3, always",
            )),
            verdict @ (Verdict::Worse
            | Verdict::Better
            | Verdict::Disputed
            | Verdict::Unstable
            | Verdict::Undocumented) => Ok(Self(verdict)),
        }
    }
}

/// Makes sense of what observations are to be held against.
pub fn expectations(args: ExpectationArgs) -> Result<ExpectationSettings, UsageError> {
    let told = match args.column {
        Some(column) => {
            let column: Column = column.parse()?;
            detection::Told {
                network_model: Some(column.network_model),
                proxy_mode: Some(column.proxy_mode),
            }
        }
        None => detection::Told {
            network_model: args.network_model.map(|word| word.parse()).transpose()?,
            proxy_mode: args.proxy_mode.map(|word| word.parse()).transpose()?,
        },
    };
    Ok(ExpectationSettings {
        matrix: args.matrix,
        strict: args.strict,
        told,
    })
}

/// What the command line says that a run has to live up to beside documents.
pub fn given_terms(args: &ExpectationArgs) -> Result<GivenTerms, UsageError> {
    let fail_on = |words: &String| {
        words
            .split(',')
            .filter(|word| !word.is_empty())
            .map(|word| Ok(FailOn::try_from(word.to_owned())?.0))
            .collect::<Result<_, UsageError>>()
            .map_err(|error| error.of("--fail-on"))
    };
    let required = |texts: &[String], value| {
        let all = texts.iter().map(|text| Ok(Required::parse(text, value)?));
        let all: Vec<Required> = all.collect::<Result<_, UsageError>>()?;
        Ok::<_, UsageError>((!all.is_empty()).then_some(all))
    };
    Ok(GivenTerms {
        fail_on: args.fail_on.as_ref().map(fail_on).transpose()?,
        reachable: required(&args.require_reachable, Reachability::Reachable)?,
        unreachable: required(&args.require_unreachable, Reachability::Unreachable)?,
    })
}

/// Terms that can be met: given ones, and others where those say nothing.
pub fn terms(given: &GivenTerms, others: &Terms) -> Result<Terms, UsageError> {
    let terms = given.over(others);
    match terms.contradiction() {
        None => Ok(terms),
        Some(both) => Err(UsageError::invalid(
            "--require-unreachable",
            &both.place(),
            "is required to be reachable, too",
        )),
    }
}

fn probe(args: ProbeArgs) -> Result<ProbeSettings, UsageError> {
    let start_timeout = duration("--probe-timeout", &args.probe_timeout)?;
    if start_timeout.is_zero() {
        return Err(UsageError::invalid(
            "--probe-timeout",
            &args.probe_timeout,
            "must be longer than nothing",
        ));
    }
    Ok(ProbeSettings {
        image: args.image,
        pull_policy: args
            .image_pull_policy
            .map(|text| text.parse())
            .transpose()?,
        pull_secrets: args.image_pull_secret,
        architectures: args.arch,
        namespace: args.probe_namespace,
        node_selector: args
            .node_selector
            .iter()
            .map(|text| label(text))
            .collect::<Result<_, _>>()?,
        tolerations: args
            .toleration
            .iter()
            .map(|text| toleration(text))
            .collect::<Result<_, _>>()?,
        priority_class: args.priority_class,
        most: args.max_probes,
        start_timeout,
    })
}

/// Path of an HTTP request.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestPath(pub String);

impl TryFrom<String> for RequestPath {
    type Error = UsageError;

    fn try_from(path: String) -> Result<Self, UsageError> {
        if is_path(&path) {
            Ok(Self(path))
        } else {
            Err(UsageError::NoPath(path))
        }
    }
}

fn request(args: RequestArgs) -> Result<RequestSettings, UsageError> {
    let timeout = duration("--timeout", &args.timeout)?;
    let timeout_ms = u32::try_from(timeout.as_millis())
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| UsageError::invalid("--timeout", &args.timeout, "must be at least 1ms"))?;
    let attempts = args
        .attempts
        .map(|n| {
            NonZeroU16::new(n)
                .ok_or_else(|| UsageError::invalid("--attempts", "0", "must be at least 1"))
        })
        .transpose()?;
    Ok(RequestSettings {
        ask: args.probe.parse()?,
        path: RequestPath::try_from(args.path)
            .map_err(|error| error.of("--path"))?
            .0,
        host: args.host_header,
        udp_payload: args.udp_payload,
        attempts,
        timeout_ms,
        external: args.external.parse()?,
    })
}

impl ServiceName {
    /// Reads `NAME` or `NAME.NAMESPACE`, with or without the kind before it. No Service has a dot in its name.
    /// `namespace`: that of `--namespace`, which must not be another.
    pub fn parse(given: &str, namespace: Option<&str>) -> Result<Self, UsageError> {
        let Some((service, within)) = given.split_once('.') else {
            return Ok(Self {
                namespace: None,
                name: service_name(given)?,
            });
        };
        let invalid = |why| Err(UsageError::invalid("SERVICE", given, why));
        if !is_label(within) {
            return invalid("only a namespace can stand behind the dot: NAME.NAMESPACE");
        }
        if namespace.is_some_and(|other| other != within) {
            return invalid("names another namespace than --namespace");
        }
        Ok(Self {
            namespace: Some(within.to_owned()),
            name: service_name(service)?,
        })
    }
}

/// The name in `nginx`, `svc/nginx`, `service/nginx` or `services/nginx`.
pub fn service_name(given: &str) -> Result<String, UsageError> {
    let invalid = |why| Err(UsageError::invalid("SERVICE", given, why));
    let name = match given.split_once('/') {
        None => given,
        Some(("svc" | "service" | "services", name)) => name,
        Some(_) => return invalid("only Services can be asked about: svc/NAME or service/NAME"),
    };
    if is_label(name) {
        Ok(name.to_owned())
    } else {
        invalid("not a name that a Service can have")
    }
}

/// Whether a text is made as a DNS label is (RFC 1123), which is what the API requires of the names of Services and
/// namespaces.
pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Bound on every duration: longer than anybody waits for a run, and far below what overflows where durations are added
/// to a point in time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration as kubectl takes it: `10s`, `1m30s`, or a bare number of seconds.
fn duration(flag: &'static str, text: &str) -> Result<Duration, UsageError> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .ok_or_else(|| {
                UsageError::invalid(flag, text, "not a duration such as 500ms, 10s or 1m")
            })?,
    };
    if duration > LONGEST {
        return Err(UsageError::invalid(flag, text, "must be at most 24h"));
    }
    Ok(duration)
}

fn label(text: &str) -> Result<(String, String), UsageError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(UsageError::invalid(
            "--node-selector",
            text,
            "not of the form KEY=VALUE",
        )),
    }
}

fn toleration(text: &str) -> Result<Toleration, UsageError> {
    let (taint, effect) = match text.rsplit_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    if key.is_empty() {
        return Err(UsageError::invalid("--toleration", text, "has no key"));
    }
    if let Some(effect) = effect
        && !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect)
    {
        return Err(UsageError::invalid(
            "--toleration",
            text,
            "the effect is one of NoSchedule, PreferNoSchedule, NoExecute",
        ));
    }
    Ok(Toleration {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::{Action, Config, Format, Run, Selection, Toleration};
    use crate::cli::Cli;
    use clap::Parser;
    use std::{path::PathBuf, time::Duration};

    fn read(args: &[&str]) -> Result<Run, String> {
        let cli = Cli::try_parse_from(std::iter::once(&"kubectl-svc_reach").chain(args))
            .map_err(|e| e.to_string())?;
        match Config::new(cli).map_err(|e| e.to_string())?.action {
            Action::Run(run) => Ok(*run),
            Action::Explain(_)
            | Action::Matrix(_)
            | Action::Judge(_)
            | Action::Cleanup { .. }
            | Action::Completion(_)
            | Action::Images(_)
            | Action::Version(_) => Err("another command".to_owned()),
        }
    }

    fn names(args: &[&str]) -> Result<Vec<String>, String> {
        match read(args)?.selection {
            Selection::Named(names) => Ok(names
                .into_iter()
                .map(|name| match name.namespace {
                    None => name.name,
                    Some(namespace) => format!("{}.{namespace}", name.name),
                })
                .collect()),
            Selection::Matching { .. } => Err("no names".to_owned()),
        }
    }

    #[test]
    fn another_command_asks_the_same_cluster_as_the_same_user() {
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
            ("deploy/nginx", "only Services can be asked about"),
            ("Nginx", "not a name that a Service can have"),
            ("svc/", "not a name that a Service can have"),
            ("a/b/c", "only Services can be asked about"),
        ] {
            let error = read(&[given]).unwrap_err();
            assert!(error.contains(why), "{given}: {error}");
        }
    }

    #[test]
    fn several_services_make_a_list_and_one_does_not() {
        for (args, expected, list) in [
            (&["a"][..], &["a"][..], false),
            (&["a", "svc/b", "a"], &["a", "b"], true),
            (&["a.x", "b.y"], &["a.x", "b.y"], true),
            (&["a", "--watch", "-o", "junit=f"], &["a"], false),
        ] {
            assert_eq!(names(args).unwrap(), expected, "{args:?}");
            assert_eq!(read(args).unwrap().list, list, "{args:?}");
        }
        let matching = |selector: Option<&str>, everywhere| Selection::Matching {
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
    fn probes_stand_in_the_namespace_of_all_services_or_else_in_the_current_one() {
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
    fn nothing_can_be_required_both_ways() {
        let args = |target| ["a", "--require-reachable=external:node-port", target];
        let error = read(&args("--require-unreachable=external:node-port")).unwrap_err();
        assert!(
            error.contains("is required to be reachable, too"),
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
    fn every_output_but_one_has_a_file() {
        let table = |file: Option<&str>| (Format::Table, file.map(PathBuf::from));
        let json = |file: Option<&str>| (Format::Json, file.map(PathBuf::from));
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
                "not the only output without a file",
            ),
            (
                vec!["-o", "table", "-o", "json", "--output-file", "r"],
                "not the only output without a file",
            ),
            (vec!["-o", "json="], "names no file"),
            (vec!["--output-file", ""], "a value is required"),
            (
                vec!["-o", "json=a", "--output-file", "r"],
                "every output has a file of its own",
            ),
            (vec!["-o", "=r"], "unknown output format"),
        ] {
            let error = read(&[&["nginx"], args.as_slice()].concat()).unwrap_err();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_service_can_be_named_with_its_namespace() {
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
            (&["nginx.web", "-n", "shop"][..], "another namespace"),
            (&["explain", "nginx.web", "-n", "shop"], "another namespace"),
            (&["nginx.web.svc"], "only a namespace"),
            (&["nginx."], "only a namespace"),
            (&[".web"], "not a name that a Service can have"),
        ] {
            let error = namespace(args).unwrap_err();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }

    #[test]
    fn an_empty_flag_of_kubectls_is_not_given() {
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
            assert!(
                error.contains("not a name that a namespace can have"),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_are_those_of_kubectl() {
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
    fn no_duration_is_longer_than_a_day() {
        for flag in ["wait", "probe-timeout", "timeout", "request-timeout"] {
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
    fn an_unknown_word_is_refused_with_the_valid_ones() {
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
