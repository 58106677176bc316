//! The load balancer. It gives each Service of type `LoadBalancer` one address of each of the Service's families,
//! writes the addresses to the Service's status, and forwards to `node:nodePort` on the nodes that pass the health
//! check. It runs in a network namespace, and the VPC routes all its addresses there.
//!
//! It supports these annotations of a Service, after
//! <https://support.huaweicloud.com/intl/en-us/usermanual-cce/cce_10_0681.html>:
//! - `kubernetes.io/elb.class`: `performance` is a dedicated load balancer. `union`, or no annotation, is a shared one.
//! - `kubernetes.io/elb.pass-through`: with `true` or `onlyLocal`, traffic from the cluster's own nodes and pods also
//!   goes through the load balancer. Upstream kube-proxy does not know this annotation and captures every IP in the
//!   status. So in this case the status contains a host name, which kube-proxy ignores. DNS resolves the name to the
//!   address.
//!
//! One annotation exists only here: `svcr.test/ip-mode` sets `ipMode` in the Service's status (Kubernetes 1.29 and
//! later). With `Proxy`, kube-proxy does not capture the address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Node, Service, ServicePort};
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
pub async fn run(ranges: &str, domain: &str) -> Result<()> {
    let mut balancer = Balancer {
        client: client().await?,
        addresses: addresses(ranges)?,
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

/// All addresses in ranges such as `192.168.60.200-192.168.60.247,fd00::1-fd00::20`.
fn addresses(ranges: &str) -> Result<BTreeSet<IpAddr>> {
    let mut all = BTreeSet::new();
    for range in ranges.split(',') {
        let (first, last) = range
            .split_once('-')
            .ok_or_else(|| format!("not a range of addresses: {range}"))?;
        match (first.parse()?, last.parse()?) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let range = u32::from(first)..=u32::from(last);
                all.extend(range.map(|ip| IpAddr::from(Ipv4Addr::from(ip))));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let range = u128::from(first)..=u128::from(last);
                all.extend(range.map(|ip| IpAddr::from(Ipv6Addr::from(ip))));
            }
            _ => return Err(format!("two families in one range: {range}").into()),
        }
    }
    Ok(all)
}

struct Balancer {
    client: Client,
    addresses: BTreeSet<IpAddr>,
    domain: String,
    /// Addresses that are configured in this network namespace.
    held: BTreeSet<IpAddr>,
    /// The nftables rules that were last loaded.
    rules: String,
}

impl Balancer {
    async fn step(&mut self) -> Result<()> {
        let (services, nodes): (Vec<Service>, Vec<Node>) =
            tokio::try_join!(all(&self.client), all(&self.client))?;
        let ready: Vec<IpAddr> = nodes
            .iter()
            .filter(|node| is_ready(node))
            .flat_map(internal_ips)
            .collect();
        let given = assign(&services, &self.addresses, &self.domain);
        // Check all Services at the same time, so that a silent node costs one timeout per round, not one per Service.
        let checks: Vec<_> = given
            .iter()
            .map(|(service, _)| tokio::spawn(healthy(health_port(service), ready.clone())))
            .collect();
        let mut listeners = Vec::new();
        for ((service, addresses), check) in given.iter().zip(checks) {
            listeners.extend(listeners_of(service, addresses, &check.await?));
        }
        self.hold(given.iter().flat_map(|(_, ips)| ips).copied().collect())
            .await?;
        let rules = ruleset(&listeners);
        if rules != self.rules {
            feed(Command::new("nft").args(["-f", "-"]), &rules).await?;
            eprintln!("{rules}");
            self.rules = rules;
        }
        // Publish an address only after it works.
        for (service, addresses) in &given {
            self.publish(service, addresses).await?;
        }
        for service in services.iter().filter(|service| !is_balanced(service)) {
            self.publish(service, &[]).await?;
        }
        Ok(())
    }

    async fn hold(&mut self, wanted: BTreeSet<IpAddr>) -> Result<()> {
        let changes = wanted.difference(&self.held).map(|ip| ("add", ip));
        let changes: String = changes
            .chain(self.held.difference(&wanted).map(|ip| ("del", ip)))
            .map(|(change, ip)| {
                let bits = if ip.is_ipv4() { 32 } else { 128 };
                format!("addr {change} {ip}/{bits} dev lo\n")
            })
            .collect();
        if !changes.is_empty() {
            feed(Command::new("ip").args(["-batch", "-"]), &changes).await?;
        }
        self.held = wanted;
        Ok(())
    }

    async fn publish(&self, service: &Service, addresses: &[IpAddr]) -> Result<()> {
        let ingress: Vec<LoadBalancerIngress> = addresses
            .iter()
            .map(|ip| {
                let mut ingress = LoadBalancerIngress::default();
                if passes_through(service) {
                    ingress.hostname = Some(format!("{}.{}", balancer_label(*ip), self.domain));
                } else {
                    ingress.ip = Some(ip.to_string());
                    ingress.ip_mode = annotation(service, "svcr.test/ip-mode").map(str::to_owned);
                }
                ingress
            })
            .collect();
        if published(service) == ingress {
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

/// The addresses in a Service's status. If the Service does not have our annotation for `ipMode`, this leaves `ipMode`
/// out, because the API server sets it by default.
fn published(service: &Service) -> Vec<LoadBalancerIngress> {
    let mut published = ingress(service).to_vec();
    if annotation(service, "svcr.test/ip-mode").is_none() {
        for ingress in &mut published {
            ingress.ip_mode = None;
        }
    }
    published
}

fn ingress(service: &Service) -> &[LoadBalancerIngress] {
    service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|lb| lb.ingress.as_deref())
        .unwrap_or_default()
}

/// Assigns to each Service one address of each of its families: 1. The one in its status. 2. Its `loadBalancerIP`, if
/// that is free. 3. The next free one. If one family gets no address, the Service gets none at all and stays
/// pending, as in a cloud.
fn assign<'a>(
    services: &'a [Service],
    range: &BTreeSet<IpAddr>,
    domain: &str,
) -> Vec<(&'a Service, Vec<IpAddr>)> {
    let mut free = range.clone();
    // Reserve all published addresses first, so that no other Service gets them.
    let balanced: Vec<(&Service, Vec<IpAddr>)> = services
        .iter()
        .filter(|service| is_balanced(service))
        .map(|service| {
            let mut published = published_addresses(service, domain);
            published.retain(|address| free.remove(address));
            (service, published)
        })
        .collect();
    let mut given = Vec::new();
    for (service, published) in balanced {
        let wished: Option<IpAddr> = service
            .spec
            .as_ref()
            .and_then(|spec| spec.load_balancer_ip.as_deref())
            .and_then(|ip| ip.parse().ok());
        let addresses: Option<Vec<IpAddr>> = families(service)
            .into_iter()
            .map(|is_ipv4| {
                let old = published.iter().find(|ip| ip.is_ipv4() == is_ipv4);
                let wish = wished.filter(|ip| ip.is_ipv4() == is_ipv4);
                match (old, wish) {
                    (Some(old), _) => Some(*old),
                    (None, Some(wish)) => free.take(&wish),
                    (None, None) => {
                        let next = free.iter().find(|ip| ip.is_ipv4() == is_ipv4).copied()?;
                        free.take(&next)
                    }
                }
            })
            .collect();
        given.extend(addresses.map(|addresses| (service, addresses)));
    }
    given
}

/// For each family of a Service, in its order, whether it is IPv4. A Service without a list of families (before 1.20)
/// has IPv4 only.
fn families(service: &Service) -> Vec<bool> {
    let spec = service.spec.as_ref();
    match spec.and_then(|spec| spec.ip_families.as_deref()) {
        Some(families) if !families.is_empty() => families.iter().map(|f| f == "IPv4").collect(),
        _ => vec![true],
    }
}

fn published_addresses(service: &Service, domain: &str) -> Vec<IpAddr> {
    let address = |ingress: &LoadBalancerIngress| match (&ingress.ip, &ingress.hostname) {
        (Some(ip), _) => ip.parse().ok(),
        (None, Some(name)) => balancer_address(name.strip_suffix(domain)?.strip_suffix('.')?),
        (None, None) => None,
    };
    ingress(service).iter().filter_map(address).collect()
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

fn listeners_of(service: &Service, addresses: &[IpAddr], backends: &[IpAddr]) -> Vec<Listener> {
    let kind = match annotation(service, "kubernetes.io/elb.class") {
        Some("performance") => Kind::Dedicated,
        _ => Kind::Shared,
    };
    let ports: &[ServicePort] = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let listener = |address: &IpAddr, port: &ServicePort| {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some(_) => return None,
        };
        Some(Listener {
            address: *address,
            kind,
            protocol,
            port: port.port,
            node_port: port.node_port?,
            backends: backends
                .iter()
                .filter(|node| node.is_ipv4() == address.is_ipv4())
                .copied()
                .collect(),
        })
    };
    addresses
        .iter()
        .flat_map(|address| ports.iter().filter_map(move |port| listener(address, port)))
        .collect()
}

/// The port where a node says whether it has an endpoint. Only Services with `externalTrafficPolicy: Local` have one.
fn health_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.health_check_node_port?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The addresses that pass the health check. Without a health check port, the addresses of all Ready nodes.
async fn healthy(port: Option<u16>, ready: Vec<IpAddr>) -> Vec<IpAddr> {
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

fn internal_ips(node: &Node) -> Vec<IpAddr> {
    let addresses = node.status.as_ref().and_then(|s| s.addresses.as_ref());
    addresses
        .into_iter()
        .flatten()
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .collect()
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
        assert_eq!(
            given(&list),
            [
                ("new", vec!["192.168.60.202"]),
                ("wish", vec!["192.168.60.205"]),
                ("old", vec!["192.168.60.200"]),
                ("through", vec!["192.168.60.201"]),
            ]
            .map(owned)
        );
    }

    #[test]
    fn a_service_gets_an_address_of_each_of_its_families() {
        let list = services(json!([
            {"metadata": {"name": "dual"}, "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv6", "IPv4"]}},
            {"metadata": {"name": "six"}, "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv6"]}},
            {"metadata": {"name": "grown"}, "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4", "IPv6"]},
             "status": {"loadBalancer": {"ingress": [{"ip": "192.168.60.200", "ipMode": "VIP"}]}}},
        ]));
        assert_eq!(
            given(&list),
            [
                ("dual", vec!["fd00::1", "192.168.60.201"]),
                ("six", vec!["fd00::2"]),
                ("grown", vec!["192.168.60.200", "fd00::3"]),
            ]
            .map(owned)
        );
    }

    fn owned((name, addresses): (&str, Vec<&str>)) -> (String, Vec<String>) {
        (
            name.to_owned(),
            addresses.into_iter().map(str::to_owned).collect(),
        )
    }

    fn given(list: &[Service]) -> Vec<(String, Vec<String>)> {
        let range = addresses("192.168.60.200-192.168.60.210,fd00::1-fd00::3").unwrap();
        assign(list, &range, "elb.test")
            .into_iter()
            .map(|(s, ips)| (s.name_any(), ips.iter().map(IpAddr::to_string).collect()))
            .collect()
    }

    #[test]
    fn a_mode_that_the_api_server_adds_is_not_published_again_and_again() {
        let status =
            json!({"loadBalancer": {"ingress": [{"ip": "192.168.60.200", "ipMode": "VIP"}]}});
        let modes = |annotations| {
            let list =
                services(json!([{"metadata": {"annotations": annotations}, "status": status}]));
            published(&list[0])[0].ip_mode.clone()
        };
        assert_eq!(modes(json!({})), None);
        assert_eq!(
            modes(json!({"svcr.test/ip-mode": "Proxy"})).as_deref(),
            Some("VIP")
        );
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
            let listeners = listeners_of(&list[0], &[Ipv4Addr::LOCALHOST.into()], &[]);
            assert_eq!(
                listeners.iter().map(|l| l.kind).collect::<Vec<_>>(),
                [kind],
                "{annotations}"
            );
        }
    }
}
