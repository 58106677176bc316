//! `-o yaml`: the report itself.

use std::io::{self, Write};
use svc_reach_common::report::Reports;

pub fn write(reports: &Reports, writer: &mut impl Write) -> io::Result<()> {
    let text = serde_saphyr::to_string(reports).map_err(io::Error::other)?;
    writer.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::{output::printable::hidden, test_data::report};
    use svc_reach_common::report::Report;

    #[test]
    fn it_holds_what_the_report_holds_and_no_control_characters() {
        let report = report();
        let mut text = Vec::new();
        write(&report.clone().into(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(serde_saphyr::from_str::<Report>(&text).unwrap(), report);
        assert!(!text.chars().any(|c| hidden(c) && c != '\n'), "{text}");
    }
}
