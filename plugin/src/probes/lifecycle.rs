//! The life of one probe, from its Job to its last line. Pure: it takes events and the time, and returns the next step.

use crate::{
    probes::{
        output::{End, Fault, ProbeOutput},
        pod_state::PodState,
    },
    terminal::progress::ProbePhase,
};
use std::{collections::BTreeMap, time::Duration};
use svc_reach_common::wire::{
    line::{HostView, Line},
    outcome::Attempt,
    plan,
};
use tokio::time::Instant;

/// How long a pod may stay unschedulable before its probe is given up. The scheduler tries again when another pod ends.
/// A probe fits only one node, so an autoscaler cannot help, but the run can try another node.
const UNSCHEDULABLE: Duration = Duration::from_secs(5);

/// How long a Job may be without a pod before the plugin looks for the reason. The Job controller creates a pod within
/// a second, unless the pod is refused.
const PODLESS: Duration = Duration::from_secs(5);

/// Extra time that a probe gets beyond its plan, for a slow node or a slow log.
const WORK_MARGIN: Duration = Duration::from_secs(15);

/// How often a log that ends too early is read again, and the first pause before that, which doubles each time.
/// Together the pauses are longer than a restart of the API server's connection to the kubelet.
const LOG_TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What to do after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing.
    Wait,
    /// Read the pod's log from its beginning, after a pause.
    Read {
        /// The pod.
        pod: String,
        /// The pause.
        pause: Duration,
    },
    /// Find out why its Job created no pod, and pass the reason to [`ProbeLifecycle::no_pod`].
    AskWhy,
    /// The probe has ended: remove it.
    Remove,
}

/// The life of one probe.
#[derive(Debug)]
pub struct ProbeLifecycle {
    /// Name of the probe within the run.
    pub name: String,
    /// Name of its Job.
    pub job: String,
    /// Number of targets in its plan.
    targets: usize,
    /// How long its work may take.
    allowed: Duration,
    /// When its Job was created.
    began: Instant,
    /// When it must have started.
    start_by: Instant,
    stage: Stage,
    pod: Option<String>,
    last: PodState,
    /// Why its Job created no pod, if that is known.
    refused: Option<String>,
    /// Whether its image is being pulled or was pulled.
    pulling: bool,
    /// Why the last pull of its image failed.
    pull_failed: Option<String>,
    /// How the container ended, once it has.
    exited: Option<String>,
    results: BTreeMap<u32, Vec<Attempt>>,
    host: Option<HostView>,
}

#[derive(Debug)]
enum Stage {
    /// Its pod is starting. `unschedulable`: since when the scheduler finds no node for it.
    Starting {
        unschedulable: Option<Instant>,
        asked: EventsRead,
    },
    /// Its log is being read.
    Reading {
        /// When its work must be done.
        done_by: Instant,
        /// How often the log was read again.
        tries: u32,
        /// Whether the container had ended when reading began, so that the log is complete.
        whole: bool,
    },
    /// The probe has ended.
    Ended(End),
}

/// Whether events were read to find out why there is no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventsRead {
    Never,
    /// Read to end the probe early if waiting will not help.
    Early,
    /// Read at the deadline. The answer ends the probe.
    Last,
}

/// Whether the pod of a Job will be refused again, for example by Pod Security, a security context constraint or a
/// webhook. The Job controller tries again. By then there may be room in a quota, or the ServiceAccount of a new
/// namespace may exist, so unless a refusal is known to last, the probe waits.
fn will_not_pass(why: &str) -> bool {
    let refused = why.contains(" is forbidden: ") || why.contains(" denied the request");
    let passes = ["quota", "error looking up service account"];
    refused && !passes.iter().any(|word| why.contains(word))
}

impl ProbeLifecycle {
    /// A probe whose Job was just created. `work`: how long its plan takes.
    pub fn new(
        name: String,
        job: String,
        targets: usize,
        work: Duration,
        began: Instant,
        start_by: Instant,
    ) -> Self {
        Self {
            name,
            job,
            targets,
            allowed: work + WORK_MARGIN,
            began,
            start_by,
            stage: Stage::Starting {
                unschedulable: None,
                asked: EventsRead::Never,
            },
            pod: None,
            last: PodState::Waiting("creating"),
            refused: None,
            pulling: false,
            pull_failed: None,
            exited: None,
            results: BTreeMap::new(),
            host: None,
        }
    }

    /// Whether the probe has ended.
    pub const fn ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// The progress of the probe, for a waiting user.
    pub fn phase(&self) -> ProbePhase {
        match &self.stage {
            Stage::Starting { .. } => match &self.last {
                PodState::Waiting(_) if let (None, Some(why)) = (&self.pod, &self.refused) => {
                    ProbePhase::Held(format!("the Job has not created a pod yet: {why}"))
                }
                PodState::Waiting(_) if self.pulling => ProbePhase::Starting("pulling the image"),
                PodState::Waiting(what) => ProbePhase::Starting(what),
                PodState::PullFailed(_) => ProbePhase::Starting("pulling the image again"),
                PodState::Unschedulable(why) => ProbePhase::Held(format!("unschedulable: {why}")),
                PodState::PullBackOff(why)
                | PodState::Stuck(why)
                | PodState::Exited(why)
                | PodState::Lost(why) => ProbePhase::Held(why.clone()),
                PodState::Running => ProbePhase::Starting("running"),
            },
            Stage::Reading { .. } => ProbePhase::Running {
                done: self.results.len(),
                of: self.targets,
            },
            Stage::Ended(End::Complete) => ProbePhase::Done,
            Stage::Ended(End::NotStarted { why, .. }) => {
                ProbePhase::Ended(format!("did not start: {why}"))
            }
            Stage::Ended(End::Failed(why)) => ProbePhase::Ended(format!("failed: {why}")),
            Stage::Ended(End::Interrupted) => ProbePhase::Ended("interrupted".to_owned()),
        }
    }

    /// An event says that an image is being pulled for this pod. Ignores it unless the pod belongs to this probe. The
    /// pod's status does not show pulling.
    pub fn image_pulled_for(&mut self, pod: &str) {
        let ours = pod
            .strip_prefix(&self.job)
            .is_some_and(|rest| rest.starts_with('-'));
        self.pulling |= ours;
    }

    /// The watch showed its pod in this state.
    pub fn pod_seen(&mut self, pod: &str, state: PodState, now: Instant) -> NextStep {
        self.pod = Some(pod.to_owned());
        self.last = state.clone();
        match (&mut self.stage, state) {
            (Stage::Starting { .. }, PodState::Running) => self.read(now, false),
            (Stage::Starting { .. }, PodState::Exited(how)) => {
                self.exited = Some(how);
                self.read(now, true)
            }
            (Stage::Starting { .. }, PodState::PullBackOff(why)) => {
                let cause = self.pull_failed.take();
                let why = [Some(why), cause].into_iter().flatten();
                let why = why.collect::<Vec<_>>().join("; ");
                self.end(End::not_started(why, Fault::Unclear))
            }
            (Stage::Starting { .. }, PodState::Stuck(why)) => {
                self.end(End::not_started(why, Fault::Unclear))
            }
            (Stage::Starting { .. }, PodState::Lost(why)) => {
                self.end(End::not_started(why, Fault::Node))
            }
            (Stage::Starting { .. }, PodState::PullFailed(why)) => {
                self.pull_failed = Some(why);
                NextStep::Wait
            }
            (Stage::Starting { unschedulable, .. }, PodState::Unschedulable(_)) => {
                unschedulable.get_or_insert(now);
                NextStep::Wait
            }
            (Stage::Starting { unschedulable, .. }, PodState::Waiting(_)) => {
                *unschedulable = None;
                NextStep::Wait
            }
            // The log may still have unread lines.
            (Stage::Reading { .. }, PodState::Exited(how) | PodState::Lost(how)) => {
                self.exited = Some(how);
                NextStep::Wait
            }
            (
                Stage::Reading { .. },
                PodState::Running
                | PodState::Waiting(_)
                | PodState::PullFailed(_)
                | PodState::PullBackOff(_)
                | PodState::Stuck(_)
                | PodState::Unschedulable(_),
            )
            | (Stage::Ended(_), _) => NextStep::Wait,
        }
    }

    /// Takes the reason why there is no pod. `None`: it is unknown.
    pub fn no_pod(&mut self, why: Option<String>) -> NextStep {
        let Stage::Starting { asked, .. } = self.stage else {
            return NextStep::Wait;
        };
        if self.pod.is_some() {
            return NextStep::Wait;
        }
        self.refused = why.or(self.refused.take());
        match &self.refused {
            Some(why) if asked == EventsRead::Last || will_not_pass(why) => {
                let why = format!("the Job created no pod: {why}");
                self.end(End::not_started(why, Fault::NotTheNode))
            }
            None if asked == EventsRead::Last => self.end(End::not_started(
                "the Job created no pod in time",
                Fault::NotTheNode,
            )),
            Some(_) | None => NextStep::Wait,
        }
    }

    /// Its pod was deleted, but not by this run.
    pub fn pod_deleted(&mut self) -> NextStep {
        let why = "the pod was deleted".to_owned();
        match self.stage {
            Stage::Starting { .. } => self.end(End::not_started(why, Fault::Node)),
            Stage::Reading { .. } => {
                self.exited.get_or_insert(why);
                NextStep::Wait
            }
            Stage::Ended(_) => NextStep::Wait,
        }
    }

    /// Takes a line of its log. Ignores lines that are not from the agent, such as those of a container runtime.
    pub fn heard(&mut self, line: &str) -> NextStep {
        if self.ended() {
            return NextStep::Wait;
        }
        match serde_json::from_str(line) {
            Ok(Line::Start { version, .. }) if version != plan::VERSION => self.end(End::Failed(format!(
                "the probe image speaks protocol version {version}, this plugin needs {}: use the image of the same release",
                plan::VERSION
            ))),
            Ok(Line::Start { .. }) => NextStep::Wait,
            Ok(Line::Host(view)) => {
                self.host = Some(*view);
                NextStep::Wait
            }
            Ok(Line::Result { id, attempts }) => {
                self.results.insert(id, attempts);
                NextStep::Wait
            }
            Ok(Line::End { .. }) => self.end(End::Complete),
            Ok(Line::Fatal { error }) => self.end(End::Failed(error)),
            Err(_) => {
                tracing::debug!(probe = self.name, line, "ignored a line that is not from the agent");
                NextStep::Wait
            }
        }
    }

    /// Its log ended or could not be read, before the agent's last line.
    pub fn log_ended(&mut self, error: Option<String>, now: Instant) -> NextStep {
        let Stage::Reading {
            done_by,
            tries,
            whole,
        } = self.stage
        else {
            return NextStep::Wait;
        };
        if whole && error.is_none() {
            let how = self
                .exited
                .clone()
                .unwrap_or_else(|| "the container ended".to_owned());
            return self.end(End::Failed(format!("the probe ended early: {how}")));
        }
        if tries >= LOG_TRIES {
            let why = error.unwrap_or_else(|| "it ended early each time".to_owned());
            return self.end(End::Failed(format!("failed to read the log: {why}")));
        }
        self.stage = Stage::Reading {
            done_by,
            tries: tries + 1,
            whole: self.exited.is_some(),
        };
        let pause = FIRST_PAUSE * 2_u32.pow(tries);
        if now + pause > done_by {
            return self.at(done_by);
        }
        self.read_after(pause)
    }

    /// When to call [`Self::at`], unless another event comes first.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Starting { asked, .. } if self.pod.is_none() => match asked {
                EventsRead::Never => Some(self.start_by.min(self.began + PODLESS)),
                EventsRead::Early => Some(self.start_by),
                EventsRead::Last => None,
            },
            Stage::Starting {
                unschedulable: Some(since),
                ..
            } => Some(self.start_by.min(since + UNSCHEDULABLE)),
            Stage::Starting {
                unschedulable: None,
                ..
            } => Some(self.start_by),
            Stage::Reading { done_by, .. } => Some(done_by),
            Stage::Ended(_) => None,
        }
    }

    /// Handles the deadline, if it has passed.
    pub fn at(&mut self, now: Instant) -> NextStep {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return NextStep::Wait;
        }
        match &mut self.stage {
            Stage::Starting { asked, .. } if self.pod.is_none() => {
                *asked = if now < self.start_by {
                    EventsRead::Early
                } else {
                    EventsRead::Last
                };
                NextStep::AskWhy
            }
            Stage::Starting { .. } => {
                let (why, fault) = match &self.last {
                    PodState::Unschedulable(why) => (format!("unschedulable: {why}"), Fault::Node),
                    PodState::PullFailed(why) => (
                        format!("the probe did not start in time: {why}"),
                        Fault::Unclear,
                    ),
                    PodState::Waiting(_)
                    | PodState::PullBackOff(_)
                    | PodState::Stuck(_)
                    | PodState::Running
                    | PodState::Exited(_)
                    | PodState::Lost(_) => (
                        format!(
                            "the probe did not start in time; its last state was {}",
                            self.phase()
                        ),
                        Fault::Unclear,
                    ),
                };
                self.end(End::not_started(why, fault))
            }
            Stage::Reading { .. } => self.end(End::Failed(format!(
                "the probe did not finish in time: it had checked {} of {} targets",
                self.results.len(),
                self.targets
            ))),
            Stage::Ended(_) => NextStep::Wait,
        }
    }

    /// Ends the probe, unless it has already ended.
    pub fn end(&mut self, end: End) -> NextStep {
        if self.ended() {
            return NextStep::Wait;
        }
        self.stage = Stage::Ended(end);
        NextStep::Remove
    }

    /// The output of the probe. If it has not ended, it counts as interrupted.
    pub fn into_heard(self) -> ProbeOutput {
        let end = match self.stage {
            Stage::Ended(end) => end,
            Stage::Starting { .. } | Stage::Reading { .. } => End::Interrupted,
        };
        ProbeOutput {
            results: self.results,
            host: self.host,
            end,
        }
    }

    fn read(&mut self, now: Instant, whole: bool) -> NextStep {
        self.stage = Stage::Reading {
            done_by: now + self.allowed,
            tries: 0,
            whole,
        };
        self.read_after(Duration::ZERO)
    }

    fn read_after(&self, pause: Duration) -> NextStep {
        match &self.pod {
            Some(pod) => NextStep::Read {
                pod: pod.clone(),
                pause,
            },
            None => NextStep::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Fault, NextStep, ProbeLifecycle};
    use crate::{probes::pod_state::PodState, terminal::progress::ProbePhase};
    use std::time::Duration;
    use tokio::time::Instant;

    const END: &str = r#"{"line":"end","targets":1}"#;
    const RESULT: &str = r#"{"line":"result","id":0,"attempts":[]}"#;

    fn probe(now: Instant) -> ProbeLifecycle {
        let work = Duration::from_secs(3);
        ProbeLifecycle::new(
            "pod-same".into(),
            "job".into(),
            1,
            work,
            now,
            now + Duration::from_secs(60),
        )
    }

    fn read(pause: u64) -> NextStep {
        NextStep::Read {
            pod: "p".into(),
            pause: Duration::from_millis(pause),
        }
    }

    #[test]
    fn a_probe_with_an_end_line_is_complete() {
        let now = Instant::now();
        let mut probe = probe(now);
        assert_eq!(
            probe.pod_seen("p", PodState::Waiting("starting"), now),
            NextStep::Wait
        );
        assert_eq!(probe.pod_seen("p", PodState::Running, now), read(0));
        assert_eq!(probe.heard(RESULT), NextStep::Wait);
        assert_eq!(
            probe.heard("standard_init_linux.go: a runtime speaks"),
            NextStep::Wait
        );
        assert_eq!(probe.heard(END), NextStep::Remove);
        assert_eq!(probe.log_ended(None, now), NextStep::Wait);
        let heard = probe.into_heard();
        assert_eq!(heard.end, End::Complete);
        assert_eq!(heard.results.len(), 1);
    }

    #[test]
    fn every_phase_is_shown() {
        let now = Instant::now();
        let mut probe = probe(now);
        assert_eq!(probe.phase(), ProbePhase::Starting("creating"));
        probe.pod_seen("job-x", PodState::Waiting("scheduled"), now);
        assert_eq!(probe.phase(), ProbePhase::Starting("scheduled"));
        probe.image_pulled_for("another-x");
        assert_eq!(probe.phase(), ProbePhase::Starting("scheduled"));
        probe.image_pulled_for("job-x");
        // The status says this while an image is being pulled.
        probe.pod_seen("job-x", PodState::Waiting("being created"), now);
        assert_eq!(probe.phase(), ProbePhase::Starting("pulling the image"));
        probe.pod_seen("job-x", PodState::Running, now);
        assert_eq!(probe.phase(), ProbePhase::Running { done: 0, of: 1 });
        probe.heard(RESULT);
        assert_eq!(probe.phase(), ProbePhase::Running { done: 1, of: 1 });
        probe.heard(END);
        assert_eq!(probe.phase(), ProbePhase::Done);
    }

    #[test]
    fn a_log_that_is_cut_is_read_again() {
        let now = Instant::now();
        let mut probe = probe(now);
        probe.pod_seen("p", PodState::Running, now);
        assert_eq!(probe.heard(RESULT), NextStep::Wait);
        assert_eq!(probe.log_ended(None, now), read(200));
        assert_eq!(
            probe.log_ended(Some("502 Bad Gateway".into()), now),
            read(400)
        );
        assert_eq!(probe.heard(END), NextStep::Remove);
        assert_eq!(probe.into_heard().end, End::Complete);
    }

    #[test]
    fn a_container_that_ends_early_keeps_its_results() {
        let now = Instant::now();
        let mut probe = probe(now);
        probe.pod_seen("p", PodState::Running, now);
        probe.heard(RESULT);
        probe.pod_seen(
            "p",
            PodState::Exited("ended with exit code 137: OOMKilled".into()),
            now,
        );
        assert_eq!(
            probe.log_ended(None, now),
            read(200),
            "it may have been cut before the container ended"
        );
        probe.heard(RESULT);
        assert_eq!(probe.log_ended(None, now), NextStep::Remove);
        let heard = probe.into_heard();
        let why = "the probe ended early: ended with exit code 137: OOMKilled";
        assert_eq!(heard.end, End::Failed(why.into()));
        assert_eq!(heard.results.len(), 1);
    }

    #[test]
    fn an_unreadable_log_fails_the_probe() {
        let now = Instant::now();
        let mut probe = probe(now);
        probe.pod_seen("p", PodState::Running, now);
        for pause in [200, 400, 800, 1600, 3200] {
            assert_eq!(
                probe.log_ended(Some("no route to the kubelet".into()), now),
                read(pause)
            );
        }
        assert_eq!(
            probe.log_ended(Some("no route to the kubelet".into()), now),
            NextStep::Remove
        );
        let why = "failed to read the log: no route to the kubelet";
        assert_eq!(probe.into_heard().end, End::Failed(why.into()));
    }

    #[test]
    fn a_pod_that_does_not_start_is_given_up() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let unschedulable = || PodState::Unschedulable("0/3 nodes".into());
        let rows: [(&str, PodState, u32, &str, Fault); 5] = [
            (
                "slow",
                PodState::Waiting("being created"),
                60,
                "the probe did not start in time; its last state was being created",
                Fault::Unclear,
            ),
            (
                "unschedulable",
                unschedulable(),
                5,
                "unschedulable: 0/3 nodes",
                Fault::Node,
            ),
            (
                "stuck",
                PodState::Stuck("CreateContainerError: no".into()),
                0,
                "CreateContainerError: no",
                Fault::Unclear,
            ),
            (
                "evicted",
                PodState::Lost("Evicted".into()),
                0,
                "Evicted",
                Fault::Node,
            ),
            (
                "exec format",
                PodState::Exited("ended with exit code 128".into()),
                18,
                "",
                Fault::Unclear,
            ),
        ];
        for (name, state, seconds, why, fault) in rows {
            let mut probe = probe(now);
            let mut action = probe.pod_seen("p", state, now);
            if seconds > 0 {
                assert_eq!(probe.deadline(), Some(now + second * seconds), "{name}");
                assert_eq!(
                    probe.at(now + second * (seconds - 1)),
                    NextStep::Wait,
                    "{name}: too early"
                );
                action = probe.at(now + second * seconds);
            }
            assert_eq!(action, NextStep::Remove, "{name}");
            if !why.is_empty() {
                assert_eq!(
                    probe.into_heard().end,
                    End::not_started(why, fault),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_job_without_a_pod_is_given_up() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let policy = r#"Error creating: pods "p" is forbidden: violates PodSecurity "baseline""#;
        let constraint = r#"Error creating: pods "p" is forbidden: unable to validate against any security context constraint: [provider "nonroot": Forbidden: not usable by user or serviceaccount]"#;
        let quota = r#"Error creating: pods "p" is forbidden: exceeded quota: compute"#;
        let account = r#"Error creating: pods "p" is forbidden: error looking up service account web/default: serviceaccount "default" not found"#;
        let webhook = "Error creating: Internal error occurred: failed calling webhook";
        for (why, early) in [
            (Some(policy), true),
            (Some(constraint), true),
            (
                Some(r#"Error creating: admission webhook "x" denied the request: no"#),
                true,
            ),
            (Some(quota), false),
            (Some(account), false),
            (Some(webhook), false),
            (None, false),
        ] {
            let mut probe = probe(now);
            assert_eq!(probe.deadline(), Some(now + second * 5), "{why:?}");
            assert_eq!(probe.at(now + second * 5), NextStep::AskWhy, "{why:?}");
            let told = probe.no_pod(why.map(str::to_owned));
            if early {
                assert_eq!(told, NextStep::Remove, "{why:?}");
            } else {
                assert_eq!(told, NextStep::Wait, "{why:?}: it may pass");
                assert_eq!(probe.deadline(), Some(now + second * 60), "{why:?}");
                assert_eq!(probe.at(now + second * 60), NextStep::AskWhy, "{why:?}");
                assert_eq!(probe.deadline(), None, "{why:?}: the answer is awaited");
                // The events may be gone by then. The earlier reason still counts.
                assert_eq!(probe.no_pod(None), NextStep::Remove, "{why:?}");
            }
            let end = why.map_or("the Job created no pod in time".to_owned(), |why| {
                format!("the Job created no pod: {why}")
            });
            assert_eq!(
                probe.into_heard().end,
                End::not_started(end, Fault::NotTheNode)
            );
        }
    }

    #[test]
    fn a_failed_pull_is_reported_with_its_cause() {
        let now = Instant::now();
        let mut probe = probe(now);
        let failed = || PodState::PullFailed("ErrImagePull: unauthorized".into());
        assert_eq!(probe.pod_seen("p", failed(), now), NextStep::Wait);
        assert_eq!(
            probe.phase(),
            ProbePhase::Starting("pulling the image again")
        );
        let waits = PodState::PullBackOff("ImagePullBackOff: back-off".into());
        assert_eq!(probe.pod_seen("p", waits, now), NextStep::Remove);
        let why = "ImagePullBackOff: back-off; ErrImagePull: unauthorized";
        assert_eq!(
            probe.into_heard().end,
            End::not_started(why, Fault::Unclear)
        );

        let mut pulled = self::probe(now);
        pulled.pod_seen("p", failed(), now);
        pulled.pod_seen("p", PodState::Stuck("CreateContainerError".into()), now);
        let why = "CreateContainerError";
        assert_eq!(
            pulled.into_heard().end,
            End::not_started(why, Fault::Unclear),
            "it was pulled later"
        );

        let mut late = self::probe(now);
        late.pod_seen("p", failed(), now);
        assert_eq!(late.at(now + Duration::from_secs(60)), NextStep::Remove);
        let why = "the probe did not start in time: ErrImagePull: unauthorized";
        assert_eq!(late.into_heard().end, End::not_started(why, Fault::Unclear));
    }

    #[test]
    fn a_late_pod_is_followed() {
        let now = Instant::now();
        let mut probe = probe(now);
        let later = now + Duration::from_secs(6);
        assert_eq!(probe.at(later), NextStep::AskWhy);
        probe.no_pod(Some("exceeded quota".into()));
        let held = "the Job has not created a pod yet: exceeded quota";
        assert_eq!(probe.phase(), ProbePhase::Held(held.into()));
        probe.pod_seen("p", PodState::Waiting("scheduled"), later);
        assert_eq!(probe.phase(), ProbePhase::Starting("scheduled"));
        assert_eq!(probe.no_pod(None), NextStep::Wait);
        assert_eq!(probe.pod_seen("p", PodState::Running, later), read(0));
    }

    #[test]
    fn a_pod_that_becomes_schedulable_is_followed() {
        let now = Instant::now();
        let mut probe = probe(now);
        probe.pod_seen("p", PodState::Unschedulable("0/3 nodes".into()), now);
        probe.pod_seen(
            "p",
            PodState::Waiting("starting"),
            now + Duration::from_secs(4),
        );
        assert_eq!(probe.at(now + Duration::from_secs(6)), NextStep::Wait);
        assert_eq!(probe.pod_seen("p", PodState::Running, now), read(0));
    }

    #[test]
    fn a_deleted_pod_ends_its_probe() {
        let now = Instant::now();
        let mut waiting = probe(now);
        assert_eq!(waiting.pod_deleted(), NextStep::Remove);
        assert_eq!(
            waiting.into_heard().end,
            End::not_started("the pod was deleted", Fault::Node)
        );
        let mut running = probe(now);
        running.pod_seen("p", PodState::Running, now);
        assert_eq!(
            running.pod_deleted(),
            NextStep::Wait,
            "its log may still arrive"
        );
        running.log_ended(None, now);
        assert_eq!(running.log_ended(None, now), NextStep::Remove);
        assert_eq!(
            running.into_heard().end,
            End::Failed("the probe ended early: the pod was deleted".into())
        );
    }

    #[test]
    fn another_protocol_version_fails_the_probe() {
        let now = Instant::now();
        let mut probe = probe(now);
        probe.pod_seen("p", PodState::Running, now);
        assert_eq!(
            probe.heard(r#"{"line":"start","version":9,"agent":"9.0.0","targets":1}"#),
            NextStep::Remove
        );
        let why = "the probe image speaks protocol version 9, this plugin needs 2: use the image of the same release";
        assert_eq!(probe.into_heard().end, End::Failed(why.into()));
    }
}
