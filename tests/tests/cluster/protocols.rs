//! Ports with HTTP, TCP and UDP.

use crate::{IN_CLUSTER, from_inside, with};
use serde_json::json;
use svc_reach_common::{observation::ObservedValue::Reachable, target::TargetKind::ClusterIp};
use svc_reach_tests::run::of;

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn every_port_is_checked_by_name_and_protocol() {
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "raw", "port": 9000, "targetPort": 8081},
        {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        {"name": "closed", "port": 81, "targetPort": 1},
    ]);
    let (kubectl, namespace) = with(&json!({"type": "NodePort", "ports": ports}), 1);
    let run = from_inside(&kubectl, &namespace, &[]);
    for position in IN_CLUSTER {
        for cell in run.cells(position, of(ClusterIp)) {
            let reason = cell.observed.reason.as_str();
            let expected = match cell.target.port_name.as_deref() {
                Some("http") => "answered HTTP 200",
                Some("raw") => "connected",
                Some("dns") => "answered",
                Some("closed") => "refused",
                other => panic!("no such port: {other:?}"),
            };
            assert_eq!(reason, expected, "{position}: {:?}", cell.target);
        }
        assert_eq!(run.cells(position, of(ClusterIp)).len(), 4);
    }
    run.expect_exit(1);
}

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn an_unanswered_datagram_counts_as_not_observed() {
    let ports = json!([{"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"}]);
    let (kubectl, namespace) = with(&json!({"ports": ports}), 1);
    // The server does not answer empty datagrams.
    let run = from_inside(&kubectl, &namespace, &["--udp-payload", ""]);
    for position in IN_CLUSTER {
        run.expect_unobserved(position, "--udp-payload");
    }
    run.expect_exit(3);
    let run = from_inside(&kubectl, &namespace, &[]);
    run.expect_as_predicted();
    run.expect_from(&IN_CLUSTER, of(ClusterIp), Reachable);
    run.expect_exit(0);
}
