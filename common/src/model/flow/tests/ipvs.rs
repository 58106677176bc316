//! What only ipvs mode does.

use super::{Cluster, HERE, OUTSIDE, POD, check, here, there};
use crate::{
    model::Detector,
    position::Network::{External, Host, Pod},
    proxy_mode::ProxyMode,
};
use serde_json::json;

/// Masquerading in ipvs mode.
#[test]
fn sources() {
    let cluster = |detector| {
        Cluster::new(ProxyMode::Ipvs, "1.30")
            .with(|proxy| proxy.detector = detector)
            .service(
                json!({"clusterIP": "172.30.0.41", "ports": [{"port": 80}]}),
                json!([]),
                json!([here("10.180.0.1"), there("10.180.1.1")]),
            )
    };
    let both = |mark: &str| format!("10.180.0.1:80 10.180.1.1:80 {mark}");
    let with = cluster(Detector::ClusterCidr(vec!["10.0.0.0/8".parse().unwrap()]));
    check(
        &with,
        &[
            ("pod", Pod, POD, "172.30.0.41:80", &both("keep")),
            ("node", Host, "", "172.30.0.41:80", &both("masq")),
            (
                "outside",
                External,
                OUTSIDE,
                "172.30.0.41:80",
                &both("masq"),
            ),
            (
                "itself, here",
                Pod,
                "10.180.0.1",
                "172.30.0.41:80",
                &both("?"),
            ),
        ],
    );
    // Without a detector, a process of the node is masqueraded because its source is the Service's address.
    check(
        &cluster(Detector::None),
        &[
            ("pod", Pod, POD, "172.30.0.41:80", &both("keep")),
            ("node", Host, "", "172.30.0.41:80", &both("masq")),
            (
                "outside",
                External,
                OUTSIDE,
                "172.30.0.41:80",
                &both("keep"),
            ),
        ],
    );
}

/// The order of the SCTP sets of node ports in `ipsetWithIptablesChain` (kubernetes/kubernetes v1.22.0, v1.23.4).
#[test]
fn sctp_node_ports() {
    for (version, expected) in [
        ("1.20.2", "10.180.0.1:80 masq"),
        ("1.22", "10.180.0.1:80 masq"),
        ("1.23", "10.180.0.1:80 keep"),
    ] {
        let cluster = Cluster::new(ProxyMode::Ipvs, version).service(
            json!({"type": "NodePort", "externalTrafficPolicy": "Local", "clusterIP": "172.30.0.41",
                   "ports": [{"port": 80, "protocol": "SCTP", "nodePort": 3001}]}),
            json!([]),
            json!([here("10.180.0.1")]),
        );
        check(
            &cluster,
            &[(
                "outside",
                External,
                OUTSIDE,
                "192.168.0.2:3001/SCTP",
                expected,
            )],
        );
    }
}

/// A Service claims an address of a node (kubernetes/kubernetes v1.26.0 and v1.28.3 `pkg/proxy/ipvs/proxier.go`).
#[test]
fn node_address_as_external_ip() {
    for (version, node_port, other_port) in [
        ("1.25", "10.180.0.1:80 masq", "accept"),
        ("1.26", "reject", "reject"),
        ("1.27", "reject", "reject"),
        ("1.28", "10.180.0.1:80 masq", "none"),
    ] {
        let cluster = Cluster::new(ProxyMode::Ipvs, version)
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.41", "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([here("10.180.0.1")]),
            )
            .service(
                json!({"clusterIP": "172.30.0.42", "externalIPs": [HERE], "ports": [{"port": 81}]}),
                json!([]),
                json!([here("10.180.0.2")]),
            );
        check(
            &cluster,
            &[
                (
                    "node port",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    node_port,
                ),
                (
                    "node port, from the node",
                    Host,
                    "",
                    "192.168.0.2:3001",
                    "10.180.0.1:80 masq",
                ),
                (
                    "any other port, such as that of ssh",
                    External,
                    OUTSIDE,
                    "192.168.0.2:22",
                    other_port,
                ),
                (
                    "the external IP",
                    External,
                    OUTSIDE,
                    "192.168.0.2:81",
                    "10.180.0.2:81 masq",
                ),
            ],
        );
    }
}
