//! Reads and merges the kubeconfig files.

use super::error::{KubeconfigError, unusable};
use crate::config::Connection;

use kube::config::Kubeconfig;

use std::path::PathBuf;

/// An environment variable that is set in every pod.
pub const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// Reads the kubeconfig: the file that the flag names, or else all files merged. `None`: no file exists.
///
/// # Errors
///
/// When a file cannot be read, or the file that the flag names does not exist.
pub fn read(connection: &Connection) -> Result<Option<Kubeconfig>, KubeconfigError> {
    if let Some(file) = &connection.kubeconfig {
        return Kubeconfig::read_from(file).map(Some).map_err(unusable);
    }
    let mut merged: Option<Kubeconfig> = None;
    for file in files() {
        if !file.exists() {
            tracing::debug!(file = %file.display(), "kubeconfig does not exist");
            continue;
        }
        let mut next = Kubeconfig::read_from(&file).map_err(unusable)?;
        // The first file that sets a current-context wins. An empty name does not count.
        next.current_context = next.current_context.filter(|name| !name.is_empty());
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(unusable)?,
            None => next,
        });
    }
    Ok(merged)
}

/// Files to look for: those in `KUBECONFIG`, or else `~/.kube/config`.
pub fn files() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&named)
        .filter(|file| !file.as_os_str().is_empty())
        .collect();
    if !named.is_empty() {
        return named;
    }
    std::env::home_dir()
        .map(|home| home.join(".kube").join("config"))
        .into_iter()
        .collect()
}
