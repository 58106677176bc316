//! Ports for health checks.

use super::{Cluster, External, Host, ONE, Pod, TWO};
use crate::{
    model::{NodePortAddresses, connection::Input},
    proxy_mode::ProxyMode,
    target::TargetKind,
};

#[test]
fn health_checks_answer_on_every_node() {
    let cluster = Cluster::new(ProxyMode::Ipvs, "1.30", "Local", &ONE);
    for (node, status) in [("b1", "200"), ("o1", "503")] {
        let forecast = cluster.forecast(Pod, Some("o2"), (TargetKind::HealthCheckNodePort, node));
        assert_eq!(forecast.outcome.to_string(), "reached", "{node}");
        assert!(
            forecast.why[0].rule.contains(status),
            "{node}: {:?}",
            forecast.why
        );
    }
}

#[test]
fn another_proxy_may_answer_health_checks() {
    let mut cluster = Cluster::new(ProxyMode::Nftables, "1.37", "Local", &ONE);
    let label = "service.kubernetes.io/service-proxy-name";
    cluster
        .service
        .labels
        .insert(label.into(), "another".into());
    assert_eq!(
        cluster.outcome(Host, Some("o1"), (TargetKind::HealthCheckNodePort, "b1")),
        "unknown: what listens on the node itself"
    );
}

/// kubernetes/kubernetes#104742: since 1.23, health checks are answered where node ports are.
#[test]
fn health_checks_are_answered_at_node_port_addresses() {
    for (version, range, expected) in [
        ("1.22.0", "10.9.0.0/16", "reached"),
        ("1.23.0", "10.9.0.0/16", "refused"),
        ("1.35.0", "172.30.0.0/16", "reached"),
    ] {
        for mode in [ProxyMode::Iptables, ProxyMode::Ipvs] {
            let cluster = Cluster::new(mode, version, "Local", &TWO).with(|cluster| {
                cluster.proxy.node_port_addresses =
                    NodePortAddresses::within(vec![range.parse().unwrap()]);
            });
            let outcome = cluster.outcome(Pod, Some("o1"), (TargetKind::HealthCheckNodePort, "b2"));
            assert_eq!(outcome, expected, "{mode} {version} {range}");
        }
    }
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
