//! What other objects say about the cluster's network and the Service's load balancer. They are read only if the
//! provider's documents depend on them, and they are optional.

use super::{
    ingresses::of_any_version,
    kube_proxy::version_of_template,
    other_proxy::{CILIUM_CONFIG, OtherProxy, Workload, cilium_replaces},
};
use crate::cluster::{Call, CallError, Cluster};
use serde_json::Value;
use std::collections::BTreeMap;
use svc_reach_common::{
    facts::{Facts, Service, ServiceType},
    model::Version,
    provider::{Provider, elb},
    wire::line::HostFact,
};

/// How many objects are searched for those that share a load balancer. One page bounds the number of requests and the
/// size of the answer on any cluster.
const PAGE: &str = "500";

/// What was found. `None`: it was not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderHints {
    /// Whether there is a NetworkAttachmentDefinition `kube-system/default-network`, which clusters with Cloud Native
    /// Network 2.0 have (opentelekomcloud-docs/cloud-container-engine at b553f21, `umn/source/high-risk_operations.rst`
    /// and `umn/source/networking/container_networks/cloud_native_network_2.0_settings`).
    pub default_network: Option<HostFact<bool>>,
    /// The workload that replaces kube-proxy, if there is one.
    pub other_proxy: Option<HostFact<Option<OtherProxy>>>,
    /// kube-proxy's version by its DaemonSet's image.
    pub kube_proxy_version: Option<Version>,
    /// What else uses the Service's load balancer.
    pub sharing: Option<HostFact<Sharing>>,
}

/// What else uses a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Other Services: name and pass-through setting.
    pub services: Vec<(String, Option<String>)>,
    /// Ingresses.
    pub ingresses: Vec<String>,
    /// Whether every Service and Ingress was looked at.
    pub complete: bool,
}

/// What is read once for all Services.
#[derive(Debug, Default)]
pub struct HintsFound {
    default_network: Option<HostFact<bool>>,
    daemon_sets: Option<HostFact<DaemonSets>>,
    /// Services and Ingresses, some of which may share a load balancer.
    users: Option<Result<[Value; 2], String>>,
}

/// What DaemonSets say about proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct DaemonSets {
    other_proxy: Option<OtherProxy>,
    kube_proxy_version: Option<Version>,
}

/// Reads what the documents of this provider depend on, and which DaemonSets may be proxies.
pub async fn look(
    cluster: &impl Cluster,
    provider: Option<Provider>,
    services: &[&Facts],
) -> HintsFound {
    let of_cce = async {
        if provider != Some(Provider::HuaweiCce) {
            return (None, None);
        }
        let (default_network, users) = tokio::join!(
            exists(
                cluster,
                "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/default-network",
            ),
            async {
                if services.iter().all(|facts| load_balancer(facts).is_none()) {
                    return None;
                }
                let (services, ingresses) =
                    tokio::join!(page(cluster, "/api/v1/services"), ingresses(cluster));
                let both = services.and_then(|services| Ok([services, ingresses?]));
                Some(both.map_err(|error| error.to_string()))
            },
        );
        (Some(default_network), users)
    };
    let ((default_network, users), daemon_sets) = tokio::join!(of_cce, daemon_sets(cluster));
    HintsFound {
        default_network,
        daemon_sets: Some(daemon_sets),
        users,
    }
}

/// Looks for proxies among the DaemonSets of all namespaces, or of kube-system if the user may not read all.
async fn daemon_sets(cluster: &impl Cluster) -> HostFact<DaemonSets> {
    let all = match page(cluster, "/apis/apps/v1/daemonsets").await {
        Err(error) if error.is_forbidden() => {
            page(cluster, "/apis/apps/v1/namespaces/kube-system/daemonsets").await
        }
        answered => answered,
    };
    let list = match all {
        Ok(list) => list,
        Err(error) => return HostFact::Unknown(error.to_string()),
    };
    let mut found = DaemonSets::default();
    for object in list
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
        if name == "kube-proxy" {
            found.kube_proxy_version = found.kube_proxy_version.or(version_of_template(template));
        }
        let Some(workload) = Workload::of(name) else {
            continue;
        };
        let replaces = match workload.replaces(template) {
            // Only Cilium's own configuration says it.
            None if workload == Workload::Cilium => {
                let path = format!("/api/v1/namespaces/{namespace}/configmaps/{CILIUM_CONFIG}");
                match cluster.call(Call::get(path)).await {
                    Ok(map) => cilium_replaces(&texts(&map)),
                    Err(error) if error.is_not_found() => Some(false),
                    Err(_) => None,
                }
            }
            said => said,
        };
        if replaces == Some(true) {
            found.other_proxy = Some(workload.shown_by(format!("DaemonSet {namespace}/{name}")));
        }
    }
    HostFact::Seen(found)
}

/// The data of a ConfigMap.
fn texts(map: &Value) -> BTreeMap<String, String> {
    let data = map
        .get("data")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

impl HintsFound {
    /// The hints that matter to a Service.
    pub fn hints(&self, facts: &Facts) -> ProviderHints {
        let id = load_balancer(facts);
        let sharing = self.users.as_ref().zip(id).map(|(users, id)| match users {
            Ok([services, ingresses]) => {
                HostFact::Seen(Sharing::of(&facts.service, id, services, ingresses))
            }
            Err(why) => HostFact::Unknown(why.clone()),
        });
        ProviderHints {
            default_network: self.default_network.clone(),
            other_proxy: self.daemon_sets.as_ref().map(|looked| match looked {
                HostFact::Seen(found) => HostFact::Seen(found.other_proxy.clone()),
                HostFact::Unknown(why) => HostFact::Unknown(why.clone()),
            }),
            kube_proxy_version: self
                .daemon_sets
                .as_ref()
                .and_then(HostFact::get)
                .and_then(|found| found.kube_proxy_version),
            sharing,
        }
    }
}

/// The load balancer that a Service names.
fn load_balancer(facts: &Facts) -> Option<&str> {
    let service = &facts.service;
    let id = service.annotations.get(elb::ID)?;
    (service.kind == ServiceType::LoadBalancer).then_some(id)
}

impl Sharing {
    /// The other objects that name a Service's load balancer.
    fn of(service: &Service, id: &str, services: &Value, ingresses: &Value) -> Self {
        let name = |object: &Value| {
            let text = |key| {
                object
                    .pointer(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"))
        };
        let own = format!("{}/{}", service.namespace, service.name);
        let using = |list: &Value| -> Vec<Value> {
            list.get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter(|object| annotation(object, elb::ID) == Some(id))
                .cloned()
                .collect()
        };
        Self {
            services: using(services)
                .iter()
                .filter(|object| name(object) != own)
                .map(|object| {
                    let setting = annotation(object, elb::PASS_THROUGH).map(str::to_owned);
                    (name(object), setting)
                })
                .collect(),
            ingresses: using(ingresses).iter().map(name).collect(),
            complete: [services, ingresses].into_iter().all(|list| {
                list.pointer("/metadata/continue")
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
            }),
        }
    }
}

async fn exists(cluster: &impl Cluster, path: &str) -> HostFact<bool> {
    match cluster.call(Call::get(path)).await {
        Ok(_) => HostFact::Seen(true),
        Err(error) if error.is_not_found() => HostFact::Seen(false),
        Err(error) => HostFact::Unknown(error.to_string()),
    }
}

async fn ingresses(cluster: &impl Cluster) -> Result<Value, CallError> {
    of_any_version(|version| async move {
        let path = format!("/apis/networking.k8s.io/{version}/ingresses");
        page(cluster, &path).await
    })
    .await
}

async fn page(cluster: &impl Cluster, path: &str) -> Result<Value, CallError> {
    cluster.call(Call::get(path).with("limit", PAGE)).await
}

fn annotation<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object
        .pointer("/metadata/annotations")?
        .get(key)
        .and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::{ProviderHints, Sharing, look};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        testing::facts,
    };
    use serde_json::{Value, json};
    use svc_reach_common::{
        facts::{Facts, ServiceType},
        provider::Provider,
        wire::line::HostFact,
    };

    const DEFINITION: &str = "GET /apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/default-network";
    const DAEMON_SETS: &str = "GET /apis/apps/v1/daemonsets";
    const OF_KUBE_SYSTEM: &str = "GET /apis/apps/v1/namespaces/kube-system/daemonsets";
    const CILIUM_CONFIG: &str = "GET /api/v1/namespaces/cilium/configmaps/cilium-config";
    const SERVICES: &str = "GET /api/v1/services";
    const INGRESSES: &str = "GET /apis/networking.k8s.io/v1/ingresses";
    const INGRESSES_BETA: &str = "GET /apis/networking.k8s.io/v1beta1/ingresses";

    /// The Service `default/nginx` on the load balancer `lb-1`.
    fn balanced() -> Facts {
        let mut facts = facts();
        facts.service.kind = ServiceType::LoadBalancer;
        let annotations = &mut facts.service.annotations;
        annotations.insert("kubernetes.io/elb.id".into(), "lb-1".into());
        facts
    }

    fn on(name: &str, balancer: &str, more: &Value) -> Value {
        let mut annotations = json!({"kubernetes.io/elb.id": balancer});
        for (key, value) in more.as_object().unwrap() {
            annotations[key] = value.clone();
        }
        json!({"metadata": {"namespace": "default", "name": name, "annotations": annotations}})
    }

    async fn of_cce(cluster: &Scripted, facts: &Facts) -> ProviderHints {
        let services = &[facts];
        let found = look(cluster, Some(Provider::HuaweiCce), services).await;
        found.hints(facts)
    }

    #[tokio::test]
    async fn on_cce_network_and_load_balancer_are_looked_at() {
        let cluster = Scripted::new(|call, _| match call {
            DEFINITION => Reply::Object(json!({})),
            DAEMON_SETS => Reply::Object(json!({"items": []})),
            INGRESSES => Reply::Failure(404),
            SERVICES => Reply::Object(json!({
                "metadata": {"continue": "more"},
                "items": [
                    on("nginx", "lb-1", &json!({})),
                    on("other", "lb-1", &json!({"kubernetes.io/elb.pass-through": "true"})),
                    on("elsewhere", "lb-2", &json!({})),
                ],
            })),
            INGRESSES_BETA => Reply::Object(json!({"items": [on("web", "lb-1", &json!({}))]})),
            other => panic!("{other}"),
        });
        let hints = of_cce(&cluster, &balanced()).await;
        assert_eq!(hints.default_network, Some(HostFact::Seen(true)));
        assert_eq!(hints.other_proxy, Some(HostFact::Seen(None)));
        let expected = Sharing {
            services: vec![("default/other".to_owned(), Some("true".to_owned()))],
            ingresses: vec!["default/web".to_owned()],
            complete: false,
        };
        assert_eq!(hints.sharing, Some(HostFact::Seen(expected)));
        assert_eq!(cluster.asked().len(), 5, "bounded: {:?}", cluster.asked());
    }

    #[tokio::test]
    async fn forbidden_objects_are_unknown_and_not_absent() {
        let cluster = Scripted::new(|_, _| Reply::Failure(403));
        let hints = of_cce(&cluster, &balanced()).await;
        let unknown = [
            matches!(hints.default_network, Some(HostFact::Unknown(_))),
            matches!(hints.other_proxy, Some(HostFact::Unknown(_))),
            matches!(hints.sharing, Some(HostFact::Unknown(_))),
        ];
        assert_eq!(unknown, [true; 3], "{hints:?}");
    }

    fn daemon_set(namespace: &str, name: &str, container: &Value) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name},
               "spec": {"template": {"spec": {"containers": [container]}}}})
    }

    async fn proxies(sets: Value, cilium: Option<&'static str>) -> (ProviderHints, usize) {
        let cluster = Scripted::new(move |call, _| match call {
            DAEMON_SETS => Reply::Failure(403),
            OF_KUBE_SYSTEM => Reply::Object(json!({"items": sets.clone()})),
            CILIUM_CONFIG => match cilium {
                Some(word) => Reply::Object(json!({"data": {"kube-proxy-replacement": word}})),
                None => Reply::Failure(403),
            },
            other => panic!("{other}"),
        });
        let facts = balanced();
        let found = look(&cluster, Some(Provider::Kubeadm), &[&facts]).await;
        (found.hints(&facts), cluster.asked().len())
    }

    #[tokio::test]
    async fn proxies_are_found_by_their_daemon_sets() {
        let image = |image: &str| json!({"name": "kube-proxy", "image": image});
        let kube_proxy =
            |text: &str| json!([daemon_set("kube-system", "kube-proxy", &image(text))]);
        for (text, version) in [
            ("registry.k8s.io/kube-proxy:v1.30.2", Some("v1.30.2")),
            (
                "example.com:5000/eks/kube-proxy:v1.21.2-eksbuild.2",
                Some("v1.21.2"),
            ),
            (
                "registry.k8s.io/kube-proxy:v1.30.2@sha256:ab",
                Some("v1.30.2"),
            ),
            ("example.com:5000/kube-proxy", None),
            ("registry.k8s.io/kube-proxy:latest", None),
        ] {
            let (hints, asked) = proxies(kube_proxy(text), None).await;
            let found = hints.kube_proxy_version.map(|version| version.to_string());
            assert_eq!(found.as_deref(), version, "{text}");
            assert_eq!(hints.other_proxy, Some(HostFact::Seen(None)));
            assert_eq!(asked, 2);
        }
        let agent = json!({"name": "agent", "image": "agent:1"});
        let name = |hints: ProviderHints| match hints.other_proxy {
            Some(HostFact::Seen(found)) => found.map(|found| found.name),
            other => panic!("{other:?}"),
        };
        let sets = json!([daemon_set("gke", "anetd", &agent)]);
        assert_eq!(name(proxies(sets, None).await.0), Some("GKE Dataplane V2"));
        // Cilium is a proxy only if its configuration says so.
        for (word, expected) in [
            (Some("true"), Some("Cilium")),
            (Some("false"), None),
            (None, None),
        ] {
            let sets = json!([daemon_set("cilium", "cilium", &agent)]);
            let (hints, asked) = proxies(sets, word).await;
            assert_eq!(name(hints), expected, "{word:?}");
            assert_eq!(asked, 3);
        }
    }
}
