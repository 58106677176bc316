//! The predicted result of a connection.

use super::paths::Input;
use crate::model::NotModelled;
use crate::{
    model::{cause::Cause, flow::ProxyAction},
    report::{Chance, Prediction, Why},
    target::TargetKind,
    verdict::Reachability,
};
use std::fmt;

/// What the client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredictedOutcome {
    /// It is served.
    Reached,
    /// The connection is refused at once.
    Refused,
    /// No answer arrives.
    TimedOut,
    /// It is not served. Whether it is refused or times out is unknown, or depends on the chosen node.
    RefusedOrTimedOut,
    /// It is served or gets no answer, depending on the chosen endpoint or node.
    Sometimes {
        /// How many choices serve it. A choice is an endpoint, a load balancer's node, or one of each.
        reached: usize,
        /// How many there are.
        of: usize,
        /// Whether each attempt is a new choice.
        each_attempt: bool,
    },
    /// The name has no address.
    NoName,
    /// The outcome is unknown, because these inputs are unknown.
    Unknown(Vec<Input>),
    /// The model does not know this proxy. The text says why.
    NotModelled(String),
}

impl PredictedOutcome {
    const fn is_unserved(&self) -> bool {
        matches!(
            self,
            Self::Refused | Self::TimedOut | Self::RefusedOrTimedOut
        )
    }

    /// How many of how many choices serve the client.
    const fn share(&self) -> (usize, usize) {
        match self {
            Self::Reached => (1, 1),
            Self::Sometimes { reached, of, .. } => (*reached, *of),
            Self::Refused
            | Self::TimedOut
            | Self::RefusedOrTimedOut
            | Self::NoName
            | Self::Unknown(_)
            | Self::NotModelled(_) => (0, 1),
        }
    }

    /// The one outcome that covers both, if there is one.
    fn or_unserved(&self, other: &Self) -> Option<Self> {
        if self == other {
            Some(self.clone())
        } else if self.is_unserved() && other.is_unserved() {
            Some(Self::RefusedOrTimedOut)
        } else {
            None
        }
    }
}

/// The share of several choices of equal weight, each of which has a share of its own.
fn total(shares: &[(usize, usize)]) -> (usize, usize) {
    let common = shares.iter().fold(1, |common, (_, of)| lcm(common, *of));
    let reached = shares.iter().map(|(reached, of)| reached * (common / of));
    (reached.sum(), common * shares.len())
}

/// The least common multiple.
const fn lcm(one: usize, other: usize) -> usize {
    let (mut divisor, mut rest) = (one, other);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    one / divisor * other
}

impl fmt::Display for PredictedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached => f.write_str("reached"),
            Self::Refused => f.write_str("refused"),
            Self::TimedOut => f.write_str("timeout"),
            Self::RefusedOrTimedOut => f.write_str("refused or timeout"),
            Self::Sometimes {
                reached,
                of,
                each_attempt: true,
            } => write!(f, "some attempts, by chance ({reached} of {of})"),
            Self::Sometimes {
                reached,
                of,
                each_attempt: false,
            } => write!(f, "always or never, by chance ({reached} of {of})"),
            Self::NoName => f.write_str("name not found"),
            Self::Unknown(missing) => {
                f.write_str("unknown: ")?;
                for (index, input) in missing.iter().enumerate() {
                    if index > 0 {
                        f.write_str("; ")?;
                    }
                    f.write_str(input.missing())?;
                }
                Ok(())
            }
            Self::NotModelled(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// The predicted result of a client's connection to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// What the proxy that handles the packet does with it; `None` if unknown.
    pub action: Option<ProxyAction>,
    /// The endpoints that may answer the client, as `ip:port`.
    pub endpoints: Vec<String>,
    /// Whether that proxy replaces the packet's source with its node's address.
    pub masquerade: Option<bool>,
    /// What the client sees.
    pub outcome: PredictedOutcome,
    /// Whether the backend sees the client's own address.
    pub client_kept: Option<bool>,
    /// The rules that lead to this result.
    pub why: Vec<Why>,
    /// What keeps the client from being served, at least sometimes.
    pub cause: Option<Cause>,
}

impl Forecast {
    /// A forecast that is unknown, because this input is unknown.
    #[must_use]
    pub fn unknown(missing: Input) -> Self {
        Self {
            action: None,
            endpoints: Vec::new(),
            masquerade: None,
            outcome: PredictedOutcome::Unknown(vec![missing]),
            client_kept: None,
            why: Vec::new(),
            cause: None,
        }
    }

    pub(super) fn not_modelled(error: &NotModelled) -> Self {
        let unknown = Self::unknown(Input::ProxyMode);
        match error {
            NotModelled::Proxy(_) => unknown,
            NotModelled::Endpoints(_) => Self::unknown(Input::Endpoints),
            NotModelled::Node { .. }
            | NotModelled::NoKubeProxy { .. }
            | NotModelled::Zone(_)
            | NotModelled::RulesNotLoaded(_)
            | NotModelled::Mode(_) => Self {
                outcome: PredictedOutcome::NotModelled(error.to_string()),
                ..unknown
            },
        }
    }

    pub(super) fn lost(action: Option<ProxyAction>, cause: Option<Cause>, why: Vec<Why>) -> Self {
        Self {
            action,
            endpoints: Vec::new(),
            masquerade: None,
            outcome: PredictedOutcome::TimedOut,
            client_kept: None,
            why,
            cause,
        }
    }

    pub(super) fn because(mut self, why: Vec<Why>) -> Self {
        self.why = why;
        self
    }

    /// The packet's source was already replaced before a proxy handled it.
    pub(super) fn seen_as_another(mut self) -> Self {
        self.client_kept = self.client_kept.map(|_| false);
        self
    }

    /// What becomes of the packet's source on the way is unknown.
    pub(super) fn seen_as_unknown(mut self) -> Self {
        self.client_kept = None;
        self
    }

    /// The packet passes a firewall that may discard it. Many providers have one in front of public addresses of nodes,
    /// and it does not open node ports by itself
    /// (<https://kubernetes.io/docs/tasks/access-application-cluster/configure-cloud-provider-firewall/>).
    pub(super) fn behind_a_firewall(mut self) -> Self {
        if matches!(
            self.outcome,
            PredictedOutcome::Reached | PredictedOutcome::Sometimes { .. }
        ) {
            self.outcome = PredictedOutcome::Unknown(vec![Input::Firewall]);
        }
        self
    }

    /// Combines two cases that differ in one unknown input.
    pub(super) fn merged(input: Input, yes: Self, no: Self) -> Self {
        let outcome = yes.outcome.or_unserved(&no.outcome);
        if outcome.is_none() {
            let mut missing = vec![input];
            for forecast in [&yes, &no] {
                if let PredictedOutcome::Unknown(others) = &forecast.outcome {
                    missing.extend(others);
                }
            }
            missing.sort_unstable();
            missing.dedup();
            return Self {
                action: (yes.action == no.action).then_some(yes.action).flatten(),
                endpoints: union(yes.endpoints, no.endpoints),
                outcome: PredictedOutcome::Unknown(missing),
                why: yes.why,
                cause: yes.cause.or(no.cause),
                ..Self::unknown(input)
            };
        }
        let mut why = Vec::new();
        if yes.why != no.why {
            why.push(Why {
                rule: format!(
                    "{} is unknown, but it makes no difference here; if so:",
                    input.missing()
                ),
                source: "both cases were computed".to_owned(),
            });
        }
        why.extend(yes.why);
        Self {
            action: (yes.action == no.action).then_some(yes.action).flatten(),
            masquerade: agreed(yes.masquerade, no.masquerade),
            client_kept: agreed(yes.client_kept, no.client_kept),
            endpoints: union(yes.endpoints, no.endpoints),
            outcome: outcome.unwrap_or(yes.outcome),
            why,
            cause: yes.cause.or(no.cause),
        }
    }

    /// Combines the forecasts of several nodes. Any of them may get the packet.
    pub(super) fn across_nodes(forecasts: Vec<Self>, balancer_keeps: Option<bool>) -> Self {
        // The balancer chooses anew for each attempt, if there is a choice.
        let several = forecasts.len() > 1;
        let shares = forecasts.iter().map(|forecast| forecast.outcome.share());
        let (reached, of) = total(&shares.collect::<Vec<_>>());
        let unknown = forecasts.iter().find(|forecast| {
            matches!(
                forecast.outcome,
                PredictedOutcome::Unknown(_) | PredictedOutcome::NotModelled(_)
            )
        });
        if let Some(unknown) = unknown {
            return unknown.clone();
        }
        let mut all = forecasts.into_iter();
        let Some(mut first) = all.next() else {
            return Self::unknown(Input::TargetNode);
        };
        for other in all {
            if first.action != other.action && first.outcome != PredictedOutcome::Reached {
                // Show the action of a node that serves the client, if there is one.
                first.action = other.action.or(first.action);
            }
            if let Some(outcome) = first.outcome.or_unserved(&other.outcome) {
                first.outcome = outcome;
            }
            first.cause = first.cause.or(other.cause);
            first.masquerade = agreed(first.masquerade, other.masquerade);
            first.client_kept = agreed(first.client_kept, other.client_kept);
            first.endpoints = union(first.endpoints, other.endpoints);
            for why in other.why {
                if !first.why.contains(&why) {
                    first.why.push(why);
                }
            }
        }
        if several && reached > 0 && reached < of {
            first.outcome = PredictedOutcome::Sometimes {
                reached,
                of,
                each_attempt: true,
            };
        }
        first.client_kept = match (first.client_kept, balancer_keeps) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            (None, _) | (_, None) => None,
        };
        first
    }

    /// Combines the forecasts of several nodes. One of them gets the packet, and which one is unknown.
    pub(super) fn if_unanimous(forecasts: Vec<Self>, missing: Input) -> Self {
        let mut all = forecasts.into_iter();
        let Some(mut first) = all.next() else {
            return Self::unknown(missing);
        };
        for other in all {
            let Some(outcome) = first.outcome.or_unserved(&other.outcome) else {
                return Self::unknown(missing).because(first.why);
            };
            first.outcome = outcome;
            first.cause = first.cause.or(other.cause);
            first.masquerade = agreed(first.masquerade, other.masquerade);
            first.client_kept = agreed(first.client_kept, other.client_kept);
            first.endpoints = union(first.endpoints, other.endpoints);
        }
        first
    }

    /// Whether the target can be reached; `None` if that is unknown or depends on chance.
    #[must_use]
    pub const fn reachability(&self) -> Option<Reachability> {
        match self.outcome {
            PredictedOutcome::Reached => Some(Reachability::Reachable),
            PredictedOutcome::Refused
            | PredictedOutcome::TimedOut
            | PredictedOutcome::RefusedOrTimedOut
            | PredictedOutcome::NoName => Some(Reachability::Unreachable),
            PredictedOutcome::Sometimes { .. }
            | PredictedOutcome::Unknown(_)
            | PredictedOutcome::NotModelled(_) => None,
        }
    }

    /// What chance decides; `None` if it decides nothing, or if the outcome is unknown.
    #[must_use]
    pub const fn chance(&self) -> Option<Chance> {
        match self.outcome {
            PredictedOutcome::Sometimes {
                reached,
                of,
                each_attempt,
            } => Some(Chance {
                served: reached,
                of,
                each_attempt,
            }),
            PredictedOutcome::Reached
            | PredictedOutcome::Refused
            | PredictedOutcome::TimedOut
            | PredictedOutcome::RefusedOrTimedOut
            | PredictedOutcome::NoName
            | PredictedOutcome::Unknown(_)
            | PredictedOutcome::NotModelled(_) => None,
        }
    }

    /// The forecast for such a target in the form that the report uses.
    #[must_use]
    pub fn prediction(&self, target: TargetKind) -> Prediction {
        Prediction {
            action: self
                .action
                .map_or("unknown", ProxyAction::as_str)
                .to_owned(),
            endpoints: self.endpoints.clone(),
            masquerade: self.masquerade,
            client_kept: self.client_kept,
            outcome: self.outcome.to_string(),
            reachable: self.reachability(),
            chance: self.chance(),
            why: self.why.clone(),
            cause: self.cause,
            remedy: self.cause.map(|cause| cause.remedy(target).to_owned()),
        }
    }
}

fn agreed(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    if one == other { one } else { None }
}

fn union(mut one: Vec<String>, other: Vec<String>) -> Vec<String> {
    one.extend(other);
    one.sort_unstable();
    one.dedup();
    one
}
