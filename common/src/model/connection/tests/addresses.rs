//! Addresses of nodes and load balancers: which of them answer, and which nodes a load balancer uses.

use super::{BALANCER, Cluster, External, Host, ONE, Pod, TWO, node_port};
use crate::{
    model::{NodePortAddresses, connection::Input},
    proxy_mode::ProxyMode,
    target::TargetKind,
};

fn iptables(policy: &str, endpoints: &[(&str, &str)]) -> Cluster {
    Cluster::new(ProxyMode::Iptables, "1.30", policy, endpoints)
}

/// Bare metal, Hetzner, DigitalOcean and others have the public address on the node; clouds with NAT do not.
#[test]
fn a_public_address_may_be_on_an_interface() {
    let own = |seen: Option<&[&str]>, by_provider| {
        let cluster = iptables("Local", &TWO).with(|cluster| {
            cluster.paths.public_on_interface = by_provider;
            if let Some(seen) = seen {
                let seen = seen.iter().map(|ip| ip.parse().unwrap()).collect();
                cluster.interfaces.insert("o1".to_owned(), seen);
            }
        });
        let to = node_port("o1/public");
        [
            cluster.outcome(Host, Some("o1"), to),
            cluster.outcome(Pod, Some("o1"), to),
            cluster.outcome(External, None, to),
        ]
    };
    let unknown = format!("unknown: {}", Input::PublicAddress.missing());
    assert_eq!(
        own(Some(&["198.51.100.13"]), None),
        ["reached", "reached", "timeout"]
    );
    assert_eq!(own(Some(&[]), None), ["timeout"; 3], "NAT");
    assert_eq!(own(None, Some(false)), ["timeout"; 3], "a cloud with NAT");
    assert_eq!(
        own(Some(&["198.51.100.13"]), Some(false)),
        ["reached", "reached", "timeout"],
        "what was seen counts"
    );
    assert_eq!(
        own(None, None),
        [unknown.as_str(), unknown.as_str(), "timeout"]
    );
}

/// kubernetes/kubernetes#104742: since 1.23 the server of health checks listens on `nodePortAddresses` only.
#[test]
fn health_checks_answer_on_addresses_for_node_ports() {
    let outcome = |mode, version: &str, values: &[&str]| {
        Cluster::new(mode, version, "Local", &ONE)
            .with(|cluster| {
                cluster.proxy.node_port_addresses =
                    NodePortAddresses::read(values.iter().copied()).0;
                // The client asks the second address.
                cluster.nodes[0]
                    .internal_ips
                    .insert(0, "10.9.0.11".parse().unwrap());
            })
            .outcome(External, None, (TargetKind::HealthCheckNodePort, "b1"))
    };
    use ProxyMode::{Iptables, Ipvs, Nftables};
    assert_eq!(outcome(Iptables, "1.30", &[]), "reached");
    assert_eq!(outcome(Nftables, "1.35", &[]), "refused", "primary only");
    for mode in [Iptables, Ipvs, Nftables] {
        assert_eq!(outcome(mode, "1.35", &["10.9.0.0/16"]), "refused", "{mode}");
        assert_eq!(
            outcome(mode, "1.35", &["172.30.0.0/16"]),
            "reached",
            "{mode}"
        );
    }
    assert_eq!(outcome(Iptables, "1.22", &["10.9.0.0/16"]), "reached");
    assert_eq!(
        outcome(Iptables, "1.35", &["10.9.0.0/16", "lan"]),
        format!("unknown: {}", Input::NodePortAddresses.missing())
    );
}

/// MetalLB and passthrough load balancers leave their address in the packet, so `nodePortAddresses` does not matter.
#[test]
fn a_load_balancer_may_keep_its_address() {
    let outcome = |keeps, node_port: bool| {
        iptables("Cluster", &ONE)
            .with(|cluster| {
                cluster.proxy.node_port_addresses =
                    NodePortAddresses::within(vec!["10.9.0.0/16".parse().unwrap()]);
                cluster.paths.balancer.keeps_destination = keeps;
                if !node_port {
                    cluster.service.ports[0].node_port = None;
                }
            })
            .outcome(External, None, BALANCER)
    };
    let unknown = |input: Input| format!("unknown: {}", input.missing());
    assert_eq!(outcome(Some(true), true), "reached");
    assert_eq!(outcome(Some(true), false), "reached");
    assert_eq!(outcome(Some(false), true), "refused");
    assert_eq!(outcome(Some(false), false), unknown(Input::BalancerTarget));
    assert_eq!(outcome(None, true), unknown(Input::BalancerDestination));
    assert_eq!(outcome(None, false), unknown(Input::BalancerTarget));
}

/// The load balancer of K3s is on the nodes: its address is a node's.
#[test]
fn a_load_balancer_may_have_a_nodes_address() {
    for (node, address, expected) in [
        ("b1", "172.30.0.11", "reached"),
        ("o1", "172.30.0.13", "timeout"),
    ] {
        let cluster = iptables("Local", &ONE).with(|cluster| {
            cluster.service.load_balancer[0].ip = address.parse().ok();
            cluster.service.ports[0].node_port = None;
        });
        let to = (TargetKind::LoadBalancer, address);
        assert_eq!(cluster.outcome(External, None, to), expected, "{node}");
    }
}

#[test]
fn load_balancers_leave_nodes_out() {
    type Change = fn(&mut crate::facts::Node);
    let rows: [(&str, Change); 4] = [
        ("label", |node| {
            let key = "node.kubernetes.io/exclude-from-external-load-balancers";
            node.labels.insert(key.into(), String::new());
        }),
        ("not ready", |node| node.ready = false),
        ("virtual", |node| {
            node.labels.insert("type".into(), "virtual-kubelet".into());
        }),
        ("Windows", |node| node.os = Some("windows".into())),
    ];
    for (name, change) in rows {
        let one = iptables("Local", &ONE).with(|cluster| change(&mut cluster.nodes[0]));
        assert_eq!(
            one.outcome(External, None, BALANCER),
            "timeout",
            "{name}: the only one"
        );
        let forecast = one.forecast(External, None, BALANCER);
        assert!(
            forecast.why[0].rule.contains("leaves all of them out"),
            "{name}"
        );
        let two = iptables("Local", &TWO).with(|cluster| change(&mut cluster.nodes[0]));
        assert_eq!(
            two.outcome(External, None, BALANCER),
            "reached",
            "{name}: the other one"
        );
        // A node that is left out would refuse.
        let one = iptables("Cluster", &ONE).with(|cluster| change(&mut cluster.nodes[3]));
        assert_eq!(
            one.outcome(External, None, BALANCER),
            "reached",
            "{name}: policy Cluster"
        );
    }
}

/// Endpoints are on nodes that were not read, or no node is known at all.
#[test]
fn nodes_that_are_not_known_are_not_absent() {
    let elsewhere = iptables("Local", &[("10.244.9.5", "elsewhere")]);
    let unknown = format!("unknown: {}", Input::BalancerNodes.missing());
    assert_eq!(elsewhere.outcome(External, None, BALANCER), unknown);
    for policy in ["Local", "Cluster"] {
        let none = iptables(policy, &ONE).with(|cluster| cluster.nodes.clear());
        assert_eq!(none.outcome(External, None, BALANCER), unknown, "{policy}");
    }
}

/// CCE Turbo with a dedicated load balancer, an NLB with IP targets.
#[test]
fn a_load_balancer_may_send_to_pods() {
    let outcome = |reaches, endpoints: &[(&str, &str)]| {
        iptables("Local", endpoints)
            .with(|cluster| {
                cluster.paths.balancer.reaches_pods = reaches;
                // Through node ports, no node would serve.
                for node in &mut cluster.nodes {
                    node.ready = false;
                }
            })
            .outcome(External, None, BALANCER)
    };
    assert_eq!(outcome(Some(true), &ONE), "reached");
    assert_eq!(outcome(Some(true), &[]), "timeout", "no pod is ready");
    assert_eq!(outcome(Some(false), &ONE), "timeout");
    assert_eq!(
        outcome(None, &ONE),
        format!("unknown: {}", Input::BalancerPods.missing())
    );
}
