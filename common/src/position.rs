//! Where a probe stands.

words! {
    /// Where a probe stands, in relation to the Service's backends.
    pub enum Position("position") {
        /// Host network of a node that runs a backend.
        NodeSame = "node-same",
        /// Host network of a node that runs none.
        NodeOther = "node-other",
        /// Pod network of a node that runs a backend; not the backend itself.
        PodSame = "pod-same",
        /// Pod network of a node that runs none.
        PodOther = "pod-other",
        /// The machine that runs the plugin.
        External = "external",
    }
}

words! {
    /// Which network stack a client uses.
    pub enum Network("network") {
        /// The node's own.
        Host = "host",
        /// A pod's.
        Pod = "pod",
        /// That of a machine outside of the cluster.
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

    /// Whether the probe's node runs a backend; `None` where there is no such node.
    #[must_use]
    pub const fn beside_backend(self) -> Option<bool> {
        match self {
            Self::NodeSame | Self::PodSame => Some(true),
            Self::NodeOther | Self::PodOther => Some(false),
            Self::External => None,
        }
    }
}
