//! What the agent answers: one JSON object per line, on standard output.
//!
//! ```text
//! start → (host) → result … → end
//! ```
//!
//! Results come in the order in which targets finish. If the `end` line is missing, the output was cut off. The lines
//! before that are still valid.

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
    /// The agent understood the plan and starts to work.
    Start {
        /// [`crate::wire::plan::VERSION`] of the agent.
        version: u32,
        /// Version of the agent's package.
        agent: String,
        /// Number of targets in the plan.
        targets: u32,
    },
    /// What the agent sees on its node.
    Host(Box<HostView>),
    /// One target is finished.
    Result {
        /// [`crate::wire::plan::Request::id`].
        id: u32,
        /// In the order in which they started, those of the second round last.
        attempts: Vec<Attempt>,
    },
    /// All targets are finished; nothing follows.
    End {
        /// Number of `result` lines before this one.
        targets: u32,
    },
    /// The agent gave up, because the plan was unusable or because of an error of its own. Nothing follows.
    Fatal {
        /// What went wrong.
        error: String,
    },
}

/// What an agent on the host network sees on its node, without privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// The mode that kube-proxy reports at `http://127.0.0.1:10249/proxyMode`.
    pub proxy_mode: HostFact<ProxyMode>,
    /// kube-proxy's version, from `http://127.0.0.1:10249/metrics`. `None`: an older agent, which did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_proxy_version: Option<HostFact<String>>,
    /// kube-proxy's effective settings, from `http://127.0.0.1:10249/configz`. `None`: an older agent, which did not
    /// look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_proxy_settings: Option<HostFact<KubeProxySettings>>,
    /// Whether the dummy device `kube-ipvs0` exists, which kube-proxy creates in IPVS mode.
    pub kube_ipvs0: HostFact<bool>,
    /// Network interfaces, up to a maximum. Interfaces of pods (veth) come last.
    pub interfaces: HostFact<Vec<Interface>>,
    /// IPv4 routes, up to a maximum.
    pub routes: HostFact<Vec<Route>>,
}

/// The settings of kube-proxy that matter for forwarding, as kube-proxy prints them. Nothing is validated here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubeProxySettings {
    /// `mode`. If it is empty, kube-proxy uses its default.
    pub mode: String,
    /// `clusterCIDR`, or `detectLocal.clusterCIDRs`.
    pub cluster_cidrs: Vec<String>,
    /// `detectLocalMode`. `None`: this kube-proxy has no such setting.
    pub detect_local_mode: Option<String>,
    /// `nodePortAddresses`.
    pub node_port_addresses: Vec<String>,
    /// `iptables.masqueradeAll`, or `nftables.masqueradeAll` in that mode.
    pub masquerade_all: Option<bool>,
    /// `iptables.localhostNodePorts`.
    pub localhost_node_ports: Option<bool>,
}

/// Something looked at, or the reason why it could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostFact<T> {
    /// What was seen.
    Seen(T),
    /// Why nothing was seen.
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
    /// The destination range.
    pub destination: ipnet::Ipv4Net,
    /// The gateway; `None` if the destination is on the link.
    pub gateway: Option<std::net::Ipv4Addr>,
    /// Name of the interface.
    pub interface: String,
}

#[cfg(test)]
mod tests {
    use super::Line;

    /// A line of an agent that did not look at kube-proxy's version and settings.
    const OLDER: &str = r#"{"line":"host","proxyMode":{"seen":"ipvs"},"kubeIpvs0":{"seen":true},"interfaces":{"unknown":"no"},"routes":{"seen":[]}}"#;

    #[test]
    fn a_line_of_an_older_agent_is_understood() {
        let line: Line = serde_json::from_str(OLDER).unwrap();
        let Line::Host(view) = &line else {
            panic!("{line:?}")
        };
        assert_eq!(view.kube_proxy_version, None);
        assert_eq!(view.kube_proxy_settings, None);
        assert_eq!(serde_json::to_string(&line).unwrap(), OLDER);
    }
}
