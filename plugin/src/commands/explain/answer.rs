//! A question to the forwarding model, and its answer. Pure.

use super::{cells, dump::Dump, flows};
use crate::{
    error::ExplainError,
    survey::kube_proxy::{ProxyOverrides, Settings},
};
use svc_reach_common::{model::World, network_model::NetworkModel};

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
    let settings = Settings::gather(overrides, dump.proxy_config.as_ref(), &dump.service_cidrs);
    match question {
        ExplainQuery::Flows(queries) => {
            let proxy = settings.for_flows();
            let world = World::new(
                dump.services
                    .iter()
                    .map(|(service, endpoints)| (service, endpoints.as_slice())),
                &dump.nodes,
                &proxy,
            );
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
            Ok(ExplainReply::Explanation(Box::new(cells::explanation(
                &facts, &settings, *network,
            ))))
        }
    }
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
