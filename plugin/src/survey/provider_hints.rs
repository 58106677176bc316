//! What other objects say about the cluster's network and the Service's load balancer. They are read only if the
//! provider's documents depend on them, and they are optional.

use crate::cluster::{Call, CallError, Cluster};
use serde_json::Value;
use svc_reach_common::provider::elb;
use svc_reach_common::{
    facts::{Facts, Service, ServiceType},
    provider::Provider,
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
    /// Whether there is a DaemonSet of Cilium, and which (same source,
    /// `pod_network_settings/dataplane_v2_network_acceleration.rst`, for `yangtse-cilium`).
    pub cilium: Option<HostFact<Option<&'static str>>>,
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
    cilium: Option<HostFact<Option<&'static str>>>,
    /// Services and Ingresses, some of which may share a load balancer.
    users: Option<Result<[Value; 2], String>>,
}

/// Reads what the documents of this provider depend on.
pub async fn look(
    cluster: &impl Cluster,
    provider: Option<Provider>,
    services: &[&Facts],
    kube_proxy_found: bool,
) -> HintsFound {
    if provider == Some(Provider::HuaweiCce) {
        let (default_network, cilium, users) = tokio::join!(
            exists(
                cluster,
                "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/default-network",
            ),
            daemon_set(cluster, "yangtse-cilium"),
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
        return HintsFound {
            default_network: Some(default_network),
            cilium: Some(cilium),
            users,
        };
    }
    if kube_proxy_found {
        return HintsFound::default();
    }
    HintsFound {
        cilium: Some(daemon_set(cluster, "cilium").await),
        ..HintsFound::default()
    }
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
            cilium: self.cilium.clone(),
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

async fn daemon_set(cluster: &impl Cluster, name: &'static str) -> HostFact<Option<&'static str>> {
    let path = format!("/apis/apps/v1/namespaces/kube-system/daemonsets/{name}");
    match exists(cluster, &path).await {
        HostFact::Seen(there) => HostFact::Seen(there.then_some(name)),
        HostFact::Unknown(why) => HostFact::Unknown(why),
    }
}

/// Lists Ingresses from `v1`, or else from `v1beta1` (Kubernetes before 1.19).
async fn ingresses(cluster: &impl Cluster) -> Result<Value, CallError> {
    match page(cluster, "/apis/networking.k8s.io/v1/ingresses").await {
        Err(error) if error.is_not_found() => {
            page(cluster, "/apis/networking.k8s.io/v1beta1/ingresses").await
        }
        answered => answered,
    }
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
    const YANGTSE: &str = "GET /apis/apps/v1/namespaces/kube-system/daemonsets/yangtse-cilium";
    const CILIUM: &str = "GET /apis/apps/v1/namespaces/kube-system/daemonsets/cilium";
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
        let found = look(cluster, Some(Provider::HuaweiCce), services, true).await;
        found.hints(facts)
    }

    #[tokio::test]
    async fn on_cce_network_and_load_balancer_are_looked_at() {
        let cluster = Scripted::new(|call, _| match call {
            DEFINITION => Reply::Object(json!({})),
            YANGTSE | INGRESSES => Reply::Failure(404),
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
        assert_eq!(hints.cilium, Some(HostFact::Seen(None)));
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
            matches!(hints.cilium, Some(HostFact::Unknown(_))),
            matches!(hints.sharing, Some(HostFact::Unknown(_))),
        ];
        assert_eq!(unknown, [true; 3], "{hints:?}");
    }

    #[tokio::test]
    async fn elsewhere_at_most_one_object_is_read() {
        let cluster = Scripted::new(|call, _| match call {
            CILIUM => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let facts = balanced();
        let services = &[&facts];
        let found = look(&cluster, Some(Provider::Kubeadm), services, true).await;
        assert_eq!(
            (found.hints(&facts), cluster.asked().len()),
            (ProviderHints::default(), 0)
        );
        let found = look(&cluster, None, services, false).await.hints(&facts);
        assert_eq!(found.cilium, Some(HostFact::Seen(Some("cilium"))));
    }
}
