//! Whether the answers of a cell came from the Service's backends. Pure.
//!
//! Only what proves another answerer counts. Backends of one Service may differ, and proxies may replace headers.

use super::cells::ObservedCell;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use svc_reach_common::{
    facts::{Endpoint, Facts},
    observation::{NotObserved, Observation},
    position::Position,
    target::{Scope, Target, TargetKind},
    wire::outcome::{Attempt, Outcome},
};

/// `server` headers of proxies that are part of the data path of a mesh. They answer for the backends.
const MESH_PROXIES: [&str; 2] = ["envoy", "istio-envoy"];

/// What all backends of a port have in common if they are asked directly.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Direct {
    /// The `server` header, or that there is none.
    server: Option<String>,
    /// Whether every status was a success or a redirect.
    fine: bool,
}

/// Replaces the observation of each cell whose answers all came from something else, or where something accepts every
/// connection.
///
/// If only others answered this machine at private addresses, it may be in another network with the same addresses, for
/// example at home. Then none of its private addresses were observed.
pub fn check(facts: &Facts, cells: &mut [ObservedCell<'_>]) {
    let direct = direct(facts, cells);
    let (mut strangers, mut backends) = (false, false);
    for cell in &mut *cells {
        let of_port = direct.get(&cell.target.port_name).and_then(Option::as_ref);
        let other = someone_else(facts, cell, of_port);
        if is_private_from_here(cell) {
            strangers |= matches!(other, Some(Observation::Unreachable { .. }));
            backends |= other.is_none() && !cell.reaching.is_empty();
        }
        if let Some(instead) = accepts_everything(cell).or(other) {
            replace(cell, instead);
        }
    }
    if strangers && !backends {
        for cell in cells.iter_mut().filter(|cell| is_private_from_here(cell)) {
            replace(cell, Observation::NotObserved(NotObserved::OtherNetwork));
        }
    }
}

fn replace(cell: &mut ObservedCell<'_>, instead: Observation) {
    cell.observation = instead;
    cell.reaching.clear();
}

/// Whether this machine asked at a private address.
fn is_private_from_here(cell: &ObservedCell<'_>) -> bool {
    let mut remotes = cell.attempts.iter().filter_map(|attempt| attempt.remote);
    let scope = cell.target.scope;
    let scope = scope.or_else(|| remotes.next().map(|remote| Scope::of(remote.ip())));
    cell.stand.position == Position::External && scope == Some(Scope::Private)
}

/// The observation of a cell where something accepts every connection.
fn accepts_everything(cell: &ObservedCell<'_>) -> Option<Observation> {
    let mut accepted = cell.stand.accepted.iter();
    let control = accepted.find(|control| control.covers(cell.target))?;
    let why = NotObserved::AcceptsEverything(control.proof());
    let mut attempts = cell.attempts.iter();
    let connected = attempts.any(|attempt| attempt.connect_us.is_some());
    connected.then_some(Observation::NotObserved(why))
}

/// The observation of a cell whose answers all came from the same thing, which is no backend.
fn someone_else(
    facts: &Facts,
    cell: &ObservedCell<'_>,
    direct: Option<&Direct>,
) -> Option<Observation> {
    if !matches!(cell.observation, Observation::Reachable { .. }) {
        return None;
    }
    let mut answerers = cell
        .reaching
        .iter()
        .map(|attempt| foreign(facts, cell.target, attempt, direct));
    let first = answerers.next()??;
    if answerers.any(|other| other.as_ref() != Some(&first)) {
        return None;
    }
    Some(match first {
        Foreign::Other(what) => Observation::Unreachable {
            summary: format!("someone else answered: {what}"),
        },
        Foreign::New(pod) => Observation::NotObserved(NotObserved::Changed(format!(
            "{pod} answered, but was no endpoint of the Service when the run began"
        ))),
    })
}

/// Why an answer is not one of the backends'.
#[derive(Debug, PartialEq, Eq)]
enum Foreign {
    /// Something else answered.
    Other(String),
    /// A pod that may have become an endpoint since the run began.
    New(String),
}

fn foreign(
    facts: &Facts,
    target: &Target,
    attempt: &Attempt,
    direct: Option<&Direct>,
) -> Option<Foreign> {
    resolved_elsewhere(facts, target, attempt)
        .or_else(|| other_pod(facts, target, attempt))
        .or_else(|| other_server(target, attempt, direct?))
}

/// Whether the Service's name led to an address that is not the Service's.
fn resolved_elsewhere(facts: &Facts, target: &Target, attempt: &Attempt) -> Option<Foreign> {
    let remote = attempt.remote?.ip().to_canonical();
    // Headless Services, whose addresses change with their pods, and aliases of other names have no cluster IP.
    let known = &facts.service.cluster_ips;
    if target.kind != TargetKind::Dns || known.is_empty() {
        return None;
    }
    (!known.contains(&remote)).then(|| {
        let known: Vec<String> = known.iter().map(IpAddr::to_string).collect();
        Foreign::Other(format!(
            "the name led to {remote}, but the cluster IP is {}",
            known.join(", ")
        ))
    })
}

/// Whether our own test server is another pod than the endpoints.
fn other_pod(facts: &Facts, target: &Target, attempt: &Attempt) -> Option<Foreign> {
    let echo = attempt.outcome.echo()?;
    let pod = echo.pod.as_ref()?;
    let direct = target.kind == TargetKind::PodIp;
    let address: Option<IpAddr> = target.address.parse().ok();
    let asked = |endpoint: &&Endpoint| !direct || Some(endpoint.address) == address;
    let asked: Vec<&Endpoint> = facts.endpoints.iter().filter(asked).collect();
    if asked.is_empty() || asked.iter().any(|endpoint| endpoint.pod.is_none()) {
        return None;
    }
    let same = asked
        .iter()
        .find(|endpoint| endpoint.pod.as_ref() == Some(pod));
    match same {
        None if direct => Some(Foreign::Other(format!(
            "pod {pod}, but the address belongs to pod {}",
            asked[0].pod.as_deref().unwrap_or_default()
        ))),
        None => Some(Foreign::New(format!("pod {pod}"))),
        Some(endpoint) => match (&echo.node, &endpoint.node) {
            (Some(seen), Some(known)) if seen != known => Some(Foreign::Other(format!(
                "pod {pod} on node {seen}, but the endpoint is on {known}"
            ))),
            (Some(_) | None, Some(_) | None) => None,
        },
    }
}

/// Whether the `server` header is not that of the backends. If a proxy may be in between, which replaces that header,
/// the status must also be an error that no backend gives.
fn other_server(target: &Target, attempt: &Attempt, direct: &Direct) -> Option<Foreign> {
    let Outcome::Answered {
        status: Some(status),
        echo: None,
    } = attempt.outcome
    else {
        return None;
    };
    let server = attempt.server.as_deref();
    if server == direct.server.as_deref()
        || server.is_some_and(|server| MESH_PROXIES.contains(&server))
    {
        return None;
    }
    let proves = match target.kind {
        TargetKind::ClusterIp | TargetKind::NodePort => true,
        TargetKind::Dns
        | TargetKind::LoadBalancer
        | TargetKind::ExternalIp
        | TargetKind::Dnat
        | TargetKind::Ingress => direct.fine && status >= 400,
        TargetKind::PodIp | TargetKind::HealthCheckNodePort => false,
    };
    let header = |server: Option<&str>| match server {
        Some(server) => format!("\"server: {server}\""),
        None => "no \"server\" header".to_owned(),
    };
    proves.then(|| {
        Foreign::Other(format!(
            "HTTP {status} with {}, but the backends answer with {}",
            header(server),
            header(direct.server.as_deref())
        ))
    })
}

/// What the backends of each port have in common. `None`: not all of them answered, or they differ.
fn direct(facts: &Facts, cells: &[ObservedCell<'_>]) -> BTreeMap<Option<String>, Option<Direct>> {
    let mut answers: BTreeMap<Option<String>, Vec<(&str, &Attempt)>> = BTreeMap::new();
    for cell in cells {
        if cell.target.kind == TargetKind::PodIp {
            let of_port = answers.entry(cell.target.port_name.clone()).or_default();
            let address = cell.target.address.as_str();
            of_port.extend(cell.reaching.iter().map(|attempt| (address, *attempt)));
        }
    }
    let ready = facts.endpoints.iter().filter(|endpoint| endpoint.ready);
    let ready: BTreeSet<String> = ready.map(|endpoint| endpoint.address.to_string()).collect();
    answers
        .into_iter()
        .map(|(port, answers)| (port, in_common(&ready, &answers)))
        .collect()
}

fn in_common(ready: &BTreeSet<String>, answers: &[(&str, &Attempt)]) -> Option<Direct> {
    let mut answered = BTreeSet::new();
    let mut servers = BTreeSet::new();
    let mut fine = true;
    for (address, attempt) in answers {
        let Outcome::Answered {
            status: Some(status),
            ..
        } = attempt.outcome
        else {
            return None;
        };
        answered.insert((*address).to_owned());
        servers.insert(attempt.server.clone());
        fine &= (200..400).contains(&status);
    }
    let all = ready.is_subset(&answered);
    let one = servers.len() == 1;
    let server = servers.into_iter().next()?;
    (all && one).then_some(Direct { server, fine })
}

#[cfg(test)]
mod tests {
    use super::{Observation, check};
    use crate::{
        plan::controls::Control,
        probes::{
            output::{End, ProbeOutput},
            probed_position::ProbedPosition,
        },
        reporting::cells::seen,
        testing::{attempt, endpoint, facts, port, target},
    };
    use svc_reach_common::{
        facts::Facts,
        observation::NotObserved,
        position::Position,
        target::{Scope, Target, TargetKind},
        wire::outcome::{Attempt, Echo, Outcome},
    };

    fn answer(status: u16, server: &str) -> Attempt {
        let outcome = Outcome::Answered {
            status: Some(status),
            echo: None,
        };
        Attempt {
            server: (!server.is_empty()).then(|| server.to_owned()),
            ..attempt(outcome)
        }
    }

    fn echo(pod: &str, node: &str) -> Attempt {
        attempt(Outcome::Answered {
            status: Some(200),
            echo: Some(Echo {
                pod: Some(pod.into()),
                node: Some(node.into()),
                client: Some([10, 0, 0, 1].into()),
            }),
        })
    }

    /// What becomes of the first cell.
    fn first(facts: &Facts, cells: Vec<(Target, Vec<Attempt>)>) -> Observation {
        let stands = [stand(cells)];
        let mut cells = seen(&stands);
        check(facts, &mut cells);
        cells.remove(0).observation
    }

    fn stand(cells: Vec<(Target, Vec<Attempt>)>) -> ProbedPosition {
        let (targets, results): (Vec<Target>, Vec<Vec<Attempt>>) = cells.into_iter().unzip();
        ProbedPosition {
            position: Position::PodOther,
            node: None,
            targets,
            heard: Ok(ProbeOutput {
                results: (0..).zip(results).collect(),
                host: None,
                end: End::Complete,
            }),
            accepted: Vec::new(),
        }
    }

    fn one_backend() -> Facts {
        let mut facts = facts();
        facts.endpoints = vec![endpoint("a", 0)];
        facts
    }

    fn is_foreign(observation: &Observation) -> bool {
        match observation {
            Observation::Unreachable { summary } => summary.starts_with("someone else answered: "),
            Observation::Reachable { .. }
            | Observation::Unstable { .. }
            | Observation::NotObserved(_) => false,
        }
    }

    #[test]
    fn a_network_with_the_same_addresses_is_told_by_who_answers() {
        let facts = one_backend();
        let own = facts.endpoints[0].address.to_string();
        let private = |kind, address: &str| Target {
            scope: Some(Scope::Private),
            ..target(kind, address)
        };
        let router = || {
            (
                private(TargetKind::LoadBalancer, "192.168.0.1"),
                vec![answer(404, "router")],
            )
        };
        let refused = || {
            (
                private(TargetKind::NodePort, "192.168.0.10"),
                vec![attempt(Outcome::Refused { errno: 111 })],
            )
        };
        let node = || {
            (
                private(TargetKind::NodePort, "192.168.0.10"),
                vec![answer(200, "nginx")],
            )
        };
        let public = || {
            (
                Target {
                    scope: Some(Scope::Public),
                    ..target(TargetKind::LoadBalancer, "203.0.113.7")
                },
                vec![answer(404, "router")],
            )
        };
        for (name, asked, elsewhere) in [
            ("at home", vec![router(), refused()], 2),
            ("in the cluster's network", vec![router(), node()], 0),
            ("in a network without answers", vec![refused()], 0),
            ("public addresses always count", vec![public(), router()], 1),
        ] {
            let external = ProbedPosition {
                position: Position::External,
                ..stand(asked)
            };
            let direct = stand(vec![(
                target(TargetKind::PodIp, &own),
                vec![answer(200, "nginx")],
            )]);
            let stands = [external, direct];
            let mut cells = seen(&stands);
            check(&facts, &mut cells);
            let not_observed = Observation::NotObserved(NotObserved::OtherNetwork);
            let unobserved = cells.iter().filter(|cell| cell.observation == not_observed);
            assert_eq!(unobserved.count(), elsewhere, "{name}");
        }
    }

    #[test]
    fn another_server_is_told_by_its_header() {
        let facts = one_backend();
        let own = facts.endpoints[0].address.to_string();
        use TargetKind::{ClusterIp, LoadBalancer, NodePort, PodIp};
        let rows = [
            ("the backend", NodePort, vec![answer(200, "nginx")], false),
            (
                "a process of the node",
                NodePort,
                vec![answer(200, "python")],
                true,
            ),
            (
                "an error of the backend",
                NodePort,
                vec![answer(500, "nginx")],
                false,
            ),
            ("without a name", ClusterIp, vec![answer(404, "")], true),
            (
                "a proxy of a mesh",
                ClusterIp,
                vec![answer(200, "envoy")],
                false,
            ),
            (
                "only sometimes",
                ClusterIp,
                vec![answer(200, "nginx"), answer(404, "keryx")],
                false,
            ),
            (
                "a load balancer above TCP",
                LoadBalancer,
                vec![answer(200, "gws")],
                false,
            ),
            (
                "a load balancer's own error",
                LoadBalancer,
                vec![answer(404, "awselb/2.0")],
                true,
            ),
        ];
        for (name, kind, attempts, foreign) in rows {
            let cells = vec![
                (target(kind, "192.168.0.10"), attempts),
                (target(PodIp, &own), vec![answer(200, "nginx")]),
            ];
            let observation = first(&facts, cells);
            assert_eq!(is_foreign(&observation), foreign, "{name}: {observation:?}");
        }
    }

    #[test]
    fn backends_that_differ_or_are_unknown_prove_nothing() {
        let mut facts = one_backend();
        facts.endpoints.push(endpoint("b", 1));
        let address = |at: usize| facts.endpoints[at].address.to_string();
        let asked = || {
            (
                target(TargetKind::NodePort, "192.168.0.10"),
                vec![answer(404, "x")],
            )
        };
        let pod = |at, server| {
            (
                target(TargetKind::PodIp, &address(at)),
                vec![answer(200, server)],
            )
        };
        for (direct, foreign) in [
            (vec![pod(0, "nginx"), pod(1, "nginx")], true),
            (vec![pod(0, "nginx"), pod(1, "caddy")], false),
            (vec![pod(0, "nginx")], false),
            (vec![], false),
        ] {
            let cells = std::iter::once(asked()).chain(direct).collect();
            assert_eq!(is_foreign(&first(&facts, cells)), foreign);
        }
    }

    #[test]
    fn what_accepts_every_connection_proves_nothing() {
        let address = "192.168.0.10";
        let control = |address: &str| Control {
            address: address.into(),
            port: port(1),
        };
        for (accepted, outcome, observed) in [
            (address, Outcome::Connected, false),
            (address, Outcome::Refused { errno: 111 }, true),
            ("192.168.0.11", Outcome::Connected, true),
        ] {
            let attempt = Attempt {
                connect_us: (outcome == Outcome::Connected).then_some(1),
                ..attempt(outcome)
            };
            let stands = [ProbedPosition {
                accepted: vec![control(accepted)],
                ..stand(vec![(target(TargetKind::NodePort, address), vec![attempt])])
            }];
            let mut cells = seen(&stands);
            check(&one_backend(), &mut cells);
            let not_observed = matches!(
                &cells[0].observation,
                Observation::NotObserved(NotObserved::AcceptsEverything(proof)) if proof.contains("port 1 of 192.168.0.10")
            );
            assert_eq!(!not_observed, observed, "{cells:?}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_the_service() {
        let facts = one_backend();
        let cluster_ip = facts.service.cluster_ips[0].to_string();
        for (remote, foreign) in [(cluster_ip.as_str(), false), ("203.0.113.9", true)] {
            let attempt = Attempt {
                remote: Some(format!("{remote}:80").parse().unwrap()),
                ..attempt(Outcome::Connected)
            };
            let cells = vec![(target(TargetKind::Dns, "nginx.default.svc"), vec![attempt])];
            assert_eq!(is_foreign(&first(&facts, cells)), foreign, "{remote}");
        }
    }

    #[test]
    fn our_own_server_says_which_pod_it_is() {
        let mut facts = one_backend();
        facts.endpoints[0].pod = Some("web-0".into());
        let own = facts.endpoints[0].address.to_string();
        let direct = || target(TargetKind::PodIp, &own);
        let through = || target(TargetKind::ClusterIp, "10.247.0.7");
        for (target, attempt, foreign) in [
            (direct(), echo("web-0", "a"), false),
            (direct(), echo("db-0", "a"), true),
            (through(), echo("web-0", "a"), false),
            (through(), echo("web-0", "b"), true),
        ] {
            let name = format!("{target:?} {attempt:?}");
            let observation = first(&facts, vec![(target, vec![attempt])]);
            assert_eq!(is_foreign(&observation), foreign, "{name}");
        }
        let new = first(&facts, vec![(through(), vec![echo("web-1", "a")])]);
        assert!(matches!(new, Observation::NotObserved(_)), "{new:?}");
    }
}
