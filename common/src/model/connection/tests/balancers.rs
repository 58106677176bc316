//! Load balancers.

use super::{BALANCER, Cluster, External, Host, ONE, Pod, TWO, iptables};
use crate::{
    model::{NodePortAddresses, connection::Input},
    proxy_mode::ProxyMode,
    target::TargetKind,
};

/// kube-proxy leaves the packet alone, so it really goes to the load balancer.
#[test]
fn through_the_load_balancer() {
    let proxied = |keeps, endpoints: &[(&str, &str)]| {
        Cluster::new(ProxyMode::Iptables, "1.30", "Local", endpoints).with(|cluster| {
            cluster.paths.balancer.pass_through = Some(true);
            cluster.paths.balancer.keeps_client = keeps;
        })
    };
    // Huawei ELB and AWS NLB: if the balancer keeps the client's address, a backend node cannot be its own client.
    let one = proxied(Some(true), &ONE);
    assert_eq!(one.outcome(Host, Some("b1"), BALANCER), "timeout");
    assert_eq!(one.outcome(Pod, Some("b1"), BALANCER), "timeout");
    assert_eq!(one.outcome(Host, Some("o1"), BALANCER), "reached");
    assert_eq!(one.outcome(External, None, BALANCER), "reached");
    let two = proxied(Some(true), &TWO);
    assert_eq!(
        two.outcome(Host, Some("b1"), BALANCER),
        "some attempts, by chance (1 of 2)"
    );
    // A node treats a pod of another node as its own. So it may choose the endpoint on the other node, which answers the
    // pod directly. Measured with kube-proxy 1.37.2 in nftables mode.
    let mut kept = proxied(Some(true), &TWO);
    kept.paths.pods_masqueraded = Some(false);
    assert_eq!(
        kept.outcome(Pod, Some("o1"), BALANCER),
        "some attempts, by chance (2 of 4)"
    );
    let mut one_node = proxied(Some(true), &TWO);
    one_node.paths.pods_masqueraded = Some(false);
    one_node.service.session_affinity_seconds = Some(10_800);
    one_node.nodes[1].ready = false;
    assert_eq!(
        one_node.outcome(Pod, Some("o1"), BALANCER),
        "always or never, by chance (1 of 2)",
        "the balancer has no choice, and the node keeps its own"
    );
    kept.paths.pods_masqueraded = Some(true);
    assert_eq!(kept.outcome(Pod, Some("o1"), BALANCER), "reached");
    kept.paths.pods_masqueraded = None;
    assert_eq!(
        kept.outcome(Pod, Some("o1"), BALANCER),
        "unknown: whether the pod network masquerades pods towards other nodes' addresses"
    );
    let replaced = proxied(Some(false), &ONE);
    assert_eq!(replaced.outcome(Host, Some("b1"), BALANCER), "reached");
    let unknown = proxied(None, &ONE);
    assert_eq!(
        unknown.outcome(Host, Some("b1"), BALANCER),
        "unknown: whether the load balancer keeps the client's address"
    );
    assert_eq!(unknown.outcome(Host, Some("o1"), BALANCER), "reached");
    // If the balancer has a name instead of an address, packets go to the balancer too.
    let by_name = Cluster::new(ProxyMode::Iptables, "1.30", "Cluster", &ONE);
    let named = (TargetKind::LoadBalancer, "lb.example.org");
    assert_eq!(
        by_name.outcome(Host, Some("o1"), named),
        "unknown: whether the load balancer keeps the client's address"
    );
    // Whether the provider's kube-proxy handles the address matters only if the two cases differ.
    let perhaps = Cluster::new(ProxyMode::Iptables, "1.30", "Local", &ONE).with(|cluster| {
        cluster.paths.balancer.pass_through = None;
        cluster.paths.balancer.keeps_client = Some(true);
    });
    assert_eq!(perhaps.outcome(Host, Some("o1"), BALANCER), "reached");
    assert_eq!(
        perhaps.outcome(Host, Some("b1"), BALANCER),
        "unknown: whether kube-proxy leaves the address to the load balancer (pass-through)"
    );
}

/// The Service has one family and the cluster two. Measured with kube-proxy 1.34.4 to 1.37.2 in both modes.
#[test]
fn a_load_balancer_sends_to_node_addresses_of_its_family() {
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables] {
        let cluster = |cluster_ips: &[&str], backend: &str| {
            Cluster::new(mode, "1.37", "Cluster", &[(backend, "b1")]).with(|cluster| {
                for (node, address) in cluster.nodes.iter_mut().zip(11..) {
                    let address = format!("fd00:70:0:1::{address}");
                    node.internal_ips.push(address.parse().unwrap());
                }
                let ips = cluster_ips.iter().map(|ip| ip.parse().unwrap());
                cluster.service.cluster_ips = ips.collect();
                cluster.service.load_balancer[0].ip = None;
            })
        };
        let (v4, v6) = ("203.0.113.5", "fd00:70:0:e::8");
        let only_v6 = cluster(&["fd00:70:5::7"], "fd00:70:a:1::5");
        let only_v4 = cluster(&["10.96.0.7"], "10.244.1.5");
        let rows = [
            ("IPv6 alone", &only_v6, v6),
            ("IPv4 alone", &only_v4, v4),
            // The balancer translates between families, since the Service has one only.
            ("IPv4 behind an IPv6 address", &only_v4, v6),
            // A name has no family.
            ("IPv6 behind a name", &only_v6, "lb.example.org"),
        ];
        for (name, cluster, address) in rows {
            let to = (TargetKind::LoadBalancer, address);
            assert_eq!(
                cluster.outcome(External, None, to),
                "reached",
                "{mode} {name}"
            );
        }
        let mut one_family = cluster(&["fd00:70:5::7"], "fd00:70:a:1::5");
        one_family
            .nodes
            .iter_mut()
            .for_each(|node| node.internal_ips.truncate(1));
        assert_eq!(
            one_family.outcome(External, None, (TargetKind::LoadBalancer, v6)),
            "unknown: the node whose address it is",
            "{mode}: no node has an address of that family"
        );
    }
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
