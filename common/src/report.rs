//! A run's result, as `-o json` prints it.
//!
//! Keys are camelCase and end with the unit, if there is one. Absent values are `null`.

mod absent_position;
mod advisory;
mod cell;
mod distribution;
mod environment;
mod policy_finding;
mod service;
mod summary;

pub use self::{
    absent_position::AbsentPosition,
    advisory::{Advisory, EXTERNAL_LEFT_OUT, NODES_UNLISTED, Severity},
    cell::{Cell, Chance, EditionValue, Expectation, Observed, Prediction, Why},
    distribution::{Affinity, BackendAnswers, Distribution, Share},
    environment::{Environment, Evidence},
    policy_finding::{PolicyEffect, PolicyFinding},
    service::{LoadBalancer, LoadBalancerAddress, ReportedService},
    summary::Summary,
};

use crate::{
    exit::Exit,
    facts::ServiceType,
    matrix::{Circumstances, Edition},
    terms::{Failure, Terms},
};
use serde::{Deserialize, Serialize};

/// The JSON schema of reports and of lists of them.
pub const SCHEMA: &str = include_str!("../schemas/report.json");

/// `apiVersion` of every report.
pub const API_VERSION: &str = "svc-reach/v1";

words! {
    /// `kind` of a printed object.
    pub enum Kind("kind") {
        /// The report of one Service.
        Report = "Report",
        /// Reports of several Services.
        ReportList = "ReportList",
    }
}

/// The result of a run over one Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`Kind::Report`].
    pub kind: Kind,
    /// ID of the run, which is also the value of a label on its objects.
    pub run: String,
    /// Wall time of the run up to the report, in milliseconds.
    pub elapsed_ms: u64,
    /// The Service.
    pub service: ReportedService,
    /// What was found out about the cluster.
    pub environment: Environment,
    /// The documented expectations that the cells are compared with.
    pub matrix: Option<MatrixReference>,
    /// What those expectations depend on. If something is unknown, all its possible values are listed.
    pub circumstances: Circumstances,
    /// One cell for each position and target.
    pub cells: Vec<Cell>,
    /// Positions that do not exist. Older reports do not have them.
    #[serde(default)]
    pub absent_positions: Vec<AbsentPosition>,
    /// Why nothing can answer, if the Service has no ready backend. Older reports do not have it.
    #[serde(default)]
    pub outage: Option<String>,
    /// Which backends answered how often; `null` if no backend reported its name.
    #[serde(default)]
    pub distribution: Option<Distribution>,
    /// What else a reader should know.
    pub advisories: Vec<Advisory>,
    /// What makes the exit code differ from 0, in addition to cells that could not be observed.
    pub terms: Terms,
    /// Numbers of cells by verdict, and the exit code that follows.
    pub summary: Summary,
}

impl Report {
    /// Counts the verdicts and derives the exit code, after cells or terms changed. In addition to [`Summary::of`], which
    /// knows only cells:
    ///
    /// - A Service with an outage fails ([`Self::fails_by_outage`]), even if the forwarding model expects every
    ///   observation.
    /// - Nothing forwards to an `ExternalName` Service, so a run that has nothing to check there is complete.
    pub fn summarize(&mut self) {
        self.summary = Summary::of(&self.cells, &self.terms);
        let complete = self.service.kind == ServiceType::ExternalName
            && self.cells.is_empty()
            && self.terms.unmet(&self.cells).next().is_none();
        let exit = if self.fails_by_outage() {
            Exit::Differs
        } else if complete {
            Exit::AsExpected
        } else {
            return;
        };
        self.summary.exit_code = exit.code();
    }

    /// Whether the run ends with exit code 1 because nothing can answer. It does not if the user requires that, or if
    /// worse cells do not fail the run either.
    #[must_use]
    pub fn fails_by_outage(&self) -> bool {
        self.outage.is_some()
            && self.terms.fail_on.contains(&Failure::Worse)
            && !self.terms.want_outage()
    }
}

/// The results of a run over several Services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportList {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`Kind::ReportList`].
    pub kind: Kind,
    /// One report for each Service.
    pub items: Vec<Report>,
}

/// The result of a run, as it is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reports {
    /// The command line named exactly one Service.
    One(Box<Report>),
    /// The command line could select several Services.
    List(ReportList),
}

impl Reports {
    /// A list of reports.
    #[must_use]
    pub fn list(items: Vec<Report>) -> Self {
        Self::List(ReportList {
            api_version: API_VERSION.to_owned(),
            kind: Kind::ReportList,
            items,
        })
    }

    /// Whether it is a list, even if the list has only one report.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Changes every report.
    #[must_use]
    pub fn map(self, mut change: impl FnMut(Report) -> Report) -> Self {
        match self {
            Self::One(report) => change(*report).into(),
            Self::List(list) => Self::list(list.items.into_iter().map(change).collect()),
        }
    }

    /// The reports.
    #[must_use]
    pub fn items(&self) -> &[Report] {
        match self {
            Self::One(report) => std::slice::from_ref(report),
            Self::List(list) => &list.items,
        }
    }

    /// How the run ended, unless it was interrupted. Without any report, the run is incomplete.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let exits = self.items().iter().map(|report| report.summary.exit());
        exits.reduce(Exit::and).unwrap_or(Exit::Incomplete)
    }
}

impl From<Report> for Reports {
    fn from(report: Report) -> Self {
        Self::One(Box::new(report))
    }
}

/// Documented expectations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixReference {
    /// Its name.
    pub id: String,
    /// Its edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// The document.
    pub source: String,
}

impl MatrixReference {
    /// The reference to an edition.
    #[must_use]
    pub fn of(edition: &Edition) -> Self {
        Self {
            id: edition.name.clone(),
            edition: edition.edition.clone(),
            alias: edition.alias.clone(),
            source: edition.source.clone(),
        }
    }
}
