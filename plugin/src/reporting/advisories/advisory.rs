//! What an advisory is made of: the findings it goes by, and its source.

use crate::survey::provider_hints::{ProviderHints, Sharing};

use svc_reach_common::{
    facts::Facts,
    matrix::Circumstances,
    proxy_mode::ProxyMode,
    report::{Advisory, Cell, Environment, Severity},
    terms::Terms,
    wire::line::HostFact,
};

/// Everything that rules go by.
#[derive(Clone, Copy)]
pub struct Findings<'a> {
    /// The Service, its endpoints and nodes.
    pub facts: &'a Facts,
    /// The cluster.
    pub environment: &'a Environment,
    /// The load balancer.
    pub circumstances: &'a Circumstances,
    /// What other objects tell.
    pub hints: &'a ProviderHints,
    /// What was seen.
    pub cells: &'a [Cell],
    /// What was required.
    pub terms: &'a Terms,
    /// The API server's time before the probes were made, RFC 3339, where it is known.
    pub at: Option<&'a str>,
}

/// One that comes from this run.
pub(super) fn own(id: &str, severity: Severity, text: String) -> Advisory {
    Advisory {
        id: id.to_owned(),
        severity,
        text,
        source: None,
    }
}

/// One that a document asks for.
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
