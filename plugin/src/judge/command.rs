//! `judge` carried out.

use super::{args::JudgeArgs, change::Comparison, saved, table};
use crate::{
    config::{self, ExpectationSettings, Format},
    error::{Error, UsageError},
    matrices::Documents,
    output,
};
use std::io::{self, Write};
use svc_reach_common::{
    exit::Exit,
    judging,
    matrix::Column,
    report::{self, API_VERSION, Kind, Report, ReportList, Summary},
};

/// A command line of `judge` that makes sense.
#[derive(Debug)]
pub struct JudgeCommand {
    file: String,
    new: Option<String>,
    output: Format,
    expectations: ExpectationSettings,
}

impl JudgeCommand {
    /// Makes sense of the arguments.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn new(args: JudgeArgs) -> Result<Self, UsageError> {
        let output = args.output.parse()?;
        if args.new.is_some() && !matches!(output, Format::Table | Format::Json) {
            let why = "two reports are compared as table or json";
            return Err(UsageError::invalid("--output", &args.output, why));
        }
        if args.file == "-" && args.new.as_deref() == Some("-") {
            return Err(UsageError::invalid(
                "NEW",
                "-",
                "standard input can be read once only",
            ));
        }
        Ok(Self {
            file: args.file,
            new: args.new,
            output,
            expectations: config::expectations(args.expectations)?,
        })
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// A file that is no report, a matrix that there is not, or what the writer says.
    pub fn answer(&self, writer: &mut impl Write) -> Result<Exit, Error> {
        let reports = saved::read(&self.file)?;
        match &self.new {
            Some(new) => self.compare(&reports, &saved::read(new)?, writer),
            None => self.judge(reports, writer),
        }
    }

    /// Holds what an earlier run saw against the documents as they are now, or as the command line says.
    fn judge(&self, mut reports: Vec<Report>, writer: &mut impl Write) -> Result<Exit, Error> {
        let documents = Documents::of(&self.expectations)?;
        for report in &mut reports {
            self.judge_one(report, &documents);
        }
        let exits = reports.iter().map(|report| report.summary.exit());
        let exit = exits.reduce(Exit::and).unwrap_or(Exit::Incomplete);
        let written = match <[Report; 1]>::try_from(reports) {
            Ok([report]) => output::write(self.output, &report, writer),
            Err(items) if self.output == Format::Json => {
                let list = ReportList {
                    api_version: API_VERSION.to_owned(),
                    kind: Kind::ReportList,
                    items,
                };
                serde_json::to_writer_pretty(&mut *writer, &list)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(writer))
            }
            Err(items) => items
                .iter()
                .try_for_each(|report| output::write(self.output, report, writer)),
        };
        written.map_err(Error::Write)?;
        Ok(exit)
    }

    fn judge_one(&self, report: &mut Report, documents: &Documents) {
        let told = self.expectations.told;
        let circumstances = &mut report.circumstances;
        let columns = circumstances.columns.iter().map(|column| Column {
            network_model: told.network_model.unwrap_or(column.network_model),
            proxy_mode: told.proxy_mode.unwrap_or(column.proxy_mode),
        });
        let mut columns: Vec<Column> = columns.collect();
        columns.dedup();
        if let [column] = columns.as_slice() {
            report.environment.column = Some(column.to_string());
        }
        circumstances.columns = columns;
        let selection = documents.selection(report.environment.provider.as_deref());
        let against = judging::Documents {
            catalog: &documents.catalog,
            selection: &selection,
            circumstances,
            terms: &self.expectations.terms,
        };
        for cell in &mut report.cells {
            against.judge(cell);
        }
        let primary = documents.catalog.primary(&selection);
        report.matrix = primary.map(report::Matrix::of);
        report.summary = Summary::of(&report.cells, &self.expectations.terms);
    }

    /// What changed from each report of the one file to that of the same Service in the other.
    fn compare(
        &self,
        old: &[Report],
        new: &[Report],
        writer: &mut impl Write,
    ) -> Result<Exit, Error> {
        let name = |report: &Report| {
            let service = &report.service;
            (service.namespace.clone(), service.name.clone())
        };
        let mut exit: Option<Exit> = None;
        for to in new {
            let Some(from) = old.iter().find(|from| name(from) == name(to)) else {
                continue;
            };
            let comparison = Comparison::between(from, to);
            let written = match self.output {
                Format::Json => serde_json::to_writer_pretty(&mut *writer, &comparison)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(writer)),
                _ => table::write(&comparison, writer),
            };
            written.map_err(Error::Write)?;
            let this = comparison.exit();
            exit = Some(exit.map_or(this, |before| before.and(this)));
        }
        exit.ok_or_else(|| Error::File {
            file: self.new.clone().unwrap_or_default(),
            source: format!("it holds no Service that {} holds, too", self.file).into(),
        })
    }
}
