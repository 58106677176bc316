//! Addresses of nodes: which of them answer.

use super::{BALANCER, External, Host, ONE, Pod, TWO, iptables, node_port};
use crate::model::connection::Input;

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
