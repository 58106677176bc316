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
        let Some(mut asked) = Asked::listen() else {
            progress::plain(
                "signals cannot be handled here: an interrupted run leaves its probes to their deadline",
            );
            return pending().await;
        };
        let first = asked.next().await;
        progress::plain(
            "interrupted: removing the probes (a second signal ends at once and leaves them to their deadline)",
        );
        self.raise.send_replace(Some(first));
        asked.next().await
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

/// What asks for an end: both signals, listened to from the first to the last, so that none is lost between two.
#[cfg(unix)]
struct Asked {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    fn listen() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

#[cfg(not(unix))]
struct Asked;

#[cfg(not(unix))]
impl Asked {
    fn listen() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> Exit {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Exit::Interrupted,
            Err(_) => pending().await,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::Signals;
    use std::process::Command;
    use svc_reach_common::exit::Exit;

    fn send(signal: &str) {
        let own = std::process::id().to_string();
        let status = Command::new("kill").args([signal, &own]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    #[tokio::test]
    async fn the_first_signal_asks_for_an_end_and_the_second_ends_at_once() {
        let (signals, interrupt) = Signals::new();
        let mut watch = std::pin::pin!(signals.watch());
        // Polled once, it listens: from then on a signal does not end this process.
        tokio::select! {
            biased;
            exit = &mut watch => panic!("nothing was sent, and it ended with {exit:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(interrupt.get(), None);
        send("-INT");
        tokio::select! {
            exit = &mut watch => panic!("one signal was sent, and it ended with {exit:?}"),
            raised = interrupt.raised() => assert_eq!(raised, Exit::Interrupted),
        }
        send("-TERM");
        assert_eq!(watch.await, Exit::Terminated);
        assert_eq!(interrupt.get(), Some(Exit::Interrupted));
    }
}
