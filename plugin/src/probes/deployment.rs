//! Runs the probes: creates their Jobs, watches their pods and follows their logs, until each probe is complete or has
//! failed.
//!
//! [`crate::probes::lifecycle`] decides what an event means for a probe. This file carries that out.

use crate::{
    cluster::{Call, CallError, Cluster, Lines},
    error::{Error, Permission, chain},
    plan::requests,
    probes::{
        ledger::{self, Ledger},
        lifecycle::{NextStep, ProbeLifecycle},
        output::{End, Fault, ProbeOutput},
        pod_state, preflight,
    },
    terminal::{interrupt::Interrupt, progress::Progress},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join_all},
    stream::{self, FuturesUnordered, LocalBoxStream, SelectAll},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::Value;
use std::{collections::BTreeMap, io, time::Duration};
use svc_reach_common::{names, position::Network, wire::plan::Plan};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Pause before a watch that ended is opened again.
pub(super) const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// Time limit for finding out why a Job created no pod. The end of a probe waits for it, and the reason is only a hint.
const WHY: Duration = Duration::from_secs(5);

/// A probe to be created.
#[derive(Debug)]
pub struct ProbeJob {
    /// Name of the probe within the run.
    pub name: String,
    /// Which network it is on.
    pub network: Network,
    /// What it does.
    pub plan: Plan,
    /// The Job that runs it.
    pub job: Job,
}

/// What is needed to run the probes.
pub struct Deployment<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// Namespace of the probes.
    pub namespace: &'a str,
    /// Identifies the run.
    pub run_id: &'a str,
    /// How long a probe may take to start.
    pub start_timeout: Duration,
    /// Where Jobs are recorded.
    pub ledger: &'a Ledger,
    /// Shows the progress to a waiting user.
    pub progress: &'a Progress,
    /// Whether the user interrupted the run.
    pub interrupt: &'a Interrupt,
}

impl<C: Cluster> Deployment<'_, C> {
    /// Creates probes and follows them until each has ended. Returns their outputs by name. The Job of a probe is
    /// removed when the probe ends.
    ///
    /// # Errors
    ///
    /// When the API server accepts no Job at all, or the user may not watch pods.
    pub async fn run(&self, probes: Vec<ProbeJob>) -> Result<BTreeMap<String, ProbeOutput>, Error> {
        if probes.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Creation is never cancelled: the ledger records each Job first, and every answer is awaited.
        let (created, events, pulls) = tokio::join!(
            join_all(probes.iter().map(|probe| self.create(&probe.job))),
            self.watch(),
            self.pulls()
        );
        let events = match events {
            Ok(events) => events,
            // Another try would not help. Other errors may be temporary, so the watch is opened again later.
            Err(source) if source.is_forbidden() || source.is_unauthorized() => {
                return Err(Error::call(
                    format!("watch the probe pods in namespace {}", self.namespace),
                    Permission::core("watch", "pods"),
                )(source));
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "failed to watch the pods");
                stream::empty().boxed_local()
            }
        };
        let began = Instant::now();
        let start_by = began + self.start_timeout;
        let mut failures = Vec::new();
        let mut followed = Vec::new();
        for (probe, created) in probes.into_iter().zip(created) {
            let job = probe.job.metadata.name.unwrap_or_default();
            let work = requests::duration(&probe.plan);
            let mut following = ProbeLifecycle::new(
                probe.name,
                job,
                probe.plan.targets.len(),
                work,
                began,
                start_by,
            );
            if let Err(error) = created {
                let why = format!("failed to create its Job: {}", chain(&error));
                following.end(End::not_started(why, Fault::NotTheNode));
                failures.push(error);
            }
            followed.push(following);
        }
        if failures.len() == followed.len()
            && let Some(source) = failures.into_iter().next()
        {
            return Err(Error::call(
                format!("create probe Jobs in namespace {}", self.namespace),
                Permission::of("create", "batch", "jobs"),
            )(source));
        }
        Ok(LogReader {
            deployment: self,
            probes: followed,
            logs: SelectAll::new(),
            reasons: FuturesUnordered::new(),
            removals: FuturesUnordered::new(),
        }
        .listen(events, pulls)
        .await)
    }

    pub(super) async fn create(&self, job: &Job) -> Result<(), CallError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let body = preflight::to_json(job)?;
        self.ledger.asked(name);
        let path = format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace);
        match self.cluster.call(Call::post(path, body)).await {
            Ok(job) => {
                self.ledger
                    .made(name, job.pointer("/metadata/uid").and_then(Value::as_str));
                Ok(())
            }
            // The name contains the run's random id, so an earlier try created this Job, and its answer was lost. kube
            // tries again after 429, 503 and 504 (kube-client 5.0.0 `src/client/retry.rs`).
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => {
                if error.is_refusal() {
                    self.ledger.forget(name);
                }
                Err(error)
            }
        }
    }

    pub(super) async fn watch(&self) -> Result<Lines, CallError> {
        let call = Call::get(format!("/api/v1/namespaces/{}/pods", self.namespace))
            .with("watch", "true")
            .with("labelSelector", ledger::selector(self.run_id));
        self.cluster.lines(call).await
    }

    /// Names of pods for which an image is being pulled, if progress is shown. The permission to read events is
    /// optional: without it, the user sees that a pod is being created while its image is pulled.
    async fn pulls(&self) -> LocalBoxStream<'static, String> {
        if !self.progress.live() {
            return stream::empty().boxed_local();
        }
        let call = Call::get(format!("/api/v1/namespaces/{}/events", self.namespace))
            .with("watch", "true")
            .with("fieldSelector", "involvedObject.kind=Pod,reason=Pulling");
        match self.cluster.lines(call).await {
            Ok(lines) => lines
                .filter_map(async |line| pulled_for(&line.ok()?))
                .boxed_local(),
            Err(error) => {
                tracing::debug!(error = chain(&error), "failed to read events");
                stream::empty().boxed_local()
            }
        }
    }

    /// Why a Job created no pod, from its events. The permission to read events is optional.
    pub(super) async fn why_no_pod(&self, job: &str) -> Option<String> {
        let about = format!("involvedObject.kind=Job,involvedObject.name={job}");
        let call = Call::get(format!("/api/v1/namespaces/{}/events", self.namespace))
            .with("fieldSelector", format!("{about},reason=FailedCreate"));
        match timeout(WHY, self.cluster.call(call)).await {
            Ok(Ok(events)) => latest_message(&events),
            Ok(Err(error)) => {
                tracing::debug!(error = chain(&error), "failed to read events");
                None
            }
            Err(_) => None,
        }
    }

    /// A pod's log from its beginning, as events. If the log cannot be opened, that is an event, too.
    async fn log(&self, pod: String, pause: Duration) -> LocalBoxStream<'static, LogEvent> {
        sleep(pause).await;
        let call = Call::get(format!(
            "/api/v1/namespaces/{}/pods/{pod}/log",
            self.namespace
        ))
        .with("container", names::CONTAINER)
        .with("follow", "true");
        match self.cluster.lines(call).await {
            Ok(lines) => lines
                .map(|line| match line {
                    Ok(line) => LogEvent::Line(line),
                    Err(error) => LogEvent::Ended(Some(error.to_string())),
                })
                .chain(stream::iter([LogEvent::Ended(None)]))
                .boxed_local(),
            Err(error) => stream::iter([LogEvent::Ended(Some(chain(&error)))]).boxed_local(),
        }
    }
}

/// The message of the latest event.
fn latest_message(events: &Value) -> Option<String> {
    let events = events.get("items")?.as_array()?.iter();
    let latest = events.max_by_key(|event| event.get("lastTimestamp").and_then(Value::as_str))?;
    latest.get("message")?.as_str().map(str::to_owned)
}

/// The pod that an event is about.
fn pulled_for(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let pod = event.pointer("/object/involvedObject/name")?;
    pod.as_str().map(str::to_owned)
}

/// A line of a log, or its end.
#[derive(Debug)]
enum LogEvent {
    Line(String),
    Ended(Option<String>),
}

/// Follows all probes at once.
struct LogReader<'a, C> {
    deployment: &'a Deployment<'a, C>,
    probes: Vec<ProbeLifecycle>,
    logs: SelectAll<LocalBoxStream<'a, (usize, LogEvent)>>,
    reasons: FuturesUnordered<LocalBoxFuture<'a, (usize, Option<String>)>>,
    removals: FuturesUnordered<LocalBoxFuture<'a, ()>>,
}

impl<'a, C: Cluster> LogReader<'a, C> {
    async fn listen(
        mut self,
        mut events: LocalBoxStream<'a, io::Result<String>>,
        mut pulls: LocalBoxStream<'static, String>,
    ) -> BTreeMap<String, ProbeOutput> {
        let deployment = self.deployment;
        for index in 0..self.probes.len() {
            self.tell(index);
        }
        while !self.probes.iter().all(ProbeLifecycle::ended) {
            let deadline = self
                .probes
                .iter()
                .filter_map(ProbeLifecycle::deadline)
                .min();
            tokio::select! {
                _ = deployment.interrupt.raised() => {
                    for probe in &mut self.probes {
                        probe.end(End::Interrupted);
                    }
                }
                event = events.next() => {
                    if !self.pod_event(event) {
                        events = self.reopen();
                    }
                }
                Some(pod) = pulls.next() => {
                    for index in 0..self.probes.len() {
                        self.act(index, |probe| {
                            probe.image_pulled_for(&pod);
                            NextStep::Wait
                        });
                    }
                }
                Some((index, event)) = self.logs.next() => {
                    let now = Instant::now();
                    self.act(index, |probe| match event {
                        LogEvent::Line(line) => probe.heard(&line),
                        LogEvent::Ended(error) => probe.log_ended(error, now),
                    });
                }
                Some((index, why)) = self.reasons.next() => {
                    self.act(index, |probe| probe.no_pod(why));
                }
                Some(()) = self.removals.next() => {}
                () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    let now = Instant::now();
                    for index in 0..self.probes.len() {
                        self.act(index, |probe| probe.at(now));
                    }
                }
            }
        }
        while self.removals.next().await.is_some() {}
        self.probes
            .into_iter()
            .map(|probe| (probe.name.clone(), probe.into_heard()))
            .collect()
    }

    /// Handles an event of the watch. Returns `false` if the watch has ended.
    fn pod_event(&mut self, event: Option<io::Result<String>>) -> bool {
        let Some(Ok(line)) = event else { return false };
        let Ok(mut event) = serde_json::from_str::<Value>(&line) else {
            return false;
        };
        let kind = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if kind == "ERROR" {
            return false;
        }
        let Ok(pod) = serde_json::from_value::<Pod>(event["object"].take()) else {
            return true;
        };
        let labels = pod.metadata.labels.as_ref();
        let of = labels.and_then(|labels| labels.get(names::LABEL_PROBE));
        let found = self
            .probes
            .iter()
            .position(|probe| of.is_some_and(|name| probe.name == *name));
        let (Some(index), Some(name)) = (found, &pod.metadata.name) else {
            return true;
        };
        let now = Instant::now();
        self.act(index, |probe| match kind.as_str() {
            "DELETED" => probe.pod_deleted(),
            _ => probe.pod_seen(name, pod_state::state(&pod), now),
        });
        true
    }

    /// Opens the watch again after a pause. If that fails, the watch ends at once and is opened again, until every
    /// probe has reached its deadline.
    fn reopen(&self) -> LocalBoxStream<'a, io::Result<String>> {
        let deployment = self.deployment;
        async move {
            sleep(WATCH_PAUSE).await;
            deployment.watch().await.unwrap_or_else(|error| {
                tracing::debug!(error = chain(&error), "failed to watch the pods again");
                stream::empty().boxed_local()
            })
        }
        .flatten_stream()
        .boxed_local()
    }

    /// Passes an event to a probe and takes the next step.
    fn act(&mut self, index: usize, event: impl FnOnce(&mut ProbeLifecycle) -> NextStep) {
        let deployment = self.deployment;
        let action = event(&mut self.probes[index]);
        self.tell(index);
        match action {
            NextStep::Wait => {}
            NextStep::Read { pod, pause } => self.logs.push(
                deployment
                    .log(pod, pause)
                    .flatten_stream()
                    .map(move |event| (index, event))
                    .boxed_local(),
            ),
            NextStep::AskWhy => {
                let job = self.probes[index].job.clone();
                self.reasons
                    .push(async move { (index, deployment.why_no_pod(&job).await) }.boxed_local());
            }
            NextStep::Remove => {
                let job = self.probes[index].job.clone();
                self.removals.push(
                    async move { deployment.ledger.remove(deployment.cluster, &job).await }
                        .boxed_local(),
                );
            }
        }
    }

    fn tell(&self, index: usize) {
        let probe = &self.probes[index];
        let progress = self.deployment.progress;
        progress.phase(&probe.name, &probe.phase());
    }
}

#[cfg(test)]
mod tests {
    use super::{Deployment, ProbeJob};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        error::Error,
        probes::{
            job::{JobSettings, job},
            ledger::Ledger,
            output::{End, Fault, ProbeOutput},
        },
        terminal::{interrupt::Signals, progress::Progress},
        testing::{probe_plan, probe_settings},
    };
    use serde_json::json;
    use std::{collections::BTreeMap, time::Duration};
    use svc_reach_common::position::Position;
    use tokio::time::Instant;

    const JOBS: &str = "POST /apis/batch/v1/namespaces/web/jobs";
    const PODS: &str = "WATCH /api/v1/namespaces/web/pods";
    const LOG: &str = "GET /api/v1/namespaces/web/pods/p/log";
    const JOB: &str = "DELETE /apis/batch/v1/namespaces/web/jobs/svc-reach-r1-pod-same";
    const EVENTS: &str = "GET /api/v1/namespaces/web/events";
    const END: &str = r#"{"line":"end","targets":0}"#;

    fn made() -> Reply {
        Reply::Object(json!({"metadata": {"uid": "u1"}}))
    }

    fn pod(kind: &str, state: serde_json::Value) -> String {
        json!({"type": kind, "object": {
            "metadata": {"name": "p", "labels": {"svc-reach/probe": "pod-same"}},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "probe", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}
            ]},
        }})
        .to_string()
    }

    fn running() -> String {
        pod("ADDED", json!({"running": {}}))
    }

    /// Runs one probe, `pod-same`. Returns its output, and whether anything is left to be removed.
    async fn deploy(cluster: &Scripted) -> (Result<BTreeMap<String, ProbeOutput>, Error>, bool) {
        let settings = probe_settings();
        let probe = probe_plan(Position::PodSame);
        let job = job(JobSettings {
            run_id: "r1",
            namespace: "web",
            probe: &probe,
            settings: &settings,
        });
        let (_signals, interrupt) = Signals::new();
        let ledger = Ledger::new("web", "r1", String::new());
        let progress = Progress::on(None);
        let deployment = Deployment {
            cluster,
            namespace: "web",
            run_id: "r1",
            start_timeout: Duration::from_secs(60),
            ledger: &ledger,
            progress: &progress,
            interrupt: &interrupt,
        };
        let heard = deployment
            .run(vec![ProbeJob {
                name: probe.name,
                network: probe.network,
                plan: probe.plan,
                job,
            }])
            .await;
        (heard, !ledger.is_empty())
    }

    fn end(heard: Result<BTreeMap<String, ProbeOutput>, Error>) -> End {
        heard.unwrap().remove("pod-same").unwrap().end
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_created_followed_and_removed() {
        let cluster = Scripted::new(|call, _| match call {
            JOBS => made(),
            PODS => Reply::Open(vec![running()]),
            LOG => Reply::Open(vec![END.into()]),
            JOB => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let (heard, left) = deploy(&cluster).await;
        assert_eq!(end(heard), End::Complete);
        assert!(!left, "its Job is removed");
        assert_eq!(cluster.asked(), [JOBS, PODS, LOG, JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_is_opened_again() {
        let cluster = Scripted::new(|call, before| match (call, before) {
            (JOBS, _) => made(),
            (PODS, 0) => Reply::Failure(500),
            (PODS, 1) => Reply::Lines(vec![]),
            (PODS, 2) => Reply::Failure(500),
            (PODS, 3) => Reply::Lines(vec![r#"{"type":"ERROR","object":{"code":410}}"#.into()]),
            (PODS, _) => Reply::Open(vec![running()]),
            (LOG, _) => Reply::Open(vec![END.into()]),
            (JOB, _) => Reply::Object(json!({})),
            (other, _) => panic!("{other}"),
        });
        assert_eq!(end(deploy(&cluster).await.0), End::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_forbidden_watch_ends_the_run() {
        let cluster = Scripted::new(|call, _| match call {
            JOBS => made(),
            PODS => Reply::Failure(403),
            other => panic!("{other}"),
        });
        let (heard, left) = deploy(&cluster).await;
        let hint = heard.unwrap_err().hint().unwrap();
        assert!(hint.contains("lacks: watch pods;"), "{hint}");
        assert!(left, "its Job is still to be removed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_is_cut_is_read_again() {
        let cluster = Scripted::new(|call, before| match (call, before) {
            (JOBS, _) => made(),
            (PODS, _) => Reply::Open(vec![running()]),
            (LOG, 0) => Reply::Failure(500),
            (LOG, 1) => Reply::Lines(vec![r#"{"line":"start","ver"#.into()]),
            (LOG, _) => Reply::Open(vec![END.into()]),
            (JOB, _) => Reply::Object(json!({})),
            (other, _) => panic!("{other}"),
        });
        assert_eq!(end(deploy(&cluster).await.0), End::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_jobs_are_refused_leaves_nothing() {
        let cluster = Scripted::new(|call, _| match call {
            JOBS => Reply::Failure(403),
            PODS => Reply::Open(vec![]),
            other => panic!("{other}"),
        });
        let (heard, left) = deploy(&cluster).await;
        let error = heard.unwrap_err();
        assert_eq!(error.exit().code(), 4);
        assert!(
            error.hint().unwrap().contains("create jobs.batch"),
            "{error:?}"
        );
        assert!(!left, "there is nothing to remove");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unconfirmed_job_is_still_to_be_removed() {
        for reply in [
            || Reply::Silence,
            || Reply::Failure(408),
            || Reply::Failure(429),
            || Reply::Failure(500),
            || Reply::Failure(504),
        ] {
            let cluster = Scripted::new(move |call, _| match call {
                JOBS => reply(),
                PODS => Reply::Open(vec![]),
                other => panic!("{other}"),
            });
            let (heard, left) = deploy(&cluster).await;
            let error = heard.unwrap_err();
            assert!(left, "the API server may have made it: {}", error.chain());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_from_a_lost_try_is_followed_and_removed() {
        let cluster = Scripted::new(|call, _| match call {
            JOBS => Reply::Failure(409),
            PODS => Reply::Open(vec![running()]),
            LOG => Reply::Open(vec![END.into()]),
            JOB => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let (heard, left) = deploy(&cluster).await;
        assert_eq!(end(heard), End::Complete);
        assert!(!left, "its Job is removed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_without_a_pod_is_given_up_and_removed() {
        let cluster = Scripted::new(|call, _| match call {
            JOBS => made(),
            PODS => Reply::Open(vec![]),
            // Without the permission to read events, the probe waits until its deadline, and the reason is unknown.
            EVENTS => Reply::Failure(403),
            JOB => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let (heard, left) = deploy(&cluster).await;
        assert_eq!(
            end(heard),
            End::not_started("the Job created no pod in time", Fault::NotTheNode)
        );
        assert!(!left);
        assert_eq!(cluster.asked(), [JOBS, PODS, EVENTS, EVENTS, JOB]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_pod_ends_the_probe_with_the_latest_reason() {
        let why = r#"Error creating: pods "p" is forbidden: violates PodSecurity"#;
        let cluster = Scripted::new(move |call, _| match call {
            JOBS => made(),
            PODS => Reply::Open(vec![]),
            EVENTS => Reply::Object(json!({"items": [
                {"lastTimestamp": "2026-01-02T03:04:06Z", "message": why},
                {"lastTimestamp": "2026-01-02T03:04:05Z", "message": "exceeded quota"},
            ]})),
            JOB => Reply::Object(json!({})),
            other => panic!("{other}"),
        });
        let began = Instant::now();
        let (heard, left) = deploy(&cluster).await;
        assert_eq!(
            end(heard),
            End::not_started(format!("the Job created no pod: {why}"), Fault::NotTheNode)
        );
        assert!(!left);
        assert_eq!(
            began.elapsed().as_secs(),
            5,
            "it does not wait for the deadline"
        );
    }
}
