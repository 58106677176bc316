//! What a forecast assumes about a client's address, and about everything that is not known.

use super::{BALANCER, CLUSTER_IP, Cluster, External, Host, ONE, Pod, TWO, node_port};
use crate::{
    facts::Service,
    model::{Detector, connection::Input},
    position::Network,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    target::TargetKind,
};
use serde_json::json;

fn iptables(policy: &str, endpoints: &[(&str, &str)]) -> Cluster {
    Cluster::new(ProxyMode::Iptables, "1.30", policy, endpoints)
}

fn unknown(input: Input) -> String {
    format!("unknown: {}", input.missing())
}

/// No range of the nodes is known, as with EKS, CCE and Calico. The only pods that are known are in 10/8.
#[test]
fn pods_have_addresses_like_known_pods() {
    let of = |ranges: &[&str]| {
        iptables("Cluster", &[("10.20.1.5", "b1")]).with(|cluster| {
            for node in &mut cluster.nodes {
                node.pod_cidrs.clear();
            }
            cluster.proxy.detector = Detector::ClusterCidr(Vec::new());
            let ranges = ranges.iter().map(|range| range.parse().unwrap());
            cluster.service.load_balancer_source_ranges = ranges.collect();
        })
    };
    for node in ["b1", "o1"] {
        assert_eq!(
            of(&["10.0.0.0/8"]).outcome(Pod, Some(node), BALANCER),
            "reached"
        );
        assert_eq!(
            of(&["198.51.100.0/24"]).outcome(Pod, Some(node), BALANCER),
            "timeout"
        );
    }
    // Nothing is known about any pod.
    let nothing = of(&["10.0.0.0/8"]).with(|cluster| {
        cluster.endpoints[0].address = "172.30.0.11".parse().unwrap();
    });
    assert_eq!(
        nothing.outcome(Pod, Some("o1"), BALANCER),
        unknown(Input::ClientAddress)
    );
}

/// kubernetes/kubernetes#112820: Calico gives pods addresses outside of kube-proxy's cluster CIDR, and ignores the pod
/// ranges of nodes.
#[test]
fn pods_outside_of_the_cluster_cidr_are_clients_from_outside() {
    let cluster = iptables("Local", &[("10.134.1.5", "b1")]);
    assert_eq!(cluster.outcome(Pod, Some("o1"), BALANCER), "timeout");
    assert_eq!(cluster.outcome(Pod, Some("o1"), node_port("o1")), "timeout");
    assert_eq!(cluster.outcome(Pod, Some("b1"), BALANCER), "reached");
    // A probe's own address is better than any conclusion.
    let probe = cluster.with(|cluster| cluster.client = vec!["10.244.3.9".parse().unwrap()]);
    assert_eq!(probe.outcome(Pod, Some("o1"), BALANCER), "reached");
}

#[test]
fn a_pod_range_that_is_listed_in_part_is_unknown() {
    let of = |range: &str| {
        iptables("Cluster", &ONE).with(|cluster| {
            cluster.service.load_balancer_source_ranges = vec![range.parse().unwrap()];
        })
    };
    let pod = |range: &str| of(range).outcome(Pod, Some("o1"), BALANCER);
    assert_eq!(pod("10.244.0.0/16"), "reached");
    assert_eq!(pod("10.244.9.0/24"), "timeout");
    assert_eq!(pod("10.244.3.0/28"), unknown(Input::PodAddress));
}

/// A pool of Calico has no range for each node, so a node may have pods of two pools.
#[test]
fn pods_of_one_node_may_differ() {
    let cluster = iptables("Local", &ONE).with(|cluster| {
        cluster.pods = vec![("o1", "10.244.3.7"), ("o1", "10.99.0.7")];
    });
    assert_eq!(
        cluster.outcome(Pod, Some("o1"), BALANCER),
        unknown(Input::PodAddress)
    );
    assert_eq!(cluster.outcome(Host, Some("o1"), BALANCER), "reached");
}

#[test]
fn clients_outside_are_unknown_if_the_service_lists_its_clients() {
    let of = |ranges: &[&str]| {
        iptables("Cluster", &ONE).with(|cluster| {
            let ranges = ranges.iter().map(|range| range.parse().unwrap());
            cluster.service.load_balancer_source_ranges = ranges.collect();
        })
    };
    let outside = |cluster: &Cluster| cluster.outcome(External, None, BALANCER);
    assert_eq!(
        outside(&of(&["203.0.113.0/24"])),
        unknown(Input::ClientAddress)
    );
    assert_eq!(outside(&of(&["203.0.113.0/24", "0.0.0.0/0"])), "reached");
    assert_eq!(outside(&of(&["fd00::/8"])), "reached", "another family");
    let no_endpoint = of(&["203.0.113.0/24"]).with(|cluster| cluster.endpoints.clear());
    assert_eq!(outside(&no_endpoint), "refused or timeout", "listed or not");
    let by_provider = of(&[]).with(|cluster| cluster.paths.balancer.limits_clients = true);
    assert_eq!(outside(&by_provider), unknown(Input::ClientAddress));
    // Node ports have no such list.
    let node_port = of(&["203.0.113.0/24"]).outcome(External, None, node_port("b1"));
    assert_eq!(node_port, "reached");
}

#[test]
fn endpoints_that_are_not_known_are_not_absent() {
    let cluster = iptables("Local", &[]).with(|cluster| cluster.endpoints_known = false);
    for target in [
        CLUSTER_IP,
        BALANCER,
        node_port("o1"),
        (TargetKind::Dns, "web.ns.svc"),
        (TargetKind::HealthCheckNodePort, "o1"),
    ] {
        for (client, node) in [(Pod, Some("o1")), (Host, Some("o1")), (External, None)] {
            let outcome = cluster.outcome(client, node, target);
            assert_eq!(outcome, unknown(Input::Endpoints), "{client} to {target:?}");
        }
    }
}

/// Virtual nodes and Windows nodes run no kube-proxy that the model knows.
#[test]
fn nodes_without_kube_proxy_are_not_predicted() {
    type Change = fn(&mut crate::facts::Node);
    let rows: [(Change, &str); 3] = [
        (
            |node| {
                node.labels
                    .insert("eks.amazonaws.com/compute-type".into(), "fargate".into());
            },
            "is virtual",
        ),
        (
            |node| {
                node.labels.insert("type".into(), "virtual-kubelet".into());
            },
            "is virtual",
        ),
        (|node| node.os = Some("windows".into()), "runs Windows"),
    ];
    for (change, why) in rows {
        let cluster = iptables("Cluster", &ONE).with(|cluster| change(&mut cluster.nodes[2]));
        for (client, node, target) in [
            (External, None, node_port("o1")),
            (Pod, Some("b1"), node_port("o1")),
            (Pod, Some("o1"), CLUSTER_IP),
            (External, None, (TargetKind::HealthCheckNodePort, "o1")),
        ] {
            let outcome = cluster.outcome(client, node, target);
            assert!(
                outcome.starts_with("unknown: ") && outcome.contains(why),
                "{outcome}"
            );
        }
        assert_eq!(
            cluster.outcome(External, None, BALANCER),
            "reached",
            "by the other nodes"
        );
    }
}

/// kube-proxy does not translate a packet twice
/// (kubernetes.io/docs/concepts/services-networking/service, "Services without selectors").
#[test]
fn an_endpoint_that_is_another_services_address_does_not_answer() {
    let other = json!({
        "metadata": {"name": "other", "namespace": "ns"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.99", "ports": [{"port": 8080}]},
    });
    let cluster = |mode| {
        Cluster::new(mode, "1.30", "Cluster", &[("10.96.0.99", "b1")]).with(|cluster| {
            cluster.endpoints[0].node = None;
            cluster.other = Some(Service::try_from(&other).unwrap());
        })
    };
    for mode in [ProxyMode::Iptables, ProxyMode::Ipvs, ProxyMode::Nftables] {
        for client in [Pod, Host] {
            let outcome = cluster(mode).outcome(client, Some("b1"), CLUSTER_IP);
            assert_eq!(outcome, "timeout", "{mode}, {client}");
        }
        // The other Service has no endpoint.
        let direct = (TargetKind::PodIp, "10.96.0.99");
        assert_eq!(
            cluster(mode).outcome(Pod, Some("b1"), direct),
            "refused",
            "{mode}"
        );
    }
}

/// A host has several addresses, so the answer may come from another one than was asked.
#[test]
fn udp_servers_on_a_host_network_may_answer_from_another_address() {
    let of = |protocol, client: Network, to| {
        iptables("Cluster", &[("172.30.0.11", "b1")])
            .with(|cluster| {
                cluster.service.ports[0].protocol = protocol;
                cluster.endpoints[0].ports[0].protocol = protocol;
                cluster.protocol = protocol;
            })
            .outcome(client, Some("o1"), to)
    };
    let direct = (TargetKind::PodIp, "172.30.0.11");
    let unknown = unknown(Input::ReplyAddress);
    for target in [CLUSTER_IP, direct] {
        assert_eq!(of(Protocol::Udp, Pod, target), unknown);
        assert_eq!(of(Protocol::Udp, Host, target), "reached");
        assert_eq!(of(Protocol::Tcp, Pod, target), "reached");
    }
}

/// In IPVS mode up to 1.27, every node takes a node's address for itself if it is the external IP of some Service.
#[test]
fn a_nodes_address_as_external_ip_of_another_service_hides_the_node() {
    let other = json!({
        "metadata": {"name": "other", "namespace": "ns"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.99", "externalIPs": ["172.30.0.12"],
                 "ports": [{"port": 443}]},
    });
    let cluster = |mode| {
        Cluster::new(mode, "1.27", "Cluster", &TWO)
            .with(|cluster| cluster.other = Some(Service::try_from(&other).unwrap()))
    };
    let outcome = |mode| cluster(mode).outcome(Pod, Some("o1"), node_port("b2"));
    assert_eq!(outcome(ProxyMode::Ipvs), "refused");
    assert_eq!(outcome(ProxyMode::Iptables), "reached");
}

/// The other nodes also drop what comes from that address (tried on Linux 6.1, IPv4).
#[test]
fn a_nodes_address_as_external_ip_cuts_the_node_off() {
    let other = json!({
        "metadata": {"name": "other", "namespace": "ns"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.99", "externalIPs": ["172.30.0.12"],
                 "ports": [{"port": 443}]},
    });
    let pod = (TargetKind::PodIp, "10.244.1.5");
    let outcome = |mode, client, node, to| {
        Cluster::new(mode, "1.33", "Cluster", &[("10.244.1.5", "b1")])
            .with(|cluster| cluster.other = Some(Service::try_from(&other).unwrap()))
            .outcome(client, node, to)
    };
    for (client, node, to, expected) in [
        (Host, Some("b2"), pod, "timeout"),
        (Host, Some("b2"), CLUSTER_IP, "timeout"),
        (Host, Some("b2"), node_port("b1"), "timeout"),
        (Host, Some("b2"), node_port("b2"), "timeout"),
        (External, None, node_port("b2"), "timeout"),
        (External, None, node_port("b1"), "reached"),
        (Host, Some("o1"), pod, "reached"),
        (Host, Some("o1"), CLUSTER_IP, "reached"),
        (Pod, Some("b2"), CLUSTER_IP, "reached"),
    ] {
        let seen = outcome(ProxyMode::Ipvs, client, node, to);
        assert_eq!(seen, expected, "{client:?} on {node:?} to {to:?}");
        let elsewhere = outcome(ProxyMode::Iptables, client, node, to);
        assert_eq!(elsewhere, "reached", "{client:?} on {node:?} to {to:?}");
    }
}

/// A node that was not read may run an endpoint on its host network.
#[test]
fn endpoints_of_nodes_that_are_not_known() {
    let cluster = Cluster::new(
        ProxyMode::Ipvs,
        "1.30",
        "Local",
        &[("172.30.9.9", "elsewhere")],
    )
    .with(|cluster| cluster.paths.host_replies = Some(false));
    assert_eq!(
        cluster.outcome(Host, Some("o1"), node_port("o1")),
        unknown(Input::BackendOnHost)
    );
}
