//! Wording that the formats share. It contains text from elsewhere, so each format has to escape it.

use super::groups::groups;
use std::collections::HashMap;
use svc_reach_common::{
    client::{Client, ClientValue, ClientVerdict, SourceAddress},
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    report::{Affinity, BackendAnswers, Cell, Observed, Report, Severity, Share},
    target::{Relation, Target},
    verdict::{Basis, ExpectedValue, Verdict},
};

/// The cells with a verdict.
pub fn of(report: &Report, verdict: Verdict) -> impl Iterator<Item = &Cell> {
    report
        .cells
        .iter()
        .filter(move |cell| cell.verdict == verdict)
}

/// The targets of these cells, each with its positions, and the number of cells.
pub fn places(report: &Report, cells: &[&Cell]) -> Vec<(String, usize)> {
    let mut asked: HashMap<String, usize> = HashMap::new();
    for cell in &report.cells {
        *asked.entry(address(report, &cell.target)).or_default() += 1;
    }
    groups(
        cells
            .iter()
            .map(|cell| (address(report, &cell.target), cell.position)),
    )
    .into_iter()
    .map(|(target, positions)| {
        let asked = asked.get(&target).copied().unwrap_or_default();
        let from = if positions.len() == asked && asked > 1 {
            "everywhere".to_owned()
        } else {
            list(&positions)
        };
        (format!("{target} from {from}"), positions.len())
    })
    .collect()
}

/// Positions as a list in a sentence.
pub fn list(positions: &[Position]) -> String {
    let words: Vec<&str> = positions.iter().map(|position| position.as_str()).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
    }
}

/// A target's kind, address and port.
pub fn address(report: &Report, target: &Target) -> String {
    let mut text = if target.address.contains(':') {
        format!("{} [{}]:{}", target.kind, target.address, target.port)
    } else {
        format!("{} {}:{}", target.kind, target.address, target.port)
    };
    if target.protocol != Protocol::Tcp {
        text += &format!("/{}", target.protocol);
    }
    if let Some(route) = &target.route {
        let host = route.host.as_deref().unwrap_or("*");
        text += &format!(" ({}: {host}{})", route.ingress, route.path);
    }
    // Two ports of a Service can lead to the same port of a pod.
    if let Some(name) = &target.port_name
        && report.service.ports.len() > 1
    {
        text += &format!(" ({name})");
    }
    text
}

/// The node that the target is on, and its role.
pub fn place(target: &Target) -> Option<String> {
    let node = target.node.as_ref()?;
    Some(match target.node_role {
        Some(role) => format!("on {node} ({role})"),
        None => format!("on {node}"),
    })
}

/// A target in one line, as a probe sees it.
pub fn target(report: &Report, target: &Target) -> String {
    let mut text = address(report, target);
    if let Some(place) = place(target) {
        text += &format!(" {place}");
    }
    if target.relation == Some(Relation::Own) {
        text += ", its own node";
    }
    text
}

/// A position and its node.
pub fn stand(position: Position, node: Option<&str>) -> String {
    match node {
        Some(node) => format!("{position} ({node})"),
        None => position.to_string(),
    }
}

/// What a cell is compared with, in words.
pub const fn expectation(value: ExpectedValue) -> &'static str {
    match value {
        ExpectedValue::Reachable => "reachable",
        ExpectedValue::Unreachable => "unreachable",
        ExpectedValue::ByChance => "reachable by chance",
    }
}

/// What backends saw as the client's address, and what they should see.
pub fn client_seen(client: &Client) -> String {
    let by = match client.expected.as_ref().map(|expected| expected.basis) {
        Some(Basis::Predicted) => "the model expects that backends see",
        Some(Basis::Stated | Basis::Implied | Basis::Required | Basis::Policy) | None => {
            "expected that backends see"
        }
    };
    let expected = match client.expected.as_ref().map(|expected| expected.value) {
        Some(SourceAddress::Kept) => format!("{by} the client's address, "),
        Some(SourceAddress::Replaced) => format!("{by} another address than the client's, "),
        None => String::new(),
    };
    let address = client
        .address
        .map_or_else(String::new, |address| format!(" {address}"));
    let seen = match client.value {
        ClientValue::Kept => format!("they saw the client's address{address}"),
        ClientValue::Replaced => match &client.replaced_by {
            Some(by) => format!("they saw{address} of {by}"),
            None if address.is_empty() => "they saw other addresses".to_owned(),
            None => format!("they saw{address}"),
        },
        ClientValue::NotKnown => client.reason.clone().unwrap_or_default(),
    };
    let source = client
        .expected
        .as_ref()
        .and_then(|expected| expected.source.as_ref())
        .map_or_else(String::new, |source| format!("; according to {source}"));
    expected + &seen + &source
}

/// What was expected and what was observed.
pub fn difference(cell: &Cell) -> String {
    let mut text = String::new();
    if let Some(expected) = &cell.expected {
        let by = match expected.basis {
            Basis::Stated | Basis::Implied => "expected",
            Basis::Predicted => "the model expects",
            Basis::Required => "required to be",
            Basis::Policy => "NetworkPolicies make it",
        };
        text += &format!("{by} {}, ", expectation(expected.value));
    }
    let Observed { value, reason, .. } = &cell.observed;
    if *value == ObservedValue::NotObserved {
        return text + "could not be observed: " + reason;
    }
    text += &format!("was {value} ({reason})");
    if cell.client.verdict == ClientVerdict::Worse {
        text += &format!("; {}", client_seen(&cell.client));
    }
    text
}

/// Why this was expected: the matrix, the column and the evidence.
pub fn evidence(report: &Report) -> Vec<String> {
    let environment = &report.environment;
    let column = environment.column.iter().map(|column| {
        format!("column {column} (network model and proxy mode), from the facts below")
    });
    let evidence = environment
        .evidence
        .iter()
        .map(|evidence| format!("{} {}: {}", evidence.fact, evidence.value, evidence.source));
    let matrix = report.matrix.as_ref().map(|matrix| {
        let edition = matrix.alias.as_ref().unwrap_or(&matrix.edition);
        format!("matrix {}@{edition}: {}", matrix.id, matrix.source)
    });
    matrix.into_iter().chain(column).chain(evidence).collect()
}

/// Positions that do not exist, one line for each reason.
pub fn absent(report: &Report) -> Vec<String> {
    let absent = report.absent_positions.iter();
    groups(absent.map(|absent| (&absent.reason, absent.position)))
        .into_iter()
        .map(|(reason, positions)| {
            let verb = if positions.len() == 1 { "does" } else { "do" };
            format!("{} {verb} not exist here: {reason}", list(&positions))
        })
        .collect()
}

/// The notes of a report. `all`: notes of every severity, not only warnings. What the answer does not cover is always
/// mentioned.
pub fn notes(report: &Report, all: bool) -> Vec<String> {
    let advisories = report
        .advisories
        .iter()
        .filter(|advisory| {
            all || advisory.severity == Severity::Warning || advisory.limits_the_answer()
        })
        .map(|advisory| {
            let mut text = match advisory.severity {
                Severity::Warning => format!("warning: {}", advisory.text),
                Severity::Info => advisory.text.clone(),
            };
            if let Some(source) = &advisory.source {
                text += &format!(" ({source})");
            }
            text
        });
    absent(report).into_iter().chain(advisories).collect()
}

/// The HTTP statuses of a cell, if any is neither a success nor a redirect.
pub fn statuses(cell: &Cell) -> Option<String> {
    let statuses: Vec<String> = cell
        .observed
        .error_statuses()
        .iter()
        .map(u16::to_string)
        .collect();
    (!statuses.is_empty()).then(|| format!("HTTP {}", statuses.join(", ")))
}

/// How often each backend answered, and whether clients stayed with one backend.
pub fn backends(report: &Report) -> Vec<String> {
    let Some(distribution) = &report.distribution else {
        return Vec::new();
    };
    let of_backend = |backend: &BackendAnswers| {
        let BackendAnswers { pod, answers, .. } = backend;
        let node = backend
            .node
            .as_ref()
            .map_or_else(String::new, |node| format!(" on {node}"));
        let times = if *answers == 1 { "answer" } else { "answers" };
        match backend.share {
            Share::Answered => format!("{pod}{node}: {answers} {times}"),
            Share::Silent => format!(
                "{pod}{node}: no answer in {} attempts that it shares with others",
                backend.attempts
            ),
            Share::NotKnown => format!(
                "{pod}{node}: no answer; that may be chance ({} of {} attempts that a conclusion needs)",
                backend.attempts, backend.attempts_needed
            ),
        }
    };
    let affinity = distribution.affinity.map(|affinity| {
        let text = match affinity {
            Affinity::Held => "held: each probe got all its answers from one backend",
            Affinity::NotHeld => "not held: several backends answered one probe",
            Affinity::NotKnown => "not known",
        };
        format!("sessionAffinity ClientIP: {text}")
    });
    let backends = distribution.backends.iter().map(of_backend);
    backends.chain(affinity).collect()
}

/// A cell in one line.
pub fn cell(report: &Report, cell: &Cell) -> String {
    let from = stand(cell.position, cell.node.as_deref());
    format!("{from} to {}", target(report, &cell.target))
}

/// Details of a cell: the hint, the source of the expectation, the prediction, and the number of attempts.
pub fn details(cell: &Cell) -> impl Iterator<Item = String> {
    let expected = cell.expected.as_ref();
    let source = expected.and_then(|expected| {
        let source = expected.source.as_ref()?;
        Some(match expected.basis {
            Basis::Required => format!("required by {source}"),
            Basis::Policy => format!("{}, because {source}", expected.value),
            Basis::Stated | Basis::Implied | Basis::Predicted => {
                format!("{}, according to {source}", expectation(expected.value))
            }
        })
    });
    let model = cell.predicted.as_ref().map(|predicted| {
        let why: Vec<&str> = predicted.why.iter().map(|why| why.rule.as_str()).collect();
        let because = if why.is_empty() { "" } else { ", because " };
        format!(
            "the model predicts: {}{because}{}",
            predicted.outcome,
            why.join("; ")
        )
    });
    let attempts = cell.observed.ok.zip(cell.observed.of);
    let attempts = attempts.map(|(ok, of)| format!("{ok} of {of} attempts were answered"));
    cell.hint
        .clone()
        .into_iter()
        .chain(source)
        .chain(model)
        .chain(attempts)
}
