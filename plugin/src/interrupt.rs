//! SIGINT and SIGTERM: the first asks for an orderly end, the second for an end at once.

use crate::progress;
use std::future::pending;
use svc_reach_common::exit::Exit;
use tokio::sync::watch;

/// Tells whether the user wants the run to end.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Option<Exit>>);

/// Set by the first signal, answered by the second.
#[derive(Debug)]
pub struct Signals {
    raise: watch::Sender<Option<Exit>>,
}

impl Signals {
    /// Nothing is raised yet; signals are noticed while [`Self::watch`] runs.
    pub fn new() -> (Self, Interrupt) {
        let (raise, raised) = watch::channel(None);
        (Self { raise }, Interrupt(raised))
    }

    /// Raises the interrupt at the first signal and returns at the second.
    pub async fn watch(self) -> Exit {
        let first = signal().await;
        progress::plain(
            "interrupted: removing the probes (a second signal ends at once and leaves them to their deadline)",
        );
        self.raise.send_replace(Some(first));
        signal().await
    }
}

impl Interrupt {
    /// Waits until the run is to end, and says how.
    pub async fn raised(&self) -> Exit {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(exit) => (*exit).unwrap_or(Exit::Interrupted),
            // Nobody is left to raise it.
            Err(_) => pending().await,
        }
    }

    /// How the run is to end, if it is.
    pub fn get(&self) -> Option<Exit> {
        *self.0.borrow()
    }
}

#[cfg(unix)]
async fn signal() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        progress::plain(
            "signals cannot be handled here: an interrupted run leaves its probes to their deadline",
        );
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}

#[cfg(not(unix))]
async fn signal() -> Exit {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Exit::Interrupted,
        Err(_) => pending().await,
    }
}
