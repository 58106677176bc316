//! What policies do to the cells of a Service with one backend.

use crate::{
    config::{ClusterOverrides, ExpectationSettings},
    plan::{placement::place, targets::targets},
    probes::{
        output::{End, ProbeOutput},
        probed_position::ProbedPosition,
    },
    reporting::{self, Expectations, Unchecked, documents::Documents},
    survey::{
        mesh::{Mesh, Strict},
        network_policies::{NotEvaluated, PolicySurvey},
        provider_hints::ProviderHints,
    },
    testing::{endpoint, facts, node, probe_settings, required},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use svc_reach_common::{
    facts::Facts,
    model::policy::{Labels, NetworkPolicy, Pod, Policies},
    position::Position::{self, External, NodeOther, NodeSame, PodOther, PodSame},
    proxy_mode::ProxyMode,
    report::{Cell, PolicyEffect, Report, Severity},
    target::TargetKind::{self, ClusterIp, Dns, NodePort, PodIp},
    terms::Terms,
    verdict::{Basis, Verdict},
    wire::outcome::{Attempt, Outcome, Phase},
};

/// A NodePort Service with one backend on node `a`, next to a node `b`.
fn service() -> Facts {
    let mut facts = facts();
    facts.nodes = vec![node("a", 0), node("b", 1)].into();
    facts.endpoints = vec![endpoint("a", 0)];
    facts
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The policies of namespace `default`, in which the Service and the probes are. The probes are labelled
/// `app=front`.
fn survey(specs: &[Value]) -> PolicySurvey {
    let policies = specs.iter().enumerate().map(|(index, spec)| {
        let metadata = json!({"namespace": "default", "name": format!("p{index}")});
        NetworkPolicy::try_from(&json!({"metadata": metadata, "spec": spec})).unwrap()
    });
    let backend = Pod::try_from(&json!({
        "metadata": {"namespace": "default", "name": "nginx-0", "labels": {"app": "nginx"}},
        "spec": {"nodeName": "a", "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": "172.16.0.10"},
    }));
    PolicySurvey {
        policies: Policies {
            policies: policies.collect(),
            namespaces: BTreeMap::from([("default".to_owned(), Labels::all(labels(&[])))]),
        },
        pods: BTreeMap::from([(("default".into(), "nginx-0".into()), backend.unwrap())]),
        probes_in: "default".to_owned(),
        probe_labels: Labels::all(labels(&[("app", "front")])),
        ..PolicySurvey::default()
    }
}

/// The report of a run in which every target answered.
fn report(survey: &PolicySurvey, terms: &Terms) -> Report {
    report_of(survey, terms, Outcome::Connected, None)
}

/// The report of a run in which every attempt has this outcome.
fn report_of(
    survey: &PolicySurvey,
    terms: &Terms,
    outcome: Outcome,
    mesh: Option<&Mesh>,
) -> Report {
    let facts = service();
    let placement = place(&[&facts], &probe_settings()).remove(0);
    let stands: Vec<ProbedPosition> = Position::ALL
        .iter()
        .map(|&position| {
            let targets = targets(&facts, &placement, position);
            let attempt = Attempt::from(outcome.clone());
            ProbedPosition {
                accepted: Vec::new(),
                position,
                node: placement
                    .node(position)
                    .map(|node| node.unwrap().to_owned()),
                heard: Ok(ProbeOutput {
                    results: (0..)
                        .zip(&targets)
                        .map(|(id, _)| (id, vec![attempt.clone()]))
                        .collect(),
                    host: None,
                    end: End::Complete,
                }),
                targets,
            }
        })
        .collect();
    let expectations = Expectations {
        documents: &Documents::of(&ExpectationSettings::default()).unwrap(),
        proxy: None,
        hints: &ProviderHints::default(),
        policies: survey,
        mesh: Ok(mesh),
        overrides: ClusterOverrides {
            network_model: None,
            proxy_mode: Some(ProxyMode::Iptables),
        },
        others: &[],
        terms,
        at: None,
    };
    reporting::report(
        "r",
        Duration::ZERO,
        &facts,
        &stands,
        expectations,
        Unchecked::default(),
    )
}

fn cell<'r>(report: &'r Report, position: Position, kind: TargetKind, node: &str) -> &'r Cell {
    let mut cells = report.cells.iter();
    let found = cells.find(|cell| {
        let target = &cell.target;
        (cell.position, target.kind) == (position, kind)
            && (kind != NodePort || target.node.as_deref() == Some(node))
    });
    found.unwrap_or_else(|| panic!("no cell {position} {kind} {node}"))
}

/// What policies do to these cells: position, target, and the node of a node port.
fn assert_effects(
    name: &str,
    survey: &PolicySurvey,
    rows: &[(Position, TargetKind, &str, Option<PolicyEffect>)],
) {
    let report = report(survey, &Terms::default());
    for (position, kind, node, expected) in rows {
        let cell = cell(&report, *position, *kind, node);
        let effect = cell.policy.as_ref().map(|policy| policy.effect);
        assert_eq!(
            effect, *expected,
            "{name}: {position} {kind} {node}: {:?}",
            cell.policy
        );
    }
}

const NO: Option<PolicyEffect> = Some(PolicyEffect::Denied);
const OPEN: Option<PolicyEffect> = Some(PolicyEffect::Unknown);

#[test]
fn without_policies_nothing_changes() {
    assert_effects("none", &survey(&[]), &[(PodOther, PodIp, "", None)]);
    let allow = survey(&[json!({"ingress": [{}]})]);
    assert_effects("all allowed", &allow, &[(PodOther, NodePort, "b", None)]);
}

#[test]
fn a_namespace_that_denies_all_ingress() {
    let rows = [
        (PodOther, PodIp, "", NO),
        (PodSame, PodIp, "", NO),
        (NodeOther, PodIp, "", NO),
        (NodeSame, PodIp, "", None),
        (PodOther, ClusterIp, "", NO),
        (PodSame, ClusterIp, "", NO),
        (NodeOther, ClusterIp, "", NO),
        (NodeSame, ClusterIp, "", None),
        (PodOther, Dns, "", NO),
        // Node b replaces the client's address before the packet gets to node a.
        (PodOther, NodePort, "b", NO),
        (External, NodePort, "b", NO),
        // Node a replaces it itself, so the policy may see the client or the backend's own node.
        (External, NodePort, "a", OPEN),
        (PodOther, NodePort, "a", OPEN),
    ];
    assert_effects("deny", &survey(&[json!({})]), &rows);
}

#[test]
fn the_labels_of_the_probes_count() {
    let from = |app: &str| json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}]}]});
    let rows = [
        (PodOther, PodIp, "", None),
        (PodOther, ClusterIp, "", None),
        // The backend sees node b instead of the pod.
        (PodOther, NodePort, "b", NO),
        // The API does not define whether the selector selects a pod on the host network.
        (NodeOther, PodIp, "", OPEN),
    ];
    assert_effects("admitted", &survey(&[from("front")]), &rows);
    let rows = [(PodOther, PodIp, "", NO), (NodeOther, PodIp, "", NO)];
    assert_effects("not admitted", &survey(&[from("other")]), &rows);
}

#[test]
fn ports_are_those_of_the_backend() {
    let port = |port: Value| json!({"ingress": [{"ports": [{"port": port}]}]});
    for (rule, expected) in [
        (port(8080.into()), None),
        (port("http".into()), None),
        (port(80.into()), NO),
        (port("nobody-has-it".into()), NO),
    ] {
        let rows = [
            (PodOther, ClusterIp, "", expected),
            (PodOther, PodIp, "", expected),
        ];
        assert_effects(&rule.to_string(), &survey(&[rule]), &rows);
    }
}

#[test]
fn egress_concerns_probes_on_the_pod_network() {
    let rows = [
        (PodOther, PodIp, "", NO),
        (PodOther, ClusterIp, "", NO),
        (PodOther, NodePort, "a", NO),
        (PodOther, NodePort, "b", NO),
        (NodeOther, PodIp, "", None),
        (External, NodePort, "b", None),
    ];
    let front = |rest: Value| {
        let mut spec = rest;
        spec["podSelector"] = json!({"matchLabels": {"app": "front"}});
        spec["policyTypes"] = json!(["Egress"]);
        spec
    };
    assert_effects("egress", &survey(&[front(json!({}))]), &rows);
    let to_backends = json!({"egress": [{"to": [{"podSelector": {}}]}]});
    let rows = [
        (PodOther, ClusterIp, "", None),
        // Whether the probe may ask the cluster's DNS depends on pods that are not known.
        (PodOther, Dns, "", OPEN),
        (PodOther, NodePort, "a", NO),
    ];
    assert_effects("to the backends", &survey(&[front(to_backends)]), &rows);
}

#[test]
fn pods_that_were_not_read_have_the_labels_of_the_selector() {
    for (key, expected) in [("app", NO), ("tier", OPEN)] {
        let select = json!({"podSelector": {"matchLabels": {(key): "nginx"}}});
        let mut survey = survey(&[select]);
        survey.pods.clear();
        assert_effects(key, &survey, &[(PodOther, PodIp, "", expected)]);
    }
}

#[test]
fn policies_that_are_not_evaluated_leave_cells_open() {
    for (namespace, expected) in [(Some("default"), OPEN), (None, OPEN), (Some("other"), None)] {
        let mut survey = survey(&[]);
        survey.not_evaluated.push(NotEvaluated {
            namespace: namespace.map(str::to_owned),
            why: "CiliumNetworkPolicy x is not evaluated".to_owned(),
        });
        let rows = [
            (PodOther, PodIp, "", expected),
            (External, NodePort, "b", expected),
        ];
        assert_effects(&format!("{namespace:?}"), &survey, &rows);
    }
}

#[test]
fn policies_outrank_documents_and_requirements_outrank_policies() {
    let deny = survey(&[json!({})]);
    let judged = report(&deny, &Terms::default());
    let reached = cell(&judged, PodOther, ClusterIp, "");
    let expected = reached.expected.as_ref().unwrap();
    assert_eq!(
        (expected.basis, reached.verdict),
        (Basis::Policy, Verdict::Better)
    );
    let source = expected.source.as_deref().unwrap();
    assert!(source.starts_with("NetworkPolicy default/p0 "), "{source}");
    assert!(
        reached
            .hint
            .as_deref()
            .unwrap()
            .contains("enforces NetworkPolicies")
    );
    let open = cell(&judged, External, NodePort, "a");
    assert_eq!(
        (&open.expected, open.verdict),
        (&None, Verdict::Undocumented)
    );
    assert!(
        open.hint
            .as_deref()
            .unwrap()
            .contains("not judged: whether policies"),
        "{:?}",
        open.hint
    );

    let terms = Terms {
        required: vec![required("pod-other:cluster-ip")],
        ..Terms::default()
    };
    let judged = report(&deny, &terms);
    let reached = cell(&judged, PodOther, ClusterIp, "");
    let basis = reached.expected.as_ref().map(|expected| expected.basis);
    assert_eq!(
        (basis, reached.verdict),
        (Some(Basis::Required), Verdict::AsExpected)
    );
}

#[test]
fn notes_about_policies_are_advisories() {
    let mut survey = survey(&[]);
    survey.notes.push("failed to read".to_owned());
    let report = report(&survey, &Terms::default());
    let found = report
        .advisories
        .iter()
        .find(|advisory| advisory.id == "network-policies");
    let found = found.map(|advisory| (advisory.severity, advisory.text.as_str()));
    assert_eq!(found, Some((Severity::Info, "failed to read")));
}

/// A mesh that requires mutual TLS ends the connections of probes. That is no fault of the network.
#[test]
fn what_a_mesh_refuses_is_not_called_broken() {
    let closed = Outcome::Closed {
        phase: Phase::Answer,
    };
    for (strict, severity) in [
        (
            Strict::Yes("PeerAuthentication default/rule requires mutual TLS".to_owned()),
            Severity::Warning,
        ),
        (
            Strict::Unknown("it may not be read".to_owned()),
            Severity::Warning,
        ),
        (Strict::No, Severity::Info),
    ] {
        let mesh = Mesh {
            name: "Istio",
            sign: "container istio-proxy of pod nginx-0".to_owned(),
            strict,
        };
        let survey = PolicySurvey::default();
        let report = report_of(&survey, &Terms::default(), closed.clone(), Some(&mesh));
        let cell = cell(&report, PodOther, ClusterIp, "");
        assert_eq!(cell.verdict, Verdict::NotObserved, "{mesh:?}: {cell:?}");
        let mut advisories = report.advisories.iter();
        let found = advisories.find(|advisory| advisory.id == "service-mesh");
        let found = found.unwrap();
        assert!(found.text.starts_with("Istio is in front of the backends"));
        assert_eq!(found.severity, severity);
    }
}
