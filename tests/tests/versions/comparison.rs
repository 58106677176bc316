//! Compares the cells of a run with what the forwarding model predicts, and counts them.

use crate::services::BROKEN;
use std::{collections::BTreeMap, fmt, net::IpAddr};
use svc_reach_common::{
    observation::ObservedValue,
    position::{Network, Position},
    report::{Cell, Prediction},
    target::Target,
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
    /// No probe could look.
    NotObserved,
    /// The observation is not as predicted.
    Differing,
}

/// A cell and how it compares.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which cell it is.
    pub cell: (String, Position, Target),
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
        let port = target.port_name.as_deref().unwrap_or_default();
        let node = target.node.as_deref().unwrap_or_default();
        let (kind, address) = (target.kind, &target.address);
        write!(
            f,
            "{service} {port}, {position} to {kind} {address} {node}: {}",
            self.text
        )
    }
}

/// Every cell of a run.
pub fn of(run: &Run) -> Vec<Found> {
    let service = &run.report.service.name;
    let found = |cell: &Cell| {
        let (agreement, text) = compare(cell);
        let cell = (service.clone(), cell.position, cell.target.clone());
        Found {
            cell,
            agreement,
            text,
        }
    };
    run.report.cells.iter().map(found).collect()
}

fn compare(cell: &Cell) -> (Agreement, String) {
    let observed = &cell.observed;
    if observed.value == ObservedValue::NotObserved {
        return (Agreement::NotObserved, observed.reason.clone());
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
        let masquerade = predicted.masquerade;
        return (
            Agreement::Differing,
            format!("predicted masquerade {masquerade:?}, the backend saw {seen}"),
        );
    }
    (Agreement::Agreed, text)
}

/// The client address that the backend saw, if it is not as predicted. On a node, masquerading can leave the address as
/// it is.
fn address_differs(cell: &Cell, predicted: &Prediction) -> Option<IpAddr> {
    let masquerade = predicted.masquerade?;
    if masquerade && cell.position.network() == Network::Host {
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
        ((seen != own) != masquerade).then_some(seen)
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
            let family = match found.cell.2.address.parse() {
                Ok(IpAddr::V4(_)) => "IPv4",
                Ok(IpAddr::V6(_)) => "IPv6",
                Err(_) => "DNS name",
            };
            *self.numbers.entry((family, found.agreement)).or_default() += 1;
            if found.agreement == Agreement::Unknown {
                let (_, position, target) = &found.cell;
                let reason = format!("{position} to {}, {}", target.kind, found.text);
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

    /// A row for each family.
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
            format!("| {name} | {family} | {cells} | {numbers} |")
        };
        ["IPv4", "IPv6", "DNS name"].map(row).into()
    }
}
