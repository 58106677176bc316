//! Addresses that clients connect to.

use crate::{
    families::internal_ips,
    services::{Case, OTHER_PROXY},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
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
    let node_ips: Vec<(&String, IpAddr)> = nodes
        .iter()
        .flat_map(|node| {
            let object = kubectl.object(&["get", "node", node]);
            internal_ips(&object).into_iter().map(move |ip| (node, ip))
        })
        .collect();
    let mut found = BTreeMap::new();
    let mut add = |name: String, ip: IpAddr, port: u16, at: Option<&String>, kind: Kind| {
        let address = SocketAddr::new(ip, port);
        let at = at.cloned();
        found.entry(address).or_insert(Destination {
            name,
            address,
            at,
            kind,
        });
    };
    let services = list["items"].as_array().into_iter().flatten();
    let checked = |service: &&Value| {
        cases
            .iter()
            .any(|case| service["metadata"]["name"] == case.name())
    };
    for service in services.filter(checked) {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let spec = &service["spec"];
        let cluster_ips = ips(&spec["clusterIPs"], |ip| ip);
        let external_ips = ips(&spec["externalIPs"], |ip| ip);
        let balancers = ips(
            &service["status"]["loadBalancer"]["ingress"],
            |of| &of["ip"],
        );
        // The network routes external IPs to the first node.
        let first = nodes.first();
        for ip in &cluster_ips {
            add(
                format!("{name}, other port"),
                *ip,
                OTHER_PORT,
                None,
                Kind::Virtual,
            );
        }
        for ip in &external_ips {
            add(
                format!("{name}, other port"),
                *ip,
                OTHER_PORT,
                first,
                Kind::Virtual,
            );
        }
        let ports = spec["ports"].as_array().into_iter().flatten();
        for port in ports.filter(|port| port["protocol"] == "TCP") {
            let number = number_of(&port["port"]);
            for ip in &cluster_ips {
                add(
                    format!("{name}, cluster IP"),
                    *ip,
                    number,
                    None,
                    Kind::Virtual,
                );
            }
            for ip in &external_ips {
                add(
                    format!("{name}, external IP"),
                    *ip,
                    number,
                    first,
                    Kind::Virtual,
                );
            }
            for ip in &balancers {
                add(
                    format!("{name}, load balancer"),
                    *ip,
                    number,
                    None,
                    Kind::Balancer,
                );
            }
            if port["nodePort"].is_null() {
                continue;
            }
            let number = number_of(&port["nodePort"]);
            for (node, ip) in &node_ips {
                let name = format!("{name}, node port of {node}");
                add(name, *ip, number, Some(node), Kind::Node);
            }
            for ip in [IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap()] {
                let name = format!("{name}, node port of loopback");
                add(name, ip, number, None, Kind::Node);
            }
        }
        // Whether another proxy answers there is unknown.
        let kube_proxy = service["metadata"]["labels"][OTHER_PROXY].is_null();
        if kube_proxy && !spec["healthCheckNodePort"].is_null() {
            let number = number_of(&spec["healthCheckNodePort"]);
            for (node, ip) in &node_ips {
                let name = format!("{name}, health check of {node}");
                // In 1.34 and 1.35, kube-proxy in iptables mode also answers in a family that the Service lacks.
                let same = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4();
                if cluster_ips.iter().any(same) {
                    add(name, *ip, number, Some(node), Kind::HealthCheck);
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

fn ips<'v>(list: &'v Value, ip: impl Fn(&'v Value) -> &'v Value) -> Vec<IpAddr> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| ip(item).as_str()?.parse().ok())
        .collect()
}

fn number_of(value: &Value) -> u16 {
    value
        .as_u64()
        .and_then(|number| number.try_into().ok())
        .unwrap_or_default()
}
