//! Why a kubeconfig cannot be used.

use std::{
    io::{self},
    path::PathBuf,
};

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// There is no kubeconfig, and the plugin does not run in a pod.
    #[error("no kubeconfig found (looked for {})", .0.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))]
    Absent(Vec<PathBuf>),
    /// There is no kubeconfig, but a flag names an entry of it.
    #[error("no kubeconfig found, so {0} cannot be used here")]
    InPod(&'static str),
    /// No context is chosen.
    #[error("the kubeconfig has no current-context; choose one with --context")]
    NoContext,
    /// The user does not exist.
    #[error("user {0:?} does not exist in the kubeconfig")]
    NoUser(String),
    /// The context's namespace is not a valid name.
    #[error("the context's namespace {0:?} is not a valid namespace name")]
    NoNamespace(String),
    /// A group, a UID or extras are to be impersonated, but no user.
    #[error(
        "there are groups, a UID or extras to impersonate, but no user to impersonate; set one with --as"
    )]
    ImpersonatesNobody,
    /// The proxy is not a URL.
    #[error("the proxy {url:?} is not a URL")]
    Proxy {
        /// The configured value.
        url: String,
        /// Why it is not a URL.
        source: http::uri::InvalidUri,
    },
    /// The token file cannot be read.
    #[error("failed to read the token file {file}")]
    TokenFile {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A credential plugin needs to ask the user, but there is no terminal.
    #[error(
        "credential plugin {0:?} needs a terminal (interactiveMode Always), but standard input is not one"
    )]
    NobodyToAsk(String),
    /// A credential plugin could not be started.
    #[error("credential plugin {command:?} did not start{}", hint.iter().map(|hint| format!(" (its installHint: {hint})")).collect::<String>())]
    NotStarted {
        /// The command.
        command: String,
        /// `installHint` of the kubeconfig.
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
        /// What it wrote to standard error. `None`: nothing was captured, because it shares our standard error.
        said: Option<String>,
    },
    /// A credential plugin gave no credentials.
    #[error("credential plugin {command:?} printed no credentials")]
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

pub fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> KubeconfigError {
    KubeconfigError::Unusable(Box::new(error))
}
