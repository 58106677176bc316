//! The files in `manifests/` work as they are shipped, with the roles that are shipped. No role grants more than a run
//! needs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper that fails must fail its test, and the test log shows what was compared"
)]

mod chart;
mod images;
mod job;
mod pipelines;
mod roles;
mod schemas;
mod task;
mod workflow;

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use svc_reach_tests::{
    fixture::{deploy, nodes, service},
    kubectl::Kubectl,
    namespace::Namespace,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(name: &str) -> String {
    fs::read_to_string(root().join("manifests").join(name)).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The namespaced roles for a namespace, made with the command that the file suggests.
fn namespaced_roles(namespace: &str) -> Vec<Value> {
    let text = manifest("rbac-namespaced.yaml");
    let command = "sed 's/default$/web/' manifests/rbac-namespaced.yaml";
    assert!(
        text.contains(command),
        "the file no longer contains the command"
    );
    let lines = text.lines().map(|line| match line.strip_suffix("default") {
        Some(line) => format!("{line}{namespace}\n"),
        None => format!("{line}\n"),
    });
    documents(&lines.collect::<String>())
}

/// The container that runs the plugin.
fn container(object: &Value) -> &Value {
    for pointer in [
        "/spec/containers/0",
        "/spec/template/spec/containers/0",
        "/spec/jobTemplate/spec/template/spec/containers/0",
        "/spec/steps/0",
    ] {
        if let Some(container) = object.pointer(pointer) {
            return container;
        }
    }
    panic!("no container in {object:#}")
}

/// Applies objects. When the test ends, it deletes those that are not deleted with the test's namespace.
struct Applied<'a> {
    kubectl: &'a Kubectl,
    objects: Vec<Value>,
}

impl<'a> Applied<'a> {
    fn new(kubectl: &'a Kubectl, objects: Vec<Value>) -> Self {
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}));
        Self { kubectl, objects }
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        let mut args = Vec::new();
        for object in &self.objects {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            // Another test may use a role with the same name. Keep such a role: without a binding it grants nothing.
            if !kind.ends_with("Binding") && !name.contains("svc-reach-test-") {
                continue;
            }
            let namespace = match object["metadata"]["namespace"].as_str() {
                None => Vec::new(),
                Some("kube-system") => vec!["-n", "kube-system"],
                Some(_) => continue,
            };
            let what = format!("{kind}/{name}");
            args.push(
                [&["delete", &what, "--wait=false"], &namespace[..]]
                    .concat()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            );
        }
        for args in args {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let _ = self.kubectl.run(&args);
        }
    }
}

/// A namespace with the Service `web`, which has this `externalTrafficPolicy` and one backend.
fn with_web(policy: &str) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": policy});
    deploy(&kubectl, &namespace, &[&node], &service(&spec));
    (kubectl, namespace)
}
