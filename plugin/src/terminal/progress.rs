//! Progress on standard error: a live line for each probe on a terminal, plain lines elsewhere.

use crate::output::printable::Printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    io::{self, IsTerminal, Write},
    time::Duration,
};

/// How often the spinner of a live line moves.
const TICK: Duration = Duration::from_millis(100);

/// How far a probe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbePhase {
    /// It is starting: creating, scheduled, pulling, …
    Starting(&'static str),
    /// It is starting, but something blocks it.
    Held(String),
    /// It makes requests.
    Running {
        /// Number of targets that are done.
        done: usize,
        /// Number of all targets.
        of: usize,
    },
    /// All its results have arrived.
    Done,
    /// It ended early, with the reason.
    Ended(String),
}

impl fmt::Display for ProbePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting(what) => f.write_str(what),
            // This text comes from the scheduler, the kubelet or the container runtime.
            Self::Held(why) | Self::Ended(why) => write!(f, "{}", Printable(why)),
            Self::Running { done, of } => write!(f, "running, {done} of {of} targets"),
            Self::Done => f.write_str("done"),
        }
    }
}

/// The progress display.
pub struct Progress {
    bars: Option<MultiProgress>,
    /// Whether to print no plain lines.
    quiet: bool,
    lines: RefCell<BTreeMap<String, ProgressLine>>,
}

struct ProgressLine {
    bar: Option<ProgressBar>,
    text: String,
}

impl Progress {
    /// Live lines if standard error is a terminal, plain lines otherwise.
    pub fn new() -> Self {
        Self::on(io::stderr().is_terminal().then(MultiProgress::new))
    }

    /// Live lines if standard error is a terminal, nothing otherwise. For repeated runs.
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::new()
        }
    }

    /// Live lines on `bars`; `None`: plain lines.
    pub fn on(bars: Option<MultiProgress>) -> Self {
        Self {
            bars,
            quiet: false,
            lines: RefCell::default(),
        }
    }

    /// Whether lines are live. Only then are short phases worth showing.
    pub const fn live(&self) -> bool {
        self.bars.is_some()
    }

    /// Shows how far a probe is, unless its line says so already.
    pub fn phase(&self, label: &str, phase: &ProbePhase) {
        let text = if matches!(phase, ProbePhase::Running { .. }) && !self.live() {
            // A line for each target would only be noise.
            "running".to_owned()
        } else {
            phase.to_string()
        };
        let mut lines = self.lines.borrow_mut();
        let line = lines
            .entry(label.to_owned())
            .or_insert_with(|| ProgressLine {
                bar: self.bar(),
                text: String::new(),
            });
        if line.text == text {
            return;
        }
        match &line.bar {
            Some(bar) => {
                let shown = format!("{label:<10} {text}");
                match phase {
                    ProbePhase::Done | ProbePhase::Ended(_) => bar.finish_with_message(shown),
                    ProbePhase::Starting(_) | ProbePhase::Held(_) | ProbePhase::Running { .. } => {
                        bar.set_message(shown);
                    }
                }
            }
            None if self.quiet => {}
            None => plain(&format!("{label}: {text}")),
        }
        line.text = text;
    }

    /// Removes the live lines.
    pub fn clear(&self) {
        for line in self.lines.take().into_values() {
            if let Some(bar) = line.bar {
                bar.finish_and_clear();
            }
        }
    }

    fn bar(&self) -> Option<ProgressBar> {
        let bar = self.bars.as_ref()?.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Some(bar)
    }
}

/// Writes a line to standard error. A failed write must not stop the run, so it is ignored.
pub fn plain(text: &str) {
    let _ = line(text, &mut io::stderr());
}

/// Writes exactly one line, with line breaks escaped: CI systems obey lines in logs such as `::error::`.
fn line(text: &str, writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, "{}", Printable(text))
}

#[cfg(test)]
mod tests {
    use super::{ProbePhase, Progress, line};
    use indicatif::{InMemoryTerm, MultiProgress, ProgressDrawTarget, TermLike};
    use std::time::{Duration, Instant};

    /// Waits until the lines on the screen end with these texts.
    fn until_shown(screen: &InMemoryTerm, expected: &[&str]) {
        let began = Instant::now();
        loop {
            let contents = screen.contents();
            let lines: Vec<&str> = contents.lines().collect();
            let shown = lines.len() == expected.len()
                && lines
                    .iter()
                    .zip(expected)
                    .all(|(line, end)| line.trim_end().ends_with(end));
            if shown {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "expected {expected:?}, got\n{contents}"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_plain_line_is_one_line() {
        let mut written = Vec::new();
        line("error: no\n::error::such\r\u{1b}[2Jthing", &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "error: no\\n::error::such\\r\\u{1b}[2Jthing\n"
        );
    }

    #[test]
    fn a_live_line_shows_each_phase() {
        let screen = InMemoryTerm::new(10, 60);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = Progress::on(Some(MultiProgress::with_draw_target(target)));
        let running = |done| ProbePhase::Running { done, of: 9 };
        let (creating, other) = (ProbePhase::Starting("creating"), "node-other scheduled");
        progress.phase("pod-same", &creating);
        progress.phase("node-other", &ProbePhase::Starting("scheduled"));
        until_shown(&screen, &["pod-same   creating", other]);
        for (phase, shown) in [
            (
                ProbePhase::Held("0/3 nodes\u{1b}[31m fit".to_owned()),
                "pod-same   0/3 nodes\\u{1b}[31m fit",
            ),
            (
                ProbePhase::Starting("pulling the image"),
                "pod-same   pulling the image",
            ),
            (running(0), "pod-same   running, 0 of 9 targets"),
            (running(9), "pod-same   running, 9 of 9 targets"),
            (ProbePhase::Done, "pod-same   done"),
        ] {
            progress.phase("pod-same", &phase);
            until_shown(&screen, &[shown, other]);
        }
        let why = "did not start: its image, of which there is much to say, cannot be pulled";
        progress.phase("node-other", &ProbePhase::Ended(why.to_owned()));
        // The text is cut to one line.
        until_shown(&screen, &["done", "of which there is"]);
        assert!(
            screen
                .contents()
                .lines()
                .all(|line| line.len() <= usize::from(screen.width()))
        );
        progress.clear();
        until_shown(&screen, &[]);
    }
}
