//! A dump of a cluster: what `kubectl get svc,endpointslices,endpoints,nodes,pods,configmaps -A -o json` (or yaml)
//! prints.
//!
//! A dump may have lists and single objects, JSON and YAML, several documents in a file, and several files in a folder.
//! Kinds that the model does not need are ignored.

use crate::cluster::yaml;
use crate::error::chain;
use crate::survey::kube_proxy::ProxyConfig;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use svc_reach_common::{
    facts::{Endpoint, Facts, Node, Service},
    objects::ServiceEndpoints,
};

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
    /// The documents have no object that the model can use.
    #[error(
        "found no Service, EndpointSlice, Endpoints or Node in {names}; \
         expected what `kubectl get svc,endpointslices,endpoints,nodes,pods,configmaps -A -o json` prints"
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
            all_nodes: false,
            changed: None,
            server_version: None,
        })
    }
}

/// The documents of a file. JSON begins with a bracket, and may have several documents one after the other.
fn documents(source: &Source) -> Result<Vec<Value>, DumpError> {
    let text = source.text.trim_start_matches('\u{feff}');
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
                Ok(())
            }
            "ServiceCIDR" => {
                let ranges = object.pointer("/spec/cidrs").and_then(Value::as_array);
                let ranges = ranges.into_iter().flatten().filter_map(Value::as_str);
                self.service_cidrs
                    .extend(ranges.filter_map(|range| range.parse::<IpNet>().ok()));
                Ok(())
            }
            _ => Ok(()),
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
        // Only kube-proxy's ConfigMap matters. Others may have any content.
        let Ok(map) = ConfigMap::deserialize(object) else {
            return;
        };
        let name = format!(
            "{}/{}",
            map.metadata.namespace.as_deref().unwrap_or("default"),
            map.metadata.name
        );
        for (key, text) in map.data.unwrap_or_default() {
            match ProxyConfig::of_text(&name, &key, &text) {
                Ok(config) => self.proxy_configs.extend(config),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn dump(self) -> Dump {
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
            nodes: self.nodes.into_values().collect(),
            proxy_config: ProxyConfig::best(self.proxy_configs),
            service_cidrs: self.service_cidrs,
            problems: self.problems,
        }
    }
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
