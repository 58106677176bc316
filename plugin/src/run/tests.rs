//! Whole runs with a scripted API server.

use super::Run;
use crate::{
    cluster::scripted::{Reply, Scripted},
    error::Error,
    reporting::documents::Documents,
    terminal::interrupt::{Interrupt, Signals},
    testing::{node_object, prepared, typed},
};
use serde_json::{Value, json};
use svc_reach_common::{
    exit::Exit,
    observation::ObservedValue,
    position::Position::PodOther,
    report::Report,
    wire::{
        line::Line,
        outcome::{Attempt, Outcome},
    },
};

const JOBS: &str = "POST /apis/batch/v1/namespaces/web/jobs";
const PODS: &str = "WATCH /api/v1/namespaces/web/pods";
const SLICES: &str = "GET /apis/discovery.k8s.io/v1/namespaces/web/endpointslices";
const NODES: &str = "GET /api/v1/nodes";

async fn once(
    cluster: &Scripted,
    interrupt: &Interrupt,
    args: &[&str],
) -> (Result<Exit, Error>, Option<Report>) {
    let args = [&["nginx"], args].concat();
    let (connection, settings) = typed(&args);
    let run = Run {
        cluster,
        connection: &connection,
        namespace: "web",
        settings: &settings,
        documents: &Documents::of(&settings.expectations).unwrap(),
        interrupt,
        again: false,
    };
    let mut report = None;
    let ended = run
        .once(|reports| {
            report = reports.items().first().cloned();
            reports.exit()
        })
        .await;
    (ended, report)
}

#[tokio::test(start_paused = true)]
async fn probes_never_become_backends() {
    for (label, fails, nodes) in [
        ("app=nginx", true, 200),
        // The scout is a pod with these labels, too.
        ("app=nginx", true, 403),
        ("app=other", false, 200),
    ] {
        let cluster = Scripted::new(move |call, _| match call {
            NODES if nodes == 403 => Reply::Failure(403),
            "GET /api/v1/namespaces/web/services/nginx" => Reply::Object(json!({
                "metadata": {"name": "nginx", "namespace": "web"},
                "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "nginx"},
                         "ports": [{"port": 80, "protocol": "TCP"}]},
            })),
            JOBS => Reply::Failure(403),
            PODS => Reply::Open(vec![]),
            call => prepared(call),
        });
        let (_signals, interrupt) = Signals::new();
        let args = ["--only", "pod-same,cluster-ip", "--probe-label", label];
        let (ended, _) = once(&cluster, &interrupt, &args).await;
        let error = ended.unwrap_err();
        assert_eq!(error.exit().code() == 2, fails, "{label}: {error}");
        let created = cluster.asked().iter().any(|call| call == JOBS);
        assert_eq!(created, !fails, "{label}: {:?}", cluster.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_outranks_a_failure() {
    for (interrupted, code) in [(None, 4), (Some(Exit::Terminated), 143)] {
        let (signals, interrupt) = Signals::new();
        let cluster = Scripted::new(move |call, _| match call {
            JOBS => {
                if let Some(exit) = interrupted {
                    signals.raise(exit);
                }
                Reply::Failure(403)
            }
            PODS => Reply::Open(vec![]),
            call => prepared(call),
        });
        let only = ["--only", "pod-same,cluster-ip"];
        let (ended, _) = once(&cluster, &interrupt, &only).await;
        let exit = ended.unwrap_or_else(|error| error.exit());
        assert_eq!(exit.code(), code, "{:?}", cluster.asked());
    }
}

/// An event of a probe's pod.
fn pod(probe: &str, status: &Value) -> String {
    let metadata = json!({"name": probe, "labels": {"svc-reach/probe": probe}});
    json!({"type": "ADDED", "object": {"metadata": metadata, "status": status}}).to_string()
}

fn running() -> Value {
    json!({"phase": "Running", "containerStatuses": [{
        "name": "probe", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}},
    }]})
}

/// The log of a probe with one target, which it reached.
fn log() -> Reply {
    let attempt = Attempt::from(Outcome::Answered {
        status: Some(200),
        echo: None,
    });
    let result = Line::Result {
        id: 0,
        attempts: vec![attempt],
    };
    let lines = [result, Line::End { targets: 1 }];
    Reply::Open(
        lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect(),
    )
}

/// Replies like a cluster in which every probe runs and reaches its target.
fn healthy(call: &str) -> Reply {
    match call {
        JOBS => Reply::Object(json!({"metadata": {"uid": "u1"}})),
        "GET /api/v1/namespaces/web/pods"
        | "GET /apis/networking.k8s.io/v1/namespaces/web/ingresses" => {
            Reply::Object(json!({"items": []}))
        }
        call if call.ends_with("/log") => log(),
        call if call.starts_with("DELETE") => Reply::Object(json!({})),
        call => prepared(call),
    }
}

fn slices(address: &str) -> Reply {
    Reply::Object(json!({"items": [{
        "metadata": {"name": "nginx-1", "namespace": "web"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "nodeName": "n1"}],
        "ports": [{"port": 80}],
    }]}))
}

#[tokio::test(start_paused = true)]
async fn what_changed_during_the_run_was_not_observed() {
    let only = ["--only", "pod-same,cluster-ip"];
    let settle = [&only[..], &["--settle", "1m"]].concat();
    for (args, value, runs) in [
        (&only[..], ObservedValue::NotObserved, 1),
        (&settle, ObservedValue::Reachable, 2),
    ] {
        let cluster = Scripted::new(move |call, nth| match (call, nth) {
            (PODS, _) => Reply::Open(vec![pod("pod-same", &running())]),
            (SLICES, 0) => slices("172.16.0.1"),
            (SLICES, _) => slices("172.16.0.2"),
            (call, _) => healthy(call),
        });
        let (_signals, interrupt) = Signals::new();
        let (ended, report) = once(&cluster, &interrupt, args).await;
        let cell = &report.unwrap().cells[0];
        assert_eq!(cell.observed.value, value);
        if value == ObservedValue::NotObserved {
            let why = "the endpoints changed during the run";
            assert_eq!(cell.observed.reason, why);
            assert_eq!(cell.observed.attempts.len(), 1, "what it saw is kept");
            assert_eq!(ended.unwrap(), Exit::Incomplete);
        }
        let made = cluster.asked().iter().filter(|call| *call == JOBS).count();
        assert_eq!(made, runs, "{:?}", cluster.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_user_gives_is_no_change() {
    let cluster = Scripted::new(|call, _| match call {
        PODS => Reply::Open(vec![pod("pod-same", &running())]),
        call => healthy(call),
    });
    let (_signals, interrupt) = Signals::new();
    let args = [
        "--only",
        "pod-same,cluster-ip",
        "--node-public-address",
        "n1=203.0.113.9",
    ];
    let (_, report) = once(&cluster, &interrupt, &args).await;
    let observed = &report.unwrap().cells[0].observed;
    assert_eq!(observed.value, ObservedValue::Reachable, "{observed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_report_says_that_a_change_would_go_unnoticed() {
    let cluster = Scripted::new(|call, nth| match (call, nth) {
        (PODS, _) => Reply::Open(vec![pod("pod-same", &running())]),
        (SLICES, 1..) => Reply::Failure(403),
        (call, _) => healthy(call),
    });
    let (_signals, interrupt) = Signals::new();
    let (_, report) = once(&cluster, &interrupt, &["--only", "pod-same,cluster-ip"]).await;
    let report = report.unwrap();
    let mut advisories = report.advisories.iter();
    let advisory = advisories.find(|advisory| advisory.id == "changes-unknown");
    let text = &advisory.unwrap().text;
    assert!(text.contains("403"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_position_that_appears_during_the_run_was_not_observed() {
    let cluster = Scripted::new(|call, nth| match (call, nth) {
        (PODS, _) => Reply::Open(vec![pod("pod-same", &running())]),
        (NODES, 0) => Reply::Object(json!({"items": [node_object("n1")]})),
        (call, _) => healthy(call),
    });
    let (_signals, interrupt) = Signals::new();
    let args = ["--only", "pod-same,pod-other,cluster-ip"];
    let (ended, report) = once(&cluster, &interrupt, &args).await;
    let report = report.unwrap();
    let cells: Vec<_> = report
        .cells
        .iter()
        .map(|cell| (cell.position.as_str(), cell.observed.value))
        .collect();
    assert_eq!(
        cells,
        [
            ("pod-same", ObservedValue::Reachable),
            ("pod-other", ObservedValue::NotObserved)
        ]
    );
    assert!(report.absent_positions.is_empty());
    assert_eq!(ended.unwrap(), Exit::Incomplete);
}

#[tokio::test(start_paused = true)]
async fn another_node_is_tried_if_one_is_full() {
    let full = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"},
    ]});
    let cluster = Scripted::new(move |call, nth| match (call, nth) {
        (PODS, 0) => Reply::Open(vec![pod("pod-other", &full)]),
        (PODS, _) => Reply::Open(vec![pod("pod-other-retry1", &running())]),
        (NODES, _) => {
            let nodes = ["n1", "n2", "n3"].map(node_object);
            Reply::Object(json!({"items": nodes}))
        }
        (call, _) => healthy(call),
    });
    let (_signals, interrupt) = Signals::new();
    let (_, report) = once(&cluster, &interrupt, &["--only", "pod-other,cluster-ip"]).await;
    let cell = &report.unwrap().cells[0];
    assert_eq!(
        (cell.observed.value, cell.node.as_deref()),
        (ObservedValue::Reachable, Some("n3"))
    );
    let asked = cluster.asked();
    let removed = asked.iter().filter(|call| call.starts_with("DELETE"));
    assert_eq!(removed.count(), 2, "both Jobs are removed: {asked:?}");
}

/// A cluster whose user may not list nodes, and whose first Service has a backend on `n1`. `scout`: spec and status of the
/// scout's pod; `None`: it may not be created.
fn without_nodes(scout: Option<[Value; 2]>) -> Scripted {
    Scripted::new(move |call, nth| match (call, nth, &scout) {
        (NODES, ..) => Reply::Failure(403),
        (JOBS, 0, None) => Reply::Refusal(403, "exceeded quota"),
        (PODS, 0, Some([spec, status])) => {
            let metadata = json!({"name": "scout", "labels": {"svc-reach/probe": "scout"}});
            let object = json!({"metadata": metadata, "spec": spec, "status": status});
            Reply::Open(vec![json!({"type": "ADDED", "object": object}).to_string()])
        }
        ("GET /api/v1/namespaces/web/events", ..) => {
            Reply::Object(json!({"items": [{"message": "no ServiceAccount"}]}))
        }
        (PODS, ..) => {
            let probes = ["pod-same", "pod-other"];
            Reply::Open(probes.map(|name| pod(name, &running())).into())
        }
        (call, ..) => healthy(call),
    })
}

#[tokio::test(start_paused = true)]
async fn a_scout_finds_the_node_that_may_not_be_listed() {
    let unschedulable = |message: &str| {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        });
        Some([
            json!({}),
            json!({"phase": "Pending", "conditions": [condition]}),
        ])
    };
    let placed = [
        json!({"nodeName": "n2"}),
        json!({"phase": "Pending", "hostIP": "192.168.0.2"}),
    ];
    let rows = [
        (Some(placed), "", 0),
        (
            unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity."),
            "the cluster has only one node, and it runs a backend",
            0,
        ),
        (
            unschedulable("0/3 nodes are available: 2 Insufficient cpu."),
            "0/3 nodes are available: 2 Insufficient cpu.",
            3,
        ),
        (
            Some([json!({}), json!({"phase": "Pending"})]),
            "got no node within 10 s: no ServiceAccount",
            3,
        ),
        (None, "exceeded quota", 3),
    ];
    for (scout, why, exit) in rows {
        let cluster = without_nodes(scout);
        let (_signals, interrupt) = Signals::new();
        let args = ["--only", "pod-same,pod-other,cluster-ip"];
        let (ended, report) = once(&cluster, &interrupt, &args).await;
        let report = report.unwrap();
        let cells = report.cells.iter();
        let other = cells.clone().find(|cell| cell.position == PodOther);
        let said = match (exit, why, other) {
            (0, "", Some(cell)) => {
                assert_eq!(cell.observed.value, ObservedValue::Reachable);
                cell.node.as_deref() == Some("n2")
            }
            (0, _, None) => report.absent_positions[0].reason == why,
            (_, _, Some(cell)) => {
                assert_eq!(cell.observed.value, ObservedValue::NotObserved);
                cell.observed.reason.contains(why)
            }
            (_, _, None) => false,
        };
        assert!(said, "{why:?}: {report:#?}");
        assert_eq!(ended.unwrap().code(), exit, "{why}");
        let mut notes = report.advisories.iter();
        assert!(notes.any(|advisory| advisory.id == "nodes-unlisted"));
        let count = |start: &str| {
            let asked = cluster.asked();
            asked.iter().filter(|call| call.starts_with(start)).count()
        };
        let refused = usize::from(why == "exceeded quota");
        assert_eq!(
            count(JOBS) - refused,
            count("DELETE"),
            "every Job is removed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_removes_the_scout() {
    let (signals, interrupt) = Signals::new();
    let cluster = Scripted::new(move |call, _| match call {
        NODES => Reply::Failure(403),
        PODS => {
            signals.raise(Exit::Terminated);
            Reply::Open(vec![])
        }
        call => healthy(call),
    });
    let (ended, report) = once(&cluster, &interrupt, &[]).await;
    assert_eq!(ended.unwrap(), Exit::Terminated);
    assert!(report.is_none());
    let asked = cluster.asked();
    let made = asked.iter().filter(|call| *call == JOBS).count();
    let removed = asked.iter().filter(|call| call.starts_with("DELETE"));
    assert_eq!((made, removed.count()), (1, 1), "{asked:?}");
}

/// The number does not depend on the size of the cluster, so a run is light on a large one.
#[tokio::test(start_paused = true)]
async fn one_service_costs_at_most_thirty_requests() {
    let probes = ["node-same", "node-other", "pod-same", "pod-other"];
    let cluster = Scripted::new(move |call, _| match call {
        PODS => Reply::Open(probes.map(|name| pod(name, &running())).into()),
        call => healthy(call),
    });
    let (_signals, interrupt) = Signals::new();
    let (ended, _) = once(
        &cluster,
        &interrupt,
        &[
            "--only",
            "cluster-ip,node-same,node-other,pod-same,pod-other",
        ],
    )
    .await;
    assert_eq!(ended.unwrap().code(), 0);
    let asked = cluster.asked();
    assert!(asked.len() <= 30, "{}: {asked:#?}", asked.len());
}
