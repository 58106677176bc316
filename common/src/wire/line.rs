//! What the agent answers: one JSON object per line, on standard output.
//!
//! ```text
//! start → (host) → result … → end
//! ```
//!
//! Results come in the order in which targets finish. A stream without its `end` line was cut; what it held before
//! that is still true.

use crate::{proxy_mode::ProxyMode, wire::outcome::Attempt};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One line of the agent's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "line",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Line {
    /// The plan was understood and work begins.
    Start {
        /// [`crate::wire::plan::VERSION`] of the agent.
        version: u32,
        /// Version of the agent's package.
        agent: String,
        /// Number of targets in the plan.
        targets: u32,
    },
    /// What the agent sees of its node.
    Host(HostView),
    /// One target is finished.
    Result {
        /// [`crate::wire::plan::Request::id`].
        id: u32,
        /// In the order in which they were begun.
        attempts: Vec<Attempt>,
    },
    /// All targets are finished; nothing follows.
    End {
        /// Number of `result` lines before this one.
        targets: u32,
    },
    /// The agent gave up: the plan was not usable, or something went wrong on its side. Nothing follows.
    Fatal {
        /// What went wrong.
        error: String,
    },
}

/// What an agent on the host network sees of its node, without privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// kube-proxy's own word, from `http://127.0.0.1:10249/proxyMode`.
    pub proxy_mode: HostFact<ProxyMode>,
    /// Whether the dummy device `kube-ipvs0` exists, which kube-proxy makes in IPVS mode.
    pub kube_ipvs0: HostFact<bool>,
    /// Network interfaces, without the per-pod ends of veth pairs beyond the first few.
    pub interfaces: HostFact<Vec<Interface>>,
    /// IPv4 routes, bounded in number.
    pub routes: HostFact<Vec<Route>>,
}

/// Something looked at, or the reason why it could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostFact<T> {
    /// What was seen.
    Seen(T),
    /// Why nothing was.
    Unknown(String),
}

impl<T> HostFact<T> {
    /// What was seen, if anything.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// A network interface of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// An IPv4 route of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Where to.
    pub destination: ipnet::Ipv4Net,
    /// By which gateway; `None`: on the link.
    pub gateway: Option<std::net::Ipv4Addr>,
    /// By which interface.
    pub interface: String,
}
