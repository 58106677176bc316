//! Tekton's Task, as a pod without Tekton.

use crate::{documents, manifest};
use serde_json::{Value, json};

/// The pod that Tekton creates for the Task's step, without what Tekton itself adds.
pub fn tekton_pod(service: &str, namespace: &str, args: Option<&[&str]>) -> Value {
    let task = documents(&manifest("tekton.yaml")).remove(0);
    let run = documents(&manifest("tekton-run.yaml")).remove(0);
    assert_eq!(run["spec"]["taskRef"]["name"], task["metadata"]["name"]);
    let default = &task["spec"]["params"][2]["default"];
    let args = args.map_or_else(|| default.clone(), |args| json!(args));
    let mut step = task["spec"]["steps"][0].clone();
    let mut words = Vec::new();
    for word in step["args"].as_array().unwrap() {
        let word = word.as_str().unwrap();
        if word == "$(params.args[*])" {
            words.extend(args.as_array().unwrap().clone());
            continue;
        }
        let word = word
            .replace("$(params.service)", service)
            .replace("$(params.namespace)", namespace)
            .replace("$(workspaces.reports.path)", "/workspace/reports");
        assert!(!word.contains("$("), "this test cannot replace {word}");
        words.push(word.into());
    }
    step["args"] = words.into();
    step["resources"] = step["computeResources"].take();
    for tektons in ["computeResources", "timeout"] {
        step.as_object_mut().unwrap().remove(tektons);
    }
    step["volumeMounts"] = json!([{"name": "reports", "mountPath": "/workspace/reports"}]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "svc-reach-task", "labels": {"app": "svc-reach-task"}},
        "spec": {
            "serviceAccountName": run["spec"]["serviceAccountName"],
            "securityContext": run["spec"]["podTemplate"]["securityContext"],
            "restartPolicy": "Never",
            "containers": [step],
            "volumes": [{"name": "reports", "emptyDir": {}}],
        },
    })
}
