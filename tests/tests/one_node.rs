//! On a cluster of one node, a run checks everything that exists there, and can end with exit code 0.

use serde_json::{Value, json};
use std::time::Duration;
use svc_reach_common::{
    observation::ObservedValue::Reachable,
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::TargetKind::{ClusterIp, Dns, NodePort},
};
use svc_reach_tests::{
    fixture::{IMAGE, apply, await_endpoints_of, await_proxies_of, deploy_named, nodes, service},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{ask_several, of, reported},
    wait::until,
};

/// A DaemonSet whose pods answer on port 8080.
fn daemon_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "daemon"},
        "spec": {
            "selector": {"matchLabels": {"app": "daemon"}},
            "template": {
                "metadata": {"labels": {"app": "daemon"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
                    "name": "web", "image": IMAGE, "args": ["serve", "--port", "8080"],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

/// A Service of this name and spec.
fn named(name: &str, spec: &Value) -> Value {
    let mut service = service(spec);
    service["metadata"]["name"] = name.into();
    service
}

/// One test, because `tests/run` brings up a cluster of its own for it.
#[test]
#[ignore = "needs a cluster of one node: tests/run brings one up"]
fn every_kind_of_service_is_complete_on_one_node() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let nodes = nodes(&kubectl);
    assert_eq!(nodes.len(), 1, "this test needs a cluster of one node");
    let node_port = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    deploy_named(&kubectl, &namespace, "web", &[&nodes[0]], &node_port);
    let daemon = named(
        "daemon",
        &json!({"type": "NodePort", "selector": {"app": "daemon"}}),
    );
    let alias = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias"},
        "spec": {"type": "ExternalName", "externalName": "example.invalid"},
    });
    // The only server outside the nodes that every cluster has is the API server.
    let endpoints = kubectl.object(&["get", "endpoints", "kubernetes", "-n", "default"]);
    let subsets = endpoints["subsets"].clone();
    let port =
        json!([{"name": "https", "port": 443, "targetPort": subsets[0]["ports"][0]["port"]}]);
    let manual = named("manual", &json!({"selector": null, "ports": port}));
    let outside = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "manual"}, "subsets": subsets,
    });
    let down = named("down", &json!({"selector": {"app": "nobody"}}));
    let all = vec![daemon_set(), daemon, alias, manual, outside, down];
    apply(&kubectl, &namespace, all);
    // kube-proxy reads slices, and another controller makes them from the Endpoints.
    until("a slice of the endpoints", Duration::from_secs(90), || {
        let of_service = [
            "get",
            "endpointslices",
            "-l",
            "kubernetes.io/service-name=manual",
        ];
        let slices = kubectl.object(&namespace.args(&of_service));
        match slices["items"].as_array() {
            Some(items) if !items.is_empty() => Ok(()),
            _ => Err(slices.to_string()),
        }
    });
    for name in ["daemon", "manual"] {
        await_endpoints_of(&kubectl, &namespace, name, 1);
        await_proxies_of(&kubectl, &namespace, name, 1);
    }

    let args = ["web", "daemon", "alias", "manual", "down"];
    let more = ["--external", "never", "--probe-namespace", &namespace.name];
    let args: Vec<&str> = args.iter().chain(&more).copied().collect();
    let runs = ask_several(&kubectl, &namespace, &args);
    let [web, daemon, alias, manual, down] = &runs[..] else {
        panic!("a report for each Service");
    };
    let args = [
        &["svc-reach", "kubernetes", "-n", "default", "-o", "json"],
        &more[..],
    ]
    .concat();
    let kubernetes = &reported(kubectl.run(&args));
    for run in [web, daemon, alias, manual, kubernetes] {
        let report = &run.report;
        let name = &report.service.name;
        assert_eq!(report.summary.exit_code, 0, "{name}: {:#?}", report.cells);
    }
    for run in [web, daemon] {
        run.expect_as_predicted();
        for kind in [ClusterIp, Dns, NodePort] {
            run.expect_from(&[NodeSame, PodSame], of(kind), Reachable);
        }
        run.expect_absent(&[NodeOther, PodOther], "only one node");
    }
    for run in [manual, kubernetes] {
        run.expect_as_predicted();
        run.expect_from(&[NodeOther, PodOther], of(ClusterIp), Reachable);
        run.expect_absent(&[NodeSame, PodSame], "no ready endpoint names its node");
    }
    alias.expect_absent(&[NodeSame, NodeOther, PodSame, PodOther], "an alias");
    let why = down.report.outage.as_deref();
    assert_eq!(why, Some("no pod matches its selector app=nobody"));
    assert_eq!(down.report.summary.exit_code, 1);
    assert_eq!(namespace.leftovers(), [""; 0]);
}
