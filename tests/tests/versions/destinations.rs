//! Addresses that clients connect to.

use crate::services::{Case, OTHER_PROXY};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use svc_reach_common::{
    facts::{Node, Service},
    protocol::Protocol,
};
use svc_reach_tests::{kubectl::Kubectl, namespace::Namespace};

/// A port that no Service has.
const OTHER_PORT: u16 = 4444;

/// Addresses of the Services' range that no Service has.
const UNUSED: [&str; 2] = ["10.248.255.77", "fd00:60:5::ff77"];

/// A place that a packet goes to.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The Service and the kind of address.
    pub name: String,
    /// The address.
    pub address: SocketAddr,
    /// The node that gets packets to it from outside.
    pub at: Option<String>,
    /// What it is without kube-proxy's rules.
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only the rules of kube-proxy know it.
    Virtual,
    /// It is an address of a node.
    Node,
    /// kube-proxy itself answers there.
    HealthCheck,
    /// Without a rule, it is that of a load balancer.
    Balancer,
}

/// Every address of the Services.
pub fn all(
    kubectl: &Kubectl,
    namespace: &Namespace,
    nodes: &[String],
    cases: &[Case],
) -> Vec<Destination> {
    let list = kubectl.object(&namespace.args(&["get", "services"]));
    let services = list["items"].as_array().into_iter().flatten();
    let services = services.map(|service| Service::try_from(service).unwrap());
    let nodes: Vec<Node> = nodes
        .iter()
        .map(|node| Node::try_from(&kubectl.object(&["get", "node", node])).unwrap())
        .collect();
    let mut found = BTreeMap::new();
    let mut add = |name: String, ip: IpAddr, port: u16, at: Option<&Node>, kind: Kind| {
        let address = SocketAddr::new(ip, port);
        found.entry(address).or_insert(Destination {
            name,
            address,
            at: at.map(|node| node.name.clone()),
            kind,
        });
    };
    let checked = |service: &Service| cases.iter().any(|case| service.name == case.name());
    for service in services.filter(checked) {
        let name = &service.name;
        let cluster_ips = service
            .cluster_ips
            .iter()
            .map(|ip| (*ip, "cluster IP", None));
        // The network routes external IPs to the first node.
        let external_ips = service.external_ips.iter();
        let external_ips = external_ips.map(|ip| (*ip, "external IP", nodes.first()));
        let addresses: Vec<_> = cluster_ips.chain(external_ips).collect();
        for (ip, _, at) in &addresses {
            add(
                format!("{name}, other port"),
                *ip,
                OTHER_PORT,
                *at,
                Kind::Virtual,
            );
        }
        for port in service
            .ports
            .iter()
            .filter(|port| port.protocol == Protocol::Tcp)
        {
            for (ip, what, at) in &addresses {
                add(
                    format!("{name}, {what}"),
                    *ip,
                    port.port.get(),
                    *at,
                    Kind::Virtual,
                );
            }
            for ip in service
                .load_balancer
                .iter()
                .filter_map(|ingress| ingress.ip)
            {
                let name = format!("{name}, load balancer");
                add(name, ip, port.port.get(), None, Kind::Balancer);
            }
            let Some(number) = port.node_port else {
                continue;
            };
            for (node, ip) in addresses_of(&nodes) {
                let name = format!("{name}, node port of {}", node.name);
                add(name, ip, number.get(), Some(node), Kind::Node);
            }
            for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
                let name = format!("{name}, node port of loopback");
                add(name, ip, number.get(), None, Kind::Node);
            }
        }
        // Whether another proxy answers there is unknown.
        let kube_proxy = !service.labels.contains_key(OTHER_PROXY);
        if let Some(number) = service.health_check_node_port.filter(|_| kube_proxy) {
            for (node, ip) in addresses_of(&nodes) {
                let name = format!("{name}, health check of {}", node.name);
                // In 1.34 and 1.35, kube-proxy in iptables mode also answers in a family that the Service lacks.
                let same = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4();
                if service.cluster_ips.iter().any(same) {
                    add(name, ip, number.get(), Some(node), Kind::HealthCheck);
                }
            }
        }
    }
    for ip in UNUSED {
        let name = "no Service's cluster IP".to_owned();
        add(name, ip.parse().unwrap(), 80, None, Kind::Virtual);
    }
    found.into_values().collect()
}

fn addresses_of(nodes: &[Node]) -> impl Iterator<Item = (&Node, IpAddr)> {
    nodes
        .iter()
        .flat_map(|node| node.internal_ips.iter().map(move |ip| (node, *ip)))
}
