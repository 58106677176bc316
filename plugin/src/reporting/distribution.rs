//! Finds out which backends answered how often, and whether one that should get traffic got none. Pure.

use std::collections::BTreeMap;
use svc_reach_common::{
    facts::{Endpoint, Facts},
    proxy_mode::ProxyMode,
    report::{Affinity, BackendAnswers, Cell, Distribution, Environment, Share},
    target::TargetKind,
    verdict::Reachability,
    wire::outcome::{Attempt, Meaning},
};

/// A backend without any answer is silent only if chance has a smaller probability than this.
const CHANCE: f64 = 0.01;

/// An affinity that lasts less than this may end during a run.
const SHORT_AFFINITY_SECONDS: u32 = 60;

/// Which backends answered how often; `None` if no backend reported its name.
///
/// A missing answer is a conclusion only if the forwarding model says which backends share the attempts of a cell, and
/// that each attempt is a new choice in which all have the same chance. That is so in iptables and nftables mode without
/// session affinity (kubernetes/kubernetes v1.37.2 `pkg/proxy/iptables/proxier.go`, `statistic --mode random`;
/// `pkg/proxy/nftables/proxier.go`, `numgen random`). In IPVS mode, the scheduler decides, and it is unknown.
pub fn distribution(
    facts: &Facts,
    environment: &Environment,
    cells: &[Cell],
) -> Option<Distribution> {
    let mut answers: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
    for attempt in cells.iter().flat_map(|cell| &cell.observed.attempts) {
        if let Some((pod, node)) = named(attempt) {
            let (count, known) = answers.entry(pod).or_default();
            *count += 1;
            *known = known.or(node);
        }
    }
    if answers.is_empty() {
        return None;
    }
    let ready = facts.endpoints.iter().filter(|endpoint| endpoint.ready);
    for endpoint in ready.clone() {
        if let Some(pod) = &endpoint.pod {
            let (_, node) = answers.entry(pod).or_default();
            *node = node.or(endpoint.node.as_deref());
        }
    }
    let affinity = facts.service.session_affinity_seconds;
    let uniform = affinity.is_none()
        && matches!(
            environment.proxy_mode,
            Some(ProxyMode::Iptables | ProxyMode::Nftables)
        );
    let choices: Vec<Choice<'_>> = cells
        .iter()
        .filter(|_| uniform)
        .filter_map(choice)
        .collect();
    let several = ready.clone().count();
    let backends = answers
        .iter()
        .map(|(&pod, &(count, node))| {
            let endpoints = ready.clone().filter(|of| of.pod.as_deref() == Some(pod));
            let (attempts, chance) = shares(endpoints, &choices);
            let share = match count {
                1.. => Share::Answered,
                0 if attempts > 0 && chance < threshold(several) => Share::Silent,
                0 => Share::NotKnown,
            };
            BackendAnswers {
                pod: pod.to_owned(),
                node: node.map(str::to_owned),
                answers: count,
                attempts,
                attempts_needed: needed(several),
                share,
            }
        })
        .collect();
    Some(Distribution {
        backends,
        affinity: affinity.map(|seconds| held(seconds, cells)),
    })
}

/// The pod that gave an answer, and its node.
fn named(attempt: &Attempt) -> Option<(&str, Option<&str>)> {
    let echo = attempt.outcome.echo()?;
    Some((echo.pod.as_deref()?, echo.node.as_deref()))
}

/// The attempts of one cell, each of which is a choice between the same endpoints.
struct Choice<'c> {
    endpoints: &'c [String],
    attempts: usize,
}

/// Whether one node's proxy decides which backend a cell's attempts meet.
const fn by_one_proxy(kind: TargetKind) -> bool {
    matches!(
        kind,
        TargetKind::ClusterIp | TargetKind::Dns | TargetKind::NodePort
    )
}

/// The choices of a cell, if the model knows them and each attempt was answered by a backend with a name. A failed
/// attempt may have been sent to the backend that seems to be silent.
fn choice(cell: &Cell) -> Option<Choice<'_>> {
    let predicted = cell.predicted.as_ref()?;
    let attempts = &cell.observed.attempts;
    let all_named = attempts.iter().all(|attempt| named(attempt).is_some());
    (by_one_proxy(cell.target.kind)
        && predicted.reachable == Some(Reachability::Reachable)
        && predicted.chance.is_none()
        && !predicted.endpoints.is_empty()
        && all_named)
        .then_some(Choice {
            endpoints: &predicted.endpoints,
            attempts: attempts.len(),
        })
}

/// Number of attempts in which these endpoints of one pod could be chosen, and the probability that chance avoids them
/// in each.
fn shares<'e>(
    endpoints: impl Iterator<Item = &'e Endpoint> + Clone,
    choices: &[Choice<'_>],
) -> (usize, f64) {
    let is_of = |text: &str| {
        let address = text.rsplit_once(':').map_or(text, |(address, _)| address);
        let address = address.trim_matches(['[', ']']);
        endpoints
            .clone()
            .any(|endpoint| endpoint.address.to_string() == address)
    };
    let mut attempts = 0;
    let mut chance = 1.0;
    for choice in choices {
        let own = choice.endpoints.iter().filter(|text| is_of(text)).count();
        if own > 0 {
            attempts += choice.attempts;
            chance *= powered(1.0 - ratio(own, choice.endpoints.len()), choice.attempts);
        }
    }
    (attempts, chance)
}

/// The probability below which one backend is silent. With more backends, it is more likely that chance avoids one.
fn threshold(backends: usize) -> f64 {
    CHANCE * ratio(1, backends.max(1))
}

/// Number of attempts after which chance is ruled out, if this many backends share them.
fn needed(backends: usize) -> usize {
    let mut attempts = 1;
    while powered(1.0 - ratio(1, backends.max(1)), attempts) >= threshold(backends) {
        attempts += 1;
    }
    attempts
}

fn powered(base: f64, exponent: usize) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a Service has far fewer than 2^52 endpoints"
)]
fn ratio(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

/// Whether each client stayed with one backend. The first attempts of a client may start at the same time, before its
/// node has noted a choice, so one other answer is no proof.
fn held(seconds: u32, cells: &[Cell]) -> Affinity {
    if seconds < SHORT_AFFINITY_SECONDS {
        return Affinity::NotKnown;
    }
    let mut seen = Affinity::NotKnown;
    for cell in cells.iter().filter(|cell| by_one_proxy(cell.target.kind)) {
        let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
        for attempt in &cell.observed.attempts {
            if attempt.outcome.meaning() == Meaning::Reached {
                let Some((pod, _)) = named(attempt) else {
                    continue;
                };
                *pods.entry(pod).or_default() += 1;
            }
        }
        let several = pods.values().filter(|count| **count > 1).count();
        match (pods.len(), several) {
            (_, 2..) => return Affinity::NotHeld,
            (1, 1) if seen == Affinity::NotKnown => seen = Affinity::Held,
            _ => {}
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::{distribution, needed};
    use crate::testing::{cell, endpoint, facts, node};
    use svc_reach_common::{
        facts::Facts,
        observation::ObservedValue,
        position::Position,
        proxy_mode::ProxyMode,
        report::{Affinity, Cell, Distribution, Environment, Prediction, Share},
        target::TargetKind,
        verdict::Reachability,
        wire::outcome::{Attempt, Echo, Outcome, Phase},
    };

    fn three_backends() -> Facts {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1)].into();
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1), endpoint("b", 2)];
        facts
    }

    /// A cell that any of the three backends can answer, with the number of the pod that answered each attempt. `None`:
    /// nobody answered.
    fn answered(kind: TargetKind, pods: &[Option<usize>]) -> Cell {
        let attempt = |pod: &Option<usize>| {
            Attempt::from(pod.map_or(
                Outcome::TimedOut {
                    phase: Phase::Connect,
                },
                |pod| Outcome::Answered {
                    status: Some(200),
                    echo: Some(Echo {
                        pod: Some(format!("nginx-{pod}")),
                        node: None,
                        client: Some([10, 0, 0, 1].into()),
                    }),
                },
            ))
        };
        let mut cell = cell(
            Position::PodOther,
            kind,
            "10.0.0.1",
            ObservedValue::Reachable,
        );
        cell.observed.attempts = pods.iter().map(attempt).collect();
        cell.predicted = Some(Prediction {
            action: "endpoints".into(),
            endpoints: (10..13).map(|n| format!("172.16.0.{n}:8080")).collect(),
            masquerade: Some(false),
            client_kept: Some(true),
            outcome: "reached".into(),
            reachable: Some(Reachability::Reachable),
            chance: None,
            why: Vec::new(),
            cause: None,
            remedy: None,
        });
        cell
    }

    fn of(facts: &Facts, mode: ProxyMode, cells: &[Cell]) -> Option<Distribution> {
        let environment = Environment {
            provider: None,
            operator: None,
            kubernetes_version: None,
            network_model: None,
            proxy_mode: Some(mode),
            column: None,
            evidence: Vec::new(),
        };
        distribution(facts, &environment, cells)
    }

    #[test]
    fn a_backend_is_silent_only_if_chance_is_ruled_out() {
        // (2/3)^15 is the first power below 0.01 / 3.
        assert_eq!(needed(3), 15);
        let two =
            |count: usize| -> Vec<Option<usize>> { (0..count).map(|n| Some(n % 2)).collect() };
        let mut failed = two(40);
        failed.push(None);
        let (iptables, ipvs) = (ProxyMode::Iptables, ProxyMode::Ipvs);
        for (name, kind, mode, pods, share) in [
            (
                "too few",
                TargetKind::ClusterIp,
                iptables,
                two(14),
                Share::NotKnown,
            ),
            (
                "enough",
                TargetKind::ClusterIp,
                iptables,
                two(15),
                Share::Silent,
            ),
            (
                "any scheduler",
                TargetKind::ClusterIp,
                ipvs,
                two(40),
                Share::NotKnown,
            ),
            (
                "a failure",
                TargetKind::ClusterIp,
                iptables,
                failed,
                Share::NotKnown,
            ),
            (
                "any balancer",
                TargetKind::LoadBalancer,
                iptables,
                two(40),
                Share::NotKnown,
            ),
        ] {
            let all = of(&three_backends(), mode, &[answered(kind, &pods)]).unwrap();
            let shares: Vec<Share> = all.backends.iter().map(|of| of.share).collect();
            assert_eq!(shares, [Share::Answered, Share::Answered, share], "{name}");
        }
        // Attempts of several cells count together.
        let cells =
            [TargetKind::ClusterIp, TargetKind::NodePort].map(|kind| answered(kind, &two(8)));
        let all = of(&three_backends(), iptables, &cells).unwrap();
        assert_eq!(
            (all.backends[2].attempts, all.backends[2].share),
            (16, Share::Silent)
        );
        let nameless = cell(
            Position::PodOther,
            TargetKind::Dns,
            "x",
            ObservedValue::Reachable,
        );
        assert_eq!(of(&three_backends(), iptables, &[nameless]), None);
    }

    #[test]
    fn affinity_is_held_by_one_backend_for_each_client() {
        let one = &[Some(0), Some(0), Some(0)][..];
        let other = &[Some(1), Some(1)][..];
        let race = &[Some(0), Some(1), Some(0), Some(0)][..];
        let both = &[Some(0), Some(1), Some(0), Some(1)][..];
        for (name, seconds, cells, held) in [
            ("one each", 10800, &[one, other][..], Affinity::Held),
            ("both", 10800, &[one, both], Affinity::NotHeld),
            ("a race", 10800, &[race], Affinity::NotKnown),
            ("short", 10, &[both], Affinity::NotKnown),
        ] {
            let mut facts = three_backends();
            facts.service.session_affinity_seconds = Some(seconds);
            let cells: Vec<Cell> = cells
                .iter()
                .map(|pods| answered(TargetKind::ClusterIp, pods))
                .collect();
            let all = of(&facts, ProxyMode::Iptables, &cells).unwrap();
            assert_eq!(all.affinity, Some(held), "{name}");
            assert_eq!(all.backends[2].share, Share::NotKnown, "{name}");
        }
    }
}
