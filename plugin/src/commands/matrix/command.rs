//! Runs `matrix`.

use super::grid::Look;
use super::{
    args::{MatrixArgs, MatrixQuery},
    diff::Difference,
    list::{self, Entry},
    show,
};
use crate::config::UsageError;
use crate::reporting::source;
use crate::{error::Error, output};
use serde::Serialize;
use std::io::{self, Write};
use svc_reach_common::{matrix::Catalog, words};

words! {
    /// How to print a matrix.
    pub enum MatrixFormat("output format") {
        /// For people.
        Table = "table",
        /// For programs.
        Json = "json",
        /// For people who write a matrix of their own.
        Yaml = "yaml",
        /// For pages and pull requests.
        Markdown = "markdown",
    }
}

/// A valid command line of `matrix`.
#[derive(Debug)]
pub struct MatrixCommand {
    question: MatrixQuery,
    output: MatrixFormat,
}

impl MatrixCommand {
    /// Interprets the arguments.
    ///
    /// # Errors
    ///
    /// If the output format is unknown.
    pub fn new(args: MatrixArgs) -> Result<Self, UsageError> {
        let output = match &args.question {
            MatrixQuery::List(args) => &args.output,
            MatrixQuery::Show(args) => &args.output,
            MatrixQuery::Diff(args) => &args.output,
        };
        Ok(Self {
            output: output.output.parse()?,
            question: args.question,
        })
    }

    /// Writes the answer.
    ///
    /// # Errors
    ///
    /// If a matrix or an edition does not exist, a file is not a matrix, or writing fails.
    pub fn answer(&self, writer: &mut impl Write) -> Result<(), Error> {
        let mut catalog = Catalog::builtin()?;
        match &self.question {
            MatrixQuery::List(_) => {
                let entries: Vec<Entry<'_>> = catalog.editions().iter().map(Entry::of).collect();
                self.write(writer, &entries, |style, writer| {
                    list::write(&entries, style, writer)
                })
            }
            MatrixQuery::Show(args) => {
                let edition = source::edition(&mut catalog, &args.matrix)?;
                self.write(writer, edition, |style, writer| {
                    show::write(edition, style, writer)
                })
            }
            MatrixQuery::Diff(args) => {
                let from = source::edition(&mut catalog, &args.from)?.clone();
                // Use a new catalog, because FROM and TO may be two editions of the same file.
                let mut catalog = Catalog::builtin()?;
                let to = source::edition(&mut catalog, &args.to)?;
                let difference = Difference::between(&from, to);
                self.write(writer, &difference, |style, writer| {
                    difference.write(style, writer)
                })
            }
        }
    }

    fn write<W: Write>(
        &self,
        writer: &mut W,
        data: &impl Serialize,
        text: impl FnOnce(Look, &mut W) -> io::Result<()>,
    ) -> Result<(), Error> {
        let written = match self.output {
            MatrixFormat::Table => text(Look::Terminal, writer),
            MatrixFormat::Markdown => text(Look::Markdown, writer),
            MatrixFormat::Json => output::json::pretty(data, writer),
            MatrixFormat::Yaml => output::yaml::pretty(data, writer),
        };
        written.map_err(Error::Write)
    }
}
