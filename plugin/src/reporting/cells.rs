//! Makes the observations of a report from the outputs of probes. Pure.

use crate::probes::{output::End, probed_position::ProbedPosition};
use std::{collections::BTreeMap, net::IpAddr};
use svc_reach_common::{
    comparison::Comparison,
    observation::{NotObserved, Observation, ObservedValue, observe, reaching, summarize},
    protocol::Protocol,
    report::Observed,
    target::{Target, TargetKind},
    wire::outcome::Attempt,
};

/// One position and one target, with the observation that results from all attempts.
#[derive(Debug)]
pub struct ObservedCell<'a> {
    /// The position.
    pub stand: &'a ProbedPosition,
    /// The target.
    pub target: &'a Target,
    /// The observation.
    pub observation: Observation,
    /// The attempts that count.
    pub attempts: &'a [Attempt],
    /// The attempts of the first round and of the last one.
    pub all: &'a [Attempt],
    /// What the first round saw, if there was a second one.
    pub first_round: Option<String>,
    /// The attempts that reached the target.
    pub reaching: Vec<&'a Attempt>,
}

/// The observations of all positions.
///
/// What an attempt means can depend on the other attempts on the same Service port, at all positions. If the server
/// answers a request at any position, then no answer elsewhere means unreachable.
pub fn seen(stands: &[ProbedPosition]) -> Vec<ObservedCell<'_>> {
    let mut by_port: BTreeMap<Port<'_>, Vec<(TargetKind, &Attempt)>> = BTreeMap::new();
    for (stand, id, target) in all(stands) {
        let of_port = by_port.entry(port(target)).or_default();
        of_port.extend(
            attempts(stand, id)
                .iter()
                .map(|attempt| (target.kind, attempt)),
        );
    }
    let comparisons: BTreeMap<_, _> = by_port
        .into_iter()
        .map(|(port, attempts)| (port, Comparison::of(attempts)))
        .collect();
    let nothing = Comparison::default();
    all(stands)
        .map(|(stand, id, target)| {
            let attempts = attempts(stand, id);
            let all = every_attempt(stand, id);
            let first = &all[..all.len() - attempts.len()];
            let comparison = comparisons.get(&port(target)).unwrap_or(&nothing);
            ObservedCell {
                stand,
                target,
                observation: observation(stand, target, attempts, comparison),
                attempts,
                all,
                first_round: (!first.is_empty()).then(|| summarize(first, target.kind, comparison)),
                reaching: reaching(attempts, target.kind, comparison).collect(),
            }
        })
        .collect()
}

/// What a Service port is known by in its targets.
type Port<'a> = (Protocol, Option<&'a str>);

fn port(target: &Target) -> Port<'_> {
    (target.protocol, target.port_name.as_deref())
}

fn all(stands: &[ProbedPosition]) -> impl Iterator<Item = (&ProbedPosition, u32, &Target)> {
    stands.iter().flat_map(|stand| {
        (0..)
            .zip(&stand.targets)
            .map(move |(id, target)| (stand, id, target))
    })
}

/// The attempts that count: those of the last round.
fn attempts(stand: &ProbedPosition, id: u32) -> &[Attempt] {
    let all = every_attempt(stand, id);
    let superseded = all.iter().take_while(|attempt| attempt.superseded);
    &all[superseded.count()..]
}

/// The attempts of the first round and of the last one.
fn every_attempt(stand: &ProbedPosition, id: u32) -> &[Attempt] {
    stand
        .heard
        .as_ref()
        .ok()
        .and_then(|heard| heard.results.get(&id))
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn observation(
    stand: &ProbedPosition,
    target: &Target,
    attempts: &[Attempt],
    comparison: &Comparison,
) -> Observation {
    if target.protocol == Protocol::Sctp {
        return Observation::NotObserved(NotObserved::ProtocolNotProbed(
            Protocol::Sctp.to_string(),
        ));
    }
    let end = match &stand.heard {
        Err(why) => return Observation::NotObserved(why.clone()),
        Ok(heard) => &heard.end,
    };
    if !attempts.is_empty() {
        return observe(attempts, target.kind, comparison);
    }
    Observation::NotObserved(match end {
        End::NotStarted { why, .. } => {
            NotObserved::NotStarted(format!("the probe did not start: {why}"))
        }
        End::Failed(why) => NotObserved::ProbeFailed(why.clone()),
        End::Interrupted => NotObserved::Interrupted,
        End::Complete => {
            NotObserved::ProbeFailed("the probe printed nothing about this target".to_owned())
        }
    })
}

/// Converts an observation for the report.
pub fn observed(seen: &ObservedCell<'_>) -> Observed {
    let (value, mut reason) = match &seen.observation {
        Observation::Reachable { summary } => (ObservedValue::Reachable, summary.clone()),
        Observation::Unreachable { summary } => (ObservedValue::Unreachable, summary.clone()),
        Observation::Unstable { summary } => (ObservedValue::Unstable, summary.clone()),
        Observation::NotObserved(why) => (ObservedValue::NotObserved, why.to_string()),
    };
    // A first round that saw the same says nothing new.
    let counts = value != ObservedValue::NotObserved;
    if let Some(first) = seen
        .first_round
        .as_ref()
        .filter(|first| counts && **first != reason)
    {
        reason += &format!("; the first round saw: {first}");
    }
    let of = (!seen.attempts.is_empty()).then_some(seen.attempts.len());
    Observed {
        value,
        reason,
        ok: of.map(|_| seen.reaching.len()),
        of,
        latency_ms: latency_ms(&seen.reaching),
        client_ip_seen: client_ip_seen(seen.attempts),
        attempts: seen.all.to_vec(),
    }
}

/// Median time to connect, in milliseconds. Without connections, it is the time to the answer.
fn latency_ms(attempts: &[&Attempt]) -> Option<f64> {
    let mut times: Vec<u64> = attempts
        .iter()
        .filter_map(|attempt| attempt.connect_us.or(attempt.first_byte_us))
        .collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a bounded attempt has far fewer microseconds than 2^52"
    )]
    Some(*median as f64 / 1000.0)
}

/// The client's address as the server saw it, if the server reported the same address each time.
fn client_ip_seen(attempts: &[Attempt]) -> Option<IpAddr> {
    let mut seen = attempts
        .iter()
        .filter_map(|attempt| attempt.outcome.echo()?.client);
    let first = seen.next()?;
    seen.all(|address| address == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{ProbedPosition, observed, seen};
    use crate::{
        probes::output::{End, Fault, ProbeOutput},
        testing,
    };
    use std::collections::BTreeMap;
    use svc_reach_common::{
        observation::{NotObserved, ObservedValue},
        position::Position,
        protocol::Protocol,
        target::{Target, TargetKind},
        wire::outcome::{Attempt, Echo, Outcome, Phase},
    };

    fn target(protocol: Protocol) -> Target {
        Target {
            protocol,
            ..testing::target(TargetKind::ClusterIp, "10.0.0.1")
        }
    }

    fn attempt(outcome: Outcome, connect_us: Option<u64>) -> Attempt {
        Attempt {
            connect_us,
            ..Attempt::from(outcome)
        }
    }

    fn stand(
        position: Position,
        protocol: Protocol,
        attempts: Option<Vec<Attempt>>,
        end: End,
    ) -> ProbedPosition {
        let results =
            attempts.map_or_else(BTreeMap::new, |attempts| BTreeMap::from([(0, attempts)]));
        ProbedPosition {
            accepted: Vec::new(),
            position,
            node: None,
            targets: vec![target(protocol)],
            heard: Ok(ProbeOutput {
                results,
                host: None,
                end,
            }),
        }
    }

    #[test]
    fn a_cell_without_attempts_is_not_observed() {
        let tcp = |end| stand(Position::PodSame, Protocol::Tcp, None, end);
        let unheard = ProbedPosition {
            accepted: Vec::new(),
            heard: Err(NotObserved::NoNode("every node runs a backend".into())),
            ..tcp(End::Complete)
        };
        let rows = [
            ("no node", unheard, "every node runs a backend"),
            (
                "not started",
                tcp(End::not_started("no image", Fault::Unclear)),
                "the probe did not start: no image",
            ),
            (
                "crashed",
                tcp(End::Failed("exit code 1".into())),
                "exit code 1",
            ),
            (
                "interrupted",
                tcp(End::Interrupted),
                "the run was interrupted before this was finished",
            ),
            (
                "forgotten",
                tcp(End::Complete),
                "the probe printed nothing about this target",
            ),
            (
                "SCTP",
                stand(Position::PodSame, Protocol::Sctp, None, End::Complete),
                "SCTP is not probed",
            ),
        ];
        for (name, stand, reason) in rows {
            let stands = [stand];
            let observed = observed(&seen(&stands)[0]);
            assert_eq!(
                (observed.value, observed.reason.as_str()),
                (ObservedValue::NotObserved, reason),
                "{name}"
            );
            assert_eq!((observed.ok, observed.of), (None, None), "{name}");
        }
    }

    #[test]
    fn results_before_a_probe_failed_count() {
        let answered = attempt(Outcome::Connected, Some(1500));
        let stands = [stand(
            Position::PodSame,
            Protocol::Tcp,
            Some(vec![answered]),
            End::Failed("cut short".into()),
        )];
        let observed = observed(&seen(&stands)[0]);
        assert_eq!(observed.value, ObservedValue::Reachable);
        assert_eq!(observed.latency_ms, Some(1.5));
    }

    #[test]
    fn silence_is_unreachable_if_any_position_got_an_answer() {
        let silent = || Some(vec![attempt(Outcome::Silent, None)]);
        let answer = || {
            Some(vec![attempt(
                Outcome::Answered {
                    status: None,
                    echo: None,
                },
                None,
            )])
        };
        let values = |stands: &[ProbedPosition]| {
            seen(stands)
                .iter()
                .map(|seen| observed(seen).value)
                .collect::<Vec<_>>()
        };
        let udp = |position, attempts| stand(position, Protocol::Udp, attempts, End::Complete);
        assert_eq!(
            values(&[
                udp(Position::PodSame, silent()),
                udp(Position::PodOther, silent())
            ]),
            [ObservedValue::NotObserved, ObservedValue::NotObserved]
        );
        assert_eq!(
            values(&[
                udp(Position::PodSame, silent()),
                udp(Position::PodOther, answer())
            ]),
            [ObservedValue::Unreachable, ObservedValue::Reachable]
        );
    }

    #[test]
    fn the_client_address_is_reported_if_servers_agree() {
        let told = |client: &str| {
            let echo = Echo {
                pod: None,
                node: None,
                client: Some(client.parse().unwrap()),
            };
            attempt(
                Outcome::Answered {
                    status: Some(200),
                    echo: Some(echo),
                },
                None,
            )
        };
        for (attempts, expected) in [
            (vec![told("10.0.0.1"), told("10.0.0.1")], Some("10.0.0.1")),
            (vec![told("10.0.0.1"), told("10.0.0.2")], None),
            (vec![attempt(Outcome::Connected, None)], None),
        ] {
            let stands = [stand(
                Position::PodSame,
                Protocol::Tcp,
                Some(attempts),
                End::Complete,
            )];
            let seen_ip = observed(&seen(&stands)[0]).client_ip_seen;
            assert_eq!(seen_ip.map(|ip| ip.to_string()).as_deref(), expected);
        }
    }

    fn reasons(cells: Vec<(TargetKind, Vec<Outcome>)>) -> Vec<(ObservedValue, String)> {
        let (targets, results): (Vec<Target>, Vec<Vec<Attempt>>) = cells
            .into_iter()
            .map(|(kind, outcomes)| {
                let target = Target {
                    kind,
                    ..target(Protocol::Tcp)
                };
                let attempts = outcomes.into_iter().map(|outcome| attempt(outcome, None));
                (target, attempts.collect())
            })
            .unzip();
        let stands = [ProbedPosition {
            accepted: Vec::new(),
            targets,
            heard: Ok(ProbeOutput {
                results: (0..).zip(results).collect(),
                host: None,
                end: End::Complete,
            }),
            ..stand(Position::PodSame, Protocol::Tcp, None, End::Complete)
        }];
        let cells = seen(&stands);
        let observed = cells.iter().map(observed);
        observed.map(|seen| (seen.value, seen.reason)).collect()
    }

    fn status(status: u16) -> Outcome {
        Outcome::Answered {
            status: Some(status),
            echo: None,
        }
    }

    #[test]
    fn a_gateway_error_is_an_answer_only_if_the_backend_gives_it_too() {
        use ObservedValue::{Reachable, Unreachable, Unstable};
        use TargetKind::{HealthCheckNodePort, LoadBalancer, PodIp};
        let in_front = "answered HTTP 503 by something in front of the backends, not served";
        let own = "answered HTTP 503, as the backends do";
        let rows = [
            (
                "a proxy without backends",
                vec![(LoadBalancer, vec![status(503)]), (PodIp, vec![])],
                (Unreachable, in_front),
            ),
            (
                "a proxy that does not get through",
                vec![
                    (LoadBalancer, vec![status(503)]),
                    (PodIp, vec![status(200)]),
                ],
                (Unreachable, in_front),
            ),
            (
                "another error than the backend's",
                vec![
                    (LoadBalancer, vec![status(503)]),
                    (PodIp, vec![status(502)]),
                ],
                (Unreachable, in_front),
            ),
            (
                "the backend's own answer",
                vec![
                    (LoadBalancer, vec![status(503)]),
                    (PodIp, vec![status(503)]),
                ],
                (Reachable, own),
            ),
            (
                "the backend, asked directly",
                vec![(PodIp, vec![status(503)])],
                (Reachable, own),
            ),
            (
                "sometimes",
                vec![
                    (LoadBalancer, vec![status(200), status(504)]),
                    (PodIp, vec![status(200)]),
                ],
                (
                    Unstable,
                    "1× answered HTTP 200, 1× answered HTTP 504 by something in front of the backends, not served",
                ),
            ),
            (
                "kube-proxy's health check, on a node without a backend",
                vec![(HealthCheckNodePort, vec![status(503)])],
                (Reachable, "answered HTTP 503"),
            ),
            (
                "another error",
                vec![(LoadBalancer, vec![status(500)])],
                (Reachable, "answered HTTP 500"),
            ),
        ];
        for (name, cells, (value, reason)) in rows {
            let first = reasons(cells).remove(0);
            assert_eq!(first, (value, reason.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_connection_that_is_ended_at_once_counts_only_if_the_backend_ends_it_too() {
        let ended = || Outcome::Closed {
            phase: Phase::Connect,
        };
        let reset = || Outcome::Reset {
            phase: Phase::Connect,
            errno: 104,
        };
        let through = TargetKind::NodePort;
        let rows = [
            (
                vec![ended()],
                vec![Outcome::Connected],
                ObservedValue::Unreachable,
            ),
            (vec![ended()], vec![], ObservedValue::Unreachable),
            (vec![ended()], vec![ended()], ObservedValue::Reachable),
            (vec![reset()], vec![ended()], ObservedValue::Reachable),
            (
                vec![Outcome::Connected, reset()],
                vec![Outcome::Connected],
                ObservedValue::Unstable,
            ),
        ];
        for (outcomes, directly, value) in rows {
            let name = format!("{outcomes:?}, directly {directly:?}");
            let cells = vec![(through, outcomes), (TargetKind::PodIp, directly)];
            assert_eq!(reasons(cells)[0].0, value, "{name}");
        }
    }

    #[test]
    fn a_request_that_is_never_answered_says_nothing_about_the_network() {
        let late = || Outcome::TimedOut {
            phase: Phase::Answer,
        };
        let ended = || Outcome::Closed {
            phase: Phase::Answer,
        };
        use TargetKind::{ClusterIp, LoadBalancer, PodIp};
        let direct = "accepted, no answer; the backends do the same when they are asked directly, so the request is wrong for this server";
        let unknown = "accepted, no answer; no backend answered directly in this run";
        let rows = [
            (
                "slow everywhere",
                LoadBalancer,
                late(),
                Some(late()),
                ObservedValue::NotObserved,
                direct,
            ),
            (
                "a server that expects the PROXY protocol",
                ClusterIp,
                ended(),
                Some(ended()),
                ObservedValue::NotObserved,
                direct,
            ),
            (
                "slow, and nothing to compare",
                LoadBalancer,
                late(),
                None,
                ObservedValue::NotObserved,
                unknown,
            ),
            (
                "ended, and nothing to compare",
                LoadBalancer,
                ended(),
                None,
                ObservedValue::Unreachable,
                "accepted, then closed",
            ),
            (
                "not answered here only",
                LoadBalancer,
                late(),
                Some(status(200)),
                ObservedValue::Unreachable,
                "accepted, then timed out",
            ),
        ];
        for (name, kind, outcome, directly, value, reason) in rows {
            let mut cells = vec![(kind, vec![outcome])];
            cells.extend(directly.map(|outcome| (PodIp, vec![outcome])));
            let all = reasons(cells);
            assert_eq!(all[0].0, value, "{name}");
            assert!(all[0].1.starts_with(reason), "{name}: {}", all[0].1);
        }
        // A backend that hangs is worse, if another one answers.
        let all = reasons(vec![
            (PodIp, vec![late()]),
            (PodIp, vec![status(200)]),
            (ClusterIp, vec![status(200), late()]),
        ]);
        let values: Vec<_> = all.into_iter().map(|(value, _)| value).collect();
        assert_eq!(
            values,
            [
                ObservedValue::Unreachable,
                ObservedValue::Reachable,
                ObservedValue::Unstable
            ]
        );
    }

    #[test]
    fn a_resolver_that_fails_says_nothing_about_a_load_balancer() {
        let failed = || Outcome::NameLookupFailed {
            detail: "SERVFAIL".into(),
        };
        let all = reasons(vec![
            (TargetKind::LoadBalancer, vec![failed()]),
            (TargetKind::Dns, vec![failed()]),
            (TargetKind::LoadBalancer, vec![Outcome::NameNotFound]),
        ]);
        let values: Vec<_> = all.into_iter().map(|(value, _)| value).collect();
        assert_eq!(
            values,
            [
                ObservedValue::NotObserved,
                ObservedValue::Unreachable,
                ObservedValue::Unreachable
            ]
        );
    }

    #[test]
    fn the_second_round_counts_and_both_are_reported() {
        let first = |outcome| Attempt {
            superseded: true,
            ..attempt(outcome, None)
        };
        let late = || Outcome::TimedOut {
            phase: Phase::Connect,
        };
        let attempts = vec![
            first(Outcome::Connected),
            first(late()),
            attempt(Outcome::Connected, Some(900)),
            attempt(Outcome::Connected, Some(900)),
        ];
        let of_stand = |attempts| {
            let stands = [stand(
                Position::PodSame,
                Protocol::Tcp,
                Some(attempts),
                End::Complete,
            )];
            observed(&seen(&stands)[0])
        };
        let settled = of_stand(attempts.clone());
        assert_eq!(settled.value, ObservedValue::Reachable);
        assert_eq!((settled.ok, settled.of), (Some(2), Some(2)));
        assert_eq!(settled.attempts, attempts, "both rounds");
        assert_eq!(
            settled.reason,
            "connected; the first round saw: 1× connected, 1× timed out"
        );
        let still = of_stand(vec![first(late()), attempt(late(), None)]);
        assert_eq!(still.value, ObservedValue::Unreachable);
    }
}
