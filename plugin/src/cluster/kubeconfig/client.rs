//! Makes a client of the API server, and runs the credential plugin if there is one.

use super::error::{KubeconfigError, unusable};

use kube::{
    Client, Config,
    client::AuthError,
    config::{ExecConfig, ExecInteractiveMode},
};

use std::{
    io::{self, IsTerminal},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

/// Makes a client and fetches its credentials.
///
/// This runs on its own thread, because kube waits for a credential plugin without yielding, and signals would not be
/// handled meanwhile. At exit, the runtime waits for its own threads but not for this one, so a plugin that hangs does
/// no harm.
///
/// # Errors
///
/// When credentials cannot be fetched, or are missing.
pub async fn client(config: Config) -> Result<Client, KubeconfigError> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::current();
    let make = move || {
        let _entered = runtime.enter();
        // After an interrupt, the receiver is gone.
        let _ = sender.send(make(config));
    };
    thread::Builder::new().spawn(make).map_err(unusable)?;
    receiver.await.map_err(unusable)?
}

pub fn make(config: Config) -> Result<Client, KubeconfigError> {
    let exec = config.auth_info.exec.clone().filter(|_| {
        // Other credentials take precedence (kube-client 5.0.0 `src/client/auth/mod.rs`).
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

pub fn of_plugin(error: kube::Error, command: String, exec: ExecConfig) -> KubeconfigError {
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
