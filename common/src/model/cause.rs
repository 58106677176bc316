//! Kinds of reasons why a client is not served, and a remedy for each.

use crate::target::TargetKind;

words! {
    /// Why a client is not served.
    pub enum Cause("cause") {
        /// The Service has no usable endpoint anywhere.
        NoEndpoint = "no-endpoint",
        /// With `externalTrafficPolicy: Local`, the node that the packet arrives at runs no endpoint.
        NoneOnNode = "none-on-node",
        /// With `internalTrafficPolicy: Local`, the client's node runs no endpoint.
        NoneOnClientsNode = "none-on-clients-node",
        /// `loadBalancerSourceRanges` does not list the client.
        SourceRanges = "source-ranges",
        /// Node ports do not answer on this address of the node.
        NotANodePortAddress = "not-a-node-port-address",
        /// This version of kube-proxy rejects external IPs with `externalTrafficPolicy: Local`.
        ExternalIpRejected = "external-ip-rejected",
        /// The endpoint's reply does not pass the node that translated the request.
        LostReply = "lost-reply",
        /// The endpoint is on the client's node and replies to it directly.
        SameNodeReply = "same-node-reply",
        /// The packet's source is the dialled address, which the endpoint's node also has.
        SourceIsLocal = "source-is-local",
        /// In IPVS mode, other nodes take the node's address for their own, because it is an address of a Service.
        NodeAddressTaken = "node-address-taken",
        /// The reply to the node is dropped on the way.
        FilteredReply = "filtered-reply",
        /// A load balancer that keeps the client's address sends a backend's packet back to it.
        BalancerHairpin = "balancer-hairpin",
        /// The load balancer uses none of the nodes that run an endpoint.
        BalancerNodeLeftOut = "balancer-node-left-out",
        /// The name of a headless Service does not map ports.
        HeadlessPort = "headless-port",
        /// An endpoint is an address of another Service.
        VirtualEndpoint = "virtual-endpoint",
        /// A UDP server answers from another address than the one that was asked.
        OtherSource = "other-source",
    }
}

impl Cause {
    /// Whether a setting of the Service or of kube-proxy says that this client may not connect, or not to this address.
    /// Tables in documents describe Services without such a setting.
    #[must_use]
    pub const fn is_a_restriction(self) -> bool {
        match self {
            Self::SourceRanges | Self::NotANodePortAddress => true,
            Self::NoEndpoint
            | Self::NoneOnNode
            | Self::NoneOnClientsNode
            | Self::ExternalIpRejected
            | Self::LostReply
            | Self::SameNodeReply
            | Self::SourceIsLocal
            | Self::NodeAddressTaken
            | Self::FilteredReply
            | Self::BalancerHairpin
            | Self::BalancerNodeLeftOut
            | Self::HeadlessPort
            | Self::VirtualEndpoint
            | Self::OtherSource => false,
        }
    }

    /// What can be done about it for a client of such a target, in one sentence.
    #[must_use]
    pub const fn remedy(self, target: TargetKind) -> &'static str {
        match (self, target) {
            (
                Self::SourceIsLocal | Self::FilteredReply | Self::LostReply | Self::SameNodeReply,
                TargetKind::ClusterIp | TargetKind::Dns,
            ) => {
                "give kube-proxy the range of the pods (clusterCIDR), so that it masquerades what nodes send to cluster IPs; or connect from a node that runs a backend"
            }
            _ => self.general_remedy(),
        }
    }

    const fn general_remedy(self) -> &'static str {
        match self {
            Self::NoEndpoint => {
                "make a backend ready: check the pods that the selector matches, their readiness and the name of the target port"
            }
            Self::NoneOnNode => {
                "inside the cluster, use the cluster IP or the Service's name; with externalTrafficPolicy Cluster every node answers, but backends no longer see the client's address"
            }
            Self::NoneOnClientsNode => {
                "run a backend on every node that has clients, or set internalTrafficPolicy Cluster"
            }
            Self::SourceRanges => {
                "add the client's address to loadBalancerSourceRanges (pods and nodes count with their own address), or use the cluster IP inside the cluster"
            }
            Self::NotANodePortAddress => {
                "use the node's primary address, or add this one to nodePortAddresses of kube-proxy"
            }
            Self::ExternalIpRejected => {
                "use kube-proxy 1.30 or later, a load balancer's address instead of an external IP, or externalTrafficPolicy Cluster"
            }
            Self::LostReply => {
                "use the cluster IP or the Service's name; with externalTrafficPolicy Cluster nodes masquerade, but backends no longer see the client's address"
            }
            Self::SameNodeReply => {
                "use the cluster IP or the Service's name; with externalTrafficPolicy Cluster nodes masquerade, but backends no longer see the client's address"
            }
            Self::SourceIsLocal => {
                "from the host, use the cluster IP or the Service's name; with ipMode Proxy (1.30 and later) kube-proxy leaves the address to the load balancer"
            }
            Self::NodeAddressTaken => {
                "remove the node's address from the addresses of the Service, or run kube-proxy in iptables or nftables mode"
            }
            Self::FilteredReply => {
                "from the host, use the cluster IP, the Service's name or a node that runs a backend"
            }
            Self::BalancerHairpin => {
                "inside the cluster, use the cluster IP or the Service's name, or configure the load balancer not to keep the client's address"
            }
            Self::BalancerNodeLeftOut => {
                "run a backend on a Ready node that the load balancer uses, remove the label from the node, or use externalTrafficPolicy Cluster"
            }
            Self::HeadlessPort => {
                "use the port of the pods, give the Service the same port as its pods, or give it a cluster IP"
            }
            Self::VirtualEndpoint => {
                "use addresses of pods or machines as endpoints, or an ExternalName Service that names the other Service"
            }
            Self::OtherSource => {
                "let the server listen on the node's address instead of the wildcard address, or run it without hostNetwork"
            }
        }
    }
}
