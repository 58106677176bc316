//! NetworkPolicies, and the pods and namespaces that they refer to. They are optional: what may not be read becomes a
//! note, and cells that depend on it are not judged.

use crate::{
    cluster::{
        Call, CallError, Cluster,
        page::{AT_ONCE, FEW, all, page},
    },
    error::Permission,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use svc_reach_common::{
    facts::Facts,
    model::policy::{Labels, NetworkPolicy, Pod, Policies},
};

/// Most names of policies in one text.
const NAMED: usize = 3;

/// What was found out about policies.
#[derive(Debug, Default)]
pub struct PolicySurvey {
    /// The NetworkPolicies of the namespaces of the Services and of the probes.
    pub policies: Policies,
    /// The pods of the Services' namespaces, by namespace and name.
    pub pods: BTreeMap<(String, String), Pod>,
    /// Policies that exist but cannot be evaluated.
    pub not_evaluated: Vec<NotEvaluated>,
    /// What a reader should know about policies that were not read or not evaluated.
    pub notes: Vec<String>,
    /// The namespace of the probes.
    pub probes_in: String,
    /// The labels that the pods of the probes have in common.
    pub probe_labels: BTreeMap<String, String>,
}

/// Policies that exist but cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    /// Their namespace; `None`: they apply to all namespaces.
    pub namespace: Option<String>,
    /// Their kind and names, and why they are not evaluated.
    pub why: String,
}

/// A kind of policy that a network plugin adds to the API.
struct Foreign {
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    kind: &'static str,
    namespaced: bool,
}

/// The policies of Cilium (<https://docs.cilium.io/en/stable/network/kubernetes/policy/>) and Calico
/// (<https://docs.tigera.io/calico/latest/reference/resources/networkpolicy>). Calico's API server serves
/// `projectcalico.org`. Without it, the same objects are in `crd.projectcalico.org`.
const FOREIGN: [Foreign; 6] = [
    Foreign {
        group: "cilium.io",
        version: "v2",
        resource: "ciliumnetworkpolicies",
        kind: "CiliumNetworkPolicy",
        namespaced: true,
    },
    Foreign {
        group: "cilium.io",
        version: "v2",
        resource: "ciliumclusterwidenetworkpolicies",
        kind: "CiliumClusterwideNetworkPolicy",
        namespaced: false,
    },
    Foreign {
        group: "projectcalico.org",
        version: "v3",
        resource: "networkpolicies",
        kind: "Calico NetworkPolicy",
        namespaced: true,
    },
    Foreign {
        group: "projectcalico.org",
        version: "v3",
        resource: "globalnetworkpolicies",
        kind: "Calico GlobalNetworkPolicy",
        namespaced: false,
    },
    Foreign {
        group: "crd.projectcalico.org",
        version: "v1",
        resource: "networkpolicies",
        kind: "Calico NetworkPolicy",
        namespaced: true,
    },
    Foreign {
        group: "crd.projectcalico.org",
        version: "v1",
        resource: "globalnetworkpolicies",
        kind: "Calico GlobalNetworkPolicy",
        namespaced: false,
    },
];

/// Reads the policies of the namespaces of the Services and of the probes. Only if there are any, it also reads the
/// pods and the labels of the namespaces.
pub async fn look(
    cluster: &impl Cluster,
    services: &[&Facts],
    probes_in: &str,
    probe_labels: BTreeMap<String, String>,
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
    match groups {
        Ok(groups) => survey.look_for_foreign(cluster, &groups, &namespaces).await,
        Err(error) => tracing::debug!(%error, "failed to read the list of API groups"),
    }
    if !survey.policies.policies.is_empty() {
        let (labels, pods) = tokio::join!(
            each(&namespaces, |namespace| cluster
                .call(Call::get(format!("/api/v1/namespaces/{namespace}")))),
            each(&of_services, |namespace| all(
                cluster,
                Call::get(format!("/api/v1/namespaces/{namespace}/pods"))
            )),
        );
        survey.add_labels(labels);
        survey.add_pods(pods);
    }
    survey
}

/// Makes the same call for each namespace, a few at once.
async fn each<'n, T, F: Future<Output = Result<T, CallError>>>(
    namespaces: &BTreeSet<&'n str>,
    call: impl Fn(&'n str) -> F,
) -> Vec<(&'n str, Result<T, CallError>)> {
    stream::iter(namespaces.iter().copied())
        .map(|namespace| {
            let called = call(namespace);
            async move { (namespace, called.await) }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

impl PolicySurvey {
    /// Whether there is no policy that could forbid anything.
    pub fn is_empty(&self) -> bool {
        self.policies.policies.is_empty() && self.not_evaluated.is_empty()
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
                match NetworkPolicy::try_from(object) {
                    Ok(policy) => self.policies.policies.push(policy),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        let why = match error.source() {
                            Some(source) => format!("{error}: {source}"),
                            None => error.to_string(),
                        };
                        self.notes
                            .push(format!("a NetworkPolicy is not evaluated: {why}"));
                        self.not_evaluated.push(NotEvaluated {
                            namespace: Some(namespace.to_owned()),
                            why,
                        });
                    }
                }
            }
        }
    }

    fn add_labels(&mut self, namespaces: Vec<(&str, Result<Value, CallError>)>) {
        for (namespace, object) in namespaces {
            match object {
                Ok(object) => {
                    let labels = object
                        .pointer("/metadata/labels")
                        .and_then(Value::as_object);
                    let labels = labels
                        .into_iter()
                        .flatten()
                        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                    self.policies
                        .namespaces
                        .insert(namespace.to_owned(), Labels::all(labels.collect()));
                }
                Err(error) => {
                    let what = format!("the labels of namespace {namespace}");
                    let permission = Permission::core("get", "namespaces");
                    let effect = "cells that depend on them are not judged";
                    self.not_read(&what, permission, &error, effect);
                }
            }
        }
    }

    fn add_pods(&mut self, lists: Vec<(&str, Result<Vec<Value>, CallError>)>) {
        for (namespace, list) in lists {
            match list {
                Ok(objects) => {
                    for pod in objects.iter().map(Pod::try_from) {
                        match pod {
                            Ok(pod) => {
                                let key = (pod.namespace.clone(), pod.name.clone());
                                self.pods.insert(key, pod);
                            }
                            Err(error) => tracing::debug!(%error, "failed to read a pod"),
                        }
                    }
                }
                Err(error) => {
                    let what = format!("the pods of namespace {namespace}");
                    let permission = Permission::core("list", "pods");
                    let effect = "cells that depend on their labels and ports are not judged";
                    self.not_read(&what, permission, &error, effect);
                }
            }
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

    /// Looks for policies of network plugins. The list of API groups may be read by every user, so groups that do not
    /// exist are not confused with groups that may not be read.
    async fn look_for_foreign(
        &mut self,
        cluster: &impl Cluster,
        groups: &Value,
        namespaces: &BTreeSet<&str>,
    ) {
        let groups: BTreeSet<&str> = groups
            .get("groups")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|group| group.get("name")?.as_str())
            .collect();
        for foreign in &FOREIGN {
            let served_twice =
                foreign.group == "crd.projectcalico.org" && groups.contains("projectcalico.org");
            if !groups.contains(foreign.group) || served_twice {
                continue;
            }
            let Foreign {
                group,
                version,
                resource,
                kind,
                namespaced,
            } = *foreign;
            let few = |path| page(cluster, Call::get(path), FEW, None);
            let lists: Vec<(Option<&str>, _)> = if namespaced {
                each(namespaces, |namespace| {
                    few(format!(
                        "/apis/{group}/{version}/namespaces/{namespace}/{resource}"
                    ))
                })
                .await
                .into_iter()
                .map(|(namespace, list)| (Some(namespace), list))
                .collect()
            } else {
                vec![(
                    None,
                    few(format!("/apis/{group}/{version}/{resource}")).await,
                )]
            };
            for (namespace, list) in lists {
                match list {
                    Ok(page) => {
                        let names: Vec<&str> = page
                            .items
                            .iter()
                            .filter_map(|object| object.pointer("/metadata/name")?.as_str())
                            // Calico's view of NetworkPolicies, which are evaluated.
                            .filter(|name| !name.starts_with("knp.default."))
                            .collect();
                        self.add_foreign(kind, namespace, &names);
                    }
                    Err(error) if error.is_not_found() => {}
                    Err(error) => {
                        let place = namespace.map(|name| format!(" of namespace {name}"));
                        let what = format!("every {kind}{}", place.unwrap_or_default());
                        let permission = Permission::of("list", group, resource);
                        self.not_read(&what, permission, &error, "verdicts ignore them");
                    }
                }
            }
        }
    }

    fn add_foreign(&mut self, kind: &str, namespace: Option<&str>, names: &[&str]) {
        if names.is_empty() {
            return;
        }
        let mut text = names[..names.len().min(NAMED)].join(", ");
        if names.len() > NAMED {
            text.push_str(&format!(" and {} more", names.len() - NAMED));
        }
        let place = namespace.map(|name| format!(" in namespace {name}"));
        let why = format!(
            "{kind} {text}{} is not evaluated, only NetworkPolicy of networking.k8s.io is",
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

#[cfg(test)]
mod tests {
    use super::{PolicySurvey, look};
    use crate::{
        cluster::scripted::{Reply, Scripted},
        testing::facts,
    };
    use serde_json::json;
    use std::collections::BTreeMap;

    const POLICIES: &str = "GET /apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    const OF_PROBES: &str = "GET /apis/networking.k8s.io/v1/namespaces/probes/networkpolicies";
    const GROUPS: &str = "GET /apis";
    const PODS: &str = "GET /api/v1/namespaces/default/pods";

    async fn read(cluster: &Scripted) -> PolicySurvey {
        look(cluster, &[&facts()], "probes", BTreeMap::new()).await
    }

    fn deny() -> Reply {
        Reply::Object(json!({"items": [
            {"metadata": {"namespace": "default", "name": "deny"}, "spec": {"podSelector": {}}},
        ]}))
    }

    #[tokio::test]
    async fn without_policies_nothing_else_is_read() {
        let cluster = Scripted::new(|call, _| match call {
            POLICIES | OF_PROBES => Reply::Object(json!({"items": []})),
            GROUPS => Reply::Object(json!({"groups": [{"name": "apps"}]})),
            other => panic!("{other}"),
        });
        let survey = read(&cluster).await;
        assert!(survey.is_empty() && survey.notes.is_empty(), "{survey:?}");
    }

    #[tokio::test]
    async fn policies_pods_and_labels_are_read() {
        let cluster = Scripted::new(|call, _| match call {
            POLICIES => deny(),
            OF_PROBES | GROUPS => Reply::Failure(404),
            PODS => Reply::Object(json!({"items": [
                {"metadata": {"namespace": "default", "name": "nginx-0", "labels": {"app": "nginx"}}},
            ]})),
            "GET /api/v1/namespaces/default" | "GET /api/v1/namespaces/probes" => {
                Reply::Object(json!({"metadata": {"labels": {"team": "a"}}}))
            }
            other => panic!("{other}"),
        });
        let survey = read(&cluster).await;
        assert_eq!(survey.policies.policies[0].to_string(), "default/deny");
        assert_eq!(survey.policies.namespaces.len(), 2);
        assert_eq!(survey.pods.len(), 1);
        assert!(survey.notes.is_empty(), "{:?}", survey.notes);
    }

    #[tokio::test]
    async fn a_missing_permission_is_a_note() {
        let lacking = |denied: &'static [&'static str]| {
            Scripted::new(move |call, _| match call {
                call if denied.contains(&call) => Reply::Failure(403),
                POLICIES => deny(),
                OF_PROBES => Reply::Object(json!({"items": []})),
                GROUPS => Reply::Object(json!({"groups": [{"name": "cilium.io"}]})),
                _ => Reply::Object(json!({"items": []})),
            })
        };
        for (denied, permission) in [
            (
                &[POLICIES, OF_PROBES][..],
                "list networkpolicies.networking.k8s.io",
            ),
            (&[PODS][..], "list pods"),
            (&["GET /api/v1/namespaces/probes"][..], "get namespaces"),
            (
                &["GET /apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies"][..],
                "list ciliumnetworkpolicies.cilium.io",
            ),
        ] {
            let survey = read(&lacking(denied)).await;
            assert_eq!(survey.notes.len(), denied.len(), "{:?}", survey.notes);
            for note in &survey.notes {
                assert!(note.contains(&format!("lacks: {permission})")), "{note}");
            }
        }
    }

    #[tokio::test]
    async fn policies_of_network_plugins_are_named() {
        let cluster = Scripted::new(|call, _| match call {
            GROUPS => Reply::Object(json!({"groups": [
                {"name": "cilium.io"}, {"name": "projectcalico.org"}, {"name": "crd.projectcalico.org"},
            ]})),
            "GET /apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies" => {
                let named = |name: &str| json!({"metadata": {"name": name}});
                Reply::Object(json!({"items": (["a", "b", "c", "d"].map(named))}))
            }
            "GET /apis/projectcalico.org/v3/globalnetworkpolicies" => Reply::Object(
                json!({"items": [{"metadata": {"name": "knp.default.deny"}}, {"metadata": {"name": "g"}}]}),
            ),
            call if call.contains("crd.projectcalico.org") => panic!("{call}"),
            _ => Reply::Object(json!({"items": []})),
        });
        let survey = read(&cluster).await;
        let places: Vec<_> = survey
            .not_evaluated
            .iter()
            .map(|one| one.namespace.as_deref())
            .collect();
        assert_eq!(places, [Some("default"), None]);
        assert!(
            survey.notes[0].starts_with(
                "CiliumNetworkPolicy a, b, c and 1 more in namespace default is not evaluated"
            ),
            "{:?}",
            survey.notes
        );
        assert!(survey.notes[1].starts_with("Calico GlobalNetworkPolicy g is not evaluated"));
    }

    #[tokio::test]
    async fn a_policy_of_an_unknown_form_is_not_ignored() {
        let cluster = Scripted::new(|call, _| match call {
            POLICIES => Reply::Object(json!({"items": [{
                "metadata": {"namespace": "default", "name": "new"},
                "spec": {"ingress": [{"from": [{"somethingNew": {}}]}]},
            }]})),
            _ => Reply::Failure(404),
        });
        let survey = read(&cluster).await;
        assert_eq!(
            survey.not_evaluated[0].namespace.as_deref(),
            Some("default")
        );
        assert!(
            survey.notes[0].contains("NetworkPolicy default/new"),
            "{:?}",
            survey.notes
        );
    }
}
