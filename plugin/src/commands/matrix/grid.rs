//! Tables of cells.

use svc_reach_common::{
    matrix::{Class, Conditions, DocumentedCell, Forwarder, ServiceKind, Spot},
    verdict::{Basis, Reachability},
};
use tabled::{builder::Builder, settings::Style};

/// How tables are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// With box lines.
    Terminal,
    /// In Markdown.
    Markdown,
}

/// Draws a table.
pub fn draw(header: Vec<String>, rows: Vec<Vec<String>>, look: Look) -> String {
    let mut builder = Builder::default();
    builder.push_record(header);
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    match look {
        Look::Terminal => table.with(Style::sharp()),
        Look::Markdown => table.with(Style::markdown()),
    };
    table.to_string()
}

/// A heading.
pub fn heading(text: &str, look: Look) -> String {
    match look {
        Look::Terminal => text.to_owned(),
        Look::Markdown => format!("## {text}"),
    }
}

/// The mark of a value, in parentheses if it is implied.
pub fn mark(cell: &DocumentedCell) -> String {
    let mark = match cell.value {
        Reachability::Reachable => '✓',
        Reachability::Unreachable => '✗',
    };
    match cell.basis {
        Basis::Stated | Basis::Predicted | Basis::Required | Basis::Policy => mark.to_string(),
        Basis::Implied => format!("({mark})"),
    }
}

/// The kind of Service and, if the document says it, the class of its load balancer.
pub fn service(conditions: &Conditions) -> String {
    let service = match (conditions.service, conditions.target) {
        (Some(service), _) => service.as_str(),
        (None, Spot::NodePortBackend | Spot::NodePortOther | Spot::NodePortOwn) => {
            ServiceKind::NodePort.as_str()
        }
        (None, _) => "any",
    };
    match conditions.class {
        Some(class @ (Class::Shared | Class::Dedicated)) => format!("{service}, {class}"),
        None => service.to_owned(),
    }
}

/// The conditions that all rows of a section share.
pub fn section(conditions: &Conditions) -> String {
    let mut words = Vec::new();
    words.extend(
        conditions
            .external_traffic_policy
            .map(|policy| format!("externalTrafficPolicy {policy}")),
    );
    words.extend(
        conditions
            .internal_traffic_policy
            .map(|policy| format!("internalTrafficPolicy {policy}")),
    );
    words.extend(conditions.pass_through.map(|on| {
        let word = if on { "with" } else { "without" };
        format!("{word} pass-through")
    }));
    words.extend(
        conditions
            .flavour
            .map(|flavour| format!("{flavour} clusters")),
    );
    words.extend(
        conditions
            .relation
            .map(|relation| format!("{relation} node")),
    );
    words.extend(conditions.forwarder.map(|forwarder| match forwarder {
        Forwarder::KubeProxy => "with kube-proxy".to_owned(),
        Forwarder::Replacement => "without kube-proxy".to_owned(),
    }));
    words.extend(conditions.host_network.map(|on| {
        let word = if on { "host" } else { "pod" };
        format!("backends on the {word} network")
    }));
    if words.is_empty() {
        "any policy".to_owned()
    } else {
        words.join(", ")
    }
}
