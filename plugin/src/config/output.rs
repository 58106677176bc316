//! Formats of the report, and where they go.

use super::error::UsageError;
use clap::{Args, builder::Resettable};
use std::path::PathBuf;
use svc_reach_common::words;

/// Formats of the report, and where they go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report, such as wide or json
    ///
    /// One of table (the default), wide, json, yaml, junit, tap, markdown and html. FORMAT=FILE writes the report to a file. The option is repeatable; at most one may omit =FILE and goes to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table", help_heading = Resettable::Reset, hide_default_value = true)]
    pub output: Vec<String>,
    /// File for the output that has no =FILE
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// When to use colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(
        hide_short_help = true,
        long,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: String,
}

/// One format of the report, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The format.
    pub format: ReportFormat,
    /// The file; `None`: standard output.
    pub file: Option<PathBuf>,
}

words! {
    /// How to print a report.
    pub enum ReportFormat("output format") {
        /// For people.
        Table = "table",
        /// For people, with all details.
        Wide = "wide",
        /// For programs.
        Json = "json",
        /// For programs, and for people who prefer YAML.
        Yaml = "yaml",
        /// For tools that collect test results.
        Junit = "junit",
        /// For tools that follow test results line by line.
        Tap = "tap",
        /// For pull requests.
        Markdown = "markdown",
        /// For browsers.
        Html = "html",
    }
}

words! {
    /// When tables use colours.
    pub enum Color("value of --color") {
        /// If standard output is a terminal that supports them.
        Auto = "auto",
        /// Everywhere.
        Always = "always",
        /// Nowhere.
        Never = "never",
    }
}

/// All outputs. At most one may have no file.
pub fn outputs(args: OutputArgs) -> Result<Vec<Output>, UsageError> {
    let invalid = |text: &str, why| Err(UsageError::invalid("--output", text, why));
    let mut outputs = Vec::new();
    for text in &args.output {
        let (format, file) = match text.split_once('=') {
            Some((_, "")) => return invalid(text, "has no file name after the ="),
            Some((format, file)) => (format, Some(PathBuf::from(file))),
            None => (text.as_str(), None),
        };
        outputs.push(Output {
            format: format.parse()?,
            file,
        });
    }
    let without_file = |outputs: &[Output]| outputs.iter().filter(|o| o.file.is_none()).count();
    match (args.output_file, without_file(&outputs)) {
        (_, 2..) => {
            let last = outputs.iter().rfind(|output| output.file.is_none());
            invalid(
                last.map_or("", |output| output.format.as_str()),
                "only one -o may omit =FILE",
            )
        }
        (Some(file), 0) => Err(UsageError::invalid(
            "--output-file",
            &file.display().to_string(),
            "--output-file needs an -o without =FILE",
        )),
        (Some(file), _) => {
            if let Some(output) = outputs.iter_mut().find(|output| output.file.is_none()) {
                output.file = Some(file);
            }
            Ok(outputs)
        }
        (None, _) => Ok(outputs),
    }
}
