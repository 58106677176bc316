//! What kube-proxy says of itself on the probed nodes: its mode, version and settings, node by node.

use super::notes::Notes;
use crate::{
    config::ClusterOverrides,
    survey::kube_proxy::{ProxyConfig, Settings, described},
};
use std::collections::BTreeMap;
use svc_reach_common::{
    model::{Proxy, Version},
    proxy_mode::ProxyMode,
    wire::line::{HostFact, HostView, KubeProxySettings},
};

/// What one node's kube-proxy says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeProxy {
    mode: Option<ProxyMode>,
    version: Option<Version>,
    config: Option<ProxyConfig>,
}

impl NodeProxy {
    /// Whether it said its version.
    pub const fn has_version(&self) -> bool {
        self.version.is_some()
    }

    /// The node's settings: what kube-proxy did not say is taken from `shared`. `None`: the mode is unknown even so.
    pub fn settings(&self, shared: &Settings) -> Option<Proxy> {
        let mode = self
            .mode
            .or_else(|| shared.mode_told.then_some(shared.proxy.mode))?;
        let mut proxy = shared.proxy.clone();
        proxy.mode = mode;
        proxy.version = self.version.or(proxy.version);
        if let Some(config) = &self.config {
            proxy.detector = config.detector.clone();
            proxy.masquerade_all = config.masquerade_all;
            proxy.node_port_addresses = config.node_port_addresses.clone();
            proxy.localhost_node_ports = config.localhost_node_ports;
        }
        Some(proxy)
    }
}

/// What kube-proxy says of itself, by node. The mode that the user gives counts for all nodes.
pub fn node_proxies(
    views: &[(&str, &HostView)],
    overrides: ClusterOverrides,
    notes: &mut Notes,
) -> BTreeMap<String, NodeProxy> {
    let mut proxies = BTreeMap::new();
    for &(node, view) in views {
        if proxies.contains_key(node) {
            continue;
        }
        let proxy = NodeProxy {
            mode: overrides.proxy_mode.or(view.proxy_mode.get().copied()),
            version: version(node, view.kube_proxy_version.as_ref(), notes),
            config: config(node, view.kube_proxy_settings.as_ref(), notes),
        };
        proxies.insert(node.to_owned(), proxy);
    }
    proxies
}

fn version(node: &str, looked: Option<&HostFact<String>>, notes: &mut Notes) -> Option<Version> {
    const FACT: &str = "kubeProxyVersion";
    let source = format!("kube-proxy's /metrics on {node}");
    let read = match looked? {
        HostFact::Seen(text) => match text.parse::<Version>() {
            // A build that was given no version calls itself v0.0.0.
            Ok(Version { major: 0, .. }) => Err(format!("not the version of a release: {text}")),
            Ok(version) => Ok((version, text)),
            Err(error) => Err(error.to_string()),
        },
        HostFact::Unknown(why) => Err(why.clone()),
    };
    match read {
        Ok((version, text)) => {
            notes.add(FACT, text, source);
            Some(version)
        }
        Err(why) => {
            notes.add(FACT, "unknown", format!("{source}: {why}"));
            None
        }
    }
}

fn config(
    node: &str,
    looked: Option<&HostFact<KubeProxySettings>>,
    notes: &mut Notes,
) -> Option<ProxyConfig> {
    const FACT: &str = "kubeProxySettings";
    let why = match looked? {
        HostFact::Seen(settings) => match ProxyConfig::of_node(node, settings) {
            Some(config) => {
                let source = &config.source;
                notes.add("localDetector", described(&config.detector), source);
                if !settings.node_port_addresses.is_empty() {
                    let addresses = settings.node_port_addresses.join(",");
                    notes.add("nodePortAddresses", addresses, source);
                }
                if config.masquerade_all {
                    notes.add("masqueradeAll", true, source);
                }
                // Each problem begins with its source.
                for problem in &config.problems {
                    notes.add(FACT, "partly unknown", problem);
                }
                return Some(config);
            }
            None => "not settings of a kube-proxy on Linux",
        },
        HostFact::Unknown(why) => why,
    };
    let source = format!("kube-proxy's /configz on {node}: {why}");
    notes.add(FACT, "unknown", source);
    None
}

#[cfg(test)]
mod tests {
    use super::{NodeProxy, node_proxies};
    use crate::{
        config::ClusterOverrides,
        reporting::detection::notes::Notes,
        survey::kube_proxy::{ProxyConfig, ProxyOverrides, Settings},
    };
    use std::collections::BTreeMap;
    use svc_reach_common::{
        model::{Detector, NodePortAddresses},
        proxy_mode::ProxyMode,
        wire::line::{HostFact, HostView, KubeProxySettings},
    };

    fn view(
        mode: Option<ProxyMode>,
        version: Option<HostFact<String>>,
        settings: Option<HostFact<KubeProxySettings>>,
    ) -> HostView {
        HostView {
            proxy_mode: mode.map_or_else(|| HostFact::Unknown("refused".into()), HostFact::Seen),
            kube_proxy_version: version,
            kube_proxy_settings: settings,
            kube_ipvs0: HostFact::Seen(false),
            interfaces: HostFact::Seen(Vec::new()),
            routes: HostFact::Seen(Vec::new()),
        }
    }

    fn version(text: &str) -> Option<HostFact<String>> {
        Some(HostFact::Seen(text.into()))
    }

    fn settings(cluster_cidr: &str, addresses: &[&str]) -> Option<HostFact<KubeProxySettings>> {
        Some(HostFact::Seen(KubeProxySettings {
            mode: "nftables".into(),
            cluster_cidrs: vec![cluster_cidr.into()],
            detect_local_mode: Some("ClusterCIDR".into()),
            node_port_addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
            masquerade_all: Some(true),
            localhost_node_ports: Some(false),
        }))
    }

    fn look(
        views: &[(&str, &HostView)],
        overrides: ClusterOverrides,
    ) -> (BTreeMap<String, NodeProxy>, Vec<String>) {
        let mut notes = Notes::default();
        let proxies = node_proxies(views, overrides, &mut notes);
        let lines = notes.0.into_iter();
        let lines = lines.map(|note| format!("{} {}: {}", note.fact, note.value, note.source));
        (proxies, lines.collect())
    }

    /// What a ConfigMap says of all nodes.
    fn shared() -> Settings {
        let text = "kind: KubeProxyConfiguration\nmode: ipvs\ndetectLocalMode: NodeCIDR\n";
        let config = ProxyConfig::of_text("kube-system/kube-proxy", "config.conf", text).unwrap();
        Settings::gather(&ProxyOverrides::default(), config.as_ref(), &[])
    }

    #[test]
    fn each_node_has_what_its_own_kube_proxy_says() {
        let one = view(
            Some(ProxyMode::Nftables),
            version("v1.36.3"),
            settings("10.244.0.0/16", &["primary"]),
        );
        let other = view(Some(ProxyMode::Iptables), version("v1.34.4+k3s1"), None);
        let (proxies, evidence) = look(
            &[("node-1", &one), ("node-2", &other), ("node-1", &one)],
            ClusterOverrides::default(),
        );
        assert_eq!(
            evidence,
            [
                "kubeProxyVersion v1.36.3: kube-proxy's /metrics on node-1",
                "localDetector cluster CIDR 10.244.0.0/16: kube-proxy's /configz on node-1",
                "nodePortAddresses primary: kube-proxy's /configz on node-1",
                "masqueradeAll true: kube-proxy's /configz on node-1",
                "kubeProxyVersion v1.34.4+k3s1: kube-proxy's /metrics on node-2",
            ]
        );
        let one = proxies["node-1"].settings(&shared()).unwrap();
        assert_eq!(one.mode, ProxyMode::Nftables);
        assert_eq!(one.version, "1.36.3".parse().ok());
        assert!(one.masquerade_all && !one.localhost_node_ports);
        assert!(matches!(one.detector, Detector::ClusterCidr(_)));
        let other = proxies["node-2"].settings(&shared()).unwrap();
        assert_eq!(other.mode, ProxyMode::Iptables);
        assert_eq!(other.version, "1.34.4".parse().ok());
        assert_eq!(
            other.detector,
            Detector::NodeCidr,
            "the ConfigMap counts where kube-proxy said nothing"
        );
        assert!(!other.masquerade_all && other.localhost_node_ports);
    }

    #[test]
    fn what_cannot_be_read_is_unknown_with_its_reason_and_changes_nothing() {
        let refused = || HostFact::Unknown("refused".into());
        for (name, view, says) in [
            (
                "nobody listens",
                view(
                    None,
                    Some(refused()),
                    Some(HostFact::Unknown("refused".into())),
                ),
                &[
                    "kubeProxyVersion unknown: kube-proxy's /metrics on node-1: refused",
                    "kubeProxySettings unknown: kube-proxy's /configz on node-1: refused",
                ][..],
            ),
            (
                "no version",
                view(None, version("latest"), None),
                &[
                    "kubeProxyVersion unknown: kube-proxy's /metrics on node-1: \"latest\" is not a Kubernetes version such as v1.30.2",
                ],
            ),
            (
                "a build without a version",
                view(None, version("v0.0.0-master+$Format:%H$"), None),
                &[
                    "kubeProxyVersion unknown: kube-proxy's /metrics on node-1: not the version of a release: v0.0.0-master+$Format:%H$",
                ],
            ),
            ("an older agent", view(None, None, None), &[]),
        ] {
            let (proxies, evidence) = look(&[("node-1", &view)], ClusterOverrides::default());
            assert_eq!(evidence, says, "{name}");
            assert_eq!(
                proxies["node-1"].settings(&shared()),
                Some(shared().proxy),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_of_a_node_are_read_like_those_of_the_config_map() {
        let addresses = |values: &[&str]| {
            let view = view(Some(ProxyMode::Nftables), None, settings("pods", values));
            let (proxies, evidence) = look(&[("node-1", &view)], ClusterOverrides::default());
            let proxy = proxies["node-1"].settings(&shared()).unwrap();
            assert!(proxy.masquerade_all && !proxy.localhost_node_ports);
            assert_eq!(proxy.detector, Detector::Unknown, "\"pods\" is no range");
            (proxy.node_port_addresses, evidence)
        };
        let (words, evidence) = addresses(&["primary", "localhost"]);
        let expected = NodePortAddresses::read(["primary", "127.0.0.0/8", "::1/128"]).0;
        assert_eq!(words, expected);
        assert_eq!(
            evidence,
            [
                "localDetector unknown: kube-proxy's /configz on node-1",
                "nodePortAddresses primary,localhost: kube-proxy's /configz on node-1",
                "masqueradeAll true: kube-proxy's /configz on node-1",
                "kubeProxySettings partly unknown: kube-proxy's /configz on node-1: clusterCIDR has the unknown value \"pods\", which is ignored",
            ]
        );
        assert_eq!(addresses(&["all"]).0, NodePortAddresses::all());
        let (partly, evidence) = addresses(&["primary", "lan"]);
        assert!(!partly.is_complete());
        let last = evidence.last().unwrap();
        assert!(
            last.ends_with("nodePortAddresses has the unknown value \"lan\", which is ignored"),
            "{last}"
        );
    }

    #[test]
    fn the_mode_that_the_user_gives_counts_for_every_node() {
        let view = view(Some(ProxyMode::Ipvs), version("v1.37.2"), None);
        let told = ClusterOverrides {
            proxy_mode: Some(ProxyMode::Nftables),
            ..ClusterOverrides::default()
        };
        let (proxies, _) = look(&[("node-1", &view)], told);
        let proxy = proxies["node-1"].settings(&shared()).unwrap();
        assert_eq!(proxy.mode, ProxyMode::Nftables);
    }

    #[test]
    fn a_node_of_unknown_mode_has_no_settings() {
        let view = view(None, version("v1.37.2"), None);
        let (proxies, _) = look(&[("node-1", &view)], ClusterOverrides::default());
        let nothing = Settings::gather(&ProxyOverrides::default(), None, &[]);
        assert_eq!(proxies["node-1"].settings(&nothing), None);
        let proxy = proxies["node-1"].settings(&shared()).unwrap();
        assert_eq!(proxy.mode, ProxyMode::Ipvs, "the ConfigMap's");
    }
}
