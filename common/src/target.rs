//! Targets: addresses of a Service that a probe connects to.

use crate::{facts::Route, protocol::Protocol};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
};

words! {
    /// Kind of an address of the Service.
    pub enum TargetKind("target") {
        /// A backend's own address and target port; kube-proxy is not involved.
        PodIp = "pod-ip",
        /// `spec.clusterIPs`.
        ClusterIp = "cluster-ip",
        /// The Service's name in the cluster's DNS.
        Dns = "dns",
        /// A node's address and `spec.ports[].nodePort`.
        NodePort = "node-port",
        /// `status.loadBalancer.ingress`.
        LoadBalancer = "load-balancer",
        /// `spec.externalIPs`.
        ExternalIp = "external-ip",
        /// A node's address and `spec.healthCheckNodePort`.
        HealthCheckNodePort = "health-check-node-port",
        /// A DNAT gateway's address in front of node ports.
        Dnat = "dnat",
        /// The address of an ingress in front of the Service.
        Ingress = "ingress",
    }
}

words! {
    /// Whether the target's node runs a backend.
    pub enum NodeRole("node role") {
        /// It runs a backend.
        Backend = "backend",
        /// It runs no backend.
        Other = "other",
    }
}

words! {
    /// Whether the target's node is the probe's node.
    pub enum Relation("relation") {
        /// The probe's own node.
        Own = "own",
        /// Another node.
        Remote = "remote",
    }
}

words! {
    /// Whether an address is meant for clients within the VPC or on the internet.
    pub enum Scope("scope") {
        /// For clients within the VPC: a node's `InternalIP`, a load balancer's private address.
        Private = "private",
        /// For clients on the internet: a node's `ExternalIP`, a load balancer's public address.
        Public = "public",
    }
}

impl Scope {
    /// Scope of an address. The ranges for private use are those of RFC 1918, RFC 6598 (shared address space, which
    /// clouds use internally), RFC 3927 and RFC 4193. Everything else is public.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        const fn v4(ip: Ipv4Addr) -> bool {
            let [a, b, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || (a == 100 && b & 0b1100_0000 == 64)
        }
        const fn v6(ip: Ipv6Addr) -> bool {
            ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local()
        }
        let private = match ip {
            IpAddr::V4(ip) => v4(ip),
            IpAddr::V6(ip) => v6(ip),
        };
        if private { Self::Private } else { Self::Public }
    }
}

/// An address of the Service, seen from a position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// What kind of address it is.
    pub kind: TargetKind,
    /// An IP address, or a name that the probe resolves.
    pub address: String,
    /// Port number.
    pub port: NonZeroU16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// `spec.ports[].name` of the Service port that it belongs to.
    pub port_name: Option<String>,
    /// The node that has the address, for node ports; the backend's node, for a pod's address.
    pub node: Option<String>,
    /// Whether that node runs a backend.
    pub node_role: Option<NodeRole>,
    /// Whether that node is the probe's node.
    pub relation: Option<Relation>,
    /// Whether the address is private or public.
    pub scope: Option<Scope>,
    /// How a request must look to get to the Service from there, if it is the address of an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn scope_of_addresses() {
        for (ip, scope) in [
            ("10.1.2.3", Scope::Private),
            ("172.31.0.1", Scope::Private),
            ("172.32.0.1", Scope::Public),
            ("192.168.1.1", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("100.125.1.1", Scope::Private),
            ("100.128.0.1", Scope::Public),
            ("203.0.113.1", Scope::Public),
            ("fd00::1", Scope::Private),
            ("2001:db8::1", Scope::Public),
        ] {
            assert_eq!(Scope::of(ip.parse().unwrap()), scope, "{ip}");
        }
    }
}
