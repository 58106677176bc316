//! Programs that keep running while the test goes on.

use crate::kubectl::Kubectl;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Starts a run and waits until its standard error contains `marker`. Returns the run and what it printed so far.
///
/// # Panics
///
/// If the run ends before that.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails if the output of its program cannot be read"
)]
pub fn started(kubectl: &Kubectl, args: &[&str], marker: &str) -> (Child, String) {
    let mut child = kubectl.spawn(args);
    let mut seen = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !seen.contains(marker) {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("the run ended before it printed {marker:?}\n{seen}"))
            .unwrap();
        seen.push_str(&line);
        seen.push('\n');
    }
    // Keep reading, or the run blocks on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    (child, seen)
}

/// Sends a signal to a process that this test started.
///
/// # Panics
///
/// If the process has already ended.
#[expect(clippy::unwrap_used, reason = "kill(1) is installed")]
pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

/// The output of a program, line by line.
pub struct Lines {
    lines: Receiver<String>,
    seen: String,
}

impl Lines {
    /// Starts to read an output in the background.
    #[must_use]
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            lines,
            seen: String::new(),
        }
    }

    /// Waits for the next line that contains all of these words.
    ///
    /// # Panics
    ///
    /// If no such line comes in time.
    #[expect(
        clippy::panic,
        reason = "a test fails if the line does not come, and shows what came instead"
    )]
    pub fn next_with(&mut self, words: &[&str], limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if words.iter().all(|word| line.contains(word)) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!(
                        "no line with {words:?} within {limit:?}; the output was\n{}",
                        self.seen
                    )
                }
            }
        }
    }
}
