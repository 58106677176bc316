//! Which cluster, as whom: the kubeconfig, as kubectl reads it, with kubectl's flags laid over it.
//!
//! What kube makes of a kubeconfig is followed except where kubectl does otherwise, by client-go v0.32.3
//! `tools/clientcmd/client_config.go`, `tools/clientcmd/loader.go` and `plugin/pkg/client/auth/exec/exec.go`: of several
//! files some may be missing, flags take the place of single entries, and `NO_PROXY` is about the API server.

use crate::config::{Connection, is_label};
use hyper_util::client::proxy::matcher::Matcher;
use kube::{
    Client, Config,
    client::AuthError,
    config::{
        AuthInfo, Cluster, Context, ExecConfig, ExecInteractiveMode, KubeConfigOptions, Kubeconfig,
        NamedAuthInfo, NamedCluster, NamedContext,
    },
};
use std::{
    io::{self, IsTerminal},
    net::IpAddr,
    path::PathBuf,
    thread,
};
use tokio::{runtime::Handle, sync::oneshot};

/// Set in every pod.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// Name of an entry that is made of flags alone.
const BY_FLAGS: &str = "flags";

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// There is none, and this is no pod.
    #[error("there is none: looked for {}", .0.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))]
    Absent(Vec<PathBuf>),
    /// There is none, and an entry of it is named.
    #[error("there is none, as in most pods, so that {0} names nothing")]
    InPod(&'static str),
    /// No context is chosen.
    #[error("it has no current-context, and --context names none")]
    NoContext,
    /// A user that is not there.
    #[error("it has no user {0:?}")]
    NoUser(String),
    /// The namespace of a context is none.
    #[error("its context's namespace {0:?} is not a name that a namespace can have")]
    NoNamespace(String),
    /// Something of a user is to be taken on without a user.
    #[error("groups, a UID or extras to impersonate, and no user to impersonate")]
    ImpersonatesNobody,
    /// The URL of a proxy is none.
    #[error("the proxy {url:?} is not a URL")]
    Proxy {
        /// What it is.
        url: String,
        /// Why it is none.
        source: http::uri::InvalidUri,
    },
    /// A file with a token in it cannot be read.
    #[error("the token file {file} cannot be read")]
    TokenFile {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A credential plugin wants to ask somebody, and nobody is there.
    #[error(
        "credential plugin {0:?} needs a terminal (interactiveMode Always), and standard input is none"
    )]
    NobodyToAsk(String),
    /// A credential plugin could not be started.
    #[error("credential plugin {command:?} did not start{}", hint.iter().map(|hint| format!(" (its installHint: {hint})")).collect::<String>())]
    NotStarted {
        /// The command.
        command: String,
        /// What the kubeconfig says about that.
        hint: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// A credential plugin failed.
    #[error("credential plugin {command:?} ended with {status}{}", said.iter().map(|said| format!(": {said}")).collect::<String>())]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said; `None`: it said it on standard error, which it shares with us.
        said: Option<String>,
    },
    /// A credential plugin gave no credentials.
    #[error("credential plugin {command:?} gave no credentials")]
    NoCredentials {
        /// The command.
        command: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// Everything else.
    #[error(transparent)]
    Unusable(Box<dyn std::error::Error + Send + Sync>),
}

/// The kubeconfig of a command line: all files merged.
///
/// # Errors
///
/// When a file cannot be read, or the one that was named is not there.
pub fn read(connection: &Connection) -> Result<Option<Kubeconfig>, KubeconfigError> {
    if let Some(file) = &connection.kubeconfig {
        return Kubeconfig::read_from(file).map(Some).map_err(unusable);
    }
    let mut merged: Option<Kubeconfig> = None;
    for file in files() {
        if !file.exists() {
            tracing::debug!(file = %file.display(), "no such kubeconfig");
            continue;
        }
        let mut next = Kubeconfig::read_from(&file).map_err(unusable)?;
        // The first file that names one wins, and an empty name is none.
        next.current_context = next.current_context.filter(|name| !name.is_empty());
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(unusable)?,
            None => next,
        });
    }
    Ok(merged)
}

/// What a client is made of. In a pod without a kubeconfig, its service account.
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
    // What kube takes from the environment is held against NO_PROXY by the proxy's name, not by the API server's.
    config.proxy_url = match proxy {
        Some(url) => Some(proxy_url(url)?),
        None => from_environment(&config.cluster_url)
            .map(proxy_url)
            .transpose()?,
    };
    Ok(config)
}

/// What a pod has, with flags laid over it.
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
        // Read anew by kube from time to time, as the pod's own is.
        config.root_cert_file = Some(file.into());
    }
    config
        .tls_server_name
        .clone_from(&connection.tls_server_name);
    Ok(config)
}

/// A client, with its credentials fetched. On a thread of its own: kube waits for a credential plugin without yielding,
/// and nobody would heed a signal meanwhile. One that hangs is not waited for at the end, as the runtime's own threads are.
///
/// # Errors
///
/// When credentials cannot be had, or are none.
pub async fn client(config: Config) -> Result<Client, KubeconfigError> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::current();
    let make = move || {
        let _entered = runtime.enter();
        // Nobody listens after an interrupt.
        let _ = sender.send(make(config));
    };
    thread::Builder::new().spawn(make).map_err(unusable)?;
    receiver.await.map_err(unusable)?
}

fn make(config: Config) -> Result<Client, KubeconfigError> {
    let exec = config.auth_info.exec.clone().filter(|_| {
        // Other credentials come first: kube-client 5.0.0 `src/client/auth/mod.rs`.
        let auth = &config.auth_info;
        auth.token.is_none() && auth.token_file.is_none() && auth.username.is_none()
    });
    let Some(exec) = exec else {
        return Client::try_from(config).map_err(unusable);
    };
    let command = exec.command.clone().unwrap_or_default();
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) && !io::stdin().is_terminal() {
        return Err(KubeconfigError::NobodyToAsk(command));
    }
    Client::try_from(config).map_err(|error| of_plugin(error, command, exec))
}

fn of_plugin(error: kube::Error, command: String, exec: ExecConfig) -> KubeconfigError {
    if let kube::Error::Auth(AuthError::AuthExecStart(source)) = error {
        return KubeconfigError::NotStarted {
            command,
            hint: exec.install_hint,
            source,
        };
    }
    if let kube::Error::Auth(AuthError::AuthExecRun { out, .. }) = error {
        return KubeconfigError::Failed {
            command,
            status: out.status,
            said: Some(String::from_utf8_lossy(&out.stderr).trim().to_owned())
                .filter(|said| !said.is_empty()),
        };
    }
    if let kube::Error::Auth(_) = error {
        return KubeconfigError::NoCredentials {
            command,
            source: Box::new(error),
        };
    }
    unusable(error)
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> KubeconfigError {
    KubeconfigError::Unusable(Box::new(error))
}

/// Files that are looked for.
fn files() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&named)
        .filter(|file| !file.as_os_str().is_empty())
        .collect();
    if !named.is_empty() {
        return named;
    }
    std::env::home_dir()
        .map(|home| home.join(".kube").join("config"))
        .into_iter()
        .collect()
}

/// The entries that count, with flags laid over them.
struct Chosen {
    context: Context,
    /// `None`: there is none of that name, which is for kube to say.
    cluster: Option<Cluster>,
    user: AuthInfo,
    proxy: Option<String>,
}

impl Chosen {
    fn of(kubeconfig: Kubeconfig, connection: &Connection) -> Result<Self, KubeconfigError> {
        let name = connection
            .context
            .clone()
            .or(kubeconfig.current_context)
            .filter(|name| !name.is_empty());
        let mut context = match name {
            Some(name) => kubeconfig
                .contexts
                .into_iter()
                .find(|context| context.name == name)
                .and_then(|context| context.context)
                .ok_or_else(|| unusable(kube::config::KubeconfigError::LoadContext(name)))?,
            None if connection.server.is_some() || connection.cluster.is_some() => {
                Context::default()
            }
            None => return Err(KubeconfigError::NoContext),
        };
        context.namespace = context.namespace.filter(|name| !name.is_empty());
        if let Some(name) = context.namespace.as_deref().filter(|name| !is_label(name)) {
            return Err(KubeconfigError::NoNamespace(name.to_owned()));
        }
        if let Some(name) = &connection.cluster {
            context.cluster.clone_from(name);
        }
        if connection.user.is_some() {
            context.user.clone_from(&connection.user);
        }
        let cluster = kubeconfig
            .clusters
            .into_iter()
            .find(|cluster| cluster.name == context.cluster)
            .and_then(|cluster| cluster.cluster);
        let user = match context.user.as_deref().filter(|name| !name.is_empty()) {
            None => AuthInfo::default(),
            Some(name) => kubeconfig
                .auth_infos
                .into_iter()
                .find(|user| user.name == name)
                .ok_or_else(|| KubeconfigError::NoUser(name.to_owned()))?
                .auth_info
                .unwrap_or_default(),
        };
        let by_flags = connection.server.as_ref().map(|_| Cluster::default());
        let cluster = cluster
            .or(by_flags)
            .map(|cluster| of_flags(cluster, connection));
        let proxy = cluster
            .as_ref()
            .and_then(|cluster| cluster.proxy_url.clone())
            .filter(|url| !url.is_empty());
        Ok(Self {
            context,
            cluster,
            user: credentials(user, connection)?,
            proxy,
        })
    }

    /// A kubeconfig of nothing else.
    fn kubeconfig(self) -> Kubeconfig {
        let Self {
            mut context,
            cluster,
            user,
            ..
        } = self;
        if context.cluster.is_empty() {
            BY_FLAGS.clone_into(&mut context.cluster);
        }
        context.user = Some(BY_FLAGS.to_owned());
        let clusters = cluster.map(|cluster| NamedCluster {
            name: context.cluster.clone(),
            // Proxies are ours to choose.
            cluster: Some(Cluster {
                proxy_url: None,
                ..cluster
            }),
            ..NamedCluster::default()
        });
        Kubeconfig {
            current_context: Some(BY_FLAGS.to_owned()),
            clusters: clusters.into_iter().collect(),
            auth_infos: vec![NamedAuthInfo {
                name: BY_FLAGS.to_owned(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: BY_FLAGS.to_owned(),
                context: Some(context),
                ..NamedContext::default()
            }],
            ..Kubeconfig::default()
        }
    }
}

/// A cluster, with flags laid over it.
fn of_flags(mut cluster: Cluster, connection: &Connection) -> Cluster {
    if connection.insecure_skip_tls_verify || connection.certificate_authority.is_some() {
        cluster.insecure_skip_tls_verify = Some(connection.insecure_skip_tls_verify);
        cluster
            .certificate_authority
            .clone_from(&connection.certificate_authority);
        cluster.certificate_authority_data = None;
    }
    if connection.server.is_some() || connection.tls_server_name.is_some() {
        cluster
            .tls_server_name
            .clone_from(&connection.tls_server_name);
    }
    if let Some(server) = &connection.server {
        // As kubectl completes it.
        cluster.server = Some(if server.contains("://") {
            server.clone()
        } else {
            format!("http://{server}")
        });
    }
    cluster
}

/// A user, with flags laid over it.
fn credentials(mut user: AuthInfo, connection: &Connection) -> Result<AuthInfo, KubeconfigError> {
    if connection.token.is_some() || connection.username.is_some() {
        user.auth_provider = None;
        user.exec = None;
        user.token_file = None;
        user.token = connection.token.as_deref().map(Into::into);
        user.username.clone_from(&connection.username);
        user.password = connection.password.as_deref().map(Into::into);
    }
    if let Some(file) = &connection.client_certificate {
        user.client_certificate = Some(file.clone());
        user.client_certificate_data = None;
    }
    if let Some(file) = &connection.client_key {
        user.client_key = Some(file.clone());
        user.client_key_data = None;
    }
    impersonate(&mut user, connection)?;
    Ok(user)
}

fn impersonate(user: &mut AuthInfo, connection: &Connection) -> Result<(), KubeconfigError> {
    if connection.impersonate.is_some() {
        user.impersonate.clone_from(&connection.impersonate);
    }
    if connection.impersonate_uid.is_some() {
        user.impersonate_uid.clone_from(&connection.impersonate_uid);
    }
    if !connection.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(connection.impersonate_groups.clone());
    }
    let something = user.impersonate_uid.is_some()
        || user.impersonate_groups.is_some()
        || user.impersonate_user_extra.is_some();
    if something && user.impersonate.is_none() {
        return Err(KubeconfigError::ImpersonatesNobody);
    }
    Ok(())
}

/// The proxy that the environment has for a server, as Go's net/http takes it from there: none on the way to this machine,
/// and none to what `NO_PROXY` names.
fn from_environment(server: &http::Uri) -> Option<String> {
    let first = |names: [&str; 2]| {
        let mut values = names
            .into_iter()
            .filter_map(|name| std::env::var(name).ok());
        values.find(|value| !value.is_empty())
    };
    let proxy = match server.scheme_str() {
        Some("https") => first(["HTTPS_PROXY", "https_proxy"])?,
        _ => first(["HTTP_PROXY", "http_proxy"])?,
    };
    let host = server.host()?.trim_matches(['[', ']']);
    if host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) {
        return None;
    }
    let matcher = Matcher::builder()
        .all(proxy.as_str())
        .no(first(["NO_PROXY", "no_proxy"]).unwrap_or_default())
        .build();
    matcher.intercept(server).map(|_| proxy)
}

fn proxy_url(url: String) -> Result<http::Uri, KubeconfigError> {
    let whole = if url.contains("://") {
        url.clone()
    } else {
        format!("http://{url}")
    };
    whole
        .parse()
        .map_err(|source| KubeconfigError::Proxy { url, source })
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

    /// What a pod of these flags talks by.
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
    fn flags_count_in_a_pod_too() {
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
            assert!(error.contains(&format!("{flag} names nothing")), "{error}");
        }
    }
}
