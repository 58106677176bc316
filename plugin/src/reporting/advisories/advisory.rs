//! What advisories are made from: findings and a source.

use crate::survey::provider_hints::{ProviderHints, Sharing};

use svc_reach_common::{
    facts::Facts,
    matrix::Circumstances,
    proxy_mode::ProxyMode,
    report::{Advisory, Cell, Distribution, Environment, Severity},
    terms::Terms,
    wire::line::HostFact,
};

/// Everything that the rules use.
#[derive(Clone, Copy)]
pub struct Findings<'a> {
    /// The Service, its endpoints and nodes.
    pub facts: &'a Facts,
    /// The cluster.
    pub environment: &'a Environment,
    /// What documented expectations depend on.
    pub circumstances: &'a Circumstances,
    /// What other objects say.
    pub hints: &'a ProviderHints,
    /// What was observed.
    pub cells: &'a [Cell],
    /// Which backends answered how often.
    pub distribution: Option<&'a Distribution>,
    /// What is required, and what fails a run.
    pub terms: &'a Terms,
    /// The API server's time before the probes were created, RFC 3339, if it is known.
    pub at: Option<&'a str>,
    /// Whether the user may not list nodes.
    pub nodes_unlisted: bool,
}

/// An advisory that comes from this run.
pub(super) fn own(id: &str, severity: Severity, text: String) -> Advisory {
    Advisory {
        id: id.to_owned(),
        severity,
        text,
        source: None,
    }
}

/// An advisory that comes from a document.
pub(super) fn documented(id: &str, severity: Severity, text: String, source: &str) -> Advisory {
    Advisory {
        source: Some(source.to_owned()),
        ..own(id, severity, text)
    }
}

pub(super) fn warning(id: &str, text: String, source: &str) -> Advisory {
    documented(id, Severity::Warning, text, source)
}

pub(super) fn ipvs(known: Findings<'_>) -> bool {
    known.environment.proxy_mode == Some(ProxyMode::Ipvs)
}

pub(super) fn sharing<'a>(known: Findings<'a>) -> Option<&'a Sharing> {
    match &known.hints.sharing {
        Some(HostFact::Seen(sharing)) => Some(sharing),
        Some(HostFact::Unknown(_)) | None => None,
    }
}

pub(super) fn annotation<'a>(known: Findings<'a>, key: &str) -> Option<&'a str> {
    known.facts.service.annotations.get(key).map(String::as_str)
}
