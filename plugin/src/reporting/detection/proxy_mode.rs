//! Detects the proxy mode, which is how Service traffic is forwarded.

use super::notes::Notes;
use crate::{
    config::ClusterOverrides,
    survey::{kube_proxy::ProxyConfig, other_proxy::by_interfaces, provider_hints::ProviderHints},
};

use svc_reach_common::{
    proxy_mode::ProxyMode,
    wire::line::{HostFact, HostView},
};

/// The source of an override, also if it comes from `--column`.
pub const PROXY_MODE: &str = "--proxy-mode";

/// The possible proxy modes, and whether kube-proxy's configuration says the mode of nodes that were not probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes {
    /// Possible modes; empty: a proxy that has no named mode.
    pub possible: Vec<ProxyMode>,
    /// Whether the mode in kube-proxy's configuration counts for other nodes.
    pub configured: bool,
}

/// The proxy modes that are possible. The first of these that applies counts:
///
/// 1. the user's override
/// 2. what kube-proxy answered on the probed nodes; where it did not answer, another proxy if the node has its interface
/// 3. a workload that replaces kube-proxy, if no probe saw a kube-proxy
/// 4. kube-proxy's configuration, unless it says that kube-proxy answers at a port where nobody listens on any probed node
/// 5. both modes that the tables of the documents have
pub fn proxy_modes(
    views: &[(&str, &HostView)],
    proxy: Option<&ProxyConfig>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> Modes {
    let mut seen = Vec::new();
    let mut others = Vec::new();
    let mut refused = 0;
    for (node, view) in views {
        let source = format!("127.0.0.1:10249/proxyMode on node {node}");
        match &view.proxy_mode {
            HostFact::Seen(mode) => {
                notes.add("proxyMode", mode, source);
                if !seen.contains(mode) {
                    seen.push(*mode);
                }
            }
            HostFact::Unknown(why) => {
                notes.add("proxyMode", "unknown", format!("{source}: {why}"));
                if !is_refused(why) {
                    continue;
                }
                refused += 1;
                let interfaces = view.interfaces.get().map(Vec::as_slice).unwrap_or_default();
                if let Some((workload, interface)) = by_interfaces(interfaces) {
                    others.push(workload.shown_by(format!("{interface} on node {node}")));
                }
            }
        }
    }
    // A kube-proxy that is configured to serve its mode elsewhere refuses here, too.
    let absent =
        refused > 0 && refused == views.len() && !proxy.is_some_and(|config| config.elsewhere);
    if let Some(mode) = overrides.proxy_mode {
        notes.add("proxyMode", mode, PROXY_MODE);
        return Modes {
            possible: vec![mode],
            configured: true,
        };
    }
    if let [first, more @ ..] = seen.as_slice() {
        let configured = proxy.and_then(|config| config.mode);
        return Modes {
            // If nodes differ, or differ from the configuration, it is no evidence for the rest.
            configured: more.is_empty() && configured.is_none_or(|mode| mode == *first),
            possible: seen,
        };
    }
    let by_workload = hints.other_proxy.as_ref().and_then(HostFact::get).cloned();
    // A workload may exist although kube-proxy runs. So it counts if a probe saw that none does, or if there is no sign of
    // one.
    let by_workload = by_workload.flatten().filter(|_| absent || proxy.is_none());
    let other = others.into_iter().next().filter(|_| absent).or(by_workload);
    if let Some(other) = other {
        let source = format!("{} instead of kube-proxy ({})", other.name, other.source);
        match other.mode {
            Some(mode) => notes.add("proxyMode", mode, source),
            None => notes.add("proxyMode", "unknown", source),
        }
        return Modes {
            possible: other.mode.into_iter().collect(),
            configured: false,
        };
    }
    if let Some(config) = proxy
        && let Some(mode) = config.mode
    {
        if !absent {
            notes.add("proxyMode", mode, config.source.clone());
            return Modes {
                possible: vec![mode],
                configured: true,
            };
        }
        let source = format!(
            "{}, which does not count: no kube-proxy answers on the probed nodes",
            config.source
        );
        notes.add("proxyMode", "unknown", source);
    }
    Modes {
        possible: vec![ProxyMode::Iptables, ProxyMode::Ipvs],
        configured: false,
    }
}

/// Whether nobody listens: the words of `ECONNREFUSED`.
fn is_refused(why: &str) -> bool {
    why.to_ascii_lowercase().contains("refused")
}
