//! A packet, and what a node's proxy does with it.

use crate::{
    facts::Service,
    model::{
        cause::Cause,
        proxy::{Detector, NodePortAddresses},
        version::Version,
        world::Backend,
    },
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    report::Why,
};
use std::net::IpAddr;

words! {
    /// What a node's proxy does with a packet.
    pub enum ProxyAction("action") {
        /// Sends it to one of the endpoints.
        Endpoints = "endpoints",
        /// Answers that the port is closed.
        Reject = "reject",
        /// Drops it without an answer.
        Drop = "drop",
        /// Accepts it on the node itself, because a rule says so or because the node has the address.
        Accept = "accept",
        /// Leaves it alone.
        None = "none",
    }
}

/// The first packet of a connection, as a node sees it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// The node that handles it: the node that runs the client, or else the node that the packet arrives at.
    pub node: &'p str,
    /// Where the client is: on the node's own network, in a pod, or anywhere else.
    pub client: Network,
    /// Source address. `None` means the node's own address for a process on the node, a pod that is not an endpoint, or
    /// any address outside.
    pub client_ip: Option<IpAddr>,
    /// Destination address.
    pub ip: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// What is assumed about something that is unknown. `None`: nothing is assumed, and the world counts.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::model) struct Assumed<'p> {
    /// How the node's kube-proxy recognises pods.
    pub detector: Option<&'p Detector>,
    /// Which of the node's addresses answer node ports.
    pub node_port_addresses: Option<&'p NodePortAddresses>,
    /// Whether `loadBalancerSourceRanges` lists a client whose address is unknown.
    pub listed: Option<bool>,
    /// An address that the node has on an interface, although the API does not say so.
    pub on_interface: Option<IpAddr>,
}

/// What a node's proxy does with a packet, and why.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// What it does.
    pub action: ProxyAction,
    /// The endpoints it may choose, sorted as text. Session affinity does not change this list: it only sends a client
    /// to the same endpoint again.
    pub endpoints: Vec<Backend<'a>>,
    /// Whether the endpoint sees an address of this node instead of the packet's source.
    ///
    /// It is `None` if this is unknown, if there is no endpoint, or if it depends on the chosen endpoint: a client that
    /// is one of several endpoints is masqueraded only if it reaches itself.
    pub masquerade: Option<bool>,
    /// The rules that lead to this answer.
    pub why: Vec<Why>,
    /// Why the Service does not serve the client, if the packet is not sent to an endpoint.
    pub cause: Option<Cause>,
    /// The Service that the packet is for, if there is one.
    pub service: Option<&'a Service>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotModelled {
    /// The node is unknown.
    #[error("unknown node {node:?}, expected one of: {}", known.join(", "))]
    Node {
        /// The name that was given.
        node: String,
        /// The names of all known nodes.
        known: Vec<String>,
    },
    /// The node's proxy is unknown.
    #[error("the proxy mode of node {0:?} is unknown")]
    Proxy(String),
    /// No kube-proxy that the model knows runs on the node.
    #[error("node {node:?} {why}")]
    NoKubeProxy {
        /// The node.
        node: String,
        /// Why, from [`crate::facts::Node::without_kube_proxy`].
        why: &'static str,
    },
    /// The Service's endpoints are not known.
    #[error("the endpoints of Service {0} are unknown: no EndpointSlice of it was given")]
    Endpoints(String),
    /// The zone of this node is not known, and the Service's endpoints have hints for zones.
    #[error(
        "the zone of node {0:?} is unknown, and it decides which of the Service's endpoints the node uses"
    )]
    Zone(String),
    /// kube-proxy of this version cannot load its rules.
    #[error(
        "in nftables mode kube-proxy {0} cannot load rules for detectLocalMode InterfaceNamePrefix (kubernetes/kubernetes#134024)"
    )]
    RulesNotLoaded(Version),
    /// The model does not know this proxy.
    #[error(
        "the model does not know proxy mode {0}; it knows iptables, ipvs and nftables of kube-proxy"
    )]
    Mode(ProxyMode),
}
