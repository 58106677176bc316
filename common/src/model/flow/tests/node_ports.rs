//! Node ports and health check ports.

use super::{Cluster, OUTSIDE, POD, check, here, load_balancer};
use crate::{
    model::NodePortAddresses,
    position::Network::{External, Host, Pod},
    proxy_mode::ProxyMode,
};
use serde_json::json;

/// `TestNodePorts` (kubernetes/kubernetes v1.37.2 `pkg/proxy/{iptables,nftables}/proxier_test.go`).
#[test]
fn node_port_addresses() {
    let both = "10.180.0.1:80 10.180.2.1:80 masq";
    let cluster = |mode, version, addresses: NodePortAddresses| {
        Cluster::new(mode, version)
            .with(|proxy| proxy.node_port_addresses = addresses)
            .service(
                json!({"type": "NodePort", "clusterIP": "172.30.0.41",
                       "ports": [{"name": "p80", "port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([{"addresses": ["10.180.0.1"]}, here("10.180.2.1")]),
            )
    };
    let within = |ranges: &[&str]| {
        NodePortAddresses::within(ranges.iter().map(|range| range.parse().unwrap()).collect())
    };
    let own = within(&["192.168.0.0/24"]);
    let other_family = within(&["2001:db8::/64"]);
    let two = within(&["192.168.0.0/24", "192.168.1.0/24", "127.0.0.0/8"]);
    // Mode, version and setting. Then the results on the primary address, on the other address, and on loopback from
    // the node.
    for (mode, version, setting, expected) in [
        (
            ProxyMode::Iptables,
            "1.20.2",
            NodePortAddresses::Default,
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            NodePortAddresses::Default,
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            other_family.clone(),
            [both, both, both],
        ),
        (
            ProxyMode::Iptables,
            "1.30",
            own.clone(),
            [both, "none", "none"],
        ),
        (ProxyMode::Iptables, "1.30", two.clone(), [both, both, both]),
        (
            ProxyMode::Iptables,
            "1.30",
            NodePortAddresses::primary(),
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            NodePortAddresses::Default,
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            other_family.clone(),
            [both, "none", "none"],
        ),
        (
            // Measured with 1.34.4 to 1.37.2: the default of the primary address applies only if the list is empty.
            ProxyMode::Nftables,
            "1.31",
            other_family.clone(),
            [both, both, "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.37",
            other_family,
            [both, both, "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.37",
            NodePortAddresses::Default,
            [both, "none", "none"],
        ),
        (
            ProxyMode::Nftables,
            "1.30",
            two.clone(),
            [both, both, "none"],
        ),
        (
            ProxyMode::Ipvs,
            "1.30",
            NodePortAddresses::Default,
            [both, both, "none"],
        ),
        (ProxyMode::Ipvs, "1.30", own, [both, "none", "none"]),
    ] {
        let cluster = cluster(mode, version, setting);
        check(
            &cluster,
            &[
                (
                    "primary address",
                    External,
                    OUTSIDE,
                    "192.168.0.2:3001",
                    expected[0],
                ),
                (
                    "other address",
                    External,
                    OUTSIDE,
                    "192.168.1.2:3001",
                    expected[1],
                ),
                ("loopback", Host, "127.0.0.1", "127.0.0.1:3001", expected[2]),
                (
                    "another node's address is not this node's business",
                    Pod,
                    POD,
                    "192.168.0.3:3001",
                    "none",
                ),
                (
                    "a node port is not a port of the cluster IP",
                    External,
                    OUTSIDE,
                    "192.168.0.2:80",
                    "none",
                ),
            ],
        );
    }
    // The words of 1.37: on the primary address, on the other one, on loopback; then on both IPv6 addresses.
    for (mode, words, expected) in [
        (ProxyMode::Nftables, "primary", [both, "none", "none"]),
        (
            ProxyMode::Nftables,
            "primary,localhost",
            [both, "none", "none"],
        ),
        (
            ProxyMode::Iptables,
            "primary,localhost",
            [both, "none", both],
        ),
        (ProxyMode::Iptables, "localhost", ["none", "none", both]),
        (ProxyMode::Nftables, "localhost", ["none", "none", "none"]),
        (ProxyMode::Ipvs, "primary,localhost", [both, "none", "none"]),
        (ProxyMode::Nftables, "all", [both, both, "none"]),
        (ProxyMode::Iptables, "all,primary", [both, both, both]),
        (
            ProxyMode::Nftables,
            "primary,192.168.1.0/24",
            [both, both, "none"],
        ),
    ] {
        let (setting, unknown) = NodePortAddresses::read(words.split(','));
        assert_eq!(unknown, Vec::<&str>::new(), "{words}");
        let cluster = cluster(mode, "1.37", setting);
        let [primary, other, loopback] = expected;
        check(
            &cluster,
            &[
                (words, External, OUTSIDE, "192.168.0.2:3001", primary),
                (words, External, OUTSIDE, "192.168.1.2:3001", other),
                (words, Host, "127.0.0.1", "127.0.0.1:3001", loopback),
            ],
        );
    }
    let (list, unknown) = NodePortAddresses::read(["primary", "lan", "10.0.0.0/8"]);
    assert_eq!((list.is_complete(), unknown), (false, vec!["lan"]));
    let (none, _) = NodePortAddresses::read([]);
    assert_eq!(none, NodePortAddresses::Default);
    let switched_off = cluster(ProxyMode::Iptables, "1.30", NodePortAddresses::Default)
        .with(|proxy| proxy.localhost_node_ports = false);
    check(
        &switched_off,
        &[(
            "localhost node ports off",
            Host,
            "",
            "127.0.0.1:3001",
            "none",
        )],
    );
    let before = cluster(ProxyMode::Iptables, "1.25", NodePortAddresses::Default)
        .with(|proxy| proxy.localhost_node_ports = false);
    check(
        &before,
        &[(
            "no such option before 1.26",
            Host,
            "",
            "127.0.0.1:3001",
            both,
        )],
    );
}

/// `TestHealthCheckNodePort`, and the ipset of ipvs mode.
#[test]
fn health_check_node_port() {
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.20.2", "none"),
        (ProxyMode::Iptables, "1.21", "accept"),
        (ProxyMode::Iptables, "1.30", "accept"),
        (ProxyMode::Ipvs, "1.20.2", "none"),
        (ProxyMode::Ipvs, "1.21", "accept"),
        (ProxyMode::Nftables, "1.30", "none"),
    ] {
        let cluster = Cluster::new(mode, version)
            .service(
                load_balancer(
                    "172.30.0.41",
                    3001,
                    json!({"externalTrafficPolicy": "Local"}),
                ),
                json!([{"ip": "1.2.3.4"}]),
                json!([]),
            )
            .service(
                load_balancer("172.30.0.42", 3002, json!({})),
                json!([]),
                json!([]),
            );
        check(
            &cluster,
            &[
                ("outside", External, OUTSIDE, "192.168.0.2:30001", expected),
                ("node", Host, "", "192.168.0.2:30001", expected),
                (
                    "UDP is another port",
                    External,
                    OUTSIDE,
                    "192.168.0.2:30001/UDP",
                    "none",
                ),
                (
                    "policy Cluster has none",
                    External,
                    OUTSIDE,
                    "192.168.0.2:30002",
                    "none",
                ),
            ],
        );
    }
}
