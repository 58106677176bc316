//! Ports that a rule allows.

use super::{
    missing::{Missing, Truth},
    party::{Identity, Party},
};
use crate::protocol::Protocol;
use std::num::NonZeroU16;

/// A port that a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortNumber {
    /// Its number, after translation to the backend's port.
    pub port: NonZeroU16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// One of a rule's `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPort {
    /// Its protocol; TCP if the policy names none.
    pub protocol: Protocol,
    /// Which ports of this protocol.
    pub choice: PortChoice,
}

/// Which ports of a protocol a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChoice {
    /// Every port.
    All,
    /// The ports from `port` to `endPort`, both included.
    Range {
        /// The first port.
        first: NonZeroU16,
        /// The last port; the first one if there is no `endPort`.
        last: NonZeroU16,
    },
    /// The port that the containers of the destination call by this name. A pod without a port of this name and
    /// protocol has no such port, and neither has an address outside of the cluster.
    Name(String),
}

impl PolicyPort {
    /// Whether this allows a port of the destination.
    pub(super) fn matches(&self, destination: &Party<'_>, number: PortNumber) -> Truth {
        if self.protocol != number.protocol {
            return Ok(false);
        }
        let name = match &self.choice {
            PortChoice::All => return Ok(true),
            PortChoice::Range { first, last } => {
                return Ok((*first..=*last).contains(&number.port));
            }
            PortChoice::Name(name) => name,
        };
        match destination.identity {
            Identity::Pod(pod) => match &pod.ports {
                Some(ports) => Ok(ports.iter().any(|port| {
                    port.name == *name
                        && port.protocol == number.protocol
                        && port.port == number.port
                })),
                None => Err(Missing::PodPorts(pod.to_string())),
            },
            Identity::Node(_) | Identity::Outside => Ok(false),
            Identity::Unknown => Err(Missing::Peer),
        }
    }
}
