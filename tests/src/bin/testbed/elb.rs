//! The load balancer: gives each Service of type `LoadBalancer` an address, says so in the Service's status, and forwards
//! to `node:nodePort` of the nodes that pass its health check. It runs in a network namespace to which the VPC routes the
//! whole range of addresses.
//!
//! What the Service's annotations choose, after <https://support.huaweicloud.com/intl/en-us/usermanual-cce/cce_10_0681.html>:
//! - `kubernetes.io/elb.class`: `union` (also without one) is a shared, `performance` a dedicated load balancer.
//! - `kubernetes.io/elb.pass-through`: `true` or `onlyLocal` sends what the cluster's own nodes and pods ask of the
//!   address through the load balancer too. Upstream kube-proxy knows no such word and takes every IP in the status for
//!   itself, so here the status then holds a name, which kube-proxy leaves alone; DNS knows the name's address.

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

/// How long a node may take to answer the health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Balances until it is ended.
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
    /// Addresses that this namespace has.
    held: BTreeSet<Ipv4Addr>,
    /// The rules in force.
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
        // All at once: a node that went silent may hold up one round by one timeout, not by one for each Service.
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
        // Published last: an address that is known works.
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

/// Runs a program with this on its standard input.
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

/// The address each Service has or gets: the published one, the wished one if it is free, or the next.
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
            // A wish that cannot be met leaves the Service pending, as a cloud does.
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

/// The port on which, with `externalTrafficPolicy: Local`, a node says whether it has an endpoint.
fn health_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.health_check_node_port?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The nodes that say so, or every Ready node where there is nothing to ask.
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
    fn an_address_once_given_stays_and_wishes_are_honoured() {
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
    fn the_class_decides_whose_address_is_seen() {
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
