//! Service meshes at the backends. A mesh that requires mutual TLS ends the connections of clients without its
//! certificates, such as probes. This is read only if connections were accepted and then ended without an answer.

use super::outage::pods;
use crate::cluster::{
    Call, CallError, Cluster,
    page::{FEW, page},
};
use serde_json::Value;
use svc_reach_common::{
    facts::Facts,
    wire::outcome::{Attempt, Outcome},
};

/// Containers that a mesh adds to pods, and the mesh.
///
/// - Istio: <https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/>
/// - Linkerd: <https://linkerd.io/2/features/proxy-injection/>
/// - Kuma: <https://kuma.io/docs/latest/production/dp-config/dpp-on-kubernetes/>
/// - Consul: <https://developer.hashicorp.com/consul/docs/connect/dataplane>
const SIDECARS: [(&str, &str); 4] = [
    ("istio-proxy", ISTIO),
    ("linkerd-proxy", "Linkerd"),
    ("kuma-sidecar", "Kuma"),
    ("consul-dataplane", "Consul"),
];

/// Labels and annotations of namespaces that put their pods into a mesh, from the same sources and from
/// <https://istio.io/latest/docs/ambient/usage/add-workloads/>.
const NAMESPACES: [(&str, &str, &str); 4] = [
    ("istio.io/dataplane-mode", "ambient", ISTIO),
    ("istio-injection", "enabled", ISTIO),
    ("linkerd.io/inject", "enabled", "Linkerd"),
    ("kuma.io/sidecar-injection", "enabled", "Kuma"),
];

/// The annotation of a pod whose traffic Istio's ambient mode redirects, and its value.
const AMBIENT: (&str, &str) = ("ambient.istio.io/redirection", "enabled");

const ISTIO: &str = "Istio";

/// The namespace whose PeerAuthentications are for the whole mesh, by default.
const ROOT: &str = "istio-system";

/// A mesh at the backends of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Its name.
    pub name: &'static str,
    /// What shows it.
    pub sign: String,
    /// Whether it refuses clients without its certificates.
    pub strict: Strict,
}

/// Whether a mesh refuses clients without its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strict {
    /// It does, at least for some pods. The text names the setting.
    Yes(String),
    /// No setting says so, and by default it accepts them.
    No,
    /// It is unknown. The text says why.
    Unknown(String),
}

/// Whether an attempt ended as those do that a mesh refuses: the connection was accepted, and then ended without an
/// answer.
pub const fn may_be_refused(attempt: &Attempt) -> bool {
    matches!(
        attempt.outcome,
        Outcome::Closed { .. } | Outcome::Reset { .. }
    )
}

/// Looks for a mesh at the backends of a Service.
///
/// # Errors
///
/// If something could not be read and nothing else shows a mesh, there may be one. The text says what could not be read.
pub async fn look(cluster: &impl Cluster, facts: &Facts) -> Result<Option<Mesh>, String> {
    let namespace = &facts.service.namespace;
    let of_pods = match pods(cluster, facts).await {
        Ok(page) => Ok(page.items.iter().find_map(of_pod)),
        Err(error) => Err(format!("failed to read the pods of {namespace}: {error}")),
    };
    let found = match of_pods {
        Ok(Some(found)) => Some(found),
        Ok(None) | Err(_) => {
            let path = format!("/api/v1/namespaces/{namespace}");
            let object = cluster.call(Call::get(path)).await;
            let object =
                object.map_err(|error| format!("failed to read namespace {namespace}: {error}"));
            match object.map(|object| of_namespace(&object)) {
                Ok(Some(found)) => Some(found),
                by_namespace => by_namespace.and(of_pods)?,
            }
        }
    };
    let Some((name, sign)) = found else {
        return Ok(None);
    };
    let strict = if name == ISTIO {
        peer_authentication(cluster, namespace).await
    } else {
        Strict::Unknown(format!("the settings of {name} are not read"))
    };
    Ok(Some(Mesh { name, sign, strict }))
}

fn of_pod(pod: &Value) -> Option<(&'static str, String)> {
    let name = pod.pointer("/metadata/name")?.as_str()?;
    let containers = ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .filter_map(|path| pod.pointer(path)?.as_array())
        .flatten()
        .filter_map(|container| container.get("name")?.as_str());
    for container in containers {
        if let Some((_, mesh)) = SIDECARS.iter().find(|(sidecar, _)| *sidecar == container) {
            return Some((*mesh, format!("container {container} of pod {name}")));
        }
    }
    let (key, value) = AMBIENT;
    let annotation = pod.pointer("/metadata/annotations")?.get(key)?;
    (annotation == value).then(|| (ISTIO, format!("annotation {key} of pod {name}")))
}

fn of_namespace(namespace: &Value) -> Option<(&'static str, String)> {
    let name = namespace.pointer("/metadata/name")?.as_str()?;
    NAMESPACES.iter().find_map(|(key, value, mesh)| {
        let set = |kind: &str| namespace.pointer(&format!("/metadata/{kind}"))?.get(key);
        let found = set("labels").or_else(|| set("annotations"))?;
        (found == value).then(|| (*mesh, format!("{key}={value} of namespace {name}")))
    })
}

/// What PeerAuthentications of the namespace and of the mesh say. Without one, Istio accepts every client
/// (<https://istio.io/latest/docs/reference/config/security/peer_authentication/>).
async fn peer_authentication(cluster: &impl Cluster, namespace: &str) -> Strict {
    let mut namespaces = vec![ROOT];
    if namespace != ROOT {
        namespaces.insert(0, namespace);
    }
    for namespace in namespaces {
        match listed(cluster, namespace).await {
            Ok(objects) => {
                if let Some(name) = objects.iter().find_map(strict) {
                    let text = format!("PeerAuthentication {namespace}/{name} requires mutual TLS");
                    return Strict::Yes(text);
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let text =
                    format!("failed to read the PeerAuthentications of {namespace}: {error}");
                return Strict::Unknown(text);
            }
        }
    }
    Strict::No
}

async fn listed(cluster: &impl Cluster, namespace: &str) -> Result<Vec<Value>, CallError> {
    let list = |version| {
        let path =
            format!("/apis/security.istio.io/{version}/namespaces/{namespace}/peerauthentications");
        page(cluster, Call::get(path), FEW, None)
    };
    let found = match list("v1").await {
        Err(error) if error.is_not_found() => list("v1beta1").await,
        found => found,
    };
    Ok(found?.items)
}

/// The name of a PeerAuthentication that requires mutual TLS for a workload or a port.
fn strict(object: &Value) -> Option<&str> {
    let is_strict = |value: &Value| value.get("mode").is_some_and(|mode| mode == "STRICT");
    let whole = object.pointer("/spec/mtls").is_some_and(is_strict);
    let ports = object.pointer("/spec/portLevelMtls");
    let ports = ports.and_then(Value::as_object).into_iter().flatten();
    let any = ports.map(|(_, port)| port).any(is_strict);
    (whole || any).then(|| object.pointer("/metadata/name")?.as_str())?
}

impl Mesh {
    /// Whether the mesh may be why a client without its certificates is not served.
    pub fn may_refuse(&self) -> bool {
        self.strict != Strict::No
    }

    /// What is known, as a text.
    pub fn text(&self) -> String {
        let Self { name, sign, strict } = self;
        match strict {
            Strict::Yes(why) => format!("{name} is in front of the backends ({sign}), and {why}"),
            Strict::No => format!(
                "{name} is in front of the backends ({sign}), and accepts clients without its certificates"
            ),
            Strict::Unknown(why) => format!(
                "{name} is in front of the backends ({sign}), and may refuse clients without its certificates; {why}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Strict, look};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        testing::facts,
    };
    use serde_json::{Value, json};

    const OWN: &str = "GET /apis/security.istio.io/v1/namespaces/default/peerauthentications";
    const ROOT: &str = "GET /apis/security.istio.io/v1/namespaces/istio-system/peerauthentications";

    fn pod(container: &str, annotations: &Value) -> Value {
        json!({"items": [{
            "metadata": {"name": "nginx-0", "annotations": annotations},
            "spec": {"containers": [{"name": "nginx"}, {"name": container}]},
        }]})
    }

    #[tokio::test]
    async fn a_mesh_is_known_by_its_containers_annotations_and_namespaces() {
        let none = json!({});
        let ambient = json!({"ambient.istio.io/redirection": "enabled"});
        let rows = [
            (Some(pod("log", &none)), json!({}), None),
            (Some(pod("istio-proxy", &none)), json!({}), Some("Istio")),
            (
                Some(pod("linkerd-proxy", &none)),
                json!({}),
                Some("Linkerd"),
            ),
            (Some(pod("log", &ambient)), json!({}), Some("Istio")),
            (
                None,
                json!({"istio.io/dataplane-mode": "ambient"}),
                Some("Istio"),
            ),
            (None, json!({"istio-injection": "disabled"}), None),
        ];
        for (pods, labels, expected) in rows {
            let (name, pods_unread) = (format!("{pods:?} {labels}"), pods.is_none());
            let cluster = Scripted::new(move |call, _| match call {
                "GET /api/v1/namespaces/default/pods" => match &pods {
                    Some(pods) => Reply::Object(pods.clone()),
                    None => Reply::Failure(403),
                },
                "GET /api/v1/namespaces/default" => {
                    Reply::Object(json!({"metadata": {"name": "default", "labels": labels}}))
                }
                _ => Reply::Failure(404),
            });
            let found = look(&cluster, &facts()).await;
            match (found, expected) {
                // The pods could not be read.
                (Err(why), None) if pods_unread => assert!(why.contains("the pods"), "{why}"),
                (found, _) => assert_eq!(found.unwrap().map(|mesh| mesh.name), expected, "{name}"),
            }
        }
    }

    #[tokio::test]
    async fn peer_authentication_decides_whether_istio_is_strict() {
        let object = |spec: Value| json!({"items": [{"metadata": {"name": "rule"}, "spec": spec}]});
        let strict = object(json!({"mtls": {"mode": "STRICT"}}));
        let port = object(
            json!({"mtls": {"mode": "PERMISSIVE"}, "portLevelMtls": {"8080": {"mode": "STRICT"}}}),
        );
        let permissive = object(json!({"mtls": {"mode": "PERMISSIVE"}}));
        let yes = |namespace: &str| {
            Strict::Yes(format!(
                "PeerAuthentication {namespace}/rule requires mutual TLS"
            ))
        };
        let rows = [
            (
                Some(strict.clone()),
                Some(permissive.clone()),
                yes("default"),
            ),
            (Some(port), None, yes("default")),
            (Some(permissive.clone()), Some(strict), yes("istio-system")),
            (Some(permissive.clone()), Some(permissive), Strict::No),
        ];
        for (own, root, expected) in rows {
            let cluster = Scripted::new(move |call, _| match call {
                "GET /api/v1/namespaces/default/pods" => {
                    Reply::Object(pod("istio-proxy", &json!({})))
                }
                OWN => own.clone().map_or(Reply::Failure(404), Reply::Object),
                ROOT => root.clone().map_or(Reply::Failure(404), Reply::Object),
                other => panic!("{other}"),
            });
            let mesh = look(&cluster, &facts()).await.unwrap().unwrap();
            assert_eq!(mesh.strict, expected);
        }
        let cluster = Scripted::new(|call, _| match call {
            "GET /api/v1/namespaces/default/pods" => Reply::Object(pod("istio-proxy", &json!({}))),
            _ => Reply::Failure(403),
        });
        let mesh = look(&cluster, &facts()).await.unwrap().unwrap();
        assert!(
            mesh.may_refuse() && mesh.text().contains("failed to read"),
            "{mesh:?}"
        );
    }

    #[tokio::test]
    async fn a_mesh_that_nobody_could_look_for_may_be_there() {
        let cluster = Scripted::new(|call, _| match call {
            "GET /api/v1/namespaces/default/pods" => Reply::Object(pod("log", &json!({}))),
            _ => Reply::Failure(403),
        });
        let why = look(&cluster, &facts()).await.unwrap_err();
        assert!(why.contains("failed to read namespace default"), "{why}");
    }
}
