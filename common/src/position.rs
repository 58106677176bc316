//! Places to connect from.

words! {
    /// A place to connect from, in relation to the Service's backends.
    pub enum Position("position") {
        /// Host network of a node that runs a backend.
        NodeSame = "node-same",
        /// Host network of a node that runs no backend.
        NodeOther = "node-other",
        /// Pod network of a node that runs a backend. The client is another pod than the backend.
        PodSame = "pod-same",
        /// Pod network of a node that runs no backend.
        PodOther = "pod-other",
        /// The machine that runs the plugin.
        External = "external",
    }
}

words! {
    /// Which network stack a client uses.
    pub enum Network("network") {
        /// The node's own network stack.
        Host = "host",
        /// The network stack of a pod.
        Pod = "pod",
        /// The network stack of a machine outside of the cluster.
        External = "external",
    }
}

impl Position {
    /// The network stack that a probe at this position uses.
    #[must_use]
    pub const fn network(self) -> Network {
        match self {
            Self::NodeSame | Self::NodeOther => Network::Host,
            Self::PodSame | Self::PodOther => Network::Pod,
            Self::External => Network::External,
        }
    }

    /// Whether the probe's node runs a backend; `None` if the probe is on no node.
    #[must_use]
    pub const fn beside_backend(self) -> Option<bool> {
        match self {
            Self::NodeSame | Self::PodSame => Some(true),
            Self::NodeOther | Self::PodOther => Some(false),
            Self::External => None,
        }
    }
}
