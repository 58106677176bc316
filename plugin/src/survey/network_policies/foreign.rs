//! Policies that network plugins and other projects add to the API. They are named, but not evaluated.

use super::{NotEvaluated, PolicySurvey};
use crate::{
    cluster::{
        Call, CallError, Cluster,
        page::{FEW, Page, each, page},
    },
    error::Permission,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most names of policies in one text.
const NAMED: usize = 3;

/// A kind of policy that is not of Kubernetes itself.
#[derive(Debug, Clone, Copy)]
struct Foreign {
    /// The API group.
    group: &'static str,
    /// The resource in the API.
    resource: &'static str,
    /// `kind` of an object.
    object: &'static str,
    /// Who defines it, to tell kinds of the same name apart.
    by: &'static str,
    /// Whether a policy belongs to a namespace.
    namespaced: bool,
}

const fn of_namespace(
    by: &'static str,
    group: &'static str,
    resource: &'static str,
    object: &'static str,
) -> Foreign {
    Foreign {
        group,
        resource,
        object,
        by,
        namespaced: true,
    }
}

const fn of_cluster(
    by: &'static str,
    group: &'static str,
    resource: &'static str,
    object: &'static str,
) -> Foreign {
    Foreign {
        namespaced: false,
        ..of_namespace(by, group, resource, object)
    }
}

/// Calico's own API server serves this group. Without it, the same objects are in [`CALICO_CRD`].
const CALICO: &str = "projectcalico.org";
const CALICO_CRD: &str = "crd.projectcalico.org";
const CILIUM: &str = "cilium.io";
const ANTREA: &str = "crd.antrea.io";
const ADMIN: &str = "policy.networking.k8s.io";

/// The policies of Cilium (<https://docs.cilium.io/en/stable/network/kubernetes/policy/>), Calico
/// (<https://docs.tigera.io/calico/latest/reference/resources/networkpolicy>), Antrea
/// (<https://antrea.io/docs/main/docs/antrea-network-policy/>) and the network policy working group
/// (<https://network-policy-api.sigs.k8s.io/>).
const FOREIGN: [Foreign; 11] = [
    of_namespace("", CILIUM, "ciliumnetworkpolicies", "CiliumNetworkPolicy"),
    of_cluster(
        "",
        CILIUM,
        "ciliumclusterwidenetworkpolicies",
        "CiliumClusterwideNetworkPolicy",
    ),
    of_namespace("Calico ", CALICO, "networkpolicies", "NetworkPolicy"),
    of_cluster(
        "Calico ",
        CALICO,
        "globalnetworkpolicies",
        "GlobalNetworkPolicy",
    ),
    of_namespace("Calico ", CALICO_CRD, "networkpolicies", "NetworkPolicy"),
    of_cluster(
        "Calico ",
        CALICO_CRD,
        "globalnetworkpolicies",
        "GlobalNetworkPolicy",
    ),
    of_namespace("Antrea ", ANTREA, "networkpolicies", "NetworkPolicy"),
    of_cluster(
        "Antrea ",
        ANTREA,
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
    ),
    of_cluster("", ADMIN, "adminnetworkpolicies", "AdminNetworkPolicy"),
    of_cluster(
        "",
        ADMIN,
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
    ),
    of_cluster("", ADMIN, "clusternetworkpolicies", "ClusterNetworkPolicy"),
];

/// The API groups that the server serves, with their versions, the preferred one first. Every user may read this list,
/// so groups that do not exist are not confused with groups that may not be read.
fn served(groups: &Value) -> BTreeMap<&str, Vec<&str>> {
    let groups = groups.get("groups").and_then(Value::as_array);
    groups
        .into_iter()
        .flatten()
        .filter_map(|group| {
            let versions = group.get("versions").and_then(Value::as_array);
            let versions = versions
                .into_iter()
                .flatten()
                .filter_map(|value| value.get("version")?.as_str());
            Some((group.get("name")?.as_str()?, versions.collect()))
        })
        .collect()
}

/// The name of a policy; `None` for Calico's view of a NetworkPolicy, which is evaluated.
fn name_of(object: &Value) -> Option<&str> {
    let name = object.pointer("/metadata/name")?.as_str()?;
    (!name.starts_with("knp.default.")).then_some(name)
}

impl PolicySurvey {
    /// Looks for policies that are not evaluated.
    pub(super) async fn look_for_foreign(
        &mut self,
        cluster: &impl Cluster,
        groups: &Value,
        namespaces: &BTreeSet<&str>,
    ) {
        let groups = served(groups);
        for foreign in &FOREIGN {
            let twice = foreign.group == CALICO_CRD && groups.contains_key(CALICO);
            let Some(versions) = groups.get(foreign.group).filter(|_| !twice) else {
                continue;
            };
            let lists: Vec<(Option<&str>, _)> = if foreign.namespaced {
                each(namespaces, |namespace| {
                    first_page(cluster, foreign, versions, Some(namespace))
                })
                .await
                .into_iter()
                .map(|(namespace, list)| (Some(namespace), list))
                .collect()
            } else {
                vec![(None, first_page(cluster, foreign, versions, None).await)]
            };
            for (namespace, list) in lists {
                match list {
                    Ok(page) => {
                        let names: Vec<&str> = page.items.iter().filter_map(name_of).collect();
                        self.add_foreign(foreign, namespace, &names);
                    }
                    Err(error) if error.is_not_found() => {}
                    Err(error) => {
                        let place = namespace.map(|name| format!(" of namespace {name}"));
                        let kind = foreign.kind();
                        let what = format!("every {kind}{}", place.unwrap_or_default());
                        let permission = Permission::of("list", foreign.group, foreign.resource);
                        self.not_read(&what, permission, &error, "verdicts ignore them");
                    }
                }
            }
        }
    }

    /// Adds an object of a dump, if it is a policy of a kind that is not evaluated.
    pub fn add_if_foreign(&mut self, object: &Value) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let group = text("/apiVersion").and_then(|version| version.split_once('/'));
        let mut kinds = FOREIGN.iter();
        let foreign = kinds.find(|foreign| {
            Some(foreign.object) == text("/kind")
                && group.is_some_and(|(group, _)| group == foreign.group)
        });
        if let (Some(foreign), Some(name)) = (foreign, name_of(object)) {
            self.add_foreign(foreign, text("/metadata/namespace"), &[name]);
        }
    }

    /// Adds policies of a kind that is not evaluated.
    fn add_foreign(&mut self, foreign: &Foreign, namespace: Option<&str>, names: &[&str]) {
        if names.is_empty() {
            return;
        }
        let mut text = names[..names.len().min(NAMED)].join(", ");
        if names.len() > NAMED {
            text.push_str(&format!(" and {} more", names.len() - NAMED));
        }
        let place = namespace.map(|name| format!(" in namespace {name}"));
        let why = format!(
            "{} {text}{} is not evaluated, only NetworkPolicy of networking.k8s.io is",
            foreign.kind(),
            place.unwrap_or_default()
        );
        self.notes.push(format!(
            "{why}; cells of pods that it may select are not judged"
        ));
        self.not_evaluated.push(NotEvaluated {
            namespace: namespace.map(str::to_owned),
            why,
        });
    }
}

impl Foreign {
    /// The kind, in words.
    fn kind(&self) -> String {
        format!("{}{}", self.by, self.object)
    }
}

/// The first page of a list, from the first version of the group that has the resource.
async fn first_page(
    cluster: &impl Cluster,
    foreign: &Foreign,
    versions: &[&str],
    namespace: Option<&str>,
) -> Result<Page, CallError> {
    let Foreign {
        group, resource, ..
    } = *foreign;
    let place = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
    let mut tried = versions.iter().map(|version| {
        let path = format!("/apis/{group}/{version}/{place}{resource}");
        page(cluster, Call::get(path), FEW, None)
    });
    let mut found = match tried.next() {
        Some(first) => first.await,
        None => {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
    };
    for next in tried {
        if !matches!(&found, Err(error) if error.is_not_found()) {
            break;
        }
        found = next.await;
    }
    found
}
