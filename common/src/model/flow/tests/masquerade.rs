//! Whether packets are masqueraded.

use super::{Cluster, HERE, OUTSIDE, POD, check, here, load_balancer, there};
use crate::{
    facts::Node,
    model::Detector,
    position::Network::{self, External, Host, Pod},
    proxy_mode::ProxyMode,
};
use serde_json::json;

/// The Services of `TestInternalExternalMasquerade` (kubernetes/kubernetes v1.37.2
/// `pkg/proxy/{iptables,nftables}/proxier_test.go`).
fn masquerade_cluster(mode: ProxyMode, version: &str) -> Cluster {
    Cluster::new(mode, version)
        .service(
            load_balancer("172.30.0.41", 3001, json!({})),
            json!([{"ip": "1.2.3.4"}]),
            json!([here("10.180.0.1"), there("10.180.1.1")]),
        )
        .service(
            load_balancer(
                "172.30.0.42",
                3002,
                json!({"externalTrafficPolicy": "Local"}),
            ),
            json!([{"ip": "5.6.7.8"}]),
            json!([here("10.180.0.2"), there("10.180.1.2")]),
        )
        .service(
            load_balancer(
                "172.30.0.43",
                3003,
                json!({"internalTrafficPolicy": "Local"}),
            ),
            json!([{"ip": "9.10.11.12"}]),
            json!([here("10.180.0.3"), there("10.180.1.3")]),
        )
}

/// Name, client, source and destination. Then the results by default, without a detector, with masquerade-all, and with
/// masquerade-all but without a detector.
type MasqueradeRow<'r> = (&'r str, Network, Option<&'r str>, &'r str, [String; 4]);

#[test]
fn internal_and_external_masquerade() {
    let both_1 = "10.180.0.1:80 10.180.1.1:80";
    let both_2 = "10.180.0.2:80 10.180.1.2:80";
    let both_3 = "10.180.0.3:80 10.180.1.3:80";
    let keep = |endpoints: &str| format!("{endpoints} keep");
    let masq = |endpoints: &str| format!("{endpoints} masq");
    let node = Some(HERE);
    let pod = Some(POD);
    let outside = Some(OUTSIDE);
    #[rustfmt::skip]
    let rows: Vec<MasqueradeRow<'_>> = vec![
        ("pod to cluster IP", Pod, pod, "172.30.0.41:80", [keep(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("pod to node port", Pod, pod, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("pod to balancer", Pod, pod, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("node to cluster IP", Host, node, "172.30.0.41:80", [masq(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("node to node port", Host, node, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("node to balancer", Host, node, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("outside to cluster IP", External, outside, "172.30.0.41:80", [masq(both_1), keep(both_1), masq(both_1), masq(both_1)]),
        ("outside to node port", External, outside, "192.168.0.2:3001", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("outside to balancer", External, outside, "1.2.3.4:80", [masq(both_1), masq(both_1), masq(both_1), masq(both_1)]),
        ("external local: pod to cluster IP", Pod, pod, "172.30.0.42:80", [keep(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: pod to node port", Pod, pod, "192.168.0.2:3002", [keep(both_2), keep("10.180.0.2:80"), keep(both_2), keep("10.180.0.2:80")]),
        ("external local: pod to balancer", Pod, pod, "5.6.7.8:80", [keep(both_2), keep("10.180.0.2:80"), keep(both_2), keep("10.180.0.2:80")]),
        ("external local: node to cluster IP", Host, node, "172.30.0.42:80", [masq(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: node to node port", Host, node, "192.168.0.2:3002", [masq(both_2), masq(both_2), masq(both_2), masq(both_2)]),
        ("external local: node to balancer", Host, node, "5.6.7.8:80", [masq(both_2), masq(both_2), masq(both_2), masq(both_2)]),
        ("external local: outside to cluster IP", External, outside, "172.30.0.42:80", [masq(both_2), keep(both_2), masq(both_2), masq(both_2)]),
        ("external local: outside to node port", External, outside, "192.168.0.2:3002", [keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80")]),
        ("external local: outside to balancer", External, outside, "5.6.7.8:80", [keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80"), keep("10.180.0.2:80")]),
        ("internal local: pod to cluster IP", Pod, pod, "172.30.0.43:80", [keep("10.180.0.3:80"), keep("10.180.0.3:80"), masq("10.180.0.3:80"), masq("10.180.0.3:80")]),
        ("internal local: pod to node port", Pod, pod, "192.168.0.2:3003", [masq(both_3), masq(both_3), masq(both_3), masq(both_3)]),
        ("internal local: node to cluster IP", Host, node, "172.30.0.43:80", [masq("10.180.0.3:80"), keep("10.180.0.3:80"), masq("10.180.0.3:80"), masq("10.180.0.3:80")]),
        ("internal local: outside to balancer", External, outside, "9.10.11.12:80", [masq(both_3), masq(both_3), masq(both_3), masq(both_3)]),
    ];
    for (mode, version) in [
        (ProxyMode::Iptables, "1.24"),
        (ProxyMode::Iptables, "1.30"),
        (ProxyMode::Iptables, "1.35"),
        (ProxyMode::Nftables, "1.30"),
        (ProxyMode::Nftables, "1.35"),
    ] {
        let settings = [(true, false), (false, false), (true, true), (false, true)];
        for (column, (detector, masquerade_all)) in settings.into_iter().enumerate() {
            let cluster = masquerade_cluster(mode, version).with(|proxy| {
                proxy.masquerade_all = masquerade_all;
                if !detector {
                    proxy.detector = Detector::None;
                }
            });
            for (name, client, from, to, expected) in &rows {
                assert_eq!(
                    cluster.ask(*client, *from, to),
                    expected[column],
                    "{name} ({mode} {version}, detector {detector}, masquerade-all {masquerade_all})"
                );
            }
        }
    }
}

/// Measured with kube-proxy 1.34.4, 1.35.4, 1.36.3 and 1.37.2 in both modes: kubernetes/kubernetes v1.35.4
/// `pkg/proxy/nftables/proxier.go` marks in each endpoint's chain; v1.36.3 has the set `hairpin-connections` of this
/// node's endpoints.
#[test]
fn a_backend_that_reaches_itself_by_another_node() {
    let spec = || {
        json!({"type": "NodePort", "clusterIP": "172.30.0.41", "externalTrafficPolicy": "Local",
               "ports": [{"name": "p80", "port": 80, "nodePort": 3001}]})
    };
    let (own, other) = ("10.180.1.2", "10.180.0.1");
    for (mode, version, alone, of_two) in [
        (ProxyMode::Iptables, "1.35", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Iptables, "1.37", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Nftables, "1.35", "10.180.1.2:80 masq", "?"),
        (ProxyMode::Nftables, "1.36", "10.180.1.2:80 keep", "keep"),
        (ProxyMode::Nftables, "1.37", "10.180.1.2:80 keep", "keep"),
    ] {
        let one = Cluster::new(mode, version).service(spec(), json!([]), json!([there(own)]));
        let two = Cluster::new(mode, version).service(
            spec(),
            json!([]),
            json!([there(own), there("10.180.1.3")]),
        );
        let of_two = format!("10.180.1.2:80 10.180.1.3:80 {of_two}");
        check(&one, &[("alone", Pod, own, "192.168.0.2:3001", alone)]);
        check(&two, &[("of two", Pod, own, "192.168.0.2:3001", &of_two)]);
        // Every version masquerades it on its own node.
        let on_own_node =
            Cluster::new(mode, version).service(spec(), json!([]), json!([here(other)]));
        check(
            &on_own_node,
            &[(
                "own node",
                Pod,
                other,
                "192.168.0.2:3001",
                "10.180.0.1:80 masq",
            )],
        );
    }
}

/// Measured with kube-proxy 1.36.3 and 1.37.2 in nftables mode: the pod of a Service with a selector is also in an
/// EndpointSlice that names no node. "Alone" was not measured, and follows the source.
#[test]
fn a_backend_that_reaches_itself_by_a_service_that_does_not_name_its_node() {
    let own = "10.180.0.1";
    let spec = |ip: &str| json!({"clusterIP": ip, "ports": [{"name": "p80", "port": 80}]});
    let nowhere = || json!({"addresses": [own], "conditions": {"ready": true}});
    for (version, alone) in [("1.35", "masq"), ("1.36", "keep"), ("1.37", "keep")] {
        let manual = || {
            Cluster::new(ProxyMode::Nftables, version).service(
                spec("172.30.0.41"),
                json!([]),
                json!([nowhere()]),
            )
        };
        let alone = format!("10.180.0.1:80 {alone}");
        check(&manual(), &[("alone", Pod, own, "172.30.0.41:80", &alone)]);
        let both = manual().service(spec("172.30.0.42"), json!([]), json!([here(own)]));
        check(
            &both,
            &[("both", Pod, own, "172.30.0.41:80", "10.180.0.1:80 masq")],
        );
    }
}

/// A packet from elsewhere to a backend on this node's host network goes from PREROUTING to INPUT. It does not pass
/// POSTROUTING, where it would be masqueraded. Measured with kube-proxy 1.34.4 to 1.37.2 in iptables and nftables mode;
/// for ipvs mode see linux v6.1 `net/netfilter/ipvs/ip_vs_xmit.c` `ip_vs_nat_send_or_cont`.
#[test]
fn backends_on_this_nodes_host_network_see_the_client() {
    let spec = || load_balancer("172.30.0.41", 3001, json!({"externalIPs": ["192.0.2.99"]}));
    for (mode, version) in [
        (ProxyMode::Iptables, "1.20.2"),
        (ProxyMode::Iptables, "1.37"),
        (ProxyMode::Nftables, "1.35"),
        (ProxyMode::Nftables, "1.37"),
        (ProxyMode::Ipvs, "1.20.2"),
        (ProxyMode::Ipvs, "1.37"),
    ] {
        let balancer = json!([{"ip": "5.6.7.8"}]);
        let alone =
            Cluster::new(mode, version).service(spec(), balancer.clone(), json!([here(HERE)]));
        for to in ["192.168.0.2:3001", "5.6.7.8:80", "192.0.2.99:80"] {
            check(
                &alone,
                &[
                    ("outside", External, OUTSIDE, to, "192.168.0.2:80 keep"),
                    ("pod", Pod, POD, to, "192.168.0.2:80 keep"),
                ],
            );
        }
        check(
            &alone,
            &[
                // What the node itself sends passes POSTROUTING.
                ("host", Host, "", "192.168.0.2:3001", "192.168.0.2:80 masq"),
                ("host", Host, "", "172.30.0.41:80", "192.168.0.2:80 masq"),
                ("pod", Pod, POD, "172.30.0.41:80", "192.168.0.2:80 keep"),
            ],
        );
        let two = Cluster::new(mode, version).service(
            spec(),
            balancer,
            json!([here(HERE), there("192.168.0.3")]),
        );
        let to = "192.168.0.2:3001";
        let (here, there) = ("192.168.0.2:80", "192.168.0.3:80");
        check(
            &two,
            &[
                (
                    "by the endpoint",
                    External,
                    OUTSIDE,
                    to,
                    &format!("{here} {there} ?"),
                ),
                ("host", Host, "", to, &format!("{here} {there} masq")),
            ],
        );
        // kube-proxy marks clients that are not pods for a cluster IP, and with masqueradeAll pods too.
        let all = alone.with(|proxy| proxy.masquerade_all = true);
        check(
            &all,
            &[
                (
                    "outside",
                    External,
                    OUTSIDE,
                    "172.30.0.41:80",
                    "192.168.0.2:80 keep",
                ),
                ("pod", Pod, POD, "172.30.0.41:80", "192.168.0.2:80 keep"),
            ],
        );
    }
    // Here it makes no difference whether there is a detector.
    let unknown = Cluster::new(ProxyMode::Iptables, "1.37")
        .with(|proxy| proxy.detector = Detector::Unknown)
        .service(spec(), json!([]), json!([here(HERE)]));
    check(
        &unknown,
        &[(
            "outside",
            External,
            OUTSIDE,
            "172.30.0.41:80",
            "192.168.0.2:80 keep",
        )],
    );
}

/// Detectors (kubernetes/kubernetes v1.37.2 `pkg/proxy/util/localdetector.go`).
#[test]
fn who_counts_as_a_pod() {
    let cluster = |detector| {
        Cluster::new(ProxyMode::Iptables, "1.30")
            .with(|proxy| proxy.detector = detector)
            .service(
                load_balancer(
                    "172.30.0.41",
                    3001,
                    json!({"externalTrafficPolicy": "Local"}),
                ),
                json!([]),
                json!([there("10.180.1.2")]),
            )
    };
    let own = "10.180.0.9";
    let others = "10.180.1.9";
    let pods = "10.180.1.2:80 keep";
    #[rustfmt::skip]
    let rows = [
        (Detector::ClusterCidr(vec!["10.180.0.0/16".parse().unwrap()]), pods, pods),
        (Detector::NodeCidr, pods, "drop"),
        (Detector::Bridge, pods, "drop"),
        (Detector::Interface, pods, "drop"),
        (Detector::ClusterCidr(vec!["fd00:10::/32".parse().unwrap()]), "drop", "drop"),
        (Detector::ClusterCidr(Vec::new()), "drop", "drop"),
        (Detector::None, "drop", "drop"),
        (Detector::Unknown, pods, pods),
    ];
    for (detector, expected_own, expected_others) in rows {
        let cluster = cluster(detector);
        check(
            &cluster,
            &[
                (
                    "pod of this node",
                    Pod,
                    own,
                    "192.168.0.2:3001",
                    expected_own,
                ),
                (
                    "pod of another node",
                    Pod,
                    others,
                    "192.168.0.2:3001",
                    expected_others,
                ),
                ("outside", External, OUTSIDE, "192.168.0.2:3001", "drop"),
            ],
        );
    }
    // If the detector or the node's range is unknown, only what depends on it is unknown.
    let mut unread = cluster(Detector::NodeCidr);
    unread.nodes[0] = Node::of_pods("here".to_owned(), vec![HERE.parse().unwrap()]);
    for unknown in [cluster(Detector::Unknown), unread] {
        check(
            &unknown,
            &[
                (
                    "pod to cluster IP",
                    Pod,
                    own,
                    "172.30.0.41:80",
                    "10.180.1.2:80 keep",
                ),
                (
                    "node to cluster IP",
                    Host,
                    "",
                    "172.30.0.41:80",
                    "10.180.1.2:80 ?",
                ),
            ],
        );
    }
}
