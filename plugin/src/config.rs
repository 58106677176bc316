//! What a run is to do. Reading it touches nothing outside.

mod choice;
mod connection;
mod duration;
mod error;
mod expectations;
mod output;
mod probe;
mod request;
mod service_name;
pub mod shell;

pub use self::{
    choice::{CellWord, Choice, cells},
    connection::{Connection, ConnectionArgs, Verbosity, given},
    duration::duration,
    error::UsageError,
    expectations::{
        ClusterOverrides, ExpectationArgs, ExpectationSettings, FailOn, expectations, given_terms,
        terms,
    },
    output::{Color, Output, OutputArgs, ReportFormat, outputs},
    probe::{ProbeArgs, ProbeSettings, PullPolicy, Toleration, probe},
    request::{External, ProtocolChoice, RequestArgs, RequestPath, RequestSettings, request},
    service_name::{ServiceName, is_label, service_name},
};

use std::{path::PathBuf, time::Duration};
use svc_reach_common::{
    facts::Service,
    report::{Report, Reports},
    terms::Terms,
};

/// The main job.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Which Services.
    pub selection: ServiceSelection,
    /// Whether their reports are a list, be it of one.
    pub list: bool,
    /// The file that says which Services instead, and what is expected of each.
    pub config: Option<PathBuf>,
    /// Where the report goes, and how; at most one without a file.
    pub outputs: Vec<Output>,
    /// Whether tables have colours.
    pub color: Color,
    /// How long to wait until the Services can be reached at all.
    pub wait: Option<Duration>,
    /// How long after a run the next one begins; `None`: once is enough.
    pub watch: Option<Duration>,
    /// What is asked of each Service.
    pub check: Check,
    /// What is asked of a named Service instead, where it differs.
    pub own: Vec<(ServiceName, Check)>,
    /// What observations are held against.
    pub expectations: ExpectationSettings,
    /// The probe pods.
    pub probe: ProbeSettings,
}

/// Which Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceSelection {
    /// Those of these names.
    Named(Vec<ServiceName>),
    /// Whatever there is.
    Matching {
        /// Label selector; `None`: all.
        selector: Option<String>,
        /// Of all namespaces.
        everywhere: bool,
    },
}

/// What is asked of a Service, and what it has to live up to.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which cells are asked.
    pub choice: Choice,
    /// What the probes do.
    pub request: RequestSettings,
    /// What a run has to live up to beside documents.
    pub terms: Terms,
}

impl RunSettings {
    /// What is asked of a Service. `current`: the namespace of Services that are named without one.
    pub fn check(&self, service: &Service, current: &str) -> &Check {
        self.own
            .iter()
            .find(|(name, _)| name.means(&service.namespace, &service.name, current))
            .map_or(&self.check, |(_, check)| check)
    }

    /// The same without one of the Services that are named, and with its probes where they were; `None`: no other is named.
    /// `current`: namespace of those that are named without one.
    pub fn without(&self, namespace: &str, name: &str, current: &str) -> Option<Self> {
        let mut rest = self.clone();
        rest.probe.namespace = Some(self.probes_in(current).to_owned());
        let ServiceSelection::Named(names) = &mut rest.selection else {
            return None;
        };
        let before = names.len();
        names.retain(|named| !named.means(namespace, name, current));
        (!names.is_empty() && names.len() < before).then_some(rest)
    }

    /// Namespace of the probes. `current`: of Services that are named without one.
    pub fn probes_in<'a>(&'a self, current: &'a str) -> &'a str {
        if let Some(namespace) = &self.probe.namespace {
            return namespace;
        }
        let ServiceSelection::Named(names) = &self.selection else {
            return current;
        };
        let mut namespaces = names
            .iter()
            .map(|name| name.namespace.as_deref().unwrap_or(current));
        let first = namespaces.next().unwrap_or(current);
        if namespaces.all(|namespace| namespace == first) {
            first
        } else {
            current
        }
    }

    /// The reports of a run as they are printed.
    pub fn reports(&self, mut reports: Vec<Report>) -> Reports {
        match reports.pop() {
            Some(report) if !self.list && reports.is_empty() => report.into(),
            last => {
                reports.extend(last);
                Reports::list(reports)
            }
        }
    }
}
