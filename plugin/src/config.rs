//! The settings of a run, from its flags. Pure: it reads no file and makes no call.

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
    request::{
        External, ProtocolChoice, RequestArgs, RequestPath, RequestSettings, UnlistedAddresses,
        request,
    },
    service_name::{ServiceName, is_label, service_name},
};

use std::{path::PathBuf, time::Duration};
use svc_reach_common::{
    facts::Service,
    report::{Report, Reports},
    terms::Terms,
};

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Which Services to check.
    pub selection: ServiceSelection,
    /// Whether the output is a list, even if it has only one report.
    pub list: bool,
    /// Smoke test file. It replaces `selection` and says what to expect of each Service.
    pub config: Option<PathBuf>,
    /// Formats of the report, and where they go. At most one goes to standard output.
    pub outputs: Vec<Output>,
    /// When tables use colours.
    pub color: Color,
    /// How long to wait for backends and load balancer addresses; `None`: do not wait.
    pub wait: Option<Duration>,
    /// How long to repeat a run during which the cluster changed; `None`: do not repeat it.
    pub settle: Option<Duration>,
    /// Pause between two runs; `None`: run once.
    pub watch: Option<Duration>,
    /// What to check on each Service.
    pub check: Check,
    /// Checks of single Services, which replace `check`.
    pub own: Vec<(ServiceName, Check)>,
    /// What to compare observations with.
    pub expectations: ExpectationSettings,
    /// Settings of the probe pods.
    pub probe: ProbeSettings,
}

/// Which Services to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceSelection {
    /// The Services with these names.
    Named(Vec<ServiceName>),
    /// All Services that match.
    Matching {
        /// Label selector; `None`: every Service.
        selector: Option<String>,
        /// Whether to search all namespaces.
        everywhere: bool,
    },
}

impl ServiceSelection {
    /// The words of a command line that select the same Services. `current` is the namespace of names that have none.
    pub fn words(&self, current: &str) -> String {
        match self {
            Self::Named(names) => {
                let names = names.iter().map(|named| {
                    let namespace = named.namespace.as_deref().unwrap_or(current);
                    format!("{}.{namespace}", named.name)
                });
                names.collect::<Vec<_>>().join(" ")
            }
            Self::Matching {
                selector,
                everywhere,
            } => {
                let place = if *everywhere {
                    "-A".to_owned()
                } else {
                    format!("-n {current}")
                };
                match selector {
                    Some(selector) => format!("-l {} {place}", shell::word(selector)),
                    None if *everywhere => place,
                    None => format!("--all {place}"),
                }
            }
        }
    }
}

/// What to check on a Service, and which results fail the run.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which cells to check.
    pub choice: Choice,
    /// How the probes make requests.
    pub request: RequestSettings,
    /// The verdicts that fail a run, and requirements in addition to the documents.
    pub terms: Terms,
}

impl RunSettings {
    /// What to check on a Service. `current` is the namespace of names that have none.
    pub fn check(&self, service: &Service, current: &str) -> &Check {
        self.own
            .iter()
            .find(|(name, _)| name.means(&service.namespace, &service.name, current))
            .map_or(&self.check, |(_, check)| check)
    }

    /// These settings without one of the named Services. The probes stay in the same namespace. `None` if the Service
    /// is not named, or if no other Service is. `current` is the namespace of names that have none.
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

    /// Namespace of the probes: `--probe-namespace`, or the namespace of the named Services if they share one, or else
    /// `current`, which is also the namespace of names that have none.
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

    /// Wraps the reports of a run for printing: a single report, or a list.
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
