//! Which cluster, as whom: kubectl's own flags.

use super::{duration::duration, service_name::is_label};
use crate::{cli::ConnectionArgs, config::shell, error::UsageError};
use std::{path::PathBuf, time::Duration};

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
pub fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}
