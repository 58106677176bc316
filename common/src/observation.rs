//! Combines all attempts of a cell.
//!
//! The most important rule: if a probe could not look, the cell is [`Observation::NotObserved`], never
//! [`Observation::Unreachable`].

use crate::{
    comparison::{Compared, Comparison},
    target::TargetKind,
    wire::outcome::Attempt,
};
use std::fmt;

words! {
    /// What was observed in a cell.
    pub enum ObservedValue("observed value") {
        /// Every attempt was answered.
        Reachable = "reachable",
        /// No attempt was answered.
        Unreachable = "unreachable",
        /// Some attempts were answered.
        Unstable = "unstable",
        /// No probe could look.
        NotObserved = "not-observed",
    }
}

/// The combined result of all attempts of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Every attempt was answered.
    Reachable {
        /// What the attempts saw.
        summary: String,
    },
    /// Every attempt shows that the target cannot be reached.
    Unreachable {
        /// What the attempts saw.
        summary: String,
    },
    /// Some attempts were answered and some were not.
    Unstable {
        /// What the attempts saw.
        summary: String,
    },
    /// No probe could look.
    NotObserved(NotObserved),
}

/// Why no probe could look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NotObserved {
    /// No node fits the position.
    NoNode(String),
    /// The probe was not created, or did not start.
    NotStarted(String),
    /// The probe started, and ended without an answer for this cell.
    ProbeFailed(String),
    /// Some attempts could not be made, and the others are not enough for a result.
    AttemptsFailed(String),
    /// No datagram was answered from any position. The server may not answer this payload.
    Silent,
    /// Connections were accepted and requests not answered, and nothing shows that the server answers such requests.
    Unanswered {
        /// Whether backends did the same when they were asked directly.
        directly: bool,
    },
    /// Probes do not support this protocol.
    ProtocolNotProbed(String),
    /// The run was interrupted before this cell was finished.
    Interrupted,
    /// What the cell depends on changed during the run.
    Changed(String),
    /// Something accepts every connection there, so an answer proves nothing.
    AcceptsEverything(String),
    /// Only others answered at private addresses, so the client may be in another network with the same addresses.
    OtherNetwork,
}

impl fmt::Display for NotObserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode(why)
            | Self::NotStarted(why)
            | Self::ProbeFailed(why)
            | Self::Changed(why) => f.write_str(why),
            Self::AcceptsEverything(proof) => {
                write!(f, "something accepts every connection there, so an answer proves nothing: {proof}")
            }
            Self::OtherNetwork => f.write_str(
                "something else answered this machine at private addresses of the Service, so it may be in another network with the same addresses (--external never leaves them out)",
            ),
            Self::AttemptsFailed(why) => write!(f, "could not try: {why}"),
            Self::Silent => f.write_str(
                "no answer to the datagram from any position: the server may not answer this payload (see --udp-payload)",
            ),
            Self::Unanswered { directly: true } => f.write_str(
                "accepted, no answer; the backends do the same when they are asked directly, so the request is wrong for this server (protocol, path, TLS, PROXY protocol; see --protocol and --path), or the server is slower than --timeout",
            ),
            Self::Unanswered { directly: false } => f.write_str(
                "accepted, no answer; no backend answered directly in this run, so the server may be slower than --timeout, or the request may be wrong for it (see --protocol and --path)",
            ),
            Self::ProtocolNotProbed(protocol) => write!(f, "{protocol} is not probed"),
            Self::Interrupted => f.write_str("the run was interrupted before this was finished"),
        }
    }
}

/// Numbers of attempts by meaning.
#[derive(Debug, Default)]
struct Tally {
    reached: usize,
    not_reached: usize,
    unanswered: usize,
    silent: usize,
    unknown: usize,
}

/// Combines the attempts of one cell. `comparison`: what all attempts on the same port saw. The first of these that
/// applies decides:
///
/// 1. Some attempts reached the target and some did not: the cell is unstable.
/// 2. An attempt could not be made, or nothing can be concluded from it: the cell is not observed.
/// 3. Otherwise all attempts agree.
///
/// ```
/// use svc_reach_common::comparison::Comparison;
/// use svc_reach_common::observation::{NotObserved, Observation, observe};
/// use svc_reach_common::target::TargetKind;
///
/// // Without an attempt there is nothing to conclude. In particular, the target is not "unreachable".
/// assert!(matches!(
///     observe(&[], TargetKind::ClusterIp, &Comparison::default()),
///     Observation::NotObserved(NotObserved::ProbeFailed(_))
/// ));
/// ```
#[must_use]
pub fn observe(attempts: &[Attempt], kind: TargetKind, comparison: &Comparison) -> Observation {
    let mut tally = Tally::default();
    for attempt in attempts {
        *match comparison.meaning(kind, &attempt.outcome) {
            Compared::Reached => &mut tally.reached,
            Compared::NotReached => &mut tally.not_reached,
            Compared::Unanswered => &mut tally.unanswered,
            Compared::Silent => &mut tally.silent,
            Compared::Unknown => &mut tally.unknown,
        } += 1;
    }
    // An answer in this cell proves that the server answers the request.
    if tally.reached > 0 {
        tally.not_reached += tally.silent + tally.unanswered;
        (tally.silent, tally.unanswered) = (0, 0);
    }
    let summary = || summarize(attempts, kind, comparison);
    match tally {
        Tally {
            reached: 1..,
            not_reached: 1..,
            ..
        } => Observation::Unstable { summary: summary() },
        Tally { unknown: 1.., .. } => {
            Observation::NotObserved(NotObserved::AttemptsFailed(summary()))
        }
        Tally { silent: 1.., .. } => Observation::NotObserved(NotObserved::Silent),
        Tally {
            unanswered: 1.., ..
        } => Observation::NotObserved(NotObserved::Unanswered {
            directly: comparison.leaves_unanswered(),
        }),
        Tally { reached: 1.., .. } => Observation::Reachable { summary: summary() },
        Tally {
            not_reached: 1.., ..
        } => Observation::Unreachable { summary: summary() },
        Tally { .. } => {
            Observation::NotObserved(NotObserved::ProbeFailed("no attempt was made".to_owned()))
        }
    }
}

/// The attempts that reached the target.
pub fn reaching<'a>(
    attempts: &'a [Attempt],
    kind: TargetKind,
    comparison: &Comparison,
) -> impl Iterator<Item = &'a Attempt> {
    attempts
        .iter()
        .filter(move |attempt| comparison.meaning(kind, &attempt.outcome) == Compared::Reached)
}

/// What attempts on a target of this kind saw, with counts, in the order in which each outcome first occurred.
#[must_use]
pub fn summarize(attempts: &[Attempt], kind: TargetKind, comparison: &Comparison) -> String {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for attempt in attempts {
        let text = comparison.words(kind, &attempt.outcome);
        match seen.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => seen.push((text, 1)),
        }
    }
    match seen.as_slice() {
        [(text, _)] => text.clone(),
        several => several
            .iter()
            .map(|(text, count)| format!("{count}× {text}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotObserved, Observation, observe};
    use crate::{
        comparison::Comparison,
        target::TargetKind,
        wire::outcome::{Attempt, Outcome, Phase},
    };

    fn attempts(outcomes: &[Outcome]) -> Vec<Attempt> {
        outcomes
            .iter()
            .map(|outcome| Attempt::from(outcome.clone()))
            .collect()
    }

    #[test]
    fn combines_attempts() {
        let ok = || Outcome::Answered {
            status: Some(200),
            echo: None,
        };
        let refused = || Outcome::Refused { errno: 111 };
        let late = || Outcome::TimedOut {
            phase: Phase::Connect,
        };
        let failed = || Outcome::Failed {
            detail: "too many open files".into(),
            errno: Some(24),
        };
        let reachable = |text: &str| Observation::Reachable {
            summary: text.into(),
        };
        let unreachable = |text: &str| Observation::Unreachable {
            summary: text.into(),
        };
        let unstable = |text: &str| Observation::Unstable {
            summary: text.into(),
        };
        let kind = TargetKind::ClusterIp;
        let unknown = Comparison::default();
        let known = Comparison::of(attempts(&[ok()]).iter().map(|attempt| (kind, attempt)));
        let (unknown, known) = (&unknown, &known);
        let rows: Vec<(&str, Vec<Outcome>, &Comparison, Observation)> = vec![
            (
                "all answer",
                vec![ok(), ok()],
                unknown,
                reachable("answered HTTP 200"),
            ),
            (
                "none answers",
                vec![refused(), late()],
                unknown,
                unreachable("1× refused, 1× timed out"),
            ),
            (
                "some answer",
                vec![ok(), late(), late()],
                unknown,
                unstable("1× answered HTTP 200, 2× timed out"),
            ),
            (
                "some answer and one could not look",
                vec![ok(), late(), failed()],
                unknown,
                unstable(
                    "1× answered HTTP 200, 1× timed out, 1× could not try (too many open files)",
                ),
            ),
            (
                "none answers and one could not look",
                vec![late(), failed()],
                unknown,
                Observation::NotObserved(NotObserved::AttemptsFailed(
                    "1× timed out, 1× could not try (too many open files)".into(),
                )),
            ),
            (
                "all answer but one that could not look",
                vec![ok(), failed()],
                unknown,
                Observation::NotObserved(NotObserved::AttemptsFailed(
                    "1× answered HTTP 200, 1× could not try (too many open files)".into(),
                )),
            ),
            (
                "no attempt could look",
                vec![failed()],
                known,
                Observation::NotObserved(NotObserved::AttemptsFailed(
                    "could not try (too many open files)".into(),
                )),
            ),
            (
                "no attempt",
                vec![],
                known,
                Observation::NotObserved(NotObserved::ProbeFailed("no attempt was made".into())),
            ),
            (
                "silence everywhere",
                vec![Outcome::Silent],
                unknown,
                Observation::NotObserved(NotObserved::Silent),
            ),
            (
                "silence here only",
                vec![Outcome::Silent],
                known,
                unreachable("no answer to the datagram"),
            ),
            (
                "silence and an answer",
                vec![ok(), Outcome::Silent],
                unknown,
                unstable("1× answered HTTP 200, 1× no answer to the datagram"),
            ),
        ];
        for (name, outcomes, comparison, expected) in rows {
            let observed = observe(&attempts(&outcomes), kind, comparison);
            assert_eq!(observed, expected, "{name}");
        }
    }
}
