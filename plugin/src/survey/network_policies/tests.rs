//! What is read about policies, and what a missing permission costs.

use super::{PolicySurvey, look};
use crate::{
    cluster::scripted::{Reply, Scripted},
    testing::facts,
};
use serde_json::json;
use svc_reach_common::model::policy::Labels;

const POLICIES: &str = "GET /apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
const OF_PROBES: &str = "GET /apis/networking.k8s.io/v1/namespaces/probes/networkpolicies";
const GROUPS: &str = "GET /apis";
const PODS: &str = "GET /api/v1/namespaces/default/pods";

async fn read(cluster: &Scripted) -> PolicySurvey {
    look(cluster, &[&facts()], "probes", Labels::default()).await
}

/// API groups with their versions, the preferred one first.
fn groups(served: &[(&str, &[&str])]) -> Reply {
    let group = |(name, versions): &(&str, &[&str])| {
        let versions = versions.iter().map(|version| json!({"version": version}));
        json!({"name": name, "versions": versions.collect::<Vec<_>>()})
    };
    Reply::Object(json!({"groups": served.iter().map(group).collect::<Vec<_>>()}))
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
        OF_PROBES => Reply::Failure(404),
        GROUPS => groups(&[]),
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
            GROUPS => groups(&[("cilium.io", &["v2"])]),
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

/// A user may list NetworkPolicies. So only the kinds of other policies are unknown.
#[tokio::test]
async fn an_unknown_list_of_api_groups_is_a_note() {
    for (failure, why) in [(403, "lacks: get /apis"), (503, "503")] {
        let cluster = Scripted::new(move |call, _| match call {
            POLICIES | OF_PROBES => Reply::Object(json!({"items": []})),
            GROUPS => Reply::Failure(failure),
            other => panic!("{other}"),
        });
        let survey = read(&cluster).await;
        let [note] = survey.notes.as_slice() else {
            panic!("{:?}", survey.notes);
        };
        assert!(
            note.contains(why) && note.contains("network plugins"),
            "{note}"
        );
    }
}

#[tokio::test]
async fn policies_of_network_plugins_are_named() {
    let cluster = Scripted::new(|call, _| match call {
        GROUPS => groups(&[
            ("cilium.io", &["v2"]),
            ("projectcalico.org", &["v3"]),
            ("crd.projectcalico.org", &["v1"]),
            ("policy.networking.k8s.io", &["v1alpha2", "v1alpha1"]),
        ]),
        "GET /apis/policy.networking.k8s.io/v1alpha2/adminnetworkpolicies"
        | "GET /apis/policy.networking.k8s.io/v1alpha2/baselineadminnetworkpolicies" => {
            Reply::Failure(404)
        }
        "GET /apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies" => {
            Reply::Object(json!({"items": [{"metadata": {"name": "tenants"}}]}))
        }
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
    assert_eq!(places, [Some("default"), None, None]);
    assert!(
        survey.notes[0].starts_with(
            "CiliumNetworkPolicy a, b, c and 1 more in namespace default is not evaluated"
        ),
        "{:?}",
        survey.notes
    );
    assert!(survey.notes[1].starts_with("Calico GlobalNetworkPolicy g is not evaluated"));
    assert!(survey.notes[2].starts_with("AdminNetworkPolicy tenants is not evaluated"));
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

/// The servers of the cluster's DNS matter only to a probe that may not open every connection.
#[tokio::test]
async fn the_servers_of_the_clusters_dns_are_read_if_a_policy_isolates_the_probes() {
    const SERVICE: &str = "GET /api/v1/namespaces/kube-system/services/kube-dns";
    const SLICES: &str = "GET /apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
    for (types, read_dns) in [(json!(["Ingress"]), false), (json!(["Egress"]), true)] {
        let cluster = Scripted::new(move |call, _| match call {
            OF_PROBES => Reply::Object(json!({"items": [
                {"metadata": {"namespace": "probes", "name": "deny"}, "spec": {"podSelector": {}, "policyTypes": types}},
            ]})),
            SERVICE => Reply::Object(json!({
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": "10.0.0.10", "selector": {"k8s-app": "kube-dns"},
                         "ports": [{"port": 53, "protocol": "UDP"}]},
            })),
            SLICES => Reply::Object(json!({"items": [{
                "metadata": {"name": "kube-dns-x", "namespace": "kube-system",
                             "labels": {"kubernetes.io/service-name": "kube-dns"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["172.16.0.53"], "nodeName": "a",
                               "targetRef": {"kind": "Pod", "name": "coredns-1"}}],
                "ports": [{"port": 5353, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
            }]})),
            POLICIES | PODS => Reply::Object(json!({"items": []})),
            GROUPS => groups(&[]),
            "GET /api/v1/namespaces/kube-system" => Reply::Failure(403),
            _ => Reply::Object(json!({"metadata": {}})),
        });
        let survey = read(&cluster).await;
        let servers: Vec<_> = survey
            .dns
            .iter()
            .map(|server| (server.address.to_string(), server.port.port.get()))
            .collect();
        let expected = [("172.16.0.53".to_owned(), 5353)];
        assert_eq!(
            servers,
            expected[..usize::from(read_dns)],
            "{:?}",
            cluster.asked()
        );
        assert_eq!(
            survey.notes, [""; 0],
            "a note would not help: the labels of the DNS may not matter"
        );
        let asked = cluster.asked().iter().any(|call| call == SERVICE);
        assert_eq!(asked, read_dns, "{:?}", cluster.asked());
    }
}
