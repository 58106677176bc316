//! Programs that a test started and goes on beside.

use crate::kubectl::Kubectl;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Starts a run and waits until its progress shows `marker`; returns what it told so far.
///
/// # Panics
///
/// When it ends before that.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test whose program cannot be followed fails"
)]
pub fn started(kubectl: &Kubectl, args: &[&str], marker: &str) -> (Child, String) {
    let mut child = kubectl.spawn(args);
    let mut seen = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !seen.contains(marker) {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("the run ended before it was {marker:?}\n{seen}"))
            .unwrap();
        seen.push_str(&line);
        seen.push('\n');
    }
    // The rest is read, too, or the run would wait for a reader.
    thread::spawn(move || lines.for_each(drop));
    (child, seen)
}

/// Sends a signal to a process that this test started.
///
/// # Panics
///
/// When there is no such process any more.
#[expect(clippy::unwrap_used, reason = "kill is there")]
pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

/// What a program says, line by line.
pub struct Lines {
    lines: Receiver<String>,
    seen: String,
}

impl Lines {
    /// Follows an output.
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

    /// The next line that holds all of these words.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    #[expect(
        clippy::panic,
        reason = "a test that does not see its line fails, and shows what it saw"
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
                        "no line with {words:?} within {limit:?}, but\n{}",
                        self.seen
                    )
                }
            }
        }
    }
}
