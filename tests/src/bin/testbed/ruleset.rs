//! Writes the load balancer's forwarding as nftables rules.

use std::fmt::Write;
use std::net::Ipv4Addr;

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
    pub address: Ipv4Addr,
    /// The class of the load balancer.
    pub kind: Kind,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port that clients connect to.
    pub port: i32,
    /// The port on the backends.
    pub node_port: i32,
    /// The nodes that passed the health check. If there are none, the kernel refuses the connection because no program
    /// listens. It has not been verified whether a real load balancer refuses it or stays silent.
    pub backends: Vec<Ipv4Addr>,
}

/// Input for `nft -f` that replaces all rules with these.
pub fn ruleset(listeners: &[Listener]) -> String {
    let mut forward = String::new();
    let mut hide: Vec<Ipv4Addr> = Vec::new();
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
        // Each new connection goes to the next backend. Writing to a String cannot fail.
        let _ = writeln!(
            forward,
            "    ip daddr {address} {protocol} dport {port} dnat to numgen inc mod {} map {{ {} }} : {node_port}",
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
            format!("    ct status dnat ct original ip daddr {address} snat to {address}\n")
        })
        .collect();
    // Deleting the table fails if it does not exist, so add it first.
    format!(
        "table ip elb\n\
         delete table ip elb\n\
         table ip elb {{\n  \
           chain forward {{\n    type nat hook prerouting priority dstnat; policy accept;\n{forward}  }}\n  \
           chain hide {{\n    type nat hook postrouting priority srcnat; policy accept;\n{hide}  }}\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shared_load_balancer_hides_the_client() {
        let node = |n: u8| Ipv4Addr::new(192, 168, 60, 10 + n);
        let listener = |last, kind, backends| Listener {
            address: Ipv4Addr::new(192, 168, 60, last),
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
        ]);
        assert_eq!(
            text,
            "table ip elb
delete table ip elb
table ip elb {
  chain forward {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 192.168.60.200 tcp dport 80 dnat to numgen inc mod 2 map { 0 : 192.168.60.11, 1 : 192.168.60.12 } : 30080
    ip daddr 192.168.60.200 udp dport 53 dnat to numgen inc mod 1 map { 0 : 192.168.60.11 } : 30053
    ip daddr 192.168.60.201 tcp dport 80 dnat to numgen inc mod 1 map { 0 : 192.168.60.11 } : 30080
  }
  chain hide {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ct original ip daddr 192.168.60.200 snat to 192.168.60.200
  }
}
"
        );
    }
}
