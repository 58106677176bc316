//! A dump of a cluster: what `kubectl get svc,endpointslices,nodes,pods -A -o json` (or yaml) prints, or more kinds
//! ([`FULL`]).
//!
//! A dump may have lists and single objects, JSON and YAML, several documents in a file, and several files in a folder.
//! Kinds that the model does not need are ignored.

use crate::cluster::yaml;
use crate::error::chain;
use crate::survey::{
    k3s,
    kube_proxy::{ProxyConfig, is_kube_proxy, version_of_pod},
    network_policies::PolicySurvey,
    other_proxy::{CILIUM_CONFIG, OtherProxy, Workload, antrea_replaces, cilium_replaces},
};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};
use svc_reach_common::{
    facts::{Endpoint, Facts, FurtherNodes, Node, Service},
    model::Version,
    objects::ServiceEndpoints,
};

/// The command that prints a full dump.
pub const FULL: &str = "kubectl get svc,endpointslices,endpoints,nodes,pods,daemonsets,configmaps,networkpolicies,namespaces -A -o yaml";

/// Extensions of the files to read in a folder.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file or folder cannot be read.
    #[error("failed to read {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder has no file that could be part of a dump.
    #[error("found no .json, .yaml or .yml file in {}", path.display())]
    EmptyFolder {
        /// Its path.
        path: PathBuf,
    },
    /// A document is not valid JSON.
    #[error("failed to read {name} as JSON")]
    Json {
        /// The file.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A document is not valid YAML.
    #[error("failed to read {name} as YAML")]
    Yaml {
        /// The file.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file has text for people instead of objects.
    #[error(
        "{name} is text for people, as `kubectl describe` and `kubectl get` print it; expected what `{FULL}` prints"
    )]
    Text {
        /// The file.
        name: String,
    },
    /// The documents have no object that the model can use.
    #[error(
        "found no Service, EndpointSlice, Endpoints or Node in {names}; \
         expected what `{FULL}` prints"
    )]
    Nothing {
        /// The files.
        names: String,
    },
}

/// What the model needs from a dump.
#[derive(Debug, Default)]
pub struct Dump {
    /// Services with their endpoints, by namespace and name.
    pub services: Vec<(Service, Vec<Endpoint>)>,
    /// Nodes, by name.
    pub nodes: Vec<Node>,
    /// kube-proxy's settings, if the dump has them.
    pub proxy_config: Option<ProxyConfig>,
    /// Ranges of ServiceCIDR objects.
    pub service_cidrs: Vec<IpNet>,
    /// Pods that are not on a host network: the node and an address of each.
    pub pods: Vec<(String, IpAddr)>,
    /// The version of kube-proxy by its image, by node.
    pub proxy_versions: BTreeMap<String, Version>,
    /// What forwards Service traffic instead of kube-proxy, and what shows it.
    pub other_proxy: Option<OtherProxy>,
    /// Services whose endpoints the dump does not hold, by namespace and name.
    pub unknown_endpoints: BTreeSet<(String, String)>,
    /// The network policies, with the pods and namespaces that they may refer to.
    pub policies: PolicySurvey,
    /// The kinds of its objects.
    pub kinds: BTreeSet<String>,
    /// Objects that could not be understood.
    pub problems: Vec<String>,
}

/// A file's name and text.
#[derive(Debug)]
pub struct Source {
    /// The name for messages.
    pub name: String,
    /// The content.
    pub text: String,
}

/// Reads a file, the files of a folder and its subfolders, or standard input (`-`).
///
/// # Errors
///
/// If something cannot be read, or a folder has no file to read.
pub fn read_files(path: &Path) -> Result<Vec<Source>, DumpError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DumpError::File { path, source }
    };
    if path == Path::new("-") {
        let text = io::read_to_string(io::stdin()).map_err(failed(path))?;
        return Ok(vec![Source {
            name: "standard input".to_owned(),
            text,
        }]);
    }
    let mut files = Vec::new();
    if path.is_dir() {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let entry = entry.map_err(failed(&folder))?.path();
                // Do not follow links, which may lead back up.
                if entry.is_dir() && !entry.is_symlink() {
                    folders.push(entry);
                } else if entry
                    .extension()
                    .and_then(|ending| ending.to_str())
                    .is_some_and(|ending| ENDINGS.contains(&ending))
                {
                    files.push(entry);
                }
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(DumpError::EmptyFolder {
                path: path.to_owned(),
            });
        }
    } else {
        files.push(path.to_owned());
    }
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            Ok(Source {
                name: path.display().to_string(),
                text,
            })
        })
        .collect()
}

impl Dump {
    /// Parses documents.
    ///
    /// # Errors
    ///
    /// If a document is neither JSON nor YAML, or no document has an object that the model can use.
    pub fn parse(sources: &[Source]) -> Result<Self, DumpError> {
        let mut gathered = Gathered::default();
        for source in sources {
            for document in documents(source)? {
                gathered.object(document);
            }
        }
        let useful = !gathered.services.is_empty()
            || !gathered.nodes.is_empty()
            || !gathered.slices.is_empty()
            || !gathered.endpoints.is_empty()
            || !gathered.problems.is_empty();
        if !useful {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            return Err(DumpError::Nothing {
                names: names.join(", "),
            });
        }
        Ok(gathered.dump())
    }

    /// The facts about one Service.
    #[must_use]
    pub fn facts(&self, namespace: &str, name: &str) -> Option<Facts> {
        let (service, endpoints) = self
            .services
            .iter()
            .find(|(service, _)| service.namespace == namespace && service.name == name)?;
        Some(Facts {
            service: service.clone(),
            endpoints: endpoints.clone(),
            nodes: self.nodes.clone().into(),
            // A dump may have only some nodes.
            further_nodes: FurtherNodes::NotRead,
            changed: None,
            server_version: None,
            routes: Ok(Vec::new()),
        })
    }
}

/// The documents of a file. JSON begins with a bracket, and may have several documents one after the other.
fn documents(source: &Source) -> Result<Vec<Value>, DumpError> {
    let text = source.text.trim_start_matches('\u{feff}');
    if is_for_people(text) {
        return Err(DumpError::Text {
            name: source.name.clone(),
        });
    }
    if text.trim_start().starts_with(['{', '[']) {
        let read: Result<Vec<Value>, serde_json::Error> = serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect();
        return read.map_err(|source_error| DumpError::Json {
            name: source.name.clone(),
            source: source_error,
        });
    }
    yaml::documents(text).map_err(|error| DumpError::Yaml {
        name: source.name.clone(),
        source: error,
    })
}

/// Whether a text is what `kubectl describe` or `kubectl get` prints without `-o`: a field `Name` with its value in a
/// column, or a heading of columns.
fn is_for_people(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let heading = matches!(first, "NAME" | "NAMESPACE")
            && words.all(|word| {
                word.chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_punctuation())
            });
        heading || (first == "Name:" && line.starts_with("Name:  "))
    })
}

#[derive(Debug, Deserialize)]
struct ConfigMap {
    metadata: ConfigMapMetadata,
    data: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct ConfigMapMetadata {
    name: String,
    namespace: Option<String>,
}

/// Objects by kind. A later object replaces an earlier one of the same name.
#[derive(Default)]
struct Gathered {
    services: BTreeMap<(String, String), Service>,
    slices: BTreeMap<(String, String), ServiceEndpoints>,
    endpoints: BTreeMap<(String, String), ServiceEndpoints>,
    nodes: BTreeMap<String, Node>,
    proxy_configs: Vec<ProxyConfig>,
    service_cidrs: Vec<IpNet>,
    pods: Vec<(String, IpAddr)>,
    proxy_versions: BTreeMap<String, Version>,
    other_proxies: Vec<OtherProxy>,
    /// Whether a pod of kube-proxy exists.
    kube_proxy_runs: bool,
    policies: PolicySurvey,
    kinds: BTreeSet<String>,
    problems: Vec<String>,
}

impl Gathered {
    fn object(&mut self, object: Value) {
        if let Value::Array(objects) = object {
            for object in objects {
                self.object(object);
            }
            return;
        }
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Some(of_items) = kind.strip_suffix("List") {
            self.list(object, of_items);
            return;
        }
        self.kinds.insert(kind.clone());
        let read = match kind.as_str() {
            "Service" => Service::try_from(&object).map(|service| {
                self.services
                    .insert((service.namespace.clone(), service.name.clone()), service);
            }),
            "EndpointSlice" => ServiceEndpoints::from_slice(&object).map(|slice| {
                self.slices.insert(key(&object), slice);
            }),
            "Endpoints" => ServiceEndpoints::from_endpoints(&object).map(|endpoints| {
                self.endpoints.insert(key(&object), endpoints);
            }),
            "Node" => Node::try_from(&object).map(|node| {
                self.nodes.insert(node.name.clone(), node);
            }),
            "ConfigMap" => {
                self.config_map(&object);
                Ok(())
            }
            "Pod" => {
                self.proxy_configs.extend(ProxyConfig::of_pod(&object));
                self.proxy_versions.extend(version_of_pod(&object));
                self.kube_proxy_runs |= is_kube_proxy(&object);
                self.policies.add_pod(&object);
                self.pod(&object);
                Ok(())
            }
            "DaemonSet" => {
                let (namespace, name) = key(&object);
                let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
                self.workload(&name, template, &format!("DaemonSet {namespace}/{name}"));
                Ok(())
            }
            "ServiceCIDR" => {
                let ranges = object.pointer("/spec/cidrs").and_then(Value::as_array);
                let ranges = ranges.into_iter().flatten().filter_map(Value::as_str);
                self.service_cidrs
                    .extend(ranges.filter_map(|range| range.parse::<IpNet>().ok()));
                Ok(())
            }
            "NetworkPolicy" if is_of_kubernetes(&object) => {
                self.policies.add_policy(&key(&object).0, &object);
                Ok(())
            }
            "Namespace" => {
                self.policies.add_labels_of(&key(&object).1, &object);
                Ok(())
            }
            _ => {
                self.policies.add_if_foreign(&object);
                Ok(())
            }
        };
        if let Err(error) = read {
            self.problems.push(chain(&error));
        }
    }

    /// Adds a `List`, or a list of one kind such as `ServiceList`. Items of the latter may omit their kind.
    fn list(&mut self, list: Value, of_items: &str) {
        let Value::Object(mut list) = list else {
            return;
        };
        let Some(Value::Array(items)) = list.remove("items") else {
            return;
        };
        for mut item in items {
            if let Value::Object(fields) = &mut item
                && !of_items.is_empty()
            {
                fields
                    .entry("kind")
                    .or_insert_with(|| Value::String(of_items.to_owned()));
            }
            self.object(item);
        }
    }

    fn config_map(&mut self, object: &Value) {
        // Only the ConfigMaps of kube-proxy and Cilium matter. Others may have any content.
        let Ok(map) = ConfigMap::deserialize(object) else {
            return;
        };
        let name = format!(
            "{}/{}",
            map.metadata.namespace.as_deref().unwrap_or("default"),
            map.metadata.name
        );
        let data = map.data.unwrap_or_default();
        let source = || format!("ConfigMap {name}");
        if map.metadata.name == CILIUM_CONFIG && cilium_replaces(&data) == Some(true) {
            self.other_proxies.push(Workload::Cilium.shown_by(source()));
        }
        if antrea_replaces(&data) {
            self.other_proxies.push(Workload::Antrea.shown_by(source()));
        }
        for (key, text) in data {
            match ProxyConfig::of_text(&name, &key, &text) {
                Ok(config) => self.proxy_configs.extend(config),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    /// Remembers a workload that replaces kube-proxy.
    fn workload(&mut self, daemon_set: &str, template: &Value, source: &str) {
        if let Some(workload) = Workload::of(daemon_set)
            && workload.replaces(template) == Some(true)
        {
            self.other_proxies
                .push(workload.shown_by(source.to_owned()));
        }
    }

    /// Remembers the address of a running pod that is not on a host network, and the pod's controller.
    fn pod(&mut self, object: &Value) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let list = |pointer| object.pointer(pointer).and_then(Value::as_array);
        for owner in list("/metadata/ownerReferences").into_iter().flatten() {
            let of = |key| owner.get(key).and_then(Value::as_str);
            if let (Some("DaemonSet"), Some(name)) = (of("kind"), of("name")) {
                let (namespace, pod) = key(object);
                self.workload(name, object, &format!("pod {namespace}/{pod}"));
            }
        }
        let on_host = object.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
        let (Some(node), Some("Running")) = (text("/spec/nodeName"), text("/status/phase")) else {
            return;
        };
        if on_host {
            return;
        }
        let several = list("/status/podIPs").into_iter().flatten();
        let several = several.filter_map(|entry| entry.get("ip").and_then(Value::as_str));
        let addresses: BTreeSet<IpAddr> = several
            .chain(text("/status/podIP"))
            .filter_map(|ip| ip.parse().ok())
            .collect();
        self.pods.extend(
            addresses
                .into_iter()
                .map(|address| (node.to_owned(), address)),
        );
    }

    fn dump(self) -> Dump {
        // The controllers of Kubernetes make a slice for each Service, even without endpoints. So if a dump has a slice of
        // a namespace, it has all slices of the namespace.
        let namespaces: BTreeSet<&str> = self
            .slices
            .values()
            .chain(self.endpoints.values())
            .map(|endpoints| endpoints.namespace.as_str())
            .collect();
        let unknown_endpoints = self
            .services
            .keys()
            .filter(|(namespace, _)| !namespaces.contains(namespace.as_str()))
            .cloned()
            .collect();
        let nodes: Vec<Node> = self.nodes.into_values().collect();
        // kube-proxy's pods may run beside a network that could replace it.
        let other_proxy = self
            .other_proxies
            .into_iter()
            .next()
            .filter(|_| !self.kube_proxy_runs);
        let proxy_config =
            ProxyConfig::best(self.proxy_configs).or_else(|| k3s::kube_proxy(&nodes));
        let mut by_service: BTreeMap<(String, String), Vec<Endpoint>> = BTreeMap::new();
        for slice in self.slices.into_values() {
            if let Some(service) = slice.service {
                by_service
                    .entry((slice.namespace, service))
                    .or_default()
                    .extend(slice.endpoints);
            }
        }
        // If a Service has no EndpointSlice, its Endpoints say the same. kube-proxy up to 1.18 read only Endpoints.
        for (key, endpoints) in self.endpoints {
            by_service.entry(key).or_insert(endpoints.endpoints);
        }
        Dump {
            services: self
                .services
                .into_iter()
                .map(|(key, service)| (service, by_service.remove(&key).unwrap_or_default()))
                .collect(),
            nodes,
            proxy_config: proxy_config.filter(|_| other_proxy.is_none()),
            service_cidrs: self.service_cidrs,
            pods: self.pods,
            proxy_versions: self.proxy_versions,
            other_proxy,
            unknown_endpoints,
            policies: self.policies,
            kinds: self.kinds,
            problems: self.problems,
        }
    }
}

/// Whether a NetworkPolicy is of Kubernetes itself. Network plugins have kinds of the same name.
fn is_of_kubernetes(policy: &Value) -> bool {
    let version = policy.get("apiVersion").and_then(Value::as_str);
    version.is_none_or(|version| version.starts_with("networking.k8s.io/"))
}

fn key(object: &Value) -> (String, String) {
    let text = |pointer, default: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or(default)
            .to_owned()
    };
    (
        text("/metadata/namespace", "default"),
        text("/metadata/name", ""),
    )
}
