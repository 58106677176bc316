//! What objects beside the Service tell of the cluster's network and of its load balancer: asked for only where the
//! provider's documents depend on it, and done without where they may not be read.

use crate::{
    cluster::{Call, CallError, Cluster},
    detection::{ELB_ID, ELB_PASS_THROUGH},
};
use serde_json::Value;
use svc_reach_common::{
    facts::{Facts, ServiceType},
    line::Seen,
    provider::Provider,
};

/// Objects that are looked through for those that share a load balancer: one page, so that the number of requests and
/// the size of the answer are bounded on any cluster.
const PAGE: &str = "500";

/// What was found; `None`: not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// Whether there is a NetworkAttachmentDefinition `kube-system/default-network`, which clusters with Cloud Native
    /// Network 2.0 have (opentelekomcloud-docs/cloud-container-engine at b553f21, `umn/source/high-risk_operations.rst`
    /// and `umn/source/networking/container_networks/cloud_native_network_2.0_settings`).
    pub default_network: Option<Seen<bool>>,
    /// Whether there is a DaemonSet of Cilium, and which (same source,
    /// `pod_network_settings/dataplane_v2_network_acceleration.rst`, for `yangtse-cilium`).
    pub cilium: Option<Seen<Option<&'static str>>>,
    /// What else uses the Service's load balancer.
    pub sharing: Option<Seen<Sharing>>,
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

/// Looks for whatever the documents of this provider depend on.
pub async fn clues(
    cluster: &impl Cluster,
    provider: Option<Provider>,
    facts: &Facts,
    kube_proxy_found: bool,
) -> Clues {
    if provider == Some(Provider::HuaweiCce) {
        let (default_network, cilium, sharing) = tokio::join!(
            exists(
                cluster,
                "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/default-network",
            ),
            daemon_set(cluster, "yangtse-cilium"),
            sharing(cluster, facts),
        );
        return Clues {
            default_network: Some(default_network),
            cilium: Some(cilium),
            sharing,
        };
    }
    if kube_proxy_found {
        return Clues::default();
    }
    Clues {
        cilium: Some(daemon_set(cluster, "cilium").await),
        ..Clues::default()
    }
}

async fn exists(cluster: &impl Cluster, path: &str) -> Seen<bool> {
    match cluster.call(Call::get(path)).await {
        Ok(_) => Seen::Seen(true),
        Err(error) if error.is_not_found() => Seen::Seen(false),
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

async fn daemon_set(cluster: &impl Cluster, name: &'static str) -> Seen<Option<&'static str>> {
    let path = format!("/apis/apps/v1/namespaces/kube-system/daemonsets/{name}");
    match exists(cluster, &path).await {
        Seen::Seen(there) => Seen::Seen(there.then_some(name)),
        Seen::Unknown(why) => Seen::Unknown(why),
    }
}

/// Who else names the load balancer that the Service names.
async fn sharing(cluster: &impl Cluster, facts: &Facts) -> Option<Seen<Sharing>> {
    let service = &facts.service;
    let id = service
        .annotations
        .get(ELB_ID)
        .filter(|_| service.kind == ServiceType::LoadBalancer)?;
    let (services, ingresses) = tokio::join!(page(cluster, "/api/v1/services"), ingresses(cluster));
    let found = services.and_then(|services| Ok((services, ingresses?)));
    Some(match found {
        Err(error) => Seen::Unknown(error.to_string()),
        Ok((services, ingresses)) => {
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
                    .filter(|object| annotation(object, ELB_ID) == Some(id))
                    .cloned()
                    .collect()
            };
            Seen::Seen(Sharing {
                services: using(&services)
                    .iter()
                    .filter(|object| name(object) != own)
                    .map(|object| {
                        let setting = annotation(object, ELB_PASS_THROUGH).map(str::to_owned);
                        (name(object), setting)
                    })
                    .collect(),
                ingresses: using(&ingresses).iter().map(name).collect(),
                complete: [&services, &ingresses].into_iter().all(|list| {
                    list.pointer("/metadata/continue")
                        .and_then(Value::as_str)
                        .is_none_or(str::is_empty)
                }),
            })
        }
    })
}

/// `v1`, else `v1beta1` (Kubernetes before 1.19).
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
    use super::{Clues, Sharing, clues};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        test_data::facts,
    };
    use serde_json::{Value, json};
    use svc_reach_common::{
        facts::{Facts, ServiceType},
        line::Seen,
        provider::Provider,
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

    async fn of_cce(cluster: &Scripted, facts: &Facts) -> Clues {
        clues(cluster, Some(Provider::HuaweiCce), facts, true).await
    }

    #[tokio::test]
    async fn on_cce_the_network_and_those_on_the_same_load_balancer_are_asked_for() {
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
        let clues = of_cce(&cluster, &balanced()).await;
        assert_eq!(clues.default_network, Some(Seen::Seen(true)));
        assert_eq!(clues.cilium, Some(Seen::Seen(None)));
        let expected = Sharing {
            services: vec![("default/other".to_owned(), Some("true".to_owned()))],
            ingresses: vec!["default/web".to_owned()],
            complete: false,
        };
        assert_eq!(clues.sharing, Some(Seen::Seen(expected)));
        assert_eq!(cluster.asked().len(), 5, "bounded: {:?}", cluster.asked());
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_unknown_and_not_absent() {
        let cluster = Scripted::new(|_, _| Reply::Failure(403));
        let clues = of_cce(&cluster, &balanced()).await;
        let unknown = [
            matches!(clues.default_network, Some(Seen::Unknown(_))),
            matches!(clues.cilium, Some(Seen::Unknown(_))),
            matches!(clues.sharing, Some(Seen::Unknown(_))),
        ];
        assert_eq!(unknown, [true; 3], "{clues:?}");
    }

    #[tokio::test]
    async fn elsewhere_one_question_at_most_is_asked() {
        let cluster = Scripted::new(|call, _| match call {
            CILIUM => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let found = clues(&cluster, Some(Provider::Kubeadm), &balanced(), true).await;
        assert_eq!((found, cluster.asked().len()), (Clues::default(), 0));
        let found = clues(&cluster, None, &balanced(), false).await;
        assert_eq!(found.cilium, Some(Seen::Seen(Some("cilium"))));
    }
}
