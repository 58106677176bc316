//! Detects the proxy mode, which is how Service traffic is forwarded.

use super::notes::Notes;
use crate::{
    config::ClusterOverrides,
    survey::{kube_proxy::ProxyConfig, provider_hints::ProviderHints},
};

use svc_reach_common::{
    proxy_mode::ProxyMode,
    wire::line::{HostFact, HostView},
};

/// The source of an override, also if it comes from `--column`.
pub const PROXY_MODE: &str = "--proxy-mode";

/// The proxy modes that are possible. The first of these that applies counts:
///
/// 1. the user's override
/// 2. what kube-proxy answered on the probed nodes
/// 3. kube-proxy's configuration
/// 4. eBPF, if there is a DaemonSet of Cilium and no sign of kube-proxy
/// 5. both modes that the tables of the documents have
pub fn proxy_modes(
    views: &[(&str, &HostView)],
    proxy: Option<&ProxyConfig>,
    hints: &ProviderHints,
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> Vec<ProxyMode> {
    let mut seen = Vec::new();
    for (node, view) in views {
        let source = format!("127.0.0.1:10249/proxyMode on node {node}");
        match &view.proxy_mode {
            HostFact::Seen(mode) => {
                notes.add("proxyMode", mode, source);
                if !seen.contains(mode) {
                    seen.push(*mode);
                }
            }
            HostFact::Unknown(why) => notes.add("proxyMode", "unknown", format!("{source}: {why}")),
        }
    }
    if let Some(mode) = overrides.proxy_mode {
        notes.add("proxyMode", mode, PROXY_MODE);
        return vec![mode];
    }
    if !seen.is_empty() {
        return seen;
    }
    if let Some(config) = proxy
        && let Some(mode) = config.mode
    {
        notes.add("proxyMode", mode, config.source.clone());
        return vec![mode];
    }
    match &hints.cilium {
        Some(HostFact::Seen(Some(name))) => {
            let source = format!("DaemonSet kube-system/{name}, and no kube-proxy was seen");
            notes.add("proxyMode", ProxyMode::Ebpf, source);
            vec![ProxyMode::Ebpf]
        }
        Some(HostFact::Seen(None) | HostFact::Unknown(_)) | None => {
            vec![ProxyMode::Iptables, ProxyMode::Ipvs]
        }
    }
}
