//! Finds out why a Service has no ready endpoint.

use crate::{
    cluster::page::{AT_ONCE, FEW, Page, page},
    cluster::{Call, CallError, Cluster},
    error::chain,
};
use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;
use svc_reach_common::facts::{Endpoint, Facts, ServiceType};

/// Most Services of one run whose pods are read.
const READ: usize = 16;

/// Longest quote of a pod's status, in characters.
const QUOTED: usize = 200;

/// For each Service, why nothing can answer. `None`: it has a ready endpoint, or is an alias. The permission to list
/// pods is optional.
pub async fn outages(cluster: &impl Cluster, services: &[&Facts]) -> Vec<Option<String>> {
    let mut read = 0;
    let asked: Vec<(&Facts, bool)> = services
        .iter()
        .map(|facts| {
            let with_pods = is_down(facts) && !facts.service.selector.is_empty() && read < READ;
            read += usize::from(with_pods);
            (*facts, with_pods)
        })
        .collect();
    stream::iter(asked)
        .map(async |(facts, with_pods)| {
            if !is_down(facts) {
                return None;
            }
            let pods = match with_pods {
                true => Some(pods(cluster, facts).await),
                false => None,
            };
            Some(reason(facts, pods))
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Whether nothing can answer. Without a ready endpoint, kube-proxy may still use terminating ones that serve (KEP-1669).
fn is_down(facts: &Facts) -> bool {
    facts.service.kind != ServiceType::ExternalName
        && !facts.endpoints.iter().any(Endpoint::may_get_traffic)
}

/// Some pods that the Service selects.
pub(super) async fn pods(cluster: &impl Cluster, facts: &Facts) -> Result<Page, CallError> {
    let path = format!("/api/v1/namespaces/{}/pods", facts.service.namespace);
    let call = Call::get(path).with("labelSelector", facts.service.selector_text());
    page(cluster, call, FEW, None).await
}

/// The reason, from the endpoints and the pods. `pods`: `None` if they were not read.
fn reason(facts: &Facts, pods: Option<Result<Page, CallError>>) -> String {
    let endpoints = match facts.endpoints.len() {
        0 => "it has no endpoint".to_owned(),
        1 => "its only endpoint is not ready".to_owned(),
        count => format!("none of its {count} endpoints is ready"),
    };
    match pods {
        None if facts.service.selector.is_empty() => {
            format!("it has no selector, and {endpoints}")
        }
        None => endpoints,
        Some(Err(error)) => format!("{endpoints} (failed to list its pods: {})", chain(&error)),
        Some(Ok(page)) => of_pods(
            &facts.service.selector_text(),
            &page.items,
            page.next.is_some(),
        )
        .unwrap_or(endpoints),
    }
}

/// The reason, from the pods. `None`: the pods are ready, so the reason is elsewhere.
fn of_pods(selector: &str, pods: &[Value], more: bool) -> Option<String> {
    if pods.is_empty() {
        return Some(format!("no pod matches its selector {selector}"));
    }
    let unready: Vec<(&str, String)> = pods
        .iter()
        .filter_map(|pod| {
            let name = pod.pointer("/metadata/name").and_then(Value::as_str)?;
            let why = unready(&serde_json::from_value(pod.clone()).ok()?)?;
            Some((name, why))
        })
        .collect();
    // A pod that is ready, or that could not be read, is not explained by the others.
    if unready.len() < pods.len() {
        return None;
    }
    let (name, why) = unready.first()?;
    Some(match unready.len() {
        1 => format!("its only pod {name} is not ready ({why})"),
        count if more => format!("none of {count} and more pods is ready, such as {name} ({why})"),
        count => format!("none of its {count} pods is ready, such as {name} ({why})"),
    })
}

/// Why a pod is not ready. `None`: it is.
fn unready(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("it is terminating".to_owned());
    }
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let is = |kind: &str, value: &str| condition(kind).is_some_and(|found| found.status == value);
    if is("Ready", "True") {
        return None;
    }
    let phase = status.phase.as_deref().unwrap_or_default();
    if ["Succeeded", "Failed"].contains(&phase) {
        return Some(quoted(&[
            Some(phase),
            status.reason.as_deref(),
            status.message.as_deref(),
        ]));
    }
    let containers = status
        .init_container_statuses
        .into_iter()
        .chain(status.container_statuses);
    let waiting: Vec<String> = containers.flatten().filter_map(|it| waiting(&it)).collect();
    if let Some(first) = waiting.first() {
        return Some(first.clone());
    }
    for kind in ["PodScheduled", "Ready"] {
        if is(kind, "False")
            && let Some(found) = condition(kind)
        {
            return Some(quoted(&[found.reason.as_deref(), found.message.as_deref()]));
        }
    }
    Some(quoted(&[Some(phase)]))
}

/// What a container waits for, if it is more than a usual step of its start.
fn waiting(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    (!["ContainerCreating", "PodInitializing"].contains(&reason))
        .then(|| quoted(&[Some(reason), waiting.message.as_deref()]))
}

/// Parts of a status in one line, shortened.
fn quoted(parts: &[Option<&str>]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .flatten()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    let text = parts.join(": ");
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "its status is empty".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::outages;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        testing::{endpoint, facts},
    };
    use serde_json::{Value, json};
    use svc_reach_common::facts::{Facts, ServiceType};

    const PODS: &str = "GET /api/v1/namespaces/default/pods";

    async fn outage(facts: &Facts, pods: impl Fn() -> Reply + 'static) -> (Option<String>, usize) {
        let cluster = Scripted::new(move |call, _| match call {
            PODS => pods(),
            other => panic!("{other}"),
        });
        let found = outages(&cluster, &[facts]).await.remove(0);
        (found, cluster.asked().len())
    }

    fn pod(name: &str, status: Value) -> Value {
        json!({"metadata": {"name": name}, "status": status})
    }

    #[tokio::test]
    async fn pods_say_why_nothing_can_answer() {
        let ready = |status: &str, message: &str| json!({"type": "Ready", "status": status, "reason": "ContainersNotReady", "message": message});
        let crashing = json!({"phase": "Running", "conditions": [ready("False", "containers with unready status: [web]")],
            "containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}}]});
        let unscheduled = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        let unready = json!({"phase": "Running", "conditions": [ready("False", "containers with unready status: [web]")]});
        let terminating =
            json!({"metadata": {"name": "web-0", "deletionTimestamp": "2026-01-02T03:04:05Z"}});
        let rows = [
            (vec![], "no pod matches its selector app=nginx"),
            (
                vec![pod("web-0", crashing)],
                "its only pod web-0 is not ready (CrashLoopBackOff: back-off 40s restarting failed container)",
            ),
            (
                vec![pod("web-0", unscheduled), pod("web-1", unready.clone())],
                "none of its 2 pods is ready, such as web-0 (Unschedulable: 0/3 nodes are available)",
            ),
            (
                vec![pod("web-1", unready)],
                "its only pod web-1 is not ready (ContainersNotReady: containers with unready status: [web])",
            ),
            (
                vec![terminating],
                "its only pod web-0 is not ready (it is terminating)",
            ),
            (
                vec![pod(
                    "web-0",
                    json!({"phase": "Failed", "reason": "Evicted"}),
                )],
                "its only pod web-0 is not ready (Failed: Evicted)",
            ),
            // The pod is ready, so the controller of the endpoints lags behind.
            (
                vec![pod("web-0", json!({"conditions": [ready("True", "")]}))],
                "it has no endpoint",
            ),
        ];
        for (pods, expected) in rows {
            let (found, asked) = outage(&facts(), move || {
                Reply::Object(json!({"items": pods.clone()}))
            })
            .await;
            assert_eq!((found.as_deref(), asked), (Some(expected), 1));
        }
    }

    #[tokio::test]
    async fn the_permission_to_list_pods_is_optional() {
        let mut facts = facts();
        facts.endpoints = vec![endpoint("a", 0), endpoint("a", 1)];
        for endpoint in &mut facts.endpoints {
            endpoint.ready = false;
        }
        let (found, _) = outage(&facts, || Reply::Failure(403)).await;
        let found = found.unwrap();
        assert!(
            found.starts_with("none of its 2 endpoints is ready (failed to list its pods: "),
            "{found}"
        );
    }

    #[tokio::test]
    async fn pods_are_read_only_if_they_can_explain_it() {
        let mut served = facts();
        served.endpoints = vec![endpoint("a", 0)];
        let mut draining = served.clone();
        draining.endpoints[0].ready = false;
        draining.endpoints[0].serving = Some(true);
        draining.endpoints[0].terminating = Some(true);
        let mut alias = facts();
        alias.service.kind = ServiceType::ExternalName;
        let mut manual = facts();
        manual.service.selector.clear();
        let manual_reason = "it has no selector, and it has no endpoint";
        for (facts, expected) in [
            (served, None),
            (draining, None),
            (alias, None),
            (manual, Some(manual_reason)),
        ] {
            let (found, asked) = outage(&facts, || panic!("pods")).await;
            assert_eq!((found.as_deref(), asked), (expected, 0));
        }
    }
}
