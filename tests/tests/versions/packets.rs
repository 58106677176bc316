//! Compares single packets with `explain --flows`: from every client to every address of every Service.
//!
//! The proxy of the client's own node decides first. If it leaves a packet alone and another node has the address, that
//! node's proxy decides next. Which endpoint answered, and which address it saw, must be as both say.

use crate::{
    backends::{self, Pod},
    clients::{self, Client},
    destinations::{self, Destination},
    families,
    judging::{Answer, Found, Packet},
    proxies::KubeProxy,
    services::Case,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    thread,
};
use svc_reach_common::{model::ProxyAction, position::Network};
use svc_reach_tests::{kubectl::Kubectl, namespace::Namespace};

/// Head of a table of [`Counts::row`].
pub const HEAD: &str = "| kube-proxy | packets | agreed | unknown | differing |\n\
                        | --- | --- | --- | --- | --- |";

/// Numbers of packets.
#[derive(Debug, Default)]
pub struct Counts {
    agreed: usize,
    unknown: usize,
    /// Those that are not as predicted.
    pub differing: Vec<String>,
}

impl Counts {
    /// A row of the table.
    pub fn row(&self, name: &str) -> String {
        let (agreed, unknown, differing) = (self.agreed, self.unknown, self.differing.len());
        let packets = agreed + unknown + differing;
        format!("| {name} | {packets} | {agreed} | {unknown} | {differing} |")
    }

    /// Whether most packets agreed. Otherwise the comparison says little, even if none differs.
    pub const fn is_conclusive(&self) -> bool {
        self.agreed > self.unknown + self.differing.len()
    }
}

/// Sends all packets, and compares what happens. Those that differ are sent again, since a busy machine loses packets.
pub fn compare(
    kubectl: &Kubectl,
    namespace: &Namespace,
    nodes: &[String],
    choice: &[KubeProxy],
    cases: &[Case],
) -> Counts {
    let pods = backends::list(kubectl, namespace);
    let clients = clients::all(kubectl, namespace, nodes);
    let destinations = destinations::all(kubectl, namespace, nodes, cases);
    let explain = |queries: Vec<Query<'_>>| ask(kubectl, nodes, choice, queries);
    let packets = predicted(&clients, &destinations, explain);
    let mut counts = Counts::default();
    thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter()
            .map(|client| {
                let packets: Vec<&Packet<'_>> = packets
                    .iter()
                    .filter(|packet| packet.client.name == client.name)
                    .collect();
                let pods = &pods;
                scope.spawn(move || observe(kubectl, namespace, client, &packets, pods))
            })
            .collect();
        for thread in running {
            for found in thread.join().unwrap() {
                match found {
                    Found::Agreed => counts.agreed += 1,
                    Found::Unknown => counts.unknown += 1,
                    Found::Differing(text) => counts.differing.push(text),
                }
            }
        }
    });
    counts
}

/// Sends the packets of a client.
fn observe(
    kubectl: &Kubectl,
    namespace: &Namespace,
    client: &Client,
    packets: &[&Packet<'_>],
    pods: &[Pod],
) -> Vec<Found> {
    let send = |packets: &[&Packet<'_>]| {
        let addresses: Vec<SocketAddr> = packets.iter().map(|packet| packet.to.address).collect();
        let attempts = client.connect(kubectl, namespace, &addresses);
        let pairs = packets.iter().zip(attempts);
        pairs
            .map(|(packet, attempt)| packet.judge(&attempt, pods))
            .collect::<Vec<Found>>()
    };
    let mut found = send(packets);
    let differs = |found: &Found| matches!(found, Found::Differing(_));
    let again: Vec<usize> = (0..found.len()).filter(|at| differs(&found[*at])).collect();
    if !again.is_empty() {
        let packets: Vec<&Packet<'_>> = again.iter().map(|at| packets[*at]).collect();
        for (at, second) in again.iter().zip(send(&packets)) {
            found[*at] = second;
        }
    }
    found
}

/// A question of `explain --flows`.
#[derive(Debug, Clone)]
struct Query<'q> {
    node: &'q str,
    client: Network,
    client_ip: IpAddr,
    to: SocketAddr,
}

/// What the model says about the packets of all clients to all destinations.
fn predicted<'p>(
    clients: &'p [Client],
    destinations: &'p [Destination],
    explain: impl Fn(Vec<Query<'_>>) -> Vec<Answer>,
) -> Vec<Packet<'p>> {
    let mut ways = Vec::new();
    for client in clients {
        for to in destinations {
            let ip = to.address.ip();
            let own = if ip.is_loopback() {
                (client.network == Network::Host).then_some(ip)
            } else {
                let same = |own: &&IpAddr| families::name(**own) == families::name(ip);
                client.addresses.iter().find(same).copied()
            };
            // From outside, nothing leads to other addresses than those of nodes, external IPs and load balancers.
            let at = client.node.as_deref().or(to.at.as_deref());
            if let (Some(own), Some(at)) = (own, at) {
                ways.push((client, own, to, at));
            }
        }
    }
    let query = |&(client, own, to, at): &(&'p Client, IpAddr, &'p Destination, &'p str)| Query {
        node: at,
        client: client.network,
        client_ip: own,
        to: to.address,
    };
    let mut packets: Vec<Packet<'p>> = explain(ways.iter().map(query).collect())
        .into_iter()
        .zip(ways)
        .map(|(answer, (client, own, to, at))| Packet {
            client,
            own,
            to,
            at,
            answer,
        })
        .collect();
    let mut going_on: Vec<&mut Packet<'p>> = packets
        .iter_mut()
        .filter(|packet| packet.answer.action == ProxyAction::None)
        .filter(|packet| packet.to.at.as_deref().is_some_and(|at| at != packet.at))
        .collect();
    let queries = going_on.iter().map(|packet| Query {
        node: packet.to.at.as_deref().unwrap_or_default(),
        client: match packet.client.network {
            Network::Pod => Network::Pod,
            Network::Host | Network::External => Network::External,
        },
        client_ip: packet.own,
        to: packet.to.address,
    });
    let answers = explain(queries.collect());
    for (packet, answer) in going_on.iter_mut().zip(answers) {
        packet.at = packet.to.at.as_deref().unwrap_or_default();
        packet.answer = answer;
    }
    packets
}

/// Asks `explain --flows` once for each kube-proxy, since the command takes one version.
fn ask(
    kubectl: &Kubectl,
    nodes: &[String],
    choice: &[KubeProxy],
    queries: Vec<Query<'_>>,
) -> Vec<Answer> {
    let mut answers = BTreeMap::new();
    let distinct: BTreeSet<(&str, &str)> = choice
        .iter()
        .map(|proxy| (&*proxy.version, &*proxy.mode))
        .collect();
    for (version, mode) in distinct {
        let here = |query: &Query<'_>| {
            let mut pairs = nodes.iter().zip(choice);
            pairs.any(|(node, proxy)| {
                node == query.node && (&*proxy.version, &*proxy.mode) == (version, mode)
            })
        };
        let asked: Vec<Value> = queries
            .iter()
            .enumerate()
            .filter(|(_, query)| here(query))
            .map(|(id, query)| {
                let to = json!({"ip": query.to.ip(), "port": query.to.port(), "protocol": "TCP"});
                json!({
                    "id": id, "node": query.node, "client": query.client, "clientIp": query.client_ip, "to": to,
                })
            })
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&file, &asked).unwrap();
        let path = file.path().display().to_string();
        let version = format!("--kubernetes-version=v{version}");
        let mode = format!("--proxy-mode={mode}");
        let explain = ["svc-reach", "explain", "--flows", &path, &version, &mode];
        let printed: Vec<Value> = serde_json::from_str(&kubectl.succeed(&explain)).unwrap();
        answers.extend(printed.into_iter().map(|answer| {
            let id = answer["id"].as_u64();
            (id, serde_json::from_value(answer).unwrap())
        }));
    }
    assert_eq!(
        answers.len(),
        queries.len(),
        "not every packet was explained"
    );
    answers.into_values().collect()
}
