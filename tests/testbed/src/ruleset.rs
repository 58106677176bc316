//! Writes the load balancer's forwarding as nftables rules.

use std::fmt::Write;
use std::net::IpAddr;

/// The class of a load balancer, which decides the client address that a backend sees. The values are those of the
/// annotation `kubernetes.io/elb.class`
/// (<https://support.huaweicloud.com/intl/en-us/usermanual-cce/cce_10_0681.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `union`: backends see the load balancer's own address.
    Shared,
    /// `performance`: backends see the client's address. The VPC routes their replies back to the load balancer.
    Dedicated,
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// One port of one load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that clients connect to.
    pub address: IpAddr,
    /// The class of the load balancer.
    pub kind: Kind,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that clients connect to.
    pub port: i32,
    /// The port on the backends.
    pub node_port: i32,
    /// Addresses, of the same family, of the nodes that passed the health check. If there are none, the kernel refuses
    /// the connection because no program listens. It has not been verified whether a real load balancer refuses it or
    /// stays silent.
    pub backends: Vec<IpAddr>,
}

/// Input for `nft -f` that replaces all rules with these.
pub fn ruleset(listeners: &[Listener]) -> String {
    let mut forward = String::new();
    let mut hide: Vec<IpAddr> = Vec::new();
    for listener in listeners {
        let Listener {
            address,
            kind,
            protocol,
            port,
            node_port,
            backends,
        } = listener;
        if backends.is_empty() {
            continue;
        }
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let map: Vec<String> = backends
            .iter()
            .enumerate()
            .map(|(turn, node)| format!("{turn} : {node}"))
            .collect();
        let family = family(*address);
        // Each new connection goes to the next backend. Writing to a String cannot fail.
        let _ = writeln!(
            forward,
            "    {family} daddr {address} {protocol} dport {port} dnat {family} to numgen inc mod {} map {{ {} }} : {node_port}",
            backends.len(),
            map.join(", ")
        );
        match kind {
            Kind::Shared if !hide.contains(address) => hide.push(*address),
            Kind::Shared | Kind::Dedicated => {}
        }
    }
    let hide: String = hide
        .iter()
        .map(|address| {
            let family = family(*address);
            format!("    ct status dnat ct original {family} daddr {address} snat {family} to {address}\n")
        })
        .collect();
    // Deleting the table fails if it does not exist, so add it first.
    format!(
        "table inet elb\n\
         delete table inet elb\n\
         table inet elb {{\n  \
           chain forward {{\n    type nat hook prerouting priority dstnat; policy accept;\n{forward}  }}\n  \
           chain hide {{\n    type nat hook postrouting priority srcnat; policy accept;\n{hide}  }}\n\
         }}\n"
    )
}

/// The nftables keyword for an address's family.
const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ip",
        IpAddr::V6(_) => "ip6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn only_a_shared_load_balancer_hides_the_client() {
        let node = |n: u8| IpAddr::from([192, 168, 60, 10 + n]);
        let listener = |last, kind, backends| Listener {
            address: Ipv4Addr::new(192, 168, 60, last).into(),
            kind,
            protocol: Protocol::Tcp,
            port: 80,
            node_port: 30080,
            backends,
        };
        let text = ruleset(&[
            listener(200, Kind::Shared, vec![node(1), node(2)]),
            Listener {
                protocol: Protocol::Udp,
                port: 53,
                node_port: 30053,
                ..listener(200, Kind::Shared, vec![node(1)])
            },
            listener(201, Kind::Dedicated, vec![node(1)]),
            listener(202, Kind::Shared, vec![]),
            Listener {
                address: "fd00:60:0:e::1".parse().unwrap(),
                ..listener(0, Kind::Shared, vec!["fd00:60:0:1::11".parse().unwrap()])
            },
        ]);
        assert_eq!(
            text,
            "table inet elb
delete table inet elb
table inet elb {
  chain forward {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 192.168.60.200 tcp dport 80 dnat ip to numgen inc mod 2 map { 0 : 192.168.60.11, 1 : 192.168.60.12 } : 30080
    ip daddr 192.168.60.200 udp dport 53 dnat ip to numgen inc mod 1 map { 0 : 192.168.60.11 } : 30053
    ip daddr 192.168.60.201 tcp dport 80 dnat ip to numgen inc mod 1 map { 0 : 192.168.60.11 } : 30080
    ip6 daddr fd00:60:0:e::1 tcp dport 80 dnat ip6 to numgen inc mod 1 map { 0 : fd00:60:0:1::11 } : 30080
  }
  chain hide {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ct original ip daddr 192.168.60.200 snat ip to 192.168.60.200
    ct status dnat ct original ip6 daddr fd00:60:0:e::1 snat ip6 to fd00:60:0:e::1
  }
}
"
        );
    }
}
