//! kube-proxy's settings: from flags, or else from its own configuration, or else its defaults.

use crate::cluster::yaml;
use ipnet::IpNet;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};
use svc_reach_common::{
    model::{Detector, NodePortAddresses, Proxy, Version},
    proxy_mode::ProxyMode,
    report::Evidence,
    wire::line::KubeProxySettings,
    words,
};

words! {
    /// How kube-proxy recognises traffic from local pods.
    pub enum LocalDetector("local detector") {
        /// By the cluster's pod ranges.
        ClusterCidr = "cluster-cidr",
        /// By the node's pod range.
        NodeCidr = "node-cidr",
        /// By a bridge.
        Bridge = "bridge",
        /// By the prefix of an interface's name.
        Interface = "interface",
        /// Not at all.
        None = "none",
    }
}

/// Settings from flags. `None`: the flag was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyOverrides {
    /// `--proxy-mode`.
    pub mode: Option<ProxyMode>,
    /// `--cluster-cidr`.
    pub cluster_cidrs: Option<Vec<IpNet>>,
    /// `--service-cidr`.
    pub service_cidrs: Option<Vec<IpNet>>,
    /// `--masquerade-all`.
    pub masquerade_all: Option<bool>,
    /// `--node-port-addresses`.
    pub node_port_addresses: Option<NodePortAddresses>,
    /// `--localhost-node-ports`.
    pub localhost_node_ports: Option<bool>,
    /// `--local-detector`.
    pub detector: Option<LocalDetector>,
    /// `--kubernetes-version`.
    pub version: Option<Version>,
}

/// The part of kube-proxy's own configuration that the model uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Where it was found.
    pub source: String,
    /// `mode`. Empty means iptables. `None`: the word is unknown.
    pub mode: Option<ProxyMode>,
    /// `detectLocalMode` and `clusterCIDR`.
    pub detector: Detector,
    /// `iptables.masqueradeAll`, or `nftables.masqueradeAll` in that mode.
    pub masquerade_all: bool,
    /// `nodePortAddresses`.
    pub node_port_addresses: NodePortAddresses,
    /// `iptables.localhostNodePorts`.
    pub localhost_node_ports: bool,
    /// What the plugin does not understand, one warning for each value. It ignores these values and uses all others.
    pub problems: Vec<String>,
    rank: u8,
}

/// `KubeProxyConfiguration` (kubernetes/kubernetes v1.37.2 `staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go`).
///
/// If the value of a field has an unexpected type, the field is absent here and the value is among the problems.
#[derive(Debug, Default)]
struct Wire {
    mode: Option<String>,
    cluster_cidr: Option<String>,
    detect_local_mode: Option<String>,
    node_port_addresses: Option<Vec<String>>,
    iptables_masquerade_all: Option<bool>,
    nftables_masquerade_all: Option<bool>,
    localhost_node_ports: Option<bool>,
}

impl Wire {
    fn read(document: &Value, problems: &mut Vec<String>) -> Self {
        Self {
            mode: field(document, "mode", problems),
            cluster_cidr: field(document, "clusterCIDR", problems),
            detect_local_mode: field(document, "detectLocalMode", problems),
            // Anything but a list of texts becomes a value that is not understood.
            node_port_addresses: document
                .get("nodePortAddresses")
                .filter(|value| !value.is_null())
                .map(|value| match value.as_array() {
                    Some(values) => values.iter().map(text).collect(),
                    None => vec![value.to_string()],
                }),
            iptables_masquerade_all: field(document, "iptables.masqueradeAll", problems),
            nftables_masquerade_all: field(document, "nftables.masqueradeAll", problems),
            localhost_node_ports: field(document, "iptables.localhostNodePorts", problems),
        }
    }
}

/// A field by its path, if its value has the right type.
fn field<T: DeserializeOwned>(
    document: &Value,
    path: &str,
    problems: &mut Vec<String>,
) -> Option<T> {
    let value = document.pointer(&format!("/{}", path.replace('.', "/")))?;
    match Option::deserialize(value) {
        Ok(read) => read,
        Err(_) => {
            problems.push(unknown(path, value));
            None
        }
    }
}

/// A text without quotes, or any other value as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn unknown(field: &str, value: impl fmt::Display) -> String {
    format!("{field} has the unknown value {value}, which is ignored")
}

impl ProxyConfig {
    /// Reads one entry of a ConfigMap, if it is a configuration of kube-proxy on Linux.
    ///
    /// # Errors
    ///
    /// If it is one, but not YAML.
    pub fn of_text(config_map: &str, key: &str, text: &str) -> Result<Option<Self>, String> {
        if !text.contains("KubeProxyConfiguration") {
            return Ok(None);
        }
        let source = format!("ConfigMap {config_map}, {key}");
        let Ok(documents) = yaml::documents(text) else {
            return Err(format!("{source}: is not YAML"));
        };
        let Some(document) = documents.into_iter().find(|document| {
            document.get("kind").and_then(Value::as_str) == Some("KubeProxyConfiguration")
        }) else {
            return Ok(None);
        };
        let mut problems = Vec::new();
        let wire = Wire::read(&document, &mut problems);
        // kubeadm uses kube-system/kube-proxy. Other installers use similar names.
        let rank = match config_map.split_once('/') {
            Some(("kube-system", "kube-proxy")) => 0,
            Some(("kube-system", _)) => 1,
            Some(_) | None => 2,
        };
        Ok(Self::of_wire(source, wire, problems, rank))
    }

    /// Reads the command line of a kube-proxy that runs as a pod and has no configuration file.
    pub fn of_pod(pod: &Value) -> Option<Self> {
        let containers = pod.pointer("/spec/containers")?.as_array()?;
        let container = containers.iter().find(|container| {
            container.get("name").and_then(Value::as_str) == Some("kube-proxy")
        })?;
        let words = ["command", "args"]
            .iter()
            .filter_map(|key| container.get(key)?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .flat_map(str::split_whitespace);
        let flags: Vec<(&str, &str)> = words
            .filter_map(|word| word.strip_prefix("--"))
            .map(|flag| flag.split_once('=').unwrap_or((flag, "true")))
            .collect();
        let flag = |name: &str| {
            flags
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        // With a file, kube-proxy ignores the other flags.
        if flags.is_empty() || flag("config").is_some() {
            return None;
        }
        let masquerade_all = flag("masquerade-all").map(|value| value == "true");
        let wire = Wire {
            mode: flag("proxy-mode"),
            cluster_cidr: flag("cluster-cidr"),
            detect_local_mode: flag("detect-local-mode"),
            node_port_addresses: flag("nodeport-addresses")
                .map(|value| value.split(',').map(str::to_owned).collect()),
            iptables_masquerade_all: masquerade_all,
            nftables_masquerade_all: masquerade_all,
            localhost_node_ports: flag("iptables-localhost-nodeports").map(|value| value == "true"),
        };
        let name = pod
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("kube-proxy");
        let source = format!("command line of pod {name}");
        Self::of_wire(source, wire, Vec::new(), 3)
    }

    /// Reads what a node's kube-proxy answered about its settings. `None`: it is kube-proxy on Windows.
    pub fn of_node(node: &str, settings: &KubeProxySettings) -> Option<Self> {
        let wire = Wire {
            mode: Some(settings.mode.clone()),
            cluster_cidr: Some(settings.cluster_cidrs.join(",")),
            detect_local_mode: settings.detect_local_mode.clone(),
            node_port_addresses: Some(settings.node_port_addresses.clone()),
            iptables_masquerade_all: settings.masquerade_all,
            nftables_masquerade_all: settings.masquerade_all,
            localhost_node_ports: settings.localhost_node_ports,
        };
        let source = format!("kube-proxy's /configz on {node}");
        Self::of_wire(source, wire, Vec::new(), 0)
    }

    /// `None`: it is a configuration for Windows.
    fn of_wire(source: String, wire: Wire, mut problems: Vec<String>, rank: u8) -> Option<Self> {
        let mode_not_read = problems.iter().any(|problem| problem.starts_with("mode "));
        let mode = match wire.mode.as_deref() {
            None if mode_not_read => None,
            // The default on Linux (kubernetes/kubernetes v1.37.2 `cmd/kube-proxy/app/server_linux.go`).
            None | Some("") => Some(ProxyMode::Iptables),
            Some("kernelspace") => return None,
            Some(word) => {
                let mode = word.parse().ok();
                if mode.is_none() {
                    problems.push(unknown("mode", format_args!("{word:?}")));
                }
                mode
            }
        };
        let cluster_cidr = wire.cluster_cidr.as_deref().unwrap_or_default();
        let mut cluster_cidrs = Vec::new();
        let mut all_read = !problems
            .iter()
            .any(|problem| problem.starts_with("clusterCIDR "));
        let ranges = cluster_cidr.split(',').map(str::trim);
        for range in ranges.filter(|range| !range.is_empty()) {
            match range.parse() {
                Ok(range) => cluster_cidrs.push(range),
                Err(_) => {
                    all_read = false;
                    problems.push(unknown("clusterCIDR", format_args!("{range:?}")));
                }
            }
        }
        let detector = match wire.detect_local_mode.as_deref() {
            None if problems
                .iter()
                .any(|problem| problem.starts_with("detectLocalMode ")) =>
            {
                Detector::Unknown
            }
            None | Some("" | "ClusterCIDR") if all_read || !cluster_cidrs.is_empty() => {
                Detector::ClusterCidr(cluster_cidrs)
            }
            None | Some("" | "ClusterCIDR") => Detector::Unknown,
            Some("NodeCIDR") => Detector::NodeCidr,
            Some("BridgeInterface") => Detector::Bridge,
            Some("InterfaceNamePrefix") => Detector::Interface,
            Some(other) => {
                problems.push(unknown("detectLocalMode", format_args!("{other:?}")));
                Detector::Unknown
            }
        };
        let addresses = wire.node_port_addresses.unwrap_or_default();
        let (node_port_addresses, not_read) = NodePortAddresses::read(
            addresses
                .iter()
                .map(|value| value.trim())
                .filter(|value| !value.is_empty()),
        );
        let not_read = not_read.into_iter();
        problems
            .extend(not_read.map(|value| unknown("nodePortAddresses", format_args!("{value:?}"))));
        let masquerade_all = match mode {
            Some(ProxyMode::Nftables) => wire.nftables_masquerade_all,
            // ipvs mode takes the setting from the same place.
            Some(
                ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Userspace | ProxyMode::Ebpf,
            )
            | None => wire.iptables_masquerade_all,
        };
        for problem in &mut problems {
            *problem = format!("{source}: {problem}");
        }
        Some(Self {
            source,
            mode,
            detector,
            masquerade_all: masquerade_all.unwrap_or_default(),
            node_port_addresses,
            localhost_node_ports: wire.localhost_node_ports.unwrap_or(true),
            problems,
            rank,
        })
    }

    /// Chooses one of several configurations. kubeadm's comes first.
    #[must_use]
    pub fn best(configs: Vec<Self>) -> Option<Self> {
        configs
            .into_iter()
            .min_by(|one, other| (one.rank, &one.source).cmp(&(other.rank, &other.source)))
    }
}

/// The settings to use, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The settings. If the mode is unknown, it is kube-proxy's default.
    pub proxy: Proxy,
    /// Whether a flag or a configuration gives the mode.
    pub mode_told: bool,
    /// Where they come from.
    pub evidence: Vec<Evidence>,
    /// The settings of nodes whose own kube-proxy was asked, by name.
    pub nodes: BTreeMap<String, Proxy>,
}

impl Settings {
    /// Flags take precedence over the configuration, and that over kube-proxy's defaults.
    #[must_use]
    pub fn gather(
        told: &ProxyOverrides,
        found: Option<&ProxyConfig>,
        service_cidrs: &[IpNet],
    ) -> Self {
        let mut evidence = Vec::new();
        let mut note = |fact: &str, value: &dyn fmt::Display, source: &str| {
            evidence.push(Evidence {
                fact: fact.to_owned(),
                value: value.to_string(),
                source: source.to_owned(),
            });
        };
        let file = found.map_or("kube-proxy's default", |config| config.source.as_str());
        let found_mode = found.and_then(|config| config.mode);
        let mode = told.mode.or(found_mode).unwrap_or(ProxyMode::Iptables);
        match told.mode {
            Some(_) => note("proxyMode", &mode, "--proxy-mode"),
            None if found_mode.is_some() => note("proxyMode", &mode, file),
            None if found.is_some() => note("proxyMode", &"unknown", file),
            None => note(
                "proxyMode",
                &mode,
                "not specified; the default of kube-proxy on Linux",
            ),
        }
        let detector = match (told.detector, &told.cluster_cidrs, found) {
            (Some(LocalDetector::NodeCidr), ..) => Detector::NodeCidr,
            (Some(LocalDetector::Bridge), ..) => Detector::Bridge,
            (Some(LocalDetector::Interface), ..) => Detector::Interface,
            (Some(LocalDetector::None), ..) => Detector::None,
            (Some(LocalDetector::ClusterCidr) | None, Some(ranges), _) => {
                Detector::ClusterCidr(ranges.clone())
            }
            (None, None, Some(config)) => config.detector.clone(),
            (Some(LocalDetector::ClusterCidr), None, Some(config)) => match &config.detector {
                told @ Detector::ClusterCidr(_) => told.clone(),
                Detector::NodeCidr
                | Detector::Bridge
                | Detector::Interface
                | Detector::None
                | Detector::Unknown => Detector::ClusterCidr(Vec::new()),
            },
            (Some(LocalDetector::ClusterCidr), None, None) => Detector::ClusterCidr(Vec::new()),
            (None, None, None) => Detector::Unknown,
        };
        let by_flag = told.detector.is_some() || told.cluster_cidrs.is_some();
        if detector == Detector::Unknown {
            let source = if found.is_some() {
                file
            } else {
                "not specified"
            };
            note("localDetector", &"unknown", source);
        } else {
            let source = if by_flag {
                "--local-detector, --cluster-cidr"
            } else {
                file
            };
            note("localDetector", &described(&detector), source);
        }
        if let Some(version) = told.version {
            note("kubernetesVersion", &version, "--kubernetes-version");
        }
        Self {
            proxy: Proxy {
                mode,
                version: told.version,
                detector,
                masquerade_all: told
                    .masquerade_all
                    .or(found.map(|config| config.masquerade_all))
                    .unwrap_or_default(),
                node_port_addresses: told
                    .node_port_addresses
                    .clone()
                    .or(found.map(|config| config.node_port_addresses.clone()))
                    .unwrap_or_default(),
                localhost_node_ports: told
                    .localhost_node_ports
                    .or(found.map(|config| config.localhost_node_ports))
                    .unwrap_or(true),
                // If a cluster has ServiceCIDR objects, the feature gate is on with which kube-proxy watches them
                // (`MultiCIDRServiceAllocator`, on by default since 1.33).
                service_cidrs: told
                    .service_cidrs
                    .clone()
                    .unwrap_or_else(|| service_cidrs.to_vec()),
                bridged_pods: None,
            },
            mode_told: told.mode.is_some() || found_mode.is_some(),
            evidence,
            nodes: BTreeMap::new(),
        }
    }

    /// The settings for single packets, each of which has one answer. If no cluster CIDR is known, there is none, as
    /// for kube-proxy itself.
    #[must_use]
    pub fn for_flows(&self) -> Proxy {
        let mut proxy = self.proxy.clone();
        if proxy.detector == Detector::Unknown {
            proxy.detector = Detector::ClusterCidr(Vec::new());
        }
        proxy
    }
}

/// A detector in words.
pub fn described(detector: &Detector) -> String {
    match detector {
        Detector::ClusterCidr(ranges) if ranges.is_empty() => "none (no cluster CIDR)".to_owned(),
        Detector::ClusterCidr(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            format!("cluster CIDR {}", ranges.join(","))
        }
        Detector::NodeCidr => "the node's pod range".to_owned(),
        Detector::Bridge => "bridge".to_owned(),
        Detector::Interface => "interface prefix".to_owned(),
        Detector::None => "none".to_owned(),
        Detector::Unknown => "unknown".to_owned(),
    }
}
