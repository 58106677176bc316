//! Advisories about how traffic is spread over backends.

use super::advisory::{Findings, own};
use svc_reach_common::{
    observation::ObservedValue,
    report::{Advisory, Affinity, Severity, Share},
    target::TargetKind,
};

/// Backends that should get traffic and got none.
pub(super) fn without_traffic(known: Findings<'_>) -> Option<Advisory> {
    let distribution = known.distribution?;
    let silent = distribution.backends.iter();
    let silent: Vec<String> = silent
        .filter(|backend| backend.share == Share::Silent)
        .map(|backend| format!("{} (0 of {} attempts)", backend.pod, backend.attempts))
        .collect();
    (!silent.is_empty()).then(|| {
        let text = format!(
            "some backends are ready and got no traffic, and chance alone explains that with a probability below 1 %: {}",
            silent.join(", ")
        );
        own("backend-without-traffic", Severity::Warning, text)
    })
}

/// Whether session affinity is broken, or explains why some cells fail and others do not.
pub(super) fn affinity(known: Findings<'_>) -> Vec<Advisory> {
    let mut advisories = Vec::new();
    if known.facts.service.session_affinity_seconds.is_none() {
        return advisories;
    }
    let held = known
        .distribution
        .and_then(|distribution| distribution.affinity);
    if held == Some(Affinity::NotHeld) {
        let text = "sessionAffinity is ClientIP, but several backends answered the same probe";
        advisories.push(own("affinity-not-held", Severity::Warning, text.to_owned()));
    }
    let forwarded = |value: ObservedValue| {
        known.cells.iter().any(|cell| {
            let direct = matches!(
                cell.target.kind,
                TargetKind::PodIp | TargetKind::HealthCheckNodePort
            );
            !direct && cell.observed.value == value
        })
    };
    let ready = known.facts.endpoints.iter();
    let ready = ready.filter(|endpoint| endpoint.ready).count();
    if ready > 1 && forwarded(ObservedValue::Unreachable) && forwarded(ObservedValue::Reachable) {
        let mut dead: Vec<&str> = known
            .cells
            .iter()
            .filter(|cell| {
                cell.target.kind == TargetKind::PodIp
                    && cell.observed.value == ObservedValue::Unreachable
            })
            .map(|cell| cell.target.address.as_str())
            .collect();
        dead.sort_unstable();
        dead.dedup();
        let dead = if dead.is_empty() {
            String::new()
        } else {
            format!("; not reached directly: {}", dead.join(", "))
        };
        let text = format!(
            "sessionAffinity is ClientIP, so a probe meets the same one of {ready} backends with every attempt: if one of them is dead, a cell fails always or never{dead}"
        );
        advisories.push(own("affinity-hides-backends", Severity::Warning, text));
    }
    advisories
}
