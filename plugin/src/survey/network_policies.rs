//! NetworkPolicies, and the pods and namespaces that they refer to. They are optional: what may not be read becomes a
//! note, and cells that depend on it are not judged.

pub mod dns;
pub mod foreign;
#[cfg(test)]
mod tests;

use crate::{
    cluster::{
        Call, CallError, Cluster,
        page::{all, each},
    },
    error::{Permission, chain},
};
use dns::DnsServer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use svc_reach_common::{
    facts::Facts,
    model::{
        Version,
        policy::{Labels, NetworkPolicy, Pod, Policies},
    },
};

/// What was found out about policies.
#[derive(Debug, Clone, Default)]
pub struct PolicySurvey {
    /// The NetworkPolicies of the namespaces of the Services and of the probes.
    pub policies: Policies,
    /// The pods of the Services' namespaces, by namespace and name.
    pub pods: BTreeMap<(String, String), Pod>,
    /// Policies that exist but cannot be evaluated.
    pub not_evaluated: Vec<NotEvaluated>,
    /// The servers of the cluster's DNS; empty if they are unknown, or if no policy affects the way to them.
    pub dns: Vec<DnsServer>,
    /// What a reader should know about policies that were not read or not evaluated.
    pub notes: Vec<String>,
    /// The namespace of the probes.
    pub probes_in: String,
    /// The labels that the pods of the probes have in common.
    pub probe_labels: Labels,
}

/// Policies that exist but cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    /// Their namespace; `None`: they apply to all namespaces.
    pub namespace: Option<String>,
    /// Their kind and names, and why they are not evaluated.
    pub why: String,
}

/// Reads the policies of the namespaces of the Services and of the probes. Only if there are any, it also reads the
/// pods and the labels of the namespaces.
pub async fn look(
    cluster: &impl Cluster,
    services: &[&Facts],
    probes_in: &str,
    probe_labels: Labels,
) -> PolicySurvey {
    let mut survey = PolicySurvey {
        probes_in: probes_in.to_owned(),
        probe_labels,
        ..PolicySurvey::default()
    };
    if services.is_empty() {
        return survey;
    }
    let of_services: BTreeSet<&str> = services
        .iter()
        .map(|facts| facts.service.namespace.as_str())
        .collect();
    let mut namespaces = of_services.clone();
    namespaces.insert(probes_in);
    let (lists, groups) = tokio::join!(
        each(&namespaces, |namespace| all(
            cluster,
            Call::get(format!(
                "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
            ))
        )),
        cluster.call(Call::get("/apis")),
    );
    survey.add_policies(lists);
    let version = services
        .iter()
        .find_map(|facts| facts.server_version.as_deref());
    if version.is_some_and(labels_namespaces) {
        for namespace in namespaces.iter().chain([&dns::NAMESPACE]) {
            survey
                .policies
                .namespaces
                .insert((*namespace).to_owned(), named(namespace));
        }
    }
    match groups {
        Ok(groups) => survey.look_for_foreign(cluster, &groups, &namespaces).await,
        Err(error) => survey.not_read(
            "the list of API groups",
            // A path of the API server, as in `kubectl auth can-i get /apis`.
            Permission::core("get", "/apis"),
            &error,
            "verdicts ignore the policies of network plugins",
        ),
    }
    if !survey.policies.policies.is_empty() {
        let labels_of =
            |namespace| cluster.call(Call::get(format!("/api/v1/namespaces/{namespace}")));
        let (labels, pods) = tokio::join!(
            each(&namespaces, labels_of),
            each(&of_services, |namespace| all(
                cluster,
                Call::get(format!("/api/v1/namespaces/{namespace}/pods"))
            )),
        );
        survey.add_labels(labels);
        survey.add_pods(pods);
        if survey.probes_have_egress_rules() {
            survey.dns = dns::servers(cluster).await;
        }
        if !survey.dns.is_empty() && !namespaces.contains(dns::NAMESPACE) {
            match labels_of(dns::NAMESPACE).await {
                Ok(object) => survey.add_labels_of(dns::NAMESPACE, &object),
                Err(error) => {
                    tracing::debug!(%error, "failed to read the namespace of the cluster's DNS")
                }
            }
        }
    }
    survey
}

/// Whether the API server labels each namespace with its name: by default from Kubernetes 1.21 on
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name>).
fn labels_namespaces(version: &str) -> bool {
    version
        .parse::<Version>()
        .is_ok_and(|version| version.since(21))
}

/// What is known about the labels of a namespace before it is read.
fn named(namespace: &str) -> Labels {
    let key = "kubernetes.io/metadata.name".to_owned();
    Labels::some(BTreeMap::from([(key, namespace.to_owned())]))
}

impl PolicySurvey {
    /// The same policies, as clients in this namespace meet them whose labels are unknown.
    pub fn for_any_client_in(self, namespace: &str) -> Self {
        Self {
            probes_in: namespace.to_owned(),
            probe_labels: Labels::unknown(),
            ..self
        }
    }

    /// Whether there is no policy that could forbid anything.
    pub fn is_empty(&self) -> bool {
        self.policies.policies.is_empty() && self.not_evaluated.is_empty()
    }

    /// Whether a policy may forbid the probes to open connections.
    fn probes_have_egress_rules(&self) -> bool {
        let mut policies = self.policies.policies.iter();
        policies.any(|policy| policy.namespace == self.probes_in && policy.egress.is_some())
    }

    fn add_policies(&mut self, lists: Vec<(&str, Result<Vec<Value>, CallError>)>) {
        for (namespace, list) in lists {
            let objects = match list {
                Ok(objects) => objects,
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    let what = format!("NetworkPolicies of namespace {namespace}");
                    let permission = Permission::of("list", "networking.k8s.io", "networkpolicies");
                    self.not_read(&what, permission, &error, "verdicts ignore them");
                    continue;
                }
            };
            for object in &objects {
                self.add_policy(namespace, object);
            }
        }
    }

    /// Adds a NetworkPolicy of a namespace. One that cannot be understood is not evaluated.
    pub fn add_policy(&mut self, namespace: &str, object: &Value) {
        match NetworkPolicy::try_from(object) {
            Ok(policy) => self.policies.policies.push(policy),
            Err(error) => {
                let why = chain(&error);
                self.notes
                    .push(format!("a NetworkPolicy is not evaluated: {why}"));
                self.not_evaluated.push(NotEvaluated {
                    namespace: Some(namespace.to_owned()),
                    why,
                });
            }
        }
    }

    fn add_labels(&mut self, namespaces: Vec<(&str, Result<Value, CallError>)>) {
        for (namespace, object) in namespaces {
            match object {
                Ok(object) => self.add_labels_of(namespace, &object),
                Err(error) => {
                    let what = format!("the labels of namespace {namespace}");
                    let permission = Permission::core("get", "namespaces");
                    let effect = "cells that depend on them are not judged";
                    self.not_read(&what, permission, &error, effect);
                }
            }
        }
    }

    /// Adds the labels of a Namespace object.
    pub fn add_labels_of(&mut self, namespace: &str, object: &Value) {
        let labels = object.pointer("/metadata/labels");
        let labels = labels.and_then(Value::as_object).into_iter().flatten();
        let labels =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let labels = Labels::all(labels.collect());
        self.policies
            .namespaces
            .insert(namespace.to_owned(), labels);
    }

    fn add_pods(&mut self, lists: Vec<(&str, Result<Vec<Value>, CallError>)>) {
        for (namespace, list) in lists {
            match list {
                Ok(objects) => objects.iter().for_each(|object| self.add_pod(object)),
                Err(error) => {
                    let what = format!("the pods of namespace {namespace}");
                    let permission = Permission::core("list", "pods");
                    let effect = "cells that depend on their labels and ports are not judged";
                    self.not_read(&what, permission, &error, effect);
                }
            }
        }
    }

    /// Adds a pod. Of one that cannot be understood, only the labels are known that the Service's selector requires.
    pub fn add_pod(&mut self, object: &Value) {
        match Pod::try_from(object) {
            Ok(pod) => {
                let key = (pod.namespace.clone(), pod.name.clone());
                self.pods.insert(key, pod);
            }
            Err(error) => tracing::debug!(%error, "failed to read a pod"),
        }
    }

    fn not_read(&mut self, what: &str, permission: Permission, error: &CallError, effect: &str) {
        let why = if error.is_forbidden() {
            format!("the role of this user lacks: {permission}")
        } else {
            error.to_string()
        };
        self.notes
            .push(format!("failed to read {what} ({why}); {effect}"));
    }
}
