//! Huawei Cloud's Elastic Load Balance, as a Service's annotations describe it.

use crate::facts::{Service, TrafficPolicy};

/// Class of the load balancer: `union` (shared) or `performance` (dedicated), or `dnat` for a DNAT gateway (Huawei
/// Cloud CCE, User Guide, "LoadBalancer", key parameters). The open-source provider writes `shared` and `dedicated`
/// (huaweicloud/cloud-provider-huaweicloud, `docs`).
pub const CLASS: &str = "kubernetes.io/elb.class";
/// The class of a load balancer without that annotation (same source: "Default value: union").
pub const DEFAULT_CLASS: &str = "union";
/// ID of the load balancer (same source).
pub const ID: &str = "kubernetes.io/elb.id";
/// Whether requests from inside the cluster go to the load balancer itself (same source).
pub const PASS_THROUGH: &str = "kubernetes.io/elb.pass-through";

/// What is in front of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElbClass {
    /// A load balancer that many customers share.
    Shared,
    /// A load balancer of one customer.
    Dedicated,
    /// A DNAT gateway, which is not a load balancer.
    DnatGateway,
}

/// The class that a Service's annotation names; `None` if the annotation is absent or has another value.
#[must_use]
pub fn class(service: &Service) -> Option<ElbClass> {
    match annotation(service, CLASS)? {
        "union" | "shared" => Some(ElbClass::Shared),
        "performance" | "dedicated" => Some(ElbClass::Dedicated),
        "dnat" => Some(ElbClass::DnatGateway),
        _ => None,
    }
}

/// Whether requests from inside the cluster go to the load balancer itself (Huawei Cloud CCE's "pass-through").
///
/// - `true` turns pass-through on, and `false` turns it off.
/// - `onlyLocal` turns it on if the external traffic policy is Local.
/// - Without the annotation it is off, except for a load balancer of CCE under policy Local. The documents say that
///   newer versions pass such requests through by default, but they name no version. So both values are possible.
///
/// Source: Huawei Cloud CCE, User Guide, "pass-through networking".
///
/// Returns the possible values, or `None` if the Service has no annotation of CCE.
#[must_use]
pub fn pass_through(service: &Service) -> Option<&'static [bool]> {
    let local = service.external_traffic_policy == TrafficPolicy::Local;
    match (
        annotation(service, PASS_THROUGH),
        annotation(service, CLASS),
    ) {
        (Some("true"), _) => Some(&[true]),
        (Some("onlyLocal"), _) if local => Some(&[true]),
        (Some("onlyLocal" | "false"), _) => Some(&[false]),
        (Some(_), _) => Some(&[false, true]),
        (None, Some(_)) if local => Some(&[false, true]),
        (None, Some(_)) => Some(&[false]),
        (None, None) => None,
    }
}

fn annotation<'s>(service: &'s Service, key: &str) -> Option<&'s str> {
    service.annotations.get(key).map(String::as_str)
}
