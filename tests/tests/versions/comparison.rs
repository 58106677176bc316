//! Compares the cells of a run with what the forwarding model predicts, and counts them.

use crate::{
    families,
    services::{BROKEN, Case},
};
use std::{collections::BTreeMap, fmt, net::IpAddr};
use svc_reach_common::{
    observation::ObservedValue,
    position::{Network, Position},
    protocol::Protocol,
    report::{Cell, Prediction},
    target::{Target, TargetKind},
    verdict::{Reachability, Verdict},
    wire::outcome::Outcome,
};
use svc_reach_tests::run::Run;

/// What the comparison of a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// The observation is as predicted.
    Agreed,
    /// Chance decides, and the observation is possible.
    ByChance,
    /// The model does not know.
    Unknown,
    /// No position ever got an answer to a datagram, as predicted. So the server may not answer this payload.
    NotObserved,
    /// The observation is not as predicted.
    Differing,
}

/// A cell, or a position without cells, and how it compares.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which cell it is.
    pub cell: (String, Position, Option<Target>),
    agreement: Agreement,
    text: String,
}

impl Found {
    /// Whether the observation is not as predicted.
    pub fn differs(&self) -> bool {
        self.agreement == Agreement::Differing
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, position, target) = &self.cell;
        write!(f, "{service}, {position}")?;
        if let Some(target) = target {
            let port = target.port_name.as_deref().unwrap_or_default();
            let node = target.node.as_deref().unwrap_or_default();
            write!(f, " to {} {} {port} {node}", target.kind, target.address)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Every cell of a run of a Service, and every position that is absent but should not be, or the other way around.
pub fn of(run: &Run, case: &Case) -> Vec<Found> {
    let service = &run.report.service.name;
    let cells = run.report.cells.iter().map(|cell| {
        let (agreement, text) = compare(cell);
        Found {
            cell: (service.clone(), cell.position, Some(cell.target.clone())),
            agreement,
            text,
        }
    });
    let absent = Position::ALL.iter().filter_map(|&position| {
        let absent = &run.report.absent_positions;
        let reported = absent.iter().find(|absent| absent.position == position);
        let reported = reported.map(|absent| absent.reason.as_str());
        let expected = case.absence(position);
        (reported != expected).then(|| Found {
            cell: (service.clone(), position, None),
            agreement: Agreement::Differing,
            text: format!("absent: {reported:?}, expected {expected:?}"),
        })
    });
    cells.chain(absent).collect()
}

fn compare(cell: &Cell) -> (Agreement, String) {
    let observed = &cell.observed;
    if observed.value == ObservedValue::NotObserved {
        let agreement = if is_silence(cell) {
            Agreement::NotObserved
        } else {
            Agreement::Differing
        };
        return (agreement, format!("not observed: {}", observed.reason));
    }
    let Some(predicted) = &cell.predicted else {
        return (Agreement::Unknown, "not predicted".to_owned());
    };
    let text = format!(
        "predicted {}, observed {}",
        predicted.outcome, observed.reason
    );
    let expected = match predicted.reachable {
        // The backend receives the packet, and refuses it.
        Some(Reachability::Reachable) if cell.target.port_name.as_deref() == Some(BROKEN) => {
            ObservedValue::Unreachable
        }
        Some(Reachability::Reachable) => ObservedValue::Reachable,
        Some(Reachability::Unreachable) => ObservedValue::Unreachable,
        None => {
            let judged = predicted.chance.map(|_| cell.verdict);
            let agreement = match judged {
                None => Agreement::Unknown,
                Some(Verdict::NotObserved) => Agreement::NotObserved,
                Some(Verdict::Worse | Verdict::Better | Verdict::Unstable) => Agreement::Differing,
                Some(Verdict::AsExpected | Verdict::Disputed | Verdict::Undocumented) => {
                    Agreement::ByChance
                }
            };
            return (agreement, text);
        }
    };
    if observed.value != expected {
        return (Agreement::Differing, text);
    }
    if let Some(seen) = address_differs(cell, predicted) {
        let (masquerade, kept) = (predicted.masquerade, predicted.client_kept);
        return (
            Agreement::Differing,
            format!(
                "predicted masquerade {masquerade:?}, client address kept {kept:?}; the backend saw {seen}"
            ),
        );
    }
    (Agreement::Agreed, text)
}

/// Whether no position ever got an answer to a datagram, and none should here.
fn is_silence(cell: &Cell) -> bool {
    let predicted = cell.predicted.as_ref();
    cell.target.protocol == Protocol::Udp
        && cell
            .observed
            .reason
            .starts_with("no answer to the datagram")
        && predicted.and_then(|predicted| predicted.reachable) != Some(Reachability::Reachable)
}

/// The client address that the backend saw, if it is not as predicted.
fn address_differs(cell: &Cell, predicted: &Prediction) -> Option<IpAddr> {
    // A load balancer may replace the address, whatever kube-proxy does.
    let kept = match (cell.target.kind, predicted.client_kept) {
        (TargetKind::LoadBalancer, kept) => kept?,
        (_, Some(kept)) => kept,
        (_, None) => !predicted.masquerade?,
    };
    // Masquerading may choose any address of the client's node.
    if cell.position.network() == Network::Host && predicted.masquerade != Some(false) {
        return None;
    }
    cell.observed.attempts.iter().find_map(|attempt| {
        let Outcome::Answered {
            echo: Some(echo), ..
        } = &attempt.outcome
        else {
            return None;
        };
        let (seen, own) = (echo.client?, attempt.local?.ip());
        ((seen == own) != kept).then_some(seen)
    })
}

/// Numbers of cells by family of the target and by agreement.
#[derive(Debug, Default)]
pub struct Table {
    numbers: BTreeMap<(&'static str, Agreement), usize>,
    unknown: BTreeMap<String, usize>,
}

impl Table {
    /// Head of a table of [`Self::rows`].
    pub const HEAD: &str = "| kube-proxy | target | cells | agreed | by chance | unknown | not observed | differing |\n\
                            | --- | --- | --- | --- | --- | --- | --- | --- |";

    /// Counts cells.
    pub fn add(&mut self, found: &[Found]) {
        for found in found {
            let (_, position, target) = &found.cell;
            let address = target
                .as_ref()
                .and_then(|target| target.address.parse().ok());
            let family = address.map_or("name", families::name);
            *self.numbers.entry((family, found.agreement)).or_default() += 1;
            if found.agreement == Agreement::Unknown {
                let kind = target.as_ref().map(|target| target.kind.to_string());
                let kind = kind.unwrap_or_default();
                let reason = format!("{position} to {kind}, {}", found.text);
                *self.unknown.entry(reason).or_default() += 1;
            }
        }
    }

    /// Whether most cells were observed and agreed. Otherwise the run says little, even if no cell differs.
    pub fn is_conclusive(&self) -> bool {
        let agreed = |((_, agreement), number): (&(&str, Agreement), &usize)| {
            (*agreement == Agreement::Agreed).then_some(*number)
        };
        let agreed: usize = self.numbers.iter().filter_map(agreed).sum();
        agreed * 2 > self.numbers.values().sum()
    }

    /// Why the model does not know, with numbers of cells.
    pub fn unknown(&self) -> impl Iterator<Item = String> {
        let line = |(reason, number): (&String, &usize)| format!("unknown: {number} {reason}");
        self.unknown.iter().map(line)
    }

    /// A row for each family that has cells.
    pub fn rows(&self, name: &str) -> Vec<String> {
        let row = |family: &str| {
            let number = |agreement| {
                let number = |((of, is), number): (&(&str, Agreement), &usize)| {
                    (*of == family && *is == agreement).then_some(*number)
                };
                self.numbers.iter().filter_map(number).sum::<usize>()
            };
            let numbers = [
                Agreement::Agreed,
                Agreement::ByChance,
                Agreement::Unknown,
                Agreement::NotObserved,
                Agreement::Differing,
            ]
            .map(number);
            let cells: usize = numbers.iter().sum();
            let numbers = numbers.map(|number| number.to_string()).join(" | ");
            (cells > 0).then(|| format!("| {name} | {family} | {cells} | {numbers} |"))
        };
        ["IPv4", "IPv6", "name"]
            .map(row)
            .into_iter()
            .flatten()
            .collect()
    }
}
