//! Checks every cell of the embedded matrices.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use svc_reach_common::{
    client::SourceAddress,
    facts::TrafficPolicy,
    matrix::{
        Catalog, Circumstances, Class, Column, DocumentedCell, Edition, Flavour, Forwarder,
        MatrixSelection, Ruling, ServiceKind, Situation, Spot, Standing, Statement,
    },
    network_model::NetworkModel,
    observation::ObservedValue,
    position::Position,
    protocol::Protocol,
    proxy_mode::ProxyMode,
    target::{NodeRole, Relation, Scope, Target, TargetKind},
    verdict::{Basis, Documented, Expected, Reachability, Verdict, judge},
};

fn catalog() -> Catalog {
    Catalog::builtin().unwrap()
}

/// A selection of only this edition.
fn only(edition: &Edition) -> MatrixSelection {
    MatrixSelection {
        matrices: vec![edition.name.clone()],
        edition: Some(edition.edition.clone()),
        operator: None,
        strict: true,
    }
}

/// What the documents say in the first situation.
fn first<'r, 'c>(ruling: &'r Ruling<'c>) -> Option<&'r Statement<'c>> {
    ruling.branches.first()?.statement.as_ref()
}

/// The situation that a cell describes. If the cell leaves out a condition, any matching value is used.
fn situation(cell: &DocumentedCell) -> Situation {
    let conditions = &cell.conditions;
    let own = conditions.target == Spot::NodePortOwn;
    Situation {
        position: conditions.position,
        target: if own {
            Spot::NodePortOther
        } else {
            conditions.target
        },
        relation: if own {
            Some(Relation::Own)
        } else {
            conditions.relation.or(Some(Relation::Remote))
        },
        service: conditions.service,
        class: conditions.class,
        access: conditions.access,
        column: conditions.column.or_else(|| {
            conditions
                .forwarder
                .map(|_| "vpc/iptables".parse().unwrap())
        }),
        pass_through: conditions.pass_through,
        external_traffic_policy: conditions
            .external_traffic_policy
            .unwrap_or(TrafficPolicy::Cluster),
        internal_traffic_policy: conditions
            .internal_traffic_policy
            .unwrap_or(TrafficPolicy::Cluster),
        host_network: conditions.host_network,
    }
}

#[test]
fn cells_have_sources_and_round_trip() {
    let catalog = catalog();
    assert!(catalog.editions().len() > 10);
    for edition in catalog.editions() {
        let name = format!("{}@{}", edition.name, edition.edition);
        assert!(
            !edition.source.is_empty() && !edition.language.is_empty(),
            "{name}"
        );
        for cell in &edition.cells {
            assert!(!cell.pointer.is_empty(), "{name}: {}", cell.conditions);
            assert_ne!(cell.basis, Basis::Predicted, "{name}: {}", cell.conditions);
        }
        let distinct: BTreeSet<_> = edition.cells.iter().map(|cell| &cell.conditions).collect();
        assert_eq!(distinct.len(), edition.cells.len(), "{name}: a cell twice");
        let json = serde_json::to_string(edition).unwrap();
        assert_eq!(
            serde_json::from_str::<Edition>(&json).unwrap(),
            *edition,
            "{name}"
        );
    }
}

#[test]
fn every_cell_is_found_and_judged() {
    let catalog = catalog();
    let observations = [
        (ObservedValue::Reachable, Reachability::Reachable),
        (ObservedValue::Unreachable, Reachability::Unreachable),
    ];
    for edition in catalog.editions() {
        let selection = only(edition);
        for cell in &edition.cells {
            let name = format!("{}: {}", edition.edition, cell.conditions);
            let ruling = catalog.ruling(&selection, &[situation(cell)]);
            let Some(found) = first(&ruling).map(|statement| statement.first.cell) else {
                panic!("{name}: not found");
            };
            if cell.basis == Basis::Implied && found.basis == Basis::Stated {
                continue;
            }
            assert_eq!(
                found.value, cell.value,
                "{name}: found {} instead",
                found.conditions
            );
            for (observed, seen) in &observations {
                let verdict = match (cell.value, seen) {
                    (expected, seen) if expected == *seen => Verdict::AsExpected,
                    (Reachability::Reachable, _) => Verdict::Worse,
                    (Reachability::Unreachable, _) => Verdict::Better,
                };
                assert_eq!(
                    judge(*observed, Expected::One(found.value)),
                    verdict,
                    "{name}"
                );
            }
        }
    }
}

/// If several cells match a situation equally well, they must have the same value. Otherwise the order of the file
/// would decide which one counts.
#[test]
fn equal_matches_agree() {
    let catalog = catalog();
    for edition in catalog.editions() {
        let mut backwards = edition.clone();
        backwards.cells.reverse();
        for cell in &edition.cells {
            let situation = situation(cell);
            let value = |edition: &Edition| Some(edition.reading(&situation)?.cell.value);
            assert_eq!(
                value(edition),
                value(&backwards),
                "{}: {}",
                edition.edition,
                cell.conditions
            );
        }
    }
}

fn circumstances(column: &str) -> Circumstances {
    Circumstances {
        front: ServiceKind::LoadBalancer,
        classes: vec![Class::Dedicated],
        pass_through: vec![false],
        columns: vec![column.parse().unwrap()],
        external_traffic_policy: TrafficPolicy::Local,
        internal_traffic_policy: TrafficPolicy::Cluster,
        host_network: Some(false),
        served: true,
        source_ranges: false,
    }
}

fn target(kind: TargetKind, role: Option<NodeRole>, own: bool, scope: Scope) -> Target {
    Target {
        kind,
        address: "192.168.0.10".to_owned(),
        port: 30080.try_into().unwrap(),
        protocol: Protocol::Tcp,
        port_name: None,
        node: role.map(|_| "a".to_owned()),
        node_role: role,
        relation: role.map(|_| if own { Relation::Own } else { Relation::Remote }),
        scope: Some(scope),
        route: None,
    }
}

fn backend() -> Target {
    target(
        TargetKind::NodePort,
        Some(NodeRole::Backend),
        false,
        Scope::Private,
    )
}

fn other(own: bool, scope: Scope) -> Target {
    target(TargetKind::NodePort, Some(NodeRole::Other), own, scope)
}

fn balancer(scope: Scope) -> Target {
    target(TargetKind::LoadBalancer, None, false, scope)
}

/// Cells that were looked up in the documents' tables by hand.
#[test]
fn cells_match_the_documents() {
    use Reachability::{Reachable, Unreachable};
    let catalog = catalog();
    let rows: [(&str, &str, Position, Target, Option<Reachability>); 17] = [
        (
            "2024-01-en",
            "tunnel/ipvs",
            Position::PodSame,
            other(false, Scope::Private),
            Some(Reachable),
        ),
        (
            "2024-01-zh",
            "tunnel/ipvs",
            Position::PodSame,
            other(false, Scope::Private),
            Some(Unreachable),
        ),
        (
            "undated-en",
            "tunnel/ipvs",
            Position::PodSame,
            other(false, Scope::Private),
            Some(Unreachable),
        ),
        (
            "undated-pt",
            "tunnel/ipvs",
            Position::PodSame,
            other(false, Scope::Public),
            Some(Reachable),
        ),
        (
            "2024-01-en",
            "vpc/ipvs",
            Position::PodSame,
            backend(),
            Some(Unreachable),
        ),
        (
            "2024-01-en",
            "vpc/iptables",
            Position::NodeOther,
            other(true, Scope::Private),
            Some(Reachable),
        ),
        (
            "undated-en",
            "vpc/iptables",
            Position::NodeOther,
            other(false, Scope::Private),
            Some(Unreachable),
        ),
        (
            "undated-en",
            "vpc/ipvs",
            Position::NodeOther,
            other(false, Scope::Private),
            None,
        ),
        (
            "2026-01-otc",
            "vpc/ipvs",
            Position::NodeOther,
            other(true, Scope::Private),
            Some(Reachable),
        ),
        (
            "2026-01-otc",
            "vpc/ipvs",
            Position::NodeOther,
            other(true, Scope::Public),
            Some(Unreachable),
        ),
        (
            "2026-01-otc",
            "tunnel/ipvs",
            Position::NodeOther,
            other(true, Scope::Private),
            Some(Unreachable),
        ),
        // The edition mentions the client's own node only with its private address.
        (
            "2026-01-otc",
            "tunnel/ipvs",
            Position::PodOther,
            other(true, Scope::Public),
            None,
        ),
        (
            "2024-01-en",
            "vpc/ipvs",
            Position::NodeSame,
            balancer(Scope::Private),
            Some(Unreachable),
        ),
        (
            "2024-01-en",
            "vpc/ipvs",
            Position::NodeSame,
            balancer(Scope::Public),
            Some(Reachable),
        ),
        (
            "2024-01-zh",
            "vpc/ipvs",
            Position::NodeSame,
            balancer(Scope::Public),
            None,
        ),
        (
            "2026-01-otc",
            "vpc/ipvs",
            Position::NodeSame,
            balancer(Scope::Private),
            Some(Reachable),
        ),
        (
            "2024-01-en",
            "eni/ipvs",
            Position::NodeSame,
            balancer(Scope::Private),
            None,
        ),
    ];
    for (edition, column, position, target, expected) in rows {
        let edition = catalog.find(&format!("huawei-cce@{edition}")).unwrap();
        let situations = circumstances(column).situations(position, &target);
        let [situation] = situations.as_slice() else {
            panic!("{situations:?}");
        };
        let said = edition.reading(situation).map(|reading| reading.cell.value);
        assert_eq!(
            said,
            expected,
            "{} {column} {position} {target:?}",
            edition.readable()
        );
    }
}

/// What an edition says about one load balancer's address with policy Local, with and without pass-through.
fn about_balancer(
    edition: &str,
    class: Class,
    access: Scope,
    position: Position,
) -> Vec<Option<(Reachability, Basis)>> {
    let catalog = catalog();
    let edition = catalog.find(&format!("huawei-cce@{edition}")).unwrap();
    let open = Circumstances {
        classes: vec![class],
        pass_through: vec![false, true],
        ..circumstances("vpc/iptables")
    };
    open.situations(position, &balancer(access))
        .iter()
        .map(|situation| {
            let cell = edition.reading(situation)?.cell;
            Some((cell.value, cell.basis))
        })
        .collect()
}

/// CCE turns pass-through on by itself with policy Local, so a remedy that names it must not hide the failure table.
#[test]
fn a_remedy_does_not_outrank_the_failure_table() {
    use Reachability::{Reachable, Unreachable};
    let (stated, implied) = (Basis::Stated, Basis::Implied);
    for edition in ["2026-01-otc", "2025-10-otc"] {
        for position in [Position::NodeSame, Position::PodSame] {
            let said = about_balancer(edition, Class::Shared, Scope::Private, position);
            assert_eq!(said, [Some((Unreachable, stated)); 2], "{edition}");
        }
    }
    let same = Position::PodSame;
    let rows = [
        (
            "2024-10-zh",
            Class::Shared,
            Scope::Private,
            [None, Some((Reachable, implied))],
        ),
        (
            "2024-01-en",
            Class::Shared,
            Scope::Private,
            [Some((Reachable, implied)); 2],
        ),
        // The note on pass-through with a dedicated load balancer is about its private address.
        (
            "2024-01-en",
            Class::Dedicated,
            Scope::Public,
            [Some((Reachable, implied)); 2],
        ),
        (
            "2024-01-en",
            Class::Dedicated,
            Scope::Private,
            [Some((Unreachable, stated)); 2],
        ),
        (
            "undated-en",
            Class::Dedicated,
            Scope::Public,
            [Some((Reachable, stated)); 2],
        ),
        (
            "undated-en",
            Class::Dedicated,
            Scope::Private,
            [Some((Unreachable, stated)); 2],
        ),
    ];
    for (edition, class, access, expected) in rows {
        let said = about_balancer(edition, class, access, same);
        assert_eq!(said, expected, "{edition} {class} {access}");
    }
    // The table of parameters says so, and the advice to turn pass-through on says otherwise.
    let said = about_balancer(
        "undated-en",
        Class::Shared,
        Scope::Private,
        Position::PodOther,
    );
    assert_eq!(said, [Some((Unreachable, stated)); 2]);
}

/// What documents only advise or show in an example is implied.
#[test]
fn advice_is_implied() {
    let catalog = catalog();
    for edition in catalog.of("huawei-cce") {
        for cell in &edition.cells {
            let advised = cell.pointer.starts_with("solution") && cell.source.is_none();
            let limit = cell.value == Reachability::Unreachable;
            assert!(
                !advised || limit || cell.basis == Basis::Implied,
                "{}: {}",
                edition.readable(),
                cell.conditions
            );
        }
    }
}

#[test]
fn each_unknown_column_is_a_branch() {
    let catalog = catalog();
    let selection = MatrixSelection {
        matrices: vec!["huawei-cce".to_owned()],
        edition: Some("2024-01-en".to_owned()),
        operator: None,
        strict: true,
    };
    let column = |network_model| Column {
        network_model,
        proxy_mode: ProxyMode::Ipvs,
    };
    let open = Circumstances {
        columns: vec![column(NetworkModel::Tunnel), column(NetworkModel::Vpc)],
        ..circumstances("vpc/ipvs")
    };
    let branches = |position| {
        let ruling = catalog.ruling(&selection, &open.situations(position, &backend()));
        let branches = ruling.branches.iter().map(ToString::to_string);
        branches.collect::<Vec<_>>()
    };
    assert_eq!(
        branches(Position::PodOther),
        ["tunnel/ipvs: reachable", "vpc/ipvs: reachable"]
    );
    assert_eq!(
        branches(Position::PodSame),
        ["tunnel/ipvs: reachable", "vpc/ipvs: unreachable"]
    );
}

fn selection(operator: Option<&str>) -> MatrixSelection {
    MatrixSelection {
        operator: operator.map(str::to_owned),
        ..MatrixSelection::of(Some("huawei-cce"))
    }
}

/// The node port of a third node, from a node without a backend, in iptables mode: the newest edition of Open Telekom
/// Cloud says that it fails. Its earlier editions and the newest one of Huawei Cloud say that it works.
#[test]
fn the_newest_edition_of_the_clusters_operator_counts() {
    use Reachability::{Reachable, Unreachable};
    let catalog = catalog();
    let situations = circumstances("vpc/iptables")
        .situations(Position::NodeOther, &other(false, Scope::Private));
    let standing = |ruling: &Ruling<'_>, name: &str| {
        let mut editions = ruling.editions.iter();
        editions
            .find(|said| said.edition.readable() == name)
            .map(|said| (said.value, said.standing))
    };
    let ruled = |operator| catalog.ruling(&selection(operator), &situations);

    let telekom = ruled(Some("open-telekom-cloud"));
    assert_eq!(
        telekom.branches[0].documented(),
        Documented::Says(Unreachable)
    );
    let rows = [
        ("2026-01-otc", Unreachable, Standing::Counts),
        ("2025-10-otc", Reachable, Standing::Superseded),
        ("2024-01-zh", Reachable, Standing::OtherOperator),
    ];
    for (name, value, stands) in rows {
        assert_eq!(standing(&telekom, name), Some((value, stands)), "{name}");
    }

    let huawei = ruled(Some("huawei-cloud"));
    assert_eq!(huawei.branches[0].documented(), Documented::Says(Reachable));
    let rows = [
        ("2024-01-zh", Reachable, Standing::Counts),
        ("undated-en", Unreachable, Standing::Superseded),
        ("2026-01-otc", Unreachable, Standing::OtherOperator),
    ];
    for (name, value, stands) in rows {
        assert_eq!(standing(&huawei, name), Some((value, stands)), "{name}");
    }

    // It is not known which of them runs the cluster, and they disagree.
    let unknown = ruled(None);
    assert_eq!(unknown.branches[0].documented(), Documented::Disputed);
    let values = first(&unknown).unwrap().values();
    let values: Vec<_> = values
        .iter()
        .map(|(edition, value)| (edition.readable(), *value))
        .collect();
    assert_eq!(
        values,
        [("2026-01-otc", Unreachable), ("2024-01-zh", Reachable)]
    );
}

/// The documents of Open Telekom Cloud do not mention DNAT gateways. Those of Huawei Cloud do, and it is the same
/// product.
#[test]
fn other_operators_fill_gaps() {
    let catalog = catalog();
    let gateway = target(TargetKind::Dnat, None, false, Scope::Public);
    let situations = circumstances("vpc/ipvs").situations(Position::PodOther, &gateway);
    let ruling = catalog.ruling(&selection(Some("open-telekom-cloud")), &situations);
    let said = first(&ruling).unwrap().first;
    assert_eq!(said.edition.operator.as_deref(), Some("huawei-cloud"));
}

#[test]
fn strict_ignores_other_editions() {
    let catalog = catalog();
    let situations =
        circumstances("tunnel/ipvs").situations(Position::PodSame, &other(false, Scope::Private));
    let mut selection = MatrixSelection::of(Some("huawei-cce"));
    let ruling = catalog.ruling(&selection, &situations);
    let edition = first(&ruling).unwrap().first.edition;
    assert_eq!(edition.readable(), "2026-01-otc", "the newest");
    let all: Vec<_> = ruling
        .editions
        .iter()
        .map(|said| (said.edition.readable(), said.value))
        .collect();
    let saying = |value| all.iter().filter(|(_, said)| *said == value).count();
    assert_eq!(
        (
            saying(Reachability::Reachable),
            saying(Reachability::Unreachable)
        ),
        (3, 9),
        "{all:?}"
    );
    selection.edition = Some("000_e154fa8d9004b8e6".to_owned());
    selection.strict = true;
    let ruling = catalog.ruling(&selection, &situations);
    let said = first(&ruling).unwrap().first;
    assert_eq!(
        (
            said.edition.readable(),
            said.cell.value,
            ruling.editions.len()
        ),
        ("2024-01-en", Reachability::Reachable, 1)
    );
}

#[test]
fn upstream_fills_gaps_of_the_provider() {
    let catalog = catalog();
    let situations = circumstances("vpc/ipvs").situations(
        Position::PodOther,
        &target(TargetKind::ClusterIp, None, false, Scope::Private),
    );
    let ruling = catalog.ruling(&MatrixSelection::of(Some("huawei-cce")), &situations);
    assert_eq!(first(&ruling).unwrap().first.edition.name, "kubernetes");
}

/// The documents of CCE say nothing about Turbo clusters here, so upstream's count in that branch.
#[test]
fn upstream_fills_gaps_of_one_column() {
    let catalog = catalog();
    let open = Circumstances {
        columns: ["tunnel/iptables", "vpc/iptables", "eni/iptables"]
            .map(|column| column.parse().unwrap())
            .into(),
        external_traffic_policy: TrafficPolicy::Cluster,
        ..circumstances("vpc/iptables")
    };
    let situations = open.situations(Position::PodOther, &backend());
    let ruling = catalog.ruling(&MatrixSelection::of(Some("huawei-cce")), &situations);
    let names: Vec<_> = ruling
        .branches
        .iter()
        .map(|branch| {
            branch
                .statement
                .as_ref()
                .unwrap()
                .first
                .edition
                .name
                .as_str()
        })
        .collect();
    assert_eq!(names, ["huawei-cce", "huawei-cce", "kubernetes"]);
}

/// The schema for editors has the same words as the program, and accepts every embedded file.
#[test]
fn schema_matches_files_and_words() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("matrices");
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("schema.json")).unwrap())
            .unwrap();
    let words = |name: &str| schema["$defs"][name]["enum"].clone();
    let all = [
        (words("service"), json!(ServiceKind::ALL)),
        (words("class"), json!(Class::ALL)),
        (words("access"), json!(Scope::ALL)),
        (words("position"), json!(Position::ALL)),
        (words("policy"), json!(TrafficPolicy::ALL)),
        (words("flavour"), json!(Flavour::ALL)),
        (words("relation"), json!(Relation::ALL)),
        (words("forwarder"), json!(Forwarder::ALL)),
        (words("value"), json!(Reachability::ALL)),
        (words("sourceAddress"), json!(SourceAddress::ALL)),
        (words("target"), json!(Spot::ALL)),
    ];
    for (in_schema, in_program) in all {
        assert_eq!(in_schema, in_program);
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let column = schema["$defs"]["column"].clone();
    let column = jsonschema::validator_for(&column).unwrap();
    for word in Column::all() {
        assert!(column.is_valid(&json!(word)), "{word}");
    }
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false },
        };
        let file: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&file)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(wrong, [""; 0], "{}", path.display());
    }
    assert_eq!(files, 5, "every file is also embedded");
}
