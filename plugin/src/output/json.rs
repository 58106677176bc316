//! `-o json`: the report itself.

use std::io::{self, Write};
use svc_reach_common::report::Report;

pub fn write(report: &Report, writer: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *writer, report)?;
    writeln!(writer)
}
