//! `--wait`: until there is something behind the Service, and an address in front of it.

use crate::{cluster::Cluster, config::ServiceSelection, error::Error, survey, terminal::progress};
use std::time::Duration;
use svc_reach_common::facts::{Endpoint, Service, ServiceType};
use tokio::time::{Instant, sleep_until};

/// Between the first two looks. It grows, since what is not there soon may take minutes, and a look takes several calls.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Between two looks at the most: what a wait may last beyond what it waits for.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Waits until every Service has a ready backend and its load balancer an address, for so long at the most.
///
/// # Errors
///
/// What is missing by then, or why it could not be looked: at once where that will not pass.
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
            State::Missing { service, missing } if last => {
                return Err(Error::NotServed {
                    service,
                    missing,
                    patience,
                });
            }
            State::Unseen(error) if last => return Err(error),
            State::Missing { service, missing } => format!("{service} waits for {missing}"),
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

/// What one look shows.
enum State {
    /// Nothing is missing.
    Served,
    /// Something of a Service is missing.
    Missing {
        service: String,
        missing: &'static str,
    },
    /// The API server did not say, and may do so later.
    Unseen(Error),
}

async fn look(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
) -> Result<State, Error> {
    let missing = |service, missing| State::Missing { service, missing };
    match survey::asked(cluster, namespace, selection).await {
        Ok(asked) if asked.is_empty() => {
            Ok(missing("a Service that matches".to_owned(), "its creation"))
        }
        Ok(asked) => {
            let found = asked.iter().find_map(|asked| {
                let service = &asked.service;
                let name = format!("Service {}/{}", service.namespace, service.name);
                Some(missing(
                    name,
                    what_is_missing(service, &asked.backends.endpoints)?,
                ))
            });
            Ok(found.unwrap_or(State::Served))
        }
        // It may be made yet.
        Err(Error::NoService {
            namespace, name, ..
        }) => Ok(missing(
            format!("Service {namespace}/{name}"),
            "its creation",
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
    async fn it_ends_as_soon_as_nothing_is_missing() {
        let cluster = Scripted::new(|call, nth| match (call, nth) {
            (SERVICE, 0) => Reply::Failure(404),
            (SERVICE, nth) => service("LoadBalancer", nth > 4),
            (_, nth) => slices(nth > 2),
        });
        // After 0, 1, 2.5, 4.75, 8.1 and 10 s, the end.
        assert_eq!(wait(&cluster).await, (Ok(()), 10));
        let asked = cluster.asked();
        assert!(
            asked
                .iter()
                .all(|call| call == SERVICE || call.contains("/endpoints")),
            "no names are looked for while it may be made yet: {asked:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_for_a_while_does_not_end_it() {
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
        assert_eq!(seconds, 10, "it may have come back");
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
