//! Chooses the cluster and the user from the kubeconfig, as kubectl reads it, and from kubectl's flags, which override
//! it.
//!
//! The crate kube interprets the kubeconfig, except where kubectl behaves differently (client-go v0.32.3
//! `tools/clientcmd/client_config.go`, `tools/clientcmd/loader.go` and `plugin/pkg/client/auth/exec/exec.go`): if there
//! are several files, some may be missing; flags replace single entries; and `NO_PROXY` applies to the API server.

mod choice;
mod client;
mod error;
mod files;
mod proxy;

pub use self::{client::client, error::KubeconfigError, files::read};

use crate::config::Connection;
use choice::{Chosen, credentials};
use error::unusable;
use files::{IN_CLUSTER, files};
use proxy::{from_environment, proxy_url};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// Builds the configuration of a client. In a pod without a kubeconfig, that is the pod's ServiceAccount.
///
/// # Errors
///
/// When the kubeconfig cannot be used.
pub async fn config(connection: &Connection) -> Result<Config, KubeconfigError> {
    let kubeconfig = match read(connection)? {
        Some(kubeconfig) => kubeconfig,
        None if connection.server.is_some() => Kubeconfig::default(),
        None if std::env::var_os(IN_CLUSTER).is_some() => {
            let config = Config::incluster().map_err(unusable)?;
            return in_cluster(config, connection);
        }
        None => return Err(KubeconfigError::Absent(files())),
    };
    let chosen = Chosen::of(kubeconfig, connection)?;
    let proxy = chosen.proxy.clone();
    let mut config =
        Config::from_custom_kubeconfig(chosen.kubeconfig(), &KubeConfigOptions::default())
            .await
            .map_err(unusable)?;
    // kube compares NO_PROXY with the proxy's name, but it applies to the API server's name.
    config.proxy_url = match proxy {
        Some(url) => Some(proxy_url(url)?),
        None => from_environment(&config.cluster_url)
            .map(proxy_url)
            .transpose()?,
    };
    Ok(config)
}

/// The configuration of the pod's ServiceAccount, overridden by flags.
fn in_cluster(mut config: Config, connection: &Connection) -> Result<Config, KubeconfigError> {
    let named = [
        ("--context", &connection.context),
        ("--cluster", &connection.cluster),
        ("--user", &connection.user),
    ];
    if let Some((flag, _)) = named.iter().find(|(_, name)| name.is_some()) {
        return Err(KubeconfigError::InPod(flag));
    }
    config.auth_info = credentials(config.auth_info, connection)?;
    if connection.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
    }
    if let Some(file) = &connection.certificate_authority {
        // kube reads this file again from time to time, like the pod's own.
        config.root_cert_file = Some(file.into());
    }
    config
        .tls_server_name
        .clone_from(&connection.tls_server_name);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::in_cluster;
    use crate::{
        cli::action::{Action, Config as Settings},
        config::Connection,
    };
    use clap::Parser;
    use kube::{Config, config::AuthInfo};
    use std::path::PathBuf;

    fn connection(args: &[&str]) -> Connection {
        let args = ["kubectl-svc_reach", "nginx"].iter().chain(args);
        let settings = Settings::new(crate::cli::Cli::try_parse_from(args).unwrap()).unwrap();
        assert!(matches!(settings.action, Action::Run(_)));
        settings.connection
    }

    /// The configuration in a pod with these flags.
    fn in_pod(args: &[&str]) -> Result<Config, String> {
        let mut config = Config::new(http::Uri::from_static("https://10.247.0.1"));
        config.root_cert_file = Some("own-ca".into());
        config.auth_info = AuthInfo {
            token_file: Some("own-token".into()),
            ..AuthInfo::default()
        };
        in_cluster(config, &connection(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_apply_in_a_pod_too() {
        let own = in_pod(&[]).unwrap();
        assert_eq!(own.auth_info.token_file.as_deref(), Some("own-token"));
        let typed = in_pod(&["--token", "typed", "--as", "jane"]).unwrap();
        assert!(typed.auth_info.token.is_some());
        assert_eq!(typed.auth_info.token_file, None, "not the pod's own");
        assert_eq!(typed.auth_info.impersonate.as_deref(), Some("jane"));
        let basic = in_pod(&["--username", "jane", "--password", "secret"]).unwrap();
        assert_eq!(basic.auth_info.username.as_deref(), Some("jane"));
        assert_eq!(basic.auth_info.token_file, None, "not the pod's own");
        let trusting = in_pod(&["--certificate-authority=ca", "--tls-server-name=api"]).unwrap();
        assert_eq!(trusting.root_cert_file, Some(PathBuf::from("ca")));
        assert_eq!(trusting.tls_server_name.as_deref(), Some("api"));
        assert!(
            in_pod(&["--insecure-skip-tls-verify"])
                .unwrap()
                .accept_invalid_certs
        );
        for flag in ["--context", "--cluster", "--user"] {
            let error = in_pod(&[flag, "there"]).unwrap_err();
            assert!(
                error.contains(&format!("{flag} cannot be used here")),
                "{error}"
            );
        }
    }
}
