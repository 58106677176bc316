//! `--wait`: until there is something behind the Service, and an address in front of it.

use crate::{cluster::Cluster, config::Selection, error::Error, progress, survey};
use std::time::Duration;
use svc_reach_common::facts::{Endpoint, Service, ServiceType};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until every Service has a ready backend and its load balancer an address, for so long at the most.
///
/// # Errors
///
/// What is missing by then, or why it could not be looked.
pub async fn until_served(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &Selection,
    patience: Duration,
) -> Result<(), Error> {
    let end = Instant::now() + patience;
    let mut told = None;
    loop {
        let missing = match survey::asked(cluster, namespace, selection).await {
            Ok(asked) if asked.is_empty() => {
                Some(("a Service that matches".to_owned(), "its creation"))
            }
            Ok(asked) => asked.iter().find_map(|asked| {
                let service = &asked.service;
                let name = format!("Service {}/{}", service.namespace, service.name);
                Some((name, missing(service, &asked.backends.endpoints)?))
            }),
            // It may be made yet.
            Err(Error::NoService {
                namespace, name, ..
            }) => Some((format!("Service {namespace}/{name}"), "its creation")),
            Err(error) => return Err(error),
        };
        let Some((service, missing)) = missing else {
            return Ok(());
        };
        if told.as_ref() != Some(&(service.clone(), missing)) {
            progress::plain(&format!("{service} waits for {missing}"));
            told = Some((service.clone(), missing));
        }
        if timeout_at(end, sleep(PAUSE)).await.is_err() {
            return Err(Error::NotServed {
                service,
                missing,
                patience,
            });
        }
    }
}

/// What is missing for the Service to be reachable, if anything.
fn missing(service: &Service, endpoints: &[Endpoint]) -> Option<&'static str> {
    if service.kind == ServiceType::ExternalName {
        return None;
    }
    if !endpoints.iter().any(|endpoint| endpoint.ready) {
        return Some("a ready backend");
    }
    let balanced = service.kind == ServiceType::LoadBalancer;
    (balanced && service.load_balancer.is_empty()).then_some("an address of the load balancer")
}

#[cfg(test)]
mod tests {
    use super::until_served;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        config::{Selection, ServiceName},
    };
    use serde_json::{Value, json};
    use std::time::Duration;
    use tokio::time::Instant;

    const SERVICE: &str = "GET /api/v1/namespaces/web/services/nginx";

    fn service(kind: &str, address: bool) -> Reply {
        let ingress = if address {
            json!([{"ip": "192.0.2.1"}])
        } else {
            json!([])
        };
        Reply::Object(json!({
            "metadata": {"name": "nginx", "namespace": "web"},
            "spec": {"type": kind, "clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": ingress}},
        }))
    }

    fn slices(ready: bool) -> Reply {
        let items: Value = json!([{
            "metadata": {"name": "nginx-1", "namespace": "web"},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["172.16.0.1"], "conditions": {"ready": ready}}],
            "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
        }]);
        Reply::Object(json!({"items": items}))
    }

    async fn wait(cluster: &Scripted) -> (Result<(), String>, u64) {
        let began = Instant::now();
        let selection = Selection::Named(vec![ServiceName {
            namespace: None,
            name: "nginx".into(),
        }]);
        let result = until_served(cluster, "web", &selection, Duration::from_secs(10)).await;
        (
            result.map_err(|error| error.to_string()),
            began.elapsed().as_secs(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_as_soon_as_nothing_is_missing() {
        let cluster = Scripted::new(|call, nth| match (call, nth) {
            (SERVICE, 0) => Reply::Failure(404),
            (SERVICE, nth) => service("LoadBalancer", nth > 4),
            (_, nth) => slices(nth > 2),
        });
        assert_eq!(wait(&cluster).await, (Ok(()), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_in_the_end_is_named() {
        let unready = Scripted::new(|call, _| match call {
            SERVICE => service("ClusterIP", false),
            _ => slices(false),
        });
        let (result, seconds) = wait(&unready).await;
        assert_eq!(
            result,
            Err("Service web/nginx still waits for a ready backend after 10 s".to_owned()),
        );
        assert_eq!(seconds, 10);
        let refused = Scripted::new(|_, _| Reply::Failure(403));
        assert!(wait(&refused).await.0.is_err(), "could not look");
        assert_eq!(
            refused
                .asked()
                .iter()
                .filter(|call| *call == SERVICE)
                .count(),
            1
        );
    }
}
