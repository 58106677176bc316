//! One cell of an edition.

use super::{
    axes::{Class, Flavour, Forwarder, ServiceKind, Spot},
    column::Column,
};
use crate::{
    facts::TrafficPolicy,
    position::Position,
    target::{Relation, Scope},
    verdict::{Basis, Reachability},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The conditions of a cell. If an axis is `None`, the document does not distinguish its values, and the cell applies
/// to all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// What publishes the workload.
    pub service: Option<ServiceKind>,
    /// Class of the load balancer.
    pub class: Option<Class>,
    /// Whether the address is public or private.
    pub access: Option<Scope>,
    /// Where the client is.
    pub position: Position,
    /// Network model and proxy mode.
    pub column: Option<Column>,
    /// The address that the client connects to.
    pub target: Spot,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Whether requests from inside the cluster are sent to the load balancer itself.
    pub pass_through: Option<bool>,
    /// Flavour of the cluster.
    pub flavour: Option<Flavour>,
    /// `spec.internalTrafficPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Whether the target's node is the client's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// Whether the backends are on the host network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// What forwards Service traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarder: Option<Forwarder>,
}

/// What an edition says under some conditions: whether the target can be reached, or what the backend sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentedCell<V = Reachability> {
    /// The conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// What it says.
    pub value: V,
    /// Whether the document states or only implies this.
    pub basis: Basis,
    /// The place in the document.
    pub pointer: String,
    /// The source of this cell, if it differs from the edition's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Conditions {
    /// Conditions that name only a position and a target.
    pub(super) const fn anywhere(position: Position, target: Spot) -> Self {
        Self {
            service: None,
            class: None,
            access: None,
            position,
            column: None,
            target,
            external_traffic_policy: None,
            pass_through: None,
            flavour: None,
            internal_traffic_policy: None,
            relation: None,
            host_network: None,
            forwarder: None,
        }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.service.map(|word| word.to_string()));
        words.extend(self.class.map(|word| word.to_string()));
        words.extend(self.access.map(|word| word.to_string()));
        words.push(self.position.to_string());
        words.extend(self.column.map(|word| word.to_string()));
        words.push(self.target.to_string());
        words.extend(
            self.external_traffic_policy
                .map(|word| format!("externalTrafficPolicy {word}")),
        );
        words.extend(self.pass_through.map(|on| format!("passThrough {on}")));
        words.extend(self.flavour.map(|word| word.to_string()));
        words.extend(
            self.internal_traffic_policy
                .map(|word| format!("internalTrafficPolicy {word}")),
        );
        words.extend(self.relation.map(|word| word.to_string()));
        words.extend(self.host_network.map(|on| format!("hostNetwork {on}")));
        words.extend(self.forwarder.map(|word| word.to_string()));
        f.write_str(&words.join(", "))
    }
}
