//! The state of a probe's pod, from its status. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use svc_reach_common::names;

/// The state of a probe's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// It is starting. The text says what it waits for.
    Waiting(&'static str),
    /// Its image could not be pulled, for this reason. The kubelet will try again.
    PullFailed(String),
    /// The kubelet waits before it pulls the image again. The cause was in an earlier `PullFailed`.
    PullBackOff(String),
    /// The scheduler has found no node for it yet.
    Unschedulable(String),
    /// It will not start, for this reason.
    Stuck(String),
    /// Its container runs.
    Running,
    /// Its container ended. Only its log shows whether it was successful.
    Exited(String),
    /// The pod failed or was lost before its container reported an end.
    Lost(String),
}

/// Reasons for a waiting container that do not go away soon.
///
/// Source: kubernetes/kubernetes v1.30.0 `pkg/kubelet/images/types.go`, `pkg/kubelet/container/sync_result.go`,
/// `pkg/kubelet/kuberuntime/kuberuntime_container.go`.
const STUCK: [&str; 8] = [
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Reads a pod's state from its status.
pub fn state(pod: &Pod) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    // A mesh or a webhook may have added containers, and the list is sorted by name.
    let probe = containers.iter().find(|it| it.name == names::CONTAINER);
    if let Some(state) = probe.and_then(of_container) {
        return state;
    }
    let detail = [status.reason, status.message]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(": ");
    match status.phase.as_deref() {
        // Evicted, refused by the kubelet (OutOfcpu, NodeAffinity, …), or past its deadline.
        Some("Failed") => {
            return PodState::Lost(if detail.is_empty() {
                "the pod failed".to_owned()
            } else {
                detail
            });
        }
        // A kubelet that vanished cannot say how the container ended.
        Some("Unknown") => return PodState::Lost("the node no longer answers".to_owned()),
        _ => {}
    }
    let scheduled = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .find(|c| c.type_ == "PodScheduled");
    match scheduled {
        Some(condition) if condition.status == "True" => PodState::Waiting("scheduled"),
        // The scheduler evicts other pods to make room for this one, which can take a while (kubernetes.io, "Pod
        // Priority and Preemption").
        Some(_)
            if status
                .nominated_node_name
                .is_some_and(|node| !node.is_empty()) =>
        {
            PodState::Waiting("waiting for room")
        }
        Some(condition) if condition.reason.as_deref() == Some("Unschedulable") => {
            PodState::Unschedulable(
                condition
                    .message
                    .unwrap_or_else(|| "no node fits".to_owned()),
            )
        }
        Some(_) | None => PodState::Waiting("being scheduled"),
    }
}

fn of_container(status: &ContainerStatus) -> Option<PodState> {
    let state = status.state.as_ref()?;
    if let Some(ended) = &state.terminated {
        let reason = ended
            .reason
            .as_deref()
            .filter(|reason| !["Completed", "Error"].contains(reason));
        // Reasons such as ContainerCannotRun and StartError come with a message that says why.
        let message = ended
            .message
            .as_deref()
            .map(str::trim)
            .filter(|message| !message.is_empty());
        let mut text = format!("ended with exit code {}", ended.exit_code);
        for detail in [reason, message].into_iter().flatten() {
            text.push_str(": ");
            text.push_str(&detail.chars().take(300).collect::<String>());
        }
        return Some(PodState::Exited(text));
    }
    if state.running.is_some() {
        return Some(PodState::Running);
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let why = || {
        let message = waiting.message.as_deref().unwrap_or_default();
        if message.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason}: {message}")
        }
    };
    Some(match reason {
        "ErrImagePull" => PodState::PullFailed(why()),
        "ImagePullBackOff" => PodState::PullBackOff(why()),
        _ if STUCK.contains(&reason) => PodState::Stuck(why()),
        _ => PodState::Waiting("being created"),
    })
}

#[cfg(test)]
mod tests {
    use super::{PodState, state};
    use serde_json::{Value, json};

    #[test]
    fn state_is_read_from_the_status() {
        let container = |state: Value| {
            json!({"phase": "Pending", "containerStatuses": [
                {"name": "probe", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}
            ]})
        };
        let condition = |status: &str, reason: &str| {
            json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": status, "reason": reason, "message": "0/3 nodes are available"}
            ]})
        };
        let rows = [
            ("new", json!({}), PodState::Waiting("being scheduled")),
            (
                "unschedulable",
                condition("False", "Unschedulable"),
                PodState::Unschedulable("0/3 nodes are available".into()),
            ),
            (
                "other pods are evicted for it",
                {
                    let mut status = condition("False", "Unschedulable");
                    status["nominatedNodeName"] = "n1".into();
                    status
                },
                PodState::Waiting("waiting for room"),
            ),
            (
                "scheduling is gated",
                condition("False", "SchedulingGated"),
                PodState::Waiting("being scheduled"),
            ),
            (
                "scheduled",
                condition("True", ""),
                PodState::Waiting("scheduled"),
            ),
            (
                "being created",
                container(json!({"waiting": {"reason": "ContainerCreating"}})),
                PodState::Waiting("being created"),
            ),
            (
                "first failure of a pull",
                container(json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}})),
                PodState::PullFailed("ErrImagePull: not found".into()),
            ),
            (
                "no image",
                container(
                    json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}),
                ),
                PodState::PullBackOff("ImagePullBackOff: Back-off pulling image".into()),
            ),
            (
                "no image, and an injected container",
                json!({"phase": "Pending", "containerStatuses": [
                    {"name": "agent", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                    {"name": "probe", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                     "state": {"waiting": {"reason": "ErrImageNeverPull"}}},
                ]}),
                PodState::Stuck("ErrImageNeverPull".into()),
            ),
            (
                "running",
                container(json!({"running": {}})),
                PodState::Running,
            ),
            (
                "done",
                container(json!({"terminated": {"exitCode": 0, "reason": "Completed"}})),
                PodState::Exited("ended with exit code 0".into()),
            ),
            (
                "out of memory",
                container(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
                PodState::Exited("ended with exit code 137: OOMKilled".into()),
            ),
            (
                "wrong architecture",
                container(
                    json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec format error"}}),
                ),
                PodState::Exited("ended with exit code 128: StartError: exec format error".into()),
            ),
            (
                "evicted",
                json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
                PodState::Lost("Evicted: The node was low on resource: memory.".into()),
            ),
            (
                "node gone",
                json!({"phase": "Unknown"}),
                PodState::Lost("the node no longer answers".into()),
            ),
        ];
        for (name, status, expected) in rows {
            let pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status}))
                .unwrap();
            assert_eq!(state(&pod), expected, "{name}");
        }
    }
}
