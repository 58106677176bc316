//! A namespace of a test's own.

use crate::kubectl::Kubectl;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace that goes when the test does.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Makes a namespace with labels.
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

    /// Runs `kubectl` in it.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl.succeed(&self.args(args))
    }

    /// The arguments with this namespace.
    #[must_use]
    pub fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        args.iter().copied().chain(["-n", &self.name]).collect()
    }

    /// Our Jobs that are there, and our pods that nobody has marked for deletion.
    ///
    /// # Panics
    ///
    /// When the cluster does not say.
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
        // A test that failed has said why; what cannot be deleted now goes with the cluster.
        let _ = self
            .kubectl
            .run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
