//! A run's result, as `-o json` prints it.
//!
//! Keys are camelCase with the unit in the key; what is absent is `null`.

mod advisory;
mod cell;
mod environment;
mod service;
mod summary;

pub use self::{
    advisory::{Advisory, Severity},
    cell::{Cell, EditionValue, Expectation, Observed, Prediction, Why},
    environment::{Environment, Evidence},
    service::{LoadBalancer, LoadBalancerAddress, ReportedService},
    summary::Summary,
};

use crate::{
    exit::Exit,
    matrix::{Circumstances, Edition},
    terms::Terms,
};
use serde::{Deserialize, Serialize};

/// The JSON schema of reports and of lists of them.
pub const SCHEMA: &str = include_str!("../schemas/report.json");

/// `apiVersion` of every report.
pub const API_VERSION: &str = "svc-reach/v1";

words! {
    /// `kind` of an object that we print.
    pub enum Kind("kind") {
        /// One Service.
        Report = "Report",
        /// Several.
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
    /// Identifies the run; the value of the label that its objects carried.
    pub run: String,
    /// Wall time of the run up to the report, in milliseconds.
    pub elapsed_ms: u64,
    /// The Service.
    pub service: ReportedService,
    /// What was found out about the cluster.
    pub environment: Environment,
    /// The documented expectations that the cells are held against.
    pub matrix: Option<MatrixReference>,
    /// What those expectations depend on; where it is not known, every value that it can have.
    pub circumstances: Circumstances,
    /// Every position and target.
    pub cells: Vec<Cell>,
    /// What else a reader should know.
    pub advisories: Vec<Advisory>,
    /// What ends the run with another exit code than 0, beside cells that could not be observed.
    pub terms: Terms,
    /// Numbers of cells by verdict, and the exit code that follows.
    pub summary: Summary,
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

/// What a run results in, as it prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reports {
    /// One Service was named on the command line.
    One(Box<Report>),
    /// Where several might have been.
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

    /// Whether it is a list, be it of one.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// The same of changed reports.
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

    /// How the run ended, interruption aside: incomplete where there was nothing to be asked about.
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
    /// An edition, as a report names it.
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
