//! Text from elsewhere, made safe to look at.

use std::fmt;
pub use svc_reach_common::hidden::hidden;

/// Text from elsewhere, in one line, with what a terminal would obey and what a reader could not see made visible.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if hidden(c) {
                write!(f, "{}", c.escape_default())
            } else {
                write!(f, "{c}")
            }
        })
    }
}

/// [`Printable`] as text of its own.
pub fn printable(text: &str) -> String {
    Printable(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_made_visible() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("two\r\nlines\t", "two\\r\\nlines\\t"),
            ("abc\u{202e}fdp", "abc\\u{202e}fdp"),
            ("no\u{200b}where", "no\\u{200b}where"),
            (
                "ng\u{34f}in\u{3164}x\u{ffa0}",
                "ng\\u{34f}in\\u{3164}x\\u{ffa0}",
            ),
            ("\u{115f}\u{1160}\u{17b5}", "\\u{115f}\\u{1160}\\u{17b5}"),
            ("a\u{fe0f}b\u{e0100}", "a\\u{fe0f}b\\u{e0100}"),
            ("\u{1d173}\u{e0fff}", "\\u{1d173}\\u{e0fff}"),
            ("größer 漢字 ✓ 'a' \"b\"", "größer 漢字 ✓ 'a' \"b\""),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
