//! Runs leave no probes, and `cleanup` removes nothing else.

use crate::with;
use serde_json::json;
use std::time::Duration;
use svc_reach_tests::{
    kubectl::finish,
    process::{send, started},
    run::{Run, ask},
    wait::until,
};

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_interrupted_run_leaves_nothing() {
    for (name, signal, code, marker) in [
        ("as probes are made", "INT", 130, ": creating"),
        ("as probes start", "TERM", 143, "being created"),
        ("as probes run", "INT", 130, "running"),
    ] {
        let (kubectl, namespace) = with(
            &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}),
            1,
        );
        let args = namespace.args(&["svc-reach", "web", "--external", "never"]);
        let (child, _) = started(&kubectl, &args, marker);
        send(signal, child.id());
        let output = finish(&args, child);
        assert_eq!(output.code, Some(code), "{name}: {output}");
        assert_eq!(namespace.leftovers(), [""; 0], "{name}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn cleanup_removes_only_what_a_killed_run_left() {
    // Every position waits for a node port that drops packets. So the run has not removed any Job yet when it is
    // killed.
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&spec, 1);
    let args = namespace.args(&["svc-reach", "web", "--external", "never"]);
    let (child, _) = started(&kubectl, &args, "being created");
    send("KILL", child.id());
    assert_eq!(finish(&args, child).code, None);
    assert_ne!(
        namespace.leftovers(),
        [""; 0],
        "a run that was killed cannot clean up"
    );
    let removed = namespace.kubectl(&["svc-reach", "cleanup"]);
    assert_eq!(removed.matches("deleted").count(), 4, "{removed}");
    until(
        "the pods of the killed run to go",
        Duration::from_secs(90),
        || {
            let left = namespace.leftovers();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        },
    );
    assert!(
        namespace
            .kubectl(&["svc-reach", "cleanup"])
            .starts_with("no probes found")
    );
    assert!(
        namespace
            .kubectl(&["get", "pod", "web-0", "--no-headers"])
            .contains("Running"),
        "cleanup must not remove the backend"
    );
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn two_runs_at_once_do_not_disturb_each_other() {
    let (kubectl, namespace) = with(&json!({"type": "NodePort"}), 1);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let ask = || ask(&kubectl, &namespace, &["--external", "never"]);
        let running = [scope.spawn(ask), scope.spawn(ask)];
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for run in &runs {
        run.expect_exit(0);
    }
    assert_ne!(runs[0].report.run, runs[1].report.run);
    assert_eq!(namespace.leftovers(), [""; 0]);
}
