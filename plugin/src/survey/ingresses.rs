//! Ingresses that lead to the Services, and the Services in front of their controllers. They are optional: a run goes on
//! without what may not be read.

use super::backends::endpoints;
use crate::cluster::{
    Call, CallError, Cluster,
    page::{all, each},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use svc_reach_common::{
    facts::{Facts, IngressController, ServedRoute, Service, ServiceType},
    objects::{ObjectError, routes},
    provider::{Provider, is_nginx_ingress},
};

/// The namespace of CCE's add-ons.
const ADD_ONS: &str = "kube-system";

/// Reads the Ingresses of the Services' namespaces, and on CCE the Services of its NGINX Ingress controllers.
pub async fn look(cluster: &impl Cluster, services: &mut [Facts]) {
    let namespaces = services.iter().map(|facts| facts.service.namespace.clone());
    let namespaces: Vec<String> = namespaces.collect();
    let namespaces = namespaces.iter().map(String::as_str).collect();
    let read = each(&namespaces, |namespace| ingresses(cluster, namespace)).await;
    let read: BTreeMap<&str, Result<Vec<Value>, CallError>> = read.into_iter().collect();
    for facts in &mut *services {
        let namespace = facts.service.namespace.as_str();
        facts.routes = match read.get(namespace) {
            Some(Ok(objects)) => all_routes(objects, &facts.service)
                .map_err(|error| format!("failed to understand an Ingress: {error}")),
            Some(Err(error)) => Err(format!(
                "failed to read the Ingresses of namespace {namespace}: {error}"
            )),
            None => Ok(Vec::new()),
        };
    }
    let on_cce = services
        .first()
        .and_then(Provider::of)
        .is_some_and(|(provider, _)| provider == Provider::HuaweiCce);
    let served = |facts: &Facts| {
        let mut routes = facts.routes.iter().flatten();
        routes.any(|served| !served.addresses.is_empty())
    };
    if on_cce && services.iter().any(served) {
        let controllers = controllers(cluster).await;
        for facts in services {
            for served in facts.routes.iter_mut().flatten() {
                let all = controllers.as_ref().map_err(String::clone);
                served.controller = all.map(|all| controller_of(served, all));
            }
        }
    }
}

fn all_routes(objects: &[Value], service: &Service) -> Result<Vec<ServedRoute>, ObjectError> {
    let mut all = Vec::new();
    for object in objects {
        all.extend(routes(object, service)?);
    }
    Ok(all)
}

/// What the newest version of the API gives that the cluster has. `v1beta1` is for Kubernetes before 1.19.
pub async fn of_any_version<T, F>(read: impl Fn(&'static str) -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    match read("v1").await {
        Err(error) if error.is_not_found() => read("v1beta1").await,
        answered => answered,
    }
}

async fn ingresses(cluster: &impl Cluster, namespace: &str) -> Result<Vec<Value>, CallError> {
    let read = of_any_version(|version| {
        let path = format!("/apis/networking.k8s.io/{version}/namespaces/{namespace}/ingresses");
        all(cluster, Call::get(path))
    });
    match read.await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        answered => answered,
    }
}

/// CCE's NGINX Ingress controllers, or why they are unknown.
async fn controllers(cluster: &impl Cluster) -> Result<Vec<Arc<IngressController>>, String> {
    let path = format!("/api/v1/namespaces/{ADD_ONS}/services");
    let services = all(cluster, Call::get(path)).await;
    let services = services
        .map_err(|error| format!("failed to read the Services of namespace {ADD_ONS}: {error}"))?;
    let services = services
        .iter()
        .filter_map(|object| Service::try_from(object).ok())
        .filter(|service| service.kind == ServiceType::LoadBalancer && is_nginx_ingress(service));
    let mut controllers = Vec::new();
    for service in services {
        let backends = endpoints(cluster, &service.namespace, &service.name).await;
        let endpoints = backends.map_err(|error| error.chain())?.endpoints;
        controllers.push(Arc::new(IngressController { service, endpoints }));
    }
    Ok(controllers)
}

fn controller_of(
    served: &ServedRoute,
    controllers: &[Arc<IngressController>],
) -> Option<Arc<IngressController>> {
    let has = |controller: &&Arc<IngressController>| {
        let mut addresses = controller.service.load_balancer.iter();
        addresses.any(|entry| {
            let ip = entry.ip.map(|ip| ip.to_string());
            let names = ip.iter().chain(&entry.hostname);
            names
                .into_iter()
                .any(|name| served.addresses.contains(name))
        })
    };
    controllers.iter().find(has).cloned()
}

#[cfg(test)]
mod tests {
    use super::look;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        testing::{facts, node},
    };
    use serde_json::{Value, json};
    use svc_reach_common::facts::Facts;

    const INGRESSES: &str = "GET /apis/networking.k8s.io/v1/namespaces/default/ingresses";

    fn ingress(spec: &Value) -> Value {
        json!({
            "metadata": {"name": "shop"}, "spec": spec,
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
        })
    }

    fn on_cce() -> Facts {
        let mut node = node("n1", 0);
        let label = "cce.cloud.com/cce-nodepool".to_owned();
        node.labels.insert(label, "pool".to_owned());
        Facts {
            nodes: vec![node].into(),
            ..facts()
        }
    }

    fn to(service: &str) -> Value {
        json!({"service": {"name": service, "port": {"number": 80}}})
    }

    #[tokio::test]
    async fn ingresses_are_found_by_their_backend() {
        let old = json!({"serviceName": "nginx", "servicePort": 80});
        let rule = |host: &str, path: &str, backend: Value| json!({"rules": [{"host": host, "http": {"paths": [{"path": path, "backend": backend}]}}]});
        let mut encrypted = rule("shop.example.com", "/cart", to("nginx"));
        encrypted["tls"] = json!([{"hosts": ["*.example.com"]}]);
        let rows = [
            (
                rule("shop.example.com", "/cart", to("nginx")),
                Some("http shop.example.com/cart 80"),
            ),
            (encrypted, Some("https shop.example.com/cart 443")),
            (
                rule("*.example.com", "/", to("nginx")),
                Some("http svc-reach.example.com/ 80"),
            ),
            (
                rule("a.example", "/v1(/|$)(.*)", to("nginx")),
                Some("http a.example/v1 80"),
            ),
            (rule("a.example", "/", old), Some("http a.example/ 80")),
            (json!({"defaultBackend": to("nginx")}), Some("http */ 80")),
            (rule("a.example", "/", to("other")), None),
        ];
        for (spec, expected) in rows {
            let name = spec.to_string();
            let object = ingress(&spec);
            let cluster = Scripted::new(move |call, _| match call {
                INGRESSES => Reply::Object(json!({"items": [object]})),
                _ => Reply::Failure(404),
            });
            let mut services = [facts()];
            look(&cluster, &mut services).await;
            let routes = services[0].routes.as_ref().unwrap();
            let found = routes.first().map(|served| {
                let route = &served.route;
                format!(
                    "{} {}{} {}",
                    if route.tls { "https" } else { "http" },
                    route.host.as_deref().unwrap_or("*"),
                    route.path,
                    served.port
                )
            });
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn ingresses_that_may_not_be_read_are_unknown() {
        let cluster = Scripted::new(|_, _| Reply::Failure(403));
        let mut services = [facts()];
        look(&cluster, &mut services).await;
        let why = services[0].routes.as_ref().unwrap_err();
        assert!(
            why.contains("failed to read the Ingresses of namespace default"),
            "{why}"
        );
    }

    #[tokio::test]
    async fn on_cce_the_controller_is_found_by_its_address() {
        let object = ingress(&json!({"defaultBackend": to("nginx")}));
        let controller = |ip: &str| {
            json!({
                "metadata": {"namespace": "kube-system", "name": "cceaddon-nginx-ingress-controller"},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
                "status": {"loadBalancer": {"ingress": [{"ip": ip}]}},
            })
        };
        for (ip, found) in [("203.0.113.7", true), ("203.0.113.8", false)] {
            let (object, controller) = (object.clone(), controller(ip));
            let cluster = Scripted::new(move |call, _| match call {
                INGRESSES => Reply::Object(json!({"items": [object]})),
                "GET /api/v1/namespaces/kube-system/services" => {
                    Reply::Object(json!({"items": [controller]}))
                }
                "GET /apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices" => {
                    Reply::Object(json!({"items": []}))
                }
                _ => Reply::Failure(404),
            });
            let mut services = [on_cce()];
            look(&cluster, &mut services).await;
            let served = &services[0].routes.as_ref().unwrap()[0];
            let controller = served.controller.as_ref().unwrap();
            assert_eq!(controller.is_some(), found, "{ip}");
        }
    }

    #[tokio::test]
    async fn a_controller_that_may_not_be_read_is_unknown() {
        let object = ingress(&json!({"defaultBackend": to("nginx")}));
        let cluster = Scripted::new(move |call, _| match call {
            INGRESSES => Reply::Object(json!({"items": [object]})),
            _ => Reply::Failure(403),
        });
        let mut services = [on_cce()];
        look(&cluster, &mut services).await;
        let served = &services[0].routes.as_ref().unwrap()[0];
        let why = served.controller.as_ref().unwrap_err();
        let what = "failed to read the Services of namespace kube-system: ";
        assert!(why.starts_with(what), "{why}");
    }

    #[tokio::test]
    async fn every_page_of_ingresses_is_read() {
        let object = ingress(&json!({"defaultBackend": to("nginx")}));
        let cluster = Scripted::new(move |call, nth| match (call, nth) {
            (INGRESSES, 0) => Reply::Object(json!({"items": [], "metadata": {"continue": "more"}})),
            (INGRESSES, _) => Reply::Object(json!({"items": [object]})),
            _ => Reply::Failure(404),
        });
        let mut services = [facts()];
        look(&cluster, &mut services).await;
        assert_eq!(services[0].routes.as_ref().unwrap().len(), 1);
    }
}
