//! A Kubernetes namespace for one test.

use crate::kubectl::Kubectl;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace that is deleted when the test ends.
#[derive(Debug)]
pub struct Namespace {
    /// Name of the namespace.
    pub name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Creates a namespace with these labels.
    #[must_use]
    pub fn new(kubectl: &Kubectl, labels: &serde_json::Value) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "svc-reach-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        kubectl.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        }));
        Self {
            name,
            kubectl: kubectl.clone(),
        }
    }

    /// Runs `kubectl` in this namespace and returns its standard output.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl.succeed(&self.args(args))
    }

    /// The arguments, followed by `-n` and this namespace.
    #[must_use]
    pub fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        args.iter().copied().chain(["-n", &self.name]).collect()
    }

    /// Jobs and pods of probes that are not marked for deletion.
    ///
    /// # Panics
    ///
    /// If they cannot be listed.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let list =
            self.kubectl
                .object(&self.args(&["get", "jobs,pods", "-l", "svc-reach/role=probe"]));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .filter(|item| item["metadata"]["deletionTimestamp"].is_null())
            .map(|item| format!("{}/{}", item["kind"], item["metadata"]["name"]))
            .collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Ignore errors: a failed test has already said why, and the cluster is deleted later anyway.
        let _ = self
            .kubectl
            .run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
