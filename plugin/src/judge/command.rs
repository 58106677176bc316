//! `judge` carried out.

use super::{args::JudgeArgs, change::Comparison, saved, table};
use crate::{
    config::{self, Color, ExpectationSettings, Format, Output},
    error::{Error, UsageError},
    matrices::Documents,
    output::Outlet,
};
use std::io::{self, Write};
use svc_reach_common::{
    exit::Exit,
    judging,
    matrix::Column,
    report::{self, Report, Summary},
};

/// A command line of `judge` that makes sense.
#[derive(Debug)]
pub struct JudgeCommand {
    file: String,
    question: Question,
}

#[derive(Debug)]
enum Question {
    /// What the report comes to beside these documents.
    Again {
        expectations: ExpectationSettings,
        outputs: Vec<Output>,
        color: Color,
    },
    /// What changed up to a later one.
    Since { new: String, json: bool },
}

impl JudgeCommand {
    /// Makes sense of the arguments.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn new(args: JudgeArgs) -> Result<Self, UsageError> {
        let color = args.output.color.parse()?;
        let outputs = config::outputs(args.output)?;
        let question = match args.new {
            None => Question::Again {
                expectations: config::expectations(args.expectations)?,
                outputs,
                color,
            },
            Some(new) if args.file == "-" && new == "-" => {
                let why = "standard input can be read once only";
                return Err(UsageError::invalid("NEW", &new, why));
            }
            Some(new) => Question::Since {
                new,
                json: match outputs.as_slice() {
                    [output] if output.file.is_none() && output.format == Format::Table => false,
                    [output] if output.file.is_none() && output.format == Format::Json => true,
                    _ => {
                        let why = "what changed is printed as table or json, to standard output";
                        return Err(UsageError::invalid("--output", "", why));
                    }
                },
            },
        };
        Ok(Self {
            file: args.file,
            question,
        })
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// A file that is no report, a matrix that there is not, or what the writer says.
    pub fn answer(&self, writer: &mut impl Write) -> Result<Exit, Error> {
        let reports = saved::read(&self.file)?;
        match &self.question {
            Question::Since { new, json } => {
                self.compare(&reports, new, &saved::read(new)?, *json, writer)
            }
            Question::Again {
                expectations,
                outputs,
                color,
            } => {
                let outlets = Outlet::all(outputs, *color)?;
                let documents = Documents::of(expectations)?;
                let report = self.only(reports)?;
                let report = judge(report, expectations, &documents);
                outlets
                    .iter()
                    .try_for_each(|outlet| outlet.write(&report))?;
                Ok(report.summary.exit())
            }
        }
    }

    /// The report of a file that holds one.
    fn only(&self, reports: Vec<Report>) -> Result<Report, Error> {
        let [report] = <[Report; 1]>::try_from(reports).map_err(|several| Error::File {
            file: self.file.clone(),
            source: format!("it holds {} reports, one can be judged", several.len()).into(),
        })?;
        Ok(report)
    }

    /// What changed from each report of the one file to that of the same Service in the other.
    fn compare(
        &self,
        old: &[Report],
        file: &str,
        new: &[Report],
        json: bool,
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
            let written = if json {
                serde_json::to_writer_pretty(&mut *writer, &comparison)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(writer))
            } else {
                table::write(&comparison, writer)
            };
            written.map_err(Error::Write)?;
            let this = comparison.exit();
            exit = Some(exit.map_or(this, |before| before.and(this)));
        }
        exit.ok_or_else(|| Error::File {
            file: file.to_owned(),
            source: format!("it holds no Service that {} holds, too", self.file).into(),
        })
    }
}

/// Holds what an earlier run saw against the documents as they are now, or as the command line says.
fn judge(mut report: Report, expectations: &ExpectationSettings, documents: &Documents) -> Report {
    let told = expectations.told;
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
        terms: &expectations.terms,
    };
    for cell in &mut report.cells {
        against.judge(cell);
    }
    let primary = documents.catalog.primary(&selection);
    report.matrix = primary.map(report::Matrix::of);
    report.summary = Summary::of(&report.cells, &expectations.terms);
    report
}
