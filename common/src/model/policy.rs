//! Network policies: whether NetworkPolicies of `networking.k8s.io/v1` allow a connection.
//!
//! The rules are those of the API: the comments in `k8s.io/api` v0.37.2 `networking/v1/types.go`, and
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>.
//!
//! [`Policies`] answers for one connection, with the addresses that a policy sees. It does not know how a packet gets
//! there. If a label, an address or a port is unknown and matters, the answer is [`Decision::Unknown`].

mod decision;
mod labels;
mod missing;
mod network_policy;
mod party;
mod peer;
mod pod;
mod policies;
mod port;
mod rule;
mod selector;

#[cfg(test)]
mod tests;

pub use decision::{Decision, Denial, Direction, Miss, SelectingPolicy};
pub use labels::Labels;
pub use missing::Missing;
pub use network_policy::NetworkPolicy;
pub use party::{Identity, Party};
pub use peer::{IpBlock, Peer};
pub use pod::{ContainerPort, Pod};
pub use policies::Policies;
pub use port::{PolicyPort, PortChoice, PortNumber};
pub use rule::Rule;
pub use selector::{LabelSelector, Operator, Requirement};
