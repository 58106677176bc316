//! Inputs of a forecast that the Kubernetes API does not contain.

use super::balancer::Balancer;
use crate::{network_model::NetworkModel, provider::Provider};

/// Something that a forecast may depend on, and that may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// Which proxy the nodes run.
    ProxyMode,
    /// Whether kube-proxy recognises pods by a cluster CIDR.
    Detector,
    /// Whether a firewall of the provider lets clients in to public addresses of nodes.
    Firewall,
    /// Which of a node's addresses answer node ports.
    NodePortAddresses,
    /// Whether the pod network replaces a pod's address with its node's address in packets to other nodes.
    PodsMasqueraded,
    /// Whether packets between pods of one node pass the node's own network stack.
    SameNodeReplies,
    /// Whether replies from other nodes to a pod pass the network stack of the pod's node.
    OtherNodeReplies,
    /// Whether a reply from a pod on another node to a node's address arrives with the pod's address as its source.
    HostReplies,
    /// Whether the provider's kube-proxy leaves the load balancer's address to the load balancer.
    PassThrough,
    /// Whether the load balancer keeps the client's address.
    KeepsClient,
    /// Where the load balancer sends to: the Service has no node port.
    BalancerTarget,
    /// Whether pod addresses are routed from outside.
    PodRoute,
    /// Whether Service addresses are routed from outside.
    ServiceRoute,
    /// Which node the external IP is routed to.
    ExternalIpRoute,
    /// Where routing sends a packet that no proxy changes.
    Route,
    /// What listens on the node itself.
    Listener,
    /// What the gateway in front of the Service does.
    Gateway,
    /// What the name of an `ExternalName` Service is an alias of.
    Alias,
    /// The target's node.
    TargetNode,
    /// The target's address.
    Address,
    /// The Service's endpoints.
    Endpoints,
    /// Whether what limits the clients of a load balancer allows this one, whose address is unknown.
    ClientAddress,
    /// The pod's address. Pods of this node may have addresses that kube-proxy treats differently.
    PodAddress,
    /// Whether the node has its public address on an interface.
    PublicAddress,
    /// Whether packets still have the load balancer's address when they arrive at a node.
    BalancerDestination,
    /// Whether the load balancer sends to pods directly.
    BalancerPods,
    /// Which nodes the load balancer sends to.
    BalancerNodes,
    /// Whether the endpoint is on the host network of its node, which is unknown.
    BackendOnHost,
    /// Whether a UDP server on a host network answers from the address that the client asked.
    ReplyAddress,
}

impl Input {
    /// What is unknown, as a text that continues "unknown: ".
    #[must_use]
    pub const fn missing(self) -> &'static str {
        match self {
            Self::ProxyMode => "the proxy mode (--proxy-mode gives it)",
            Self::Detector => "kube-proxy's cluster CIDR (--cluster-cidr, --local-detector)",
            Self::Firewall => {
                "whether the provider's firewall lets clients in to node ports on public addresses"
            }
            Self::NodePortAddresses => {
                "which addresses answer node ports (nodePortAddresses has a value that is unknown)"
            }
            Self::PodsMasqueraded => {
                "whether the pod network masquerades pods towards other nodes' addresses"
            }
            Self::SameNodeReplies => {
                "whether packets between pods of one node pass the node's own network stack"
            }
            Self::OtherNodeReplies => {
                "whether replies from other nodes to a pod pass its node's network stack"
            }
            Self::HostReplies => {
                "whether a pod's reply to another node's address arrives unchanged (reverse path filter, underlay)"
            }
            Self::PassThrough => {
                "whether kube-proxy leaves the address to the load balancer (pass-through)"
            }
            Self::KeepsClient => "whether the load balancer keeps the client's address",
            Self::BalancerTarget => "where the load balancer sends to (the port has no node port)",
            Self::PodRoute => "whether pod addresses are routed from outside the cluster",
            Self::ServiceRoute => "whether Service addresses are routed from outside the cluster",
            Self::ExternalIpRoute => "which node the external IP is routed to",
            Self::Route => "where routing leads a packet that no proxy touches",
            Self::Listener => "what listens on the node itself",
            Self::Gateway => "what the gateway in front of the Service does",
            Self::Alias => "what the name is an alias of",
            Self::TargetNode => "the node whose address it is",
            Self::Address => "the address",
            Self::Endpoints => "the Service's endpoints (no EndpointSlice of it is known)",
            Self::ClientAddress => {
                "whether the client's address is among those that the load balancer allows (loadBalancerSourceRanges or the provider's list)"
            }
            Self::PodAddress => {
                "the pod's address (addresses that pods of this node may have are treated differently)"
            }
            Self::PublicAddress => "whether the node has its public address on an interface",
            Self::BalancerDestination => {
                "whether packets still have the load balancer's address when they arrive at a node"
            }
            Self::BalancerPods => "whether the load balancer sends to pods directly",
            Self::BalancerNodes => {
                "which nodes the load balancer sends to (of the known nodes, none that it may use runs a backend)"
            }
            Self::BackendOnHost => {
                "whether an endpoint is on a host network (its node is not among the known ones)"
            }
            Self::ReplyAddress => {
                "whether the UDP server answers from the address that was asked, which depends on how it listens"
            }
        }
    }
}

/// What is known about the network, in addition to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// [`Input::PodsMasqueraded`].
    pub pods_masqueraded: Option<bool>,
    /// [`Input::SameNodeReplies`].
    pub same_node_replies: Option<bool>,
    /// [`Input::OtherNodeReplies`].
    pub other_node_replies: Option<bool>,
    /// [`Input::HostReplies`].
    pub host_replies: Option<bool>,
    /// [`Input::PublicAddress`]: whether nodes have their addresses of type `ExternalIP` on an interface.
    pub public_on_interface: Option<bool>,
    /// The Service's load balancer.
    pub balancer: Balancer,
}

impl Paths {
    /// What follows from the network model.
    ///
    /// - No model given: the network is assumed to work like upstream's. In every conforming network pods reach cluster
    ///   IPs with their own addresses, so replies pass the node's network stack.
    /// - Tunnel: the same. But a pod's reply to another node's address leaves through the underlay, where a strict
    ///   reverse path filter or the provider may drop it, so its path is unknown (tried on Linux 6.1 with VXLAN:
    ///   `rp_filter` decides).
    /// - VPC: packets are routed, so such a reply arrives (tried on Linux 6.1). Pods of one node may exchange packets
    ///   without the node's network stack (ipvlan), so that path is unknown.
    /// - ENI: pods have interfaces of the VPC, so the paths of all replies are unknown.
    #[must_use]
    pub const fn of_network(model: Option<NetworkModel>) -> Self {
        let (same_node, other_node, host) = match model {
            None | Some(NetworkModel::Tunnel) => (Some(true), Some(true), None),
            Some(NetworkModel::Vpc) => (None, Some(true), Some(true)),
            Some(NetworkModel::Eni) => (None, None, None),
        };
        Self {
            pods_masqueraded: None,
            same_node_replies: same_node,
            other_node_replies: other_node,
            host_replies: host,
            public_on_interface: None,
            balancer: Balancer {
                keeps_client: None,
                reaches_pods: Some(false),
                pass_through: Some(false),
                keeps_destination: None,
                limits_clients: false,
            },
        }
    }

    /// What follows from the network model and the provider.
    ///
    /// - If the model is unknown, the paths of replies are unknown on clouds whose networks differ in them: CCE, ACK,
    ///   TKE and AKS offer several networks.
    /// - EKS uses the VPC CNI plugin: pods are behind veth devices with routes of the host, and have addresses of the
    ///   VPC (aws/amazon-vpc-cni-k8s `docs/cni-proposal.md`, "Solution Components"). So every reply passes the node, and
    ///   a reply to a node is routed like any other packet of the VPC.
    /// - These clouds translate a node's public address outside of the node: Amazon VPC User Guide, "Enable internet
    ///   access for a VPC using an internet gateway" (one-to-one NAT); Google Compute Engine, "IP addresses"; Azure
    ///   Virtual Network, "Public IP addresses"; Huawei Cloud, Alibaba Cloud and Tencent Cloud, elastic IP addresses.
    #[must_use]
    pub const fn of(model: Option<NetworkModel>, provider: Option<Provider>) -> Self {
        let mut paths = Self::of_network(model);
        match provider {
            Some(
                Provider::HuaweiCce | Provider::AlibabaAck | Provider::TencentTke | Provider::Aks,
            ) => {
                paths.public_on_interface = Some(false);
                if model.is_none() {
                    paths.same_node_replies = None;
                    paths.other_node_replies = None;
                }
            }
            Some(Provider::AwsEks) => {
                paths.public_on_interface = Some(false);
                if model.is_none() {
                    paths.host_replies = Some(true);
                }
            }
            Some(Provider::Gke) => paths.public_on_interface = Some(false),
            Some(Provider::Kind | Provider::K3s | Provider::Kubeadm) | None => {}
        }
        paths
    }
}

/// The values of known inputs, and of unknown inputs that are assumed while both cases are computed.
#[derive(Debug, Clone)]
pub(super) struct Case(Vec<(Input, bool)>);

impl Case {
    pub(super) fn known(paths: &Paths) -> Self {
        let inputs = [
            (Input::PodsMasqueraded, paths.pods_masqueraded),
            (Input::SameNodeReplies, paths.same_node_replies),
            (Input::OtherNodeReplies, paths.other_node_replies),
            (Input::HostReplies, paths.host_replies),
            (Input::PassThrough, paths.balancer.pass_through),
            (Input::KeepsClient, paths.balancer.keeps_client),
            (Input::BalancerPods, paths.balancer.reaches_pods),
            (Input::BalancerDestination, paths.balancer.keeps_destination),
            (Input::PublicAddress, paths.public_on_interface),
        ];
        Self(
            inputs
                .into_iter()
                .filter_map(|(input, value)| value.map(|value| (input, value)))
                .collect(),
        )
    }

    pub(super) fn get(&self, input: Input) -> Option<bool> {
        self.0
            .iter()
            .find(|&&(known, _)| known == input)
            .map(|&(_, value)| value)
    }

    pub(super) fn with(&self, input: Input, value: bool) -> Self {
        let mut case = self.clone();
        case.0.push((input, value));
        case
    }
}
