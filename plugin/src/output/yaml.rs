//! `-o yaml`: the report itself. Other commands use it for their YAML, too.

use super::printable::hidden;
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
};
use svc_reach_common::report::Reports;

pub fn write(reports: &Reports, writer: &mut impl Write) -> io::Result<()> {
    pretty(reports, writer)
}

/// Writes anything as YAML. Escapes characters that control a terminal or that a reader could not see.
pub fn pretty(data: &impl Serialize, writer: &mut impl Write) -> io::Result<()> {
    let text = serde_saphyr::to_string(data).map_err(io::Error::other)?;
    let text = if text.chars().any(|c| hidden(c) && c != '\n') {
        // The serializer escapes control characters only, and escapes are possible only in double quotes. If it quotes
        // every text, no text spans several lines, and quotes show where each text begins and ends.
        let options = serde_saphyr::ser_options! { quote_all: true };
        let quoted =
            serde_saphyr::to_string_with_options(data, options).map_err(io::Error::other)?;
        escaped(&quoted)
    } else {
        text
    };
    writer.write_all(text.as_bytes())
}

/// Escapes hidden characters in YAML in which every text is quoted.
fn escaped(yaml: &str) -> String {
    let mut shown = String::with_capacity(yaml.len());
    let mut rest = yaml;
    while let Some(start) = rest.find(['\'', '"']) {
        let (before, quoted) = rest.split_at(start);
        let (text, after) = split_quoted(quoted);
        shown += before;
        if text.chars().any(hidden) {
            double_quoted(text, &mut shown);
        } else {
            shown += text;
        }
        rest = after;
    }
    shown + rest
}

/// Splits off a quoted text, with its quotes. In single quotes, the serializer writes neither quotes nor backslashes:
/// it uses double quotes for a text that has some.
fn split_quoted(yaml: &str) -> (&str, &str) {
    let mut chars = yaml.char_indices();
    let quote = chars.next().map(|(_, c)| c);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == Some('"') {
            chars.next();
        } else if Some(c) == quote {
            return yaml.split_at(at + 1);
        }
    }
    (yaml, "")
}

/// The same text in double quotes, with hidden characters escaped. In a text from single quotes, only double quotes
/// need an escape. A text from double quotes is already escaped.
fn double_quoted(text: &str, shown: &mut String) {
    let single = text.starts_with('\'');
    let inner = text
        .get(1..text.len().saturating_sub(1))
        .unwrap_or_default();
    shown.push('"');
    for c in inner.chars() {
        if hidden(c) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\U{:08X}", u32::from(c));
        } else {
            if single && c == '"' {
                shown.push('\\');
            }
            shown.push(c);
        }
    }
    shown.push('"');
}

#[cfg(test)]
mod tests {
    use super::{pretty, write};
    use crate::{
        output::printable::hidden,
        testing::{NASTY, mixed, report},
    };
    use svc_reach_common::report::Report;

    #[test]
    fn yaml_reads_back_and_hides_nothing() {
        for report in [report(), mixed()] {
            let mut text = Vec::new();
            write(&report.clone().into(), &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(serde_saphyr::from_str::<Report>(&text).unwrap(), report);
            assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
        }
    }

    #[test]
    fn every_text_reads_back_and_hides_nothing() {
        let long = "a word \u{200b} ".repeat(40);
        let texts = [
            NASTY,
            "plain",
            "",
            "7",
            "no",
            "it's",
            "\"",
            "\\u{202e}",
            "abc\u{202e}fdp",
            "\"\u{200b}'\\",
            "\"\u{200b}",
            "two\nlines\u{200b}\n",
            " - \u{e0041}: # ",
            &long,
        ];
        let mut yaml = Vec::new();
        pretty(&texts, &mut yaml).unwrap();
        let yaml = String::from_utf8(yaml).unwrap();
        assert_eq!(
            serde_saphyr::from_str::<Vec<String>>(&yaml).unwrap(),
            texts,
            "{yaml}"
        );
        assert!(!yaml.chars().any(|c| hidden(c) && c != '\n'), "{yaml}");
    }

    #[test]
    fn plain_text_is_not_quoted() {
        let mut yaml = Vec::new();
        pretty(&["plain", "it's"], &mut yaml).unwrap();
        assert_eq!(String::from_utf8(yaml).unwrap(), "- plain\n- it's\n");
    }
}
