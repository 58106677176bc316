//! Why a client is not served, in kinds, and what can be done about each.

/// Why a client is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The Service has no usable endpoint anywhere.
    NoEndpoint,
    /// `externalTrafficPolicy: Local`, and the node that the packet arrives at runs no endpoint.
    NoneOnNode,
    /// `internalTrafficPolicy: Local`, and the client's node runs no endpoint.
    NoneOnClientsNode,
    /// `loadBalancerSourceRanges` does not list the client.
    SourceRanges,
    /// The node's address is none that answers node ports.
    NotANodePortAddress,
    /// kube-proxy of this version rejects external IPs under policy Local.
    ExternalIpRejected,
    /// The endpoint's reply does not pass the node that translated the request.
    LostReply,
    /// The endpoint replies to the client on its own node directly.
    SameNodeReply,
    /// The packet's source is the dialled address, which the endpoint's node has too.
    SourceIsLocal,
    /// The reply to the node is dropped on the way.
    FilteredReply,
    /// A load balancer that keeps the client's address sends a backend's packet back to it.
    BalancerHairpin,
}

impl Cause {
    /// What can be done about it, in one sentence.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoEndpoint => {
                "make a backend ready: look at the pods that the selector names, their readiness and the target port's name"
            }
            Self::NoneOnNode => {
                "inside the cluster use the cluster IP or the Service's name; externalTrafficPolicy Cluster makes every node answer, at the price of the client's address"
            }
            Self::NoneOnClientsNode => {
                "run a backend on every node that has clients, or set internalTrafficPolicy Cluster"
            }
            Self::SourceRanges => {
                "add the client's address to loadBalancerSourceRanges (pods and nodes count by their own), or use the cluster IP inside the cluster"
            }
            Self::NotANodePortAddress => {
                "use the node's primary address, or list this one in kube-proxy's nodePortAddresses"
            }
            Self::ExternalIpRejected => {
                "use kube-proxy 1.30 or later, a load balancer's address instead of an external IP, or externalTrafficPolicy Cluster"
            }
            Self::LostReply => {
                "use the cluster IP or the Service's name, or a node that runs a backend and no endpoint elsewhere; externalTrafficPolicy Cluster masquerades, at the price of the client's address"
            }
            Self::SameNodeReply => {
                "use the cluster IP or the Service's name; externalTrafficPolicy Cluster masquerades, at the price of the client's address"
            }
            Self::SourceIsLocal => {
                "from the host use the cluster IP or the Service's name; ipMode Proxy (1.30 and later) leaves the address to the load balancer"
            }
            Self::FilteredReply => {
                "from the host use the cluster IP or the Service's name, or a node that runs a backend"
            }
            Self::BalancerHairpin => {
                "inside the cluster use the cluster IP or the Service's name; or have the load balancer not keep the client's address"
            }
        }
    }
}
