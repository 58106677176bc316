//! What backends saw as the address of their client, compared with the client's own addresses. Pure.

use crate::probes::probed_position::ProbedPosition;
use std::{collections::BTreeSet, net::IpAddr};
use svc_reach_common::{
    client::{Client, ClientValue},
    facts::Facts,
    position::Network,
    wire::outcome::{Attempt, Meaning},
};

/// What the backends saw in the attempts of one cell. `stands`: every position, since probes on the host network report
/// the addresses of their nodes.
///
/// An address counts as replaced only if that is certain. Between this machine and the cluster, other networks may
/// translate addresses, so from `external` an address must belong to the cluster.
pub fn client(
    facts: &Facts,
    stands: &[ProbedPosition],
    stand: &ProbedPosition,
    attempts: &[Attempt],
) -> Client {
    let reached = attempts
        .iter()
        .filter(|attempt| attempt.outcome.meaning() == Meaning::Reached);
    let mut seen = Vec::new();
    for attempt in reached {
        match (
            attempt.outcome.echo().and_then(|echo| echo.client),
            attempt.local,
        ) {
            (Some(client), Some(local)) => {
                seen.push((client.to_canonical(), local.ip().to_canonical()));
            }
            _ => return Client::default(),
        }
    }
    let Some(&(first, _)) = seen.first() else {
        return Client::default();
    };
    let address = seen
        .iter()
        .all(|(client, _)| *client == first)
        .then_some(first);
    let own = own_addresses(facts, stand);
    let is_own = |(client, local): &(IpAddr, IpAddr)| client == local || own.contains(client);
    let kept = seen.iter().filter(|pair| is_own(pair)).count();
    let known = |value, replaced_by| Client {
        value,
        address,
        replaced_by,
        reason: None,
        ..Client::default()
    };
    if kept == seen.len() {
        return known(ClientValue::Kept, None);
    }
    let unknown = |reason: String| Client {
        address,
        ..Client::unknown(reason)
    };
    if kept > 0 {
        return unknown(format!(
            "backends saw the client's own address in {kept} of {} answers",
            seen.len()
        ));
    }
    let mut owners: Vec<Option<String>> = seen
        .iter()
        .map(|(client, _)| owner(facts, stands, *client))
        .collect();
    owners.dedup();
    let all_owned = owners.iter().all(Option::is_some);
    let replaced_by = match owners.as_slice() {
        [one] => one.clone(),
        _ => None,
    };
    match stand.position.network() {
        Network::External if !all_owned => unknown(format!(
            "backends saw {first}, which is neither an address of this machine nor one of the cluster; a network between them may have replaced it"
        )),
        Network::Host if !interfaces_known(stand) && !all_owned => unknown(format!(
            "backends saw {first}, and it is unknown whether that is an address of the probe's node"
        )),
        Network::Host | Network::Pod | Network::External => {
            known(ClientValue::Replaced, replaced_by)
        }
    }
}

/// Addresses that a probe has in addition to the one that it used: on the host network, all addresses of its node.
fn own_addresses(facts: &Facts, stand: &ProbedPosition) -> BTreeSet<IpAddr> {
    if stand.position.network() != Network::Host {
        return BTreeSet::new();
    }
    let node = stand.node.as_deref().and_then(|name| facts.node(name));
    let of_node = node
        .into_iter()
        .flat_map(|node| node.internal_ips.iter().chain(&node.external_ips));
    of_node.copied().chain(interfaces(stand)).collect()
}

/// The addresses of the interfaces that a probe on the host network saw.
fn interfaces(stand: &ProbedPosition) -> impl Iterator<Item = IpAddr> {
    let view = stand.heard.as_ref().ok();
    let view = view.and_then(|heard| heard.host.as_ref());
    let interfaces = view.and_then(|view| view.interfaces.get());
    interfaces
        .into_iter()
        .flatten()
        .flat_map(|interface| interface.addresses.iter().copied())
}

fn interfaces_known(stand: &ProbedPosition) -> bool {
    interfaces(stand).next().is_some()
}

/// Whose address it is, as far as the cluster is concerned; `None` if that is unknown.
fn owner(facts: &Facts, stands: &[ProbedPosition], address: IpAddr) -> Option<String> {
    let service = &facts.service;
    let balancer = service
        .load_balancer
        .iter()
        .any(|ingress| ingress.ip == Some(address));
    if balancer {
        return Some("the load balancer".to_owned());
    }
    let by_address = facts
        .nodes
        .iter()
        .find(|node| node.internal_ips.contains(&address) || node.external_ips.contains(&address));
    let by_interface = || {
        let mut hosts = stands.iter().filter(|stand| {
            stand.position.network() == Network::Host
                && interfaces(stand).any(|other| other == address)
        });
        hosts.find_map(|stand| stand.node.as_deref())
    };
    let by_range = || {
        let ranges = |node: &&svc_reach_common::facts::Node| {
            node.pod_cidrs.iter().any(|range| range.contains(&address))
        };
        facts.nodes.iter().find(ranges)
    };
    by_address
        .map(|node| node.name.as_str())
        .or_else(by_interface)
        .or_else(|| by_range().map(|node| node.name.as_str()))
        .map(|name| format!("node {name}"))
}

#[cfg(test)]
mod tests {
    use super::client;
    use crate::{
        probes::{
            output::{End, ProbeOutput},
            probed_position::ProbedPosition,
        },
        testing::{facts, node, nodes_mut},
    };
    use std::collections::BTreeMap;
    use svc_reach_common::{
        facts::Facts,
        position::Position,
        proxy_mode::ProxyMode,
        wire::{
            line::{HostFact, HostView, Interface},
            outcome::{Attempt, Echo, Outcome},
        },
    };

    fn two_nodes() -> Facts {
        let mut facts = facts();
        facts.nodes = vec![node("a", 0), node("b", 1)].into();
        nodes_mut(&mut facts)[0].pod_cidrs = vec!["10.244.0.0/24".parse().unwrap()];
        facts
    }

    /// A probe on node `a`, where the bridge of the pods has the address 10.244.0.1.
    fn stand(position: Position, interfaces: bool) -> ProbedPosition {
        let bridge = Interface {
            name: "cni0".into(),
            addresses: vec!["10.244.0.1".parse().unwrap()],
        };
        let view = HostView {
            proxy_mode: HostFact::Seen(ProxyMode::Iptables),
            kube_proxy_version: None,
            kube_proxy_settings: None,
            kube_ipvs0: HostFact::Seen(false),
            interfaces: if interfaces {
                HostFact::Seen(vec![bridge])
            } else {
                HostFact::Unknown("no".into())
            },
            routes: HostFact::Seen(Vec::new()),
        };
        ProbedPosition {
            accepted: Vec::new(),
            position,
            node: (position != Position::External).then(|| "a".into()),
            targets: Vec::new(),
            heard: Ok(ProbeOutput {
                results: BTreeMap::new(),
                host: (position == Position::NodeSame).then_some(view),
                end: End::Complete,
            }),
        }
    }

    fn attempt(local: &str, saw: Option<&str>) -> Attempt {
        Attempt {
            local: Some((local.parse::<std::net::IpAddr>().unwrap(), 40000).into()),
            ..Attempt::from(Outcome::Answered {
                status: Some(200),
                echo: saw.map(|saw| Echo {
                    pod: None,
                    node: None,
                    client: Some(saw.parse().unwrap()),
                }),
            })
        }
    }

    #[test]
    fn an_address_is_kept_or_replaced_only_if_that_is_certain() {
        use Position::{External, NodeSame, PodSame};
        let (pod, host, here) = ("10.244.0.9", "192.168.0.10", "198.51.100.7");
        type Row<'a> = (
            &'a str,
            Position,
            bool,
            &'a str,
            &'a [Option<&'a str>],
            &'a str,
        );
        let rows: [Row<'_>; 14] = [
            ("its own", PodSame, true, pod, &[Some(pod)], "kept"),
            (
                "its node's",
                PodSame,
                true,
                pod,
                &[Some(host)],
                "replaced by node a",
            ),
            (
                "the bridge",
                PodSame,
                true,
                pod,
                &[Some("10.244.0.1")],
                "replaced by node a",
            ),
            (
                "another node",
                PodSame,
                true,
                pod,
                &[Some("192.168.0.11")],
                "replaced by node b",
            ),
            (
                "a stranger",
                PodSame,
                true,
                pod,
                &[Some("203.0.113.5")],
                "replaced",
            ),
            (
                "mapped",
                PodSame,
                true,
                pod,
                &[Some("::ffff:10.244.0.9")],
                "kept",
            ),
            (
                "both",
                PodSame,
                true,
                pod,
                &[Some(pod), Some(host)],
                "not-known",
            ),
            (
                "one does not say",
                PodSame,
                true,
                pod,
                &[Some(pod), None],
                "not-known",
            ),
            ("nobody says", PodSame, true, pod, &[None], "not-known"),
            (
                "the node's bridge",
                NodeSame,
                true,
                host,
                &[Some("10.244.0.1")],
                "kept",
            ),
            (
                "perhaps its bridge",
                NodeSame,
                false,
                host,
                &[Some("10.9.9.9")],
                "not-known",
            ),
            (
                "a node",
                External,
                true,
                here,
                &[Some("192.168.0.11")],
                "replaced by node b",
            ),
            (
                "a gateway",
                External,
                true,
                here,
                &[Some("203.0.113.5")],
                "not-known",
            ),
            ("itself", External, true, here, &[Some(here)], "kept"),
        ];
        let facts = two_nodes();
        for (name, position, interfaces, local, saw, expected) in rows {
            let stands = [stand(NodeSame, interfaces), stand(position, interfaces)];
            let attempts: Vec<Attempt> = saw.iter().map(|saw| attempt(local, *saw)).collect();
            let client = client(&facts, &stands, &stands[1], &attempts);
            let by = client.replaced_by.map(|by| format!(" by {by}"));
            let text = format!("{}{}", client.value, by.unwrap_or_default());
            assert_eq!(text, expected, "{name}");
            assert_eq!(client.reason.is_some(), expected == "not-known", "{name}");
        }
    }
}
