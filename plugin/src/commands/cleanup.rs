//! Removal of what earlier runs left.

use crate::{
    cluster::{Call, Cluster},
    error::{Error, Permission},
    probes::{job, ledger},
};
use serde_json::Value;
use std::io::Write;
use svc_reach_common::names;

/// Jobs read in one page. Runs leave four each, and rarely any.
const PAGE: &str = "500";

/// Removes the probes of earlier runs from a namespace, or those of one run, and names them. `flags`: those by which
/// another command asks the same cluster.
///
/// # Errors
///
/// When they cannot be listed, or some cannot be removed.
pub async fn cleanup(
    cluster: &impl Cluster,
    namespace: &str,
    run: Option<&str>,
    flags: &str,
    writer: &mut impl Write,
) -> Result<(), Error> {
    let mut selector = format!("{}={}", names::LABEL_ROLE, names::ROLE_PROBE);
    if let Some(run) = run {
        selector.push_str(&format!(",{}", ledger::selector(run)));
    }
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let mut left = Vec::new();
    let mut removed = 0_usize;
    let mut next: Option<String> = None;
    loop {
        let mut call = Call::get(path.clone())
            .with("labelSelector", selector.clone())
            .with("limit", PAGE);
        if let Some(next) = next {
            call = call.with("continue", next);
        }
        let list = cluster.call(call).await.map_err(|source| Error::Call {
            attempted: format!("list probe Jobs in namespace {namespace}"),
            source,
            needs: Some(Permission {
                verb: "list",
                group: "batch",
                resource: "jobs",
            }),
        })?;
        for job in list
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |pointer| job.pointer(pointer).and_then(Value::as_str);
            let Some(name) = text("/metadata/name") else {
                continue;
            };
            match ledger::delete_job(cluster, namespace, name, text("/metadata/uid")).await {
                Ok(_) => {
                    removed += 1;
                    writeln!(writer, "job.batch/{name} deleted").map_err(Error::Write)?;
                }
                Err(error) => {
                    tracing::warn!(%error, job = name, "not removed");
                    left.push(format!("job/{name}"));
                }
            }
        }
        next = list
            .pointer("/metadata/continue")
            .and_then(Value::as_str)
            .filter(|n| !n.is_empty())
            .map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    if !left.is_empty() {
        return Err(Error::Leftovers {
            objects: left,
            command: job::cleanup_command(namespace, run, flags),
        });
    }
    if removed == 0 {
        writeln!(writer, "no probes found in namespace {namespace}").map_err(Error::Write)?;
    }
    Ok(())
}
