//! The position `external`, which is this machine.

use crate::{
    config::External,
    plan::{
        controls::{self, Control},
        requests::{self, Requests},
        service_check::{ExternalPosition, ServiceCheck},
        targets,
    },
    probes::output::{End, ProbeOutput},
    probes::probed_position::ProbedPosition,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};
use svc_reach_common::{
    position::{Network, Position},
    target::{Scope, Target, TargetKind},
    wire::{
        line::Line,
        outcome::{Attempt, Meaning},
        plan::{Again, Plan, Request},
    },
};

/// Why something was left out. `None`: the user need not know.
type Omission = Option<String>;

/// The ids and targets of a Service, or why nothing is requested.
type TargetsFromHere = Result<(Vec<Option<u32>>, Vec<Target>), Omission>;

/// Requests, from this machine, the addresses for clients outside the cluster, for all Services together. `again`: when
/// each target is asked again.
pub async fn probe(
    services: &mut [ServiceCheck],
    again: impl Fn(&ServiceCheck, &[Target]) -> Vec<Again>,
) {
    let mut requests = Requests::default();
    let chosen: Vec<TargetsFromHere> = services
        .iter()
        .map(|service| {
            let targets = targets_from_here(service)?;
            let of_service = requests::requests(
                &service.facts,
                &service.check.request,
                Network::External,
                &targets,
            );
            let again = again(service, &targets);
            Ok((requests.add(of_service, &again), targets))
        })
        .collect();
    let Some(first) = services.first() else {
        return;
    };
    let blank = requests::blank(&first.check.request, Network::External);
    let output = follow(requests.plan(blank.clone()), &chosen, ask).await;
    let accepted = ask_controls(blank, &chosen, &output).await;
    for ((service, chosen), accepted) in services.iter_mut().zip(chosen).zip(accepted) {
        service.external = match chosen {
            Err(left_out) => ExternalPosition {
                probed: None,
                left_out,
            },
            Ok((ids, targets)) => {
                let results = output.part(&ids).results;
                keep(targets, results, accepted)
            }
        };
    }
}

/// Carries out a plan. If its attempts do not all fit at once, every address that may be private is tried once before,
/// and only those that count are requested again. Otherwise a machine without a route to the cluster's network would
/// wait for every attempt on every node port of every Service. The attempts of one Service usually fit at once and take
/// one timeout.
async fn follow(
    mut plan: Plan,
    chosen: &[TargetsFromHere],
    ask: impl AsyncFn(&Plan) -> ProbeOutput,
) -> ProbeOutput {
    if requests::rounds(&plan) > 1 {
        let places = chosen.iter().flatten();
        let public: BTreeSet<u32> = places
            .clone()
            .flat_map(|(ids, targets)| ids.iter().zip(targets))
            .filter(|(_, target)| target.scope == Some(Scope::Public))
            .filter_map(|(id, _)| *id)
            .collect();
        let once = Plan {
            attempts: NonZeroU16::MIN,
            targets: plan
                .targets
                .iter()
                .filter(|request| !public.contains(&request.id))
                .map(|request| Request {
                    attempts: None,
                    again: Again::Never,
                    ..request.clone()
                })
                .collect(),
            ..plan
        };
        let heard = ask(&once).await;
        let counting: BTreeSet<u32> = places
            .flat_map(|(ids, targets)| {
                let results = heard.part(ids).results;
                ids.iter().zip(counts(targets, &results))
            })
            .filter(|(_, counts)| *counts)
            .filter_map(|(id, _)| *id)
            .collect();
        plan.targets
            .retain(|request| counting.contains(&request.id));
    }
    ask(&plan).await
}

/// Tries connections that nothing should accept, for the targets of each Service that were reached. Returns those that
/// something accepted.
async fn ask_controls(
    blank: Plan,
    chosen: &[TargetsFromHere],
    output: &ProbeOutput,
) -> Vec<Vec<Control>> {
    let mut requests = Requests::default();
    let planned: Vec<_> = chosen
        .iter()
        .map(|chosen| {
            let Ok((ids, targets)) = chosen else {
                return Vec::new();
            };
            let results = output.part(ids).results;
            let reached: Vec<Target> = (0..)
                .zip(targets)
                .filter(|(id, _)| results.get(id).into_iter().flatten().any(reached))
                .map(|(_, target)| target.clone())
                .collect();
            let mut controls = Control::on_unused_ports(&reached);
            controls.extend(Control::at_nobody(&reached));
            controls::add(controls, &mut requests)
        })
        .collect();
    let heard = ask(&requests.plan(blank)).await;
    planned
        .into_iter()
        .map(|controls| heard.accepted(controls))
        .collect()
}

/// Whether something answered or accepted a connection.
fn reached(attempt: &Attempt) -> bool {
    matches!(
        attempt.outcome.meaning(),
        Meaning::Reached | Meaning::Accepted
    )
}

async fn ask(plan: &Plan) -> ProbeOutput {
    let mut heard = nothing_heard();
    if !plan.targets.is_empty() {
        svc_reach_probe::run(plan, |line| {
            if let Line::Result { id, attempts } = line {
                heard.results.insert(id, attempts);
            }
        })
        .await;
    }
    heard
}

fn nothing_heard() -> ProbeOutput {
    ProbeOutput {
        results: BTreeMap::new(),
        host: None,
        end: End::Complete,
    }
}

/// The targets of a Service from this machine, or why there are none.
fn targets_from_here(service: &ServiceCheck) -> Result<Vec<Target>, Omission> {
    let choice = &service.check.choice;
    let left_out = |why: &str| Err(Some(why.to_owned()));
    if !choice.position(Position::External) {
        return Err(None);
    }
    match service.check.request.external {
        External::Never => return left_out("--external never"),
        External::Auto if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            return left_out("the plugin runs in a pod, which is not outside the cluster");
        }
        External::Auto => {}
    }
    let targets = targets::targets(&service.facts, &service.placement, Position::External);
    let targets: Vec<Target> = targets
        .into_iter()
        .filter(|target| makes_sense(target) && choice.target(target.kind))
        .collect();
    if targets.is_empty() {
        return left_out("the Service has no address for clients outside the cluster");
    }
    Ok(targets)
}

/// Whether clients outside the cluster use this kind of address.
fn makes_sense(target: &Target) -> bool {
    match target.kind {
        TargetKind::NodePort
        | TargetKind::LoadBalancer
        | TargetKind::ExternalIp
        | TargetKind::Dnat
        | TargetKind::Ingress => true,
        TargetKind::PodIp
        | TargetKind::ClusterIp
        | TargetKind::Dns
        | TargetKind::HealthCheckNodePort => false,
    }
}

/// Decides which targets count. Public addresses always do. Private addresses count only if one of them answered or
/// accepted a connection. If
/// none did, this machine may have no route to the cluster's network, or may be in another network with the same
/// address range, so the results say nothing about the Service.
///
/// A name is private if the address that it resolved to is private. A name that did not resolve is private, too,
/// because names of private load balancers may be known only in the cluster's network.
fn counts(targets: &[Target], results: &BTreeMap<u32, Vec<Attempt>>) -> Vec<bool> {
    let attempts = |id: u32| results.get(&id).map(Vec::as_slice).unwrap_or_default();
    let public = |attempt: &Attempt| {
        let remote = attempt.remote.map(|remote| Scope::of(remote.ip()));
        remote == Some(Scope::Public)
    };
    let private: Vec<bool> = (0..)
        .zip(targets)
        .map(|(id, target)| match target.scope {
            Some(scope) => scope == Scope::Private,
            None => !attempts(id).iter().any(public),
        })
        .collect();
    let answered = (0..)
        .zip(&private)
        .any(|(id, private)| *private && attempts(id).iter().any(reached));
    private.iter().map(|private| answered || !private).collect()
}

/// The position, with only the targets that count.
fn keep(
    targets: Vec<Target>,
    results: BTreeMap<u32, Vec<Attempt>>,
    accepted: Vec<Control>,
) -> ExternalPosition {
    let counts = counts(&targets, &results);
    let (kept, dropped): (Vec<_>, Vec<_>) = (0..)
        .zip(targets)
        .zip(counts)
        .partition(|(_, counts)| *counts);
    let left_out = (!dropped.is_empty()).then(|| {
        "no private address answered this machine, so it may have no route to the cluster's network".to_owned()
    });
    let mut heard = BTreeMap::new();
    let mut targets = Vec::new();
    for (((old, target), _), new) in kept.into_iter().zip(0..) {
        if let Some(attempts) = results.get(&old) {
            heard.insert(new, attempts.clone());
        }
        targets.push(target);
    }
    let probed = (!targets.is_empty()).then_some(ProbedPosition {
        position: Position::External,
        node: None,
        targets,
        heard: Ok(ProbeOutput {
            results: heard,
            host: None,
            end: End::Complete,
        }),
        accepted,
    });
    ExternalPosition { probed, left_out }
}

#[cfg(test)]
mod tests {
    use super::{TargetsFromHere, follow, keep, makes_sense, nothing_heard};
    use crate::{
        plan::requests::{self, Requests},
        probes::output::ProbeOutput,
        testing::{self, facts, request_settings},
    };
    use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr};
    use svc_reach_common::{
        position::Network,
        target::{Scope, Target, TargetKind},
        wire::{
            outcome::{Attempt, Outcome, Phase},
            plan::{Again, Plan},
        },
    };

    fn target(address: &str, scope: Scope) -> Target {
        Target {
            scope: Some(scope),
            ..testing::target(TargetKind::LoadBalancer, address)
        }
    }

    fn attempts(outcomes: &[Outcome]) -> BTreeMap<u32, Vec<Attempt>> {
        (0..)
            .zip(outcomes)
            .map(|(id, outcome)| {
                let attempt = Attempt::from(outcome.clone());
                (id, vec![attempt])
            })
            .collect()
    }

    #[test]
    fn a_dnat_gateway_is_requested_from_outside() {
        let gateway = Target {
            kind: TargetKind::Dnat,
            ..target("203.0.113.1", Scope::Public)
        };
        assert!(makes_sense(&gateway));
    }

    #[test]
    fn private_addresses_count_if_one_answered() {
        let silent = || Outcome::TimedOut {
            phase: Phase::Connect,
        };
        let refused = || Outcome::Refused { errno: 111 };
        let targets = || {
            vec![
                target("192.168.0.1", Scope::Private),
                target("203.0.113.1", Scope::Public),
                target("192.168.0.2", Scope::Private),
            ]
        };
        let rows = [
            (
                "nothing private answers",
                [silent(), silent(), refused()],
                vec!["203.0.113.1"],
                true,
            ),
            (
                "one does",
                [silent(), silent(), Outcome::Connected],
                vec!["192.168.0.1", "203.0.113.1", "192.168.0.2"],
                false,
            ),
        ];
        for (name, outcomes, kept, left_out) in rows {
            let from_here = keep(targets(), attempts(&outcomes), Vec::new());
            let stand = from_here.probed.unwrap();
            assert_eq!(
                stand
                    .targets
                    .iter()
                    .map(|t| t.address.as_str())
                    .collect::<Vec<_>>(),
                kept,
                "{name}"
            );
            assert_eq!(from_here.left_out.is_some(), left_out, "{name}");
            assert_eq!(stand.heard.unwrap().results.len(), kept.len(), "{name}");
        }
    }

    #[test]
    fn a_name_is_private_if_its_address_is() {
        let named = Target {
            scope: None,
            ..target("lb.example", Scope::Public)
        };
        let silent = || Outcome::TimedOut {
            phase: Phase::Connect,
        };
        for (outcome, remote, kept) in [
            (silent(), Some("203.0.113.1:80"), true),
            (silent(), Some("10.0.0.1:80"), false),
            (Outcome::Connected, Some("10.0.0.1:80"), true),
            (Outcome::NameNotFound, None, false),
        ] {
            let mut results = attempts(&[outcome]);
            results.get_mut(&0).unwrap()[0].remote =
                remote.map(|remote: &str| remote.parse::<SocketAddr>().unwrap());
            let from_here = keep(vec![named.clone()], results, Vec::new());
            assert_eq!(from_here.probed.is_some(), kept, "{remote:?}");
            assert_eq!(from_here.left_out.is_none(), kept, "{remote:?}");
        }
    }

    /// Carries out the plan of this many Services. Each has a public address and two private ones, and one private
    /// address of the first Service answers. Returns the plans that were carried out, as numbers of targets and of
    /// attempts on each.
    async fn followed(services: usize) -> Vec<(usize, u16)> {
        let mut requests = Requests::default();
        let chosen: Vec<TargetsFromHere> = (0..services)
            .map(|service| {
                let of = |network: &str| format!("{network}.{}", service + 1);
                let targets = vec![
                    target(&of("10.0.0"), Scope::Private),
                    target(&of("203.0.113"), Scope::Public),
                    target(&of("10.0.1"), Scope::Private),
                ];
                let of_service =
                    requests::requests(&facts(), &request_settings(), Network::External, &targets);
                Ok((requests.add(of_service, &[Again::Never; 3]), targets))
            })
            .collect();
        let plans = RefCell::new(Vec::new());
        let ask = async |plan: &Plan| {
            let mut plans = plans.borrow_mut();
            plans.push((plan.targets.len(), plan.attempts.get()));
            let answers = plan.targets.iter().filter(|t| t.host == "10.0.0.1");
            let connected = || attempts(&[Outcome::Connected]).remove(&0).unwrap();
            ProbeOutput {
                results: answers.map(|target| (target.id, connected())).collect(),
                ..nothing_heard()
            }
        };
        let plan = requests.plan(requests::blank(&request_settings(), Network::External));
        follow(plan, &chosen, ask).await;
        plans.into_inner()
    }

    #[tokio::test]
    async fn private_addresses_of_many_services_are_tried_once_first() {
        assert_eq!(followed(1).await, [(3, 3)], "one takes one timeout");
        // All public ones, and the private ones of the Service that answered.
        assert_eq!(followed(100).await, [(200, 1), (102, 3)]);
    }
}
