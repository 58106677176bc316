//! A NetworkPolicy.

use super::{
    decision::{Direction, SelectingPolicy},
    labels::Labels,
    missing::{Missing, Truth},
    party::Party,
    pod::Pod,
    port::PortNumber,
    rule::Rule,
    selector::LabelSelector,
};
use std::{collections::BTreeMap, fmt};

/// A NetworkPolicy of `networking.k8s.io/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.podSelector`.
    pub pods: LabelSelector,
    /// `spec.ingress`; `None` if the policy does not affect ingress.
    pub ingress: Option<Vec<Rule>>,
    /// `spec.egress`; `None` if the policy does not affect egress.
    pub egress: Option<Vec<Rule>>,
}

impl NetworkPolicy {
    /// The rules of a direction; `None` if the policy does not affect it.
    pub(super) fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }

    /// Whether the policy applies to a pod.
    pub(super) fn selects(&self, pod: &Pod) -> Truth {
        if self.namespace != pod.namespace {
            return Ok(false);
        }
        self.pods
            .matches(&pod.labels)
            .ok_or_else(|| Missing::PodLabels(pod.to_string()))
    }

    /// Whether one of the rules allows a connection (`None`), or what each of them misses.
    pub(super) fn misses(
        &self,
        direction: Direction,
        namespaces: &BTreeMap<String, Labels>,
        peer: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Result<Option<SelectingPolicy>, Missing> {
        let mut misses = Vec::new();
        let mut missing = None;
        for rule in self.rules(direction).unwrap_or_default() {
            match rule.miss(&self.namespace, namespaces, peer, destination, number) {
                Ok(None) => return Ok(None),
                Ok(Some(miss)) => misses.push(miss),
                Err(why) => missing = missing.or(Some(why)),
            }
        }
        match missing {
            Some(why) => Err(why),
            None => Ok(Some(SelectingPolicy {
                name: self.to_string(),
                misses,
            })),
        }
    }
}

impl fmt::Display for NetworkPolicy {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
