//! The servers of the cluster's DNS. A pod has to reach one of them before it can use a name.

use crate::{
    cluster::Cluster,
    config::{ServiceName, ServiceSelection},
    survey::services::{SurveyedService, asked},
};
use std::net::IpAddr;
use svc_reach_common::{
    model::policy::{Labels, Pod, PortNumber},
    protocol::Protocol,
};

/// The namespace of the cluster's DNS.
pub const NAMESPACE: &str = "kube-system";

/// The Service of the cluster's DNS. CoreDNS keeps the name of its predecessor
/// (<https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/>).
const SERVICE: &str = "kube-dns";

/// One server of the cluster's DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsServer {
    /// Its address.
    pub address: IpAddr,
    /// The port that it listens on for UDP.
    pub port: PortNumber,
    /// Its pod; `None` if it is none.
    pub pod: Option<Pod>,
}

/// Reads the servers. If that fails, there are none, and it is unknown whether a pod may use them.
pub async fn servers(cluster: &impl Cluster) -> Vec<DnsServer> {
    let selection = ServiceSelection::Named(vec![ServiceName {
        namespace: None,
        name: SERVICE.to_owned(),
    }]);
    match asked(cluster, NAMESPACE, &selection).await {
        Ok(found) => found.iter().flat_map(of_service).collect(),
        Err(error) => {
            tracing::debug!(%error, "failed to read the Service of the cluster's DNS");
            Vec::new()
        }
    }
}

/// The servers behind the Service. All labels in its selector are labels of its pods, which may have others.
fn of_service(found: &SurveyedService) -> Vec<DnsServer> {
    let selector = &found.service.selector;
    let mut servers = Vec::new();
    for endpoint in found.backends.endpoints.iter().filter(|one| one.ready) {
        for port in &endpoint.ports {
            if port.protocol != Protocol::Udp {
                continue;
            }
            servers.push(DnsServer {
                address: endpoint.address,
                port: PortNumber {
                    port: port.port,
                    protocol: port.protocol,
                },
                pod: endpoint.pod.as_ref().map(|name| Pod {
                    namespace: NAMESPACE.to_owned(),
                    name: name.clone(),
                    labels: Labels::some(selector.clone()),
                    addresses: vec![endpoint.address],
                    host_network: false,
                    node: endpoint.node.clone(),
                    ports: None,
                }),
            });
        }
    }
    servers
}
