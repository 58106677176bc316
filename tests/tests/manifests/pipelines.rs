//! The manifests that run the plugin in a cluster.

use crate::{
    Applied, chart::helm_test, container, documents, manifest, namespaced_roles, task::tekton_pod,
    with_web,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use svc_reach_tests::{folder::Folder, kubectl::Kubectl, namespace::Namespace, wait::until};

/// Time limit for a run in the cluster, including the image pull.
const RUN: Duration = Duration::from_secs(240);

/// The CronJob of the manifest. If the API server is older than 1.21, this uses the `apiVersion` that the manifest's
/// comment gives for it.
fn cron_job(kubectl: &Kubectl) -> Value {
    let mut object = documents(&manifest("cronjob.yaml")).remove(0);
    let text = manifest("cronjob.yaml");
    let (_, older) = text.split_once("before Kubernetes 1.21: ").unwrap();
    let resources = kubectl.succeed(&["get", "--raw", "/apis/batch/v1"]);
    if !resources.contains("\"cronjobs\"") {
        object["apiVersion"] = older.lines().next().unwrap().into();
    }
    object
}

/// Every way to run the plugin in a cluster: its name, the object, and the label selector of its pod.
fn forms(
    kubectl: &Kubectl,
    namespace: &Namespace,
    args: &[&str],
) -> Vec<(&'static str, Value, &'static str)> {
    let mut forms = vec![
        (
            "Job",
            documents(&manifest("job.yaml")).remove(0),
            "job-name=svc-reach-smoke-test",
        ),
        (
            "Argo CD",
            documents(&manifest("argo-cd.yaml")).remove(0),
            "job-name=svc-reach-post-sync",
        ),
        ("CronJob", cron_job(kubectl), "job-name=svc-reach-now"),
        (
            "Helm",
            helm_test(Some(&[&["web"], args].concat())),
            "app=svc-reach-test",
        ),
        (
            "Tekton",
            tekton_pod("web", &namespace.name, Some(args)),
            "app=svc-reach-task",
        ),
    ];
    let asked = json!([&["web"], args].concat());
    for (_, object, _) in &mut forms {
        for template in ["/spec/template", "/spec/jobTemplate/spec/template"] {
            if let Some(container) = object.pointer_mut(&format!("{template}/spec/containers/0")) {
                container["args"] = asked.clone();
            }
        }
        object["metadata"]["namespace"] = namespace.name.clone().into();
    }
    forms
}

/// Waits until the pod has ended. Returns its exit code and its log.
fn ended(kubectl: &Kubectl, namespace: &Namespace, selector: &str) -> (i64, String) {
    let state = until(&format!("the pod {selector} to end"), RUN, || {
        let pods = kubectl.object(&namespace.args(&["get", "pods", "-l", selector]));
        let status = &pods["items"][0]["status"];
        let state = status["containerStatuses"][0]["state"]["terminated"].clone();
        if state.is_null() {
            Err(status.to_string())
        } else {
            Ok(state)
        }
    });
    let log = namespace.kubectl(&["logs", "--tail=-1", "-l", selector]);
    (state["exitCode"].as_i64().unwrap(), log)
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn every_pipeline_manifest_passes_on_the_exit_code() {
    let required = ["--require-reachable", "pod-other:node-port"];
    for (policy, code, condition) in [("Cluster", 0, "Complete"), ("Local", 1, "Failed")] {
        let (kubectl, namespace) = with_web(policy);
        let forms = forms(&kubectl, &namespace, &required);
        let mut objects = namespaced_roles(&namespace.name);
        objects.extend(forms.iter().map(|(_, object, _)| object.clone()));
        let _applied = Applied::new(&kubectl, objects);
        namespace.kubectl(&["create", "job", "--from=cronjob/svc-reach", "svc-reach-now"]);
        for (form, _, selector) in forms {
            let (ended, log) = ended(&kubectl, &namespace, selector);
            assert_eq!(ended, code, "{form}, {policy}: {log}");
            // Only Tekton's manifest names a namespace. The others use that of the ServiceAccount.
            assert!(
                log.contains(&format!("Service {}/web", namespace.name)),
                "{form}: {log}"
            );
            // A pod in the cluster cannot be the position `external`.
            let words: Vec<&str> = log.split_whitespace().collect();
            assert!(
                words.join(" ").contains("which is not outside"),
                "{form}: {log}"
            );
            if let Some(job) = selector.strip_prefix("job-name=") {
                until("the Job to report how it ended", RUN, || {
                    let status =
                        kubectl.object(&namespace.args(&["get", "job", job]))["status"].clone();
                    let ended = &status["conditions"][0];
                    if ended["type"] == condition {
                        Ok(())
                    } else {
                        Err(status.to_string())
                    }
                });
            }
            println!("{form}, {policy}: exit code {ended}");
        }
        assert_eq!(namespace.leftovers(), [""; 0]);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn every_pipeline_manifest_passes_pod_security_restricted() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(
        &kubectl,
        &json!({"pod-security.kubernetes.io/enforce": "restricted"}),
    );
    namespace.kubectl(&["create", "serviceaccount", "svc-reach"]);
    let folder = Folder::new("restricted");
    let admitted = |form: &str, pod: &Value| {
        let file = folder.join(format!("{form}.json"));
        fs::write(&file, pod.to_string()).unwrap();
        kubectl.run(&namespace.args(&["create", "--dry-run=server", "-f", file.to_str().unwrap()]))
    };
    for (form, object, _) in forms(&kubectl, &namespace, &[]) {
        let pod = ["/spec/template", "/spec/jobTemplate/spec/template"]
            .iter()
            .find_map(|template| object.pointer(template))
            .unwrap_or(&object);
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fits"}, "spec": pod["spec"],
        });
        let output = admitted(form, &pod);
        assert_eq!(output.code, Some(0), "{form}: {output}");
        // Verify that admission checks pods at all: this one must be refused.
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
        let output = admitted(form, &pod);
        assert!(
            output.stderr.contains("violates PodSecurity"),
            "{form}: {output}"
        );
        let container = container(&object);
        assert_eq!(
            container["securityContext"]["readOnlyRootFilesystem"], true,
            "{form}"
        );
        // Without limits, a namespace with a quota on limits refuses the pod.
        for resource in ["cpu", "memory"] {
            let limit = &container["resources"]["limits"][resource];
            assert!(limit.is_string(), "{form}: {resource}");
        }
    }
}

/// The pod gets a token that the API server refuses, as if its ServiceAccount had been deleted.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_refused_token_is_named_in_the_error() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let mut pod = helm_test(None);
    pod["metadata"]["namespace"] = namespace.name.clone().into();
    let spec = &mut pod["spec"];
    spec["serviceAccountName"] = "default".into();
    spec["automountServiceAccountToken"] = false.into();
    spec["containers"][0]["volumeMounts"] =
        json!([{"name": "account", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    spec["volumes"] = json!([{"name": "account", "projected": {"sources": [
        {"configMap": {"name": "kube-root-ca.crt"}},
        {"secret": {"name": "refused"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}}]);
    namespace.kubectl(&[
        "create",
        "secret",
        "generic",
        "refused",
        "--from-literal=token=refused",
    ]);
    let _applied = Applied::new(&kubectl, vec![pod]);
    let (code, log) = ended(&kubectl, &namespace, "app=svc-reach-test");
    assert_eq!(code, 4, "{log}");
    // The first calls run in parallel, so the error may name any of them.
    let refused = format!(
        "Service {}/nginx: the API server answered 401",
        namespace.name
    );
    assert!(
        log.contains("error: failed to ") && log.contains(&refused),
        "{log}"
    );
}
