//! Cells as a table: one row for each target, one column for each position.

use super::{groups::groups, wording};
use std::{collections::BTreeSet, net::IpAddr};
use svc_reach_common::{
    facts::Route,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    report::{Cell, Report},
    target::{NodeRole, Scope, Target, TargetKind},
    verdict::{Basis, ExpectedValue, Verdict},
};

/// How many names, ports or nodes a row lists. If there are more, it shows their number.
const SPELLED_OUT: usize = 3;

/// Cells as rows and columns.
pub struct Grid<'r> {
    /// Positions, each with its node.
    pub columns: Vec<(Position, Option<&'r str>)>,
    /// Targets, in the order of the report.
    pub rows: Vec<Row<'r>>,
}

/// One target, or several with the same result from every position.
pub struct Row<'r> {
    /// Its address, such as `node-port 192.168.0.10:30080`, or what the addresses have in common.
    pub address: String,
    /// Where it is, such as `on node-3 (backend)`.
    pub place: Option<String>,
    /// HTTP statuses that are neither a success nor a redirect, and the positions that got them.
    pub statuses: Option<String>,
    /// The cells of its first target, one for each column. `None`: this position does not request it.
    pub cells: Vec<Option<&'r Cell>>,
    /// Number of targets in the row.
    pub targets: usize,
}

/// What targets must have in common to share a row: kind, role, scope, and everything that a table shows of a cell.
#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    kind: TargetKind,
    role: Option<NodeRole>,
    scope: Option<Scope>,
    route: Option<Route>,
    cells: Vec<Option<CellLikeness>>,
}

type CellLikeness = (
    ObservedValue,
    Verdict,
    Option<(ExpectedValue, Basis)>,
    Vec<u16>,
);

impl<'r> Grid<'r> {
    /// One row for each target.
    pub fn of(report: &'r Report) -> Self {
        let columns = columns(report);
        let rows = targets(report, &columns)
            .into_iter()
            .map(|(target, cells)| Row {
                address: wording::address(report, &target),
                place: wording::place(&target),
                statuses: statuses(&cells),
                cells,
                targets: 1,
            })
            .collect();
        Self { columns, rows }
    }

    /// One row for all targets of a kind that differ only in address family, port or node. A target with a different
    /// mark or expectation gets its own row.
    pub fn grouped(report: &'r Report) -> Self {
        let columns = columns(report);
        let alike = groups(
            targets(report, &columns)
                .into_iter()
                .map(|(target, cells)| (likeness(&target, &cells), (target, cells))),
        );
        let rows = alike
            .into_iter()
            .filter_map(|(_, members)| {
                let (targets, mut cells): (Vec<Target>, Vec<_>) = members.into_iter().unzip();
                let (address, place) = match targets.as_slice() {
                    [target] => (wording::address(report, target), wording::place(target)),
                    targets => (common_address(report, targets), common_place(targets)),
                };
                Some(Row {
                    address,
                    place,
                    targets: targets.len(),
                    statuses: cells.first().and_then(|cells| statuses(cells)),
                    cells: (!cells.is_empty()).then(|| cells.swap_remove(0))?,
                })
            })
            .collect();
        Self { columns, rows }
    }
}

fn columns(report: &Report) -> Vec<(Position, Option<&str>)> {
    let mut columns: Vec<(Position, Option<&str>)> = Vec::new();
    for cell in &report.cells {
        if !columns.iter().any(|(known, _)| *known == cell.position) {
            columns.push((cell.position, cell.node.as_deref()));
        }
    }
    columns.sort();
    columns
}

/// Every target with its cells, one for each column.
fn targets<'r>(
    report: &'r Report,
    columns: &[(Position, Option<&str>)],
) -> Vec<(Target, Vec<Option<&'r Cell>>)> {
    groups(report.cells.iter().map(|cell| (from_anywhere(cell), cell)))
        .into_iter()
        .map(|(target, cells)| {
            let of_column = |position: Position| {
                let mut cells = cells.iter().copied();
                cells.find(|cell| cell.position == position)
            };
            let cells = columns.iter().map(|(position, _)| of_column(*position));
            (target, cells.collect())
        })
        .collect()
}

/// A target without its relation to the probe, because that differs between positions.
fn from_anywhere(cell: &Cell) -> Target {
    Target {
        relation: None,
        ..cell.target.clone()
    }
}

fn likeness(target: &Target, cells: &[Option<&Cell>]) -> Likeness {
    let of_cell = |cell: &Cell| {
        let expected = cell.expected.as_ref();
        let expected = expected.map(|expected| (expected.value, expected.basis));
        (
            cell.observed.value,
            cell.verdict,
            expected,
            cell.observed.error_statuses(),
        )
    };
    Likeness {
        kind: target.kind,
        role: target.node_role,
        scope: target.scope,
        route: target.route.clone(),
        cells: cells.iter().map(|cell| cell.map(of_cell)).collect(),
    }
}

/// The statuses that a table has to show, such as `HTTP 503 from external`. Positions are left out if all that got an
/// answer got the same.
fn statuses(cells: &[Option<&Cell>]) -> Option<String> {
    let answered = |cell: &&Cell| cell.observed.value != ObservedValue::NotObserved;
    let asked = cells.iter().flatten().copied().filter(answered);
    let by_status = groups(asked.map(|cell| (wording::statuses(cell), cell.position)));
    if let [(Some(status), _)] = by_status.as_slice() {
        return Some(status.clone());
    }
    let texts: Vec<String> = by_status
        .into_iter()
        .filter_map(|(status, positions)| {
            Some(format!("{} from {}", status?, wording::list(&positions)))
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What the addresses of several targets have in common: kind, ports and address families. Several ports are shown by
/// name if they have names. The wide format shows their numbers.
fn common_address(report: &Report, targets: &[Target]) -> String {
    let kind = targets.first().map_or("", |target| target.kind.as_str());
    let addresses = distinct(targets.iter().map(|target| target.address.clone()));
    let numbers = distinct(targets.iter().map(|target| target.port.to_string()));
    let names = distinct(targets.iter().filter_map(|target| target.port_name.clone()));
    let ports = if report.service.ports.len() > 1 && names.len() > 1 {
        spelled(&names, "ports")
    } else {
        spelled(&numbers, "ports")
    };
    let mut parts = match addresses.as_slice() {
        [address] => vec![format!("{kind} {address}"), ports],
        _ => vec![format!("{kind} {ports}")],
    };
    if targets
        .iter()
        .any(|target| target.protocol != Protocol::Tcp)
    {
        let protocols = distinct(targets.iter().map(|target| target.protocol.to_string()));
        parts.push(protocols.join("/"));
    }
    let families: BTreeSet<&str> = targets
        .iter()
        .filter_map(|target| target.address.parse().ok())
        .map(|address| match address {
            IpAddr::V4(_) => "IPv4",
            IpAddr::V6(_) => "IPv6",
        })
        .collect();
    if families.len() > 1 {
        parts.push("IPv4/IPv6".to_owned());
    }
    let on_nodes = targets.iter().any(|target| target.node.is_some());
    if !on_nodes && addresses.len() > families.len().max(1) {
        parts.push(format!("{} addresses", addresses.len()));
    }
    parts.join(", ")
}

/// The nodes of several targets, and their role.
fn common_place(targets: &[Target]) -> Option<String> {
    let nodes = distinct(targets.iter().filter_map(|target| target.node.clone()));
    if nodes.is_empty() {
        return None;
    }
    let role = targets.first().and_then(|target| target.node_role);
    let role = role.map_or_else(String::new, |role| format!(" ({role})"));
    Some(format!("on {}{role}", spelled(&nodes, "nodes")))
}

fn distinct(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

/// Lists a few words, and counts many.
fn spelled(words: &[String], what: &str) -> String {
    match words {
        [one] => one.clone(),
        [first @ .., last] if words.len() <= SPELLED_OUT => {
            format!("{} and {last}", first.join(", "))
        }
        _ => format!("{} {what}", words.len()),
    }
}
