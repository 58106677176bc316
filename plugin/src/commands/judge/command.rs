//! Runs `judge`.

use super::{
    args::JudgeArgs,
    change::{Comparison, ComparisonList},
    saved, table,
};
use crate::config::UsageError;
use crate::{
    config::{self, Color, ExpectationSettings, Output, ReportFormat},
    error::Error,
    output::{self, Outlet, json, printable::printable, screen::Screen},
    reporting::advisories,
    reporting::documents::Documents,
    terminal::progress,
};
use std::io::Write;
use svc_reach_common::{
    exit::Exit,
    judging,
    matrix::Column,
    report::{self, Evidence, Report, Reports},
    target::TargetKind,
    terms::GivenTerms,
};

/// A valid command line of `judge`.
#[derive(Debug)]
pub struct JudgeCommand {
    file: String,
    question: Comparing,
}

#[derive(Debug)]
enum Comparing {
    /// Judge the report again with these documents.
    Again {
        expectations: ExpectationSettings,
        /// These terms replace those in the report.
        terms: GivenTerms,
        outputs: Vec<Output>,
        color: Color,
    },
    /// Compare the report with a later one.
    Since {
        new: String,
        json: bool,
        color: Color,
    },
}

impl JudgeCommand {
    /// Interprets the arguments.
    ///
    /// # Errors
    ///
    /// If an argument is invalid.
    pub fn new(args: JudgeArgs) -> Result<Self, UsageError> {
        let color = args.output.color.parse()?;
        let given = args.output.output.join(" ");
        let outputs = config::outputs(args.output)?;
        let question = match args.new {
            None => Comparing::Again {
                terms: config::given_terms(&args.expectations)?,
                expectations: config::expectations(args.expectations)?,
                outputs,
                color,
            },
            Some(new) if args.file == "-" && new == "-" => {
                let why = "standard input can be read only once";
                return Err(UsageError::invalid("NEW", &new, why));
            }
            Some(new) => Comparing::Since {
                new,
                json: match outputs.as_slice() {
                    [output] if output.file.is_none() && output.format == ReportFormat::Table => {
                        false
                    }
                    [output] if output.file.is_none() && output.format == ReportFormat::Json => {
                        true
                    }
                    _ => {
                        let why =
                            "a comparison can be printed as table or json only, to standard output";
                        return Err(UsageError::invalid("--output", &given, why));
                    }
                },
                color,
            },
        };
        Ok(Self {
            file: args.file,
            question,
        })
    }

    /// Writes the answer.
    ///
    /// # Errors
    ///
    /// If a file is not a report, a matrix does not exist, or writing fails.
    pub fn answer(&self, writer: &mut impl Write) -> Result<Exit, Error> {
        let reports = saved::read(&self.file)?;
        match &self.question {
            Comparing::Since { new, json, color } => {
                let screen = (!json).then(|| Screen::stdout(*color));
                self.compare(&reports, new, &saved::read(new)?, screen, writer)
            }
            Comparing::Again {
                expectations,
                terms,
                outputs,
                color,
            } => {
                let outlets = Outlet::all(outputs, *color)?;
                let documents = Documents::of(expectations)?;
                for report in reports.items() {
                    config::terms(terms, &report.terms)?;
                }
                let judge = |report| judge(report, expectations, &documents, terms);
                Ok(output::write_all(&reports.map(judge), &outlets))
            }
        }
    }

    /// Compares the reports of each Service that both files have. If there is no `screen`, writes JSON.
    fn compare(
        &self,
        old: &Reports,
        file: &str,
        new: &Reports,
        screen: Option<Screen>,
        writer: &mut impl Write,
    ) -> Result<Exit, Error> {
        let name = |report: &Report| {
            let service = &report.service;
            (service.namespace.clone(), service.name.clone())
        };
        let find = |reports: &'_ Reports, like: &Report| {
            let mut reports = reports.items().iter();
            reports.find(|report| name(report) == name(like)).cloned()
        };
        let mut items = Vec::new();
        for to in new.items() {
            match find(old, to) {
                Some(from) => items.push(Comparison::between(&from, to)),
                None => alone(to, file),
            }
        }
        let exits = items.iter().map(Comparison::exit);
        let mut exit = exits.reduce(Exit::and).ok_or_else(|| Error::File {
            file: file.to_owned(),
            source: format!("it has no Service in common with {}", self.file).into(),
        })?;
        for from in old.items() {
            if find(new, from).is_none() {
                alone(from, &self.file);
                exit = exit.and(Exit::Incomplete);
            }
        }
        let written = if let Some(screen) = screen {
            items
                .iter()
                .try_for_each(|comparison| table::write(comparison, screen, writer))
        } else {
            match items.as_slice() {
                [only] if !old.is_list() && !new.is_list() => json::pretty(only, writer),
                _ => json::pretty(&ComparisonList::of(items), writer),
            }
        };
        written.map_err(Error::Write)?;
        Ok(exit)
    }
}

/// Prints a note about a Service that only one file has.
fn alone(report: &Report, file: &str) {
    let service = &report.service;
    let text = format!(
        "note: Service {}/{} appears only in {file}",
        service.namespace, service.name
    );
    progress::plain(&printable(&text));
}

/// Compares the observations of an earlier run with the current documents, or with those from the command line.
fn judge(
    mut report: Report,
    expectations: &ExpectationSettings,
    documents: &Documents,
    terms: &GivenTerms,
) -> Report {
    let terms = terms.over(&report.terms);
    let overrides = expectations.overrides;
    let circumstances = &mut report.circumstances;
    let columns = circumstances.columns.iter().map(|column| Column {
        network_model: overrides.network_model.unwrap_or(column.network_model),
        proxy_mode: overrides.proxy_mode.unwrap_or(column.proxy_mode),
    });
    let columns: Vec<Column> = columns.fold(Vec::new(), |mut columns, column| {
        if !columns.contains(&column) {
            columns.push(column);
        }
        columns
    });
    let environment = &mut report.environment;
    if let [column] = columns.as_slice() {
        environment.column = Some(column.to_string());
    }
    let told_of = |fact: &str, value: String| Evidence {
        fact: fact.to_owned(),
        value,
        source: "given on the command line of judge".to_owned(),
    };
    if let Some(model) = overrides.network_model {
        environment.network_model = Some(model);
        let evidence = told_of("networkModel", model.to_string());
        environment.evidence.push(evidence);
    }
    if let Some(mode) = overrides.proxy_mode {
        environment.proxy_mode = Some(mode);
        let evidence = told_of("proxyMode", mode.to_string());
        environment.evidence.push(evidence);
    }
    circumstances.columns = columns;
    let selection = documents.selection(&report.environment);
    let against = judging::Judge {
        catalog: &documents.catalog,
        selection: &selection,
        circumstances,
        terms: &terms,
    };
    for cell in &mut report.cells {
        // What is known about the controller of an Ingress is not in the report, so the run's verdict remains.
        if cell.target.kind != TargetKind::Ingress || terms.of(cell).is_some() {
            against.judge(cell);
        }
    }
    let primary = documents.catalog.primary(&selection);
    report.matrix = primary.map(report::MatrixReference::of);
    advisories::judged_again(&mut report.advisories, &terms, &report.cells);
    report.terms = terms;
    report.summarize();
    report
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::{
        config::{ClusterOverrides, ExpectationSettings},
        reporting::documents::Documents,
        testing::report,
    };
    use svc_reach_common::{
        network_model::NetworkModel,
        proxy_mode::ProxyMode,
        terms::{Failure, GivenTerms, Required, Terms},
        verdict::Reachability,
    };

    #[test]
    fn flags_replace_detected_facts_and_become_evidence() {
        let settings = ExpectationSettings {
            overrides: ClusterOverrides {
                network_model: Some(NetworkModel::Vpc),
                proxy_mode: Some(ProxyMode::Ipvs),
            },
            ..ExpectationSettings::default()
        };
        let documents = Documents::of(&settings).unwrap();
        let environment =
            judge(report(), &settings, &documents, &GivenTerms::default()).environment;
        assert_eq!(environment.column.as_deref(), Some("vpc/ipvs"));
        assert_eq!(environment.network_model, Some(NetworkModel::Vpc));
        assert_eq!(environment.proxy_mode, Some(ProxyMode::Ipvs));
        let told = environment
            .evidence
            .iter()
            .filter(|evidence| {
                evidence
                    .source
                    .starts_with("given on the command line of judge")
            })
            .map(|evidence| (evidence.fact.as_str(), evidence.value.as_str()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("networkModel", "vpc"), ("proxyMode", "ipvs")]
        );
    }

    #[test]
    fn a_report_keeps_its_terms_unless_others_are_given() {
        let settings = ExpectationSettings::default();
        let documents = Documents::of(&settings).unwrap();
        let terms = |fail_on: &[Failure]| Terms {
            fail_on: fail_on.to_vec(),
            ..Terms::default()
        };
        let mut saved = report();
        saved.terms = terms(&[]);
        let judged = |given: &GivenTerms| judge(saved.clone(), &settings, &documents, given);
        let again = judged(&GivenTerms::default());
        assert_eq!((again.terms, again.summary.exit_code), (terms(&[]), 3));
        let again = judged(&GivenTerms {
            fail_on: Some(vec![Failure::Worse]),
            ..GivenTerms::default()
        });
        assert_eq!(
            (again.terms, again.summary.exit_code),
            (terms(&[Failure::Worse]), 1)
        );
    }

    #[test]
    fn requirements_are_kept_and_reported_if_no_cell_matches() {
        let settings = ExpectationSettings::default();
        let documents = Documents::of(&settings).unwrap();
        let required = |place| Required::parse(place, Reachability::Unreachable).unwrap();
        let mut saved = report();
        saved.terms.required = vec![required("external:ingress")];
        let told = |given: &GivenTerms| -> Vec<String> {
            let again = judge(saved.clone(), &settings, &documents, given);
            let told = again.advisories.into_iter();
            told.filter(|advisory| advisory.id == "no-required-cell")
                .map(|advisory| advisory.text)
                .collect()
        };
        let kept = told(&GivenTerms {
            fail_on: Some(vec![]),
            ..GivenTerms::default()
        });
        assert!(
            kept[0].starts_with("external:ingress is required"),
            "{kept:?}"
        );
        let others = told(&GivenTerms {
            unreachable: Some(vec![required("external:dnat")]),
            ..GivenTerms::default()
        });
        assert!(
            others[0].starts_with("external:dnat is required"),
            "{others:?}"
        );
        assert_eq!((kept.len(), others.len()), (1, 1));
    }
}
