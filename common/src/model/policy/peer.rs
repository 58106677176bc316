//! Peers that a rule allows.

use super::{
    labels::Labels,
    missing::{Missing, Truth, both},
    party::{Identity, Party},
    selector::LabelSelector,
};
use ipnet::IpNet;
use std::collections::BTreeMap;

/// One of a rule's `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Pods. At least one of the selectors is set.
    Pods {
        /// `podSelector`; `None`: every pod of the namespaces.
        pods: Option<LabelSelector>,
        /// `namespaceSelector`; `None`: the policy's own namespace.
        namespaces: Option<LabelSelector>,
    },
    /// `ipBlock`.
    Block(IpBlock),
}

/// `ipBlock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: IpNet,
    /// `except`.
    pub except: Vec<IpNet>,
}

impl Peer {
    /// Whether this is the other side of a connection. `own`: the policy's namespace. `namespaces`: labels of
    /// namespaces.
    pub(super) fn matches(
        &self,
        own: &str,
        namespaces: &BTreeMap<String, Labels>,
        party: &Party<'_>,
    ) -> Truth {
        let (pods, spaces) = match self {
            Self::Pods { pods, namespaces } => (pods, namespaces),
            Self::Block(block) => return block.matches(party),
        };
        let pod = match party.identity {
            Identity::Pod(pod) => pod,
            Identity::Node(_) | Identity::Outside => return Ok(false),
            Identity::Unknown => return Err(Missing::Peer),
        };
        let space = match spaces {
            None => Ok(pod.namespace == own),
            Some(selector) => namespace_matches(selector, &pod.namespace, namespaces),
        };
        let labels = match pods {
            None => Ok(true),
            Some(selector) => selector
                .matches(&pod.labels)
                .ok_or_else(|| Missing::PodLabels(pod.to_string())),
        };
        match both(space, labels) {
            // Most implementations ignore such pods here, others may not (concept page, "NetworkPolicy and hostNetwork
            // pods").
            Ok(true) | Err(_) if pod.host_network => Err(Missing::HostNetwork(pod.to_string())),
            found => found,
        }
    }
}

fn namespace_matches(
    selector: &LabelSelector,
    namespace: &str,
    namespaces: &BTreeMap<String, Labels>,
) -> Truth {
    let unknown = Labels::unknown();
    selector
        .matches(namespaces.get(namespace).unwrap_or(&unknown))
        .ok_or_else(|| Missing::NamespaceLabels(namespace.to_owned()))
}

impl IpBlock {
    /// Whether the block contains the other side's address. A pod's address counts like any other.
    fn matches(&self, party: &Party<'_>) -> Truth {
        let mut answers = party.addresses.iter().map(|range| self.contains(range));
        let first = answers.next().ok_or(Missing::Address)?;
        if answers.all(|answer| answer == first) {
            first.ok_or(Missing::Address)
        } else {
            Err(Missing::Address)
        }
    }

    /// Whether the block contains all addresses of a range, or none; `None`: it contains some.
    fn contains(&self, range: &IpNet) -> Option<bool> {
        let overlaps = |other: &IpNet| other.contains(range) || range.contains(other);
        if !overlaps(&self.cidr) || self.except.iter().any(|except| except.contains(range)) {
            return Some(false);
        }
        let whole = self.cidr.contains(range) && !self.except.iter().any(overlaps);
        whole.then_some(true)
    }
}
