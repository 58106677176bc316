//! The position that is this machine.

use crate::{
    assignment::Asked,
    cells::Stand,
    config::External,
    following::{End, Heard},
    planning::{self, Requests},
    targets,
};
use std::collections::BTreeMap;
use svc_reach_common::{
    line::Line,
    outcome::Meaning,
    position::{Network, Position},
    target::{Scope, Target, TargetKind},
};

/// Why something was left out, where that is worth telling.
type LeftOut = Option<String>;

/// What came of the external position.
#[derive(Debug, Default)]
pub struct FromHere {
    /// The position, where any of it was asked and counts.
    pub stand: Option<Stand>,
    /// Why some or all of it was left out.
    pub left_out: LeftOut,
}

/// Asks from this machine whatever makes sense from here, of all Services together; what came of it, for each.
pub async fn probe(asked: &[Asked<'_>]) -> Vec<FromHere> {
    let mut requests = Requests::default();
    let chosen: Vec<Result<_, LeftOut>> = asked
        .iter()
        .map(|asked| {
            let targets = targets_from_here(asked)?;
            let settings = &asked.check.request;
            let of_service = planning::requests(asked.facts, settings, &targets);
            Ok((requests.add(of_service, targets.len()), targets))
        })
        .collect();
    let mut heard = Heard {
        results: BTreeMap::new(),
        host: None,
        end: End::Complete,
    };
    if let Some(asked) = asked.first() {
        let blank = planning::blank(&asked.check.request, Network::External);
        let plan = requests.plan(blank);
        if !plan.targets.is_empty() {
            svc_reach_probe::run(&plan, |line| {
                if let Line::Result { id, attempts } = line {
                    heard.results.insert(id, attempts);
                }
            })
            .await;
        }
    }
    chosen
        .into_iter()
        .map(|chosen| match chosen {
            Err(left_out) => FromHere {
                stand: None,
                left_out,
            },
            Ok((first, targets)) => {
                let heard = heard.part(first, targets.len());
                keep(targets, heard.results)
            }
        })
        .collect()
}

/// What is asked of a Service from here, or why nothing is.
fn targets_from_here(asked: &Asked<'_>) -> Result<Vec<Target>, LeftOut> {
    let choice = &asked.check.choice;
    let left_out = |why: &str| Err(Some(why.to_owned()));
    if !choice.position(Position::External) {
        return Err(None);
    }
    match asked.check.request.external {
        External::Never => return left_out("--external never"),
        External::Auto if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            return left_out("the plugin itself runs in a cluster, which is not outside");
        }
        External::Auto => {}
    }
    let targets = targets::targets(asked.facts, asked.placement, Position::External);
    let targets: Vec<Target> = targets
        .into_iter()
        .filter(|target| makes_sense(target) && choice.target(target.kind))
        .collect();
    if targets.is_empty() {
        return left_out(
            "the Service has no address that is meant for clients outside of the cluster",
        );
    }
    Ok(targets)
}

/// Addresses that are of use outside of the cluster.
fn makes_sense(target: &Target) -> bool {
    match target.kind {
        TargetKind::NodePort | TargetKind::LoadBalancer | TargetKind::ExternalIp => true,
        TargetKind::PodIp
        | TargetKind::ClusterIp
        | TargetKind::Dns
        | TargetKind::HealthCheckNodePort
        | TargetKind::Dnat
        | TargetKind::Ingress => false,
    }
}

/// Private addresses count where any of them answered. Otherwise this machine may just have no way into the cluster's
/// network, or be in another network that uses the same range: nothing that was seen there says anything of the Service.
fn keep(
    targets: Vec<Target>,
    results: BTreeMap<u32, Vec<svc_reach_common::outcome::Attempt>>,
) -> FromHere {
    let private = |target: &Target| target.scope == Some(Scope::Private);
    let answered = (0..).zip(&targets).any(|(id, target)| {
        private(target)
            && results.get(&id).is_some_and(|attempts| {
                attempts
                    .iter()
                    .any(|attempt| attempt.outcome.meaning() == Meaning::Reached)
            })
    });
    let (kept, dropped): (Vec<_>, Vec<_>) = (0..)
        .zip(targets)
        .partition(|(_, target)| answered || !private(target));
    let left_out = (!dropped.is_empty()).then(|| {
        "no private address answered this machine, which may have no way into the cluster's network".to_owned()
    });
    let mut heard = BTreeMap::new();
    let mut targets = Vec::new();
    for ((old, target), new) in kept.into_iter().zip(0..) {
        if let Some(attempts) = results.get(&old) {
            heard.insert(new, attempts.clone());
        }
        targets.push(target);
    }
    let stand = (!targets.is_empty()).then_some(Stand {
        position: Position::External,
        node: None,
        targets,
        heard: Ok(Heard {
            results: heard,
            host: None,
            end: End::Complete,
        }),
    });
    FromHere { stand, left_out }
}

#[cfg(test)]
mod tests {
    use super::keep;
    use crate::test_data::port;
    use std::collections::BTreeMap;
    use svc_reach_common::{
        outcome::{Attempt, Outcome, Phase},
        protocol::Protocol,
        target::{Scope, Target, TargetKind},
    };

    fn target(address: &str, scope: Scope) -> Target {
        Target {
            kind: TargetKind::LoadBalancer,
            address: address.into(),
            port: port(80),
            protocol: Protocol::Tcp,
            port_name: None,
            node: None,
            node_role: None,
            relation: None,
            scope: Some(scope),
        }
    }

    fn attempts(outcomes: &[Outcome]) -> BTreeMap<u32, Vec<Attempt>> {
        (0..)
            .zip(outcomes)
            .map(|(id, outcome)| {
                let attempt = Attempt {
                    outcome: outcome.clone(),
                    local: None,
                    remote: None,
                    connect_us: None,
                    tls_us: None,
                    first_byte_us: None,
                };
                (id, vec![attempt])
            })
            .collect()
    }

    #[test]
    fn private_addresses_count_once_one_of_them_answered() {
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
            let from_here = keep(targets(), attempts(&outcomes));
            let stand = from_here.stand.unwrap();
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
}
