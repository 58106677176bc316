//! `--wait`: waits until the Service has a ready backend, and its load balancer an address.

use crate::{cluster::Cluster, config::ServiceSelection, error::Error, survey, terminal::progress};
use std::time::Duration;
use svc_reach_common::facts::{Endpoint, Service, ServiceType};
use tokio::time::{Instant, sleep_until};

/// Pause after the first check. Later pauses are longer, because a Service that is not ready soon may take minutes, and
/// every check makes several calls.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two checks. The wait can end this much later than necessary.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Waits until every Service has a ready backend and every load balancer has an address, at most as long as `patience`.
///
/// # Errors
///
/// What is still missing at the end, or why the plugin could not look. If a retry cannot help, the wait ends at once.
pub async fn until_served(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
    patience: Duration,
) -> Result<(), Error> {
    let end = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut told = None;
    loop {
        let state = look(cluster, namespace, selection).await?;
        let last = Instant::now() >= end;
        let text = match state {
            State::Served => return Ok(()),
            State::NotServed { service, state } if last => {
                return Err(Error::NotServed {
                    service,
                    state,
                    patience,
                });
            }
            State::Unseen(error) if last => return Err(error),
            State::NotServed { service, state } => format!("waiting: {service} {state} yet"),
            State::Unseen(error) => format!("{}; trying again", error.chain()),
        };
        if told.as_ref() != Some(&text) {
            progress::plain(&text);
            told = Some(text);
        }
        sleep_until(end.min(Instant::now() + pause)).await;
        pause = LAST_PAUSE.min(pause * 3 / 2);
    }
}

/// The result of one check.
enum State {
    /// Nothing is missing.
    Served,
    /// A Service lacks something. `state` completes the sentence "Service web/nginx … yet".
    NotServed {
        service: String,
        state: &'static str,
    },
    /// The API server failed, but may answer later.
    Unseen(Error),
}

async fn look(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
) -> Result<State, Error> {
    let not_served = |service, state| State::NotServed { service, state };
    match survey::asked(cluster, namespace, selection).await {
        Ok(asked) if asked.is_empty() => Ok(not_served(
            "a matching Service".to_owned(),
            "does not exist",
        )),
        Ok(asked) => {
            let found = asked.iter().find_map(|asked| {
                let service = &asked.service;
                let name = format!("Service {}/{}", service.namespace, service.name);
                Some(not_served(
                    name,
                    what_is_missing(service, &asked.backends.endpoints)?,
                ))
            });
            Ok(found.unwrap_or(State::Served))
        }
        // The Service may still be created.
        Err(Error::NoService {
            namespace, name, ..
        }) => Ok(not_served(
            format!("Service {namespace}/{name}"),
            "does not exist",
        )),
        Err(error) if error.may_pass() => Ok(State::Unseen(error)),
        Err(error) => Err(error),
    }
}

/// What is missing for the Service to be reachable, if anything.
fn what_is_missing(service: &Service, endpoints: &[Endpoint]) -> Option<&'static str> {
    if service.kind == ServiceType::ExternalName {
        return None;
    }
    if !endpoints.iter().any(|endpoint| endpoint.ready) {
        return Some("has no ready backend");
    }
    let balanced = service.kind == ServiceType::LoadBalancer;
    (balanced && service.load_balancer.is_empty()).then_some("has no load balancer address")
}

#[cfg(test)]
mod tests {
    use super::until_served;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        config::{ServiceName, ServiceSelection},
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
        let selection = ServiceSelection::Named(vec![ServiceName {
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
    async fn a_wait_ends_when_nothing_is_missing() {
        let cluster = Scripted::new(|call, nth| match (call, nth) {
            (SERVICE, 0) => Reply::Failure(404),
            (SERVICE, nth) => service("LoadBalancer", nth > 4),
            (_, nth) => slices(nth > 2),
        });
        // Checks after 0, 1, 2.5, 4.75 and 8.1 s, and after 10 s, which is the limit.
        assert_eq!(wait(&cluster).await, (Ok(()), 10));
        let asked = cluster.asked();
        assert!(
            asked
                .iter()
                .all(|call| call == SERVICE || call.contains("/endpoints")),
            "a wait must not search for similar names: {asked:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_survives_failures_of_the_api_server() {
        let cluster = Scripted::new(|call, nth| match (call, nth) {
            (SERVICE, 0) => Reply::Failure(503),
            (SERVICE, 1) => Reply::Failure(429),
            (SERVICE, _) => service("ClusterIP", false),
            _ => slices(true),
        });
        assert_eq!(wait(&cluster).await, (Ok(()), 2));
        let away = Scripted::new(|_, _| Reply::Failure(500));
        let (result, seconds) = wait(&away).await;
        assert_eq!(result, Err("failed to get Service web/nginx".to_owned()));
        assert_eq!(seconds, 10, "it retries until the limit");
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_names_what_is_missing() {
        let unready = Scripted::new(|call, _| match call {
            SERVICE => service("ClusterIP", false),
            _ => slices(false),
        });
        let (result, seconds) = wait(&unready).await;
        assert_eq!(
            result,
            Err("Service web/nginx still has no ready backend after 10 s".to_owned()),
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
