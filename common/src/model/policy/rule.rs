//! Rules of a policy.

use super::{
    decision::Miss,
    labels::Labels,
    missing::{Missing, any},
    party::Party,
    peer::Peer,
    port::{PolicyPort, PortNumber},
};
use std::collections::BTreeMap;

/// One of `ingress` or `egress`. A connection has to match both lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// `ports`; empty: every port.
    pub ports: Vec<PolicyPort>,
    /// `from` or `to`; empty: every peer.
    pub peers: Vec<Peer>,
}

impl Rule {
    /// Whether the rule allows a connection (`None`), or why it does not. `own`: the policy's namespace.
    pub(super) fn miss(
        &self,
        own: &str,
        namespaces: &BTreeMap<String, Labels>,
        peer: &Party<'_>,
        destination: &Party<'_>,
        number: PortNumber,
    ) -> Result<Option<Miss>, Missing> {
        let ports = self
            .ports
            .iter()
            .map(|port| port.matches(destination, number));
        let peers = self
            .peers
            .iter()
            .map(|one| one.matches(own, namespaces, peer));
        let port = if self.ports.is_empty() {
            Ok(true)
        } else {
            any(ports)
        };
        let peer = if self.peers.is_empty() {
            Ok(true)
        } else {
            any(peers)
        };
        match (peer, port) {
            (Ok(false), Ok(false)) => Ok(Some(Miss::Both)),
            (Ok(false), _) => Ok(Some(Miss::Peer)),
            (_, Ok(false)) => Ok(Some(Miss::Port)),
            (Ok(true), Ok(true)) => Ok(None),
            (Err(why), _) | (_, Err(why)) => Err(why),
        }
    }
}
