//! What should happen to connections to a Service, for each position and target.

use crate::survey::kube_proxy::Settings;
use crate::{
    plan::{
        placement::{NODES_PER_ROLE, NoNode, Placement},
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

/// What should happen to connections to a Service, as `-o json` prints it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// [`KIND`].
    pub kind: &'static str,
    /// The Service.
    pub service: report::ReportedService,
    /// What is known about the cluster.
    pub environment: Environment,
    /// A cell for each position and target.
    pub cells: Vec<ExplainedCell>,
    /// Positions that this cluster does not have, and why.
    pub left_out: Vec<OmittedPosition>,
}

/// One position and one target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedCell {
    /// Where the client is.
    pub position: Position,
    /// The client's node.
    pub node: Option<String>,
    /// What the client requests.
    pub target: Target,
    /// Whether the client reaches the target; `null`: unknown, or it depends on chance.
    pub reachable: Option<Reachability>,
    /// Whether the backend sees the client's own address.
    pub client_address_kept: Option<bool>,
    /// The model's prediction.
    pub predicted: Prediction,
    /// What to do if the client does not reach the target.
    pub remedy: Option<&'static str>,
}

/// A position that this cluster does not have.
#[derive(Debug, Clone, Serialize)]
pub struct OmittedPosition {
    /// The position.
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
                    reason: reason.reason().to_owned(),
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

/// The versions of kube-proxy that the model assumes.
fn versions(facts: &Facts, world: &World<'_>) -> Evidence {
    let mut versions: Vec<String> = facts
        .nodes
        .iter()
        .map(|node| world.version(node).to_string())
        .collect();
    versions.sort();
    versions.dedup();
    let reported = facts
        .nodes
        .iter()
        .any(|node| node.kube_proxy_version.is_some() || node.kubelet_version.is_some());
    Evidence {
        fact: "kubeProxyVersion".to_owned(),
        value: versions.join(", "),
        source: if reported {
            "nodes' status.nodeInfo".to_owned()
        } else {
            "not specified; the model uses the newest version that it knows".to_owned()
        },
    }
}

/// Chooses the nodes to explain from: the first node of each role, with ready nodes first. No pod has to run there, so
/// taints and the like do not matter.
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
            .ok_or_else(|| NoNode::Unusable(none.to_owned()))
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
