//! What the API server says of the Service: read-only, in a bounded number of requests.

use crate::{
    cluster::{Call, CallError, Cluster},
    error::{Error, Permission},
    explain::settings::ProxyConfig,
    names,
    placement::NODES_PER_ROLE,
};
use serde_json::Value;
use svc_reach_common::{
    facts::{Endpoint, Facts, Node, Service},
    objects::{ObjectError, ServiceEndpoints},
};

/// Objects in one page of a list.
const PAGE: &str = "100";

/// Pages of nodes read in search of one without a backend: enough for any placement but an extreme one, and few enough
/// for a cluster of thousands.
const NODE_PAGES: usize = 5;

/// Pages of EndpointSlices. A slice holds up to 1,000 endpoints, and usually 100.
const SLICE_PAGES: usize = 50;

/// Nodes with a backend that are read by name, where no page held one.
const NAMED_NODES: usize = 4;

/// What the API server says.
#[derive(Debug)]
pub struct Survey {
    /// Of the Service, its endpoints and the nodes.
    pub facts: Facts,
    /// Of kube-proxy, where it is configured as kubeadm does it and may be read.
    pub proxy: Option<ProxyConfig>,
}

/// Reads the Service, its endpoints, nodes enough to place probes on, the server's version, and kube-proxy's
/// configuration. Nodes are read until enough of each role fit.
pub async fn survey(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
    fits: &dyn Fn(&Node) -> bool,
) -> Result<Survey, Error> {
    let (service, endpoints, version, first_nodes, proxy) = tokio::join!(
        service(cluster, namespace, name),
        endpoints(cluster, namespace, name),
        cluster.call(Call::get("/version")),
        node_page(cluster, None),
        proxy_config(cluster),
    );
    let server_version = match version {
        Ok(version) => version
            .get("gitVersion")
            .and_then(Value::as_str)
            .map(str::to_owned),
        Err(error) => {
            tracing::debug!(%error, "the API server does not tell its version");
            None
        }
    };
    let mut facts = Facts {
        service: service?,
        endpoints: endpoints?,
        nodes: Vec::new(),
        server_version,
    };
    nodes(cluster, &mut facts, fits, first_nodes?).await?;
    Ok(Survey { facts, proxy })
}

/// kube-proxy's configuration as kubeadm keeps it. Clusters that keep it elsewhere, and users who may not read it, do
/// without: the model then says what it would have to know.
async fn proxy_config(cluster: &impl Cluster) -> Option<ProxyConfig> {
    let path = "/api/v1/namespaces/kube-system/configmaps/kube-proxy";
    let object = match cluster.call(Call::get(path)).await {
        Ok(object) => object,
        Err(error) => {
            tracing::debug!(%error, "no configuration of kube-proxy");
            return None;
        }
    };
    let texts = object.get("data").and_then(Value::as_object)?;
    let configs = texts.iter().filter_map(|(key, text)| {
        ProxyConfig::of_text("kube-system/kube-proxy", key, text.as_str()?)
            .inspect_err(|problem| tracing::warn!("{problem}"))
            .ok()
            .flatten()
    });
    ProxyConfig::best(configs.collect())
}

/// Reads the Service.
pub async fn service(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
) -> Result<Service, Error> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let object = match cluster.call(Call::get(path)).await {
        Ok(object) => object,
        Err(source) if source.is_not_found() => {
            return Err(Error::NoService {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                source,
                meant: names::meant(cluster, namespace, name).await,
            });
        }
        Err(source) => {
            return Err(Error::Call {
                attempted: format!("get Service {namespace}/{name}"),
                source,
                needs: Some(Permission {
                    verb: "get",
                    group: "",
                    resource: "services",
                }),
            });
        }
    };
    Service::try_from(&object)
        .map_err(|source| not_understood(format!("Service {namespace}/{name}"), source))
}

/// From `discovery.k8s.io/v1`, else `v1beta1` (Kubernetes before 1.21), else core Endpoints. A user who may not read
/// one kind may still read the other.
pub async fn endpoints(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
) -> Result<Vec<Endpoint>, Error> {
    let elsewhere = |error: &CallError| error.is_not_found() || error.is_forbidden();
    let mut refused = None;
    for version in ["v1", "v1beta1"] {
        match slices(cluster, version, namespace, name).await {
            Ok(endpoints) => return Ok(endpoints),
            Err(Error::Call { source, .. }) if source.is_not_found() => {}
            Err(Error::Call {
                source,
                attempted,
                needs,
            }) if elsewhere(&source) => {
                refused = Some(Error::Call {
                    attempted,
                    source,
                    needs,
                });
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let path = format!("/api/v1/namespaces/{namespace}/endpoints/{name}");
    match cluster.call(Call::get(path)).await {
        Ok(object) => Ok(ServiceEndpoints::from_endpoints(&object)
            .map_err(|source| not_understood(format!("Endpoints {namespace}/{name}"), source))?
            .endpoints),
        Err(error) if error.is_not_found() && refused.is_none() => Ok(Vec::new()),
        Err(source) => Err(refused.unwrap_or(Error::Call {
            attempted: format!("get Endpoints {namespace}/{name}"),
            source,
            needs: Some(Permission {
                verb: "get",
                group: "",
                resource: "endpoints",
            }),
        })),
    }
}

async fn slices(
    cluster: &impl Cluster,
    version: &str,
    namespace: &str,
    name: &str,
) -> Result<Vec<Endpoint>, Error> {
    let path = format!("/apis/discovery.k8s.io/{version}/namespaces/{namespace}/endpointslices");
    let mut endpoints = Vec::new();
    let mut next = None;
    for _ in 0..SLICE_PAGES {
        let call = Call::get(path.clone()).with(
            "labelSelector",
            format!("kubernetes.io/service-name={name}"),
        );
        let page = page(cluster, call, next)
            .await
            .map_err(|source| Error::Call {
                attempted: format!("list EndpointSlices of Service {namespace}/{name}"),
                source,
                needs: Some(Permission {
                    verb: "list",
                    group: "discovery.k8s.io",
                    resource: "endpointslices",
                }),
            })?;
        for slice in &page.items {
            let slice = ServiceEndpoints::from_slice(slice).map_err(|source| {
                not_understood(
                    format!("EndpointSlices of Service {namespace}/{name}"),
                    source,
                )
            })?;
            endpoints.extend(slice.endpoints);
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(endpoints)
}

/// Nodes enough to place probes on: pages until enough of them fit, then those with a backend by name.
async fn nodes(
    cluster: &impl Cluster,
    facts: &mut Facts,
    fits: &dyn Fn(&Node) -> bool,
    first: Page,
) -> Result<(), Error> {
    let mut page = first;
    for pages in 1.. {
        for object in &page.items {
            facts.nodes.push(
                Node::try_from(object)
                    .map_err(|source| not_understood("a Node".to_owned(), source))?,
            );
        }
        let Some(next) = page
            .next
            .filter(|_| pages < NODE_PAGES && fitting(facts, fits, false) < NODES_PER_ROLE)
        else {
            break;
        };
        page = node_page(cluster, Some(next)).await?;
    }
    let mut named: Vec<String> = facts
        .backend_nodes()
        .filter(|name| facts.node(name).is_none())
        .map(str::to_owned)
        .collect();
    named.sort();
    named.dedup();
    for name in named.into_iter().take(NAMED_NODES) {
        if fitting(facts, fits, true) >= NODES_PER_ROLE {
            break;
        }
        match cluster
            .call(Call::get(format!("/api/v1/nodes/{name}")))
            .await
        {
            Ok(object) => {
                let node = Node::try_from(&object)
                    .map_err(|source| not_understood(format!("Node {name}"), source))?;
                facts.nodes.push(node);
            }
            Err(error) if error.is_not_found() => {}
            Err(source) => {
                return Err(Error::Call {
                    attempted: format!("get Node {name}"),
                    source,
                    needs: Some(Permission {
                        verb: "get",
                        group: "",
                        resource: "nodes",
                    }),
                });
            }
        }
    }
    Ok(())
}

/// Number of known nodes that fit, with or without a backend.
fn fitting(facts: &Facts, fits: &dyn Fn(&Node) -> bool, backend: bool) -> usize {
    let of_role = |node: &&Node| facts.runs_backend(&node.name) == backend && fits(node);
    facts.nodes.iter().filter(of_role).count()
}

async fn node_page(cluster: &impl Cluster, next: Option<String>) -> Result<Page, Error> {
    page(cluster, Call::get("/api/v1/nodes"), next)
        .await
        .map_err(|source| Error::Call {
            attempted: "list Nodes".to_owned(),
            source,
            needs: Some(Permission {
                verb: "list",
                group: "",
                resource: "nodes",
            }),
        })
}

/// Part of a list.
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

async fn page(cluster: &impl Cluster, call: Call, next: Option<String>) -> Result<Page, CallError> {
    let mut call = call.with("limit", PAGE);
    if let Some(next) = next {
        call = call.with("continue", next);
    }
    let mut list = cluster.call(call).await?;
    let next = list
        .pointer("/metadata/continue")
        .and_then(Value::as_str)
        .filter(|next| !next.is_empty());
    let next = next.map(str::to_owned);
    let items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    Ok(Page { items, next })
}

fn not_understood(object: String, source: ObjectError) -> Error {
    Error::Object {
        object,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::survey;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        error::Error,
    };
    use serde_json::{Value, json};
    use svc_reach_common::facts::Facts;

    const SERVICE: &str = "GET /api/v1/namespaces/web/services/nginx";
    const V1: &str = "GET /apis/discovery.k8s.io/v1/namespaces/web/endpointslices";
    const V1BETA1: &str = "GET /apis/discovery.k8s.io/v1beta1/namespaces/web/endpointslices";
    const ENDPOINTS: &str = "GET /api/v1/namespaces/web/endpoints/nginx";
    const NODES: &str = "GET /api/v1/nodes";
    const VERSION: &str = "GET /version";
    const PROXY: &str = "GET /api/v1/namespaces/kube-system/configmaps/kube-proxy";

    fn service() -> Reply {
        Reply::Object(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "nginx", "namespace": "web"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
        }))
    }

    fn node(name: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "192.168.0.1"}],
                "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"},
            },
        })
    }

    fn endpoints() -> Reply {
        Reply::Object(json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": "nginx", "namespace": "web"},
            "subsets": [{"addresses": [{"ip": "172.16.0.1", "nodeName": "n7"}], "ports": [{"port": 80}]}],
        }))
    }

    async fn read(cluster: &Scripted) -> Result<Facts, Error> {
        survey(cluster, "web", "nginx", &|node| node.ready)
            .await
            .map(|survey| survey.facts)
    }

    #[tokio::test]
    async fn endpoints_come_from_the_newest_kind_that_there_is() {
        let cluster = Scripted::new(|call, _| match call {
            SERVICE => service(),
            V1 | V1BETA1 => Reply::Failure(404),
            ENDPOINTS => endpoints(),
            NODES => Reply::Object(json!({"items": [node("n7"), node("n8"), node("n9")]})),
            VERSION => Reply::Object(json!({"gitVersion": "v1.15.0"})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let facts = read(&cluster).await.unwrap();
        assert_eq!(facts.backend_nodes().collect::<Vec<_>>(), ["n7"]);
        assert_eq!(facts.server_version.as_deref(), Some("v1.15.0"));
        assert_eq!(cluster.asked().len(), 7);
    }

    #[tokio::test]
    async fn a_user_who_may_not_read_slices_may_still_read_endpoints() {
        let cluster = Scripted::new(|call, _| match call {
            SERVICE => service(),
            V1 => Reply::Failure(403),
            ENDPOINTS => endpoints(),
            NODES => Reply::Object(json!({"items": [node("n7"), node("n8"), node("n9")]})),
            VERSION => Reply::Failure(403),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let facts = read(&cluster).await.unwrap();
        assert_eq!(facts.endpoints.len(), 1);
        assert_eq!(facts.server_version, None);
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_named() {
        for (denied, permission) in [
            (SERVICE, "get services"),
            (V1, "list endpointslices.discovery.k8s.io"),
            (NODES, "list nodes"),
        ] {
            let cluster = Scripted::new(move |call, _| match call {
                call if call == denied => Reply::Failure(403),
                SERVICE => service(),
                V1 => Reply::Object(json!({"items": []})),
                ENDPOINTS => Reply::Failure(403),
                NODES => Reply::Object(json!({"items": [node("n7"), node("n8")]})),
                VERSION => Reply::Object(json!({})),
                PROXY => Reply::Failure(403),
                other => panic!("{other}"),
            });
            let error = read(&cluster).await.unwrap_err();
            assert_eq!(error.exit().code(), 4);
            let hint = error.hint().unwrap();
            assert!(
                hint.contains(&format!("lacks: {permission};")),
                "{denied}: {hint}"
            );
        }
    }

    #[tokio::test]
    async fn a_cluster_of_thousands_is_not_read_whole() {
        let cluster = Scripted::new(|call, before| match call {
            SERVICE => service(),
            V1 => Reply::Object(json!({"items": [{
                "metadata": {"name": "nginx-1", "namespace": "web", "labels": {"kubernetes.io/service-name": "nginx"}},
                "addressType": "IPv4",
                "endpoints": (0..1000).map(|i| json!({"addresses": ["172.16.0.1"], "nodeName": format!("b{i}")}))
                    .collect::<Vec<_>>(),
                "ports": [{"port": 80}],
            }]})),
            // Every node runs a backend, as in a DaemonSet; pages never end.
            NODES => Reply::Object(json!({
                "metadata": {"continue": "more"},
                "items": (0..100).map(|i| node(&format!("b{}", before * 100 + i))).collect::<Vec<_>>(),
            })),
            VERSION => Reply::Object(json!({})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let facts = read(&cluster).await.unwrap();
        assert_eq!(facts.nodes.len(), 500);
        assert_eq!(
            cluster.asked().len(),
            9,
            "five pages of nodes and four other calls"
        );
    }

    #[tokio::test]
    async fn nodes_with_a_backend_are_read_by_name_where_no_page_held_them() {
        let cluster = Scripted::new(|call, _| match call {
            SERVICE => service(),
            V1 | V1BETA1 => Reply::Failure(404),
            ENDPOINTS => endpoints(),
            NODES => Reply::Object(
                json!({"metadata": {"continue": "more"}, "items": [node("a"), node("b")]}),
            ),
            "GET /api/v1/nodes/n7" => Reply::Object(node("n7")),
            VERSION => Reply::Object(json!({})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let facts = read(&cluster).await.unwrap();
        assert!(facts.node("n7").is_some());
    }
}
