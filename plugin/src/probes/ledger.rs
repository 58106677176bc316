//! What this run made in the cluster, and its removal.

use crate::{
    cluster::{Call, CallError, Cluster},
    error::Error,
    probes::job,
};
use futures_util::{StreamExt, future::join_all};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeSet, time::Duration};
use svc_reach_common::names;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long removal is tried again while the API server does not answer.
const REMOVE_TRIES: Duration = Duration::from_secs(15);

/// How long one try may take, so that there is another one where the first is not answered.
const REMOVE_TRY: Duration = Duration::from_secs(4);

/// Pause between two tries, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How long a Job that was never confirmed must be absent to be believed so: a call that was given up a moment ago may
/// still be carried out, but the API server drops what it has not begun to store.
const ABSENT: Duration = Duration::from_secs(1);

/// How long the garbage collector may take to mark the pods of a deleted Job. It usually does within a second.
const PODS_GOING: Duration = Duration::from_secs(15);

/// A Job that this run made, or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    name: String,
    /// `None` while the API server has not confirmed it.
    uid: Option<String>,
    /// When the API server first said that there is none, where it had not confirmed it.
    absent: Option<Instant>,
}

/// What this run made in the cluster.
#[derive(Debug)]
pub struct Ledger {
    namespace: String,
    run: String,
    /// Flags by which another command asks the same cluster.
    flags: String,
    jobs: RefCell<Vec<Made>>,
}

impl Ledger {
    /// Nothing made yet. `flags`: those by which another command asks the same cluster.
    pub fn new(namespace: &str, run: &str, flags: String) -> Self {
        Self {
            namespace: namespace.to_owned(),
            run: run.to_owned(),
            flags,
            jobs: RefCell::default(),
        }
    }

    /// Records a Job before it is asked for, so that one whose creation was never confirmed is removed too.
    pub fn asked(&self, name: &str) {
        self.jobs.borrow_mut().push(Made {
            name: name.to_owned(),
            uid: None,
            absent: None,
        });
    }

    /// Records that a Job was made.
    pub fn made(&self, name: &str, uid: Option<&str>) {
        if let Some(job) = self
            .jobs
            .borrow_mut()
            .iter_mut()
            .find(|job| job.name == name)
        {
            job.uid = uid.map(str::to_owned);
        }
    }

    /// Records that there is no such Job.
    pub fn forget(&self, name: &str) {
        self.jobs.borrow_mut().retain(|job| job.name != name);
    }

    /// Whether anything has to be removed.
    pub fn is_empty(&self) -> bool {
        self.jobs.borrow().is_empty()
    }

    /// Removes one Job, once. What does not work now is tried again by [`Self::remove_all`].
    pub async fn remove(&self, cluster: &impl Cluster, name: &str) {
        let Some(job) = self
            .jobs
            .borrow()
            .iter()
            .find(|job| job.name == name)
            .cloned()
        else {
            return;
        };
        let delete = delete_job(cluster, &self.namespace, &job.name, job.uid.as_deref());
        let deleted = timeout(REMOVE_TRY, delete)
            .await
            .unwrap_or(Err(CallError::TimedOut(REMOVE_TRY)));
        match deleted {
            Ok(Deleted::Absent) if job.uid.is_none() && !self.stayed_absent(name) => {
                tracing::debug!(job = name, "not there, which may be too early to say");
            }
            Ok(Deleted::Accepted | Deleted::Absent) => self.forget(name),
            Err(error) => tracing::debug!(%error, job = name, "not removed yet"),
        }
    }

    /// Whether a Job that is absent now was so a while ago.
    fn stayed_absent(&self, name: &str) -> bool {
        let mut jobs = self.jobs.borrow_mut();
        let Some(job) = jobs.iter_mut().find(|job| job.name == name) else {
            return true;
        };
        let now = Instant::now();
        *job.absent.get_or_insert(now) + ABSENT <= now
    }

    /// Removes all Jobs, trying again while the API server does not answer.
    ///
    /// # Errors
    ///
    /// Names what could not be removed.
    pub async fn remove_all(&self, cluster: &impl Cluster) -> Result<(), Error> {
        let end = Instant::now() + REMOVE_TRIES;
        let mut pause = FIRST_PAUSE;
        loop {
            let names: Vec<String> = self
                .jobs
                .borrow()
                .iter()
                .map(|job| job.name.clone())
                .collect();
            join_all(names.iter().map(|name| self.remove(cluster, name))).await;
            if self.is_empty() {
                return Ok(());
            }
            if Instant::now() + pause > end {
                let jobs = self.jobs.borrow();
                return Err(self.leftovers(jobs.iter().map(|job| format!("job/{}", job.name))));
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Waits until every pod of this run is gone or going: its Job is deleted, and the cluster has marked it for deletion.
    /// From there on the cluster sees to it; older kubelets take up to half a minute over a pod that has ended
    /// (kubernetes/kubernetes v1.20.2 `pkg/kubelet/status/status_manager.go`, `syncPeriod`).
    ///
    /// # Errors
    ///
    /// Names the pods that nobody has marked after a while.
    pub async fn await_pods_going(&self, cluster: &impl Cluster) -> Result<(), Error> {
        let end = Instant::now() + PODS_GOING;
        let mut left = BTreeSet::new();
        let going = timeout_at(
            end,
            pods_going(cluster, &self.namespace, &self.run, &mut left),
        )
        .await;
        match going {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot see whether the pods are going");
                Ok(())
            }
            Err(_) => Err(self.leftovers(left.into_iter().map(|pod| format!("pod/{pod}")))),
        }
    }

    fn leftovers(&self, objects: impl Iterator<Item = String>) -> Error {
        Error::Leftovers {
            objects: objects.collect(),
            command: job::cleanup_command(&self.namespace, Some(&self.run), &self.flags),
        }
    }
}

/// What a deletion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The API server deletes it.
    Accepted,
    /// It is not there.
    Absent,
}

/// Deletes a Job and, by the garbage collector, its pods. One that is already gone is fine.
pub async fn delete_job(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
    uid: Option<&str>,
) -> Result<Deleted, CallError> {
    let mut options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    if let Some(uid) = uid {
        options["preconditions"] = json!({"uid": uid});
    }
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
    match cluster.call(Call::delete(path, options)).await {
        Ok(_) => Ok(Deleted::Accepted),
        // Conflict: the name is taken by an object with another uid, which is not ours.
        Err(error) if error.is_not_found() || error.code() == Some(409) => Ok(Deleted::Absent),
        Err(error) => Err(error),
    }
}

/// Selects the pods of a run.
pub fn selector(run: &str) -> String {
    format!("{}={run}", names::LABEL_RUN)
}

async fn pods_going(
    cluster: &impl Cluster,
    namespace: &str,
    run: &str,
    left: &mut BTreeSet<String>,
) -> Result<(), CallError> {
    let pods = || {
        Call::get(format!("/api/v1/namespaces/{namespace}/pods"))
            .with("labelSelector", selector(run))
    };
    loop {
        let list = cluster.call(pods()).await?;
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        *left = items
            .iter()
            .filter(|pod| !is_going(pod))
            .filter_map(name_of)
            .map(str::to_owned)
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let version = list
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let watch = pods()
            .with("watch", "true")
            .with("resourceVersion", version);
        let mut events = cluster.lines(watch).await?;
        while let Some(Ok(line)) = events.next().await {
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                break;
            };
            let deleted = event.get("type").and_then(Value::as_str) == Some("DELETED");
            if let Some(pod) = event.get("object").filter(|pod| deleted || is_going(pod))
                && let Some(name) = name_of(pod)
            {
                left.remove(name);
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        // The watch ended before they did; look again, but not in a rush.
        sleep(FIRST_PAUSE).await;
    }
}

fn name_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name").and_then(Value::as_str)
}

fn is_going(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp")
        .is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::{ABSENT, Ledger};
    use crate::cluster::scripted::{Reply, Scripted};
    use serde_json::json;
    use tokio::time::Instant;

    const DELETE: &str = "DELETE /apis/batch/v1/namespaces/web/jobs/a";
    const PODS: &str = "GET /api/v1/namespaces/web/pods";
    const WATCH: &str = "WATCH /api/v1/namespaces/web/pods";

    fn ledger() -> Ledger {
        let ledger = Ledger::new("web", "r1", " --context prod".to_owned());
        ledger.asked("a");
        ledger.made("a", Some("u1"));
        ledger
    }

    #[tokio::test(start_paused = true)]
    async fn removal_is_tried_again_while_the_api_server_is_away() {
        let cluster = Scripted::new(|call, before| match (call, before) {
            (DELETE, 0 | 1) => Reply::Silence,
            (DELETE, 2) => Reply::Failure(500),
            (DELETE, _) => Reply::Object(json!({})),
            (other, _) => panic!("{other}"),
        });
        let ledger = ledger();
        ledger.remove_all(&cluster).await.unwrap();
        assert_eq!(cluster.asked().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_removed_is_named_with_the_command_that_will() {
        let cluster = Scripted::new(|_, _| Reply::Failure(500));
        let error = ledger().remove_all(&cluster).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to remove job/a");
        assert_eq!(
            error.hint().as_deref(),
            Some("remove them with: kubectl svc-reach cleanup -n web --run r1 --context prod")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_is_gone_or_somebody_elses_is_not_ours_to_remove() {
        for code in [404, 409] {
            let cluster = Scripted::new(move |_, _| Reply::Failure(code));
            ledger().remove_all(&cluster).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_whose_creation_was_given_up_and_still_came_through_is_removed() {
        let cluster = Scripted::new(|_, before| match before {
            0 => Reply::Failure(404),
            _ => Reply::Object(json!({})),
        });
        let ledger = Ledger::new("web", "r1", " --context prod".to_owned());
        ledger.asked("a");
        ledger.remove_all(&cluster).await.unwrap();
        assert_eq!(cluster.asked(), [DELETE, DELETE]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_never_came_is_believed_absent_after_a_while() {
        let began = Instant::now();
        let cluster = Scripted::new(|_, _| Reply::Failure(404));
        let ledger = Ledger::new("web", "r1", " --context prod".to_owned());
        ledger.asked("a");
        ledger.remove_all(&cluster).await.unwrap();
        let took = began.elapsed();
        assert!(took >= ABSENT && took < ABSENT * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pods_are_awaited_until_each_is_gone_or_going() {
        let pod = |name: &str| json!({"metadata": {"name": name}});
        let cluster = Scripted::new(move |call, _| match call {
            PODS => Reply::Object(
                json!({"metadata": {"resourceVersion": "7"}, "items": [pod("p"), pod("q")]}),
            ),
            WATCH => {
                let mut going = pod("p");
                going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                Reply::Open(vec![
                    json!({"type": "MODIFIED", "object": going}).to_string(),
                    json!({"type": "DELETED", "object": pod("q")}).to_string(),
                ])
            }
            other => panic!("{other}"),
        });
        ledger().await_pods_going(&cluster).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_nobody_removes_are_named() {
        let cluster = Scripted::new(|call, _| match call {
            PODS => Reply::Object(json!({"items": [{"metadata": {"name": "p"}}]})),
            WATCH => Reply::Open(vec![]),
            other => panic!("{other}"),
        });
        let error = ledger().await_pods_going(&cluster).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to remove pod/p");
    }
}
