//! Removal of what earlier runs left.

use crate::{
    cluster::{
        Call, Cluster,
        page::{MANY, page},
    },
    error::{Error, Permission},
    probes::{job, ledger},
};
use serde_json::Value;
use std::io::Write;
use svc_reach_common::names;

/// Removes the probes of all earlier runs, or of one run, from a namespace, and prints their names. `flags` let another
/// command use the same cluster.
///
/// # Errors
///
/// If the probes cannot be listed, or some of them cannot be removed.
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
    let call = Call::get(format!("/apis/batch/v1/namespaces/{namespace}/jobs"))
        .with("labelSelector", selector);
    let mut left = Vec::new();
    let mut removed = 0_usize;
    let mut next = None;
    loop {
        let page = page(cluster, call.clone(), MANY, next)
            .await
            .map_err(Error::call(
                format!("list probe Jobs in namespace {namespace}"),
                Permission::of("list", "batch", "jobs"),
            ))?;
        for job in &page.items {
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
                    tracing::warn!(%error, job = name, "failed to remove a probe Job");
                    left.push(format!("job/{name}"));
                }
            }
        }
        next = page.next;
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
