//! One side of a connection, as a policy sees it.

use super::pod::Pod;
use ipnet::IpNet;

/// Who one side of a connection is.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// A pod. A pod on the host network also counts as its node.
    Pod(&'a Pod),
    /// A node: a process on its host network, or a client whose address the node replaced with its own.
    Node(&'a str),
    /// A machine outside of the cluster.
    Outside,
    /// It is unknown which of these it is.
    Unknown,
}

/// One side of a connection, as a policy sees it.
#[derive(Debug, Clone)]
pub struct Party<'a> {
    /// Who it is.
    pub identity: Identity<'a>,
    /// Ranges that contain its address. One range with one address means that the address is known; no range means
    /// that nothing is known about it.
    pub addresses: Vec<IpNet>,
}

impl<'a> Party<'a> {
    /// A side with one of these addresses.
    pub fn new(identity: Identity<'a>, addresses: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            identity,
            addresses: addresses.into_iter().collect(),
        }
    }

    /// The node whose own traffic this is.
    pub(super) const fn node(&self) -> Option<&'a str> {
        match self.identity {
            Identity::Node(node) => Some(node),
            Identity::Pod(pod) if pod.host_network => match &pod.node {
                Some(node) => Some(node.as_str()),
                None => None,
            },
            Identity::Pod(_) | Identity::Outside | Identity::Unknown => None,
        }
    }
}
