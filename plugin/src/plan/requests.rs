//! Decides how each target is requested, and makes the plan of a probe. Pure.

use crate::config::{ProtocolChoice, RequestSettings};
use std::{num::NonZeroU16, time::Duration};
use svc_reach_common::{
    facts::{Facts, ServicePort},
    position::Network,
    protocol::Protocol,
    target::{Target, TargetKind},
    wire::plan::{self, Plan, Request, RequestKind, Tls, View},
};

/// How many attempts an agent makes at once: enough that all attempts of an ordinary Service time out together, and few
/// enough for its memory (12 MiB at most, measured with 10,000 targets).
const CONCURRENCY: NonZeroU16 = NonZeroU16::new(256).unwrap();

/// File descriptors that an agent has at least: the default limit of Linux (linux `include/uapi/linux/fs.h`,
/// `INR_OPEN_CUR`).
const DESCRIPTORS: usize = 1024;

/// Attempts on each target for each backend, unless the user sets a number. With three, a backend that does not answer
/// is noticed with a probability of 95 % (1 - 1/e³) if connections are spread evenly.
const ATTEMPTS_PER_BACKEND: usize = 3;

/// Limits of the attempts on each target.
const MIN_ATTEMPTS: usize = 3;
const MAX_ATTEMPTS: usize = 15;

/// Path of kube-proxy's health check server. The server answers the same on every path, but load balancers request this
/// one (kubernetes/kubernetes v1.37.2 `pkg/proxy/healthcheck/service_health.go`).
const HEALTH_CHECK_PATH: &str = "/healthz";

/// A plan without targets. Everything in it is the same for every Service of a run.
pub fn blank(settings: &RequestSettings, network: Network) -> Plan {
    Plan {
        version: plan::VERSION,
        attempts: NonZeroU16::MIN,
        concurrency: CONCURRENCY,
        connect_timeout_ms: settings.timeout_ms,
        attempt_timeout_ms: settings.timeout_ms,
        view: match network {
            Network::Host => View::Host,
            Network::Pod | Network::External => View::None,
        },
        targets: Vec::new(),
    }
}

/// The requests for a Service's targets, except those whose protocol no probe knows. The id of a target is its index in
/// `targets`.
pub fn requests(facts: &Facts, settings: &RequestSettings, targets: &[Target]) -> Vec<Request> {
    let attempts = attempts(facts, settings);
    (0..)
        .zip(targets)
        .filter_map(|(id, target)| {
            Some(Request {
                id,
                host: target.address.clone(),
                port: target.port,
                probe: probe(facts, settings, target)?,
                attempts: Some(attempts),
            })
        })
        .collect()
}

/// Requests for several Services, each with an id of its own.
#[derive(Debug, Default)]
pub struct Requests {
    requests: Vec<Request>,
    ids: u32,
}

impl Requests {
    /// Adds the requests of a Service with this number of targets. Returns the id of its first target.
    pub fn add(&mut self, requests: Vec<Request>, targets: usize) -> u32 {
        let first = self.ids;
        self.requests
            .extend(requests.into_iter().map(|request| Request {
                id: first + request.id,
                ..request
            }));
        self.ids += u32::try_from(targets).unwrap_or(u32::MAX);
        first
    }

    /// The plan of a probe that makes these requests. The number of attempts that the first request has is stored once,
    /// for the whole plan.
    pub fn plan(mut self, blank: Plan) -> Plan {
        let usual = self.requests.first().and_then(|request| request.attempts);
        for request in &mut self.requests {
            request.attempts = request.attempts.filter(|attempts| Some(*attempts) != usual);
        }
        Plan {
            attempts: usual.unwrap_or(blank.attempts),
            targets: self.requests,
            ..blank
        }
    }
}

/// How long an agent may take for its plan: the longest attempt, times the number of rounds that its attempts need, and
/// the time that pacing adds.
pub fn duration(plan: &Plan) -> Duration {
    let rounds = u32::try_from(rounds(plan)).unwrap_or(u32::MAX);
    plan.longest_attempt() * rounds + svc_reach_probe::pacing(plan)
}

/// How many rounds of concurrent attempts the plan needs.
pub fn rounds(plan: &Plan) -> usize {
    let attempts: usize = plan
        .targets
        .iter()
        .map(|target| plan.attempts_on(target))
        .sum();
    attempts.div_ceil(svc_reach_probe::at_once(plan, DESCRIPTORS))
}

fn attempts(facts: &Facts, settings: &RequestSettings) -> NonZeroU16 {
    settings.attempts.unwrap_or_else(|| {
        let backends = facts
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.ready)
            .count();
        let attempts = (backends * ATTEMPTS_PER_BACKEND).clamp(MIN_ATTEMPTS, MAX_ATTEMPTS);
        u16::try_from(attempts)
            .ok()
            .and_then(NonZeroU16::new)
            .unwrap_or(NonZeroU16::MIN)
    })
}

/// How a target is requested. `None`: no probe knows the protocol.
fn probe(facts: &Facts, settings: &RequestSettings, target: &Target) -> Option<RequestKind> {
    let http = |path: &str, tls| RequestKind::Http {
        path: path.to_owned(),
        host: settings.host.clone(),
        tls,
    };
    match target.protocol {
        Protocol::Sctp => None,
        Protocol::Udp => Some(RequestKind::Udp {
            payload: settings.udp_payload.clone(),
        }),
        Protocol::Tcp if target.kind == TargetKind::HealthCheckNodePort => {
            Some(RequestKind::Http {
                path: HEALTH_CHECK_PATH.to_owned(),
                host: None,
                tls: Tls::Off,
            })
        }
        Protocol::Tcp => {
            let port = facts
                .service
                .ports
                .iter()
                .find(|port| port.name == target.port_name && port.protocol == target.protocol);
            Some(match resolve(settings.protocol, port) {
                Layer::Http => http(&settings.path, Tls::Off),
                Layer::Https => http(&settings.path, Tls::Unverified),
                Layer::Tcp => RequestKind::Tcp,
            })
        }
    }
}

/// The protocol of a TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Http,
    Https,
    Tcp,
}

/// Decides the protocol of a port. The first of these that says something counts:
///
/// 1. the user's choice
/// 2. `appProtocol` (Kubernetes documentation, "Application protocol")
/// 3. the port's name
/// 4. the port's number, if it is a well-known one
fn resolve(protocol: ProtocolChoice, port: Option<&ServicePort>) -> Layer {
    match protocol {
        ProtocolChoice::Http => return Layer::Http,
        ProtocolChoice::Https => return Layer::Https,
        ProtocolChoice::Tcp => return Layer::Tcp,
        ProtocolChoice::Auto => {}
    }
    let Some(port) = port else { return Layer::Tcp };
    if let Some(protocol) = &port.app_protocol {
        return match protocol.to_ascii_lowercase().as_str() {
            "http" | "kubernetes.io/ws" => Layer::Http,
            "https" | "kubernetes.io/wss" => Layer::Https,
            _ => Layer::Tcp,
        };
    }
    let name = port.name.as_deref().unwrap_or_default();
    match name.split('-').next().unwrap_or_default() {
        "http" | "web" => return Layer::Http,
        "https" => return Layer::Https,
        _ => {}
    }
    match port.port.get() {
        80 | 8080 => Layer::Http,
        443 | 8443 => Layer::Https,
        _ => Layer::Tcp,
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, duration, resolve, rounds};
    use crate::{
        config::ProtocolChoice,
        plan::{placement::place, targets::targets},
        testing::{endpoint, facts, node, plan_of, port, probe_settings},
    };
    use std::{num::NonZeroU16, time::Duration};
    use svc_reach_common::{
        facts::ServicePort,
        position::Position,
        protocol::Protocol,
        wire::plan::{RequestKind, View},
    };

    fn service_port(name: Option<&str>, number: u16, app_protocol: Option<&str>) -> ServicePort {
        ServicePort {
            name: name.map(Into::into),
            protocol: Protocol::Tcp,
            port: port(number),
            node_port: None,
            target_port: None,
            app_protocol: app_protocol.map(Into::into),
        }
    }

    #[test]
    fn the_protocol_of_a_port_is_chosen() {
        for (name, ask, port, layer) in [
            (
                "the user's choice",
                ProtocolChoice::Tcp,
                service_port(Some("http"), 80, Some("http")),
                Layer::Tcp,
            ),
            (
                "appProtocol",
                ProtocolChoice::Auto,
                service_port(None, 9000, Some("HTTPS")),
                Layer::Https,
            ),
            (
                "appProtocol before name",
                ProtocolChoice::Auto,
                service_port(Some("http"), 80, Some("kubernetes.io/h2c")),
                Layer::Tcp,
            ),
            (
                "name",
                ProtocolChoice::Auto,
                service_port(Some("http-admin"), 9000, None),
                Layer::Http,
            ),
            (
                "name before number",
                ProtocolChoice::Auto,
                service_port(Some("https"), 80, None),
                Layer::Https,
            ),
            (
                "a name that says nothing",
                ProtocolChoice::Auto,
                service_port(Some("main"), 8443, None),
                Layer::Https,
            ),
            (
                "number",
                ProtocolChoice::Auto,
                service_port(None, 80, None),
                Layer::Http,
            ),
            (
                "nothing known",
                ProtocolChoice::Auto,
                service_port(None, 3306, None),
                Layer::Tcp,
            ),
            (
                "http2 is not HTTP/1.1",
                ProtocolChoice::Auto,
                service_port(Some("http2"), 9000, None),
                Layer::Tcp,
            ),
        ] {
            assert_eq!(resolve(ask, Some(&port)), layer, "{name}");
        }
    }

    #[test]
    fn a_plan_requests_every_target_it_can() {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1)].into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1)];
        facts.service.ports.push(ServicePort {
            protocol: Protocol::Sctp,
            node_port: None,
            ..service_port(Some("sig"), 2905, None)
        });
        let placement = place(&[&facts], &probe_settings()).remove(0);
        let targets = targets(&facts, &placement, Position::NodeSame);
        let plan = plan_of(&facts, Position::NodeSame, &targets);
        assert_eq!(plan.attempts.get(), 6, "three for each backend");
        assert_eq!(plan.view, View::Host);
        for request in &plan.targets {
            let target = &targets[request.id as usize];
            assert_eq!(target.address, request.host);
            assert_ne!(target.protocol, Protocol::Sctp, "no probe knows it");
            assert!(
                matches!(request.probe, RequestKind::Http { .. }),
                "{request:?}"
            );
        }
        let probed = targets
            .iter()
            .filter(|target| target.protocol != Protocol::Sctp)
            .count();
        assert_eq!(plan.targets.len(), probed);
        assert_eq!(
            duration(&plan),
            Duration::from_secs(4),
            "all attempts run at once, and one that connects late gets a second for its answer"
        );
    }

    #[test]
    fn pacing_of_datagrams_takes_time() {
        let mut facts = facts();
        facts.service.ports[0].protocol = Protocol::Udp;
        let placement = place(&[&facts], &probe_settings()).remove(0);
        let targets = targets(&facts, &placement, Position::NodeSame);
        let mut plan = plan_of(&facts, Position::NodeSame, &targets);
        plan.targets
            .retain(|request| matches!(request.probe, RequestKind::Udp { .. }));
        plan.targets.truncate(1);
        plan.attempts = NonZeroU16::new(80).unwrap();
        assert_eq!(rounds(&plan), 1);
        assert_eq!(
            duration(&plan),
            Duration::from_secs(3 + 1) + Duration::from_micros(80 * (3_125 + 10_000)),
            "3 s for the first ones and 1 s for those sent again"
        );
    }

    #[test]
    fn names_need_more_descriptors_than_addresses() {
        let targets = targets(
            &facts(),
            &place(&[&facts()], &probe_settings()).remove(0),
            Position::NodeSame,
        );
        let mut plan = plan_of(&facts(), Position::NodeSame, &targets);
        plan.targets.truncate(1);
        plan.attempts = plan.concurrency;
        let once = duration(&plan);
        plan.targets[0].host = "web.default.svc".into();
        assert_eq!(duration(&plan), once * 2);
    }
}
