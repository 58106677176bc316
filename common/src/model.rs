//! The forwarding model: what should happen to a connection to a Service, and why.
//!
//! It has two separate layers:
//!
//! - [`flow`]: what one node's proxy does with a packet. It sends the packet to endpoints, rejects it, drops it,
//!   accepts it on the node itself, or leaves it alone; and it masquerades or not. This follows kube-proxy's source,
//!   version by version.
//! - [`connection`]: what happens next between nodes. The packet may arrive at another node's proxy, and the reply has
//!   to find its way back.
//!
//! [`policy`] is separate from both: whether NetworkPolicies allow a connection.
//!
//! The model does not guess. Its answer is "unknown" for proxies other than kube-proxy in iptables, ipvs or nftables
//! mode, and for cells that depend on an unknown input.

mod cause;
pub mod connection;
pub mod flow;
pub mod policy;
pub mod proxy;
mod version;
mod world;

pub use cause::Cause;
pub use flow::{Answer, NotModelled, Packet, ProxyAction};
pub use proxy::{AddressList, Detector, NodePortAddresses, Proxy};
pub use version::{Version, VersionError};
pub use world::World;
