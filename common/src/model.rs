//! The forwarding model: what should happen to a connection to a Service, and why.
//!
//! Two layers, kept apart:
//!
//! - [`flow`]: what one node's proxy does with a packet: to which endpoints, rejected, dropped, accepted by the node
//!   itself, or left alone; masqueraded or not. It follows kube-proxy's source, version by version.
//! - [`connection`]: what then becomes of the connection between nodes: the packet arrives at the next node's proxy, and
//!   the reply has to find its way back.
//!
//! What is not known is said to be not known: proxies other than kube-proxy's iptables, ipvs and nftables modes, and
//! cells whose deciding input nobody told.

mod cause;
pub mod connection;
pub mod flow;
pub mod proxy;
mod version;
mod world;

pub use cause::Cause;
pub use flow::{Answer, NotModelled, Packet, ProxyAction};
pub use proxy::{Detector, NodePortAddresses, Proxy};
pub use version::{Version, VersionError};
pub use world::World;
