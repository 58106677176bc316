//! Decides how each target is requested, and makes the plan of a probe. Pure.

use crate::config::{ProtocolChoice, RequestSettings};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};
use svc_reach_common::{
    facts::{Facts, IpMode, Service, ServicePort},
    position::Network,
    protocol::Protocol,
    provider::{
        elb,
        tls::{self, Behind},
    },
    target::{Relation, Target, TargetKind},
    wire::plan::{self, Again, Plan, Request, RequestKind, Tls, View},
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
pub fn requests(
    facts: &Facts,
    settings: &RequestSettings,
    network: Network,
    targets: &[Target],
) -> Vec<PlannedRequest> {
    let attempts = attempts(facts, settings);
    let backends = backends(facts);
    (0..)
        .zip(targets)
        .filter_map(|(id, target)| {
            Some(PlannedRequest {
                request: Request {
                    attempts: Some(attempts),
                    ..Request::new(
                        id,
                        target.address.clone(),
                        target.port,
                        probe(facts, settings, network, target)?,
                    )
                },
                backends: Arc::clone(&backends),
                refuser: refuser(target),
            })
        })
        .collect()
}

/// A request, and what it shares with others.
#[derive(Debug, Clone)]
pub struct PlannedRequest {
    /// The request. Its id is the index of its target.
    pub request: Request,
    /// Addresses of the backends behind it.
    backends: Arc<[IpAddr]>,
    /// Who refuses it if nothing serves it. `None`: the client's own node, or an address outside of the cluster.
    refuser: Option<String>,
}

impl PlannedRequest {
    /// A request that shares nothing with others.
    pub fn alone(request: Request) -> Self {
        Self {
            request,
            backends: Arc::default(),
            refuser: None,
        }
    }
}

/// The requests of one probe, for several Services. Identical requests are made once.
#[derive(Debug, Default)]
pub struct Requests {
    requests: Vec<Request>,
    known: HashMap<(String, NonZeroU16, RequestKind), usize>,
    lanes: HashMap<Arc<[IpAddr]>, u32>,
    gates: HashMap<Option<String>, u32>,
}

impl Requests {
    /// Adds the requests of a Service. `again`: when each of its targets is asked again. Returns the id of each target.
    pub fn add(&mut self, requests: Vec<PlannedRequest>, again: &[Again]) -> Vec<Option<u32>> {
        let mut ids = vec![None; again.len()];
        for planned in requests {
            let request = planned.request;
            let index = request.id as usize;
            let again = again.get(index).copied().unwrap_or_default();
            let place = ids.get_mut(index);
            let at = self.requests.len();
            let key = (request.host.clone(), request.port, request.probe.clone());
            let at = match self.known.entry(key) {
                Entry::Occupied(known) => {
                    let at = *known.get();
                    let same = &mut self.requests[at];
                    same.attempts = same.attempts.max(request.attempts);
                    same.again = same.again.and(again);
                    at
                }
                Entry::Vacant(new) => {
                    new.insert(at);
                    let shares = request.probe != RequestKind::Control;
                    self.requests.push(Request {
                        id: u32::try_from(at).unwrap_or(u32::MAX),
                        again,
                        lane: shares.then(|| number(&mut self.lanes, planned.backends)),
                        gate: shares.then(|| number(&mut self.gates, planned.refuser)),
                        ..request
                    });
                    at
                }
            };
            if let Some(place) = place {
                *place = u32::try_from(at).ok();
            }
        }
        ids
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

/// The number of a key. New keys get the next number.
fn number<K: Eq + std::hash::Hash>(known: &mut HashMap<K, u32>, key: K) -> u32 {
    let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
    *known.entry(key).or_insert(next)
}

/// The addresses of the ready backends.
fn backends(facts: &Facts) -> Arc<[IpAddr]> {
    let ready = facts.endpoints.iter().filter(|endpoint| endpoint.ready);
    let mut addresses: Vec<IpAddr> = ready.map(|endpoint| endpoint.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.into()
}

/// Who refuses requests for a target if nothing serves it. What kube-proxy captures is refused by the client's own node.
fn refuser(target: &Target) -> Option<String> {
    match target.kind {
        TargetKind::PodIp => Some(target.address.clone()),
        TargetKind::NodePort | TargetKind::HealthCheckNodePort => {
            let remote = target.relation != Some(Relation::Own);
            target.node.clone().filter(|_| remote)
        }
        TargetKind::ClusterIp
        | TargetKind::Dns
        | TargetKind::LoadBalancer
        | TargetKind::ExternalIp
        | TargetKind::Dnat
        | TargetKind::Ingress => None,
    }
}

/// How long an agent may take for its plan: the longest attempt, times the number of rounds that its attempts need, and
/// the time that pacing adds. What is asked again takes the same time in each further round, with up to twice as many
/// attempts.
pub fn duration(plan: &Plan) -> Duration {
    let rounds = u32::try_from(rounds(plan)).unwrap_or(u32::MAX);
    let pacing = svc_reach_probe::pacing(plan);
    let once = plan.longest_attempt() * rounds + pacing;
    let again = plan.targets.iter().map(|target| target.again.most_rounds());
    let further = again.max().unwrap_or(1) - 1;
    once + (plan::PAUSE + plan.longest_attempt() * rounds * 2 + pacing * 2) * further
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
fn probe(
    facts: &Facts,
    settings: &RequestSettings,
    network: Network,
    target: &Target,
) -> Option<RequestKind> {
    let http = |path: &str, tls| RequestKind::Http {
        path: path.to_owned(),
        host: settings.host.clone(),
        tls,
    };
    if let Some(route) = &target.route {
        return Some(RequestKind::Http {
            path: route.path.clone(),
            host: route.host.clone(),
            tls: if route.tls { Tls::Unverified } else { Tls::Off },
        });
    }
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
            let layer = resolve(settings.protocol, port);
            let layer = match port.and_then(|port| tls::behind(&facts.service, port)) {
                Some(behind) if settings.protocol == ProtocolChoice::Auto => {
                    let in_front = goes_to_the_balancer(&facts.service, network, target);
                    layer.with_tls(in_front || behind == Behind::Tls)
                }
                Some(_) | None => layer,
            };
            Some(match layer {
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

impl Layer {
    /// The protocol with TLS or without. Of a bare connection, TLS can only be seen with a request.
    const fn with_tls(self, tls: bool) -> Self {
        match (self, tls) {
            (_, true) => Self::Https,
            (Self::Http | Self::Https, false) => Self::Http,
            (Self::Tcp, false) => Self::Tcp,
        }
    }
}

/// Whether a request for a target passes the load balancer. From inside the cluster, kube-proxy captures the IP addresses
/// of a load balancer, unless `ipMode` is `Proxy` or the provider passes such requests through.
fn goes_to_the_balancer(service: &Service, network: Network, target: &Target) -> bool {
    if !matches!(target.kind, TargetKind::LoadBalancer | TargetKind::Dnat) {
        return false;
    }
    let address = match target.address.parse::<IpAddr>() {
        Ok(address) if network != Network::External => address,
        Ok(_) | Err(_) => return true,
    };
    let captured = service
        .load_balancer
        .iter()
        .any(|ingress| ingress.ip == Some(address) && ingress.ip_mode != Some(IpMode::Proxy));
    !captured || elb::pass_through(service) == Some(&[true])
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
    use std::{collections::BTreeSet, num::NonZeroU16, time::Duration};
    use svc_reach_common::{
        facts::{Ingress, IpMode, ServicePort, ServiceType},
        position::Position,
        protocol::Protocol,
        target::{Target, TargetKind},
        wire::plan::{Again, RequestKind, Tls, View},
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
        let mut plan = plan_of(&facts, Position::NodeSame, &targets);
        assert_eq!(plan.attempts.get(), 6, "three for each backend");
        assert_eq!(plan.view, View::Host);
        for request in &plan.targets {
            let asked =
                |target: &&Target| (&target.address, target.port) == (&request.host, request.port);
            let target = targets.iter().find(asked).unwrap();
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
        assert_eq!(rounds(&plan), 1);
        assert_eq!(
            duration(&plan),
            Duration::from_secs(4 + 25 + 10),
            "all attempts fit at once, one that connects late gets a second for its answer, and pacing takes its time"
        );
        plan.targets[0].again = Again::UnlessReached;
        let again = Duration::from_secs(2 + 4 * 2 + (25 + 10) * 2);
        assert_eq!(duration(&plan), Duration::from_secs(39) + again);
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
            Duration::from_secs(3 + 1 + 35) + Duration::from_micros(80 * (3_125 + 10_000)),
            "3 s for the first ones, 1 s for those sent again, and the time of lanes and gates"
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
        assert_eq!(rounds(&plan), 1);
        plan.targets[0].host = "web.default.svc".into();
        assert_eq!(rounds(&plan), 2);
    }

    #[test]
    fn tls_that_ends_at_the_load_balancer_is_asked_only_there() {
        let elb = [
            ("kubernetes.io/elb.protocol-port", "https:443,http:80"),
            ("kubernetes.io/elb.cert-id", "17e3b4f4"),
        ];
        let aws = |backend: &'static str| {
            [
                (
                    "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
                    "arn:aws:acm:1",
                ),
                (
                    "service.beta.kubernetes.io/aws-load-balancer-ssl-ports",
                    "443, https",
                ),
                (
                    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
                    backend,
                ),
            ]
        };
        let captured = IngressAt::Ip(None);
        let proxy = IngressAt::Ip(Some(IpMode::Proxy));
        let name = IngressAt::Name;
        let (outside, inside) = (Position::External, Position::PodOther);
        // Position, whether the load balancer is asked with TLS, and whether the other targets are.
        type Annotations = Vec<(&'static str, &'static str)>;
        let rows: [(&str, Annotations, IngressAt, Position, bool, bool); 7] = [
            ("no annotation", vec![], captured, outside, true, true),
            (
                "ELB, from outside",
                elb.into(),
                captured,
                outside,
                true,
                false,
            ),
            (
                "ELB, captured by kube-proxy",
                elb.into(),
                captured,
                inside,
                false,
                false,
            ),
            ("ELB, not captured", elb.into(), proxy, inside, true, false),
            (
                "ELB without a certificate",
                vec![elb[0]],
                captured,
                outside,
                true,
                true,
            ),
            ("AWS", aws("http").into(), name, inside, true, false),
            (
                "AWS, TLS again behind it",
                aws("ssl").into(),
                name,
                inside,
                true,
                true,
            ),
        ];
        for (case, annotations, at, position, balancer, others) in rows {
            let mut facts = facts();
            facts.service.kind = ServiceType::LoadBalancer;
            facts.service.ports = vec![service_port(Some("https"), 443, None)];
            for (key, value) in annotations {
                let annotations = &mut facts.service.annotations;
                annotations.insert(key.into(), value.into());
            }
            facts.service.load_balancer = vec![Ingress {
                ip: matches!(at, IngressAt::Ip(_)).then(|| "192.168.0.200".parse().unwrap()),
                hostname: matches!(at, IngressAt::Name).then(|| "lb.example.com".into()),
                ip_mode: match at {
                    IngressAt::Ip(mode) => mode,
                    IngressAt::Name => None,
                },
            }];
            let placement = place(&[&facts], &probe_settings()).remove(0);
            let targets = targets(&facts, &placement, position);
            let plan = plan_of(&facts, position, &targets);
            let mut kinds = BTreeSet::new();
            for request in &plan.targets {
                let target = &targets[request.id as usize];
                kinds.insert(target.kind);
                let tls = match &request.probe {
                    RequestKind::Http { tls, .. } => *tls == Tls::Unverified,
                    RequestKind::Tcp | RequestKind::Control | RequestKind::Udp { .. } => false,
                };
                let expected = if target.kind == TargetKind::LoadBalancer {
                    balancer
                } else {
                    others
                };
                // The fixture's backend has a port with another name.
                if target.kind != TargetKind::PodIp {
                    assert_eq!(tls, expected, "{case}: {target:?}");
                }
            }
            assert!(kinds.contains(&TargetKind::LoadBalancer), "{case}");
        }
    }

    #[derive(Clone, Copy)]
    enum IngressAt {
        Ip(Option<IpMode>),
        Name,
    }
}
