//! What is expected of a cell if facts are unknown, documents have gaps, and the model may be certain.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use proptest::prelude::*;
use svc_reach_common::{
    client::{Client, ClientValue, ClientVerdict},
    facts::TrafficPolicy,
    judging::Judge,
    matrix::{Catalog, Circumstances, Class, Column, MatrixSelection, ServiceKind},
    model::Cause,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    report::{Cell, Observed, Prediction, Summary},
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    terms::Terms,
    verdict::{Basis, Reachability, Verdict},
};

fn target(kind: TargetKind) -> Target {
    let node_port = kind == TargetKind::NodePort;
    Target {
        kind,
        address: "192.168.0.12".to_owned(),
        port: 30080.try_into().unwrap(),
        protocol: Protocol::Tcp,
        port_name: None,
        node: node_port.then(|| "n2".to_owned()),
        node_role: node_port.then_some(NodeRole::Other),
        relation: node_port.then_some(Relation::Remote),
        scope: Some(Scope::Private),
        route: None,
    }
}

fn cell(
    position: Position,
    kind: TargetKind,
    observed: ObservedValue,
    certain: Option<Reachability>,
) -> Cell {
    Cell {
        position,
        node: Some("n1".to_owned()),
        target: target(kind),
        expected: None,
        editions: Vec::new(),
        policy: None,
        predicted: Some(Prediction {
            action: String::new(),
            endpoints: Vec::new(),
            masquerade: None,
            client_kept: None,
            outcome: String::new(),
            reachable: certain,
            chance: None,
            why: Vec::new(),
            cause: None,
            remedy: None,
        }),
        observed: Observed {
            value: observed,
            reason: String::new(),
            ok: None,
            of: None,
            latency_ms: None,
            client_ip_seen: None,
            attempts: Vec::new(),
        },
        verdict: Verdict::Undocumented,
        client: Client::default(),
        hint: None,
    }
}

fn circumstances(columns: &[&str], policy: TrafficPolicy) -> Circumstances {
    Circumstances {
        front: ServiceKind::LoadBalancer,
        classes: vec![Class::Shared],
        pass_through: vec![false],
        columns: columns
            .iter()
            .map(|column| column.parse().unwrap())
            .collect(),
        external_traffic_policy: policy,
        internal_traffic_policy: TrafficPolicy::Cluster,
        host_network: Some(false),
        served: true,
        source_ranges: false,
    }
}

const OPEN: [&str; 3] = ["tunnel/iptables", "vpc/iptables", "eni/iptables"];

/// A cluster of CCE with an unknown network model. CCE's documents say nothing about Turbo clusters here.
fn judged(policy: TrafficPolicy, mut cells: Vec<Cell>) -> (Vec<Cell>, Summary) {
    let catalog = Catalog::builtin().unwrap();
    let judge = Judge {
        catalog: &catalog,
        selection: &MatrixSelection::of(Some("huawei-cce")),
        circumstances: &circumstances(&OPEN, policy),
        terms: &Terms::default(),
    };
    for cell in &mut cells {
        judge.judge(cell);
    }
    let summary = Summary::of(&cells, &Terms::default());
    (cells, summary)
}

#[test]
fn a_dead_service_fails_although_one_column_is_silent() {
    use ObservedValue::{Reachable, Unreachable};
    let certain = Some(Reachability::Reachable);
    let inside = [
        Position::NodeSame,
        Position::NodeOther,
        Position::PodSame,
        Position::PodOther,
    ];
    for policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
        let mut cells = vec![cell(
            Position::PodOther,
            TargetKind::ClusterIp,
            Reachable,
            certain,
        )];
        for position in inside {
            for kind in [TargetKind::NodePort, TargetKind::LoadBalancer] {
                cells.push(cell(position, kind, Unreachable, certain));
            }
        }
        let (cells, summary) = judged(policy, cells);
        assert_eq!(summary.exit_code, 1, "{policy}: {summary:?}");
        assert_eq!(summary.undocumented, 0, "{policy}: {cells:#?}");
    }
}

#[test]
fn a_certain_prediction_decides_between_branches() {
    // The node port of a backend's node, from a pod on that node: it works in tunnel networks only.
    let backend = |certain| Cell {
        target: Target {
            node_role: Some(NodeRole::Backend),
            relation: Some(Relation::Own),
            ..target(TargetKind::NodePort)
        },
        ..cell(
            Position::PodSame,
            TargetKind::NodePort,
            ObservedValue::Unreachable,
            certain,
        )
    };
    let rows = [
        (Some(Reachability::Reachable), Verdict::Worse),
        (Some(Reachability::Unreachable), Verdict::AsExpected),
        (None, Verdict::Undocumented),
    ];
    for (certain, verdict) in rows {
        let (cells, _) = judged(TrafficPolicy::Local, vec![backend(certain)]);
        assert_eq!(cells[0].verdict, verdict, "{certain:?}");
        let basis = cells[0].expected.as_ref().map(|expected| expected.basis);
        assert_eq!(basis, certain.map(|_| Basis::Predicted), "{certain:?}");
        let hint = cells[0].hint.as_ref().unwrap();
        assert!(
            hint.contains("tunnel/iptables: reachable; vpc/iptables: unreachable"),
            "{hint}"
        );
    }
}

/// Kubernetes' own documents describe Services in general. The settings of a Service, and the rules that kube-proxy has for
/// it, count before them. If neither is certain, nothing is expected.
#[test]
fn configuration_counts_before_the_general_case() {
    use ObservedValue::{Reachable as Reached, Unreachable as Failed};
    use Position::{External, NodeOther, PodOther};
    use Reachability::{Reachable, Unreachable};
    struct Row {
        name: &'static str,
        cell: Cell,
        cause: Option<Cause>,
        circumstances: Circumstances,
        verdict: Verdict,
    }
    let iptables = |policy| circumstances(&OPEN, policy);
    let local = || iptables(TrafficPolicy::Local);
    let internal_local = || Circumstances {
        internal_traffic_policy: TrafficPolicy::Local,
        ..iptables(TrafficPolicy::Cluster)
    };
    let ranges = || Circumstances {
        source_ranges: true,
        ..iptables(TrafficPolicy::Cluster)
    };
    let at = |address: &str, scope, cell: Cell| Cell {
        target: Target {
            address: address.to_owned(),
            scope,
            ..cell.target
        },
        ..cell
    };
    let balancer = TargetKind::LoadBalancer;
    let node_port = TargetKind::NodePort;
    let row = |name, cell, cause, circumstances, verdict| Row {
        name,
        cell,
        cause,
        circumstances,
        verdict,
    };
    let rows = [
        row(
            "source ranges leave a pod out",
            cell(PodOther, balancer, Failed, Some(Unreachable)),
            Some(Cause::SourceRanges),
            ranges(),
            Verdict::AsExpected,
        ),
        row(
            "source ranges may leave this machine out",
            cell(External, balancer, Failed, None),
            None,
            ranges(),
            Verdict::Undocumented,
        ),
        row(
            "source ranges list a pod",
            cell(PodOther, balancer, Failed, Some(Reachable)),
            None,
            ranges(),
            Verdict::Worse,
        ),
        row(
            "kube-proxy does not handle the name of a load balancer",
            at(
                "x.elb.example",
                None,
                cell(PodOther, balancer, Failed, None),
            ),
            None,
            iptables(TrafficPolicy::Cluster),
            Verdict::Undocumented,
        ),
        row(
            "clients outside use the name",
            at(
                "x.elb.example",
                None,
                cell(External, balancer, Failed, None),
            ),
            None,
            iptables(TrafficPolicy::Cluster),
            Verdict::Worse,
        ),
        row(
            "a replacement of kube-proxy reaches every backend",
            cell(NodeOther, node_port, Reached, None),
            None,
            circumstances(&["vpc/ebpf"], TrafficPolicy::Local),
            Verdict::Undocumented,
        ),
        row(
            "a kube-proxy that cannot be asked drops it",
            cell(NodeOther, node_port, Reached, None),
            None,
            local(),
            Verdict::Better,
        ),
        row(
            "the node runs a terminating endpoint that serves",
            cell(NodeOther, node_port, Reached, Some(Reachable)),
            None,
            local(),
            Verdict::AsExpected,
        ),
        row(
            "a firewall may be in front of a public address",
            at(
                "203.0.113.5",
                Some(Scope::Public),
                cell(External, node_port, Failed, None),
            ),
            None,
            iptables(TrafficPolicy::Cluster),
            Verdict::Undocumented,
        ),
        row(
            "node ports do not answer on this address",
            cell(
                NodeOther,
                TargetKind::HealthCheckNodePort,
                Failed,
                Some(Unreachable),
            ),
            Some(Cause::NotANodePortAddress),
            local(),
            Verdict::AsExpected,
        ),
        row(
            "IPVS falls back to endpoints of other nodes",
            cell(PodOther, TargetKind::ClusterIp, Reached, Some(Reachable)),
            None,
            internal_local(),
            Verdict::AsExpected,
        ),
        row(
            "a headless Service has no policy",
            cell(PodOther, TargetKind::Dns, Reached, Some(Reachable)),
            None,
            internal_local(),
            Verdict::AsExpected,
        ),
        row(
            "a lost reply is a fault, although it is predicted",
            cell(PodOther, balancer, Failed, Some(Unreachable)),
            Some(Cause::LostReply),
            local(),
            Verdict::Worse,
        ),
    ];
    let catalog = Catalog::builtin().unwrap();
    for Row {
        name,
        mut cell,
        cause,
        circumstances,
        verdict,
    } in rows
    {
        if let Some(predicted) = &mut cell.predicted {
            predicted.cause = cause;
        }
        let judge = Judge {
            catalog: &catalog,
            selection: &MatrixSelection::of(None),
            circumstances: &circumstances,
            terms: &Terms::default(),
        };
        judge.judge(&mut cell);
        assert_eq!(cell.verdict, verdict, "{name}: {cell:#?}");
    }
}

/// A matrix of two editions that disagree, of one operator or of two.
#[test]
fn a_superseded_edition_is_history_and_another_operator_disputes() {
    let edition = |name: &str, day: u8, operator: &str, value| {
        format!(
            "- edition: {name}\n  dated: 2020-01-0{day}\n  operator: {operator}\n  language: en\n  source: s\n  \
             rows:\n  - {{position: pod-other, pointer: p, values: {{cluster-ip: {value}}}}}\n"
        )
    };
    let rows = [
        (
            "a",
            None,
            Verdict::Worse,
            "unreachable is what other editions say: old (superseded)",
        ),
        (
            "b",
            None,
            Verdict::Disputed,
            "old says unreachable, as observed; new says reachable",
        ),
        (
            "b",
            Some("a"),
            Verdict::Worse,
            "unreachable is what other editions say: old (of another operator)",
        ),
        ("b", Some("b"), Verdict::AsExpected, ""),
        ("b", Some("c"), Verdict::Disputed, "old says unreachable"),
    ];
    for (older, operator, verdict, hint) in rows {
        let text = format!(
            "name: m\nprovider: p\neditions:\n{}{}",
            edition("new", 2, "a", "reachable"),
            edition("old", 1, older, "unreachable")
        );
        let mut catalog = Catalog::default();
        catalog.add("m.yaml", &text).unwrap();
        let judge = Judge {
            catalog: &catalog,
            selection: &MatrixSelection {
                operator: operator.map(str::to_owned),
                ..MatrixSelection::of(Some("m"))
            },
            circumstances: &circumstances(&OPEN[..1], TrafficPolicy::Cluster),
            terms: &Terms::default(),
        };
        let mut cell = cell(
            Position::PodOther,
            TargetKind::ClusterIp,
            ObservedValue::Unreachable,
            None,
        );
        judge.judge(&mut cell);
        assert_eq!(cell.verdict, verdict, "{older} on {operator:?}: {cell:?}");
        assert!(
            cell.hint.unwrap_or_default().contains(hint),
            "{older} on {operator:?}"
        );
        assert_eq!(cell.editions.len(), 2, "both are shown");
    }
}

/// One edition: a value or silence for each position in each column, and whether the document only implies it.
type Document = Vec<(Option<Reachability>, bool)>;

const POSITIONS: [Position; 3] = [Position::NodeOther, Position::PodSame, Position::PodOther];
const COLUMNS: [&str; 4] = [
    "tunnel/iptables",
    "vpc/iptables",
    "eni/iptables",
    "vpc/ipvs",
];

fn reachability() -> impl Strategy<Value = Reachability> {
    prop::sample::select(Reachability::ALL)
}

fn document() -> impl Strategy<Value = Document> {
    let value = (prop::option::of(reachability()), any::<bool>());
    prop::collection::vec(value, POSITIONS.len() * COLUMNS.len())
}

/// A matrix with these editions, as a file. Without any value, it is `None`, since an edition needs a cell.
fn file(name: &str, editions: &[Document]) -> Option<String> {
    let mut text = format!("name: {name}\nprovider: {name}\neditions:\n");
    let mut any = false;
    for (number, document) in editions.iter().enumerate() {
        let mut rows = String::new();
        let places = POSITIONS
            .iter()
            .flat_map(|position| COLUMNS.iter().map(move |column| (position, column)));
        for ((position, column), (value, implied)) in places.zip(document) {
            let Some(value) = value else { continue };
            let basis = if *implied { "implied" } else { "stated" };
            rows += &format!(
                "  - {{position: {position}, columns: {column}, basis: {basis}, pointer: p, \
                 values: {{cluster-ip: {value}}}}}\n"
            );
        }
        if !rows.is_empty() {
            any = true;
            text += &format!(
                "- edition: e{number}\n  dated: 2020-01-{:02}\n  operator: o{}\n  language: en\n  source: s\n  \
                 rows:\n{rows}",
                number + 1,
                number % 2
            );
        }
    }
    any.then_some(text)
}

/// Whether an edition of any matrix says this about the cell in one of the columns.
fn a_document_says(
    catalog: &Catalog,
    columns: &[Column],
    position: Position,
    value: Reachability,
) -> bool {
    catalog
        .editions()
        .iter()
        .flat_map(|edition| &edition.cells)
        .any(|said| {
            said.conditions.position == position
                && said.value == value
                && said
                    .conditions
                    .column
                    .is_some_and(|column| columns.contains(&column))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    /// If a run ends with exit code 0, each cell with a certain prediction agrees with it, or a document says otherwise.
    /// A cell with a certain prediction is never without an expectation.
    #[test]
    fn exit_code_0_means_that_nothing_certain_failed(
        columns in prop::sample::subsequence(COLUMNS.to_vec(), 1..=COLUMNS.len()),
        provider in prop::collection::vec(document(), 0..4),
        upstream in prop::collection::vec(document(), 0..2),
        strict in any::<bool>(),
        operator in prop::option::of(prop::sample::select(vec!["o0", "o1", "o2"])),
        cells in prop::collection::vec(
            (
                prop::sample::select(&POSITIONS[..]),
                prop::sample::select(ObservedValue::ALL),
                prop::option::of(reachability()),
            ),
            1..6,
        ),
    ) {
        let mut catalog = Catalog::default();
        for (name, editions) in [("provider", &provider), ("kubernetes", &upstream)] {
            if let Some(text) = file(name, editions) {
                catalog.add(name, &text).unwrap();
            }
        }
        let circumstances = circumstances(&columns, TrafficPolicy::Cluster);
        let selection = MatrixSelection {
            strict,
            operator: operator.map(str::to_owned),
            ..MatrixSelection::of(Some("provider"))
        };
        let judge = Judge {
            catalog: &catalog,
            selection: &selection,
            circumstances: &circumstances,
            terms: &Terms::default(),
        };
        let cells: Vec<Cell> = cells
            .into_iter()
            .map(|(position, observed, certain)| {
                let mut cell = cell(position, TargetKind::ClusterIp, observed, certain);
                judge.judge(&mut cell);
                cell
            })
            .collect();
        let exit = Summary::of(&cells, &Terms::default()).exit_code;
        for cell in &cells {
            let Some(certain) = cell.predicted.as_ref().and_then(|predicted| predicted.reachable) else {
                continue;
            };
            prop_assert_ne!(cell.verdict, Verdict::Undocumented, "{:?}", cell);
            let seen = match cell.observed.value {
                ObservedValue::Reachable => Reachability::Reachable,
                ObservedValue::Unreachable => Reachability::Unreachable,
                ObservedValue::Unstable | ObservedValue::NotObserved => {
                    prop_assert_ne!(exit, 0, "{:?}", cell);
                    continue;
                }
            };
            prop_assert!(
                exit != 0
                    || seen == certain
                    || a_document_says(&catalog, &circumstances.columns, cell.position, seen),
                "{:?}",
                cell
            );
        }
    }
}

/// A request from outside to the node port of a backend's node. CCE states that policy Local keeps the client's address
/// and that policy Cluster does not.
#[test]
fn the_client_address_is_compared_with_documents_and_model() {
    use ClientValue::{Kept, NotKnown, Replaced};
    use ClientVerdict::{AsExpected, Better, Disputed, NotJudged, Worse};
    type Row<'a> = (
        &'a str,
        &'a [&'a str],
        TrafficPolicy,
        ClientValue,
        Option<bool>,
        ClientVerdict,
        u8,
    );
    let standard = &OPEN[..2];
    let (local, cluster) = (TrafficPolicy::Local, TrafficPolicy::Cluster);
    let rows: [Row<'_>; 9] = [
        ("kept", standard, local, Kept, None, AsExpected, 0),
        ("lost", standard, local, Replaced, None, Worse, 1),
        (
            "lost, also for the model",
            standard,
            local,
            Replaced,
            Some(true),
            Worse,
            1,
        ),
        (
            "the model differs",
            standard,
            local,
            Replaced,
            Some(false),
            Disputed,
            0,
        ),
        (
            "not known",
            standard,
            local,
            NotKnown,
            Some(true),
            NotJudged,
            0,
        ),
        ("replaced", standard, cluster, Replaced, None, AsExpected, 0),
        (
            "kept, unlike the document",
            standard,
            cluster,
            Kept,
            None,
            Better,
            0,
        ),
        // CCE's documents say nothing about Turbo clusters here. Upstream's say the same about every cluster.
        (
            "by upstream for Turbo",
            &OPEN,
            local,
            Replaced,
            None,
            Worse,
            1,
        ),
        (
            "unknown model",
            &OPEN,
            cluster,
            Replaced,
            None,
            AsExpected,
            0,
        ),
    ];
    let catalog = Catalog::builtin().unwrap();
    for (name, columns, policy, seen, kept, verdict, code) in rows {
        let judge = Judge {
            catalog: &catalog,
            selection: &MatrixSelection::of(Some("huawei-cce")),
            circumstances: &circumstances(columns, policy),
            terms: &Terms::default(),
        };
        let mut cell = cell(
            Position::External,
            TargetKind::NodePort,
            ObservedValue::Reachable,
            Some(Reachability::Reachable),
        );
        cell.target.node_role = Some(NodeRole::Backend);
        cell.client.value = seen;
        if let Some(predicted) = &mut cell.predicted {
            predicted.client_kept = kept;
        }
        judge.judge(&mut cell);
        assert_eq!(cell.client.verdict, verdict, "{name}");
        let exit = Summary::of(&[cell], &Terms::default()).exit_code;
        assert_eq!(exit, code, "{name}");
    }
}

/// With policy Local and pass-through, a client on the backend's node reaches a shared load balancer's public address
/// but not its private one, according to CCE's newest edition. A global IPv6 address can be either, so the model decides.
#[test]
fn each_address_of_a_load_balancer_is_judged_by_its_own_rows() {
    let rows = [
        (
            "192.168.0.200",
            Scope::Private,
            Verdict::Better,
            Basis::Stated,
        ),
        (
            "203.0.113.9",
            Scope::Public,
            Verdict::AsExpected,
            Basis::Implied,
        ),
        (
            "2001:db8::9",
            Scope::Public,
            Verdict::AsExpected,
            Basis::Predicted,
        ),
        ("fd00::9", Scope::Private, Verdict::Better, Basis::Stated),
    ];
    let catalog = Catalog::builtin().unwrap();
    for (address, scope, verdict, basis) in rows {
        let judge = Judge {
            catalog: &catalog,
            selection: &MatrixSelection {
                edition: Some("2026-01-otc".to_owned()),
                strict: true,
                ..MatrixSelection::of(Some("huawei-cce"))
            },
            circumstances: &circumstances(&OPEN[..2], TrafficPolicy::Local),
            terms: &Terms::default(),
        };
        let mut cell = cell(
            Position::NodeSame,
            TargetKind::LoadBalancer,
            ObservedValue::Reachable,
            Some(Reachability::Reachable),
        );
        cell.target.address = address.to_owned();
        cell.target.scope = Some(scope);
        judge.judge(&mut cell);
        let by = cell.expected.as_ref().map(|expected| expected.basis);
        assert_eq!((cell.verdict, by), (verdict, Some(basis)), "{address}");
    }
}

/// CCE's documents describe a DNAT gateway as a way in from outside. Inside, it fails.
#[test]
fn a_dnat_gateway_is_judged_from_outside_too() {
    let gateway = |position| {
        let observed = ObservedValue::Reachable;
        let mut cell = cell(position, TargetKind::Dnat, observed, None);
        cell.target.address = "203.0.113.9".to_owned();
        cell.target.scope = Some(Scope::Public);
        cell
    };
    let cells = vec![gateway(Position::External), gateway(Position::NodeOther)];
    let catalog = Catalog::builtin().unwrap();
    let judge = Judge {
        catalog: &catalog,
        selection: &MatrixSelection::of(Some("huawei-cce")),
        circumstances: &circumstances(&OPEN[..2], TrafficPolicy::Local),
        terms: &Terms::default(),
    };
    let verdicts: Vec<Verdict> = cells
        .into_iter()
        .map(|mut cell| {
            judge.judge(&mut cell);
            cell.verdict
        })
        .collect();
    assert_eq!(verdicts, [Verdict::AsExpected, Verdict::Better]);
}
