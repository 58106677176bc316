//! Why a kubeconfig cannot be used.

use std::{
    io::{self},
    path::PathBuf,
};

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// There is none, and this is no pod.
    #[error("no kubeconfig found (looked for {})", .0.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))]
    Absent(Vec<PathBuf>),
    /// There is none, and an entry of it is named.
    #[error("no kubeconfig found, so {0} cannot be used here")]
    InPod(&'static str),
    /// No context is chosen.
    #[error("the kubeconfig has no current-context; choose one with --context")]
    NoContext,
    /// A user that is not there.
    #[error("user {0:?} does not exist in the kubeconfig")]
    NoUser(String),
    /// The namespace of a context is none.
    #[error("the context's namespace {0:?} is not a valid namespace name")]
    NoNamespace(String),
    /// Something of a user is to be taken on without a user.
    #[error("--as-group, --as-uid and extras need --as")]
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
    #[error("failed to read the token file {file}")]
    TokenFile {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A credential plugin wants to ask somebody, and nobody is there.
    #[error(
        "credential plugin {0:?} needs a terminal (interactiveMode Always), but standard input is not one"
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
