//! What `manifests/` holds: it works as it is shipped, under the roles that are shipped, none of which grants more than a
//! run needs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and tests print what they held against what"
)]

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use svc_reach_common::names;
use svc_reach_tests::folder::Folder;
use svc_reach_tests::{
    fixture::{deploy, nodes, service},
    kubectl::{Kubectl, Output, plugin_folder},
    namespace::Namespace,
    wait::until,
};

/// What the API server takes without anything being installed.
const NATIVE: [&str; 6] = [
    "argo-cd.yaml",
    "cronjob.yaml",
    "demo.yaml",
    "job.yaml",
    "rbac-cluster.yaml",
    "rbac-namespaced.yaml",
];

/// Versions of Kubernetes whose schemas are asked; older ones by the API server of the tests (1.20).
const VERSIONS: std::ops::RangeInclusive<u32> = 25..=37;

/// What only later versions have schemas of: since which.
const SINCE: [(&str, u32); 1] = [("admission.yaml", 30)];

/// How long a run in the cluster may take, its image pulled.
const RUN: Duration = Duration::from_secs(240);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(name: &str) -> String {
    fs::read_to_string(root().join("manifests").join(name)).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The namespaced roles for a namespace, by the command that stands in the file.
fn namespaced_roles(namespace: &str) -> Vec<Value> {
    let text = manifest("rbac-namespaced.yaml");
    let command = "sed 's/default$/web/' manifests/rbac-namespaced.yaml";
    assert!(text.contains(command), "the file no longer says how");
    let lines = text.lines().map(|line| match line.strip_suffix("default") {
        Some(line) => format!("{line}{namespace}\n"),
        None => format!("{line}\n"),
    });
    documents(&lines.collect::<String>())
}

/// The cluster-wide roles, with a namespace of the test's own for the probes.
fn cluster_roles(probes: &str) -> Vec<Value> {
    let mut roles = documents(&manifest("rbac-cluster.yaml"));
    roles.retain(|object| object["kind"] != "Namespace");
    for object in &mut roles {
        if object["metadata"]["namespace"] == "svc-reach" {
            object["metadata"]["namespace"] = probes.into();
        }
    }
    roles
}

/// Applies objects, and deletes those of them when the test ends that no namespace takes along.
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
            // Roles that are shared by name may be in use by another test; a role that nobody is bound to grants nothing.
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

/// A namespace with the Service `web` of a policy, and one backend.
fn with_web(policy: &str) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": policy});
    deploy(&kubectl, &namespace, &[&node], &service(&spec));
    (kubectl, namespace)
}

#[test]
fn the_images_are_those_of_this_version() {
    let helm = documents(&manifest("helm/values.yaml")).remove(0);
    let mut found = vec![
        (helm["svcReach"]["image"].clone(), names::PLUGIN_IMAGE),
        (helm["svcReach"]["probeImage"].clone(), names::IMAGE),
    ];
    let workflow = documents(&manifest("github-actions.yaml")).remove(0);
    found.push((
        workflow["jobs"]["svc-reach"]["env"]["SVC_REACH_IMAGE"].clone(),
        names::IMAGE,
    ));
    for name in ["job.yaml", "cronjob.yaml", "argo-cd.yaml", "tekton.yaml"] {
        let object = documents(&manifest(name)).remove(0);
        let container = container(&object);
        found.push((container["image"].clone(), names::PLUGIN_IMAGE));
        assert_eq!(container["env"][0]["name"], "SVC_REACH_IMAGE", "{name}");
        found.push((container["env"][0]["value"].clone(), names::IMAGE));
    }
    for (image, expected) in found {
        assert_eq!(image, expected);
    }
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

/// What a run lacks whose role lacks a permission.
enum Lack {
    /// These words of a command line end with exit code 4 and this on standard error.
    Names(&'static [&'static str], &'static str),
    /// A mistyped name is not answered with the right one.
    Suggestion,
    /// The report says that the expectation of a cell depends on this.
    Unknown(&'static str),
    /// It cannot be shown on this cluster, and this test shows it elsewhere.
    ShownBy(&'static str, &'static str),
}

const ASK: &[&str] = &["web", "--external", "never"];

/// Every permission that the shipped roles grant, and what becomes of a run without it.
const PERMISSIONS: [(&str, Lack); 15] = [
    (
        "get services",
        Lack::Names(ASK, "the role of this user lacks: get services"),
    ),
    ("list services", Lack::Suggestion),
    (
        "list endpointslices.discovery.k8s.io",
        Lack::Names(
            ASK,
            "the role of this user lacks: list endpointslices.discovery.k8s.io",
        ),
    ),
    (
        "list nodes",
        Lack::Names(ASK, "the role of this user lacks: list nodes"),
    ),
    (
        "get nodes",
        Lack::ShownBy(
            "plugin/src/survey.rs",
            "nodes_with_a_backend_are_read_by_name_where_no_page_held_them",
        ),
    ),
    (
        "create jobs.batch",
        Lack::Names(ASK, ": create jobs.batch\n"),
    ),
    (
        "delete jobs.batch",
        Lack::Names(ASK, ": delete jobs.batch\n"),
    ),
    (
        "list jobs.batch",
        Lack::Names(&["cleanup"], "the role of this user lacks: list jobs.batch"),
    ),
    ("create pods", Lack::Names(ASK, ": create pods\n")),
    ("list pods", Lack::Names(ASK, ": list pods\n")),
    ("watch pods", Lack::Names(ASK, ": watch pods\n")),
    ("get pods/log", Lack::Names(ASK, ": get pods/log\n")),
    (
        "get configmaps/kube-proxy",
        Lack::Unknown("kube-proxy's cluster CIDR"),
    ),
    (
        "get daemonsets.apps/cilium,yangtse-cilium",
        Lack::ShownBy(
            "plugin/src/survey/provider_hints.rs",
            "what_may_not_be_read_is_unknown_and_not_absent",
        ),
    ),
    (
        "get network-attachment-definitions.k8s.cni.cncf.io/default-network",
        Lack::ShownBy(
            "plugin/src/survey/provider_hints.rs",
            "what_may_not_be_read_is_unknown_and_not_absent",
        ),
    ),
];

/// Beside those, of the cluster-wide roles.
const MORE: [(&str, Lack); 1] = [(
    "list ingresses.networking.k8s.io",
    Lack::ShownBy(
        "plugin/src/survey/provider_hints.rs",
        "what_may_not_be_read_is_unknown_and_not_absent",
    ),
)];

/// A permission that a role grants: role, rule, verb, and what it is called.
fn grants(roles: &[Value]) -> Vec<(usize, usize, usize, String)> {
    let mut grants = Vec::new();
    for (role, object) in roles.iter().enumerate() {
        for (rule, content) in object["rules"].as_array().into_iter().flatten().enumerate() {
            for (verb, word) in content["verbs"].as_array().unwrap().iter().enumerate() {
                let one = |field: &str| {
                    let values = content[field].as_array().unwrap();
                    let [value] = &values[..] else {
                        panic!("one of each {field} a rule: {content}")
                    };
                    value.as_str().unwrap().to_owned()
                };
                let (group, resource) = (one("apiGroups"), one("resources"));
                let dot = if group.is_empty() { "" } else { "." };
                // Without the names that it is limited to, it would be another permission.
                let only = content["resourceNames"].as_array();
                let only: Vec<&str> = only
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let slash = if only.is_empty() { "" } else { "/" };
                let name = format!(
                    "{} {resource}{dot}{group}{slash}{}",
                    word.as_str().unwrap(),
                    only.join(",")
                );
                grants.push((role, rule, verb, name));
            }
        }
    }
    grants
}

/// The roles under names of their own, for one user.
fn roles_of(user: &str, mut roles: Vec<Value>) -> Vec<Value> {
    roles.retain(|object| object.get("rules").is_some() || object.get("roleRef").is_some());
    for object in &mut roles {
        let named =
            |name: &Value| Value::from(format!("{user}-{}", name.as_str().unwrap_or_default()));
        object["metadata"]["name"] = named(&object["metadata"]["name"]);
        if object.get("roleRef").is_some() {
            object["roleRef"]["name"] = named(&object["roleRef"]["name"]);
            object["subjects"] =
                json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]);
        }
    }
    roles
}

/// Each permission of the shipped roles is taken away in turn, and what a run then lacks shows; with all of them it lacks
/// nothing.
fn assert_least(
    kubectl: &Kubectl,
    namespace: &Namespace,
    roles: &[Value],
    lacks: &[&(&str, Lack)],
    probes: Option<&Namespace>,
) {
    let lack = |name: &str| {
        let known = lacks.iter().find(|(permission, _)| *permission == name);
        known.map_or_else(
            || panic!("nobody says what {name} is for"),
            |(_, lack)| lack,
        )
    };
    let grants = grants(roles);
    let granted: BTreeSet<&str> = grants.iter().map(|(.., name)| name.as_str()).collect();
    for (permission, _) in lacks {
        assert!(
            granted.contains(permission),
            "the roles do not grant {permission}"
        );
    }
    // All at once, so that the API server need be waited for but once.
    let user = |number: usize| format!("{}-without-{number}", namespace.name);
    let whole = format!("{}-whole", namespace.name);
    let mut objects = Vec::new();
    for (number, (role, rule, verb, name)) in grants.iter().enumerate() {
        if matches!(lack(name), Lack::ShownBy(..)) {
            continue;
        }
        let mut fewer = roles.to_vec();
        let rules = fewer[*role]["rules"].as_array_mut().unwrap();
        let verbs = rules[*rule]["verbs"].as_array_mut().unwrap();
        verbs.remove(*verb);
        if verbs.is_empty() {
            rules.remove(*rule);
        }
        objects.extend(roles_of(&user(number), fewer));
    }
    objects.extend(roles_of(&whole, roles.to_vec()));
    let _applied = Applied::new(kubectl, objects);
    let run = |user: &str, words: &[&str]| {
        let words = [&["svc-reach"], words, &["--as", user]].concat();
        match (probes, words[1]) {
            (None, _) | (_, "explain") => kubectl.run(&namespace.args(&words)),
            (Some(probes), "cleanup") => kubectl.run(&probes.args(&words)),
            (Some(probes), _) => kubectl
                .run(&namespace.args(&[&words[..], &["--probe-namespace", &probes.name]].concat())),
        }
    };
    until(
        "the last of the roles to count",
        Duration::from_secs(60),
        || {
            let output = run(&whole, &["explain", "web"]);
            if output.code == Some(0) {
                Ok(())
            } else {
                Err(output.to_string())
            }
        },
    );

    for (number, (.., name)) in grants.iter().enumerate() {
        let user = user(number);
        let without = |words: &[&str]| run(&user, words);
        match lack(name) {
            Lack::Names(words, says) => {
                let output = without(words);
                assert_eq!(output.code, Some(4), "without {name}: {output}");
                assert!(output.stderr.contains(says), "without {name}: {output}");
                println!("without {name}: {}", says.trim());
            }
            Lack::Suggestion => {
                let suggests = |output: &Output| output.stderr.contains("did you mean web?");
                let words = ["webb", "--external", "never"];
                let (with, without) = (run(&whole, &words), without(&words));
                assert!(suggests(&with), "{with}");
                assert!(
                    !suggests(&without) && without.code == Some(4),
                    "without {name}: {without}"
                );
                println!("without {name}: no suggestion");
            }
            Lack::Unknown(what) => {
                let words = [ASK, &["-o", "json"]].concat();
                let (with, without) = (run(&whole, &words), without(&words));
                assert_eq!(with.code, Some(0), "{with}");
                assert!(!with.stdout.contains(what), "{with}");
                assert!(without.stdout.contains(what), "without {name}: {without}");
                println!("without {name}: {what} is not known");
            }
            Lack::ShownBy(file, test) => {
                let text = fs::read_to_string(root().join(file)).unwrap();
                assert!(
                    text.contains(&format!("fn {test}(")),
                    "{file} has no {test}"
                );
                println!("without {name}: {test} in {file}");
            }
        }
    }
    let cleanup = run(&whole, &["cleanup"]);
    assert_eq!(cleanup.code, Some(0), "{cleanup}");
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_run_needs_each_permission_of_the_namespaced_roles_and_no_other() {
    let (kubectl, namespace) = with_web("Local");
    let mut roles = namespaced_roles(&namespace.name);
    roles.retain(|object| object["kind"] != "ServiceAccount");
    let lacks: Vec<_> = PERMISSIONS.iter().collect();
    assert_least(&kubectl, &namespace, &roles, &lacks, None);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_run_needs_each_permission_of_the_cluster_wide_roles_and_no_other() {
    let (kubectl, namespace) = with_web("Local");
    let probes = Namespace::new(
        &kubectl,
        &json!({"pod-security.kubernetes.io/enforce": "privileged"}),
    );
    let roles = cluster_roles(&probes.name);
    let lacks: Vec<_> = PERMISSIONS.iter().chain(&MORE).collect();
    assert_least(&kubectl, &namespace, &roles, &lacks, Some(&probes));
    assert_eq!(probes.leftovers(), [""; 0]);
}

/// Renders a template of Helm's as far as ours go: lookups, and lists by `toJson`. Whatever else stands there fails.
fn rendered(template: &str, values: &Value, release: &str) -> Value {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap();
        text.push_str(before);
        let words: Vec<&str> = action.split_whitespace().collect();
        let value = |path: &str| {
            let path = path.strip_prefix(".Values").unwrap().replace('.', "/");
            values
                .pointer(&path)
                .unwrap_or_else(|| panic!("no value {path}"))
                .clone()
        };
        match words[..] {
            [".Release.Name"] => text.push_str(release),
            ["toJson", path] => text.push_str(&value(path).to_string()),
            [path] => text.push_str(value(path).as_str().unwrap()),
            _ => panic!("{action}: more than this test renders"),
        }
        rest = after;
    }
    text.push_str(rest);
    documents(&text).remove(0)
}

/// The pod of the Helm test.
fn helm_test(args: Option<&[&str]>) -> Value {
    let mut values = documents(&manifest("helm/values.yaml")).remove(0);
    if let Some(args) = args {
        values["svcReach"]["args"] = json!(args);
    }
    rendered(
        &manifest("helm/templates/tests/svc-reach.yaml"),
        &values,
        "shop",
    )
}

/// The pod that Tekton would make of the Task's step, less what Tekton itself adds.
fn tekton_pod(service: &str, namespace: &str, args: Option<&[&str]>) -> Value {
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
        assert!(!word.contains("$("), "{word}: more than this test replaces");
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

/// Whether the API server has CronJobs as the manifest names them; before 1.21 it has them as the manifest says beside that.
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

/// Every way in which the plugin runs in a cluster: what it is called, the object, and what selects its pod.
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

/// Waits until the pod has ended; returns its exit code and its log.
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
fn whatever_runs_it_in_the_cluster_ends_as_the_run_does() {
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
            // None of them but Tekton's names a namespace: it is that of the ServiceAccount.
            assert!(
                log.contains(&format!("Service {}/web", namespace.name)),
                "{form}: {log}"
            );
            // In a cluster there is no position outside of it.
            let words: Vec<&str> = log.split_whitespace().collect();
            assert!(
                words.join(" ").contains("which is not outside"),
                "{form}: {log}"
            );
            if let Some(job) = selector.strip_prefix("job-name=") {
                until("the Job to say how it ended", RUN, || {
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

/// The commands that the Job's file tells, with a kubectl that answers as an API server does to a Job that has ended.
#[test]
fn the_commands_that_await_the_job_end_whichever_way_it_does() {
    let text = manifest("job.yaml");
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let of_readme: Vec<String> = lines
        .iter()
        .map(|line| format!("    {}\n", line.replace("default", "web")))
        .collect();
    assert!(readme.contains(&of_readme.concat()), "{of_readme:#?}");
    let folder = Folder::new("await");
    let kubectl = folder.join("kubectl");
    let script = "#!/bin/sh\ncase \"$*\" in\n*exitCode*) printf %s \"$CODE\" ;;\n*conditions*) printf %s \"$CONDITIONS\" ;;\nesac\n";
    fs::write(&kubectl, script).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    for (conditions, code, expected) in [
        ("Complete", "0", 0),
        ("SuccessCriteriaMet Complete", "0", 0),
        ("Failed", "3", 3),
        ("FailureTarget Failed", "1", 1),
        // At the Job's deadline its pod is removed.
        ("FailureTarget Failed", "", 2),
    ] {
        let status = Command::new("bash")
            .args(["-c", &lines.join("\n")])
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("CONDITIONS", conditions)
            .env("CODE", code)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{conditions}, {code:?}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn what_runs_it_in_the_cluster_fits_pod_security_restricted() {
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
        // That anybody looked.
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
        // Without, a namespace whose quota is on limits refuses the pod.
        for resource in ["cpu", "memory"] {
            let limit = &container["resources"]["limits"][resource];
            assert!(limit.is_string(), "{form}: {resource}");
        }
    }
}

/// A pod whose account is not known any more: a token that nobody accepts stands where its own would.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_refused_token_ends_a_run_in_the_cluster_with_a_word_on_it() {
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
    // Which of the first calls is answered first is chance.
    let refused = format!(
        "Service {}/nginx: the API server answered 401",
        namespace.name
    );
    assert!(
        log.contains("error: failed to ") && log.contains(&refused),
        "{log}"
    );
}

/// Whoever pins the probe's image to a digest gets that one, or a report that says that it was not there.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_image_of_the_probe_can_be_pinned_to_its_digest() {
    let (kubectl, namespace) = with_web("Cluster");
    // The server of these tests is the same image; the kubelet says which one that was.
    let pod = kubectl.object(&namespace.args(&["get", "pod", "web-0"]));
    let status = &pod["status"]["containerStatuses"][0];
    let (_, digest) = status["imageID"].as_str().unwrap().split_once('@').unwrap();
    let ask = |digest: &str| {
        let image = format!("{}@{digest}", names::IMAGE);
        let words = [
            "svc-reach",
            "web",
            "--only",
            "pod-other,cluster-ip",
            "--image",
            &image,
        ];
        kubectl.run(&namespace.args(&words))
    };
    let output = ask(digest);
    assert_eq!(output.code, Some(0), "{output}");
    let output = ask(&format!("sha256:{}", "0".repeat(64)));
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stdout.contains("ImagePull"), "{output}");
}

/// Runs a program of tests/requirements.txt.
fn schemas(args: &[&str]) -> (bool, String) {
    let output = Command::new(root().join("tests/schemas"))
        .args(args)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
#[ignore = "needs the schemas that PyPI has: tests/run fetches them"]
fn every_manifest_fits_the_schemas_of_every_version() {
    let folder = Folder::new("schemas");
    let native = NATIVE.iter().map(|name| (*name, *VERSIONS.start()));
    let mut files: Vec<(PathBuf, usize, u32)> = native
        .chain(SINCE)
        .map(|(name, since)| {
            let objects = documents(&manifest(name)).len();
            (root().join("manifests").join(name), objects, since)
        })
        .collect();
    for (name, pod) in [
        ("helm.json", helm_test(None)),
        ("tekton.json", tekton_pod("nginx", "default", None)),
    ] {
        fs::write(folder.join(name), pod.to_string()).unwrap();
        files.push((folder.join(name), 1, *VERSIONS.start()));
    }
    let mut pod = helm_test(None);
    pod["spec"]["activeDeadlineSecond"] = 1.into();
    let misspelt = folder.join("misspelt.json");
    fs::write(&misspelt, pod.to_string()).unwrap();

    let mut failures = Vec::new();
    for minor in VERSIONS {
        let version = format!("1.{minor}");
        let path = |(file, ..): &(PathBuf, usize, u32)| file.to_str().unwrap().to_owned();
        let of_version = || files.iter().filter(|(.., since)| *since <= minor);
        let paths: Vec<String> = of_version().map(path).collect();
        let mut args = vec!["kubernetes-validate", "--strict", "-k", &version];
        args.extend(paths.iter().map(String::as_str));
        args.push(misspelt.to_str().unwrap());
        let (_, said) = schemas(&args);
        let lines = |file: &Path, begin: &str, end: &str| {
            let begin = format!("{begin} {} ", file.display());
            let of_file = said.lines().filter(|line| line.starts_with(&begin));
            of_file.filter(|line| line.contains(end)).count()
        };
        let against = format!("against version {version}");
        for (file, objects, _) in of_version() {
            let name = file.file_name().unwrap().display();
            // A kind without a schema is a warning there, and no success here.
            if lines(file, "INFO", &against) == *objects {
                println!("{name} fits {version}: {objects}");
            } else {
                failures.push(format!("{name} does not fit {version}: {said}"));
            }
        }
        assert_eq!(
            lines(&misspelt, "ERROR", "activeDeadlineSecond"),
            1,
            "{said}"
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "needs the schemas that PyPI has: tests/run fetches them"]
fn the_workflows_fit_the_schema_of_github() {
    let check = |file: &Path| {
        schemas(&[
            "check-jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            file.to_str().unwrap(),
        ])
    };
    let ours = root().join("manifests/github-actions.yaml");
    for file in [&ours, &root().join(".github/workflows/release.yaml")] {
        let (fits, said) = check(file);
        assert!(fits, "{}: {said}", file.display());
    }
    let folder = Folder::new("workflow");
    let wrong = folder.join("wrong.yaml");
    fs::write(
        &wrong,
        manifest("github-actions.yaml").replace("runs-on:", "run-on:"),
    )
    .unwrap();
    let (fits, said) = check(&wrong);
    assert!(!fits && said.contains("run-on"), "{said}");
}

/// The workflow's own steps, in a shell as GitHub runs them, with an archive of this plugin.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_workflow_installs_what_it_checked_and_asks() {
    let (kubectl, namespace) = with_web("Cluster");
    let folder = Folder::new("runner");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (program, archive) = (
        plugin_folder().join("kubectl-svc_reach"),
        file("archive.tar.gz"),
    );
    fs::create_dir_all(file("man")).unwrap();
    for (program, args) in [
        (program.clone(), vec!["__man".to_owned(), file("man")]),
        (
            root().join("packaging/pack"),
            vec![
                program.to_str().unwrap().to_owned(),
                "linux-amd64".to_owned(),
                file("man"),
                archive.clone(),
            ],
        ),
    ] {
        assert!(Command::new(program).args(args).status().unwrap().success());
    }
    let sum = Command::new("sha256sum")
        .arg(&archive)
        .output()
        .unwrap()
        .stdout;
    let sum = String::from_utf8(sum).unwrap();
    let sum = sum.split_whitespace().next().unwrap();

    let workflow = documents(&manifest("github-actions.yaml")).remove(0);
    let job = &workflow["jobs"]["svc-reach"];
    let script = |name: &str| {
        let steps = job["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["name"] == name).unwrap();
        step["run"].as_str().unwrap().to_owned()
    };
    let install = |sum: &str| {
        Command::new("bash")
            .args(["-e", "-c", &script("Install")])
            .env("ARCHIVE", format!("file://{archive}"))
            .env("SHA256", sum)
            .env("RUNNER_TEMP", folder.path())
            .env("GITHUB_PATH", file("path"))
            .output()
            .unwrap()
    };
    let placeholder = job["env"]["SHA256"].as_str().unwrap();
    let refused = install(placeholder);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(
        !folder.join("path").exists(),
        "nothing that was not checked is installed"
    );
    let installed = install(sum);
    assert!(installed.status.success(), "{installed:?}");

    let ask = script("Ask").replace(
        "nginx --namespace default",
        &format!("web --namespace {}", namespace.name),
    );
    assert!(ask.contains(&namespace.name));
    let kubeconfig = Command::new(kubectl.testbed())
        .args(["kubeconfig", "client"])
        .output()
        .unwrap()
        .stdout;
    let kubeconfig = String::from_utf8(kubeconfig).unwrap();
    let path = fs::read_to_string(file("path")).unwrap();
    let output = Command::new(kubectl.testbed())
        .args(["enter", "client", "bash", "-e", "-c", &ask])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", path.trim()),
        )
        .env("CONTENT", fs::read_to_string(kubeconfig.trim()).unwrap())
        .env("RUNNER_TEMP", folder.path())
        .env("GITHUB_STEP_SUMMARY", file("summary.md"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let service = format!("{}/web", namespace.name);
    for name in ["summary.md", "svc-reach.xml", "svc-reach.json"] {
        assert!(
            text(name).contains(&service) || text(name).contains(&namespace.name),
            "{name}: {}",
            text(name)
        );
    }
    assert!(
        !folder.join("kubeconfig").exists(),
        "the kubeconfig does not stay"
    );
}
