//! Reads the Services and what is around them from the API server, in a bounded number of requests.

mod backends;
pub mod changes;
pub mod ingresses;
pub mod k3s;
pub mod kube_proxy;
pub mod mesh;
pub mod network_policies;
mod nodes;
pub mod other_proxy;
pub mod outage;
mod pod_nodes;
pub mod provider_hints;
mod services;

pub use services::asked;

use crate::{
    cluster::{Call, Cluster},
    config::ServiceSelection,
    error::Error,
    survey::kube_proxy::ProxyConfig,
};
use nodes::node_page;
use serde_json::Value;
use std::sync::Arc;
use svc_reach_common::{
    facts::{Facts, FurtherNodes, Node},
    provider::Provider,
};

/// What was read from the API server.
#[derive(Debug)]
pub struct Survey {
    /// Each Service with its endpoints and the nodes, in the order of the selection.
    pub services: Vec<Facts>,
    /// Whether the user may list nodes. Otherwise the nodes are those of pods.
    pub nodes_listed: bool,
    /// kube-proxy's configuration, if it is where kubeadm keeps it and the user may read it.
    pub proxy: Option<ProxyConfig>,
}

/// Reads the Services, their endpoints, enough nodes to place probes on, the server's version, and kube-proxy's
/// configuration. `namespace`: for Services that are named without one.
pub async fn survey(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
    fits: &dyn Fn(&Node) -> bool,
) -> Result<Survey, Error> {
    let (facts, version, proxy) = tokio::join!(
        facts(cluster, namespace, selection, fits, None),
        cluster.call(Call::get("/version")),
        proxy_config(cluster, CONFIG_MAPS[0]),
    );
    let server_version = match version {
        Ok(version) => version
            .get("gitVersion")
            .and_then(Value::as_str)
            .map(str::to_owned),
        Err(error) => {
            tracing::debug!(%error, "failed to read the API server's version");
            None
        }
    };
    let (mut services, nodes_listed) = match facts {
        Ok(read) => read,
        Err(error) => return Err(services::suggest(cluster, error).await),
    };
    for facts in &mut services {
        facts.server_version.clone_from(&server_version);
    }
    let first = services.first();
    let on_eks = first
        .and_then(Provider::of)
        .is_some_and(|(provider, _)| provider == Provider::AwsEks);
    let proxy = match proxy {
        None if on_eks => proxy_config(cluster, CONFIG_MAPS[1]).await,
        found => found,
    };
    let nodes = first.map(|facts| facts.nodes.as_slice());
    let proxy = proxy.or_else(|| k3s::kube_proxy(nodes.unwrap_or_default()));
    Ok(Survey {
        services,
        nodes_listed,
        proxy,
    })
}

/// Reads everything that can change during a run: the Services, their endpoints, and nodes. Nodes are read until enough
/// of each role fit. `known`: facts with the nodes, if it is known that the user may not list nodes. Also returns whether
/// the user may.
async fn facts(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
    fits: &dyn Fn(&Node) -> bool,
    known: Option<&Facts>,
) -> Result<(Vec<Facts>, bool), Error> {
    let first_nodes = async {
        match known {
            Some(_) => None,
            None => Some(node_page(cluster, None).await),
        }
    };
    let (asked, first_nodes) = tokio::join!(asked(cluster, namespace, selection), first_nodes);
    let asked = asked?;
    let (nodes, further_nodes, listed) = match (known, first_nodes) {
        (Some(known), _) => (Arc::clone(&known.nodes), known.further_nodes.clone(), false),
        (None, Some(Ok(first))) => {
            let nodes = nodes::nodes(cluster, &asked, fits, first).await?;
            (Arc::new(nodes.read), nodes.further, true)
        }
        (None, Some(Err(error))) if !error.is_forbidden() => return Err(error),
        (None, _) => {
            let nodes = pod_nodes::nodes(cluster, &asked).await;
            (Arc::new(nodes), FurtherNodes::NotRead, false)
        }
    };
    let services = asked
        .into_iter()
        .map(|asked| Facts {
            service: asked.service,
            endpoints: asked.backends.endpoints,
            changed: asked.backends.changed,
            nodes: Arc::clone(&nodes),
            further_nodes: further_nodes.clone(),
            server_version: None,
            routes: Ok(Vec::new()),
        })
        .collect();
    Ok((services, listed))
}

/// Reads again what can change during a run. Services that were deleted are missing in the result. `known`: facts with
/// the nodes, if the user may not list nodes.
pub async fn read_again(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
    fits: &dyn Fn(&Node) -> bool,
    known: Option<&Facts>,
) -> Result<Vec<Facts>, Error> {
    let mut selection = selection.clone();
    loop {
        match facts(cluster, namespace, &selection, fits, known).await {
            Err(Error::NoService {
                namespace: gone_from,
                name,
                ..
            }) => {
                let ServiceSelection::Named(names) = &mut selection else {
                    return Ok(Vec::new());
                };
                names.retain(|named| !named.means(&gone_from, &name, namespace));
                if names.is_empty() {
                    return Ok(Vec::new());
                }
            }
            read => return read.map(|(services, _)| services),
        }
    }
}

/// Names of the ConfigMap of kube-proxy: kubeadm's, and that of EKS
/// (<https://docs.aws.amazon.com/eks/latest/userguide/managing-kube-proxy.html>).
pub const CONFIG_MAPS: [&str; 2] = ["kube-proxy", "kube-proxy-config"];

/// kube-proxy's configuration in the ConfigMap of this name. If it is elsewhere or the user may not read it, the run goes
/// on without it, and the model says which settings it would need.
async fn proxy_config(cluster: &impl Cluster, name: &str) -> Option<ProxyConfig> {
    let path = format!("/api/v1/namespaces/kube-system/configmaps/{name}");
    match cluster.call(Call::get(path)).await {
        Ok(object) => read_config(name, &object),
        Err(error) => {
            tracing::debug!(%error, "failed to read kube-proxy's configuration");
            None
        }
    }
}

fn read_config(name: &str, object: &Value) -> Option<ProxyConfig> {
    let texts = object.get("data").and_then(Value::as_object)?;
    let configs = texts.iter().filter_map(|(key, text)| {
        ProxyConfig::of_text(&format!("kube-system/{name}"), key, text.as_str()?)
            .inspect_err(|problem| tracing::warn!("{problem}"))
            .ok()
            .flatten()
    });
    let config = ProxyConfig::best(configs.collect())?;
    for problem in &config.problems {
        tracing::warn!("{problem}");
    }
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::survey;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        config::{ServiceName, ServiceSelection},
        error::Error,
        testing::node_object as node,
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

    fn endpoints() -> Reply {
        Reply::Object(json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": "nginx", "namespace": "web"},
            "subsets": [{"addresses": [{"ip": "172.16.0.1", "nodeName": "n7"}], "ports": [{"port": 80}]}],
        }))
    }

    async fn read(cluster: &Scripted) -> Result<Facts, Error> {
        let selection = ServiceSelection::Named(vec![ServiceName {
            namespace: None,
            name: "nginx".into(),
        }]);
        survey(cluster, "web", &selection, &|node| node.ready)
            .await
            .map(|mut survey| survey.services.remove(0))
    }

    #[tokio::test]
    async fn endpoints_come_from_the_newest_kind_that_exists() {
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
    async fn endpoints_are_read_if_slices_are_forbidden() {
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
    async fn settings_of_kube_proxy_are_found_on_eks() {
        let of_eks = "GET /api/v1/namespaces/kube-system/configmaps/kube-proxy-config";
        let cluster = Scripted::new(move |call, _| match call {
            SERVICE => service(),
            V1 => Reply::Object(json!({"items": []})),
            NODES => Reply::Object(json!({"items": [node("n7")]})),
            VERSION => Reply::Object(json!({"gitVersion": "v1.34.1-eks-113cf36"})),
            PROXY => Reply::Failure(404),
            call if call == of_eks => Reply::Object(json!({
                "data": {"config": "kind: KubeProxyConfiguration\nmode: ipvs\n"},
            })),
            other => panic!("{other}"),
        });
        let selection = ServiceSelection::Named(vec![ServiceName {
            namespace: None,
            name: "nginx".into(),
        }]);
        let survey = survey(&cluster, "web", &selection, &|node| node.ready).await;
        let config = survey.unwrap().proxy.unwrap();
        assert_eq!(
            config.mode,
            Some(svc_reach_common::proxy_mode::ProxyMode::Ipvs)
        );
        assert_eq!(
            config.source,
            "ConfigMap kube-system/kube-proxy-config, config"
        );
    }

    #[tokio::test]
    async fn a_missing_permission_is_named() {
        for (denied, permission) in [
            (SERVICE, "get services"),
            (V1, "list endpointslices.discovery.k8s.io"),
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

    /// A pod on a node. `ready`: whether the pod, and so the node, is alive.
    fn pod(node: &str, host_ip: &str, ready: bool) -> Value {
        let status = if ready { "True" } else { "False" };
        json!({
            "metadata": {"name": format!("on-{node}"), "namespace": "web"},
            "spec": {"nodeName": node},
            "status": {"hostIP": host_ip, "conditions": [{"type": "Ready", "status": status}]},
        })
    }

    #[tokio::test]
    async fn nodes_are_known_by_their_pods_if_they_may_not_be_listed() {
        for (pods, expected) in [
            (
                vec![
                    pod("n7", "192.168.0.7", true),
                    pod("n8", "192.168.0.8", true),
                    pod("n9", "192.168.0.9", false),
                ],
                &[("n7", 1), ("n8", 1)][..],
            ),
            // The endpoints name a node, too.
            (vec![], &[("n7", 0)]),
        ] {
            let cluster = Scripted::new(move |call, _| match call {
                SERVICE => service(),
                V1 => Reply::Failure(403),
                ENDPOINTS => endpoints(),
                "GET /api/v1/namespaces/web/pods" if pods.is_empty() => Reply::Failure(403),
                "GET /api/v1/namespaces/web/pods" => Reply::Object(json!({"items": pods})),
                _ => Reply::Failure(403),
            });
            let facts = read(&cluster).await.unwrap();
            let nodes = facts.nodes.iter();
            let nodes: Vec<_> = nodes
                .map(|node| (node.name.as_str(), node.internal_ips.len()))
                .collect();
            assert_eq!(nodes, expected);
            assert!(!facts.all_nodes() && facts.nodes.iter().all(|node| !node.complete));
        }
    }

    #[tokio::test]
    async fn a_mistyped_service_gets_a_suggestion() {
        let cluster = Scripted::new(|call, _| match call {
            ALL => Reply::Object(json!({"items": [{"metadata": {"name": "nginx-1"}}]})),
            NODES => Reply::Object(json!({"items": [node("n7")]})),
            _ => Reply::Failure(404),
        });
        let hint = read(&cluster).await.unwrap_err().hint().unwrap();
        assert!(hint.starts_with("did you mean nginx-1?"), "{hint}");
    }

    #[tokio::test]
    async fn a_large_cluster_is_not_read_completely() {
        let cluster = Scripted::new(|call, before| match call {
            SERVICE => service(),
            V1 => Reply::Object(json!({"items": [{
                "metadata": {"name": "nginx-1", "namespace": "web", "labels": {"kubernetes.io/service-name": "nginx"}},
                "addressType": "IPv4",
                "endpoints": (0..1000).map(|i| json!({"addresses": ["172.16.0.1"], "nodeName": format!("b{i}")}))
                    .collect::<Vec<_>>(),
                "ports": [{"port": 80}],
            }]})),
            // Every node runs a backend, as with a DaemonSet, and there is always another page.
            NODES => Reply::Object(json!({
                "metadata": {"continue": "more"},
                "items": (0..100).map(|i| node(&format!("b{}", before * 100 + i))).collect::<Vec<_>>(),
            })),
            VERSION => Reply::Object(json!({})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let facts = read(&cluster).await.unwrap();
        assert_eq!((facts.nodes.len(), facts.all_nodes()), (500, false));
        assert_eq!(
            cluster.asked().len(),
            9,
            "five pages of nodes and four other calls"
        );
    }

    #[tokio::test]
    async fn missing_backend_nodes_are_read_by_name() {
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

    const ALL: &str = "GET /api/v1/namespaces/web/services";
    const SLICES: &str = "GET /apis/discovery.k8s.io/v1/namespaces/web/endpointslices";
    const SLICES_BETA: &str = "GET /apis/discovery.k8s.io/v1beta1/namespaces/web/endpointslices";

    fn named(index: usize) -> Value {
        json!({
            "metadata": {"name": format!("s{index:02}"), "namespace": "web"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
        })
    }

    fn slice(index: usize) -> Value {
        let service = format!("s{index:02}");
        json!({
            "metadata": {"name": format!("{service}-x"), "namespace": "web", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["172.16.0.1"], "nodeName": format!("n{index}")}],
            "ports": [{"port": 80}],
        })
    }

    async fn read_all(cluster: &Scripted) -> Vec<Facts> {
        let all = ServiceSelection::Matching {
            selector: None,
            everywhere: false,
        };
        let survey = survey(cluster, "web", &all, &|node| node.ready).await;
        survey.unwrap().services
    }

    /// A namespace with this number of Services. `together`: whether all slices can be listed together.
    fn namespace(services: usize, together: bool) -> Scripted {
        Scripted::new(move |call, before| match call {
            // Two pages. The first Service by name is on the second page.
            ALL if before == 0 => Reply::Object(json!({
                "metadata": {"continue": "more"},
                "items": (1..services).map(named).collect::<Vec<_>>(),
            })),
            ALL => Reply::Object(json!({"items": [named(0)]})),
            SLICES | SLICES_BETA if !together && before == 0 => Reply::Failure(403),
            SLICES => Reply::Object(json!({"items": (0..services).map(slice).collect::<Vec<_>>()})),
            NODES => Reply::Object(json!({
                "items": (0..services).map(|i| node(&format!("n{i}"))).collect::<Vec<_>>(),
            })),
            VERSION => Reply::Object(json!({})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        })
    }

    #[tokio::test]
    async fn many_services_are_read_in_a_few_lists() {
        let cluster = namespace(40, true);
        let services = read_all(&cluster).await;
        assert_eq!(services.len(), 40);
        assert!(services[0].all_nodes());
        for (index, facts) in services.iter().enumerate() {
            assert_eq!(facts.service.name, format!("s{index:02}"));
            let backends: Vec<&str> = facts.backend_nodes().collect();
            assert_eq!(backends, [format!("n{index}")]);
        }
        assert_eq!(cluster.asked().len(), 6, "{:?}", cluster.asked());
    }

    #[tokio::test]
    async fn slices_are_read_by_service_if_they_cannot_be_listed_together() {
        let cluster = namespace(40, false);
        let services = read_all(&cluster).await;
        assert!(
            services.iter().all(|facts| facts.endpoints.len() == 40),
            "the script gives every Service the same answer"
        );
        let slices = cluster
            .asked()
            .iter()
            .filter(|call| *call == SLICES)
            .count();
        assert_eq!(slices, 41);
    }

    #[tokio::test]
    async fn all_nodes_are_read_if_many_are_missing() {
        let cluster = Scripted::new(|call, before| match call {
            ALL => Reply::Object(json!({"items": (0..100).map(named).collect::<Vec<_>>()})),
            SLICES => Reply::Object(json!({"items": (0..100).map(slice).collect::<Vec<_>>()})),
            // No node of the first page has a backend.
            NODES if before == 0 => Reply::Object(json!({
                "metadata": {"continue": "more"}, "items": [node("a"), node("b")],
            })),
            NODES => Reply::Object(json!({
                "items": (0..100).map(|i| node(&format!("n{i}"))).collect::<Vec<_>>(),
            })),
            VERSION => Reply::Object(json!({})),
            PROXY => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let services = read_all(&cluster).await;
        assert!(services.iter().all(|facts| facts.node("n99").is_some()));
        let nodes = cluster.asked().iter().filter(|call| *call == NODES).count();
        assert_eq!(nodes, 2, "a page, and then all: {:?}", cluster.asked());
    }

    #[tokio::test]
    async fn an_invalid_selector_is_a_usage_error() {
        let cluster = Scripted::new(|_, _| Reply::Failure(400));
        let selector = ServiceSelection::Matching {
            selector: Some("a=b,,".into()),
            everywhere: false,
        };
        let error = survey(&cluster, "web", &selector, &|node| node.ready).await;
        let error = error.unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(
            error.to_string().starts_with("--selector \"a=b,,\": "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_service_named_twice_is_a_usage_error() {
        let cluster = Scripted::new(|_, _| Reply::Failure(500));
        let named = |namespace: Option<&str>| ServiceName {
            namespace: namespace.map(str::to_owned),
            name: "nginx".into(),
        };
        let selection =
            ServiceSelection::Named(vec![named(None), named(Some("shop")), named(Some("web"))]);
        let error = super::asked(&cluster, "web", &selection).await.unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert_eq!(error.to_string(), "Service web/nginx is listed twice");
        assert!(cluster.asked().is_empty());
    }
}
