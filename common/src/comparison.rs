//! What the other attempts on the same Service port say about one attempt.
//!
//! Some outcomes prove nothing alone. A proxy without a backend accepts a connection and closes it, or answers HTTP 503,
//! and so does a server that is meant to do so. The same request made directly to the backends tells them apart.

use crate::{
    target::TargetKind,
    wire::outcome::{Attempt, Meaning, Outcome, Phase},
};
use std::collections::BTreeSet;

/// What the attempts on a Service port saw, from all positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Kinds of targets that gave an answer which proves by itself that a server was reached.
    answered: BTreeSet<TargetKind>,
    /// Gateway errors that backends gave when they were asked directly.
    gateway_errors: BTreeSet<u16>,
    /// Whether a backend that was asked directly accepted a bare connection and ended it.
    ends_connections: bool,
    /// Whether a backend that was asked directly accepted a connection and did not answer the request.
    leaves_unanswered: bool,
}

/// What an attempt means, together with the other attempts on the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// A backend was reached.
    Reached,
    /// No backend was reached.
    NotReached,
    /// The request may be wrong for the server, or the server too slow. This says nothing about the network.
    Unanswered,
    /// The datagram was not answered. The server may not answer this payload.
    Silent,
    /// The probe could not try.
    Unknown,
}

/// Kinds of targets behind which nothing works above TCP, so that all of them get the same request to the backends.
const PLAIN: [TargetKind; 4] = [
    TargetKind::PodIp,
    TargetKind::ClusterIp,
    TargetKind::Dns,
    TargetKind::NodePort,
];

impl Comparison {
    /// Collects what all attempts on a Service port saw. Each attempt has the kind of its target.
    pub fn of<'a>(attempts: impl IntoIterator<Item = (TargetKind, &'a Attempt)>) -> Self {
        let mut comparison = Self::default();
        for (kind, attempt) in attempts {
            let direct = kind == TargetKind::PodIp;
            match (attempt.outcome.meaning(), &attempt.outcome) {
                (Meaning::Reached, _) => {
                    comparison.answered.insert(kind);
                }
                (Meaning::Accepted, outcome) if direct => match Accepted::of(outcome) {
                    Accepted::GatewayError(status) => {
                        comparison.gateway_errors.insert(status);
                    }
                    Accepted::Ended => comparison.ends_connections = true,
                    Accepted::Late | Accepted::Dropped => comparison.leaves_unanswered = true,
                },
                (
                    Meaning::Accepted | Meaning::NotReached | Meaning::Ambiguous | Meaning::Unknown,
                    _,
                ) => {}
            }
        }
        comparison
    }

    /// Whether backends that were asked directly accept connections and do not answer this request.
    #[must_use]
    pub const fn leaves_unanswered(&self) -> bool {
        self.leaves_unanswered
    }

    /// What an attempt on a target of this kind means. The first of these that applies decides:
    ///
    /// 1. The health check of a node is answered by kube-proxy itself, so any status is its answer.
    /// 2. A gateway error counts as reached only if a backend gave the same one directly.
    /// 3. A bare connection that was accepted and ended counts as reached only if a backend did the same directly.
    /// 4. A request that was accepted and not answered: not reached if the same request is answered on this kind of
    ///    target elsewhere, or where nothing works above TCP. If the backends do not answer it directly either, or if
    ///    the server had not answered in time, nothing is concluded.
    /// 5. A datagram without an answer was lost if the payload is answered elsewhere.
    /// 6. A failed lookup of a name that is not the cluster's own says nothing about the target.
    #[must_use]
    pub fn meaning(&self, kind: TargetKind, outcome: &Outcome) -> Compared {
        let reached_if = |same| {
            if same {
                Compared::Reached
            } else {
                Compared::NotReached
            }
        };
        match outcome.meaning() {
            Meaning::Reached => Compared::Reached,
            Meaning::NotReached if is_lookup(outcome) && kind != TargetKind::Dns => {
                Compared::Unknown
            }
            Meaning::NotReached => Compared::NotReached,
            Meaning::Unknown => Compared::Unknown,
            Meaning::Ambiguous if self.answered.is_empty() => Compared::Silent,
            Meaning::Ambiguous => Compared::NotReached,
            Meaning::Accepted => match Accepted::of(outcome) {
                Accepted::GatewayError(status) => reached_if(
                    kind == TargetKind::HealthCheckNodePort
                        || self.gateway_errors.contains(&status),
                ),
                Accepted::Ended => reached_if(self.ends_connections),
                Accepted::Late | Accepted::Dropped if self.answers(kind) => Compared::NotReached,
                Accepted::Dropped if !self.leaves_unanswered => Compared::NotReached,
                Accepted::Late | Accepted::Dropped => Compared::Unanswered,
            },
        }
    }

    /// The outcome in words, with what the comparison adds.
    #[must_use]
    pub fn words(&self, kind: TargetKind, outcome: &Outcome) -> String {
        let text = outcome.to_string();
        if outcome.meaning() != Meaning::Accepted || kind == TargetKind::HealthCheckNodePort {
            return text;
        }
        match (Accepted::of(outcome), self.meaning(kind, outcome)) {
            (_, Compared::Reached) => format!("{text}, as the backends do"),
            (Accepted::GatewayError(_), _) => {
                format!("{text} by something in front of the backends, not served")
            }
            (Accepted::Ended | Accepted::Late | Accepted::Dropped, _) => text,
        }
    }

    /// Whether the request that targets of this kind get is known to be answered.
    fn answers(&self, kind: TargetKind) -> bool {
        let plainly = || PLAIN.iter().any(|plain| self.answered.contains(plain));
        self.answered.contains(&kind) || plainly() || !self.gateway_errors.is_empty()
    }
}

/// What came after a connection was accepted, if that proves nothing alone.
enum Accepted {
    /// This HTTP status.
    GatewayError(u16),
    /// No request was sent, and the connection was ended.
    Ended,
    /// The request was not answered in time.
    Late,
    /// The connection was ended instead of an answer.
    Dropped,
}

impl Accepted {
    const fn of(outcome: &Outcome) -> Self {
        if let Outcome::Answered {
            status: Some(status),
            ..
        } = outcome
        {
            Self::GatewayError(*status)
        } else if matches!(outcome, Outcome::TimedOut { .. }) {
            Self::Late
        } else if matches!(
            outcome,
            Outcome::Closed {
                phase: Phase::Connect
            } | Outcome::Reset {
                phase: Phase::Connect,
                ..
            }
        ) {
            Self::Ended
        } else {
            Self::Dropped
        }
    }
}

/// Whether the resolver failed. That a name does not exist is an answer, and no failure.
const fn is_lookup(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::NameLookupFailed { .. }
            | Outcome::TimedOut {
                phase: Phase::Resolve
            }
    )
}
