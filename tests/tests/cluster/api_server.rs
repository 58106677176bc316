//! Requests to the API server: which ones a run makes, and what it says if one fails.

use crate::{from_inside, with};
use serde_json::json;
use svc_reach_tests::{
    fixture::{apply, service},
    kubectl::Kubectl,
    namespace::Namespace,
};

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn missing_permissions_are_named_before_anything_is_created() {
    let (kubectl, namespace) = with(&json!({}), 1);
    let user = format!("reader-of-{}", namespace.name);
    let reader = [
        (
            "ClusterRole",
            json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "get"]}]),
        ),
        (
            "Role",
            json!([
                {"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpoints", "endpointslices"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
            ]),
        ),
    ];
    for (kind, rules) in reader {
        let api = "rbac.authorization.k8s.io";
        let mut role = json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": {"name": user}, "rules": rules});
        let mut binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": {"name": user},
            "roleRef": {"apiGroup": api, "kind": kind, "name": user},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        if kind == "Role" {
            for object in [&mut role, &mut binding] {
                object["metadata"]["namespace"] = namespace.name.clone().into();
            }
        }
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}));
    }
    let output =
        kubectl.run(&namespace.args(&["svc-reach", "web", "--external", "never", "--as", &user]));
    let _ = kubectl.run(&["delete", "clusterrole,clusterrolebinding", &user]);
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains("create jobs.batch, delete jobs.batch, create pods"),
        "{output}"
    );
    assert!(
        output.stderr.contains("kubectl svc-reach permissions"),
        "{output}"
    );
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_missing_service_is_named() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let output = kubectl.run(&namespace.args(&["svc-reach", "web"]));
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains(&format!("failed to get Service {}/web", namespace.name)),
        "{output}"
    );
    assert_eq!(output.stdout, "", "{output}");
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn other_services_cost_no_api_requests() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let calls = || {
        let run = from_inside(&kubectl, &namespace, &["-v"]);
        let log = &run.output.stderr;
        let at = log
            .rfind("calls=")
            .unwrap_or_else(|| panic!("the number of API calls is not logged\n{}", run.output));
        log[at + 6..]
            .split_whitespace()
            .next()
            .and_then(|number| number.parse::<u32>().ok())
            .unwrap()
    };
    let before = calls();
    // Kubernetes before 1.21 has no v1 of EndpointSlices. That costs two requests more.
    assert!(before <= 32, "{before} requests for one Service");
    let more = (0..100).map(|i| {
        let mut service = service(&json!({"selector": {"app": "nobody"}}));
        service["metadata"]["name"] = format!("more-{i}").into();
        service
    });
    apply(&kubectl, &namespace, more.collect());
    let after = calls();
    // Timing can add one or two requests, for example to read a log again.
    assert!(
        after <= before + 2,
        "{after} requests with 100 more Services, {before} without them"
    );
}
