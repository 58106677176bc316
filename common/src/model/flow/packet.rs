//! A packet, and what a node's proxy does with it.

use crate::{
    facts::Service,
    model::{cause::Cause, world::Backend},
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::Why,
};
use std::net::IpAddr;

words! {
    /// What a node's proxy does with a packet.
    pub enum ProxyAction("action") {
        /// Sends it to one of some endpoints.
        Endpoints = "endpoints",
        /// Answers that nobody listens.
        Reject = "reject",
        /// Swallows it.
        Drop = "drop",
        /// Lets it through to the node itself, by a rule of its own or because the node has the address.
        Accept = "accept",
        /// Leaves it alone.
        None = "none",
    }
}

/// The first packet of a connection, as a node sees it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// The node that handles it: the client's own for a process or pod on it, else the one that it arrives at.
    pub node: &'p str,
    /// Where the client is: on the node's own network, in a pod, or anywhere else.
    pub client: Network,
    /// Source address. Unknown: the node's own for a process on it; a pod that is no endpoint itself; anybody outside.
    pub client_ip: Option<IpAddr>,
    /// Destination address.
    pub ip: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// What a node's proxy does with a packet, and why.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// What it does.
    pub action: ProxyAction,
    /// The endpoints it may choose, sorted as text. Session affinity does not change them: it only lets a client meet
    /// the same one again.
    pub endpoints: Vec<Backend<'a>>,
    /// Whether the endpoint sees an address of this node instead of the packet's source: true or false whichever endpoint
    /// is chosen; `None` where it depends on that (a client that is one of several endpoints is masqueraded to itself
    /// only), is not known, or where no endpoint is.
    pub masquerade: Option<bool>,
    /// The rules that lead there.
    pub why: Vec<Why>,
    /// What is against the client, where it is not sent to an endpoint for a reason of the Service.
    pub cause: Option<Cause>,
    /// Of whose Service this is, where it is one's.
    pub service: Option<&'a Service>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotModelled {
    /// No such node is known.
    #[error("unknown node {node:?}, expected one of: {}", known.join(", "))]
    Node {
        /// The name.
        node: String,
        /// All that are known.
        known: Vec<String>,
    },
    /// What this proxy does is not known.
    #[error(
        "the model does not know proxy mode {0}; it knows iptables, ipvs and nftables of kube-proxy"
    )]
    Mode(ProxyMode),
}
