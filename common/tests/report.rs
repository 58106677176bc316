//! Compares the schema of reports with the program's words and types.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use jsonschema::Validator;
use serde_json::{Value, json};
use std::{collections::BTreeSet, num::NonZeroU16};
use svc_reach_common::{
    client::{Client, ClientExpectation, ClientValue, ClientVerdict, SourceAddress},
    facts::{IpMode, ServicePort, ServiceType, TargetPort, TrafficPolicy},
    matrix::{Circumstances, Class, ServiceKind, Standing},
    model::Cause,
    network_model::NetworkModel,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    provider::operator::Operator,
    proxy_mode::ProxyMode,
    report::{
        API_VERSION, AbsentPosition, Advisory, Affinity, BackendAnswers, Cell, Chance,
        Distribution, EditionValue, Environment, Evidence, Expectation, Kind, LoadBalancer,
        LoadBalancerAddress, MatrixReference, Observed, PolicyEffect, PolicyFinding, Prediction,
        Report, ReportList, ReportedService, SCHEMA, Severity, Share, Summary, Why,
    },
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    terms::{Failure, Required, Terms},
    verdict::{Basis, ExpectedValue, Reachability, Verdict},
    wire::outcome::{Attempt, Echo, Outcome, Phase},
};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// Every variant of an outcome. Variants with optional fields are here with and without them.
fn outcomes() -> Vec<Outcome> {
    let detail = || "no\nuse".to_owned();
    let all = vec![
        Outcome::Answered {
            status: Some(200),
            echo: Some(Echo {
                pod: Some("web-0".into()),
                node: Some("a".into()),
                client: Some([10, 0, 0, 1].into()),
            }),
        },
        Outcome::Answered {
            status: None,
            echo: None,
        },
        Outcome::Connected,
        Outcome::NotHttp { detail: detail() },
        Outcome::TlsFailure { detail: detail() },
        Outcome::Closed { phase: Phase::Tls },
        Outcome::Refused { errno: 111 },
        Outcome::Reset {
            phase: Phase::Answer,
            errno: 104,
        },
        Outcome::TimedOut {
            phase: Phase::Connect,
        },
        Outcome::Silent,
        Outcome::HostUnreachable { errno: 113 },
        Outcome::NetworkUnreachable { errno: 101 },
        Outcome::Blocked { errno: 1 },
        Outcome::NameNotFound,
        Outcome::NameLookupFailed { detail: detail() },
        Outcome::Failed {
            detail: detail(),
            errno: Some(24),
        },
        Outcome::Failed {
            detail: detail(),
            errno: None,
        },
    ];
    // Add each new variant to the list above, and its number to the match.
    let number = |outcome: &Outcome| match outcome {
        Outcome::Answered { .. } => 0,
        Outcome::Connected => 1,
        Outcome::NotHttp { .. } => 2,
        Outcome::TlsFailure { .. } => 3,
        Outcome::Closed { .. } => 4,
        Outcome::Refused { .. } => 5,
        Outcome::Reset { .. } => 6,
        Outcome::TimedOut { .. } => 7,
        Outcome::Silent => 8,
        Outcome::HostUnreachable { .. } => 9,
        Outcome::NetworkUnreachable { .. } => 10,
        Outcome::Blocked { .. } => 11,
        Outcome::NameNotFound => 12,
        Outcome::NameLookupFailed { .. } => 13,
        Outcome::Failed { .. } => 14,
    };
    let numbers: BTreeSet<i32> = all.iter().map(number).collect();
    assert_eq!(numbers, (0..15).collect(), "every variant is here");
    all
}

/// A report with a value in every optional field, and with a different outcome in every attempt.
fn full() -> Report {
    let port = NonZeroU16::new(80).unwrap();
    let attempts = outcomes().into_iter().map(|outcome| Attempt {
        outcome,
        local: Some(([10, 0, 0, 1], 40000).into()),
        remote: Some(([10, 0, 0, 2], 80).into()),
        connect_us: Some(1),
        tls_us: Some(2),
        first_byte_us: Some(3),
        server: None,
        sent_again: false,
        superseded: false,
    });
    let cell = Cell {
        position: Position::NodeSame,
        node: Some("a".into()),
        target: Target {
            kind: TargetKind::NodePort,
            address: "10.0.0.2".into(),
            port,
            protocol: Protocol::Tcp,
            port_name: Some("http".into()),
            node: Some("a".into()),
            node_role: Some(NodeRole::Backend),
            relation: Some(Relation::Own),
            scope: Some(Scope::Private),
            route: None,
        },
        expected: Some(Expectation {
            value: ExpectedValue::Reachable,
            basis: Basis::Stated,
            matrix: Some("m".into()),
            edition: Some("1".into()),
            source: Some("https://example.org".into()),
        }),
        editions: vec![EditionValue {
            edition: "1".into(),
            alias: Some("first".into()),
            value: Reachability::Reachable,
            operator: Some("o".into()),
            standing: Some(Standing::Counts),
        }],
        predicted: Some(Prediction {
            action: "endpoints".into(),
            endpoints: vec!["10.1.0.1:80".into()],
            masquerade: Some(true),
            client_kept: Some(false),
            outcome: "reached".into(),
            reachable: Some(Reachability::Reachable),
            chance: Some(Chance {
                served: 1,
                of: 2,
                each_attempt: true,
            }),
            why: vec![Why {
                rule: "r".into(),
                source: "s".into(),
            }],
            cause: None,
            remedy: Some("r".into()),
        }),
        policy: Some(PolicyFinding {
            effect: PolicyEffect::Denied,
            reason: "p".into(),
        }),
        observed: Observed {
            value: ObservedValue::Unstable,
            reason: "many".into(),
            ok: Some(6),
            of: Some(17),
            latency_ms: Some(0.5),
            client_ip_seen: Some([10, 0, 0, 1].into()),
            attempts: attempts.collect(),
        },
        verdict: Verdict::Unstable,
        client: Client {
            value: ClientValue::Replaced,
            address: Some([10, 0, 0, 1].into()),
            replaced_by: Some("node b".into()),
            reason: Some("r".into()),
            expected: Some(ClientExpectation {
                value: SourceAddress::Kept,
                basis: Basis::Stated,
                matrix: Some("m".into()),
                edition: Some("1".into()),
                source: Some("s".into()),
            }),
            verdict: ClientVerdict::Worse,
        },
        hint: Some("h".into()),
    };
    Report {
        api_version: API_VERSION.into(),
        kind: Kind::Report,
        run: "r1".into(),
        elapsed_ms: 4000,
        service: ReportedService {
            namespace: "default".into(),
            name: "nginx".into(),
            kind: ServiceType::LoadBalancer,
            external_traffic_policy: Some(TrafficPolicy::Local),
            internal_traffic_policy: Some(TrafficPolicy::Cluster),
            ports: [TargetPort::Number(port), TargetPort::Name("http".into())]
                .map(|target_port| ServicePort {
                    name: Some("http".into()),
                    protocol: Protocol::Tcp,
                    port,
                    node_port: Some(port),
                    target_port: Some(target_port),
                    app_protocol: Some("http".into()),
                })
                .into(),
            load_balancer: Some(LoadBalancer {
                class: Some("shared".into()),
                pass_through: Some("true".into()),
                addresses: vec![LoadBalancerAddress {
                    ip: Some([10, 0, 0, 9].into()),
                    hostname: Some("lb.example.org".into()),
                    scope: Some(Scope::Private),
                    ip_mode: Some(IpMode::Vip),
                }],
            }),
        },
        environment: Environment {
            provider: Some("huawei-cce".into()),
            operator: Some(Operator::OpenTelekomCloud),
            kubernetes_version: Some("v1.20.2".into()),
            network_model: Some(NetworkModel::Vpc),
            proxy_mode: Some(ProxyMode::Iptables),
            column: Some("vpc/iptables".into()),
            evidence: vec![Evidence {
                fact: "provider".into(),
                value: "huawei-cce".into(),
                source: "a label".into(),
            }],
        },
        matrix: Some(MatrixReference {
            id: "m".into(),
            edition: "1".into(),
            alias: Some("first".into()),
            source: "https://example.org".into(),
        }),
        circumstances: Circumstances {
            front: ServiceKind::LoadBalancer,
            classes: vec![Class::Shared],
            pass_through: vec![true],
            columns: vec!["vpc/iptables".parse().unwrap()],
            external_traffic_policy: TrafficPolicy::Local,
            internal_traffic_policy: TrafficPolicy::Cluster,
            host_network: Some(false),
            served: true,
            source_ranges: false,
        },
        summary: Summary::of(std::slice::from_ref(&cell), &Terms::default()),
        cells: vec![cell],
        absent_positions: vec![AbsentPosition {
            position: Position::NodeOther,
            reason: "r".into(),
        }],
        outage: Some("o".into()),
        terms: Terms {
            fail_on: vec![Failure::Worse],
            required: vec![
                Required::parse("pod-other:cluster-ip", Reachability::Reachable).unwrap(),
                Required::parse("external:node-port", Reachability::Unreachable).unwrap(),
            ],
        },
        distribution: Some(Distribution {
            backends: vec![BackendAnswers {
                pod: "web-0".into(),
                node: Some("a".into()),
                answers: 0,
                attempts: 20,
                attempts_needed: 15,
                share: Share::Silent,
            }],
            affinity: Some(Affinity::Held),
        }),
        advisories: vec![Advisory {
            id: "a".into(),
            severity: Severity::Warning,
            text: "t".into(),
            source: Some("s".into()),
        }],
    }
}

/// Collects the paths of all objects in a value.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.push(at.to_owned());
            for (key, value) in object {
                paths(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, &format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn faults(value: &Value) -> Vec<String> {
    validator()
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn schema_has_the_programs_words() {
    let schema = schema();
    let all = [
        ("serviceType", json!(ServiceType::ALL)),
        ("trafficPolicy", json!(TrafficPolicy::ALL)),
        ("ipMode", json!(IpMode::ALL)),
        ("protocol", json!(Protocol::ALL)),
        ("networkModel", json!(NetworkModel::ALL)),
        ("proxyMode", json!(ProxyMode::ALL)),
        ("position", json!(Position::ALL)),
        ("targetKind", json!(TargetKind::ALL)),
        ("nodeRole", json!(NodeRole::ALL)),
        ("relation", json!(Relation::ALL)),
        ("cause", json!(Cause::ALL)),
        ("scope", json!(Scope::ALL)),
        ("reachability", json!(Reachability::ALL)),
        ("expectedValue", json!(ExpectedValue::ALL)),
        ("basis", json!(Basis::ALL)),
        ("policyEffect", json!(PolicyEffect::ALL)),
        ("observedValue", json!(ObservedValue::ALL)),
        ("verdict", json!(Verdict::ALL)),
        ("clientValue", json!(ClientValue::ALL)),
        ("sourceAddress", json!(SourceAddress::ALL)),
        ("clientVerdict", json!(ClientVerdict::ALL)),
        ("failure", json!(Failure::ALL)),
        ("share", json!(Share::ALL)),
        ("affinity", json!(Affinity::ALL)),
        ("severity", json!(Severity::ALL)),
        ("phase", json!(Phase::ALL)),
        ("serviceKind", json!(ServiceKind::ALL)),
        ("class", json!(Class::ALL)),
        ("operator", json!(Operator::ALL)),
        ("standing", json!(Standing::ALL)),
    ];
    let definitions = schema["$defs"].as_object().unwrap();
    let enums: BTreeSet<&str> = definitions
        .iter()
        .filter(|(_, definition)| definition.get("enum").is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let compared: BTreeSet<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(enums, compared, "every list of words is compared");
    for (name, words) in all {
        assert_eq!(definitions[name]["enum"], words, "{name}");
    }
    let kinds =
        ["report", "reportList"].map(|name| &definitions[name]["properties"]["kind"]["const"]);
    assert_eq!(json!(kinds), json!(Kind::ALL));
    for kind in ["report", "reportList"] {
        let version = &definitions[kind]["properties"]["apiVersion"]["const"];
        assert_eq!(version, API_VERSION);
    }
    let mut codes: Vec<u8> = Verdict::ALL
        .iter()
        .map(|verdict| {
            let cell = Cell {
                verdict: *verdict,
                client: Client::default(),
                ..full().cells.remove(0)
            };
            Summary::of(&[cell], &Terms::default()).exit_code
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    let summary = &definitions["summary"]["properties"];
    assert_eq!(summary["exitCode"]["enum"], json!(codes));
}

#[test]
fn reports_are_valid() {
    let report = full();
    assert_eq!(faults(&json!(report)), [""; 0]);
    let list = ReportList {
        api_version: API_VERSION.into(),
        kind: Kind::ReportList,
        items: vec![report.clone(), report],
    };
    assert_eq!(faults(&json!(list)), [""; 0]);
}

/// For each field, the schema allows null exactly if the program reads null there.
#[test]
fn optional_fields_may_be_null() {
    let report = json!(full());
    let mut found = Vec::new();
    paths(&report, "", &mut found);
    let mut nulls = 0;
    for object in &found {
        let keys = report.pointer(object).unwrap().as_object().unwrap().keys();
        for key in keys {
            let mut without = report.clone();
            without.pointer_mut(object).unwrap()[key.as_str()] = Value::Null;
            let absent = serde_json::from_value::<Report>(without.clone()).is_ok();
            assert_eq!(
                faults(&without).is_empty(),
                absent,
                "{object}/{key} null, by the schema and by the program"
            );
            nulls += usize::from(absent);
        }
    }
    assert!(nulls > 30, "{nulls}");
}

/// Reports from before predictions had `chance` can still be read.
#[test]
fn a_report_of_an_earlier_version_can_be_read() {
    let mut report = json!(full());
    let predicted = report.pointer_mut("/cells/0/predicted").unwrap();
    predicted.as_object_mut().unwrap().remove("chance");
    let read: Report = serde_json::from_value(report).unwrap();
    assert_eq!(read.cells[0].predicted.as_ref().unwrap().chance, None);
}

/// `judge` reads reports that were saved before these keys existed.
#[test]
fn older_reports_can_be_read() {
    let mut older = json!(full());
    let environment = older["environment"].as_object_mut().unwrap();
    environment.remove("operator").unwrap();
    let said = older["cells"][0]["editions"][0].as_object_mut().unwrap();
    said.remove("operator").unwrap();
    said.remove("standing").unwrap();
    for key in ["absentPositions", "outage"] {
        older.as_object_mut().unwrap().remove(key).unwrap();
    }
    let report: Report = serde_json::from_value(older).unwrap();
    assert_eq!((report.absent_positions.len(), &report.outage), (0, &None));
    assert_eq!(report.environment.operator, None);
    assert_eq!(report.cells[0].editions[0].standing, None);
}

/// The forwarding model expects that a Service without a backend is unreachable, but that is no success.
#[test]
fn an_outage_fails_the_run_unless_it_is_wanted() {
    let unreachable = |place| Required::parse(place, Reachability::Unreachable).unwrap();
    let default = Terms::default();
    let rows: [(&str, &[Failure], Vec<Required>, u8); 5] = [
        ("by default", &default.fail_on, vec![], 1),
        ("worse does not fail", &[Failure::Better], vec![], 0),
        (
            "wanted",
            &default.fail_on,
            vec![unreachable("pod-other:cluster-ip")],
            0,
        ),
        (
            "only closed to the outside",
            &default.fail_on,
            vec![unreachable("external:cluster-ip")],
            1,
        ),
        (
            "a node port may be closed although a backend is ready",
            &default.fail_on,
            vec![unreachable("pod-other:node-port")],
            1,
        ),
    ];
    for (name, fail_on, required, code) in rows {
        let mut report = full();
        report.cells = [
            "pod-other:cluster-ip",
            "external:cluster-ip",
            "pod-other:node-port",
        ]
        .map(|place| {
            let place = unreachable(place);
            let mut cell = full().cells.remove(0);
            (cell.position, cell.target.kind) = (place.position, place.target);
            cell.verdict = Verdict::AsExpected;
            cell.client = Client::default();
            cell
        })
        .into();
        report.terms = Terms {
            fail_on: fail_on.to_vec(),
            required,
        };
        report.summarize();
        assert_eq!(report.summary.exit_code, code, "{name}");
        report.outage = None;
        report.summarize();
        assert_eq!(report.summary.exit_code, 0, "{name}, with a backend");
    }
}

#[test]
fn only_an_alias_is_complete_without_a_cell() {
    for (kind, required, code) in [
        (ServiceType::ExternalName, None, 0),
        (ServiceType::ExternalName, Some("pod-other:dns"), 3),
        (ServiceType::ClusterIp, None, 3),
    ] {
        let mut report = full();
        report.cells.clear();
        report.outage = None;
        report.service.kind = kind;
        report.terms.required = required
            .map(|place| Required::parse(place, Reachability::Reachable).unwrap())
            .into_iter()
            .collect();
        report.summarize();
        assert_eq!(report.summary.exit_code, code, "{kind}, {required:?}");
    }
}

#[test]
fn extra_or_missing_keys_are_invalid() {
    let list = json!(ReportList {
        api_version: API_VERSION.into(),
        kind: Kind::ReportList,
        items: vec![full()],
    });
    let validator = validator();
    let mut found = Vec::new();
    paths(&list, "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    for object in &found {
        let mut more = list.clone();
        more.pointer_mut(object).unwrap()["unknown"] = json!(1);
        assert!(!validator.is_valid(&more), "{object}/unknown");
        let keys = list.pointer(object).unwrap().as_object().unwrap().keys();
        for key in keys {
            let mut fewer = list.clone();
            let value = fewer.pointer_mut(object).unwrap();
            value.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&fewer), "{object} without {key}");
        }
    }
}
