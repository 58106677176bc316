//! What the agent can see on a node from its host network, without privileges.

use crate::kube_proxy;
use ipnet::Ipv4Net;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr},
};
use svc_reach_common::wire::line::{HostFact, HostView, Interface, Route};

/// The dummy device that kube-proxy creates in IPVS mode (kubernetes/kubernetes v1.37.2 `pkg/proxy/ipvs/proxier.go`,
/// `defaultDummyDevice`).
const IPVS_DEVICE: &str = "kube-ipvs0";

/// Maximum number of reported interfaces. A node has one for each pod, in addition to the few that matter.
const MAX_INTERFACES: usize = 64;

/// Maximum number of reported addresses of an interface. In IPVS mode one device has the addresses of every Service.
const MAX_ADDRESSES: usize = 16;

/// Maximum number of reported routes.
const MAX_ROUTES: usize = 256;

/// Maximum number of bytes to read of the routing table. A line has 128 bytes (linux `net/ipv4/fib_trie.c`,
/// `fib_route_seq_show`).
const TABLE_BYTES: u64 = 128 * 4096;

/// Flag of an unreachable or prohibited route (linux `include/uapi/linux/route.h`, `RTF_REJECT`).
const REJECT: u32 = 0x0200;

/// Collects everything that the agent can see on its node.
pub async fn look() -> HostView {
    let interfaces = interfaces();
    let kube_ipvs0 = match &interfaces {
        HostFact::Seen(interfaces) => HostFact::Seen(
            interfaces
                .iter()
                .any(|interface| interface.name == IPVS_DEVICE),
        ),
        HostFact::Unknown(why) => HostFact::Unknown(why.clone()),
    };
    let bounded = match interfaces {
        HostFact::Seen(interfaces) => HostFact::Seen(those_that_matter(interfaces)),
        HostFact::Unknown(why) => HostFact::Unknown(why),
    };
    let kube_proxy = kube_proxy::look().await;
    HostView {
        proxy_mode: kube_proxy.mode,
        kube_proxy_version: Some(kube_proxy.version),
        kube_proxy_settings: Some(kube_proxy.settings),
        kube_ipvs0,
        interfaces: bounded,
        routes: routes(),
    }
}

/// Limits the number of interfaces. Interfaces with an address of their own come first: those of pods have no address,
/// or only a link-local one.
fn those_that_matter(mut interfaces: Vec<Interface>) -> Vec<Interface> {
    interfaces.sort_by_key(|interface| {
        !interface.addresses.iter().any(|address| match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
    });
    interfaces.truncate(MAX_INTERFACES);
    interfaces
}

#[cfg(unix)]
fn interfaces() -> HostFact<Vec<Interface>> {
    let entries = match nix::ifaddrs::getifaddrs() {
        Ok(entries) => entries,
        Err(error) => return HostFact::Unknown(error.to_string()),
    };
    let mut interfaces: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for entry in entries {
        let addresses = interfaces.entry(entry.interface_name).or_default();
        let Some(address) = entry.address else {
            continue;
        };
        let ip = address
            .as_sockaddr_in()
            .map(|v4| IpAddr::V4(v4.ip()))
            .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())));
        addresses.extend(ip.filter(|_| addresses.len() < MAX_ADDRESSES));
    }
    HostFact::Seen(
        interfaces
            .into_iter()
            .map(|(name, addresses)| Interface { name, addresses })
            .collect(),
    )
}

#[cfg(not(unix))]
fn interfaces() -> HostFact<Vec<Interface>> {
    HostFact::Unknown("network interfaces can be read on Unix only".to_owned())
}

fn routes() -> HostFact<Vec<Route>> {
    let read = std::fs::File::open("/proc/net/route").and_then(|file| table(BufReader::new(file)));
    match read {
        Ok(routes) => HostFact::Seen(routes),
        Err(error) => HostFact::Unknown(error.to_string()),
    }
}

/// Reads the routing table up to a maximum, since a node may have the routes of the whole internet.
fn table(text: impl BufRead) -> io::Result<Vec<Route>> {
    let mut routes = Vec::new();
    for line in text.take(TABLE_BYTES).lines().skip(1) {
        routes.extend(route(&line?));
        if routes.len() == MAX_ROUTES {
            break;
        }
    }
    Ok(routes)
}

/// Reads a line of `/proc/net/route`; `None` for an unreachable or prohibited route. The fields are interface,
/// destination, gateway, flags, …, mask. Addresses are hexadecimal numbers in the machine's byte order (linux
/// `net/ipv4/fib_trie.c`, `fib_route_seq_show`).
fn route(line: &str) -> Option<Route> {
    let mut fields = line.split_ascii_whitespace();
    let interface = fields.next()?.to_owned();
    let destination = address(fields.next()?)?;
    let gateway = address(fields.next()?)?;
    let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
    if flags & REJECT != 0 {
        return None;
    }
    let mask = address(fields.nth(3)?)?;
    let destination = Ipv4Net::with_netmask(destination, mask).ok()?;
    Some(Route {
        destination,
        gateway: (!gateway.is_unspecified()).then_some(gateway),
        interface,
    })
}

fn address(hexadecimal: &str) -> Option<Ipv4Addr> {
    let number = u32::from_str_radix(hexadecimal, 16).ok()?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Interface, MAX_INTERFACES, MAX_ROUTES, route, table, those_that_matter};
    use std::io::{BufReader, Read, repeat};

    #[test]
    fn pod_interfaces_come_last() {
        let interface = |name: String, addresses: &[&str]| Interface {
            name,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let pods =
            (0..200).map(|nth| interface(format!("cali{nth}"), &["fe80::ecee:eeff:feee:eeee"]));
        let node = interface("eth0".into(), &["fe80::1", "192.168.0.11"]);
        let told = those_that_matter(pods.chain([node.clone()]).collect());
        assert_eq!(told.first(), Some(&node));
        assert_eq!(told.len(), MAX_INTERFACES);
    }

    #[test]
    fn endless_tables_are_cut() {
        let head = "Iface\tDestination\n";
        let line = "eth0\t000110AC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        for (text, told) in [
            (format!("{head}{}", line.repeat(MAX_ROUTES * 2)), MAX_ROUTES),
            (format!("{head}{line}{line}"), 2),
            (String::new(), 0),
        ] {
            // The rest of the text has no route and no end.
            let endless = text.as_bytes().chain(repeat(b'x'));
            assert_eq!(table(BufReader::new(endless)).unwrap().len(), told);
        }
    }

    #[test]
    fn reads_the_kernels_routes() {
        let rows = [
            (
                "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
                Some(("0.0.0.0/0", Some("192.168.0.1"))),
            ),
            (
                "cni0\t000110AC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
                Some(("172.16.1.0/24", None)),
            ),
            (
                "*\t0007120A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0",
                None,
            ),
            ("eth0\tnonsense", None),
        ];
        for (line, expected) in rows {
            let read =
                route(line).map(|r| (r.destination.to_string(), r.gateway.map(|g| g.to_string())));
            let read = read
                .as_ref()
                .map(|(destination, gateway)| (destination.as_str(), gateway.as_deref()));
            assert_eq!(read, expected, "{line}");
        }
    }
}
