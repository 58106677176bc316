//! The load balancer. It gives each Service of type `LoadBalancer` an address, writes the address to the Service's
//! status, and forwards to `node:nodePort` on the nodes that pass the health check. It runs in a network namespace, and
//! the VPC routes the whole range of addresses there.
//!
//! It supports these annotations of a Service, after
//! <https://support.huaweicloud.com/intl/en-us/usermanual-cce/cce_10_0681.html>:
//! - `kubernetes.io/elb.class`: `performance` is a dedicated load balancer. `union`, or no annotation, is a shared one.
//! - `kubernetes.io/elb.pass-through`: with `true` or `onlyLocal`, traffic from the cluster's own nodes and pods also
//!   goes through the load balancer. Upstream kube-proxy does not know this annotation and captures every IP in the
//!   status. So in this case the status contains a host name, which kube-proxy ignores. DNS resolves the name to the
//!   address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Service, ServicePort};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::cluster::{POLL, all, client};
use crate::ruleset::{Kind, Listener, Protocol, ruleset};
use crate::zone::{balancer_address, balancer_label};

/// Time limit for a node's answer to the health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the load balancer. Returns only if it cannot start.
pub async fn run(first: &str, last: &str, domain: &str) -> Result<()> {
    let range = u32::from(first.parse::<Ipv4Addr>()?)..=u32::from(last.parse::<Ipv4Addr>()?);
    let mut balancer = Balancer {
        client: client().await?,
        range: range.map(Ipv4Addr::from).collect(),
        domain: domain.to_owned(),
        held: BTreeSet::new(),
        rules: String::new(),
    };
    loop {
        if let Err(error) = balancer.step().await {
            eprintln!("{error}");
        }
        sleep(POLL).await;
    }
}

struct Balancer {
    client: Client,
    range: BTreeSet<Ipv4Addr>,
    domain: String,
    /// Addresses that are configured in this network namespace.
    held: BTreeSet<Ipv4Addr>,
    /// The nftables rules that were last loaded.
    rules: String,
}

impl Balancer {
    async fn step(&mut self) -> Result<()> {
        let (services, nodes): (Vec<Service>, Vec<Node>) =
            tokio::try_join!(all(&self.client), all(&self.client))?;
        let ready: Vec<Ipv4Addr> = nodes
            .iter()
            .filter(|node| is_ready(node))
            .filter_map(internal_ip)
            .collect();
        let given = assign(&services, &self.range, &self.domain);
        // Check all Services at the same time, so that a silent node costs one timeout per round, not one per Service.
        let checks: Vec<_> = given
            .iter()
            .map(|(service, _)| tokio::spawn(healthy(health_port(service), ready.clone())))
            .collect();
        let mut listeners = Vec::new();
        for ((service, address), check) in given.iter().zip(checks) {
            listeners.extend(listeners_of(service, *address, &check.await?));
        }
        self.hold(given.iter().map(|(_, address)| *address).collect())
            .await?;
        let rules = ruleset(&listeners);
        if rules != self.rules {
            feed(Command::new("nft").args(["-f", "-"]), &rules).await?;
            eprintln!("{rules}");
            self.rules = rules;
        }
        // Publish an address only after it works.
        for (service, address) in &given {
            self.publish(service, Some(*address)).await?;
        }
        for service in services.iter().filter(|service| !is_balanced(service)) {
            self.publish(service, None).await?;
        }
        Ok(())
    }

    async fn hold(&mut self, wanted: BTreeSet<Ipv4Addr>) -> Result<()> {
        let changes = wanted.difference(&self.held).map(|ip| ("add", ip));
        let changes: String = changes
            .chain(self.held.difference(&wanted).map(|ip| ("del", ip)))
            .map(|(change, ip)| format!("addr {change} {ip}/32 dev lo\n"))
            .collect();
        if !changes.is_empty() {
            feed(Command::new("ip").args(["-batch", "-"]), &changes).await?;
        }
        self.held = wanted;
        Ok(())
    }

    async fn publish(&self, service: &Service, address: Option<Ipv4Addr>) -> Result<()> {
        let ingress = match address {
            None => json!([]),
            Some(ip) if passes_through(service) => {
                json!([{"hostname": format!("{}.{}", balancer_label(ip), self.domain)}])
            }
            Some(ip) => json!([{"ip": ip.to_string()}]),
        };
        let published = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref())
            .and_then(|lb| lb.ingress.as_ref());
        if serde_json::to_value(published.map_or(&[][..], Vec::as_slice))? == ingress {
            return Ok(());
        }
        let api = Api::<Service>::namespaced(
            self.client.clone(),
            &service.namespace().unwrap_or_default(),
        );
        let patch = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        match api
            .patch_status(
                &service.name_any(),
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
        {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            patched => Ok(patched.map(drop)?),
        }
    }
}

/// Runs a program with this standard input.
async fn feed(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let status = child.wait().await?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status} for\n{input}").into())
    }
}

fn is_balanced(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

/// Assigns an address to each Service: 1. The one in its status. 2. Its `loadBalancerIP`, if that is free. 3. The next
/// free one.
fn assign<'a>(
    services: &'a [Service],
    range: &BTreeSet<Ipv4Addr>,
    domain: &str,
) -> Vec<(&'a Service, Ipv4Addr)> {
    let mut free = range.clone();
    let mut given = Vec::new();
    let (old, new): (Vec<_>, Vec<_>) = services
        .iter()
        .filter(|service| is_balanced(service))
        .map(|service| (service, published_address(service, domain)))
        .partition(|(_, published)| published.is_some());
    for (service, published) in old {
        if let Some(address) = published.filter(|address| free.remove(address)) {
            given.push((service, address));
        }
    }
    for (service, _) in new {
        let wished = service
            .spec
            .as_ref()
            .and_then(|spec| spec.load_balancer_ip.as_deref())
            .and_then(|ip| ip.parse().ok());
        let address = match wished {
            // If the wanted address is not free, the Service stays pending, as in a cloud.
            Some(wished) => free.take(&wished),
            None => free.pop_first(),
        };
        given.extend(address.map(|address| (service, address)));
    }
    given
}

fn published_address(service: &Service, domain: &str) -> Option<Ipv4Addr> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?
        .first()?;
    match (&ingress.ip, &ingress.hostname) {
        (Some(ip), _) => ip.parse().ok(),
        (None, Some(name)) => balancer_address(name.strip_suffix(domain)?.strip_suffix('.')?),
        (None, None) => None,
    }
}

fn annotation<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    let annotations: &BTreeMap<String, String> = service.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn passes_through(service: &Service) -> bool {
    matches!(
        annotation(service, "kubernetes.io/elb.pass-through"),
        Some("true" | "onlyLocal")
    )
}

fn listeners_of(service: &Service, address: Ipv4Addr, backends: &[Ipv4Addr]) -> Vec<Listener> {
    let kind = match annotation(service, "kubernetes.io/elb.class") {
        Some("performance") => Kind::Dedicated,
        _ => Kind::Shared,
    };
    let ports: &[ServicePort] = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let listener = |port: &ServicePort| {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some(_) => return None,
        };
        Some(Listener {
            address,
            kind,
            protocol,
            port: port.port,
            node_port: port.node_port?,
            backends: backends.to_vec(),
        })
    };
    ports.iter().filter_map(listener).collect()
}

/// The port where a node says whether it has an endpoint. Only Services with `externalTrafficPolicy: Local` have one.
fn health_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.health_check_node_port?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The nodes that pass the health check. Without a health check port, all Ready nodes.
async fn healthy(port: Option<u16>, ready: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let Some(port) = port else { return ready };
    let checks: Vec<_> = ready
        .iter()
        .map(|node| {
            let node = *node;
            (
                node,
                tokio::spawn(timeout(
                    HEALTH_TIMEOUT,
                    passes(SocketAddr::from((node, port))),
                )),
            )
        })
        .collect();
    let mut healthy = Vec::new();
    for (node, check) in checks {
        if let Ok(Ok(Ok(true))) = check.await {
            healthy.push(node);
        }
    }
    healthy
}

async fn passes(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())
        .await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn internal_ip(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses
        .iter()
        .find(|address| address.type_ == "InternalIP")?
        .address
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(list: serde_json::Value) -> Vec<Service> {
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn assigned_addresses_stay_and_load_balancer_ip_is_honoured() {
        let list = services(json!([
            {"metadata": {"name": "new"}, "spec": {"type": "LoadBalancer"}},
            {"metadata": {"name": "inner"}, "spec": {"type": "NodePort"}},
            {"metadata": {"name": "wish"}, "spec": {"type": "LoadBalancer", "loadBalancerIP": "192.168.60.205"}},
            {"metadata": {"name": "taken"}, "spec": {"type": "LoadBalancer", "loadBalancerIP": "192.168.60.200"}},
            {"metadata": {"name": "old"}, "spec": {"type": "LoadBalancer"},
             "status": {"loadBalancer": {"ingress": [{"ip": "192.168.60.200"}]}}},
            {"metadata": {"name": "through"}, "spec": {"type": "LoadBalancer"},
             "status": {"loadBalancer": {"ingress": [{"hostname": "ip-192-168-60-201.elb.test"}]}}},
        ]));
        let range = (200..=210)
            .map(|last| Ipv4Addr::new(192, 168, 60, last))
            .collect();
        let given: BTreeMap<String, String> = assign(&list, &range, "elb.test")
            .into_iter()
            .map(|(s, ip)| (s.name_any(), ip.to_string()))
            .collect();
        let expected = [("new", 202), ("wish", 205), ("old", 200), ("through", 201)];
        let expected: BTreeMap<_, _> = expected
            .map(|(n, last)| (n.to_owned(), format!("192.168.60.{last}")))
            .into();
        assert_eq!(given, expected);
    }

    #[test]
    fn the_class_decides_which_client_address_a_backend_sees() {
        let rows = [
            (json!({}), Kind::Shared),
            (json!({"kubernetes.io/elb.class": "union"}), Kind::Shared),
            (
                json!({"kubernetes.io/elb.class": "performance"}),
                Kind::Dedicated,
            ),
        ];
        for (annotations, kind) in rows {
            let list = services(
                json!([{"metadata": {"name": "s", "annotations": annotations},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]}}]),
            );
            let listeners = listeners_of(&list[0], Ipv4Addr::LOCALHOST, &[]);
            assert_eq!(
                listeners.iter().map(|l| l.kind).collect::<Vec<_>>(),
                [kind],
                "{annotations}"
            );
        }
    }
}
