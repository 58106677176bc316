//! The settings of kube-proxy that matter for forwarding.

use super::version::Version;
use crate::proxy_mode::ProxyMode;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How kube-proxy recognises traffic of pods: `detectLocalMode`
/// (kubernetes/kubernetes v1.37.2 `pkg/proxy/apis/config/types.go`, `cmd/kube-proxy/app/server_linux.go`
/// `getLocalDetectors`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detector {
    /// By the cluster's pod ranges: every pod of the cluster counts. A family without a range has no detector.
    ClusterCidr(Vec<IpNet>),
    /// By the node's own pod range: only pods of this node count.
    NodeCidr,
    /// By the bridge that packets come from: only pods of this node count.
    Bridge,
    /// By the prefix of the interface that packets come from: only pods of this node count.
    Interface,
    /// There is no detector: kube-proxy cannot say whether a packet comes from a pod.
    None,
    /// The detector is not known.
    Unknown,
}

/// Which of a node's addresses answer node ports: `nodePortAddresses`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// Not set: every address, but in nftables mode only the node's primary address of each family
    /// (kubernetes/kubernetes v1.30.3 `pkg/proxy/util/nodeport_addresses.go` `NewNodePortAddresses`).
    #[default]
    Default,
    /// What the list allows. In a family without a range, every address answers, in nftables mode too, except in 1.30
    /// (kubernetes/kubernetes v1.37.2 `pkg/proxy/util/nodeport_addresses.go` `NewNodePortAddresses` adds `0.0.0.0/0` or
    /// `::/0`).
    Listed(AddressList),
}

/// The values of `nodePortAddresses`: ranges, and since 1.37 words in any combination (kubernetes/kubernetes v1.37.2
/// `cmd/kube-proxy/app/server.go` `expandNodePortAddressKeywords`). Up to 1.36 the only word is `primary`, without other
/// values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    /// `primary`: the node's primary address of each family.
    pub primary: bool,
    /// Ranges of addresses: those in the list, and those that `localhost` and `all` mean.
    pub ranges: Vec<IpNet>,
    /// Whether the list has values that the model does not understand.
    pub more: bool,
}

impl NodePortAddresses {
    /// Reads a list, and returns the values that it does not understand, too. An empty list means that nothing is set.
    pub fn read<'t>(values: impl IntoIterator<Item = &'t str>) -> (Self, Vec<&'t str>) {
        let mut list = AddressList::default();
        let mut unknown = Vec::new();
        for value in values {
            match value {
                "primary" => list.primary = true,
                "localhost" => list.ranges.extend(LOOPBACK),
                "all" => list.ranges.extend(EVERYTHING),
                range => match range.parse() {
                    Ok(range) => list.ranges.push(range),
                    Err(_) => unknown.push(range),
                },
            }
        }
        list.more = !unknown.is_empty();
        let read = if list == AddressList::default() {
            Self::Default
        } else {
            Self::Listed(list)
        };
        (read, unknown)
    }

    /// `primary`.
    #[must_use]
    pub const fn primary() -> Self {
        Self::Listed(AddressList {
            primary: true,
            ranges: Vec::new(),
            more: false,
        })
    }

    /// Addresses within these ranges.
    #[must_use]
    pub const fn within(ranges: Vec<IpNet>) -> Self {
        Self::Listed(AddressList {
            primary: false,
            ranges,
            more: false,
        })
    }

    /// `all`.
    #[must_use]
    pub fn all() -> Self {
        Self::within(EVERYTHING.into())
    }

    /// Whether the model understands every value of the list.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        match self {
            Self::Default => true,
            Self::Listed(list) => !list.more,
        }
    }
}

/// What `localhost` means.
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

/// What `all` means.
const EVERYTHING: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// The settings of kube-proxy that matter for forwarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `mode`.
    pub mode: ProxyMode,
    /// Version of kube-proxy on all nodes; `None` to use the version that each node reports.
    pub version: Option<Version>,
    /// `detectLocalMode` and `clusterCIDR`.
    pub detector: Detector,
    /// `iptables.masqueradeAll`, or the same field of another mode.
    pub masquerade_all: bool,
    /// `nodePortAddresses`.
    pub node_port_addresses: NodePortAddresses,
    /// `iptables.localhostNodePorts` (1.26 and later; before that, node ports always answered on 127.0.0.1).
    pub localhost_node_ports: bool,
    /// Ranges of Service addresses that kube-proxy knows (ServiceCIDR objects). Only nftables mode uses them.
    pub service_cidrs: Vec<IpNet>,
    /// Whether pods are on a bridge whose packets pass iptables; `None` if unknown. Up to 1.20 this decides whether a
    /// pod reaches an external address.
    pub bridged_pods: Option<bool>,
}

impl Proxy {
    /// A proxy of this mode with kube-proxy's defaults. It has no detector, since that needs a pod range.
    #[must_use]
    pub const fn with_defaults(mode: ProxyMode) -> Self {
        Self {
            mode,
            version: None,
            detector: Detector::None,
            masquerade_all: false,
            node_port_addresses: NodePortAddresses::Default,
            localhost_node_ports: true,
            service_cidrs: Vec::new(),
            bridged_pods: None,
        }
    }
}
