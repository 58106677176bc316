//! Reads Ingresses.

use super::named::{Metadata, Named, ObjectError, filled_string};
use crate::{
    facts::{Route, ServedRoute, Service, ServicePort},
    protocol::Protocol,
    wire::plan::is_path,
};
use serde::Deserialize;
use serde_json::Value;
use std::num::NonZeroU16;

/// The annotation of CCE's own Ingresses that names the port of the load balancer (Huawei Cloud CCE, User Guide,
/// "Configuring ELB Ingresses Using Annotations").
const ELB_PORT: &str = "kubernetes.io/elb.port";

/// The ports of HTTP and HTTPS (RFC 9110, sections 4.2.1 and 4.2.2).
const HTTP: NonZeroU16 = NonZeroU16::new(80).unwrap();
const HTTPS: NonZeroU16 = NonZeroU16::new(443).unwrap();

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    default_backend: Option<Backend>,
    /// The default backend in `networking.k8s.io/v1beta1`.
    backend: Option<Backend>,
    rules: Option<Vec<Rule>>,
    tls: Option<Vec<Tls>>,
}

#[derive(Deserialize)]
struct Rule {
    host: Option<String>,
    http: Option<Http>,
}

#[derive(Deserialize)]
struct Http {
    paths: Option<Vec<HttpPath>>,
}

#[derive(Deserialize)]
struct HttpPath {
    path: Option<String>,
    backend: Backend,
}

/// A reference to a Service. `v1beta1` has the fields `serviceName` and `servicePort`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Backend {
    service: Option<BackendService>,
    service_name: Option<String>,
    service_port: Option<Value>,
}

#[derive(Deserialize)]
struct BackendService {
    name: String,
    port: Option<BackendPort>,
}

#[derive(Deserialize)]
struct BackendPort {
    name: Option<String>,
    number: Option<u64>,
}

#[derive(Deserialize)]
struct Tls {
    hosts: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    load_balancer: Option<LoadBalancer>,
}

#[derive(Default, Deserialize)]
struct LoadBalancer {
    ingress: Option<Vec<Point>>,
}

#[derive(Deserialize)]
struct Point {
    ip: Option<String>,
    hostname: Option<String>,
}

/// The routes of an Ingress that lead to a Service of its namespace, for `networking.k8s.io/v1` and `v1beta1`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/>).
///
/// # Errors
///
/// Fails if the object is not an Ingress.
pub fn routes(ingress: &Value, service: &Service) -> Result<Vec<ServedRoute>, ObjectError> {
    let object: Wire = Named::of("Ingress", ingress).read("Ingress", ingress)?;
    let spec = object.spec.unwrap_or_default();
    let tls = spec.tls.unwrap_or_default();
    let annotations = object.metadata.annotations.unwrap_or_default();
    let elb_port = annotations.get(ELB_PORT).and_then(|text| text.parse().ok());
    let status = object.status.and_then(|status| status.load_balancer);
    let points = status.and_then(|balancer| balancer.ingress);
    let points = points.into_iter().flatten();
    let addresses: Vec<String> = points
        .filter_map(|point| filled_string(point.ip).or(filled_string(point.hostname)))
        .collect();
    let name = object.metadata.name;
    let served = |host: Option<String>, path: Option<String>, backend: &Backend| {
        let port = backend.port_of(service)?;
        let tls = is_encrypted(&tls, host.as_deref());
        Some(ServedRoute {
            route: Route {
                ingress: name.clone(),
                host: host.map(concrete),
                path: literal(path.as_deref()),
                tls,
            },
            port_name: port.name.clone(),
            addresses: addresses.clone(),
            port: elb_port.unwrap_or(if tls { HTTPS } else { HTTP }),
            controller: Ok(None),
        })
    };
    let mut routes = Vec::new();
    for rule in spec.rules.into_iter().flatten() {
        let host = filled_string(rule.host);
        for path in rule.http.and_then(|http| http.paths).into_iter().flatten() {
            routes.extend(served(host.clone(), path.path, &path.backend));
        }
    }
    let default = spec.default_backend.or(spec.backend);
    routes.extend(default.and_then(|backend| served(None, None, &backend)));
    routes.dedup();
    Ok(routes)
}

impl Backend {
    /// The port of the Service that it refers to; `None`: it refers to something else.
    fn port_of<'s>(&self, service: &'s Service) -> Option<&'s ServicePort> {
        let (named, name, number) = match &self.service {
            Some(of) => {
                let port = of.port.as_ref();
                let name = port.and_then(|port| port.name.as_deref());
                (&of.name, name, port.and_then(|port| port.number))
            }
            None => {
                let port = self.service_port.as_ref();
                let name = port.and_then(Value::as_str);
                (
                    self.service_name.as_ref()?,
                    name,
                    port.and_then(Value::as_u64),
                )
            }
        };
        let mut ports = service.ports.iter();
        (*named == service.name)
            .then(|| {
                ports.find(|port| {
                    port.protocol == Protocol::Tcp
                        && (number == Some(u64::from(port.port.get()))
                            || name.is_some() && port.name.as_deref() == name)
                })
            })
            .flatten()
    }
}

/// Whether TLS is set for a host. An entry without hosts is for all.
fn is_encrypted(tls: &[Tls], host: Option<&str>) -> bool {
    tls.iter().any(|entry| match &entry.hosts {
        Some(hosts) if !hosts.is_empty() => host.is_some_and(|host| {
            let parent = host.split_once('.').map(|(_, parent)| parent);
            hosts
                .iter()
                .any(|of| of == host || parent.is_some() && of.strip_prefix("*.") == parent)
        }),
        Some(_) | None => true,
    })
}

/// A host that a rule with this host matches.
fn concrete(host: String) -> String {
    match host.strip_prefix("*.") {
        Some(parent) => format!("svc-reach.{parent}"),
        None => host,
    }
}

/// A path that a rule with this path matches. Some controllers allow regular expressions, so what may be one is cut off.
fn literal(path: Option<&str>) -> String {
    let path = path.unwrap_or("/");
    let end = path.find(['(', '[', '*', '^', '$', '\\', '|', '?', '+', '{']);
    let path = &path[..end.unwrap_or(path.len())];
    if is_path(path) { path } else { "/" }.to_owned()
}
