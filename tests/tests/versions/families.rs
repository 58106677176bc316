//! The address families of the test cluster.

use serde_json::{Value, json};
use std::net::IpAddr;
use svc_reach_common::facts::Node;
use svc_reach_tests::kubectl::Kubectl;

/// The families, as in `spec.ipFamilies`. The first is the cluster's primary one.
#[derive(Debug, Clone)]
pub struct Families(Vec<&'static str>);

impl Families {
    /// Those of the nodes' addresses.
    pub fn of_cluster(kubectl: &Kubectl) -> Self {
        let nodes = kubectl.object(&["get", "nodes"]);
        let first = Node::try_from(&nodes["items"][0]).unwrap();
        let families: Vec<_> = first.internal_ips.into_iter().map(name).collect();
        assert!(!families.is_empty(), "the first node has no address");
        Self(families)
    }

    /// All families.
    pub fn all(&self) -> &[&'static str] {
        &self.0
    }

    /// Whether the cluster has both families.
    pub const fn are_two(&self) -> bool {
        self.0.len() == 2
    }

    /// A value for each family of the cluster, from one for IPv4 and one for IPv6.
    pub fn choose<T>(&self, four: T, six: T) -> Vec<T> {
        let mut values = [("IPv4", four), ("IPv6", six)]
            .into_iter()
            .collect::<Vec<_>>();
        values.retain(|(family, _)| self.0.contains(family));
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// The fields of a Service that has all families.
    pub fn of_service(&self) -> Value {
        let policy = if self.are_two() {
            "RequireDualStack"
        } else {
            "SingleStack"
        };
        json!({"ipFamilyPolicy": policy, "ipFamilies": self.0})
    }
}

/// The family of an address.
pub const fn name(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}
