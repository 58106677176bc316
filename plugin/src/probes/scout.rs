//! Finds a node that is not known yet, for users who may not list nodes: the scheduler places a pod on one.

use crate::{
    cluster::Cluster,
    config::ProbeSettings,
    error::chain,
    plan::assignment::ProbePlan,
    probes::{
        deployment::{Deployment, WATCH_PAUSE},
        job::{self, JobSettings},
        pod_state::{self, PodState},
        preflight,
    },
};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::time::Duration;
use svc_reach_common::{
    facts::{FurtherNodes, Node},
    names,
    objects::PodNode,
    position::Network,
    wire::plan::Plan,
};
use tokio::time::{sleep, timeout};

/// Name of the scout within the run.
const NAME: &str = "scout";

/// How long a scout may take. It needs no image: a node tells its addresses before it pulls one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks for a node that is none of `known` and can take a probe. `plan`: a plan without requests. `Err`: whether the
/// cluster has further nodes.
pub async fn scout<C: Cluster>(
    deployment: &Deployment<'_, C>,
    settings: &ProbeSettings,
    plan: Plan,
    known: &[&str],
) -> Result<Node, FurtherNodes> {
    let not_found = |why: String| {
        let why = format!(
            "no node without a backend is known, since this user may not list nodes, and a pod that looks for one {why}"
        );
        Err(FurtherNodes::NotFound(why))
    };
    let probe = ProbePlan {
        name: NAME.to_owned(),
        network: Network::Pod,
        node: String::new(),
        services: Vec::new(),
        plan,
    };
    let spec = JobSettings {
        run_id: deployment.run_id,
        namespace: deployment.namespace,
        probe: &probe,
        settings,
    };
    let job = job::scout(spec, known);
    let refused = preflight::dry_run_pod(deployment.cluster, deployment.namespace, &job).await;
    let created = match refused {
        Ok(()) => deployment.create(&job).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(error) = created {
        return not_found(format!("cannot be created: {}", chain(&error)));
    }
    let found = timeout(PATIENCE, placed(deployment)).await;
    let name = job::name(deployment.run_id, NAME);
    deployment.ledger.remove(deployment.cluster, &name).await;
    match found {
        Ok(Ok(node)) => Ok(node),
        Ok(Err(why)) if nodes_of(&why) == Some(known.len()) => Err(FurtherNodes::None),
        Ok(Err(why)) => not_found(format!("cannot be placed: {why}")),
        Err(_) => {
            let why = deployment.why_no_pod(&name).await;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            not_found(format!("got no node within {} s{why}", PATIENCE.as_secs()))
        }
    }
}

/// The node of the scout's pod, or why the scheduler finds none.
async fn placed<C: Cluster>(deployment: &Deployment<'_, C>) -> Result<Node, String> {
    loop {
        match deployment.watch().await {
            Ok(mut events) => {
                while let Some(Ok(line)) = events.next().await {
                    if let Some(ended) = seen(&line) {
                        return ended;
                    }
                }
            }
            Err(error) => tracing::debug!(error = chain(&error), "failed to watch the scout"),
        }
        sleep(WATCH_PAUSE).await;
    }
}

/// What an event of the watch says; `None`: nothing yet.
fn seen(line: &str) -> Option<Result<Node, String>> {
    let mut event: Value = serde_json::from_str(line).ok()?;
    let object = event.get_mut("object")?.take();
    let label = format!("/metadata/labels/{}", names::LABEL_PROBE.replace('/', "~1"));
    if object.pointer(&label)? != NAME {
        return None;
    }
    match PodNode::of(&object) {
        Ok(Some(placed)) => return Some(Ok(placed.node)),
        Ok(None) => {}
        Err(error) => return Some(Err(chain(&error))),
    }
    match pod_state::state(&serde_json::from_value::<Pod>(object).ok()?) {
        PodState::Unschedulable(why) | PodState::Lost(why) => Some(Err(why)),
        PodState::Waiting(_)
        | PodState::PullFailed(_)
        | PodState::PullBackOff(_)
        | PodState::Stuck(_)
        | PodState::Running
        | PodState::Exited(_) => None,
    }
}

/// The number of nodes that the scheduler looked at, from its message (kubernetes/kubernetes v1.37.2
/// `pkg/scheduler/framework/types.go` `NoNodeAvailableMsg`, the same in v1.20.2).
fn nodes_of(message: &str) -> Option<usize> {
    let (count, rest) = message.strip_prefix("0/")?.split_once(' ')?;
    rest.starts_with("nodes are available")
        .then(|| count.parse().ok())?
}
