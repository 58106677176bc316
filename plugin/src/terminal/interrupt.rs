//! SIGINT, SIGTERM and SIGHUP. The first signal asks for an orderly end, the second ends the program at once.

use crate::terminal::progress;
use std::{future::pending, sync::Arc};
use svc_reach_common::exit::Exit;
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
};

/// Knows whether the user wants the run to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: watch::Receiver<Option<Exit>>,
    heeded: Arc<Notify>,
}

/// Handles signals for an [`Interrupt`].
#[derive(Debug)]
pub struct Signals {
    raise: watch::Sender<Option<Exit>>,
    heeded: Arc<Notify>,
}

impl Signals {
    /// Signals are handled only while [`Self::watch`] runs, and only after [`Interrupt::heed_signals`] was called.
    pub fn new() -> (Self, Interrupt) {
        let (raise, raised) = watch::channel(None);
        let heeded = Arc::new(Notify::new());
        let interrupt = Interrupt {
            raised,
            heeded: Arc::clone(&heeded),
        };
        (Self { raise, heeded }, interrupt)
    }

    /// Raises the interrupt without a signal.
    #[cfg(test)]
    pub fn raise(&self, exit: Exit) {
        self.raise.send_replace(Some(exit));
    }

    /// Raises the interrupt at the first signal and returns at the second.
    pub async fn watch(self) -> Exit {
        self.heeded.notified().await;
        let Some(mut asked) = SignalListener::listen() else {
            progress::plain(
                "cannot handle signals here: after an interrupt, probes run until their deadline",
            );
            return pending().await;
        };
        let first = asked.next().await;
        progress::plain(
            "interrupted: removing the probes (press Ctrl-C again to quit now; the probes then expire at their deadline)",
        );
        self.raise.send_replace(Some(first));
        asked.again().await
    }
}

impl Interrupt {
    /// From here on, signals ask for an orderly end. Before that, they kill the program as usual: it may be blocked on
    /// a pipe that has no writer, and there is nothing to clean up.
    pub async fn heed_signals(&self) {
        self.heeded.notify_one();
        // Let `Signals::watch` start to listen before this continues.
        yield_now().await;
    }

    /// Waits until the run has to end, and returns its exit status.
    pub async fn raised(&self) -> Exit {
        let mut receiver = self.raised.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(exit) => (*exit).unwrap_or(Exit::Interrupted),
            // The sender is gone, so no interrupt can follow.
            Err(_) => pending().await,
        }
    }

    /// The exit status of an interrupted run; `None`: not interrupted.
    pub fn get(&self) -> Option<Exit> {
        *self.raised.borrow()
    }
}

/// Listens to all signals without a gap, so that none is lost between the first and the second.
#[cfg(unix)]
struct SignalListener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// SIGHUP: the terminal was closed, or its connection was lost. `None` if SIGHUP is ignored.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl SignalListener {
    fn listen() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
            hang_up: if hang_up_is_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup()).ok()?)
            },
        })
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            () = hung_up(&mut self.hang_up) => Exit::Terminated,
        }
    }

    /// The next signal, but not SIGHUP: when a terminal closes, the kernel and the shell both send one.
    async fn again(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

#[cfg(unix)]
async fn hung_up(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}

/// Whether this process ignores SIGHUP, as under nohup. Only Linux shows it (proc(5), `SigIgn`).
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

#[cfg(unix)]
fn ignores_hang_up(status: &str) -> bool {
    // Bit n of the mask is signal n + 1. SIGHUP is signal 1.
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct SignalListener;

#[cfg(not(unix))]
impl SignalListener {
    fn listen() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> Exit {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Exit::Interrupted,
            Err(_) => pending().await,
        }
    }

    async fn again(&mut self) -> Exit {
        self.next().await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Signals, hang_up_is_ignored, ignores_hang_up};
    use std::{pin::pin, process::Command};
    use svc_reach_common::exit::Exit;

    fn send(signal: &str) {
        let own = std::process::id().to_string();
        let status = Command::new("kill").args([signal, &own]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    #[tokio::test]
    async fn the_first_signal_interrupts_and_the_second_quits() {
        // If the tests run under nohup, this process ignores SIGHUP.
        let hang_up = if hang_up_is_ignored() {
            "-TERM"
        } else {
            "-HUP"
        };
        for (first, asks, more, last, ends) in [
            ("-INT", Exit::Interrupted, None, "-TERM", Exit::Terminated),
            // SIGHUP comes twice, from the kernel and from the shell.
            (
                hang_up,
                Exit::Terminated,
                Some("-HUP"),
                "-INT",
                Exit::Interrupted,
            ),
        ] {
            let (signals, interrupt) = Signals::new();
            let mut watch = pin!(signals.watch());
            interrupt.heed_signals().await;
            // One poll makes it listen. From then on, a signal does not kill this process.
            tokio::select! {
                biased;
                exit = &mut watch => panic!("ended with {exit:?} before any signal"),
                () = std::future::ready(()) => {}
            }
            assert_eq!(interrupt.get(), None);
            send(first);
            tokio::select! {
                exit = &mut watch => panic!("ended with {exit:?} after one signal"),
                raised = interrupt.raised() => assert_eq!(raised, asks),
            }
            if let Some(more) = more {
                send(more);
            }
            send(last);
            assert_eq!(watch.await, ends);
            assert_eq!(interrupt.get(), Some(asks));
        }
    }

    #[test]
    fn sighup_is_ignored_under_nohup() {
        for (ignored, expected) in [
            ("0000000000000001", true),
            ("0000000000001001", true),
            ("0000000000001000", false),
            ("", false),
        ] {
            let status = format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{ignored}\n");
            assert_eq!(ignores_hang_up(&status), expected, "{ignored}");
        }
    }
}
