//! What changed between two runs over one Service. Pure.

use crate::output::wording;
use serde::Serialize;
use std::collections::BTreeMap;
use svc_reach_common::{
    client::ClientValue,
    exit::Exit,
    facts::Route,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    report::{API_VERSION, Cell, Report},
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    verdict::ExpectedValue,
    words,
};

words! {
    /// How a cell changed.
    pub enum Became("change") {
        /// It is less reachable than before, or its backends no longer see the client's address.
        Worse = "worse",
        /// It is more reachable than before, or its backends see the client's address now.
        Better = "better",
        /// It was observed before, but not now.
        Unseen = "unseen",
        /// It is observed now, but was not before.
        Seen = "seen",
        /// It was not checked before.
        New = "new",
        /// It is no longer checked.
        Gone = "gone",
    }
}

/// What changed between two runs, as `-o json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Comparison`.
    pub kind: &'static str,
    /// `NAMESPACE/NAME` of the Service.
    pub service: String,
    /// The earlier run.
    pub from: RunOf,
    /// The later run.
    pub to: RunOf,
    /// The cells that changed.
    pub changes: Vec<Change>,
    /// How many cells both runs observed.
    pub compared: usize,
    /// How many cells the later run could not observe.
    pub not_observed: usize,
    /// Whether the earlier run reached a kind of cell that the later run does not check at all.
    #[serde(skip)]
    lost: bool,
}

/// What changed in several Services, as `-o json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonList {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `ComparisonList`.
    pub kind: &'static str,
    /// A comparison for each Service that both runs checked.
    pub items: Vec<Comparison>,
}

impl ComparisonList {
    /// A list of comparisons.
    pub const fn of(items: Vec<Comparison>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ComparisonList",
            items,
        }
    }
}

/// The summary of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOf {
    /// Its ID.
    pub run: String,
    /// The API server's version.
    pub kubernetes_version: Option<String>,
    /// The proxy mode of the cluster.
    pub proxy_mode: Option<String>,
}

/// A cell that changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where the probe was.
    pub position: Position,
    /// What the probe requested: in the later run, or in the earlier run if the cell is gone.
    pub target: Target,
    /// The earlier observation; `None`: the cell is new.
    pub from: Option<CellState>,
    /// The later observation; `None`: the cell is gone.
    pub to: Option<CellState>,
    /// How the cell changed.
    pub became: Became,
    /// Position and target in words.
    #[serde(skip)]
    pub way: String,
}

/// What a run observed.
#[derive(Debug, Serialize)]
pub struct CellState {
    /// The result.
    pub value: ObservedValue,
    /// Why.
    pub reason: String,
    /// What the backends saw as the address of their client.
    pub client: ClientValue,
}

/// Identifies a cell across runs. Addresses and nodes may change, but roles remain.
type Identity<'c> = (
    Position,
    TargetKind,
    Option<&'c str>,
    Protocol,
    Option<NodeRole>,
    Option<Relation>,
    Option<Scope>,
    Option<&'c Route>,
);

fn identity(cell: &Cell) -> Identity<'_> {
    let target = &cell.target;
    (
        cell.position,
        target.kind,
        target.port_name.as_deref(),
        target.protocol,
        target.node_role,
        target.relation,
        target.scope,
        target.route.as_ref(),
    )
}

impl Comparison {
    /// Compares two runs over one Service.
    pub fn between(from: &Report, to: &Report) -> Self {
        let mut before = by_identity(from);
        let mut changes = Vec::new();
        let mut compared = 0;
        for (identity, now) in by_identity(to) {
            let mut then = before.remove(&identity).unwrap_or_default();
            for cell in now {
                // Prefer the cell with the same address.
                let same = then
                    .iter()
                    .position(|other| other.target.address == cell.target.address);
                let other = match same {
                    Some(at) => Some(then.remove(at)),
                    None if then.is_empty() => None,
                    None => Some(then.remove(0)),
                };
                compared += usize::from(is_seen(cell) && other.is_some_and(is_seen));
                changes.extend(Change::of(other.map(|cell| (from, cell)), Some((to, cell))));
            }
            changes.extend(
                then.into_iter()
                    .filter_map(|cell| Change::of(Some((from, cell)), None)),
            );
        }
        // Fewer backends or nodes are normal, but it is a gap if the later run does not check a kind of cell at all.
        let lost = before
            .values()
            .flatten()
            .any(|cell| rank(cell).is_some_and(|rank| rank > 0));
        let gone = before.into_values().flatten();
        changes.extend(gone.filter_map(|cell| Change::of(Some((from, cell)), None)));
        changes.sort_by_key(|change| change.became);
        Self {
            api_version: API_VERSION,
            kind: "Comparison",
            service: format!("{}/{}", to.service.namespace, to.service.name),
            from: RunOf::of(from),
            to: RunOf::of(to),
            changes,
            compared,
            not_observed: to.cells.iter().filter(|cell| !is_seen(cell)).count(),
            lost,
        }
    }

    /// The exit status: 1 if a cell became worse. Otherwise 3 if the later run could not observe a cell, if it no
    /// longer checks a kind of cell that was reached before, or if nothing was compared. Otherwise 0.
    pub fn exit(&self) -> Exit {
        let any = |became| self.changes.iter().any(|change| change.became == became);
        if any(Became::Worse) {
            Exit::Differs
        } else if self.not_observed > 0 || self.lost || self.compared == 0 {
            Exit::Incomplete
        } else {
            Exit::AsExpected
        }
    }
}

fn by_identity(report: &Report) -> BTreeMap<Identity<'_>, Vec<&Cell>> {
    let mut cells: BTreeMap<_, Vec<&Cell>> = BTreeMap::new();
    for cell in &report.cells {
        cells.entry(identity(cell)).or_default().push(cell);
    }
    cells
}

impl RunOf {
    fn of(report: &Report) -> Self {
        Self {
            run: report.run.clone(),
            kubernetes_version: report.environment.kubernetes_version.clone(),
            proxy_mode: report.environment.proxy_mode.map(|mode| mode.to_string()),
        }
    }
}

/// Whether a cell was observed.
fn is_seen(cell: &Cell) -> bool {
    rank(cell).is_some()
}

fn depends_on_chance(cell: &Cell) -> bool {
    let expected = cell.expected.as_ref();
    expected.is_some_and(|expected| expected.value == ExpectedValue::ByChance)
}

/// How reachable a cell is; `None`: not observed.
const fn rank(cell: &Cell) -> Option<u8> {
    match cell.observed.value {
        ObservedValue::NotObserved => None,
        ObservedValue::Unreachable => Some(0),
        ObservedValue::Unstable => Some(1),
        ObservedValue::Reachable => Some(2),
    }
}

/// How the client's address, as the backends see it, changed.
const fn of_client(from: &Cell, to: &Cell) -> Option<Became> {
    match (from.client.value, to.client.value) {
        (ClientValue::Kept, ClientValue::Replaced) => Some(Became::Worse),
        (ClientValue::Replaced, ClientValue::Kept) => Some(Became::Better),
        (ClientValue::Kept | ClientValue::Replaced | ClientValue::NotKnown, _) => None,
    }
}

impl Change {
    fn of(from: Option<(&Report, &Cell)>, to: Option<(&Report, &Cell)>) -> Option<Self> {
        let became = match (from, to) {
            (None, None) => return None,
            (None, Some(_)) => Became::New,
            (Some(_), None) => Became::Gone,
            // If chance decides, runs differ without another reason.
            (Some((_, from)), Some((_, to)))
                if is_seen(from) && is_seen(to) && depends_on_chance(to) =>
            {
                return None;
            }
            (Some((_, from)), Some((_, to))) => match (rank(from), rank(to)) {
                (Some(before), Some(after)) if after < before => Became::Worse,
                (Some(before), Some(after)) if after > before => Became::Better,
                (Some(_), None) => Became::Unseen,
                (None, Some(_)) => Became::Seen,
                (Some(_), Some(_)) => of_client(from, to)?,
                (None, None) => return None,
            },
        };
        let seen = |(_, cell): (&Report, &Cell)| CellState {
            value: cell.observed.value,
            reason: cell.observed.reason.clone(),
            client: cell.client.value,
        };
        let (report, cell) = to.or(from)?;
        Some(Self {
            position: cell.position,
            target: cell.target.clone(),
            from: from.map(seen),
            to: to.map(seen),
            became,
            way: format!(
                "{} -> {}",
                cell.position,
                wording::target(report, &cell.target)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientValue, Comparison};
    use crate::{
        config::{ClusterOverrides, ExpectationSettings},
        probes::probed_position::ProbedPosition,
        reporting::documents::Documents,
        reporting::{Expectations, Unchecked, report},
        survey::{network_policies::PolicySurvey, provider_hints::ProviderHints},
        testing::{cell, facts},
    };
    use std::time::Duration;
    use svc_reach_common::{
        exit::Exit,
        observation::ObservedValue::{self, NotObserved, Reachable, Unreachable, Unstable},
        position::Position::{NodeSame, PodOther},
        report::{Cell, Expectation, Report},
        target::TargetKind::{ClusterIp, NodePort},
        terms::Terms,
        verdict::{Basis, ExpectedValue},
    };

    fn run(cells: Vec<Cell>) -> Report {
        let none: [ProbedPosition; 0] = [];
        let expectations = Expectations {
            documents: &Documents::of(&ExpectationSettings::default()).unwrap(),
            proxy: None,
            hints: &ProviderHints::default(),
            policies: &PolicySurvey::default(),
            mesh: Ok(None),
            others: &[],
            overrides: ClusterOverrides::default(),
            terms: &Terms::default(),
            at: None,
        };
        let mut report = report(
            "r",
            Duration::ZERO,
            &facts(),
            &none,
            expectations,
            Unchecked::default(),
        );
        report.cells = cells;
        report
    }

    fn changes(from: Vec<Cell>, to: Vec<Cell>) -> (Vec<String>, Exit) {
        let comparison = Comparison::between(&run(from), &run(to));
        let changes = comparison.changes.iter().map(|change| {
            format!(
                "{} {}: {}",
                change.position, change.target.address, change.became
            )
        });
        (changes.collect(), comparison.exit())
    }

    #[test]
    fn a_difference_by_chance_is_no_change() {
        let by_chance = |value| {
            let mut cell = cell(PodOther, NodePort, "10.0.0.1", value);
            cell.expected = Some(Expectation {
                value: ExpectedValue::ByChance,
                basis: Basis::Predicted,
                matrix: None,
                edition: None,
                source: None,
            });
            vec![cell]
        };
        for (before, after) in [
            (Reachable, Unstable),
            (Unstable, Unreachable),
            (Unreachable, Reachable),
        ] {
            let found = changes(by_chance(before), by_chance(after));
            assert_eq!(found, (Vec::new(), Exit::AsExpected), "{before}, {after}");
        }
        let (unseen, exit) = changes(by_chance(Reachable), by_chance(NotObserved));
        assert_eq!((unseen.len(), exit), (1, Exit::Incomplete));
    }

    #[test]
    fn less_reachable_is_worse() {
        let one = |value: ObservedValue| vec![cell(PodOther, ClusterIp, "10.0.0.1", value)];
        let rows = [
            (Reachable, Reachable, None, Exit::AsExpected),
            (Unreachable, Unreachable, None, Exit::AsExpected),
            (Reachable, Unreachable, Some("worse"), Exit::Differs),
            (Reachable, Unstable, Some("worse"), Exit::Differs),
            (Unstable, Unreachable, Some("worse"), Exit::Differs),
            (Unreachable, Reachable, Some("better"), Exit::AsExpected),
            (Reachable, NotObserved, Some("unseen"), Exit::Incomplete),
            (NotObserved, Reachable, Some("seen"), Exit::Incomplete),
            (NotObserved, Unreachable, Some("seen"), Exit::Incomplete),
            (NotObserved, NotObserved, None, Exit::Incomplete),
        ];
        for (from, to, became, exit) in rows {
            let (changes, ended) = changes(one(from), one(to));
            assert_eq!(
                (changes, ended),
                (became_of_one(became), exit),
                "{from} then {to}"
            );
        }
    }

    /// The change of one cell, if there is one.
    fn became_of_one(became: Option<&str>) -> Vec<String> {
        let change = became.map(|became| format!("pod-other 10.0.0.1: {became}"));
        change.into_iter().collect()
    }

    #[test]
    fn a_client_address_that_is_lost_is_worse() {
        let one = |client| {
            let mut cell = cell(PodOther, ClusterIp, "10.0.0.1", Reachable);
            cell.client.value = client;
            vec![cell]
        };
        use ClientValue::{Kept, NotKnown, Replaced};
        for (from, to, became, exit) in [
            (Kept, Kept, None, Exit::AsExpected),
            (Kept, Replaced, Some("worse"), Exit::Differs),
            (Replaced, Kept, Some("better"), Exit::AsExpected),
            (Kept, NotKnown, None, Exit::AsExpected),
            (NotKnown, Replaced, None, Exit::AsExpected),
        ] {
            let (changes, ended) = changes(one(from), one(to));
            assert_eq!(
                (changes, ended),
                (became_of_one(became), exit),
                "{from} then {to}"
            );
        }
    }

    /// After an upgrade, nodes have other names and addresses, but the same roles.
    #[test]
    fn cells_match_by_role_if_addresses_changed() {
        let from = vec![
            cell(NodeSame, NodePort, "192.168.0.1", Reachable),
            cell(NodeSame, NodePort, "192.168.0.2", Unreachable),
        ];
        let to = vec![
            cell(NodeSame, NodePort, "192.168.0.2", Unreachable),
            cell(NodeSame, NodePort, "192.168.0.9", Unreachable),
            cell(NodeSame, NodePort, "192.168.0.8", Reachable),
        ];
        let (changes, exit) = changes(from, to);
        assert_eq!(
            changes,
            ["node-same 192.168.0.9: worse", "node-same 192.168.0.8: new"]
        );
        assert_eq!(exit, Exit::Differs);
    }

    #[test]
    fn cells_that_are_no_longer_checked_are_gone() {
        let port = |address, value| cell(NodeSame, NodePort, address, value);
        let same = || cell(NodeSame, ClusterIp, "10.0.0.1", Reachable);
        let rows = [
            (
                "reached",
                vec![port("192.168.0.1", Reachable)],
                vec![],
                Exit::Incomplete,
            ),
            (
                "not reached",
                vec![port("192.168.0.1", Unreachable)],
                vec![],
                Exit::AsExpected,
            ),
            (
                "one of two",
                vec![
                    port("192.168.0.1", Reachable),
                    port("192.168.0.2", Reachable),
                ],
                vec![port("192.168.0.2", Reachable)],
                Exit::AsExpected,
            ),
        ];
        for (name, mut from, mut to, exit) in rows {
            from.push(same());
            to.push(same());
            let (gone, ended) = changes(from, to);
            assert_eq!(gone, ["node-same 192.168.0.1: gone"], "{name}");
            assert_eq!(ended, exit, "{name}");
        }
        assert_eq!(changes(vec![same()], Vec::new()).1, Exit::Incomplete);
    }

    #[test]
    fn unobserved_cells_make_a_comparison_incomplete() {
        let unseen = || cell(NodeSame, NodePort, "192.168.0.1", NotObserved);
        let same = || cell(NodeSame, ClusterIp, "10.0.0.1", Reachable);
        let (changes, exit) = changes(vec![unseen(), same()], vec![unseen(), same()]);
        assert_eq!((changes, exit), (vec![], Exit::Incomplete));
    }
}
