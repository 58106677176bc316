//! A pod, with the fields that policies use.

use super::labels::Labels;
use crate::protocol::Protocol;
use std::{fmt, net::IpAddr, num::NonZeroU16};

/// A pod, with the fields that policies use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `status.podIPs`.
    pub addresses: Vec<IpAddr>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Ports of the containers; `None` if they are unknown.
    pub ports: Option<Vec<ContainerPort>>,
}

/// One of `spec.containers[].ports` that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: NonZeroU16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl Pod {
    /// Whether both are the same pod.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.namespace, &self.name) == (&other.namespace, &other.name)
    }
}

impl fmt::Display for Pod {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
