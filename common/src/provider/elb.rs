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

/// Ports with another protocol than the Service's, as in `https:443` (same source).
pub const PROTOCOL_PORT: &str = "kubernetes.io/elb.protocol-port";
/// The certificate for HTTPS (same source).
pub const CERT_ID: &str = "kubernetes.io/elb.cert-id";
/// How the load balancer keeps a client with one backend (same source).
pub const STICKINESS: &str = "kubernetes.io/elb.session-affinity-mode";
/// Options of [`STICKINESS`] (same source).
pub const STICKINESS_OPTION: &str = "kubernetes.io/elb.session-affinity-option";
/// Options of the load balancer's health check (same source).
pub const HEALTH_OPTION: &str = "kubernetes.io/elb.health-check-option";
/// How the load balancer chooses a backend (same source).
pub const ALGORITHM: &str = "kubernetes.io/elb.lb-algorithm";
/// Whether an access control list limits the clients: `on` or `off` (Huawei Cloud CCE, User Guide, "Configuring a
/// blocklist/trustlist access policy for a LoadBalancer Service").
pub const ACL_STATUS: &str = "kubernetes.io/elb.acl-status";

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
///
/// With `loadBalancerClass`, another controller serves the Service, so the annotations mean nothing
/// (kubernetes/cloud-provider `controllers/service/controller.go`, `wantsLoadBalancer`).
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

/// Whether an access control list of the load balancer limits its clients. The list itself is not in the cluster.
#[must_use]
pub fn limits_clients(service: &Service) -> bool {
    annotation(service, ACL_STATUS) == Some("on")
}

fn annotation<'s>(service: &'s Service, key: &str) -> Option<&'s str> {
    if service.load_balancer_class.is_some() {
        return None;
    }
    service.annotations.get(key).map(String::as_str)
}
