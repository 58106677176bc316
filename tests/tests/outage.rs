//! Runs of the plugin while the nodes are in an unusual state. The tests run one at a time, because each changes the
//! cluster.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::{Value, json};
use std::{
    io,
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use svc_reach_common::{
    observation::ObservedValue::Reachable,
    position::Position::{NodeOther, NodeSame, PodOther, PodSame},
    target::{
        NodeRole::Other,
        Relation::Own,
        TargetKind::{ClusterIp, NodePort},
    },
    verdict::Verdict,
};
use svc_reach_tests::{
    fixture::{apply, deploy, nodes, server, service},
    kubectl::Kubectl,
    namespace::Namespace,
    run::{ask, node_port, of},
    wait::until,
};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failed test has restored its node, too, so ignore that it poisoned the lock.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores a node with this `kubectl` command when the test ends, even if it fails.
struct Repair<'a> {
    kubectl: &'a Kubectl,
    args: Vec<String>,
}

impl Drop for Repair<'_> {
    fn drop(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let _ = self.kubectl.run(&args);
    }
}

/// A node that is switched off until the test ends, even if it fails. Later tests need all nodes.
struct Off<'a> {
    kubectl: &'a Kubectl,
    node: &'a str,
}

impl<'a> Off<'a> {
    fn new(kubectl: &'a Kubectl, node: &'a str) -> Self {
        let off = Self { kubectl, node };
        let said = off.power("stop");
        let stopped = matches!(&said, Ok(output) if output.status.success());
        assert!(stopped, "cluster node stop {node}: {said:?}");
        off
    }

    fn power(&self, word: &str) -> io::Result<Output> {
        Command::new(self.kubectl.testbed())
            .args(["node", word, self.node])
            .output()
    }
}

impl Drop for Off<'_> {
    fn drop(&mut self) {
        let _ = self.power("start");
        let node = format!("node/{}", self.node);
        let ready = ["wait", "--for=condition=Ready", "--timeout=180s", &node];
        let _ = self.kubectl.run(&ready);
    }
}

fn deployed(kubectl: &Kubectl, nodes: &[&str]) -> Namespace {
    let namespace = Namespace::new(kubectl, &json!({}));
    deploy(
        kubectl,
        &namespace,
        nodes,
        &service(&json!({"type": "NodePort"})),
    );
    namespace
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn probes_run_on_tainted_and_cordoned_nodes() {
    let _alone = alone();
    let kubectl = Kubectl::from_environment();
    let nodes = nodes(&kubectl);
    let namespace = deployed(&kubectl, &[&nodes[0], &nodes[1]]);
    // The position node-other needs the only node without a backend, and no pod may be scheduled there.
    let target = nodes.last().unwrap();
    let _untaint = Repair {
        kubectl: &kubectl,
        args: ["taint", "node", target, "special-"]
            .map(Into::into)
            .to_vec(),
    };
    let _uncordon = Repair {
        kubectl: &kubectl,
        args: ["uncordon", target].map(Into::into).to_vec(),
    };
    kubectl.succeed(&["taint", "node", target, "special=yes:NoSchedule"]);
    kubectl.succeed(&["cordon", target]);
    let run = ask(&kubectl, &namespace, &["--external", "never"]);
    for position in [NodeOther, PodOther] {
        run.expect(position, of(ClusterIp), Reachable);
        assert_eq!(
            run.cells(position, of(ClusterIp))[0].node.as_ref(),
            Some(target)
        );
    }
    run.expect_exit(0);
    // If the user gives another toleration, the scheduler places the probe and refuses the tainted node.
    let run = ask(
        &kubectl,
        &namespace,
        &[
            "--external",
            "never",
            "--toleration",
            "gpu",
            "--probe-timeout",
            "60s",
        ],
    );
    run.expect(NodeSame, of(ClusterIp), Reachable);
    run.expect_unobserved(NodeOther, "unschedulable");
    run.expect_exit(3);
}

/// Leaves less CPU on a node than a probe requests, until the test ends. Later tests need the CPU.
fn fill<'a>(kubectl: &'a Kubectl, namespace: &Namespace, node: &str) -> Repair<'a> {
    let millis = |cpu: &Value| {
        let cpu = cpu.as_str().unwrap_or("0");
        match cpu.strip_suffix('m') {
            Some(millis) => millis.parse::<u64>().unwrap(),
            None => cpu.parse::<u64>().unwrap() * 1000,
        }
    };
    let allocatable = kubectl.object(&["get", "node", node])["status"]["allocatable"]["cpu"].take();
    let on_node = format!("spec.nodeName={node}");
    let running = || {
        let mut pods = kubectl.object(&["get", "pods", "-A", "--field-selector", &on_node]);
        let mut pods = std::mem::take(pods["items"].as_array_mut().unwrap());
        pods.retain(|pod| {
            !matches!(
                pod["status"]["phase"].as_str(),
                Some("Succeeded" | "Failed")
            )
        });
        pods
    };
    // The CPU of a pod that is terminating becomes free soon.
    until("terminating pods to go", Duration::from_secs(90), || {
        let terminating = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
        if running().iter().any(terminating) {
            Err(format!("a pod on {node} is terminating"))
        } else {
            Ok(())
        }
    });
    let used: u64 = running()
        .iter()
        .flat_map(|pod| pod["spec"]["containers"].as_array().into_iter().flatten())
        .map(|container| millis(&container["resources"]["requests"]["cpu"]))
        .sum();
    let name = format!("filler-{node}");
    let mut filler = server(&name, node);
    filler["metadata"]["labels"]["app"] = "filler".into();
    let rest = format!("{}m", millis(&allocatable) - used - 5);
    filler["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": rest}});
    apply(kubectl, namespace, vec![filler]);
    let pod = format!("pod/{name}");
    let delete = [
        "delete",
        &pod,
        "--grace-period=1",
        "--namespace",
        &namespace.name,
    ];
    let repair = Repair {
        kubectl,
        args: delete.map(Into::into).to_vec(),
    };
    namespace.kubectl(&["wait", "--for=condition=Ready", &pod, "--timeout=180s"]);
    repair
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn another_node_is_tried_if_the_first_one_is_full() {
    let _alone = alone();
    let kubectl = Kubectl::from_environment();
    let names = nodes(&kubectl);
    let namespace = deployed(&kubectl, &[&names[2]]);
    let _first = fill(&kubectl, &namespace, &names[0]);
    let run = ask(&kubectl, &namespace, &["--external", "never"]);
    for position in [NodeOther, PodOther] {
        run.expect(position, of(ClusterIp), Reachable);
        run.expect(position, node_port(Other, Own), Reachable);
        assert_eq!(
            run.cells(position, of(ClusterIp))[0].node.as_ref(),
            Some(&names[1]),
            "{position}"
        );
    }
    run.expect_exit(0);
    assert_eq!(namespace.leftovers(), [""; 0]);
    let _first = fill(&kubectl, &namespace, &names[1]);
    let run = ask(&kubectl, &namespace, &["--external", "never"]);
    run.expect(NodeSame, of(ClusterIp), Reachable);
    let both = format!("; it did not start on {} (unschedulable: ", names[0]);
    run.expect_unobserved(NodeOther, &both);
    run.expect_unobserved(PodOther, &both);
    run.expect_exit(3);
    assert_eq!(namespace.leftovers(), [""; 0]);
}

/// If the nodes have CCE's labels, the run uses CCE's document by default.
#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn the_provider_is_detected_and_its_matrix_used() {
    let _alone = alone();
    let kubectl = Kubectl::from_environment();
    let names = nodes(&kubectl);
    let namespace = deployed(&kubectl, &[&names[0]]);
    let label = "cce.cloud.com/cce-nodepool";
    let _unlabel = Repair {
        kubectl: &kubectl,
        args: ["label", "node", "--all", "cce.cloud.com/cce-nodepool-"]
            .map(Into::into)
            .to_vec(),
    };
    kubectl.succeed(&["label", "node", "--all", &format!("{label}=pool")]);
    let run = ask(
        &kubectl,
        &namespace,
        &["--external", "never", "--network-model", "vpc"],
    );
    let environment = &run.report.environment;
    assert_eq!(environment.provider.as_deref(), Some("huawei-cce"));
    let mode = environment.proxy_mode.unwrap();
    assert_eq!(environment.column, Some(format!("vpc/{mode}")));
    let known_by = |fact: &str, source: &str| {
        let mut evidence = environment.evidence.iter();
        let found = evidence.any(|known| known.fact == fact && known.source.starts_with(source));
        assert!(found, "{fact} by {source}: {:?}", environment.evidence);
    };
    known_by("provider", "label cce.cloud.com/cce-nodepool of node");
    known_by("networkModel", "--network-model");
    let cell = run.cells(PodOther, of(NodePort))[0];
    let expected = cell.expected.as_ref().unwrap();
    assert_eq!(expected.matrix.as_deref(), Some("huawei-cce"));
    assert_eq!(cell.verdict, Verdict::AsExpected);
    run.expect_exit(0);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn a_node_that_is_down_is_left_out() {
    let _alone = alone();
    let kubectl = Kubectl::from_environment();
    let names = nodes(&kubectl);
    let namespace = deployed(&kubectl, &[&names[0], &names[2]]);
    let off = Off::new(&kubectl, &names[2]);
    let ready = |wanted: &str| {
        until(
            &format!("node {} Ready={wanted}", names[2]),
            Duration::from_secs(180),
            || {
                let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
                let status = kubectl.succeed(&["get", "node", &names[2], "-o", path]);
                if status == wanted || wanted == "False" && status == "Unknown" {
                    Ok(())
                } else {
                    Err(status)
                }
            },
        );
    };
    ready("False");
    let run = ask(&kubectl, &namespace, &["--external", "never"]);
    drop(off);
    ready("True");
    until(
        "the node to take pods again",
        Duration::from_secs(90),
        || {
            let again = nodes(&kubectl);
            if again == names {
                Ok(())
            } else {
                Err(format!("{again:?}"))
            }
        },
    );
    run.expect(NodeSame, of(ClusterIp), Reachable);
    run.expect(PodOther, of(NodePort), Reachable);
    for cell in &run.report.cells {
        assert_ne!(
            cell.node.as_ref(),
            Some(&names[2]),
            "no probe may run on a node that is down"
        );
    }
    assert!(
        run.cells(PodSame, of(NodePort))
            .iter()
            .all(|cell| cell.target.node.as_ref() != Some(&names[2]))
    );
    run.expect_exit(0);
}
