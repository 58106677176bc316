//! Makes text from elsewhere safe to display.

use std::fmt;
pub use svc_reach_common::hidden::hidden;

/// Shows text in one line. Escapes characters that control a terminal or that a reader could not see.
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

/// [`Printable`] as a string.
pub fn printable(text: &str) -> String {
    Printable(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn hidden_characters_are_escaped() {
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
