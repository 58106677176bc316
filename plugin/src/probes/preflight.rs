//! Checks before anything is created: does the user have the permissions, and will the cluster accept the probes?

use crate::{
    cluster::{Call, CallError, Cluster},
    error::{Error, Permission, chain},
    probes::job,
};
use futures_util::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

/// Permissions that a run needs in the namespace of the probes. Reading Services, EndpointSlices and Nodes is extra.
pub const PERMISSIONS: [Permission; 6] = [
    Permission {
        verb: "create",
        group: "batch",
        resource: "jobs",
    },
    Permission {
        verb: "delete",
        group: "batch",
        resource: "jobs",
    },
    // The Job creates the pods. This is for the dry run of a pod.
    Permission {
        verb: "create",
        group: "",
        resource: "pods",
    },
    Permission {
        verb: "list",
        group: "",
        resource: "pods",
    },
    Permission {
        verb: "watch",
        group: "",
        resource: "pods",
    },
    Permission {
        verb: "get",
        group: "",
        resource: "pods/log",
    },
];

/// Asks the API server whether the user has all permissions that a run needs. The user's rules answer that in one request.
/// Not every authorizer can list its rules (Kubernetes API reference, `SelfSubjectRulesReview`), so each permission that no
/// rule grants is asked for on its own.
///
/// If the API server does not answer the question, the run goes on, and a missing permission shows later.
pub async fn check_permissions(cluster: &impl Cluster, namespace: &str) -> Result<(), Error> {
    let rules = rules(cluster, namespace).await;
    let granted = |permission| rules.iter().any(|rule| grants(rule, permission));
    let open: Vec<Permission> = PERMISSIONS
        .into_iter()
        .filter(|permission| !granted(*permission))
        .collect();
    let answers = open
        .iter()
        .map(|permission| may(cluster, namespace, *permission));
    let answers = join_all(answers).await;
    let missing: Vec<Permission> = open
        .into_iter()
        .zip(answers)
        .filter(|(_, may)| *may == Some(false))
        .map(|(p, _)| p)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::NotAllowed {
            namespace: namespace.to_owned(),
            missing,
        })
    }
}

/// The user's rules for a namespace, as the API server lists them; empty if it does not.
async fn rules(cluster: &impl Cluster, namespace: &str) -> Vec<Value> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    match cluster.call(Call::post(path, review)).await {
        Ok(answer) => {
            let rules = answer.pointer("/status/resourceRules");
            rules.and_then(Value::as_array).cloned().unwrap_or_default()
        }
        Err(error) => {
            tracing::debug!(%error, "failed to list the user's rules");
            Vec::new()
        }
    }
}

/// Whether a rule grants a permission on objects of any name.
fn grants(rule: &Value, permission: Permission) -> bool {
    let list = |key: &str| rule.get(key).and_then(Value::as_array);
    let has = |key: &str, word: &str| {
        list(key).is_some_and(|words| words.iter().any(|it| *it == "*" || *it == word))
    };
    has("verbs", permission.verb)
        && has("apiGroups", permission.group)
        && has("resources", permission.resource)
        && list("resourceNames").is_none_or(Vec::is_empty)
}

async fn may(cluster: &impl Cluster, namespace: &str, permission: Permission) -> Option<bool> {
    let (resource, subresource) = permission
        .resource
        .split_once('/')
        .unwrap_or((permission.resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": namespace,
            "verb": permission.verb,
            "group": permission.group,
            "resource": resource,
            "subresource": subresource,
        }},
    });
    match cluster
        .call(Call::post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            review,
        ))
        .await
    {
        Ok(answer) => answer.pointer("/status/allowed").and_then(Value::as_bool),
        Err(error) => {
            tracing::debug!(%error, %permission, "failed to check this permission");
            None
        }
    }
}

/// Whether the cluster deletes finished Jobs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// `ttlSecondsAfterFinished` works.
    Kept,
    /// The API server dropped the field, so the feature is off.
    Dropped,
}

/// What the API server answered to the dry run of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whether the cluster will delete it.
    pub ttl: Ttl,
    /// The API server's time, RFC 3339.
    pub at: Option<String>,
}

/// Whether a failed dry run means that the cluster refuses the object. The API server does not call a webhook with side
/// effects in a dry run; it fails the dry run (kubernetes/kubernetes v1.30.0
/// `staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go`, `NewDryRunUnsupportedErr`). Only
/// the message distinguishes that from a webhook that refuses with 400.
fn is_verdict(error: &CallError) -> bool {
    let unsupported = matches!(error, CallError::Status(status)
        if status.code == 400 && status.message.ends_with("does not support dry run"));
    error.is_refusal() && !unsupported
}

/// The answer of a dry run. `None`: the dry run itself failed. Then the run goes on, and a refusal shows at creation.
fn accepted(answer: Result<Value, CallError>) -> Result<Option<Value>, CallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_verdict(&error) => Err(error),
        Err(error) => {
            tracing::debug!(error = chain(&error), "the dry run itself failed");
            Ok(None)
        }
    }
}

/// Does a dry run of a Job. If `ttlSecondsAfterFinished` is off, the API server drops it from the answer
/// (kubernetes/kubernetes v1.20.2 `pkg/registry/batch/job/strategy.go`, `dropDisabledFields`).
pub async fn dry_run_job(
    cluster: &impl Cluster,
    namespace: &str,
    job: &Job,
) -> Result<Option<Shown>, CallError> {
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let call = Call::post(path, to_json(job)?).with("dryRun", "All");
    let Some(answer) = accepted(cluster.call(call).await)? else {
        return Ok(None);
    };
    let ttl = answer.pointer("/spec/ttlSecondsAfterFinished");
    let at = answer.pointer("/metadata/creationTimestamp");
    Ok(Some(Shown {
        ttl: if ttl.is_some_and(Value::is_number) {
            Ttl::Kept
        } else {
            Ttl::Dropped
        },
        at: at.and_then(Value::as_str).map(str::to_owned),
    }))
}

/// Does a dry run of the pod that a Job will create.
pub async fn dry_run_pod(
    cluster: &impl Cluster,
    namespace: &str,
    job: &Job,
) -> Result<(), CallError> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let call = Call::post(path, to_json(&job::pod(job))?).with("dryRun", "All");
    accepted(cluster.call(call).await).map(drop)
}

/// An object as the body of a request.
pub fn to_json(object: &impl serde::Serialize) -> Result<Value, CallError> {
    serde_json::to_value(object).map_err(|source| CallError::Transport(Box::new(source)))
}

#[cfg(test)]
mod tests {
    use super::{PERMISSIONS, Ttl, check_permissions, dry_run_job, dry_run_pod};
    use crate::cluster::scripted::{Reply, Scripted};
    use serde_json::json;

    #[tokio::test]
    async fn a_dropped_time_to_live_is_noticed() {
        for (spec, ttl) in [
            (json!({"ttlSecondsAfterFinished": 60}), Ttl::Kept),
            (json!({}), Ttl::Dropped),
        ] {
            let cluster = Scripted::new(move |call, _| {
                assert_eq!(call, "DRY-RUN /apis/batch/v1/namespaces/web/jobs");
                let metadata = json!({"creationTimestamp": "2026-01-02T03:04:05Z"});
                Reply::Object(json!({"metadata": metadata, "spec": spec}))
            });
            let job = k8s_openapi::api::batch::v1::Job::default();
            let shown = dry_run_job(&cluster, "web", &job).await.unwrap().unwrap();
            assert_eq!(
                (shown.ttl, shown.at.as_deref()),
                (ttl, Some("2026-01-02T03:04:05Z"))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_dry_run_is_not_a_refusal() {
        let rows: [(fn() -> Reply, bool); 7] = [
            (
                || Reply::Refusal(400, "admission webhook \"audit\" does not support dry run"),
                false,
            ),
            (|| Reply::Failure(429), false),
            (|| Reply::Failure(500), false),
            (|| Reply::Silence, false),
            (
                || Reply::Refusal(400, "admission webhook \"policy\" denied the request"),
                true,
            ),
            (|| Reply::Failure(403), true),
            (|| Reply::Failure(422), true),
        ];
        let job = k8s_openapi::api::batch::v1::Job::default();
        for (index, (reply, refused)) in rows.into_iter().enumerate() {
            let cluster = Scripted::new(move |_, _| reply());
            let shown = dry_run_job(&cluster, "web", &job).await;
            assert_eq!(shown.is_err(), refused, "Job, row {index}");
            assert!(shown.is_err() || shown.is_ok_and(|shown| shown.is_none()));
            let pod = dry_run_pod(&cluster, "web", &job).await;
            assert_eq!(pod.is_err(), refused, "pod, row {index}");
        }
    }

    #[tokio::test]
    async fn all_missing_permissions_are_named() {
        let cluster = Scripted::new(|_, before| {
            Reply::Object(json!({"status": {"allowed": before % 2 == 0}}))
        });
        let error = check_permissions(&cluster, "web").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing permissions in namespace web: delete jobs.batch, list pods, get pods/log"
        );
        assert_eq!(cluster.asked().len(), 1 + PERMISSIONS.len());
    }

    #[tokio::test]
    async fn only_what_no_rule_grants_is_asked_for() {
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names});
        let rows = [
            (vec![rule(&["*"], &["*"], &["*"], &[])], 0),
            (
                vec![
                    rule(&["batch"], &["jobs"], &["create", "delete"], &[]),
                    rule(&[""], &["pods", "pods/log"], &["*"], &[]),
                ],
                0,
            ),
            (vec![rule(&["batch"], &["jobs"], &["create"], &[])], 5),
            // Pods of another group, and pods of one name.
            (
                vec![
                    rule(&["metrics.k8s.io"], &["pods"], &["*"], &[]),
                    rule(&[""], &["pods"], &["*"], &["p"]),
                ],
                6,
            ),
        ];
        for (rules, asked) in rows {
            let cluster = Scripted::new(move |_, nth| match nth {
                0 => Reply::Object(json!({"status": {"resourceRules": rules, "allowed": true}})),
                _ => Reply::Object(json!({"status": {"allowed": true}})),
            });
            check_permissions(&cluster, "web").await.unwrap();
            let reviews = cluster.asked().into_iter();
            let reviews = reviews.filter(|call| call.ends_with("accessreviews"));
            assert_eq!(reviews.count(), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unanswered_permission_check_is_no_error() {
        for reply in [
            || Reply::Failure(403),
            || Reply::Silence,
            || Reply::Object(json!({})),
        ] {
            let cluster = Scripted::new(move |_, _| reply());
            check_permissions(&cluster, "web").await.unwrap();
        }
    }
}
