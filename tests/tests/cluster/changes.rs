//! The cluster changes while a run looks at it.

use crate::{IN_CLUSTER, with};
use serde_json::json;
use std::{panic, thread, time::Duration};
use svc_reach_common::{
    observation::ObservedValue::{NotObserved, Reachable},
    position::Position::PodOther,
    target::TargetKind::{ClusterIp, NodePort, PodIp},
};
use svc_reach_tests::{
    kubectl::Kubectl,
    namespace::Namespace,
    run::{Run, ask, of},
    wait::until,
};

/// Runs the plugin, and makes a change as soon as a probe exists. The Service has policy Local, so some attempts last
/// until their timeout, and the change comes before the last probe has ended.
fn disturbed(
    kubectl: &Kubectl,
    namespace: &Namespace,
    more: &[&str],
    change: impl FnOnce(),
) -> Run {
    let args = ["--external", "never", "--timeout", "5s"];
    let args: Vec<&str> = args.iter().chain(more).copied().collect();
    thread::scope(|scope| {
        let run = scope.spawn(|| ask(kubectl, namespace, &args));
        until("a probe", Duration::from_secs(90), || {
            let jobs = kubectl.succeed(&namespace.args(&["get", "jobs", "-o", "name"]));
            if jobs.is_empty() {
                Err("no Job".to_owned())
            } else {
                Ok(())
            }
        });
        change();
        run.join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn endpoints_that_change_during_the_run_leave_cells_unobserved() {
    let local = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&local, 2);
    let run = disturbed(&kubectl, &namespace, &[], || {
        namespace.kubectl(&["delete", "pod", "web-1", "--wait=false"]);
    });
    let why = "the endpoints changed during the run";
    for position in IN_CLUSTER {
        for kind in [ClusterIp, NodePort] {
            run.expect(position, of(kind), NotObserved);
            assert_eq!(run.cells(position, of(kind))[0].observed.reason, why);
        }
    }
    let mut direct: Vec<_> = run.cells(PodOther, of(PodIp));
    direct.sort_by_key(|cell| cell.observed.value == NotObserved);
    let values: Vec<_> = direct.iter().map(|cell| cell.observed.value).collect();
    assert_eq!(
        values,
        [Reachable, NotObserved],
        "a request to one backend does not depend on the others\n{}",
        run.output
    );
    run.expect_exit(3);
    assert_eq!(namespace.leftovers(), [""; 0]);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_run_can_be_repeated_until_nothing_changes() {
    let local = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&local, 1);
    let annotate = |value: &str| {
        let note = format!("note={value}");
        namespace.kubectl(&["annotate", "service", "web", "--overwrite", &note]);
    };
    let run = disturbed(&kubectl, &namespace, &[], || annotate("a"));
    run.expect_unobserved(PodOther, "the Service changed during the run");
    run.expect_exit(3);
    let run = disturbed(&kubectl, &namespace, &["--settle", "60s"], || annotate("b"));
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    run.expect_exit(0);
    let said = "the cluster changed during the run, so the run is repeated";
    assert_eq!(run.output.stderr.matches(said).count(), 1, "{}", run.output);
    assert_eq!(namespace.leftovers(), [""; 0]);
}
