//! Reports as text. Renderers take a report and a writer; they decide nothing and read nothing else.

mod json;
mod table;

use crate::config::Format;
use std::io::{self, Write};
use svc_reach_common::report::Report;

/// Writes a report in a format.
///
/// # Errors
///
/// Those of the writer.
pub fn write(format: Format, report: &Report, writer: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Table => table::write(report, writer),
        Format::Json => json::write(report, writer),
    }
}
