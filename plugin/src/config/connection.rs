//! kubectl's own flags: which cluster to use, and as which user.

use super::{duration::duration, error::UsageError, service_name::is_label, shell};
use clap::{
    Args,
    builder::{OsStringValueParser, Resettable, TypedValueParser},
};
use std::{num::ParseIntError, path::PathBuf, str::FromStr, time::Duration};

/// One `-v` flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// `-v`.
    More,
    /// `-v=6`, with a level of kubectl.
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
    #[arg(short, long, global = true, value_name = "NAMESPACE", help_heading = Resettable::Reset)]
    pub namespace: Option<String>,
    /// Path to the kubeconfig file
    // kubectl ignores an empty path, but clap's own parser of paths refuses it.
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(hide_short_help = true, long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(hide_short_help = true, long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(hide_short_help = true, long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Address of the API server, instead of the one in the kubeconfig
    #[arg(hide_short_help = true, short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Name to expect in the API server's certificate
    #[arg(hide_short_help = true, long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// File with the certificates that sign the API server's certificate
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub certificate_authority: Option<String>,
    /// Do not verify the API server's certificate
    #[arg(
        hide_short_help = true,
        long,
        global = true,
        conflicts_with = "certificate_authority"
    )]
    pub insecure_skip_tls_verify: bool,
    /// File with the client certificate
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_certificate: Option<String>,
    /// File with the key of the client certificate
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub client_key: Option<String>,
    /// Bearer token
    #[arg(hide_short_help = true, long, global = true, value_name = "TOKEN", conflicts_with_all = ["username", "password"])]
    pub token: Option<String>,
    /// User name for basic authentication
    #[arg(
        hide_short_help = true,
        long,
        global = true,
        value_name = "USER",
        requires = "password"
    )]
    pub username: Option<String>,
    /// Password for basic authentication
    #[arg(
        hide_short_help = true,
        long,
        global = true,
        value_name = "PASSWORD",
        requires = "username"
    )]
    pub password: Option<String>,
    /// User to impersonate
    #[arg(
        hide_short_help = true,
        long = "as",
        global = true,
        value_name = "USER"
    )]
    pub impersonate: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(
        hide_short_help = true,
        long = "as-group",
        global = true,
        value_name = "GROUP"
    )]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(
        hide_short_help = true,
        long = "as-uid",
        global = true,
        value_name = "UID"
    )]
    pub impersonate_uid: Option<String>,
    /// Accepted for compatibility with kubectl; has no effect
    #[arg(long, global = true, hide = true)]
    pub disable_compression: bool,
    /// Limit for one request to the API server, such as 10s; 0 means the default of 30s
    #[arg(hide_short_help = true, long, global = true, value_name = "DURATION")]
    pub request_timeout: Option<String>,
    /// Log to stderr: -v (like -v=6 of kubectl) logs requests, -vv (like -v=8) logs everything; set RUST_LOG for finer control
    #[arg(hide_short_help = true, short, long, alias = "v", global = true, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "+")]
    pub verbose: Vec<Verbosity>,
}

/// Which cluster to use, and as which user.
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
    /// `--request-timeout`; `None`: our default.
    pub request_timeout: Option<Duration>,
}

impl Connection {
    /// Interprets kubectl's own flags.
    ///
    /// # Errors
    ///
    /// If the value of a flag is invalid.
    pub fn new(args: ConnectionArgs) -> Result<Self, UsageError> {
        let namespace = given(args.namespace);
        if let Some(name) = namespace.as_deref().filter(|name| !is_label(name)) {
            return Err(UsageError::invalid(
                "--namespace",
                name,
                "not a valid namespace name",
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

    /// Flags with which another command uses the same cluster as the same user. They are quoted for a shell, with a
    /// space before each flag. Secrets are left out, because the text goes to logs.
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

/// The value of one of kubectl's flags. Like kubectl, this ignores an empty value, such as that of an unset variable.
pub fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}
