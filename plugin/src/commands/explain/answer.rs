//! A question to the forwarding model, and its answer. Pure.

use super::{cells, dump::Dump, flows};
use crate::{
    error::ExplainError,
    survey::kube_proxy::{ProxyOverrides, Settings},
};
use svc_reach_common::{
    facts::{Facts, Service},
    model::World,
    network_model::NetworkModel,
};

/// What the user asks.
#[derive(Debug)]
pub enum ExplainQuery {
    /// What should happen to connections to a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The network model, if the user gives it.
        network: Option<NetworkModel>,
    },
    /// What a node's proxy does with packets.
    Flows(Vec<flows::Query>),
}

/// What the model answers.
#[derive(Debug)]
pub enum ExplainReply {
    /// Cells of a Service.
    Explanation(Box<cells::Explanation>),
    /// Answers, in the order of the questions.
    Flows(Vec<flows::FlowAnswer>),
}

/// Answers from a dump.
///
/// # Errors
///
/// If the dump does not have the Service or node in question, or the proxy is not modelled.
pub fn answer(
    dump: &Dump,
    overrides: &ProxyOverrides,
    question: &ExplainQuery,
) -> Result<ExplainReply, ExplainError> {
    let mut settings = Settings::gather(overrides, dump.proxy_config.as_ref(), &dump.service_cidrs);
    if let Some(other) = &dump.other_proxy {
        settings.replaced_by(other, overrides);
    }
    settings.add_versions(&dump.proxy_versions);
    match question {
        ExplainQuery::Flows(queries) => {
            let proxy = settings.for_flows();
            let world = World::new(
                dump.services
                    .iter()
                    .map(|(service, endpoints)| (service, endpoints.as_slice())),
                &dump.nodes,
                &proxy,
            )
            .with_own_proxies(&settings.nodes, true)
            .with_unknown_endpoints(unknown_endpoints(dump));
            queries
                .iter()
                .enumerate()
                .map(|(index, query)| {
                    query.answer(&world).map_err(|source| ExplainError::Flow {
                        id: query.name(index),
                        source,
                    })
                })
                .collect::<Result<_, _>>()
                .map(ExplainReply::Flows)
        }
        ExplainQuery::Service {
            namespace,
            name,
            network,
        } => {
            let facts = dump
                .facts(namespace, name)
                .ok_or_else(|| no_service(dump, namespace, name))?;
            let known = cells::Surroundings {
                services: dump
                    .services
                    .iter()
                    .map(|(service, endpoints)| (service, endpoints.as_slice()))
                    .collect(),
                unknown_endpoints: unknown_endpoints(dump).collect(),
                pods: dump
                    .pods
                    .iter()
                    .map(|(node, address)| (node.as_str(), *address))
                    .collect(),
                missing: missing(dump, &facts, &settings),
                policies: dump.policies.clone().for_any_client_in(namespace),
            };
            Ok(ExplainReply::Explanation(Box::new(cells::explanation(
                &facts, &settings, *network, &known,
            ))))
        }
    }
}

/// The Services whose endpoints the dump does not hold.
fn unknown_endpoints(dump: &Dump) -> impl Iterator<Item = &Service> {
    let services = dump.services.iter().map(|(service, _)| service);
    services.filter(|service| {
        let key = (service.namespace.clone(), service.name.clone());
        dump.unknown_endpoints.contains(&key)
    })
}

/// What the dump does not hold, although the answer needs it.
fn missing(dump: &Dump, facts: &Facts, settings: &Settings) -> Vec<String> {
    let service = &facts.service;
    let mut missing = Vec::new();
    if unknown_endpoints(dump).any(|unknown| unknown == service) {
        let any = dump.kinds.contains("EndpointSlice") || dump.kinds.contains("Endpoints");
        missing.push(if any {
            format!("no EndpointSlices of namespace {}", service.namespace)
        } else {
            "no EndpointSlices".to_owned()
        });
    }
    if dump.nodes.is_empty() {
        missing.push("no Nodes".to_owned());
    }
    // The command for a full dump prints Namespaces, and NetworkPolicies if there are any.
    let kinds = ["NetworkPolicy", "Namespace"];
    if kinds.iter().all(|kind| !dump.kinds.contains(*kind)) {
        missing.push("no NetworkPolicies, so the answer ignores them".to_owned());
    }
    if !settings.mode_told && dump.other_proxy.is_none() && !dump.kinds.contains("ConfigMap") {
        missing.push("no ConfigMaps, so no settings of kube-proxy".to_owned());
    }
    missing
}

fn no_service(dump: &Dump, namespace: &str, name: &str) -> ExplainError {
    let elsewhere = dump
        .services
        .iter()
        .find(|(service, _)| service.name == name)
        .map(|(service, _)| format!("there is one in namespace {}", service.namespace));
    let unreadable = || {
        dump.problems
            .iter()
            .find(|problem| problem.contains(&format!("service {namespace}/{name}")))
            .cloned()
    };
    ExplainError::NoService {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        hint: unreadable().or(elsewhere),
    }
}
