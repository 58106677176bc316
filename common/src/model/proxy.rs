//! kube-proxy's settings, as far as forwarding goes by them.

use super::version::Version;
use crate::proxy_mode::ProxyMode;
use ipnet::IpNet;

/// How kube-proxy tells traffic of pods from other traffic: `detectLocalMode`
/// (kubernetes/kubernetes `pkg/proxy/apis/config/types.go`, `cmd/kube-proxy/app/server_linux.go` `getLocalDetectors`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detector {
    /// By the cluster's pod ranges: every pod of the cluster counts. A family without a range has no detector.
    ClusterCidr(Vec<IpNet>),
    /// By the node's own pod range: pods of this node count.
    NodeCidr,
    /// By the bridge that packets come from: pods of this node count.
    Bridge,
    /// By the prefix of the interface that packets come from: pods of this node count.
    Interface,
    /// None: nobody counts as a pod, and nothing is known not to be one.
    None,
    /// Nobody told.
    Unknown,
}

/// Which of a node's addresses answer node ports: `nodePortAddresses`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// Not set: every address; in nftables mode the node's primary one of each family
    /// (kubernetes/kubernetes v1.30.3 `pkg/proxy/util/nodeport_addresses.go` `NewNodePortAddresses`).
    #[default]
    Default,
    /// `primary`: the node's primary address of each family.
    Primary,
    /// Addresses within these ranges. A family without a range is as if it were not set.
    Within(Vec<IpNet>),
}

/// kube-proxy's settings, as far as forwarding goes by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `mode`.
    pub mode: ProxyMode,
    /// Version, over what the nodes say of themselves; `None`: each node's own.
    pub version: Option<Version>,
    /// `detectLocalMode` and `clusterCIDR`.
    pub detector: Detector,
    /// `iptables.masqueradeAll` and its like.
    pub masquerade_all: bool,
    /// `nodePortAddresses`.
    pub node_port_addresses: NodePortAddresses,
    /// `iptables.localhostNodePorts` (1.26 and later; before, node ports always answered on 127.0.0.1).
    pub localhost_node_ports: bool,
    /// Ranges of Service addresses that kube-proxy knows of (ServiceCIDR objects). Only nftables mode acts on them.
    pub service_cidrs: Vec<IpNet>,
    /// Whether pods hang on a bridge whose packets pass iptables; `None`: nobody told. Up to 1.20 it decides whether a
    /// pod reaches an external address.
    pub bridged_pods: Option<bool>,
}

impl Proxy {
    /// A proxy of this mode with kube-proxy's defaults, and no detector, since that needs a range to be told.
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
