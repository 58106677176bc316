//! `explain` on a cluster and on its dump.

use crate::with;
use serde_json::{Value, json};
use svc_reach_tests::{fixture::nodes, folder::Folder};

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn explain_says_the_same_of_a_cluster_and_its_dump() {
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    let (kubectl, namespace) = with(&spec, 1);
    let explained = |more: &[&str]| -> Value {
        let args: Vec<&str> = ["svc-reach", "explain", "web", "-o", "json"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        serde_json::from_str(&namespace.kubectl(&args)).unwrap()
    };
    let live = explained(&[]);
    assert_eq!(namespace.leftovers(), [""; 0]);
    let kinds = "svc,endpointslices,endpoints,nodes,pods,configmaps";
    let folder = Folder::new("dump");
    let dump = folder.join("dump.json");
    std::fs::write(&dump, kubectl.succeed(&["get", kinds, "-A", "-o", "json"])).unwrap();
    let from_dump = explained(&["--from", dump.to_str().unwrap()]);
    assert_eq!(
        live["cells"], from_dump["cells"],
        "the cells must not depend on how they were read"
    );
    let cells = live["cells"].as_array().unwrap();
    assert!(
        cells.iter().any(|cell| cell["reachable"] == "unreachable"),
        "{live:#}"
    );
    assert!(cells.iter().all(
        |cell| cell["predicted"]["why"][0]["source"].is_string() || cell["reachable"].is_null()
    ));

    // Explain one packet with the cluster and with the dump: from a node without a backend to the cluster IP.
    let service = kubectl.object(&namespace.args(&["get", "service", "web"]));
    let to = format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap());
    let node = nodes(&kubectl)[1].clone();
    let packet = [
        "svc-reach",
        "explain",
        "-o",
        "json",
        "--client",
        "host",
        "--node",
        &node,
        "--to",
        &to,
    ];
    let live: Value = serde_json::from_str(&kubectl.succeed(&packet)).unwrap();
    assert_eq!(live[0]["action"], "endpoints", "{live:#}");
    assert_eq!(live[0]["masquerade"], true, "{live:#}");
    let offline: Vec<&str> = packet
        .iter()
        .copied()
        .chain(["--from", dump.to_str().unwrap()])
        .collect();
    let from_dump: Value = serde_json::from_str(&kubectl.succeed(&offline)).unwrap();
    assert_eq!(live, from_dump);
}
