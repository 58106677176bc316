//! Text from elsewhere, made safe to look at.

use std::fmt;

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

/// Control characters, those that turn the direction of text or take no room, and those that no text has. What XML 1.0
/// does not allow is among them.
pub fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}')
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
            ("größer 漢字 ✓ 'a' \"b\"", "größer 漢字 ✓ 'a' \"b\""),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
