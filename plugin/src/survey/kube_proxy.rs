//! kube-proxy's settings: from flags, or else from its own configuration, or else its defaults.

use super::other_proxy::OtherProxy;
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
    /// Whether it tells kube-proxy to serve its mode at another port than 10249.
    pub elsewhere: bool,
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
    metrics_bind_address: Option<String>,
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
            metrics_bind_address: field(document, "metricsBindAddress", problems),
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

/// kube-proxy's flags, each with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags(Vec<(String, String)>);

impl Flags {
    /// Reads the words of a command line. A value may be in the flag's word, after `=`, or in the next word. A flag
    /// without a value is `true`.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut flags = Self::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--") else {
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value),
                // pflag takes the value of a bool from the flag's own word only.
                None if BOOLS.contains(&flag) => (flag, "true"),
                None => (
                    flag,
                    words
                        .next_if(|next| !next.starts_with("--"))
                        .unwrap_or("true"),
                ),
            };
            flags.set(name, value);
        }
        flags
    }

    /// Sets a flag. The last value counts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn get(&self, name: &str) -> Option<String> {
        let mut flags = self.0.iter();
        flags
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    }

    fn wire(&self) -> Wire {
        let bool = |name: &str| self.get(name).map(|value| value == "true");
        Wire {
            mode: self.get("proxy-mode"),
            cluster_cidr: self.get("cluster-cidr"),
            detect_local_mode: self.get("detect-local-mode"),
            node_port_addresses: self
                .get("nodeport-addresses")
                .map(|value| value.split(',').map(str::to_owned).collect()),
            iptables_masquerade_all: bool("masquerade-all"),
            nftables_masquerade_all: bool("masquerade-all"),
            localhost_node_ports: bool("iptables-localhost-nodeports"),
            metrics_bind_address: self.get("metrics-bind-address"),
        }
    }
}

/// kube-proxy's flags of type bool that a command line may have without a value
/// (kubernetes/kubernetes v1.37.2 `cmd/kube-proxy/app/options.go`).
const BOOLS: [&str; 6] = [
    "masquerade-all",
    "iptables-localhost-nodeports",
    "ipvs-strict-arp",
    "profiling",
    "bind-address-hard-fail",
    "cleanup",
];

/// Whether a pod is kube-proxy.
pub fn is_kube_proxy(pod: &Value) -> bool {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let mut containers = containers.into_iter().flatten();
    containers.any(|container| container.get("name").and_then(Value::as_str) == Some("kube-proxy"))
}

/// The version of kube-proxy by the image of its container, with the node that the pod runs on; `None` if the pod is not
/// kube-proxy's, or the image's tag is no version.
pub fn version_of_pod(pod: &Value) -> Option<(String, Version)> {
    let node = pod.pointer("/spec/nodeName")?.as_str()?;
    Some((node.to_owned(), version_of_template(pod)?))
}

/// The same for the template of a workload's pods, without a node.
pub fn version_of_template(pod: &Value) -> Option<Version> {
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let container = containers
        .iter()
        .find(|container| container.get("name").and_then(Value::as_str) == Some("kube-proxy"))?;
    let image = container.get("image")?.as_str()?;
    let image = image.split('@').next().unwrap_or_default();
    // A port of the registry also follows a colon.
    let (_, tag) = image
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))?;
    let version: Version = tag.parse().ok()?;
    (version.major > 0).then_some(version)
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
        let flags = Flags::of(words);
        // With a file, kube-proxy ignores the other flags.
        if flags.0.is_empty() || flags.get("config").is_some() {
            return None;
        }
        let name = pod
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("kube-proxy");
        let source = format!("command line of pod {name}");
        Self::of_wire(source, flags.wire(), Vec::new(), 3)
    }

    /// Reads flags of a kube-proxy that another program starts.
    pub fn of_flags(source: String, flags: &Flags) -> Option<Self> {
        Self::of_wire(source, flags.wire(), Vec::new(), 4)
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
            metrics_bind_address: None,
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
            elsewhere: wire
                .metrics_bind_address
                .is_some_and(|address| !address.is_empty() && !address.ends_with(":10249")),
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
    /// Whether the mode is known, and one of kube-proxy's that the model knows.
    #[must_use]
    pub const fn knows_kube_proxy(&self) -> bool {
        self.mode_told
            && matches!(
                self.proxy.mode,
                ProxyMode::Iptables | ProxyMode::Ipvs | ProxyMode::Nftables
            )
    }

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
                &"unknown",
                "no configuration of kube-proxy was found; --proxy-mode gives it",
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

    /// Something else than kube-proxy forwards Service traffic. A mode from a flag comes first.
    pub fn replaced_by(&mut self, other: &OtherProxy, told: &ProxyOverrides) {
        if told.mode.is_some() {
            return;
        }
        if let Some(mode) = other.mode {
            self.proxy.mode = mode;
        }
        self.mode_told = other.mode.is_some();
        self.evidence
            .retain(|evidence| !matches!(evidence.fact.as_str(), "proxyMode" | "localDetector"));
        self.evidence.push(Evidence {
            fact: "proxyMode".to_owned(),
            value: other
                .mode
                .map_or_else(|| "unknown".to_owned(), |mode| mode.to_string()),
            source: format!("{} instead of kube-proxy ({})", other.name, other.source),
        });
    }

    /// Gives nodes the versions of their kube-proxies, from the images of its pods. A version from a flag comes first.
    pub fn add_versions(&mut self, versions: &BTreeMap<String, Version>) {
        if self.proxy.version.is_some() || !self.mode_told || versions.is_empty() {
            return;
        }
        for (node, version) in versions {
            let proxy = self
                .nodes
                .entry(node.clone())
                .or_insert_with(|| self.proxy.clone());
            proxy.version = proxy.version.or(Some(*version));
        }
        let mut words: Vec<String> = versions.values().map(Version::to_string).collect();
        words.sort();
        words.dedup();
        self.evidence.push(Evidence {
            fact: "kubeProxyVersion".to_owned(),
            value: words.join(", "),
            source: "image of kube-proxy's pods".to_owned(),
        });
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
