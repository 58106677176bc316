//! The screen that a report is shown on.

use crate::config::Color;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::{ffi::OsStr, io};
use svc_reach_common::{exit::Exit, verdict::Verdict};

/// Width if there is no terminal, in columns.
const WIDTH: usize = 80;

/// The smallest width that a table fits into, in columns.
const NARROWEST: usize = 40;

/// The screen that a report is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Width in columns.
    pub width: usize,
    /// Whether to use colours.
    pub color: bool,
}

impl Screen {
    /// A file.
    pub fn file(color: Color) -> Self {
        Self {
            width: WIDTH,
            color: color == Color::Always,
        }
    }

    /// Standard output, with the settings of the terminal and the environment.
    pub fn stdout(color: Color) -> Self {
        let of_terminal = || {
            let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
            Some(usize::from(width.0))
        };
        let told = std::env::var("COLUMNS").ok();
        let width = told
            .and_then(|columns| columns.parse().ok())
            .filter(|width| *width > 0)
            .or_else(of_terminal)
            .unwrap_or(WIDTH);
        Self {
            width: width.max(NARROWEST),
            color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => wanted(
                    std::env::var_os("NO_COLOR").as_deref(),
                    AutoStream::choice(&io::stdout()),
                ),
            },
        }
    }

    /// A text in a style, if colours are on.
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.color {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Whether to use colours if the user gives no flag. `choice` already considers the terminal, NO_COLOR, CLICOLOR and
/// TERM, but it ignores an empty NO_COLOR.
fn wanted(no_color: Option<&OsStr>, choice: ColorChoice) -> bool {
    no_color.is_none() && choice != ColorChoice::Never
}

/// The colour of a verdict.
pub const fn style(verdict: Verdict) -> Style {
    let color = match verdict {
        Verdict::AsExpected => AnsiColor::Green,
        Verdict::Worse | Verdict::Unstable => AnsiColor::Red,
        Verdict::Better | Verdict::Disputed | Verdict::NotObserved => AnsiColor::Yellow,
        Verdict::Undocumented => return Style::new(),
    };
    color.on_default()
}

/// The colour for how a run ends.
pub const fn ending(exit: Exit) -> Style {
    style(match exit {
        Exit::AsExpected => Verdict::AsExpected,
        Exit::Differs => Verdict::Worse,
        Exit::Usage | Exit::Incomplete | Exit::Cluster | Exit::Interrupted | Exit::Terminated => {
            Verdict::NotObserved
        }
    })
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use anstream::ColorChoice::{Always, Never};
    use std::ffi::OsStr;

    #[test]
    fn an_empty_no_color_counts_too() {
        for (no_color, choice, expected) in [
            (None, Always, true),
            (None, Never, false),
            (Some(""), Always, false),
            (Some("1"), Always, false),
        ] {
            assert_eq!(
                wanted(no_color.map(OsStr::new), choice),
                expected,
                "{no_color:?}, {choice:?}"
            );
        }
    }
}
