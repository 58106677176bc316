//! The endpoints that a packet may go to.

use super::{Cluster, OUTSIDE, POD, check, here, load_balancer, terminating, there};
use crate::{
    position::Network::{External, Host, Pod},
    proxy_mode::ProxyMode,
};
use serde_json::{Value, json};

/// A Service with policy Local, with endpoints on the other node or on this node.
#[test]
fn external_policy_local_where_no_endpoint_is() {
    let spec = || {
        load_balancer(
            "172.30.0.41",
            3001,
            json!({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.99"]}),
        )
    };
    let balancer = || json!([{"ip": "5.6.7.8"}]);
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(spec(), balancer(), json!([there("10.180.1.2")]))
    };
    let keep = "10.180.1.2:80 keep";
    let masq = "10.180.1.2:80 masq";
    // Mode and version. Then the results for pod, node and outside: to a node port, to the balancer, to the external
    // IP.
    #[rustfmt::skip]
    let rows = [
        // 1.14 does not have kubernetes/kubernetes#77523. Up to 1.19, external IPs ignore the policy. Up to 1.20, they
        // do not serve the node's own packets.
        (ProxyMode::Iptables, "1.14", [keep, "drop", "drop", keep, "drop", "drop", masq, "none", masq]),
        (ProxyMode::Iptables, "1.16", [keep, masq, "drop", keep, masq, "drop", masq, "none", masq]),
        (ProxyMode::Iptables, "1.20.2", [keep, masq, "drop", keep, masq, "drop", keep, "none", "drop"]),
        (ProxyMode::Iptables, "1.21", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        (ProxyMode::Iptables, "1.24", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        (ProxyMode::Iptables, "1.30", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        // kubernetes/kubernetes#131765, fixed by #132456.
        (ProxyMode::Nftables, "1.29", [keep, "drop", "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.30", [keep, masq, "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.33.1", [keep, masq, "drop", keep, "drop", "drop", keep, "drop", "drop"]),
        (ProxyMode::Nftables, "1.34", [keep, masq, "drop", keep, masq, "drop", keep, masq, "drop"]),
        // kubernetes/kubernetes#97081 in 1.24.
        (ProxyMode::Ipvs, "1.20.2", ["reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject"]),
        (ProxyMode::Ipvs, "1.19", ["reject", "reject", "reject", "reject", "reject", "reject", masq, masq, masq]),
        (ProxyMode::Ipvs, "1.23", ["reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject", "reject"]),
        (ProxyMode::Ipvs, "1.24", [keep, keep, keep, keep, keep, keep, keep, keep, keep]),
        (ProxyMode::Ipvs, "1.30", [keep, keep, keep, keep, keep, keep, keep, keep, keep]),
    ];
    for (mode, version, expected) in rows {
        let cluster = cluster(mode, version);
        let targets = ["192.168.0.2:3001", "5.6.7.8:80", "192.0.2.99:80"];
        for (index, expected) in expected.into_iter().enumerate() {
            let (client, from) = [(Pod, POD), (Host, ""), (External, OUTSIDE)][index % 3];
            check(
                &cluster,
                &[(
                    "no endpoint here",
                    client,
                    from,
                    targets[index / 3],
                    expected,
                )],
            );
        }
        check(
            &cluster,
            &[("cluster IP", Pod, POD, "172.30.0.41:80", keep)],
        );
    }
}

/// No usable endpoint (kubernetes/kubernetes v1.21.1 `pkg/proxy/iptables/proxier_test.go` `TestClusterIPReject`,
/// `TestLoadBalancerReject`, `TestNodePortReject`, `TestExternalIPsReject`; jump chains of each version).
#[test]
fn no_endpoints() {
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(
            load_balancer("172.30.0.41", 3001, json!({"externalIPs": ["192.0.2.99"]})),
            json!([{"ip": "1.2.3.4"}]),
            json!([{"addresses": ["10.180.0.1"], "nodeName": "here", "conditions": {"ready": false}}]),
        )
    };
    // Mode and version. Then the results for the balancer and for the external IP, each from the node and from outside.
    for (mode, version, balancer, external) in [
        (
            ProxyMode::Iptables,
            "1.18",
            ["reject", "reject"],
            ["none", "none"],
        ),
        (
            ProxyMode::Iptables,
            "1.20.2",
            ["none", "reject"],
            ["none", "reject"],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            ["none", "reject"],
            ["none", "reject"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
        (
            ProxyMode::Ipvs,
            "1.20.2",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
        (
            ProxyMode::Ipvs,
            "1.30",
            ["reject", "reject"],
            ["reject", "reject"],
        ),
    ] {
        check(
            &cluster(mode, version),
            &[
                ("cluster IP, pod", Pod, POD, "172.30.0.41:80", "reject"),
                ("cluster IP, node", Host, "", "172.30.0.41:80", "reject"),
                ("node port, node", Host, "", "192.168.0.2:3001", "reject"),
                (
                    "node port, outside",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    "reject",
                ),
                ("balancer, node", Host, "", "1.2.3.4:80", balancer[0]),
                (
                    "balancer, outside",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    balancer[1],
                ),
                ("external IP, node", Host, "", "192.0.2.99:80", external[0]),
                (
                    "external IP, outside",
                    External,
                    OUTSIDE,
                    "192.0.2.99:80",
                    external[1],
                ),
            ],
        );
    }
}

/// `TestCategorizeEndpoints` and its predecessors: the internal policy, version by version.
#[test]
fn internal_policy_local() {
    let cluster = |mode, version, endpoints: Value| {
        Cluster::new(mode, version)
            .service(
                json!({"clusterIP": "172.30.0.41", "internalTrafficPolicy": "Local", "ports": [{"port": 80}]}),
                json!([]),
                endpoints.clone(),
            )
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.42", "internalTrafficPolicy": "Local",
                       "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                endpoints.clone(),
            )
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.43", "internalTrafficPolicy": "Local",
                       "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 3002}]}),
                json!([]),
                endpoints,
            )
    };
    let keep = "10.180.1.1:80 keep";
    let masq = "10.180.1.1:80 masq";
    // All endpoints are on the other node. The results are for the cluster IP of a cluster IP Service, the cluster IP
    // and the node port of a Service with node ports, and the cluster IP of a Service with both policies Local.
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.21", [keep, keep, masq, keep]),
        (
            ProxyMode::Iptables,
            "1.22",
            ["reject", "reject", "reject", keep],
        ),
        (
            ProxyMode::Iptables,
            "1.23",
            ["reject", "reject", "reject", keep],
        ),
        (ProxyMode::Iptables, "1.24", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Iptables, "1.30", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Nftables, "1.30", ["drop", "drop", masq, "drop"]),
        (ProxyMode::Ipvs, "1.21", [keep, keep, masq, keep]),
        (
            ProxyMode::Ipvs,
            "1.23",
            ["reject", "reject", "reject", "reject"],
        ),
        // If a Service has other addresses, the fallback of 1.24 undoes the policy.
        (ProxyMode::Ipvs, "1.24", ["reject", keep, masq, keep]),
        (ProxyMode::Ipvs, "1.30", ["reject", keep, masq, keep]),
    ] {
        check(
            &cluster(mode, version, json!([there("10.180.1.1")])),
            &[
                ("cluster IP only", Pod, POD, "172.30.0.41:80", expected[0]),
                (
                    "cluster IP beside a node port",
                    Pod,
                    POD,
                    "172.30.0.42:80",
                    expected[1],
                ),
                ("node port", Pod, POD, "192.168.0.2:3001", expected[2]),
                (
                    "cluster IP, both policies local",
                    Pod,
                    POD,
                    "172.30.0.43:80",
                    expected[3],
                ),
            ],
        );
    }
    let some = cluster(
        ProxyMode::Iptables,
        "1.30",
        json!([here("10.180.0.1"), there("10.180.1.1")]),
    );
    check(
        &some,
        &[(
            "an endpoint here",
            Pod,
            POD,
            "172.30.0.41:80",
            "10.180.0.1:80 keep",
        )],
    );
}

/// `TestTerminatingEndpointsTrafficPolicyLocal` and `…Cluster`.
#[test]
fn terminating_endpoints() {
    let cluster = |version, policy: &str, endpoints: Value| {
        Cluster::new(ProxyMode::Iptables, version).service(
            load_balancer("172.30.1.1", 3001, json!({"externalTrafficPolicy": policy})),
            json!([{"ip": "1.2.3.4"}]),
            endpoints,
        )
    };
    let gone = json!({"addresses": ["10.0.1.4"], "nodeName": "here",
                      "conditions": {"ready": false, "serving": false, "terminating": true}});
    let mixed = json!([
        here("10.0.1.1"),
        terminating("10.0.1.2", "here"),
        gone.clone(),
        there("10.0.1.5")
    ]);
    let only = json!([
        terminating("10.0.1.2", "here"),
        terminating("10.0.1.3", "there"),
        gone.clone()
    ]);
    let local_lingers = json!([terminating("10.0.1.2", "here"), gone, there("10.0.1.5")]);
    #[rustfmt::skip]
    let rows = [
        ("1.26", "Cluster", &mixed, "10.0.1.1:80 10.0.1.5:80 keep", "10.0.1.1:80 10.0.1.5:80 masq"),
        ("1.26", "Cluster", &only, "10.0.1.2:80 10.0.1.3:80 keep", "10.0.1.2:80 10.0.1.3:80 masq"),
        ("1.25", "Cluster", &only, "reject", "reject"),
        ("1.26", "Local", &mixed, "10.0.1.1:80 10.0.1.5:80 keep", "10.0.1.1:80 keep"),
        ("1.26", "Local", &only, "10.0.1.2:80 10.0.1.3:80 keep", "10.0.1.2:80 keep"),
        // The cluster's and the node's endpoints are chosen separately.
        ("1.26", "Local", &local_lingers, "10.0.1.5:80 keep", "10.0.1.2:80 keep"),
        ("1.25", "Local", &local_lingers, "10.0.1.5:80 keep", "drop"),
        ("1.20.2", "Local", &local_lingers, "10.0.1.5:80 keep", "drop"),
    ];
    for (version, policy, endpoints, pod, outside) in rows {
        check(
            &cluster(version, policy, endpoints.clone()),
            &[
                ("pod to cluster IP", Pod, POD, "172.30.1.1:80", pod),
                (
                    "outside to balancer",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    outside,
                ),
            ],
        );
    }
}

/// `TestCategorizeEndpoints`: hints.
#[test]
fn topology_hints() {
    let hinted = |address: &str, node: &str, zones: &[&str], nodes: &[&str]| {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| json!({"name": name}))
                .collect::<Vec<_>>()
        };
        json!({"addresses": [address], "nodeName": node, "hints": {"forZones": names(zones), "forNodes": names(nodes)}})
    };
    let cluster = |version, annotations: Value, endpoints: Value| {
        Cluster::new(ProxyMode::Iptables, version).annotated(
            json!({"annotations": annotations}),
            json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
                   "ports": [{"port": 80, "nodePort": 3001}]}),
            endpoints,
        )
    };
    let old = json!({"service.kubernetes.io/topology-aware-hints": "Auto"});
    let new = json!({"service.kubernetes.io/topology-mode": "Auto"});
    let odd = json!({"service.kubernetes.io/topology-mode": "PreferZone"});
    let none = json!({});
    let zones = json!([
        hinted("10.1.0.1", "here", &["a"], &[]),
        hinted("10.1.0.2", "there", &["b"], &[])
    ]);
    let incomplete = json!([hinted("10.1.0.1", "here", &["a"], &[]), there("10.1.0.2")]);
    let elsewhere = json!([
        hinted("10.1.0.1", "here", &["c"], &[]),
        hinted("10.1.0.2", "there", &["b"], &[])
    ]);
    let nodes = json!([
        hinted("10.1.0.1", "here", &["a"], &["here"]),
        hinted("10.1.0.2", "there", &["a"], &["there"])
    ]);
    let one = "10.1.0.1:80 keep";
    let all = "10.1.0.1:80 10.1.0.2:80 keep";
    for (version, annotations, endpoints, expected) in [
        ("1.23", &old, &zones, all),
        ("1.24", &old, &zones, one),
        ("1.24", &new, &zones, all),
        ("1.26", &odd, &zones, all),
        ("1.27", &new, &zones, one),
        ("1.27", &odd, &zones, one),
        ("1.30", &none, &zones, all),
        ("1.31", &none, &zones, one),
        ("1.30", &new, &incomplete, all),
        ("1.30", &new, &elsewhere, all),
        ("1.33", &none, &nodes, all),
        ("1.34", &none, &nodes, one),
    ] {
        let cluster = cluster(version, annotations.clone(), endpoints.clone());
        check(
            &cluster,
            &[("pod to cluster IP", Pod, POD, "172.30.0.41:80", expected)],
        );
    }
    // Hints do not matter for local endpoints.
    let cluster = cluster("1.30", new, elsewhere);
    check(
        &cluster,
        &[(
            "outside to node port",
            External,
            OUTSIDE,
            "192.168.0.2:3001",
            one,
        )],
    );
}

#[test]
fn slices_that_repeat_an_endpoint_count_once() {
    let cluster = Cluster::new(ProxyMode::Iptables, "1.30").service(
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
               "ports": [{"port": 80, "nodePort": 3001}]}),
        json!([]),
        json!([{"addresses": ["10.180.0.1"]}, here("10.180.0.1"), {"addresses": ["10.180.0.1"]}]),
    );
    check(
        &cluster,
        &[(
            "outside",
            External,
            OUTSIDE,
            "192.168.0.2:3001",
            "10.180.0.1:80 keep",
        )],
    );
}

#[test]
fn an_endpoint_without_a_node_is_local_nowhere() {
    let cluster = Cluster::new(ProxyMode::Iptables, "1.30").service(
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
               "ports": [{"port": 80, "nodePort": 3001}]}),
        json!([]),
        json!([{"addresses": ["198.51.100.7"]}]),
    );
    check(
        &cluster,
        &[
            ("outside", External, OUTSIDE, "192.168.0.2:3001", "drop"),
            ("pod", Pod, POD, "192.168.0.2:3001", "198.51.100.7:80 keep"),
        ],
    );
}
