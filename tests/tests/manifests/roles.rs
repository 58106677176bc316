//! The shipped roles grant what a run needs, and no more.

use crate::{Applied, documents, manifest, namespaced_roles, root, with_web};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, time::Duration};
use svc_reach_tests::{
    kubectl::{Kubectl, Output},
    namespace::Namespace,
    wait::until,
};

/// The cluster-wide roles, with the test's own namespace for the probes.
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

/// What happens to a run without a certain permission.
enum Lack {
    /// The command with these arguments ends with exit code 4, and standard error contains this text.
    Names(&'static [&'static str], &'static str),
    /// A mistyped name gets no suggestion.
    Suggestion,
    /// The report says that the expectation of a cell depends on this unknown fact.
    Unknown(&'static str),
    /// This cluster cannot show it. The test in this file does: file, name of the test.
    ShownBy(&'static str, &'static str),
}

const ASK: &[&str] = &["web", "--external", "never"];

/// Every permission that the shipped roles grant, and what happens to a run without it.
const PERMISSIONS: [(&str, Lack); 18] = [
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
    ("list nodes", Lack::Unknown("this user may not list nodes")),
    (
        "get nodes",
        Lack::ShownBy(
            "plugin/src/survey.rs",
            "missing_backend_nodes_are_read_by_name",
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
        "list ingresses.networking.k8s.io",
        Lack::ShownBy(
            "plugin/src/survey/ingresses.rs",
            "ingresses_that_may_not_be_read_are_unknown",
        ),
    ),
    (
        "list networkpolicies.networking.k8s.io",
        Lack::ShownBy(
            "plugin/src/survey/network_policies/tests.rs",
            "a_missing_permission_is_a_note",
        ),
    ),
    (
        "get namespaces",
        Lack::ShownBy(
            "plugin/src/survey/network_policies/tests.rs",
            "a_missing_permission_is_a_note",
        ),
    ),
    (
        "get configmaps/kube-proxy,kube-proxy-config,cilium-config",
        Lack::Unknown("kube-proxy's cluster CIDR"),
    ),
    (
        "list daemonsets.apps",
        Lack::ShownBy(
            "plugin/src/survey/provider_hints.rs",
            "forbidden_objects_are_unknown_and_not_absent",
        ),
    ),
    (
        "get network-attachment-definitions.k8s.cni.cncf.io/default-network",
        Lack::ShownBy(
            "plugin/src/survey/provider_hints.rs",
            "forbidden_objects_are_unknown_and_not_absent",
        ),
    ),
];

/// Further permissions of the roles of one namespace. The cluster-wide roles grant more than these.
const NAMESPACED: [(&str, Lack); 2] = [
    (
        "get services/kube-dns",
        Lack::ShownBy(
            "plugin/src/survey/network_policies/tests.rs",
            "the_servers_of_the_clusters_dns_are_read_if_a_policy_isolates_the_probes",
        ),
    ),
    (
        "get endpoints/kube-dns",
        Lack::ShownBy(
            "plugin/src/survey/network_policies/tests.rs",
            "the_servers_of_the_clusters_dns_are_read_if_a_policy_isolates_the_probes",
        ),
    ),
];

/// Every permission that the roles grant: the indexes of role, rule and verb, and its name as in [`PERMISSIONS`].
fn grants(roles: &[Value]) -> Vec<(usize, usize, usize, String)> {
    let mut grants = Vec::new();
    for (role, object) in roles.iter().enumerate() {
        for (rule, content) in object["rules"].as_array().into_iter().flatten().enumerate() {
            for (verb, word) in content["verbs"].as_array().unwrap().iter().enumerate() {
                let one = |field: &str| {
                    let values = content[field].as_array().unwrap();
                    let [value] = &values[..] else {
                        panic!("a rule must have exactly one of {field}: {content}")
                    };
                    value.as_str().unwrap().to_owned()
                };
                let (group, resource) = (one("apiGroups"), one("resources"));
                let dot = if group.is_empty() { "" } else { "." };
                // The resource names are part of the permission's name. A rule without them would grant more.
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

/// Copies of the roles and bindings for one user, with their own names.
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

/// Asserts that a run needs every permission of the roles, and no other. It removes each permission in turn and checks
/// what happens to the run. With all permissions, the run succeeds.
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
            || panic!("add {name} to the list of permissions, with what it is needed for"),
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
    // Apply all roles together, so that there is only one wait for the API server.
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
        "the last of the roles to take effect",
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
                println!("without {name}: {what} is unknown");
            }
            Lack::ShownBy(file, test) => {
                let text = fs::read_to_string(root().join(file)).unwrap();
                assert!(
                    text.contains(&format!("fn {test}(")),
                    "{file} has no test {test}"
                );
                println!("without {name}: see {test} in {file}");
            }
        }
    }
    let cleanup = run(&whole, &["cleanup"]);
    assert_eq!(cleanup.code, Some(0), "{cleanup}");
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_printed_permissions_are_enough_for_a_run() {
    let (kubectl, namespace) = with_web("Cluster");
    let user = format!("{}-user", namespace.name);
    let printed = kubectl.run(&namespace.args(&[
        "svc-reach",
        "permissions",
        "--for",
        &format!("user:{user}"),
    ]));
    assert_eq!(printed.code, Some(0), "{printed}");
    let _applied = Applied::new(&kubectl, documents(&printed.stdout));
    // The role of the namespace may take effect before that of the cluster.
    until("the roles to take effect", Duration::from_secs(60), || {
        let words = [ASK, &["-o", "json", "--as", &user]].concat();
        let output = kubectl.run(&namespace.args(&[&["svc-reach"], &words[..]].concat()));
        let listed = !output.stdout.contains("nodes-unlisted");
        match output.code {
            Some(0) if listed => Ok(()),
            _ => Err(output.to_string()),
        }
    });
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_namespaced_roles_grant_no_more_than_a_run_needs() {
    let (kubectl, namespace) = with_web("Local");
    let mut roles = namespaced_roles(&namespace.name);
    roles.retain(|object| object["kind"] != "ServiceAccount");
    let lacks: Vec<_> = PERMISSIONS.iter().chain(&NAMESPACED).collect();
    assert_least(&kubectl, &namespace, &roles, &lacks, None);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_cluster_wide_roles_grant_no_more_than_a_run_needs() {
    let (kubectl, namespace) = with_web("Local");
    let probes = Namespace::new(
        &kubectl,
        &json!({"pod-security.kubernetes.io/enforce": "privileged"}),
    );
    let roles = cluster_roles(&probes.name);
    let lacks: Vec<_> = PERMISSIONS.iter().collect();
    assert_least(&kubectl, &namespace, &roles, &lacks, Some(&probes));
    assert_eq!(probes.leftovers(), [""; 0]);
}
