//! Nodes as their pods show them, for users who may not list nodes.

use super::services::SurveyedService;
use crate::{
    cluster::{
        Call, CallError, Cluster,
        page::{MANY, each, page},
    },
    error::chain,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use svc_reach_common::{facts::Node, objects::PodNode};

/// Most pages of pods to read in a namespace. A few nodes are enough.
const PAGES: usize = 2;

/// The nodes that run a backend, and those of other ready pods in the namespaces of the Services. A node without a known
/// pod has no addresses.
pub async fn nodes(cluster: &impl Cluster, asked: &[SurveyedService]) -> Vec<Node> {
    let namespaces: BTreeSet<&str> = asked
        .iter()
        .map(|asked| asked.service.namespace.as_str())
        .collect();
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for (namespace, pods) in each(&namespaces, |namespace| pods(cluster, namespace)).await {
        let pods = pods.unwrap_or_else(|error| {
            tracing::debug!(%error, namespace, "failed to list the pods, so nodes have no addresses");
            Vec::new()
        });
        for pod in &pods {
            match PodNode::of(pod) {
                Ok(Some(found)) if found.ready => {
                    nodes.entry(found.node.name.clone()).or_insert(found.node);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(error = chain(&error), "ignored a pod"),
            }
        }
    }
    let endpoints = asked.iter().flat_map(|asked| &asked.backends.endpoints);
    for endpoint in endpoints.filter(|endpoint| endpoint.ready) {
        if let Some(name) = &endpoint.node {
            let node = nodes
                .entry(name.clone())
                .or_insert_with(|| Node::of_pods(name.clone(), Vec::new()));
            if let Some(zone) = &endpoint.zone {
                let label = "topology.kubernetes.io/zone".to_owned();
                node.labels.insert(label, zone.clone());
            }
        }
    }
    nodes.into_values().collect()
}

/// Running pods of a namespace.
async fn pods(cluster: &impl Cluster, namespace: &str) -> Result<Vec<Value>, CallError> {
    let mut pods = Vec::new();
    let mut next = None;
    for _ in 0..PAGES {
        let call = Call::get(format!("/api/v1/namespaces/{namespace}/pods"))
            .with("fieldSelector", "status.phase=Running");
        let read = page(cluster, call, MANY, next).await?;
        pods.extend(read.items);
        next = read.next;
        if next.is_none() {
            break;
        }
    }
    Ok(pods)
}
