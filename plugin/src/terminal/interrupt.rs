//! SIGINT, SIGTERM and SIGHUP: the first asks for an orderly end, the second for an end at once.

use crate::terminal::progress;
use std::{future::pending, sync::Arc};
use svc_reach_common::exit::Exit;
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
};

/// Tells whether the user wants the run to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: watch::Receiver<Option<Exit>>,
    heeded: Arc<Notify>,
}

/// Set by the first signal, answered by the second.
#[derive(Debug)]
pub struct Signals {
    raise: watch::Sender<Option<Exit>>,
    heeded: Arc<Notify>,
}

impl Signals {
    /// Nothing is raised yet; signals are noticed while [`Self::watch`] runs, once [`Interrupt::heed_signals`] asks for it.
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
    /// From here on, signals ask for an end. Until then they end the program as they end any other: it may be reading a pipe
    /// that nobody writes to, and there is nothing to clean up.
    pub async fn heed_signals(&self) {
        self.heeded.notify_one();
        // Whoever watches is polled before this goes on.
        yield_now().await;
    }

    /// Waits until the run is to end, and says how.
    pub async fn raised(&self) -> Exit {
        let mut receiver = self.raised.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(exit) => (*exit).unwrap_or(Exit::Interrupted),
            // Nobody is left to raise it.
            Err(_) => pending().await,
        }
    }

    /// How the run is to end, if it is.
    pub fn get(&self) -> Option<Exit> {
        *self.raised.borrow()
    }
}

/// What asks for an end: every signal, listened to from the first to the last, so that none is lost between two.
#[cfg(unix)]
struct SignalListener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// A terminal that was closed, a connection that was lost.
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

    /// The next one that somebody sends on purpose: of a closed terminal, both the kernel and the shell tell.
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

/// Whether nohup has seen to it that this outlives its terminal, as far as Linux tells (proc(5), `SigIgn`).
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

#[cfg(unix)]
fn ignores_hang_up(status: &str) -> bool {
    // A mask in which bit n stands for signal n + 1, and SIGHUP is 1.
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
    async fn the_first_signal_asks_for_an_end_and_the_second_ends_at_once() {
        // Where these tests shall outlive their terminal, so does what they test.
        let hang_up = if hang_up_is_ignored() {
            "-TERM"
        } else {
            "-HUP"
        };
        for (first, asks, more, last, ends) in [
            ("-INT", Exit::Interrupted, None, "-TERM", Exit::Terminated),
            // The kernel's, and then the shell's.
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
            // Polled once, it listens: from then on a signal does not end this process.
            tokio::select! {
                biased;
                exit = &mut watch => panic!("nothing was sent, and it ended with {exit:?}"),
                () = std::future::ready(()) => {}
            }
            assert_eq!(interrupt.get(), None);
            send(first);
            tokio::select! {
                exit = &mut watch => panic!("one signal was sent, and it ended with {exit:?}"),
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
    fn under_nohup_a_closed_terminal_is_no_reason_to_end() {
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
