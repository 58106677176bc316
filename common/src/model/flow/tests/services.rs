//! The addresses of Services: cluster IPs, external IPs and load balancers.

use super::{Cluster, HERE, OUTSIDE, POD, check, here, load_balancer, there};
use crate::{
    position::Network::{External, Host, Pod},
    proxy_mode::ProxyMode,
};
use serde_json::{Value, json};

/// `TestClusterIPGeneral` (kubernetes/kubernetes v1.37.2 `pkg/proxy/{iptables,nftables}/proxier_test.go`).
#[test]
fn cluster_ips_by_port_and_protocol() {
    let cluster = |mode, version| {
        Cluster::new(mode, version)
            .with(|proxy| proxy.service_cidrs = vec!["172.30.0.0/16".parse().unwrap()])
            .service(
                json!({"clusterIP": "172.30.0.41", "ports": [{"name": "http", "port": 80}]}),
                json!([]),
                json!([here("10.180.0.1")]),
            )
            .service(
                json!({"clusterIP": "172.30.0.42", "ports": [
                    {"name": "http", "port": 80}, {"name": "https", "port": 443, "targetPort": 8443},
                    {"name": "dns-udp", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
                    {"name": "dns-sctp", "port": 53, "protocol": "SCTP"}]}),
                json!([]),
                json!([here("10.180.0.1"), there("10.180.2.1")]),
            )
    };
    let common = [
        (
            "simple",
            Pod,
            "10.180.0.2",
            "172.30.0.41:80",
            "10.180.0.1:80 keep",
        ),
        (
            "hairpin",
            Pod,
            "10.180.0.1",
            "172.30.0.41:80",
            "10.180.0.1:80 masq",
        ),
        (
            "hairpin to one of two",
            Pod,
            "10.180.0.1",
            "172.30.0.42:80",
            "10.180.0.1:80 10.180.2.1:80 ?",
        ),
        (
            "target port",
            Pod,
            "10.180.0.2",
            "172.30.0.42:443",
            "10.180.0.1:8443 10.180.2.1:8443 keep",
        ),
        (
            "TCP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/TCP",
            "10.180.0.1:5353 10.180.2.1:5353 keep",
        ),
        (
            "UDP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/UDP",
            "10.180.0.1:53 10.180.2.1:53 keep",
        ),
        (
            "SCTP",
            Pod,
            "10.180.0.2",
            "172.30.0.42:53/SCTP",
            "10.180.0.1:53 10.180.2.1:53 keep",
        ),
    ];
    for (mode, version, other_protocol, other_port, unallocated) in [
        (ProxyMode::Iptables, "1.20.2", "none", "none", "none"),
        (ProxyMode::Iptables, "1.30", "none", "none", "none"),
        (ProxyMode::Nftables, "1.29", "none", "none", "none"),
        (ProxyMode::Nftables, "1.30", "reject", "reject", "drop"),
        (ProxyMode::Ipvs, "1.25", "accept", "accept", "none"),
        (ProxyMode::Ipvs, "1.26", "reject", "reject", "none"),
    ] {
        let cluster = cluster(mode, version);
        check(&cluster, &common);
        check(
            &cluster,
            &[
                (
                    "protocol it has not",
                    Pod,
                    POD,
                    "172.30.0.42:80/UDP",
                    other_protocol,
                ),
                ("port it has not", Pod, POD, "172.30.0.41:443", other_port),
                (
                    "port it has not, from the node",
                    Host,
                    "",
                    "172.30.0.41:443",
                    other_port,
                ),
                (
                    "address that nobody has",
                    Pod,
                    POD,
                    "172.30.0.50:80",
                    unallocated,
                ),
            ],
        );
    }
}

/// `TestLoadBalancer` (kubernetes/kubernetes v1.37.2 `pkg/proxy/{iptables,nftables}/proxier_test.go`), with and without
/// endpoints.
#[test]
fn load_balancer_source_ranges() {
    let ranges = |ranges: Value| {
        load_balancer(
            "172.30.0.41",
            3001,
            json!({"loadBalancerSourceRanges": ranges}),
        )
    };
    let balancer = json!([{"ip": "1.2.3.4"}, {"ip": "5.6.7.8"}]);
    let cluster = |mode, version, endpoints: Value| {
        Cluster::new(mode, version).service(
            ranges(json!([
                "192.168.0.0/24",
                " 203.0.113.0/25",
                "2001:db8::/32"
            ])),
            balancer.clone(),
            endpoints,
        )
    };
    let one = json!([{"addresses": ["10.180.0.1"]}]);
    for (mode, version) in [
        (ProxyMode::Iptables, "1.20.2"),
        (ProxyMode::Iptables, "1.24"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Nftables, "1.30"),
        (ProxyMode::Ipvs, "1.20.2"),
        (ProxyMode::Ipvs, "1.30"),
    ] {
        check(
            &cluster(mode, version, one.clone()),
            &[
                (
                    "pod to cluster IP",
                    Pod,
                    POD,
                    "172.30.0.41:80",
                    "10.180.0.1:80 keep",
                ),
                (
                    "node port is not filtered",
                    External,
                    "203.0.113.200",
                    "192.168.0.2:3001",
                    "10.180.0.1:80 masq",
                ),
                (
                    "listed",
                    External,
                    OUTSIDE,
                    "1.2.3.4:80",
                    "10.180.0.1:80 masq",
                ),
                (
                    "listed, second address",
                    External,
                    OUTSIDE,
                    "5.6.7.8:80",
                    "10.180.0.1:80 masq",
                ),
                (
                    "not listed",
                    External,
                    "203.0.113.200",
                    "1.2.3.4:80",
                    "drop",
                ),
                ("a pod is not listed", Pod, POD, "1.2.3.4:80", "drop"),
                (
                    "the node is listed",
                    Host,
                    HERE,
                    "1.2.3.4:80",
                    "10.180.0.1:80 masq",
                ),
            ],
        );
    }
    // Ranges of the other family do not count.
    let other = Cluster::new(ProxyMode::Iptables, "1.30").service(
        ranges(json!(["2001:db8::/32"])),
        balancer.clone(),
        one.clone(),
    );
    check(
        &other,
        &[(
            "ranges of the other family",
            External,
            OUTSIDE,
            "1.2.3.4:80",
            "10.180.0.1:80 masq",
        )],
    );
    // The ranges do not include the node's own address.
    let narrow = |mode, version| {
        Cluster::new(mode, version).service(
            ranges(json!(["203.0.113.0/25"])),
            balancer.clone(),
            one.clone(),
        )
    };
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.30", "drop"),
        (ProxyMode::Nftables, "1.30", "drop"),
        (ProxyMode::Ipvs, "1.24", "drop"),
        (ProxyMode::Ipvs, "1.28", "10.180.0.1:80 masq"),
        (ProxyMode::Ipvs, "1.29", "drop"),
    ] {
        check(
            &narrow(mode, version),
            &[("the node is not listed", Host, "", "1.2.3.4:80", expected)],
        );
    }
    // Without endpoints iptables skips the ranges, but nftables does not (TestLoadBalancerReject, setupNFTables).
    for (mode, expected) in [
        (ProxyMode::Iptables, "reject"),
        (ProxyMode::Nftables, "drop"),
        (ProxyMode::Ipvs, "drop"),
    ] {
        check(
            &cluster(mode, "1.30", json!([])),
            &[(
                "not listed, no endpoints",
                External,
                "203.0.113.200",
                "1.2.3.4:80",
                expected,
            )],
        );
    }
}

/// External IPs of a cluster IP Service with policy Local, version by version.
#[test]
fn external_ips() {
    let cluster = |mode, version| {
        Cluster::new(mode, version).service(
            json!({"clusterIP": "172.30.0.41", "externalIPs": ["192.0.2.99"], "externalTrafficPolicy": "Local",
                   "ports": [{"port": 80}]}),
            json!([]),
            json!([here("10.180.0.1"), there("10.180.1.1")]),
        )
    };
    let keep = "10.180.0.1:80 10.180.1.1:80 keep";
    let masq = "10.180.0.1:80 10.180.1.1:80 masq";
    let local = "10.180.0.1:80 keep";
    for (mode, version, expected) in [
        (ProxyMode::Iptables, "1.20.2", [masq, "none", masq]),
        (ProxyMode::Iptables, "1.23", [keep, masq, masq]),
        (ProxyMode::Iptables, "1.28", [masq, masq, masq]),
        // The policy applies to cluster IP Services since 1.29.
        (ProxyMode::Iptables, "1.29", [keep, masq, local]),
        (ProxyMode::Ipvs, "1.28", [masq, masq, masq]),
        // KUBE-IPVS-FILTER knows external IPs under policy Local since 1.30 (kubernetes/kubernetes#124260).
        (ProxyMode::Ipvs, "1.29", ["reject", local, "reject"]),
        (ProxyMode::Ipvs, "1.30", [local, local, local]),
    ] {
        check(
            &cluster(mode, version),
            &[
                ("pod", Pod, POD, "192.0.2.99:80", expected[0]),
                ("node", Host, "", "192.0.2.99:80", expected[1]),
                ("outside", External, OUTSIDE, "192.0.2.99:80", expected[2]),
            ],
        );
    }
    // Up to 1.20, pods on a bridge are not served (`physdev ! --physdev-is-in`).
    let bridged =
        cluster(ProxyMode::Iptables, "1.20.2").with(|proxy| proxy.bridged_pods = Some(true));
    check(
        &bridged,
        &[("pod on a bridge", Pod, POD, "192.0.2.99:80", "none")],
    );
}

/// `TestLoadBalancerIngressRouteTypeProxy`, and load balancers with a host name.
#[test]
fn balancers_that_are_left_alone() {
    for (version, by_proxy) in [("1.29", "10.180.0.1:80 masq"), ("1.30", "none")] {
        for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
            let cluster = Cluster::new(mode, version).service(
                load_balancer("172.30.0.41", 3001, json!({})),
                json!([{"ip": "1.2.3.4", "ipMode": "Proxy"}, {"ip": "1.2.3.5", "ipMode": "VIP"}, {"ip": "1.2.3.6"},
                       {"hostname": "lb.example.org"}]),
                json!([here("10.180.0.1")]),
            );
            check(
                &cluster,
                &[
                    ("Proxy", Pod, POD, "1.2.3.4:80", by_proxy),
                    ("VIP", Pod, POD, "1.2.3.5:80", "10.180.0.1:80 masq"),
                    ("unset", Pod, POD, "1.2.3.6:80", "10.180.0.1:80 masq"),
                    ("not the Service's", Pod, POD, "1.2.3.7:80", "none"),
                ],
            );
        }
    }
}

/// `ShouldSkipService` and the label selector of kube-proxy's informers.
#[test]
fn services_that_are_not_proxied() {
    let spec = || json!({"clusterIP": "172.30.0.41", "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]});
    let endpoints = || json!([here("10.180.0.1")]);
    for (name, metadata, spec) in [
        (
            "another proxy's",
            json!({"labels": {"service.kubernetes.io/service-proxy-name": ""}}),
            spec(),
        ),
        (
            "labelled headless",
            json!({"labels": {"service.kubernetes.io/headless": ""}}),
            spec(),
        ),
        (
            "headless",
            json!({}),
            json!({"clusterIP": "None", "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]}),
        ),
        (
            "an alias",
            json!({}),
            json!({"type": "ExternalName", "clusterIP": "172.30.0.41",
            "externalIPs": ["192.0.2.99"], "ports": [{"port": 80}]}),
        ),
    ] {
        for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
            let cluster =
                Cluster::new(mode, "1.30").annotated(metadata.clone(), spec.clone(), endpoints());
            check(
                &cluster,
                &[
                    (name, Pod, POD, "172.30.0.41:80", "none"),
                    (name, External, OUTSIDE, "192.0.2.99:80", "none"),
                ],
            );
        }
    }
}

/// Each family has its own proxy (kubernetes/kubernetes v1.37.2 `pkg/proxy/metaproxier/meta_proxier.go`,
/// `pkg/proxy/util/utils.go` `GetClusterIPByFamily`).
#[test]
fn families_are_apart() {
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
        let cluster = Cluster::new(mode, "1.30")
            .service(
                json!({"type": "NodePort", "clusterIPs": ["172.30.0.41", "fd00:172::41"],
                       "ports": [{"port": 80, "nodePort": 3001}]}),
                json!([]),
                json!([here("10.180.0.1"), here("fd00:10:180::1")]),
            )
            .service(
                json!({"type": "NodePort", "clusterIPs": ["172.30.0.42"], "externalIPs": ["2001:db8::99"],
                       "ports": [{"port": 80, "nodePort": 3002}]}),
                json!([]),
                json!([here("10.180.0.2"), here("fd00:10:180::2")]),
            )
            .service(
                json!({"clusterIPs": ["172.30.0.43", "fd00:172::43"], "ports": [{"port": 80}]}),
                json!([]),
                json!([here("10.180.0.3")]),
            );
        check(
            &cluster,
            &[
                ("IPv4", Pod, POD, "172.30.0.41:80", "10.180.0.1:80 keep"),
                (
                    "IPv6",
                    Pod,
                    "fd00:10::2",
                    "[fd00:172::41]:80",
                    "[fd00:10:180::1]:80 keep",
                ),
                (
                    "IPv6 node port",
                    External,
                    "2600::1",
                    "[2001:db8::2]:3001",
                    "[fd00:10:180::1]:80 masq",
                ),
                (
                    "no IPv6 cluster IP, no IPv6 node port",
                    External,
                    "2600::1",
                    "[2001:db8::2]:3002",
                    "none",
                ),
                (
                    "no IPv6 cluster IP, no IPv6 external IP",
                    External,
                    "2600::1",
                    "[2001:db8::99]:80",
                    "none",
                ),
                (
                    "no IPv6 endpoint",
                    Pod,
                    "fd00:10::2",
                    "[fd00:172::43]:80",
                    "reject",
                ),
                (
                    "no IPv6 node ports on loopback",
                    Host,
                    "",
                    "[::1]:3001",
                    "none",
                ),
            ],
        );
    }
}
