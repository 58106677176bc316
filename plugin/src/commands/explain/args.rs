//! Arguments of `explain`, and what they mean.

use super::{
    answer::ExplainQuery,
    flows::{Query, To},
};
use crate::config::UsageError;
use crate::survey::kube_proxy::ProxyOverrides;
use clap::Args;
use ipnet::IpNet;
use serde_json::Value;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use svc_reach_common::{model::NodePortAddresses, network_model::NetworkModel, protocol::Protocol};

/// Arguments of `explain`.
#[derive(Debug, Default, Args)]
pub struct ExplainArgs {
    /// The Service: nginx, svc/nginx or service/nginx; nginx.web is the Service nginx in namespace web
    #[arg(required_unless_present_any = ["to", "flows"])]
    pub service: Option<String>,
    /// Read a dump instead of the cluster: a file, a folder, or - for standard input. "kubectl get svc,endpointslices,endpoints,nodes,pods,configmaps -A -o json" (or yaml) prints one
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Output format: table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: String,
    /// How pods are connected: tunnel, vpc or eni
    #[arg(long, value_name = "MODEL")]
    pub network_model: Option<String>,
    #[command(flatten)]
    pub packet: PacketArgs,
    #[command(flatten)]
    pub proxy: ProxyArgs,
}

/// Flags for one packet, or for many.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Packets")]
pub struct PacketArgs {
    /// Say what the proxy of a node does with a packet to IP:PORT[/PROTOCOL]
    #[arg(long, value_name = "IP:PORT[/PROTOCOL]", conflicts_with_all = ["flows", "service"], requires_all = ["client", "node"])]
    pub to: Option<String>,
    /// Where the client of the packet is: pod, host or external
    #[arg(long, value_name = "WHERE", requires = "to")]
    pub client: Option<String>,
    /// Address of the client
    #[arg(long, value_name = "IP", requires = "to")]
    pub client_ip: Option<String>,
    /// Node that handles the packet
    #[arg(long, value_name = "NODE", requires = "to")]
    pub node: Option<String>,
    /// Answer many packets: a JSON array of {"id", "node", "client", "clientIp", "to": {"ip", "port", "protocol"}}
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    pub flows: Option<PathBuf>,
}

/// kube-proxy's settings. They replace those of the cluster or the dump.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "kube-proxy")]
pub struct ProxyArgs {
    /// Mode of kube-proxy: iptables, ipvs, nftables, userspace or ebpf
    #[arg(long, value_name = "MODE")]
    pub proxy_mode: Option<String>,
    /// Ranges of pod addresses; an empty text means none
    #[arg(long, value_name = "CIDR,…")]
    pub cluster_cidr: Option<String>,
    /// Ranges of Service addresses
    #[arg(long, value_name = "CIDR,…")]
    pub service_cidr: Option<String>,
    /// Whether kube-proxy masquerades all traffic to cluster IPs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub masquerade_all: Option<bool>,
    /// Addresses of nodes that answer node ports: ranges, and the words primary, localhost and all
    #[arg(long, value_name = "CIDR|WORD,…")]
    pub node_port_addresses: Option<String>,
    /// Whether node ports answer on 127.0.0.1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub localhost_node_ports: Option<bool>,
    /// How kube-proxy recognises pods: cluster-cidr, node-cidr, bridge, interface or none
    #[arg(long, value_name = "DETECTOR")]
    pub local_detector: Option<String>,
    /// Version of kube-proxy, such as v1.30.2. Default: the version of each node
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
}

impl ProxyArgs {
    /// The settings that the user gives.
    ///
    /// # Errors
    ///
    /// If a value is invalid.
    pub fn overrides(&self) -> Result<ProxyOverrides, UsageError> {
        let addresses = self
            .node_port_addresses
            .as_deref()
            .map(|text| {
                let (addresses, unknown) = NodePortAddresses::read(values(text));
                if unknown.is_empty() {
                    Ok(addresses)
                } else {
                    Err(UsageError::invalid(
                        "--node-port-addresses",
                        text,
                        "not ranges such as 10.244.0.0/16, or the words primary, localhost and all",
                    ))
                }
            })
            .transpose()?;
        Ok(ProxyOverrides {
            mode: word(self.proxy_mode.as_deref())?,
            cluster_cidrs: self
                .cluster_cidr
                .as_deref()
                .map(|text| ranges("--cluster-cidr", text))
                .transpose()?,
            service_cidrs: self
                .service_cidr
                .as_deref()
                .map(|text| ranges("--service-cidr", text))
                .transpose()?,
            masquerade_all: self.masquerade_all,
            node_port_addresses: addresses,
            localhost_node_ports: self.localhost_node_ports,
            detector: word(self.local_detector.as_deref())?,
            version: self
                .kubernetes_version
                .as_deref()
                .map(|text| {
                    text.parse().map_err(|_| {
                        UsageError::invalid(
                            "--kubernetes-version",
                            text,
                            "not a version such as v1.30.2",
                        )
                    })
                })
                .transpose()?,
        })
    }
}

impl ExplainArgs {
    /// What the user asks. `flows` are the packets of `--flows`, which the caller reads from the file.
    ///
    /// # Errors
    ///
    /// If an argument is invalid.
    pub fn question(
        &self,
        namespace: &str,
        service_name: impl FnOnce(&str) -> Result<String, UsageError>,
        flows: Option<Vec<Query>>,
    ) -> Result<ExplainQuery, UsageError> {
        if let Some(queries) = flows {
            return Ok(ExplainQuery::Flows(queries));
        }
        if let Some(to) = &self.packet.to {
            return Ok(ExplainQuery::Flows(vec![self.packet.query(to)?]));
        }
        Ok(ExplainQuery::Service {
            namespace: namespace.to_owned(),
            name: service_name(self.service.as_deref().unwrap_or_default())?,
            network: word::<NetworkModel>(self.network_model.as_deref())?,
        })
    }
}

impl PacketArgs {
    fn query(&self, to: &str) -> Result<Query, UsageError> {
        let client_ip = self
            .client_ip
            .as_deref()
            .map(|text| {
                text.parse::<IpAddr>()
                    .map_err(|_| UsageError::invalid("--client-ip", text, "not an IP address"))
            })
            .transpose()?;
        Ok(Query {
            id: Value::Null,
            node: self.node.clone().unwrap_or_default(),
            client: self.client.as_deref().unwrap_or_default().parse()?,
            client_ip,
            to: destination(to)?,
        })
    }
}

/// Parses `IP:PORT[/PROTOCOL]`. The protocol may be in upper or lower case.
fn destination(text: &str) -> Result<To, UsageError> {
    let (address, protocol) = match text.rsplit_once('/') {
        Some((address, protocol)) => (address, protocol.to_ascii_uppercase().parse()?),
        None => (text, Protocol::Tcp),
    };
    let address: SocketAddr = address.parse().map_err(|_| {
        UsageError::invalid(
            "--to",
            text,
            "must have the form IP:PORT[/PROTOCOL], with brackets around an IPv6 address",
        )
    })?;
    Ok(To {
        ip: address.ip(),
        port: address.port(),
        protocol,
    })
}

fn word<T: std::str::FromStr<Err = svc_reach_common::UnknownWord>>(
    text: Option<&str>,
) -> Result<Option<T>, UsageError> {
    Ok(text.map(str::parse).transpose()?)
}

/// The values of a comma-separated text. An empty text has no values.
fn values(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

/// Parses comma-separated ranges. An empty text means no range.
fn ranges(flag: &'static str, text: &str) -> Result<Vec<IpNet>, UsageError> {
    values(text)
        .map(|range| {
            range.parse().map_err(|_| {
                UsageError::invalid(flag, text, "not ranges such as 10.244.0.0/16,fd00:10::/64")
            })
        })
        .collect()
}
