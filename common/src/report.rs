//! A run's result, as `-o json` prints it.
//!
//! Keys are camelCase with the unit in the key; what is absent is `null`.

use crate::{
    exit::Exit,
    facts::{IpMode, ServicePort, ServiceType, TrafficPolicy},
    matrix::{Circumstances, Edition},
    network_model::NetworkModel,
    position::Position,
    proxy_mode::ProxyMode,
    target::{Scope, Target},
    terms::Terms,
    verdict::{Reachability, Verdict},
    wire::outcome::Attempt,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
    pub service: Service,
    /// What was found out about the cluster.
    pub environment: Environment,
    /// The documented expectations that the cells are held against.
    pub matrix: Option<Matrix>,
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
    /// Where one Service was asked about by its name.
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

/// The Service that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// `spec.externalTrafficPolicy`; `null` where it does not apply.
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// `spec.internalTrafficPolicy`; `null` where it does not apply.
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its load balancer; `null` where it has none.
    pub load_balancer: Option<LoadBalancer>,
}

/// A Service's load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// Its class, in the provider's words.
    pub class: Option<String>,
    /// The provider's pass-through setting.
    pub pass_through: Option<String>,
    /// Its addresses.
    pub addresses: Vec<LoadBalancerAddress>,
}

/// One address of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerAddress {
    /// Its address; `null` where it has a name only.
    pub ip: Option<IpAddr>,
    /// Its name; `null` where it has an address only.
    pub hostname: Option<String>,
    /// From where it is meant to be used.
    pub scope: Option<Scope>,
    /// How kube-proxy treats it.
    pub ip_mode: Option<IpMode>,
}

/// What was found out about the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Cloud or distribution.
    pub provider: Option<String>,
    /// The API server's version.
    pub kubernetes_version: Option<String>,
    /// How pods are connected.
    pub network_model: Option<NetworkModel>,
    /// What forwards Service traffic.
    pub proxy_mode: Option<ProxyMode>,
    /// Network model and proxy mode, as the documents' tables have it.
    pub column: Option<String>,
    /// How that is known.
    pub evidence: Vec<Evidence>,
}

/// Something that was found out, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What it is about, such as `proxyMode`.
    pub fact: String,
    /// What was found.
    pub value: String,
    /// Where.
    pub source: String,
}

/// Documented expectations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// Its name.
    pub id: String,
    /// Its edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// The document.
    pub source: String,
}

impl Matrix {
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

/// One position and one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Where the probe stood.
    pub position: Position,
    /// The node it stood on; `null` for the plugin's own machine and where there was none.
    pub node: Option<String>,
    /// What it requested.
    pub target: Target,
    /// What the documents say should happen.
    pub expected: Option<Expectation>,
    /// What each edition of the matrix says, of those that speak of the cell.
    pub editions: Vec<EditionValue>,
    /// What the forwarding model says should happen.
    pub predicted: Option<Prediction>,
    /// What happened.
    pub observed: Observed,
    /// What that means.
    pub verdict: Verdict,
    /// What can be done about it.
    pub hint: Option<String>,
}

words! {
    /// What an expectation rests on.
    pub enum Basis("basis") {
        /// A cell of the document says so.
        Stated = "stated",
        /// The document says that what it does not list is normal.
        Implied = "implied",
        /// The forwarding model says so, where no document does.
        Predicted = "predicted",
        /// The user requires it, whatever documents say.
        Required = "required",
    }
}

/// What should happen in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Whether the target can be reached.
    pub value: Reachability,
    /// What that rests on.
    pub basis: Basis,
    /// Name of the matrix.
    pub matrix: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// Where it says so.
    pub source: Option<String>,
}

/// What one edition says of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditionValue {
    /// The edition.
    pub edition: String,
    /// A readable name of the edition.
    pub alias: Option<String>,
    /// What it says.
    pub value: Reachability,
}

/// What the forwarding model computes for a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// What the first proxy on the way does with the packet.
    pub action: String,
    /// Endpoints that may answer, as `ip:port`.
    pub endpoints: Vec<String>,
    /// Whether the backend sees a node's address instead of the client's.
    pub masquerade: Option<bool>,
    /// What the client sees.
    pub outcome: String,
    /// Whether the target can be reached; `null` where that is not known, or depends on chance.
    pub reachable: Option<Reachability>,
    /// The rules that lead there.
    pub why: Vec<Why>,
    /// What can be done where the client is not served; `null`: nothing that is known.
    pub remedy: Option<String>,
}

/// A rule, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The rule.
    pub rule: String,
    /// Its source.
    pub source: String,
}

words! {
    /// What was observed in a cell.
    pub enum ObservedValue("observed value") {
        /// Every attempt was answered.
        Reachable = "reachable",
        /// No attempt was.
        Unreachable = "unreachable",
        /// Some were.
        Unstable = "unstable",
        /// Nobody could look.
        NotObserved = "not-observed",
    }
}

/// What happened in a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// What the attempts amount to.
    pub value: ObservedValue,
    /// What they saw, or why there were none.
    pub reason: String,
    /// Attempts that were answered; `null` where none was made.
    pub ok: Option<usize>,
    /// Attempts that were made; `null` where none was.
    pub of: Option<usize>,
    /// Median time to connect of the answered attempts, or to the answer for UDP, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The client's address as the server saw it, where the server told, and told the same each time.
    pub client_ip_seen: Option<IpAddr>,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}

words! {
    /// How much an advisory matters.
    pub enum Severity("severity") {
        /// Good to know.
        Info = "info",
        /// Likely to bite.
        Warning = "warning",
    }
}

/// Something a reader should know beside the cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advisory {
    /// Names the kind of advisory.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub text: String,
    /// Where that comes from; `null`: from this run.
    pub source: Option<String>,
}

/// Numbers of cells by verdict, and the exit code that follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`Verdict::AsExpected`].
    pub as_expected: usize,
    /// [`Verdict::Worse`].
    pub worse: usize,
    /// [`Verdict::Better`].
    pub better: usize,
    /// [`Verdict::Disputed`].
    pub disputed: usize,
    /// [`Verdict::Unstable`].
    pub unstable: usize,
    /// [`Verdict::NotObserved`].
    pub not_observed: usize,
    /// [`Verdict::Undocumented`].
    pub undocumented: usize,
    /// Exit code of the run, interruption aside.
    pub exit_code: u8,
}

impl Summary {
    /// Counts the verdicts of cells and derives the exit code.
    #[must_use]
    pub fn of(cells: &[Cell], terms: &Terms) -> Self {
        let mut summary = Self::counted(cells.iter().map(|cell| cell.verdict));
        let failed = cells.iter().any(|cell| terms.fail(cell));
        let incomplete = summary.not_observed > 0
            || summary.compared() == 0
            || terms.unmet(cells).next().is_some();
        let exit = if failed {
            Exit::Differs
        } else if incomplete {
            Exit::Incomplete
        } else {
            Exit::AsExpected
        };
        summary.exit_code = exit.code();
        summary
    }

    fn counted(verdicts: impl Iterator<Item = Verdict>) -> Self {
        let mut summary = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::AsExpected => &mut summary.as_expected,
                Verdict::Worse => &mut summary.worse,
                Verdict::Better => &mut summary.better,
                Verdict::Disputed => &mut summary.disputed,
                Verdict::Unstable => &mut summary.unstable,
                Verdict::NotObserved => &mut summary.not_observed,
                Verdict::Undocumented => &mut summary.undocumented,
            } += 1;
        }
        summary
    }

    /// Number of cells that were held against something.
    #[must_use]
    pub const fn compared(&self) -> usize {
        self.as_expected + self.worse + self.better + self.unstable
    }

    /// How the run ended, interruption aside.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let known = Exit::ALL.iter().find(|exit| exit.code() == self.exit_code);
        known.copied().unwrap_or(Exit::Incomplete)
    }

    /// Number of cells.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.as_expected
            + self.worse
            + self.better
            + self.disputed
            + self.unstable
            + self.not_observed
            + self.undocumented
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Observed, ObservedValue, Summary};
    use crate::{
        position::Position,
        protocol::Protocol,
        target::{Target, TargetKind},
        terms::{Required, Terms},
        verdict::{
            Reachability,
            Verdict::{
                self, AsExpected, Better, Disputed, NotObserved, Undocumented, Unstable, Worse,
            },
        },
    };

    fn cell(verdict: Verdict) -> Cell {
        Cell {
            position: Position::PodOther,
            node: None,
            target: Target {
                kind: TargetKind::ClusterIp,
                address: "10.0.0.1".to_owned(),
                port: 80.try_into().unwrap(),
                protocol: Protocol::Tcp,
                port_name: None,
                node: None,
                node_role: None,
                relation: None,
                scope: None,
            },
            expected: None,
            editions: Vec::new(),
            predicted: None,
            observed: Observed {
                value: ObservedValue::Reachable,
                reason: String::new(),
                ok: None,
                of: None,
                latency_ms: None,
                client_ip_seen: None,
                attempts: Vec::new(),
            },
            verdict,
            hint: None,
        }
    }

    fn exit_code(verdicts: &[Verdict], terms: &Terms) -> u8 {
        let cells: Vec<Cell> = verdicts.iter().map(|verdict| cell(*verdict)).collect();
        let summary = Summary::of(&cells, terms);
        assert_eq!(summary.cells(), verdicts.len());
        assert_eq!(summary.exit().code(), summary.exit_code);
        summary.exit_code
    }

    #[test]
    fn a_run_ends_by_its_cells() {
        let rows: [(&str, &[Verdict], u8); 9] = [
            ("all as expected", &[AsExpected, AsExpected], 0),
            ("some undocumented", &[AsExpected, Undocumented], 0),
            ("worse", &[AsExpected, Worse], 1),
            ("better", &[AsExpected, Better], 1),
            ("unstable and unobserved", &[Unstable, NotObserved], 1),
            ("unobserved", &[AsExpected, NotObserved], 3),
            ("nothing to compare with", &[Undocumented], 3),
            ("only disputed", &[Disputed], 3),
            ("no cells", &[], 3),
        ];
        for (name, verdicts, code) in rows {
            assert_eq!(exit_code(verdicts, &Terms::default()), code, "{name}");
        }
    }

    #[test]
    fn what_fails_a_run_is_narrowed_and_widened() {
        let on = |fail_on: &[Verdict]| Terms {
            fail_on: fail_on.to_vec(),
            ..Terms::default()
        };
        let rows: [(&[Verdict], &[Verdict], u8); 7] = [
            (&[Worse], &[AsExpected, Better], 0),
            (&[Worse], &[Better], 0),
            (&[Worse], &[Worse], 1),
            (&[Worse, Disputed], &[AsExpected, Disputed], 1),
            (&[Undocumented], &[AsExpected, Undocumented], 1),
            (&[], &[AsExpected, Worse], 0),
            // Could not look is never success.
            (&[], &[AsExpected, NotObserved], 3),
        ];
        for (fail_on, verdicts, code) in rows {
            assert_eq!(
                exit_code(verdicts, &on(fail_on)),
                code,
                "{fail_on:?}: {verdicts:?}"
            );
        }
    }

    #[test]
    fn what_is_required_fails_a_run_or_leaves_it_incomplete() {
        let required = |text: &str| Terms {
            fail_on: Vec::new(),
            required: vec![Required::parse(text, Reachability::Reachable).unwrap()],
        };
        let rows: [(&str, &[Verdict], u8); 5] = [
            ("pod-other:cluster-ip", &[AsExpected], 0),
            ("pod-other:cluster-ip", &[AsExpected, Worse], 1),
            ("pod-other:cluster-ip", &[Unstable], 1),
            ("pod-other:cluster-ip", &[AsExpected, NotObserved], 3),
            ("external:load-balancer", &[AsExpected], 3),
        ];
        for (text, verdicts, code) in rows {
            assert_eq!(
                exit_code(verdicts, &required(text)),
                code,
                "{text}: {verdicts:?}"
            );
        }
        for (text, part) in [
            ("cluster-ip", "is not a position and a target"),
            ("pod:cluster-ip", "unknown position"),
            ("pod-other:ip", "unknown target"),
        ] {
            let error = Required::parse(text, Reachability::Reachable)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
