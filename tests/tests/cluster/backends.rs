//! Number, place and readiness of backends.

use crate::{IN_CLUSTER, from_inside, with};
use serde_json::json;
use std::time::Duration;
use svc_reach_common::{
    observation::ObservedValue::{Reachable, Unreachable},
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::Backend,
        Relation::Remote,
        TargetKind::{ClusterIp, NodePort, PodIp},
    },
    verdict::Verdict,
};
use svc_reach_tests::{
    fixture::{apply, await_endpoints, await_proxies, nodes, server, service},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{node_port, of},
    wait::until,
};

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn every_backend_is_checked() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 2);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    assert_eq!(
        run.cells(PodOther, of(PodIp)).len(),
        2,
        "each backend is a target"
    );
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    assert_eq!(
        run.cells(PodOther, of(ClusterIp))[0].observed.of,
        Some(6),
        "three attempts for each backend"
    );
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_service_with_a_backend_on_every_node_is_complete() {
    let kubectl = Kubectl::from_environment();
    let all = nodes(&kubectl).len();
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), all);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&[NodeSame, PodSame], of(ClusterIp), Reachable);
    run.expect_absent(&[NodeOther, PodOther], "every node runs a backend");
    run.expect_from(&[NodeSame, PodSame], node_port(Backend, Remote), Reachable);
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_service_without_a_backend_is_an_outage() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 0);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_absent(&[NodeSame, PodSame], "no ready endpoint");
    run.expect_from(&[NodeOther, PodOther], of(ClusterIp), Unreachable);
    // A node limits its ICMP errors. None of the refusals may look like a timeout. If a busy machine loses one, the second
    // round counts instead.
    for cell in run
        .report
        .cells
        .iter()
        .filter(|cell| cell.position == PodOther)
    {
        let counts = cell.observed.reason.split(';').next();
        assert_eq!(counts, Some("refused"), "{cell:?}");
    }
    let cell = run.cells(PodOther, of(ClusterIp))[0];
    assert_eq!(
        cell.verdict,
        Verdict::AsExpected,
        "the documents say nothing, so the model decides"
    );
    assert_eq!(
        run.report.outage.as_deref(),
        Some("no pod matches its selector app=web")
    );
    run.expect_exit(1);
    let table = kubectl.run(&namespace.args(&["svc-reach", "web", "--external", "never"]));
    let first = "web: nothing can answer, because no pod matches its selector app=web. ";
    assert!(table.stdout.starts_with(first), "{table}");
    let wanted = ["--require-unreachable", "pod-other:cluster-ip"];
    from_inside(&kubectl, &namespace, &wanted).expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_outage_names_the_reason_of_an_unready_pod() {
    let (kubectl, namespace) = with(&json!({}), 0);
    let node = nodes(&kubectl)[0].clone();
    let mut pod = server("web-0", &node);
    pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] = "/no/such/path".into();
    pod["spec"]["containers"][0]["args"] = json!(["serve", "--port", "9090"]);
    apply(&kubectl, &namespace, vec![pod]);
    until("the pod to run", Duration::from_secs(180), || {
        let phase = ["get", "pod", "web-0", "-o", "jsonpath={.status.phase}"];
        match kubectl.succeed(&namespace.args(&phase)).as_str() {
            "Running" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    let run = from_inside(&kubectl, &namespace, &["--only", "pod-other,cluster-ip"]);
    assert_eq!(
        run.report.outage.as_deref(),
        Some(
            "its only pod web-0 is not ready (ContainersNotReady: containers with unready status: [web])"
        )
    );
    run.expect_exit(1);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_can_wait_for_a_ready_backend() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    apply(&kubectl, &namespace, vec![service(&json!({}))]);
    // Check only the pod IP, because kube-proxy may start to forward a little after the backend is ready.
    let args = ["svc-reach", "web", "--only", "pod-other,pod-ip"];
    let output = kubectl.run(&namespace.args(&[&args[..], &["--wait", "1s"]].concat()));
    assert_eq!(output.code, Some(4), "{output}");
    assert!(
        output
            .stderr
            .contains("still has no ready backend after 1 s"),
        "{output}"
    );
    let mut child = kubectl.spawn(&namespace.args(&[&args[..], &["--wait", "180s"]].concat()));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_backend_on_the_host_network_is_reached() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    let mut pod = server("web-0", &node);
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["containers"][0]["args"] = json!(["serve", "--port", "28080"]);
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 28080}]);
    pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = 28080.into();
    let service = service(
        &json!({"type": "NodePort", "ports": [{"name": "http", "port": 80, "targetPort": 28080}]}),
    );
    apply(&kubectl, &namespace, vec![service, pod]);
    await_endpoints(&kubectl, &namespace, 1);
    await_proxies(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    for kind in [PodIp, ClusterIp, NodePort] {
        run.expect_from(&IN_CLUSTER, of(kind), Reachable);
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_service_without_a_selector_uses_its_manual_endpoints() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    let ip = until("an address of the pod", Duration::from_secs(180), || {
        let pod = kubectl.object(&namespace.args(&["get", "pod", "web-0"]));
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        pod["status"]["podIP"]
            .as_str()
            .filter(|_| ready)
            .map(str::to_owned)
            .ok_or_else(|| pod["status"].to_string())
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "http", "port": 8080}]}],
    });
    apply(
        &kubectl,
        &namespace,
        vec![service(&json!({"selector": null})), endpoints],
    );
    until("a slice of the endpoints", Duration::from_secs(90), || {
        let slices = kubectl.object(&namespace.args(&["get", "endpointslices"]));
        if slices["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty())
        {
            Ok(())
        } else {
            Err(slices.to_string())
        }
    });
    await_proxies(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_absent(&[NodeSame, PodSame], "no ready endpoint names its node");
    run.expect_from(&[NodeOther, PodOther], of(ClusterIp), Reachable);
    run.expect_exit(0);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_failure_right_after_a_deploy_comes_with_a_warning() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    apply(&kubectl, &namespace, vec![server("web-0", &node)]);
    let ready = ["wait", "--for=condition=Ready", "pod/web-0"];
    namespace.kubectl(&[&ready[..], &["--timeout=180s"]].concat());
    // Create the Service last, so that it is new even if the pod took long to start. The pod is ready, but nothing
    // listens on the Service's target port.
    let ports = json!([{"name": "http", "port": 80, "targetPort": 9}]);
    apply(
        &kubectl,
        &namespace,
        vec![service(&json!({"ports": ports}))],
    );
    await_endpoints(&kubectl, &namespace, 1);
    let run = from_inside(&kubectl, &namespace, &["--only", "pod-other,cluster-ip"]);
    run.expect(PodOther, of(ClusterIp), Unreachable);
    let advisories = &run.report.advisories;
    let warning = advisories
        .iter()
        .find(|advisory| advisory.id == "just-changed");
    let warning = warning
        .unwrap_or_else(|| panic!("no warning that the Service just changed: {advisories:?}"));
    assert!(
        warning.text.contains("before the probes ran"),
        "{warning:?}"
    );
    run.expect_exit(1);
}
