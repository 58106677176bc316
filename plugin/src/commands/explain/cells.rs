//! What should happen to connections to a Service, for each position and target.

use crate::{
    plan::{
        placement::{NODES_PER_ROLE, NoNode, Placement},
        targets,
    },
    reporting::{
        advisories,
        network_policies::{self, PolicyCheck, PolicyQuestion},
        prediction::forecast,
        service::service,
    },
    survey::{kube_proxy::Settings, network_policies::PolicySurvey},
};
use serde::Serialize;
use std::net::IpAddr;
use svc_reach_common::{
    facts::{Endpoint, Facts, Service, ServicePort},
    model::{
        World,
        connection::{Balancer, Paths},
    },
    network_model::NetworkModel,
    position::Position,
    provider::Provider,
    proxy_mode::ProxyMode,
    report::{
        self, API_VERSION, Advisory, Environment, Evidence, PolicyEffect, PolicyFinding,
        Prediction, Severity,
    },
    target::{Target, TargetKind},
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
    /// Kinds of objects that the dump does not hold, although the answer needs them.
    pub missing: Vec<String>,
    /// Notes that are not about single cells.
    pub advisories: Vec<Advisory>,
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

impl ExplainedCell {
    /// Adds what policies say, which was not considered yet.
    fn restrict(&mut self, finding: &PolicyFinding) {
        network_policies::apply(finding, &mut self.predicted);
        match finding.effect {
            PolicyEffect::Denied => {
                self.reachable = Some(Reachability::Unreachable);
                self.client_address_kept = None;
                self.remedy = Some(network_policies::REMEDY);
            }
            PolicyEffect::Unknown if self.reachable == Some(Reachability::Reachable) => {
                self.reachable = None;
            }
            PolicyEffect::Unknown => {}
        }
    }
}

/// A position that this cluster does not have.
#[derive(Debug, Clone, Serialize)]
pub struct OmittedPosition {
    /// The position.
    pub position: Position,
    /// Why.
    pub reason: String,
}

/// What is known about the cluster, in addition to one Service and the nodes.
#[derive(Debug, Default)]
pub struct Surroundings<'a> {
    /// All known Services with their endpoints. The explained Service is one of them.
    pub services: Vec<(&'a Service, &'a [Endpoint])>,
    /// Services whose endpoints are unknown.
    pub unknown_endpoints: Vec<&'a Service>,
    /// Pods that are not on a host network: the node and an address of each.
    pub pods: Vec<(&'a str, IpAddr)>,
    /// Kinds of objects that the dump does not hold, although the answer needs them.
    pub missing: Vec<String>,
    /// The network policies. The client is any pod in the namespace that they name as that of the probes.
    pub policies: PolicySurvey,
}

/// Explains a Service.
pub(super) fn explanation(
    facts: &Facts,
    settings: &Settings,
    network: Option<NetworkModel>,
    known: &Surroundings<'_>,
) -> Explanation {
    let world = World::new(
        known.services.iter().copied(),
        &facts.nodes,
        &settings.proxy,
    )
    .with_own_proxies(&settings.nodes, settings.mode_told)
    .with_pods(known.pods.iter().copied())
    .with_unknown_endpoints(known.unknown_endpoints.iter().copied());
    let provider = Provider::of(facts);
    let mut evidence: Vec<Evidence> = Vec::new();
    let provider = provider.map(|(provider, found)| {
        evidence.push(found);
        provider
    });
    evidence.extend(settings.evidence.iter().cloned());
    let modes: &[ProxyMode] = if settings.mode_told {
        std::slice::from_ref(&settings.proxy.mode)
    } else {
        ProxyMode::ALL
    };
    let paths = Paths {
        balancer: Balancer::of(&facts.service, provider, network, modes),
        ..Paths::of(network, provider)
    };
    let knows_endpoints = world.knows_endpoints_of(&facts.service);
    let placement = place(facts, knows_endpoints);
    let mut asked: Vec<(Position, Option<String>, Target)> = Vec::new();
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
        let mut targets = targets::targets(facts, &placement, position);
        targets.extend(unmapped_ports(facts, &targets));
        for mut target in targets {
            if !knows_endpoints {
                target.node_role = None;
            }
            asked.push((position, node.clone(), target));
        }
    }
    let policies = PolicyCheck::new(
        &known.policies,
        facts,
        &[],
        settings.knows_kube_proxy(),
        paths.balancer.pass_through,
    );
    let cells = asked
        .iter()
        .map(|(position, node, target)| {
            let forecast = forecast(
                &world,
                facts,
                &paths,
                *position,
                node.as_deref(),
                &[],
                target,
            );
            let question = PolicyQuestion {
                position: *position,
                node: node.as_deref(),
                target,
                attempts: &[],
            };
            let mut cell = ExplainedCell {
                position: *position,
                node: node.clone(),
                reachable: forecast.reachability(),
                client_address_kept: forecast.client_kept,
                remedy: forecast.cause.map(|cause| cause.remedy(target.kind)),
                predicted: forecast.prediction(target.kind),
                target: target.clone(),
            };
            if let Some(finding) = policies.finding(question, Some(&forecast)) {
                cell.restrict(&finding);
            }
            cell
        })
        .collect();
    let by_image = evidence
        .iter()
        .any(|evidence| evidence.fact == "kubeProxyVersion");
    if settings.proxy.version.is_none() && !by_image {
        evidence.push(versions(facts, &world));
    }
    let mut advisories = Vec::new();
    // Without its endpoints, nothing can be said about the Service itself.
    if knows_endpoints {
        advisories.extend(advisories::of_the_service(facts));
    }
    advisories.extend(advisories::of_the_cluster(
        facts,
        &world.pods().map(|(_, address)| address).collect::<Vec<_>>(),
        settings.mode_told.then_some(settings.proxy.mode),
        &settings.proxy.detector,
    ));
    advisories.extend(advisories::about_policies(
        &known.policies.notes,
        Severity::Info,
    ));
    Explanation {
        api_version: API_VERSION,
        kind: KIND,
        service: service(facts),
        environment: Environment {
            provider: provider.map(|provider| provider.to_string()),
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
        missing: known.missing.clone(),
        advisories,
    }
}

/// The name of a headless Service with ports of the Service that its endpoints do not have. A user may ask for one,
/// although nothing maps it.
fn unmapped_ports(facts: &Facts, targets: &[Target]) -> Vec<Target> {
    if !facts.service.headless {
        return Vec::new();
    }
    let names = targets
        .iter()
        .filter(|target| target.kind == TargetKind::Dns);
    let is_known = |port: &ServicePort| {
        let mut names = names.clone();
        names.any(|name| name.port == port.port && name.protocol == port.protocol)
    };
    let unmapped = facts.service.ports.iter().filter(|port| !is_known(port));
    unmapped
        .filter_map(|port| {
            Some(Target {
                port: port.port,
                protocol: port.protocol,
                port_name: port.name.clone(),
                ..names.clone().next()?.clone()
            })
        })
        .collect()
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
/// taints and the like do not matter. But a node needs a kube-proxy that the model knows.
fn place(facts: &Facts, knows_endpoints: bool) -> Placement {
    let nodes = &facts.nodes;
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|at| (!nodes[*at].ready, &nodes[*at].name));
    let (backend, other): (Vec<usize>, Vec<usize>) = order
        .into_iter()
        .partition(|at| facts.runs_backend(&nodes[*at].name));
    let usable = |all: &[usize]| -> Vec<usize> {
        let usable = all.iter().copied();
        usable
            .filter(|at| nodes[*at].without_kube_proxy().is_none())
            .collect()
    };
    let first = |all: &[usize], none: &str| {
        let why = |at: &usize| {
            let node = &nodes[*at];
            Some(format!("node {} {}", node.name, node.without_kube_proxy()?))
        };
        if !knows_endpoints {
            return Err(NoNode::Unusable(
                "which nodes run a backend is unknown".to_owned(),
            ));
        }
        match usable(all).first() {
            Some(at) => Ok(nodes[*at].name.clone()),
            None if nodes.is_empty() => Err(NoNode::Unusable("no node is known".to_owned())),
            None => Err(NoNode::Unusable(
                all.iter().find_map(why).unwrap_or_else(|| none.to_owned()),
            )),
        }
    };
    Placement {
        same: first(&backend, "no known node runs a ready endpoint"),
        other: first(&other, "every known node runs a ready endpoint"),
        asked: [&backend, &other]
            .into_iter()
            .flat_map(|all| usable(all).into_iter().take(NODES_PER_ROLE))
            .collect(),
    }
}
