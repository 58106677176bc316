//! Runs of the plugin that need features of the test cluster: two classes of load balancer, a client outside the
//! cluster but inside its VPC, and admission that refuses pods.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::json;
use std::{net::IpAddr, time::Duration};
use svc_reach_common::{
    observation::ObservedValue::{Reachable, Unreachable},
    position::Position::{self, External, NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::{Backend, Other},
        Relation::Remote,
        TargetKind::{ClusterIp, HealthCheckNodePort, LoadBalancer, NodePort},
    },
    verdict::{Basis, ExpectedValue, Verdict},
};
use svc_reach_tests::{
    fixture::{await_answer, deploy, deploy_named, load_balancer, nodes, service},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, ask, ask_several, node_port, of},
    wait::until,
};

const IN_CLUSTER: [Position; 4] = [NodeSame, NodeOther, PodSame, PodOther];

/// The client's address in the VPC.
const CLIENT: &str = "192.168.60.100";

/// A Service with one backend, behind a load balancer of this class: `union` is shared, `performance` is dedicated.
/// When this returns, the load balancer has answered the client once.
fn behind(class: &str, pass_through: bool, policy: &str) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let mut service = service(&json!({"type": "LoadBalancer", "externalTrafficPolicy": policy}));
    service["metadata"]["annotations"] = json!({"kubernetes.io/elb.class": class});
    if pass_through {
        service["metadata"]["annotations"]["kubernetes.io/elb.pass-through"] = "true".into();
    }
    let node = nodes(&kubectl)[0].clone();
    deploy(&kubectl, &namespace, &[&node], &service);
    let address = load_balancer(&kubectl, &namespace);
    await_answer(&kubectl, &address);
    (kubectl, namespace)
}

/// The client address that the backend saw in a position's requests through the load balancer.
fn client_seen(run: &Run, position: Position) -> Option<IpAddr> {
    run.cells(position, of(LoadBalancer))[0]
        .observed
        .client_ip_seen
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_load_balancer_with_policy_cluster_is_reached_from_everywhere() {
    for class in ["union", "performance"] {
        let (kubectl, namespace) = behind(class, false, "Cluster");
        let run = ask(&kubectl, &namespace, &[]);
        run.expect_as_predicted();
        run.expect_from(&IN_CLUSTER, of(LoadBalancer), Reachable);
        run.expect_from(&[External], of(LoadBalancer), Reachable);
        run.expect_from(&IN_CLUSTER, of(NodePort), Reachable);
        run.expect(External, of(NodePort), Reachable);
        run.expect_exit(0);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_load_balancer_with_policy_local_is_reached_from_everywhere() {
    for (class, seen) in [("union", None), ("performance", Some(CLIENT))] {
        let (kubectl, namespace) = behind(class, false, "Local");
        let run = ask(&kubectl, &namespace, &[]);
        run.expect_as_predicted();
        run.expect_from(&IN_CLUSTER, of(LoadBalancer), Reachable);
        run.expect(External, of(LoadBalancer), Reachable);
        run.expect(External, node_port(Backend, Remote), Reachable);
        run.expect(External, node_port(Other, Remote), Unreachable);
        run.expect_from(&IN_CLUSTER, of(HealthCheckNodePort), Reachable);
        let expected = seen.map_or_else(
            || run.report.service.load_balancer.as_ref().unwrap().addresses[0].ip,
            ip,
        );
        assert_eq!(
            client_seen(&run, External),
            expected,
            "{class}: the client address that the backend saw"
        );
        run.expect_exit(0);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn dedicated_pass_through_fails_on_the_backend_node() {
    let (kubectl, namespace) = behind("performance", true, "Local");
    let run = ask(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(
        &[NodeOther, PodOther, External],
        of(LoadBalancer),
        Reachable,
    );
    run.expect_from(&[NodeSame, PodSame], of(LoadBalancer), Unreachable);
    let load_balancer = run.report.service.load_balancer.as_ref().unwrap();
    assert_eq!(load_balancer.class.as_deref(), Some("performance"));
    assert_eq!(load_balancer.pass_through.as_deref(), Some("true"));
    run.expect_exit(0);

    // If the provider's document says that a cell fails and it does, it is as expected. The report names the document.
    let cce = ["--matrix", "huawei-cce", "--column", "vpc/iptables"];
    let run = ask(&kubectl, &namespace, &cce);
    for position in [NodeSame, PodSame] {
        let cell = run.cells(position, of(LoadBalancer))[0];
        assert_eq!(
            (cell.observed.value, cell.verdict),
            (Unreachable, Verdict::AsExpected)
        );
        let expected = cell.expected.as_ref().unwrap();
        assert_eq!(
            (expected.value, expected.basis),
            (ExpectedValue::Unreachable, Basis::Stated)
        );
        assert_eq!(expected.matrix.as_deref(), Some("huawei-cce"));
        let source = expected.source.as_ref().unwrap();
        assert!(source.contains("notes on pass-through"), "{source}");
        let hint = cell.hint.as_ref().unwrap();
        assert!(hint.contains("use the cluster IP"), "{hint}");
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn shared_pass_through_works_on_the_backend_node() {
    let (kubectl, namespace) = behind("union", true, "Local");
    let run = ask(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&IN_CLUSTER, of(LoadBalancer), Reachable);
    run.expect_exit(0);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn udp_is_answered_through_a_load_balancer() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let ports = json!([{"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"}]);
    let node = nodes(&kubectl)[0].clone();
    deploy(
        &kubectl,
        &namespace,
        &[&node],
        &service(&json!({"type": "LoadBalancer", "ports": ports})),
    );
    let _ = load_balancer(&kubectl, &namespace);
    let run = ask(&kubectl, &namespace, &["--external", "never"]);
    run.expect_as_predicted();
    run.expect_from(&IN_CLUSTER, of(LoadBalancer), Reachable);
    run.expect_from(&IN_CLUSTER, of(NodePort), Reachable);
    run.expect_exit(0);
}

/// A ClusterIP Service in a namespace that enforces a Pod Security level.
fn enforcing(level: &str) -> (Kubectl, Namespace) {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(
        &kubectl,
        &json!({"pod-security.kubernetes.io/enforce": level}),
    );
    let node = nodes(&kubectl)[0].clone();
    deploy(&kubectl, &namespace, &[&node], &service(&json!({})));
    (kubectl, namespace)
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn without_host_network_two_positions_are_not_observed() {
    for level in ["baseline", "restricted"] {
        let (kubectl, namespace) = enforcing(level);
        let run = ask(&kubectl, &namespace, &["--external", "never"]);
        run.expect_from(&[PodSame, PodOther], of(ClusterIp), Reachable);
        for position in [NodeSame, NodeOther] {
            run.expect_unobserved(position, "the cluster refuses probes on the host network");
            run.expect_unobserved(position, "hostNetwork=true");
        }
        run.expect_exit(3);
        let words = format!("web.{} --only pod-same,pod-other", namespace.name);
        let command = format!("kubectl svc-reach {words}\n");
        assert!(run.output.stderr.contains(&command), "{}", run.output);
        let words: Vec<&str> = std::iter::once("svc-reach")
            .chain(words.split(' '))
            .collect();
        let output = kubectl.run(&words);
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(namespace.leftovers(), [""; 0]);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn probes_can_run_in_another_namespace() {
    let (kubectl, namespace) = enforcing("restricted");
    let elsewhere = Namespace::new(&kubectl, &json!({}));
    let run = ask(
        &kubectl,
        &namespace,
        &["--external", "never", "--probe-namespace", &elsewhere.name],
    );
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    run.expect_exit(0);
    assert_eq!(elsewhere.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn kubernetes_removes_what_a_killed_run_left() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    deploy(
        &kubectl,
        &namespace,
        &[&node],
        // Every position waits for a node port that drops packets. So all Jobs exist at the same time for a while.
        &service(&json!({"type": "NodePort", "externalTrafficPolicy": "Local"})),
    );
    let args = namespace.args(&[
        "svc-reach",
        "web",
        "--external",
        "never",
        "--probe-timeout",
        "10s",
        "--timeout",
        "8s",
    ]);
    let mut child = kubectl.spawn(&args);
    until("the Jobs of the run", Duration::from_secs(60), || {
        let made = namespace.leftovers().len();
        if made >= 8 {
            Ok(())
        } else {
            Err(format!("{made} Jobs and pods"))
        }
    });
    child.kill().unwrap();
    let _ = child.wait();
    assert_ne!(
        namespace.leftovers(),
        [""; 0],
        "a run that was killed cannot clean up"
    );
    // This takes at most 10 s to start, 9 s of work, 30 s of margin, and 60 s until a finished Job is deleted.
    // Kubernetes may need the same time again on a slow machine.
    until(
        "the cluster to remove them",
        Duration::from_secs(240),
        || {
            let left = namespace.leftovers();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        },
    );
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn each_service_is_checked_at_its_own_load_balancer() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    for (name, policy) in [("a", "Cluster"), ("b", "Local")] {
        let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": policy});
        deploy_named(&kubectl, &namespace, name, &[&node], &spec);
    }
    let args = [
        "a",
        "b",
        "--wait",
        "180s",
        "--only",
        "external,pod-other,load-balancer",
    ];
    let runs = ask_several(&kubectl, &namespace, &args);
    let address = |run: &Run| {
        run.cells(PodOther, of(LoadBalancer))[0]
            .target
            .address
            .clone()
    };
    assert_ne!(address(&runs[0]), address(&runs[1]));
    for run in &runs {
        run.expect_from(&[External, PodOther], of(LoadBalancer), Reachable);
        let pods: Vec<_> = run
            .cells(External, of(LoadBalancer))
            .iter()
            .flat_map(|cell| &cell.observed.attempts)
            .map(|attempt| format!("{:?}", attempt.outcome))
            .collect();
        let own = format!("{}-0", run.report.service.name);
        assert!(
            pods.iter().all(|text| text.contains(&own)),
            "{own}: {pods:?}"
        );
    }
}
