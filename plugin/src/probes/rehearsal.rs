//! Dry runs of the probes, before any of them exists.

use super::{
    deployment::ProbeJob,
    preflight::{self, Ttl},
};
use crate::{
    cluster::{CallError, Cluster},
    error::{Error, chain},
};
use std::collections::BTreeMap;
use svc_reach_common::position::Network;

/// What the API server answered to the dry runs.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// The API server's time, RFC 3339.
    pub at: Option<String>,
    /// Whether the cluster deletes finished Jobs. `None`: there is no probe, or the dry run itself failed.
    pub ttl: Option<Ttl>,
    /// Networks whose pods the cluster refuses, and why.
    pub refusals: BTreeMap<Network, String>,
}

/// Does a dry run of one pod on each network and of one Job. Drops the probes that the cluster would refuse.
///
/// # Errors
///
/// When the cluster refuses the Job, or the pods on every network.
pub async fn rehearse(
    cluster: &impl Cluster,
    namespace: &str,
    probes: &mut Vec<ProbeJob>,
) -> Result<Rehearsal, Error> {
    let refused = |source: CallError| Error::ProbesRefused {
        namespace: namespace.to_owned(),
        source,
    };
    let first = |network| probes.iter().find(|probe| probe.network == network);
    let (host, pod, job) = tokio::join!(
        rehearse_pod(cluster, namespace, first(Network::Host)),
        rehearse_pod(cluster, namespace, first(Network::Pod)),
        async {
            match probes.first() {
                Some(probe) => preflight::dry_run_job(cluster, namespace, &probe.job)
                    .await
                    .map(Some),
                None => Ok(None),
            }
        }
    );
    let Some(shown) = job.map_err(refused)? else {
        return Ok(Rehearsal::default());
    };
    let mut refusals: BTreeMap<Network, CallError> = [(Network::Host, host), (Network::Pod, pod)]
        .into_iter()
        .filter_map(|(network, refusal)| Some((network, refusal?)))
        .collect();
    probes.retain(|probe| !refusals.contains_key(&probe.network));
    let reasons = refusals
        .iter()
        .map(|(network, error)| {
            let why = format!(
                "the cluster refuses probes on the {network} network: {}",
                chain(error)
            );
            (*network, why)
        })
        .collect();
    if probes.is_empty()
        && let Some((_, source)) = refusals.pop_last()
    {
        return Err(refused(source));
    }
    Ok(Rehearsal {
        at: shown.as_ref().and_then(|shown| shown.at.clone()),
        ttl: shown.map(|shown| shown.ttl),
        refusals: reasons,
    })
}

async fn rehearse_pod(
    cluster: &impl Cluster,
    namespace: &str,
    probe: Option<&ProbeJob>,
) -> Option<CallError> {
    preflight::dry_run_pod(cluster, namespace, &probe?.job)
        .await
        .err()
}
