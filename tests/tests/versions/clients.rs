//! Clients that open single connections: processes of nodes, pods, and a machine outside of the cluster.

use crate::backends::{self, Pod};
use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    process::{Command, Stdio},
};
use svc_reach_common::{
    facts::Node,
    position::Network,
    wire::{
        line::Line,
        outcome::Attempt,
        plan::{Plan, Request, RequestKind, Tls, VERSION, View},
    },
};
use svc_reach_tests::{kubectl::Kubectl, namespace::Namespace};

/// Path of the probe, which makes the connections.
const PROBE: &str = "SVC_REACH_PROBE";

/// The client outside of the test cluster.
const OUTSIDE: [&str; 2] = ["192.168.60.100", "fd00:60:0:1::100"];

/// Connections of a client at the same time. Most of them wait for a packet that is dropped.
const AT_ONCE: NonZeroU16 = NonZeroU16::new(500).unwrap();

/// Time limit of a connection, in milliseconds.
const LIMIT: NonZeroU32 = NonZeroU32::new(2000).unwrap();

/// A client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name in messages.
    pub name: String,
    /// Where it is.
    pub network: Network,
    /// Its node; `None` outside of the cluster.
    pub node: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How to run the probe there: the arguments of `cluster enter`, or a pod.
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Machine(String),
    Pod(String),
}

/// All clients: two nodes, of which the second runs backends, a pod on each, some backends, and one outside.
pub fn all(kubectl: &Kubectl, namespace: &Namespace, nodes: &[String]) -> Vec<Client> {
    let mut clients = Vec::new();
    for node in [&nodes[0], &nodes[2]] {
        clients.push(Client {
            name: format!("host@{node}"),
            network: Network::Host,
            node: Some(node.clone()),
            addresses: Node::try_from(&kubectl.object(&["get", "node", node]))
                .unwrap()
                .internal_ips,
            place: Place::Machine(node.clone()),
        });
    }
    let pods = backends::list(kubectl, namespace);
    let used = ["client-0", "client-1", "one-0", "two-1"];
    for pod in pods.iter().filter(|pod| used.contains(&&*pod.name)) {
        let Pod {
            name,
            node,
            addresses,
        } = pod.clone();
        clients.push(Client {
            name: format!("{name}@{node}"),
            network: Network::Pod,
            node: Some(node),
            addresses,
            place: Place::Pod(name),
        });
    }
    clients.push(Client {
        name: "outside".to_owned(),
        network: Network::External,
        node: None,
        addresses: OUTSIDE.iter().map(|ip| ip.parse().unwrap()).collect(),
        place: Place::Machine("client".to_owned()),
    });
    clients
}

impl Client {
    /// Opens a connection to each address, and returns what happened, in the same order.
    pub fn connect(
        &self,
        kubectl: &Kubectl,
        namespace: &Namespace,
        addresses: &[SocketAddr],
    ) -> Vec<Attempt> {
        let mut command = self.command(kubectl, namespace);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let plan = serde_json::to_vec(&plan(addresses)).unwrap();
        // Dropping the pipe ends the plan. If the program has ended early, its output says why.
        let _ = child.stdin.take().unwrap().write_all(&plan);
        let output = child.wait_with_output().unwrap();
        let mut results = vec![None; addresses.len()];
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Ok(Line::Result { id, attempts }) = serde_json::from_str(line) {
                results[usize::try_from(id).unwrap()] = attempts.into_iter().next();
            }
        }
        let complete: Option<Vec<Attempt>> = results.into_iter().collect();
        complete.unwrap_or_else(|| panic!("{}: not every address was tried: {output:?}", self.name))
    }

    fn command(&self, kubectl: &Kubectl, namespace: &Namespace) -> Command {
        match &self.place {
            Place::Machine(place) => {
                let probe = std::env::var_os(PROBE)
                    .unwrap_or_else(|| panic!("{PROBE} is not set: tests/run builds the probe"));
                let mut command = Command::new(kubectl.testbed());
                command.args(["enter", place]).arg(probe).args(["run", "-"]);
                command
            }
            Place::Pod(pod) => {
                let run = ["exec", "-i", pod, "--namespace", &namespace.name, "--"];
                let mut command = kubectl.command(&run);
                command.args(["/svc-reach-probe", "run", "-"]);
                command
            }
        }
    }
}

fn plan(addresses: &[SocketAddr]) -> Plan {
    let request = |(id, address): (u32, &SocketAddr)| {
        Request::new(
            id,
            address.ip().to_string(),
            NonZeroU16::new(address.port()).unwrap(),
            RequestKind::Http {
                path: "/".to_owned(),
                host: None,
                tls: Tls::Off,
            },
        )
    };
    Plan {
        version: VERSION,
        attempts: NonZeroU16::MIN,
        concurrency: AT_ONCE,
        connect_timeout_ms: LIMIT,
        attempt_timeout_ms: LIMIT,
        view: View::None,
        targets: (0..).zip(addresses).map(request).collect(),
    }
}
