//! Kinds of reasons why a client is not served, and a remedy for each.

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
        /// The reply to the node is dropped on the way.
        FilteredReply = "filtered-reply",
        /// A load balancer that keeps the client's address sends a backend's packet back to it.
        BalancerHairpin = "balancer-hairpin",
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
            | Self::FilteredReply
            | Self::BalancerHairpin => false,
        }
    }

    /// What can be done about it, in one sentence.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
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
            Self::FilteredReply => {
                "from the host, use the cluster IP, the Service's name or a node that runs a backend"
            }
            Self::BalancerHairpin => {
                "inside the cluster, use the cluster IP or the Service's name, or configure the load balancer not to keep the client's address"
            }
        }
    }
}
