//! What this run created in the cluster, and its removal.

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

/// How long to keep trying to remove Jobs while the API server does not answer.
const REMOVE_TRIES: Duration = Duration::from_secs(15);

/// Time limit of one try, so that there is time for another one.
const REMOVE_TRY: Duration = Duration::from_secs(4);

/// The first pause between two tries. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How long a Job that was never confirmed must be absent until the ledger forgets it. A call that timed out a moment
/// ago may still be carried out, but the API server drops what it has not begun to store.
const ABSENT: Duration = Duration::from_secs(1);

/// How long the garbage collector may take to mark the pods of a deleted Job. It usually does within a second.
const PODS_GOING: Duration = Duration::from_secs(15);

/// A Job that this run created, or tried to create.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    name: String,
    /// `None` while the API server has not confirmed it.
    uid: Option<String>,
    /// When the API server first said that it does not exist. Used only for a Job that was not confirmed.
    absent: Option<Instant>,
}

/// What this run created in the cluster.
#[derive(Debug)]
pub struct Ledger {
    namespace: String,
    run: String,
    /// Flags that select the same cluster in another command.
    flags: String,
    jobs: RefCell<Vec<Made>>,
}

impl Ledger {
    /// An empty ledger. `flags`: the flags that select the same cluster in another command.
    pub fn new(namespace: &str, run: &str, flags: String) -> Self {
        Self {
            namespace: namespace.to_owned(),
            run: run.to_owned(),
            flags,
            jobs: RefCell::default(),
        }
    }

    /// Records a Job before it is created, so that it is removed even if its creation is never confirmed.
    pub fn asked(&self, name: &str) {
        self.jobs.borrow_mut().push(Made {
            name: name.to_owned(),
            uid: None,
            absent: None,
        });
    }

    /// Records that a Job was created.
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

    /// Records that a Job does not exist.
    pub fn forget(&self, name: &str) {
        self.jobs.borrow_mut().retain(|job| job.name != name);
    }

    /// Whether anything has to be removed.
    pub fn is_empty(&self) -> bool {
        self.jobs.borrow().is_empty()
    }

    /// Tries once to remove a Job. If that fails, [`Self::remove_all`] tries again.
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
                tracing::debug!(
                    job = name,
                    "the Job does not exist, but may still be created"
                );
            }
            Ok(Deleted::Accepted | Deleted::Absent) => self.forget(name),
            Err(error) => {
                tracing::debug!(%error, job = name, "failed to remove the Job, will try again")
            }
        }
    }

    /// Whether a Job that is absent now has been absent for [`ABSENT`].
    fn stayed_absent(&self, name: &str) -> bool {
        let mut jobs = self.jobs.borrow_mut();
        let Some(job) = jobs.iter_mut().find(|job| job.name == name) else {
            return true;
        };
        let now = Instant::now();
        *job.absent.get_or_insert(now) + ABSENT <= now
    }

    /// Removes all Jobs. Tries again while the API server does not answer.
    ///
    /// # Errors
    ///
    /// When some Jobs could not be removed. The error names them.
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

    /// Waits until every pod of this run is gone, or marked for deletion after its Job was deleted. Then the cluster
    /// does the rest. Older kubelets take up to half a minute to delete a pod that has ended (kubernetes/kubernetes
    /// v1.20.2 `pkg/kubelet/status/status_manager.go`, `syncPeriod`).
    ///
    /// # Errors
    ///
    /// When some pods are not marked in time. The error names them.
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
                tracing::debug!(%error, "failed to check whether the pods are being deleted");
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

/// The result of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The API server accepted the deletion.
    Accepted,
    /// The object does not exist.
    Absent,
}

/// Deletes a Job. The garbage collector then deletes its pods. It is no error if the Job is already gone.
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
        // 409: an object with this name has another uid, so it is not ours.
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
        // The watch ended too early. List the pods again after a pause.
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
    async fn removal_is_tried_again() {
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
    async fn leftovers_are_named_with_a_command_to_remove_them() {
        let cluster = Scripted::new(|_, _| Reply::Failure(500));
        let error = ledger().remove_all(&cluster).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to remove job/a");
        assert_eq!(
            error.hint().as_deref(),
            Some("remove them with: kubectl svc-reach cleanup -n web --run r1 --context prod")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_is_gone_or_not_ours_is_no_error() {
        for code in [404, 409] {
            let cluster = Scripted::new(move |_, _| Reply::Failure(code));
            ledger().remove_all(&cluster).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unconfirmed_job_that_appears_later_is_removed() {
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
    async fn an_unconfirmed_job_that_stays_absent_is_forgotten() {
        let began = Instant::now();
        let cluster = Scripted::new(|_, _| Reply::Failure(404));
        let ledger = Ledger::new("web", "r1", " --context prod".to_owned());
        ledger.asked("a");
        ledger.remove_all(&cluster).await.unwrap();
        let took = began.elapsed();
        assert!(took >= ABSENT && took < ABSENT * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pods_are_awaited_until_each_is_gone_or_marked() {
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
    async fn pods_that_stay_are_named() {
        let cluster = Scripted::new(|call, _| match call {
            PODS => Reply::Object(json!({"items": [{"metadata": {"name": "p"}}]})),
            WATCH => Reply::Open(vec![]),
            other => panic!("{other}"),
        });
        let error = ledger().await_pods_going(&cluster).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to remove pod/p");
    }
}
