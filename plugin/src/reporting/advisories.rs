//! Advisories, which are notes that are not about single cells: problems of the Service, and rules of the provider's
//! documents that its configuration breaks. Pure.

mod advisory;
mod backends;
mod cluster;
mod huawei_cce;

pub use advisory::Findings;
pub use cluster::of_the_cluster;

use crate::{reporting::detection, survey::mesh::Mesh};
use advisory::{own, warning};

use jiff::Timestamp;

use std::collections::{BTreeMap, BTreeSet};
use svc_reach_common::{
    facts::{Facts, ServiceType},
    observation::ObservedValue,
    provider::Provider,
    report::{Advisory, Cell, EXTERNAL_LEFT_OUT, Environment, NODES_UNLISTED, Severity},
    target::TargetKind,
    terms::Terms,
    verdict::Verdict,
};

const PODS: &str = "huawei-cce@2024-01-en (notes on the failure table)";

/// A requirement that no cell covers.
const NOT_ASKED: &str = "no-required-cell";

/// The endpoints changed just before the run.
const JUST_CHANGED: &str = "just-changed";

/// Every advisory. `left_out`: why the position `external` was left out, partly or completely. `unread`: why a change
/// during the run would have gone unnoticed, if it would. `policies`: what is to be known about policies that were not
/// read or not evaluated. `mesh`: the mesh at the backends, if one was found, or why that is unknown.
pub fn advisories(
    known: Findings<'_>,
    left_out: Option<&str>,
    unread: Option<&str>,
    policies: &[String],
    mesh: Result<Option<&Mesh>, &str>,
) -> Vec<Advisory> {
    let mut advisories = of_the_service(known.facts);
    advisories.extend(silent_backends(known));
    advisories.extend(backends::without_traffic(known));
    advisories.extend(backends::affinity(known));
    advisories.extend(just_changed(known));
    advisories.extend(told_otherwise(known.environment));
    advisories.extend(not_asked(known.terms, known.cells));
    if known.environment.provider.as_deref() == Some(Provider::HuaweiCce.as_str()) {
        advisories.extend(huawei_cce::advisories(known));
    }
    // What is not known may be the cause of a failure.
    let severity = if known.cells.iter().any(is_wrong) {
        Severity::Warning
    } else {
        Severity::Info
    };
    advisories.extend(about_policies(policies, severity));
    advisories.extend(service_mesh(mesh));
    advisories.extend(known.nodes_unlisted.then(|| {
        let text = "this user may not list nodes, so their labels, zones and public addresses are unknown, and so is every node without a known pod; the permission \"list nodes\" would tell";
        own(NODES_UNLISTED, severity, text.to_owned())
    }));
    advisories.extend(unread.map(|why| own("changes-unknown", severity, why.to_owned())));
    advisories.extend(left_out.map(|why| {
        let text = format!("external was not checked, or only in part: {why}");
        own(EXTERNAL_LEFT_OUT, Severity::Info, text)
    }));
    advisories
}

/// Notes about policies that were not read or not evaluated.
pub fn about_policies(notes: &[String], severity: Severity) -> impl Iterator<Item = Advisory> {
    let notes = notes.iter().cloned();
    notes.map(move |text| own("network-policies", severity, text))
}

/// A note about the mesh at the backends, which may refuse probes.
fn service_mesh(mesh: Result<Option<&Mesh>, &str>) -> Option<Advisory> {
    let (severity, text) = match mesh {
        Ok(None) => return None,
        Ok(Some(mesh)) => {
            let advice = "a probe has no certificate of the mesh; check from a pod in it, or allow other clients";
            let severity = if mesh.may_refuse() {
                Severity::Warning
            } else {
                Severity::Info
            };
            (severity, format!("{}; {advice}", mesh.text()))
        }
        Err(why) => {
            let text = format!(
                "connections were accepted and then ended, as a service mesh does with clients without its certificates, but nobody could look whether there is a mesh: {why}"
            );
            (Severity::Warning, text)
        }
    };
    Some(own("service-mesh", severity, text))
}

/// Requirements that no cell covers.
fn not_asked(terms: &Terms, cells: &[Cell]) -> impl Iterator<Item = Advisory> {
    terms.unmet(cells).map(|required| {
        let text = format!(
            "{} is required to be {}, but the run has no such cell",
            required.place(),
            required.value
        );
        own(NOT_ASKED, Severity::Warning, text)
    })
}

/// Updates the advisories that depend on verdicts and terms, after cells were judged again with other terms.
pub fn judged_again(advisories: &mut Vec<Advisory>, terms: &Terms, cells: &[Cell]) {
    let wrong = cells.iter().any(is_wrong);
    advisories
        .retain(|advisory| advisory.id != NOT_ASKED && (wrong || advisory.id != JUST_CHANGED));
    advisories.extend(not_asked(terms, cells));
}

/// Seconds after a change in which nodes may still forward by the old endpoints. kube-proxy writes its rules at most
/// once a second, and takes longer if it has many (kubernetes.io, "Virtual IPs and Service Proxies", on
/// `minSyncPeriod`).
const SETTLING_SECONDS: i64 = 30;

/// A warning if the Service changed just now, because that alone may be the cause of a failure.
fn just_changed(known: Findings<'_>) -> Option<Advisory> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let changed = known.facts.changed.as_deref().and_then(time)?;
    let seconds = known.at.and_then(time)?.as_second() - changed.as_second();
    let fresh = seconds < SETTLING_SECONDS && known.cells.iter().any(is_wrong);
    fresh.then(|| {
        let text = format!(
            "the Service's endpoints changed {} s before the probes ran, and nodes may not have caught up; run again before you act on worse or unstable cells",
            seconds.max(0)
        );
        own(JUST_CHANGED, Severity::Warning, text)
    })
}

/// Whether a cell has a result that nodes with old rules can cause.
const fn is_wrong(cell: &Cell) -> bool {
    matches!(cell.verdict, Verdict::Worse | Verdict::Unstable)
}

/// A warning if an override from the user contradicts what was observed. The override still counts, because the user
/// may know of a change that is in progress.
fn told_otherwise(environment: &Environment) -> Vec<Advisory> {
    detection::contradictions(&environment.evidence)
        .into_iter()
        .map(|(told, seen)| {
            let seen: Vec<String> = seen
                .iter()
                .map(|evidence| format!("{} by {}", evidence.value, evidence.source))
                .collect();
            let text = format!(
                "{} {} was given, but {}; verdicts use the given value and may be wrong for this cluster",
                told.source,
                told.value,
                seen.join(", ")
            );
            own("told-otherwise", Severity::Warning, text)
        })
        .collect()
}

/// Notes about the Service itself, whatever was observed.
pub fn of_the_service(facts: &Facts) -> Vec<Advisory> {
    let service = &facts.service;
    let mut advisories = Vec::new();
    if let Some(name) = &service.external_name {
        let text = format!(
            "the Service is an alias for {name} in the cluster's DNS; nothing is forwarded"
        );
        advisories.push(own("external-name", Severity::Info, text));
    }
    if service.kind == ServiceType::LoadBalancer && service.load_balancer.is_empty() {
        let text = if service.ports.iter().any(|port| port.node_port.is_some()) {
            "the load balancer has no address yet (pending); until something in the cluster assigns one, the node ports are the way in from outside"
        } else {
            "the load balancer has no address yet (pending), and the Service has no node ports"
        };
        let text = text.to_owned();
        advisories.push(own("no-load-balancer-address", Severity::Warning, text));
    }
    match &facts.routes {
        Err(why) => {
            let text = format!("{why}; they are not checked");
            advisories.push(own("ingresses-not-read", Severity::Info, text));
        }
        Ok(routes) => {
            let pending = routes.iter().filter(|served| served.addresses.is_empty());
            let names: BTreeSet<&str> = pending
                .map(|served| served.route.ingress.as_str())
                .collect();
            advisories.extend(names.into_iter().map(|name| {
                let text = format!(
                    "Ingress {name} leads to the Service, but has no address yet: no controller serves it, or none writes its status"
                );
                own("no-ingress-address", Severity::Info, text)
            }));
            if let Some(why) = routes
                .iter()
                .find_map(|served| served.controller.as_ref().err())
            {
                let text = format!("{why}; Ingresses are not compared with the documents");
                advisories.push(own("ingress-controllers-not-read", Severity::Info, text));
            }
        }
    }
    advisories
}

/// Backends that no probe reached directly, while others answer.
fn silent_backends(known: Findings<'_>) -> Option<Advisory> {
    let mut answers: BTreeMap<&str, bool> = BTreeMap::new();
    for cell in known.cells {
        let reached = match cell.observed.value {
            ObservedValue::Reachable => true,
            ObservedValue::Unreachable | ObservedValue::Unstable => false,
            ObservedValue::NotObserved => continue,
        };
        if cell.target.kind == TargetKind::PodIp {
            *answers.entry(&cell.target.address).or_default() |= reached;
        }
    }
    let silent: Vec<&str> = answers
        .iter()
        .filter(|(_, answers)| !**answers)
        .map(|(address, _)| *address)
        .collect();
    if silent.is_empty() || silent.len() == answers.len() {
        return None;
    }
    let text = format!(
        "{} of the checked backends did not answer directly ({}); clients that are forwarded to them get no answer, at random",
        silent.len(),
        silent.join(", ")
    );
    Some(warning("backend-does-not-answer", text, PODS))
}

#[cfg(test)]
mod tests {
    use super::{Findings, advisories, told_otherwise};
    use crate::{
        config::ClusterOverrides,
        reporting::detection::{Detection, detect},
        survey::provider_hints::{ProviderHints, Sharing},
        testing::{cell, endpoint, facts, node, nodes_mut, port},
    };
    use svc_reach_common::{
        facts::{Facts, Ingress, ServiceType, TrafficPolicy},
        network_model::NetworkModel,
        observation::ObservedValue,
        position::Position,
        protocol::Protocol,
        proxy_mode::ProxyMode,
        report::{Cell, Evidence, Severity},
        target::TargetKind,
        terms::Terms,
        verdict::Verdict,
        wire::line::HostFact,
    };

    /// A LoadBalancer Service with one backend, on CCE 1.29 in IPVS mode. Nothing is wrong with it.
    fn cce() -> Facts {
        let mut facts = facts();
        facts.server_version = Some("v1.29.1-r0-29.0.3".to_owned());
        let mut node = node("a", 0);
        node.labels
            .insert("cce.cloud.com/cce-nodepool".into(), "pool".into());
        facts.nodes = vec![node].into();
        facts.endpoints = vec![endpoint("a", 0)];
        facts.service.kind = ServiceType::LoadBalancer;
        facts.service.load_balancer = vec![Ingress {
            ip: Some("192.168.0.200".parse().unwrap()),
            hostname: None,
            ip_mode: None,
        }];
        annotate(&mut facts, "kubernetes.io/elb.class", "performance");
        facts
    }

    fn annotate(facts: &mut Facts, key: &str, value: &str) {
        let annotations = &mut facts.service.annotations;
        annotations.insert(key.to_owned(), value.to_owned());
    }

    fn ids(
        facts: &Facts,
        hints: &ProviderHints,
        overrides: ClusterOverrides,
        cells: &[Cell],
    ) -> Vec<String> {
        let Detection {
            environment,
            circumstances,
            ..
        } = detect(facts, &[], None, hints, overrides);
        let known = Findings {
            facts,
            environment: &environment,
            circumstances: &circumstances,
            hints,
            cells,
            distribution: None,
            terms: &Terms::default(),
            at: Some("2026-01-02T03:04:35Z"),
            nodes_unlisted: false,
        };
        let found = advisories(known, None, None, &[], Ok(None));
        for advisory in &found {
            let ours = [
                "no-",
                "external-",
                "load-balancer-sharing-partly",
                "just-changed",
                "told-otherwise",
                "affinity-",
            ];
            assert!(
                advisory.source.is_some() || ours.iter().any(|id| advisory.id.starts_with(id)),
                "{advisory:?} has its source"
            );
        }
        found.into_iter().map(|advisory| advisory.id).collect()
    }

    #[test]
    fn a_failure_just_after_a_change_is_a_warning() {
        let mut worse = cell(
            Position::PodOther,
            TargetKind::ClusterIp,
            "10.0.0.1",
            ObservedValue::Unreachable,
        );
        worse.verdict = Verdict::Worse;
        let mut fine = worse.clone();
        fine.verdict = Verdict::AsExpected;
        for (changed, cell, told) in [
            (Some("2026-01-02T03:04:33Z"), &worse, true),
            (Some("2026-01-02T03:04:40Z"), &worse, true),
            (Some("2026-01-02T03:04:05Z"), &worse, false),
            (Some("2026-01-02T03:04:33Z"), &fine, false),
            (Some("some day"), &worse, false),
            (None, &worse, false),
        ] {
            let mut facts = cce();
            facts.changed = changed.map(str::to_owned);
            let ids = ids(
                &facts,
                &ProviderHints::default(),
                IPVS,
                std::slice::from_ref(cell),
            );
            let found = ids.iter().any(|id| id == "just-changed");
            assert_eq!(found, told, "{changed:?} {}", cell.verdict);
        }
    }

    #[test]
    fn affinity_is_named_if_a_dead_backend_is_met_always_or_never() {
        use ObservedValue::{Reachable, Unreachable};
        let cell = |kind, value| cell(Position::PodOther, kind, "10.0.0.1", value);
        let mixed = [
            cell(TargetKind::ClusterIp, Unreachable),
            cell(TargetKind::NodePort, Reachable),
        ];
        let direct = [
            cell(TargetKind::PodIp, Unreachable),
            cell(TargetKind::NodePort, Reachable),
        ];
        for (name, seconds, backends, cells, named) in [
            ("always or never", Some(10800), 2, &mixed, true),
            ("no affinity", None, 2, &mixed, false),
            ("one backend", Some(10800), 1, &mixed, false),
            ("only met directly", Some(10800), 2, &direct, false),
        ] {
            let mut facts = cce();
            facts.service.session_affinity_seconds = seconds;
            facts.endpoints = (0..backends).map(|n| endpoint("a", n)).collect();
            let ids = ids(&facts, &ProviderHints::default(), IPVS, cells);
            let found = ids.iter().any(|id| id == "affinity-hides-backends");
            assert_eq!(found, named, "{name}");
        }
    }

    #[test]
    fn a_contradicted_override_is_a_warning() {
        let evidence = |fact: &str, value: &str, source: &str| Evidence {
            fact: fact.to_owned(),
            value: value.to_owned(),
            source: source.to_owned(),
        };
        let on_node = "127.0.0.1:10249/proxyMode on node a";
        let rows = [
            ("ipvs", on_node, "--proxy-mode", false),
            ("unknown", on_node, "--proxy-mode", false),
            ("iptables", on_node, "--proxy-mode", true),
            (
                "iptables",
                on_node,
                "127.0.0.1:10249/proxyMode on node b",
                false,
            ),
        ];
        for (value, source, other, warned) in rows {
            let mut environment =
                detect(&cce(), &[], None, &ProviderHints::default(), IPVS).environment;
            environment.evidence = vec![
                evidence("proxyMode", value, source),
                evidence("proxyMode", "ipvs", other),
            ];
            let found = told_otherwise(&environment);
            assert_eq!(!found.is_empty(), warned, "{value} against {other}");
            for advisory in found {
                assert_eq!(advisory.severity, Severity::Warning);
                assert!(
                    advisory.text.starts_with(
                        "--proxy-mode ipvs was given, but iptables by 127.0.0.1:10249/proxyMode on node a;"
                    ),
                    "{}",
                    advisory.text
                );
            }
        }
        // The NetworkAttachmentDefinition shows that this is a Turbo cluster.
        let turbo = ProviderHints {
            default_network: Some(HostFact::Seen(true)),
            ..ProviderHints::default()
        };
        let about = |told| ids(&cce(), &turbo, told, &[]).contains(&"told-otherwise".to_owned());
        assert!(about(IPVS));
        assert!(!about(TURBO));
    }

    const IPVS: ClusterOverrides = ClusterOverrides {
        network_model: Some(NetworkModel::Vpc),
        proxy_mode: Some(ProxyMode::Ipvs),
    };
    const IPTABLES: ClusterOverrides = ClusterOverrides {
        proxy_mode: Some(ProxyMode::Iptables),
        ..IPVS
    };
    const TURBO: ClusterOverrides = ClusterOverrides {
        network_model: Some(NetworkModel::Eni),
        ..IPVS
    };

    /// For each rule, a case that breaks it and cases that do not.
    #[test]
    fn each_rule_reports_only_what_breaks_it() {
        type Change = fn(&mut Facts);
        let local: Change = |facts| facts.service.external_traffic_policy = TrafficPolicy::Local;
        let node_ip: Change =
            |facts| facts.service.external_ips = facts.nodes[0].internal_ips.clone();
        let rows: [(&str, ClusterOverrides, Change, &[&str]); 19] = [
            ("all is well", IPVS, |_| (), &[]),
            (
                "a node's address as external IP",
                IPVS,
                node_ip,
                &["node-address-as-external-ip"],
            ),
            ("the same in iptables mode", IPTABLES, node_ip, &[]),
            ("Local", IPVS, local, &["switched-to-local"]),
            (
                "Local in a Turbo cluster",
                TURBO,
                local,
                &["local-in-turbo", "switched-to-local"],
            ),
            (
                "Local in a Turbo cluster, backends on the host network",
                TURBO,
                |facts| {
                    facts.service.external_traffic_policy = TrafficPolicy::Local;
                    facts.endpoints[0].address = facts.nodes[0].internal_ips[0];
                },
                &["switched-to-local"],
            ),
            ("Cluster in a Turbo cluster", TURBO, |_| (), &[]),
            (
                "a dedicated load balancer on 1.15, with pass-through",
                IPVS,
                |facts| {
                    facts.server_version = Some("v1.15.11-r1".to_owned());
                    annotate(facts, "kubernetes.io/elb.pass-through", "true");
                },
                &["dedicated-too-old", "pass-through-too-old"],
            ),
            (
                "pass-through turned off on 1.15",
                IPVS,
                |facts| {
                    facts.server_version = Some("v1.15.11-r1".to_owned());
                    annotate(facts, "kubernetes.io/elb.class", "union");
                    annotate(facts, "kubernetes.io/elb.pass-through", "false");
                },
                &[],
            ),
            (
                "stickiness with two backends on a node, and UDP",
                IPVS,
                |facts| {
                    annotate(
                        facts,
                        "kubernetes.io/elb.session-affinity-mode",
                        "SOURCE_IP",
                    );
                    facts.endpoints.push(endpoint("a", 1));
                    facts.service.ports[0].protocol = Protocol::Udp;
                },
                &["stickiness-without-tcp", "stickiness-without-anti-affinity"],
            ),
            (
                "stickiness with a backend on each node",
                IPVS,
                |facts| {
                    annotate(
                        facts,
                        "kubernetes.io/elb.session-affinity-mode",
                        "SOURCE_IP",
                    );
                    facts.endpoints.push(endpoint("b", 1));
                },
                &[],
            ),
            (
                "HTTPS on a port that there is not, without a certificate",
                IPVS,
                |facts| {
                    annotate(
                        facts,
                        "kubernetes.io/elb.protocol-port",
                        "https:443,http:80",
                    )
                },
                &["protocol-port-without-port", "https-without-certificate"],
            ),
            (
                "HTTPS as it should be",
                IPVS,
                |facts| {
                    facts.service.ports[0].port = port(443);
                    annotate(facts, "kubernetes.io/elb.protocol-port", "https:443");
                    annotate(facts, "kubernetes.io/elb.cert-id", "17e3b4f4");
                },
                &[],
            ),
            (
                "HTTP on 1.20",
                IPVS,
                |facts| {
                    facts.server_version = Some("v1.20.2".to_owned());
                    annotate(facts, "kubernetes.io/elb.protocol-port", "http:80");
                },
                &["protocol-port-too-old"],
            ),
            (
                "a dedicated load balancer with a public address only",
                IPVS,
                |facts| facts.service.load_balancer[0].ip = Some("121.0.0.1".parse().unwrap()),
                &["dedicated-without-private-address"],
            ),
            (
                "options out of bounds",
                IPVS,
                |facts| {
                    annotate(
                        facts,
                        "kubernetes.io/elb.session-affinity-option",
                        r#"{"persistence_timeout": "61"}"#,
                    );
                    annotate(
                        facts,
                        "kubernetes.io/elb.health-check-option",
                        r#"{"delay": "5", "max_retries": 11}"#,
                    );
                    annotate(facts, "kubernetes.io/elb.lb-algorithm", "RANDOM");
                },
                &[
                    "option-out-of-bounds",
                    "option-out-of-bounds",
                    "unknown-algorithm",
                ],
            ),
            (
                "forwarding to a host network that no backend is on",
                IPVS,
                |facts| annotate(facts, "kubernetes.io/hws-hostNetwork", "true"),
                &["host-network-without-backends"],
            ),
            (
                "no address",
                IPVS,
                |facts| facts.service.load_balancer.clear(),
                &["no-load-balancer-address"],
            ),
            (
                "another provider's cluster, whatever is wrong",
                IPVS,
                |facts| {
                    facts.server_version = Some("v1.15.0".to_owned());
                    nodes_mut(facts)[0].labels.clear();
                    facts.service.external_ips = facts.nodes[0].internal_ips.clone();
                },
                &[],
            ),
        ];
        for (name, told, change, expected) in rows {
            let mut facts = cce();
            change(&mut facts);
            assert_eq!(
                ids(&facts, &ProviderHints::default(), told, &[]),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn services_on_one_load_balancer_must_agree_in_ipvs_mode() {
        let sharing = |setting: Option<&str>, ingresses: &[&str], complete| ProviderHints {
            sharing: Some(HostFact::Seen(Sharing {
                services: vec![("web/other".to_owned(), setting.map(str::to_owned))],
                ingresses: ingresses.iter().map(ToString::to_string).collect(),
                complete,
            })),
            ..ProviderHints::default()
        };
        let unknown = ProviderHints {
            sharing: Some(HostFact::Unknown("forbidden".to_owned())),
            ..ProviderHints::default()
        };
        let rows: [(&str, ProviderHints, ClusterOverrides, &[&str]); 6] = [
            ("alike", sharing(None, &[], true), IPVS, &[]),
            (
                "unlike",
                sharing(Some("true"), &[], true),
                IPVS,
                &["pass-through-disagrees"],
            ),
            (
                "unlike in iptables mode",
                sharing(Some("true"), &["web/i"], true),
                IPTABLES,
                &[],
            ),
            (
                "an ingress",
                sharing(None, &["web/i"], true),
                IPVS,
                &["ingress-hidden"],
            ),
            (
                "more than were read",
                sharing(None, &[], false),
                IPVS,
                &["load-balancer-sharing-partly-known"],
            ),
            (
                "not allowed to look",
                unknown,
                IPVS,
                &["load-balancer-sharing-unknown"],
            ),
        ];
        for (name, hints, told, expected) in rows {
            assert_eq!(ids(&cce(), &hints, told, &[]), expected, "{name}");
        }
    }

    #[test]
    fn a_silent_backend_is_named_if_others_answer() {
        use ObservedValue::{NotObserved, Reachable, Unreachable, Unstable};
        type HostFact = [(&'static str, ObservedValue)];
        let rows: [(&str, &HostFact, bool); 5] = [
            ("one of two", &[("a", Reachable), ("b", Unreachable)], true),
            (
                "one of two, now and then",
                &[("a", Reachable), ("b", Unstable)],
                true,
            ),
            (
                "from one place only",
                &[("a", Reachable), ("b", Unreachable), ("b", Reachable)],
                false,
            ),
            (
                "none of them",
                &[("a", Unreachable), ("b", Unreachable)],
                false,
            ),
            (
                "not observed",
                &[("a", Reachable), ("b", NotObserved)],
                false,
            ),
        ];
        for (name, cells, expected) in rows {
            let cells: Vec<Cell> = cells
                .iter()
                .map(|(address, value)| {
                    cell(Position::PodOther, TargetKind::PodIp, address, *value)
                })
                .collect();
            let found = ids(&cce(), &ProviderHints::default(), IPVS, &cells);
            assert_eq!(
                found.contains(&"backend-does-not-answer".to_owned()),
                expected,
                "{name}"
            );
        }
    }
}
