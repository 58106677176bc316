//! What should become of connections to a Service: each position, each target.

use crate::survey::kube_proxy::Settings;
use crate::{
    plan::{
        placement::{NODES_PER_ROLE, Placement},
        targets,
    },
    reporting::{prediction::forecast, service::service},
};
use serde::Serialize;
use svc_reach_common::{
    facts::Facts,
    model::{
        World,
        connection::{Balancer, Paths},
    },
    network_model::NetworkModel,
    position::Position,
    report::{self, API_VERSION, Environment, Evidence, Prediction},
    target::Target,
    verdict::Reachability,
};

/// `kind` of an explanation.
pub const KIND: &str = "Explanation";

/// What should become of connections to a Service, as `-o json` prints it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// [`KIND`].
    pub kind: &'static str,
    /// The Service.
    pub service: report::ReportedService,
    /// What is known of the cluster.
    pub environment: Environment,
    /// Every position and target.
    pub cells: Vec<ExplainedCell>,
    /// Positions that cannot be, and why.
    pub left_out: Vec<OmittedPosition>,
}

/// One position and one target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedCell {
    /// Where the client stands.
    pub position: Position,
    /// Its node.
    pub node: Option<String>,
    /// What it requests.
    pub target: Target,
    /// Whether it reaches that; `null` where it is not known, or depends on chance.
    pub reachable: Option<Reachability>,
    /// Whether the backend sees the client's own address.
    pub client_address_kept: Option<bool>,
    /// What the model says.
    pub predicted: Prediction,
    /// What can be done where the client is not served.
    pub remedy: Option<&'static str>,
}

/// A position that cannot be.
#[derive(Debug, Clone, Serialize)]
pub struct OmittedPosition {
    /// Which.
    pub position: Position,
    /// Why.
    pub reason: String,
}

/// Explains a Service.
pub(super) fn explanation(
    facts: &Facts,
    settings: &Settings,
    network: Option<NetworkModel>,
) -> Explanation {
    let world = World::of(facts, &settings.proxy);
    let mut paths = Paths::of_network(network);
    paths.balancer = Balancer::of(&facts.service);
    let placement = place(facts);
    let mut cells = Vec::new();
    let mut left_out = Vec::new();
    for &position in Position::ALL {
        let node = match placement.node(position) {
            Some(Ok(node)) => Some(node.to_owned()),
            Some(Err(reason)) => {
                left_out.push(OmittedPosition {
                    position,
                    reason: reason.to_owned(),
                });
                continue;
            }
            None => None,
        };
        for target in targets::targets(facts, &placement, position) {
            let forecast = forecast(
                &world,
                facts,
                settings,
                &paths,
                position,
                node.as_deref(),
                &target,
            );
            cells.push(ExplainedCell {
                position,
                node: node.clone(),
                target,
                reachable: forecast.reachability(),
                client_address_kept: forecast.client_kept,
                remedy: forecast.cause.map(|cause| cause.remedy()),
                predicted: forecast.prediction(),
            });
        }
    }
    let mut evidence = settings.evidence.clone();
    if settings.proxy.version.is_none() {
        evidence.push(versions(facts, &world));
    }
    Explanation {
        api_version: API_VERSION,
        kind: KIND,
        service: service(facts),
        environment: Environment {
            kubernetes_version: settings
                .proxy
                .version
                .map(|version| version.to_string())
                .or_else(|| facts.server_version.clone()),
            network_model: network,
            proxy_mode: settings.mode_told.then_some(settings.proxy.mode),
            evidence,
            ..Environment::default()
        },
        cells,
        left_out,
    }
}

/// Which versions the nodes' proxies are taken to have.
fn versions(facts: &Facts, world: &World<'_>) -> Evidence {
    let mut versions: Vec<String> = facts
        .nodes
        .iter()
        .map(|node| world.version(node).to_string())
        .collect();
    versions.sort();
    versions.dedup();
    let told = facts
        .nodes
        .iter()
        .any(|node| node.kube_proxy_version.is_some() || node.kubelet_version.is_some());
    Evidence {
        fact: "kubeProxyVersion".to_owned(),
        value: versions.join(", "),
        source: if told {
            "nodes' status.nodeInfo".to_owned()
        } else {
            "not specified; the model uses the newest version that it knows".to_owned()
        },
    }
}

/// Nodes to explain from: of each role the first, those that are ready before others. Nothing runs there, so nothing else
/// speaks against one.
fn place(facts: &Facts) -> Placement {
    let mut order: Vec<usize> = (0..facts.nodes.len()).collect();
    order.sort_by_key(|at| (!facts.nodes[*at].ready, &facts.nodes[*at].name));
    let (backend, other): (Vec<usize>, Vec<usize>) = order
        .into_iter()
        .partition(|at| facts.runs_backend(&facts.nodes[*at].name));
    let first = |nodes: &[usize], none: &str| {
        nodes
            .first()
            .map(|at| facts.nodes[*at].name.clone())
            .ok_or_else(|| none.to_owned())
    };
    Placement {
        same: first(&backend, "no known node runs a ready endpoint"),
        other: first(&other, "every known node runs a ready endpoint"),
        asked: [&backend, &other]
            .into_iter()
            .flat_map(|nodes| nodes.iter().take(NODES_PER_ROLE).copied())
            .collect(),
    }
}
