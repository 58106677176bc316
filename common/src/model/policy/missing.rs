//! Why the answer about a connection is unknown, and logic with unknown values.

use std::fmt;

/// What would have to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The labels of a pod, with its namespace and name.
    PodLabels(String),
    /// The labels of a namespace.
    NamespaceLabels(String),
    /// The ports of a pod's containers, with the pod's namespace and name.
    PodPorts(String),
    /// The node of a pod, with the pod's namespace and name.
    PodNode(String),
    /// Who the other side is.
    Peer,
    /// The address of the other side.
    Address,
    /// A policy selects a pod on the host network as a peer, which the API leaves undefined. The text is the pod's
    /// namespace and name.
    HostNetwork(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodLabels(pod) => write!(f, "the labels of pod {pod} are unknown"),
            Self::NamespaceLabels(name) => {
                write!(f, "the labels of namespace {name} are unknown")
            }
            Self::PodPorts(pod) => write!(f, "the container ports of pod {pod} are unknown"),
            Self::PodNode(pod) => write!(f, "the node of pod {pod} is unknown"),
            Self::Peer => f.write_str("it is unknown which pod or address the policy sees"),
            Self::Address => f.write_str("the address that the policy sees is unknown"),
            Self::HostNetwork(pod) => write!(
                f,
                "the policy selects pod {pod}, which is on the host network, and the API does not define that"
            ),
        }
    }
}

/// Whether something holds, or what would have to be known.
pub(super) type Truth = Result<bool, Missing>;

/// Whether any item holds. One that holds decides, even if others are unknown.
pub(super) fn any(items: impl IntoIterator<Item = Truth>) -> Truth {
    let mut missing = None;
    for item in items {
        match item {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => missing = missing.or(Some(why)),
        }
    }
    missing.map_or(Ok(false), Err)
}

/// Whether both hold. One that does not hold decides, even if the other is unknown.
pub(super) fn both(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Ok(false), _) | (_, Ok(false)) => Ok(false),
        (Ok(true), other) => other,
        (Err(why), _) => Err(why),
    }
}
