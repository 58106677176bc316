//! Makes the observations of a report from the outputs of probes. Pure.

use crate::probes::{output::End, probed_position::ProbedPosition};
use std::{collections::BTreeMap, net::IpAddr};
use svc_reach_common::{
    observation::{NotObserved, Observation, ObservedValue, Silence, answered, observe},
    protocol::Protocol,
    report::Observed,
    target::Target,
    wire::outcome::{Attempt, Meaning, Outcome},
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
    /// Every attempt.
    pub attempts: &'a [Attempt],
}

/// The observations of all positions.
///
/// What silence after a datagram means depends on all positions. If the payload was answered at any position, the
/// server answers it, so silence elsewhere means unreachable.
pub fn seen(stands: &[ProbedPosition]) -> Vec<ObservedCell<'_>> {
    let mut by_port: BTreeMap<Option<&str>, Vec<&Attempt>> = BTreeMap::new();
    for (stand, id, target) in all(stands) {
        if target.protocol == Protocol::Udp {
            by_port
                .entry(target.port_name.as_deref())
                .or_default()
                .extend(attempts(stand, id));
        }
    }
    let silence: BTreeMap<_, _> = by_port
        .into_iter()
        .map(|(port, attempts)| (port, Silence::of(attempts)))
        .collect();
    all(stands)
        .map(|(stand, id, target)| {
            let attempts = attempts(stand, id);
            let silence = silence
                .get(&target.port_name.as_deref())
                .copied()
                .unwrap_or(Silence::Unknown);
            ObservedCell {
                stand,
                target,
                observation: observation(stand, target, attempts, silence),
                attempts,
            }
        })
        .collect()
}

fn all(stands: &[ProbedPosition]) -> impl Iterator<Item = (&ProbedPosition, u32, &Target)> {
    stands.iter().flat_map(|stand| {
        (0..)
            .zip(&stand.targets)
            .map(move |(id, target)| (stand, id, target))
    })
}

fn attempts(stand: &ProbedPosition, id: u32) -> &[Attempt] {
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
    silence: Silence,
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
        return observe(attempts, silence);
    }
    Observation::NotObserved(match end {
        End::NotStarted(why) => NotObserved::NotStarted(format!("the probe did not start: {why}")),
        End::Failed(why) => NotObserved::ProbeFailed(why.clone()),
        End::Interrupted => NotObserved::Interrupted,
        End::Complete => {
            NotObserved::ProbeFailed("the probe printed nothing about this target".to_owned())
        }
    })
}

/// Converts an observation for the report.
pub fn observed(seen: &ObservedCell<'_>) -> Observed {
    let (value, reason) = match &seen.observation {
        Observation::Reachable { summary } => (ObservedValue::Reachable, summary.clone()),
        Observation::Unreachable { summary } => (ObservedValue::Unreachable, summary.clone()),
        Observation::Unstable { summary } => (ObservedValue::Unstable, summary.clone()),
        Observation::NotObserved(why) => (ObservedValue::NotObserved, why.to_string()),
    };
    let of = (!seen.attempts.is_empty()).then_some(seen.attempts.len());
    Observed {
        value,
        reason,
        ok: of.map(|_| answered(seen.attempts)),
        of,
        latency_ms: latency_ms(seen.attempts),
        client_ip_seen: client_ip_seen(seen.attempts),
        attempts: seen.attempts.to_vec(),
    }
}

/// Median time to connect of the answered attempts, in milliseconds. Without connections, it is the time to the answer.
fn latency_ms(attempts: &[Attempt]) -> Option<f64> {
    let mut times: Vec<u64> = attempts
        .iter()
        .filter(|attempt| attempt.outcome.meaning() == Meaning::Reached)
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
        .filter_map(|attempt| match &attempt.outcome {
            Outcome::Answered {
                echo: Some(echo), ..
            } => echo.client,
            Outcome::Answered { echo: None, .. }
            | Outcome::Connected
            | Outcome::NotHttp { .. }
            | Outcome::TlsFailure { .. }
            | Outcome::Closed { .. }
            | Outcome::Refused { .. }
            | Outcome::Reset { .. }
            | Outcome::TimedOut { .. }
            | Outcome::Silent
            | Outcome::HostUnreachable { .. }
            | Outcome::NetworkUnreachable { .. }
            | Outcome::Blocked { .. }
            | Outcome::NameNotFound
            | Outcome::NameLookupFailed { .. }
            | Outcome::Failed { .. } => None,
        });
    let first = seen.next()?;
    seen.all(|address| address == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{ProbedPosition, observed, seen};
    use crate::{
        probes::output::{End, ProbeOutput},
        testing::port,
    };
    use std::collections::BTreeMap;
    use svc_reach_common::{
        observation::{NotObserved, ObservedValue},
        position::Position,
        protocol::Protocol,
        target::{Target, TargetKind},
        wire::outcome::{Attempt, Echo, Outcome},
    };

    fn target(protocol: Protocol) -> Target {
        Target {
            kind: TargetKind::ClusterIp,
            address: "10.0.0.1".into(),
            port: port(80),
            protocol,
            port_name: None,
            node: None,
            node_role: None,
            relation: None,
            scope: None,
        }
    }

    fn attempt(outcome: Outcome, connect_us: Option<u64>) -> Attempt {
        Attempt {
            outcome,
            local: None,
            remote: None,
            connect_us,
            tls_us: None,
            first_byte_us: None,
            sent_again: false,
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
            heard: Err(NotObserved::NoNode("every node runs a backend".into())),
            ..tcp(End::Complete)
        };
        let rows = [
            ("no node", unheard, "every node runs a backend"),
            (
                "not started",
                tcp(End::NotStarted("no image".into())),
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
}
