//! What a waiting user sees, on standard error: a live line for each probe on a terminal, plain lines elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{IsTerminal, Write},
    time::Duration,
};

/// How often a live line moves.
const TICK: Duration = Duration::from_millis(100);

/// What a waiting user sees.
pub struct Progress {
    bars: Option<MultiProgress>,
    lines: RefCell<BTreeMap<String, Line>>,
}

struct Line {
    bar: Option<ProgressBar>,
    text: String,
}

impl Progress {
    /// Live where standard error is a terminal.
    pub fn new() -> Self {
        let live = std::io::stderr().is_terminal();
        Self {
            bars: live.then(MultiProgress::new),
            lines: RefCell::default(),
        }
    }

    /// Tells how far a probe has come. The same text twice is told once.
    pub fn tell(&self, probe: &str, text: &str) {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry(probe.to_owned()).or_insert_with(|| Line {
            bar: self.bar(),
            text: String::new(),
        });
        if line.text == text {
            return;
        }
        text.clone_into(&mut line.text);
        match &line.bar {
            Some(bar) => bar.set_message(format!("{probe:<10} {text}")),
            None => plain(&format!("{probe}: {text}")),
        }
    }

    /// Tells how many targets of a probe are finished. Only worth a live line.
    pub fn count(&self, probe: &str, done: usize, of: usize) {
        if self.bars.is_some() {
            self.tell(probe, &format!("running, {done} of {of} targets"));
        } else {
            self.tell(probe, "running");
        }
    }

    /// Takes the live lines away.
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

/// A line on standard error. That it cannot be written is no reason to stop.
pub fn plain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
