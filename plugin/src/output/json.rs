//! `-o json`: the report itself. Other commands use it for their JSON, too.

use super::printable::hidden;
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::report::Reports;

pub fn write(reports: &Reports, writer: &mut impl Write) -> io::Result<()> {
    pretty(reports, writer)
}

/// Writes anything as JSON. Escapes characters that control a terminal or that a reader could not see.
pub fn pretty(data: &impl Serialize, writer: &mut impl Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(data)?;
    // The serializer escapes only the control characters of ASCII. Other hidden characters occur only in strings.
    for c in text.chars() {
        if hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        } else {
            write!(writer, "{c}")?;
        }
    }
    writeln!(writer)
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::{output::printable::hidden, testing::report};
    use svc_reach_common::report::Report;

    #[test]
    fn json_reads_back_and_hides_nothing() {
        let report = report();
        let mut text = Vec::new();
        write(&report.clone().into(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
    }
}
