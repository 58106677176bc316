//! Quoting for a shell.

/// Quotes a word for a POSIX shell, if it needs quotes.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_word_is_quoted_if_it_needs_quotes() {
        for (text, expected) in [
            ("prod", "prod"),
            (
                "arn:aws:eks:eu-1:1:cluster/a",
                "arn:aws:eks:eu-1:1:cluster/a",
            ),
            ("my cluster", "'my cluster'"),
            ("$HOME", "'$HOME'"),
            ("~/config", "'~/config'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
