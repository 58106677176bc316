//! Which proxy forwards Service traffic.

use super::notes::Notes;
use crate::{
    config::ClusterOverrides,
    survey::{kube_proxy::ProxyConfig, provider_hints::ProviderHints},
};

use svc_reach_common::{
    proxy_mode::ProxyMode,
    wire::line::{HostFact, HostView},
};

/// Sources of evidence that the user is, `--column` included.
pub const PROXY_MODE: &str = "--proxy-mode";

/// What the user told, else what kube-proxy answered on the probed nodes, else its ConfigMap; else a Cilium that nothing
/// of kube-proxy is seen beside; else both of the modes that the documents' tables have.
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
    if let Some(config) = proxy {
        notes.add("proxyMode", config.mode, config.source.clone());
        return vec![config.mode];
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
