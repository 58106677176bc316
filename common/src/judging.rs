//! Decides a cell's verdict from its observation, the documents and the model.

mod client;

use crate::{
    matrix::{
        Branch, Catalog, Circumstances, Edition, EditionReading, MatrixSelection, Ruling, Standing,
        Statement, UPSTREAM,
    },
    model::Cause,
    observation::ObservedValue,
    position::Position,
    report::{Cell, Chance, EditionValue, Expectation, PolicyEffect, Prediction},
    target::{Scope, Target, TargetKind},
    terms::Terms,
    verdict::{
        Basis, Decision, Documented, Expected, ExpectedValue, Reachability, Verdict, expect, judge,
    },
};

/// What the cells of one Service are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// All known documents.
    pub catalog: &'a Catalog,
    /// The documents that count.
    pub selection: &'a MatrixSelection,
    /// What the documents' cells depend on.
    pub circumstances: &'a Circumstances,
    /// What the user requires in addition.
    pub terms: &'a Terms,
}

impl Judge<'_> {
    /// Judges a cell from its observation and prediction. Replaces its expectation, editions, verdict and hint.
    ///
    /// Documents say nothing about an Ingress whose controller is unknown. If it is known, [`Self::judge_from`] counts.
    pub fn judge(&self, cell: &mut Cell) {
        let position = (cell.target.kind != TargetKind::Ingress).then_some(cell.position);
        self.judge_from(position, cell);
    }

    /// Like [`Self::judge`], but from another position: where the client is from the point of view of the circumstances.
    /// They are those of an ingress controller, if the cell is one of an Ingress. `None`: documents do not count.
    pub fn judge_from(&self, position: Option<Position>, cell: &mut Cell) {
        let target = Target {
            scope: cell.target.scope.or_else(|| scope_seen(cell)),
            ..cell.target.clone()
        };
        let situations = position.map_or_else(Vec::new, |position| {
            self.circumstances.situations(position, &target)
        });
        self.judge_client(&mut cell.client, cell.predicted.as_ref(), &situations);
        if let Some(required) = self.terms.of(cell) {
            cell.expected = Some(Expectation {
                value: required.value.into(),
                basis: Basis::Required,
                matrix: None,
                edition: None,
                source: Some(required.to_string()),
            });
            cell.editions.clear();
            cell.verdict = judge(cell.observed.value, Expected::One(required.value));
            let remedy = cell.predicted.as_ref().and_then(|p| p.remedy.clone());
            cell.hint = remedy.filter(|_| cell.verdict == Verdict::Worse);
            return;
        }
        let policy = cell.policy.clone();
        if let Some(policy) = &policy
            && policy.effect == PolicyEffect::Denied
        {
            forbidden(cell, policy.reason.clone());
            return;
        }
        let ruling = self.catalog.ruling(self.selection, &situations);
        let predicted = cell.predicted.as_ref();
        let observed = cell.observed.value;
        let chance = predicted.and_then(|predicted| predicted.chance);
        let certain = predicted.and_then(|predicted| predicted.reachable);
        let branches: Vec<Documented> = ruling.branches.iter().map(Branch::documented).collect();
        let decision = match expect(&branches, certain) {
            Decision::Documents(nth) => {
                let statement = ruling
                    .branches
                    .get(nth)
                    .and_then(|branch| branch.statement.as_ref());
                overruled(statement, predicted).map_or(Decision::Documents(nth), Decision::Model)
            }
            Decision::Nothing => Decision::Nothing,
            Decision::Model(value) => Decision::Model(value),
            Decision::Disputed(nth) => Decision::Disputed(nth),
        };
        let statement = match decision {
            Decision::Documents(nth) | Decision::Disputed(nth) => ruling
                .branches
                .get(nth)
                .and_then(|branch| branch.statement.as_ref()),
            Decision::Nothing | Decision::Model(_) => None,
        };
        let mut hints = Vec::new();
        let (expected, against) = match (statement, decision) {
            (Some(statement), _) => {
                let value = statement.first.cell.value;
                let disputed = statement.is_disputed();
                if disputed {
                    hints.push(dispute(&statement.values(), observed));
                }
                // Upstream's documents say what a Service is for. If kube-proxy serves only some attempts, no cluster can
                // fulfil them. A provider's document describes its own network.
                let upstream = statement.first.edition.name == UPSTREAM
                    && value == Reachability::Reachable
                    && !disputed;
                match chance.filter(|_| upstream) {
                    Some(chance) => {
                        hints.extend(by_chance(chance, predicted, observed));
                        (Some(by_model(ExpectedValue::ByChance)), chance.into())
                    }
                    None => {
                        hints.extend(
                            predicted
                                .and_then(|predicted| disagreement(value, predicted, observed)),
                        );
                        let against = if disputed {
                            Expected::Disputed
                        } else {
                            Expected::One(value)
                        };
                        (Some(documented(statement)), against)
                    }
                }
            }
            (None, Decision::Model(value)) => {
                hints.extend(
                    unlike(&ruling, value, predicted)
                        .or_else(|| depends(&ruling, "judged by the forwarding model")),
                );
                (Some(by_model(value.into())), Expected::One(value))
            }
            (None, _) => match chance {
                Some(chance) => {
                    hints.extend(depends(&ruling, "judged by the forwarding model"));
                    hints.extend(by_chance(chance, predicted, observed));
                    (Some(by_model(ExpectedValue::ByChance)), chance.into())
                }
                None => {
                    hints.extend(depends(&ruling, "not judged"));
                    (None, Expected::Nothing)
                }
            },
        };
        // Policies only forbid. If they may do so, the cell may still be expected to be unreachable, but not reachable.
        let (expected, against) = match policy {
            Some(policy) if against != Expected::One(Reachability::Unreachable) => {
                let reason = policy.reason;
                hints.push(format!(
                    "not judged: whether policies allow it is unknown: {reason}"
                ));
                (None, Expected::Nothing)
            }
            Some(_) | None => (expected, against),
        };
        let is_chance = matches!(against, Expected::ByChance { .. });
        let some_failed = observed == ObservedValue::Unstable && is_chance;
        if observed == ObservedValue::Unreachable || some_failed {
            // A document's advice for nodes without a backend does not help against chance.
            let documented = statement.filter(|_| !is_chance).and_then(|statement| {
                let first = &statement.first;
                first.edition.remedy(first.cell)
            });
            let by_model = || predicted.and_then(|predicted| predicted.remedy.clone());
            hints.extend(documented.or_else(by_model));
        }
        cell.verdict = judge(observed, against);
        if matches!(cell.verdict, Verdict::Worse | Verdict::Better) && statement.is_some() {
            hints.extend(elsewhere(&ruling, observed));
        }
        cell.expected = expected;
        cell.editions = if statement.is_some() {
            editions(&ruling)
        } else {
            Vec::new()
        };
        cell.hint = (!hints.is_empty()).then(|| hints.join("; "));
    }
}

/// The value that a certain prediction gives instead of the document; `None` if the document counts.
///
/// - A setting that restricts who may connect counts for every document, because their tables describe Services without
///   such settings.
/// - Upstream's documents describe what a policy is for, without the exceptions that kube-proxy makes: terminating
///   endpoints, the fallback in IPVS mode, headless Services. If they say that a cell is unreachable and kube-proxy's
///   rules for this Service certainly serve it, the rules count.
fn overruled(
    statement: Option<&Statement<'_>>,
    predicted: Option<&Prediction>,
) -> Option<Reachability> {
    let (statement, predicted) = (statement?, predicted?);
    let (said, certain) = (statement.first.cell.value, predicted.reachable?);
    let counts = match (said, certain) {
        (Reachability::Unreachable, Reachability::Reachable) => {
            statement.first.edition.name == UPSTREAM
        }
        (Reachability::Reachable, Reachability::Unreachable) => {
            predicted.cause.is_some_and(Cause::is_a_restriction)
        }
        (Reachability::Reachable, Reachability::Reachable)
        | (Reachability::Unreachable, Reachability::Unreachable) => false,
    };
    counts.then_some(certain)
}

/// The hint for a cell that is judged by a rule of kube-proxy, although every document that counts says the opposite.
fn unlike(
    ruling: &Ruling<'_>,
    value: Reachability,
    predicted: Option<&Prediction>,
) -> Option<String> {
    let opposite = |branch: &Branch<'_>| match branch.documented() {
        Documented::Says(said) => said != value,
        Documented::Silent | Documented::Disputed => false,
    };
    if ruling.branches.is_empty() || !ruling.branches.iter().all(opposite) {
        return None;
    }
    let rule = predicted?.why.last()?.rule.as_str();
    Some(format!(
        "the document describes the general case; here, a rule of kube-proxy decides: {rule}"
    ))
}

/// The expectation that a document gives.
fn documented(statement: &Statement<'_>) -> Expectation {
    let (edition, cell) = (statement.first.edition, statement.first.cell);
    let source = cell.source.as_ref().unwrap_or(&edition.source);
    Expectation {
        value: cell.value.into(),
        basis: cell.basis,
        matrix: Some(edition.name.clone()),
        edition: Some(edition.edition.clone()),
        source: Some(format!("{source} ({})", cell.pointer)),
    }
}

/// The expectation that the forwarding model gives.
const fn by_model(value: ExpectedValue) -> Expectation {
    Expectation {
        value,
        basis: Basis::Predicted,
        matrix: None,
        edition: None,
        source: None,
    }
}

impl From<Chance> for Expected {
    fn from(chance: Chance) -> Self {
        Self::ByChance {
            each_attempt: chance.each_attempt,
        }
    }
}

/// How chance relates to failed attempts.
fn by_chance(
    chance: Chance,
    predicted: Option<&Prediction>,
    observed: ObservedValue,
) -> Option<String> {
    let because = predicted
        .and_then(|predicted| predicted.why.last())
        .map_or("", |why| why.rule.as_str());
    match observed {
        ObservedValue::Unstable if chance.each_attempt => {
            Some(format!("some attempts fail by chance: {because}"))
        }
        ObservedValue::Unstable => Some(format!(
            "chance does not explain that only some attempts failed: {because}"
        )),
        ObservedValue::Unreachable => Some(format!(
            "every attempt failed, by chance or for another reason: the forwarding model expects {} of {} choices to be served, because {because}; run again, with more --attempts",
            chance.served, chance.of
        )),
        ObservedValue::Reachable | ObservedValue::NotObserved => None,
    }
}

/// What the editions say, for the report.
fn editions(ruling: &Ruling<'_>) -> Vec<EditionValue> {
    ruling
        .editions
        .iter()
        .map(|reading| EditionValue {
            edition: reading.edition.edition.clone(),
            alias: reading.edition.alias.clone(),
            value: reading.value,
            operator: reading.edition.operator.clone(),
            standing: Some(reading.standing),
        })
        .collect()
}

/// Judges a cell that NetworkPolicies forbid. Documents and model assume that there are no policies.
fn forbidden(cell: &mut Cell, reason: String) {
    let value = Reachability::Unreachable;
    cell.expected = Some(Expectation {
        value: value.into(),
        basis: Basis::Policy,
        matrix: None,
        edition: None,
        source: Some(reason),
    });
    cell.editions.clear();
    cell.verdict = judge(cell.observed.value, Expected::One(value));
    cell.hint = (cell.verdict == Verdict::Better).then(|| UNENFORCED.to_owned());
}

/// The hint for a cell that is reached although NetworkPolicies forbid it
/// (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>, "Prerequisites").
const UNENFORCED: &str = "check that the cluster's network plugin enforces NetworkPolicies; without one that does, they have no effect";

/// The scope of the addresses that a name was resolved to, if it was the same each time.
fn scope_seen(cell: &Cell) -> Option<Scope> {
    let mut scopes = cell
        .observed
        .attempts
        .iter()
        .filter_map(|attempt| Some(Scope::of(attempt.remote?.ip())));
    let first = scopes.next()?;
    scopes.all(|scope| scope == first).then_some(first)
}

/// The hint for a cell whose documented value depends on an unknown fact; `None` if no document mentions the cell.
fn depends(ruling: &Ruling<'_>, consequence: &str) -> Option<String> {
    let mentioned = |branch: &Branch<'_>| branch.statement.is_some();
    if !ruling.branches.iter().any(mentioned) {
        return None;
    }
    let branches: Vec<String> = ruling.branches.iter().map(Branch::to_string).collect();
    Some(format!(
        "{consequence}: what the documents say depends on a fact that is unknown ({})",
        branches.join("; ")
    ))
}

/// Editions that do not count, but say what was observed; `None` if there are none.
fn elsewhere(ruling: &Ruling<'_>, observed: ObservedValue) -> Option<String> {
    let saying = |standing: Standing| -> Vec<&str> {
        let agree = |reading: &&EditionReading<'_>| {
            reading.standing == standing && reading.value.as_str() == observed.as_str()
        };
        let agreeing = ruling.editions.iter().filter(agree);
        agreeing.map(|reading| reading.edition.readable()).collect()
    };
    let kinds = [
        ("superseded", Standing::Superseded),
        ("of another operator", Standing::OtherOperator),
    ];
    let texts: Vec<String> = kinds
        .into_iter()
        .map(|(kind, standing)| (kind, saying(standing)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{} ({kind})", names.join(", ")))
        .collect();
    (!texts.is_empty()).then(|| {
        format!(
            "{observed} is what other editions say: {}",
            texts.join(", ")
        )
    })
}

/// What each edition says, and which value was observed.
fn dispute(all: &[(&Edition, Reachability)], observed: ObservedValue) -> String {
    let saying = |value: Reachability| {
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, said)| *said == value)
            .map(|(edition, _)| edition.readable())
            .collect();
        let say = if names.len() == 1 { "says" } else { "say" };
        format!("{} {say} {value}", names.join(", "))
    };
    let agrees = match observed {
        ObservedValue::Reachable => Some(Reachability::Reachable),
        ObservedValue::Unreachable => Some(Reachability::Unreachable),
        ObservedValue::Unstable | ObservedValue::NotObserved => None,
    };
    match agrees {
        Some(value) => {
            let other = match value {
                Reachability::Reachable => Reachability::Unreachable,
                Reachability::Unreachable => Reachability::Reachable,
            };
            format!("{}, as observed; {}", saying(value), saying(other))
        }
        None => format!(
            "{}; {}",
            saying(Reachability::Reachable),
            saying(Reachability::Unreachable)
        ),
    }
}

/// The model's reason, if it disagrees with the document, and whether the observation agrees with the model.
fn disagreement(
    document: Reachability,
    predicted: &Prediction,
    observed: ObservedValue,
) -> Option<String> {
    let because = predicted.why.last().map_or("", |why| why.rule.as_str());
    if predicted.chance.is_some() && observed == ObservedValue::Unstable {
        return Some(format!(
            "the forwarding model expects this, unlike the document: {because}"
        ));
    }
    let model = predicted.reachable.filter(|model| *model != document)?;
    let agrees = |with: Reachability| match (with, observed) {
        (Reachability::Reachable, ObservedValue::Reachable)
        | (Reachability::Unreachable, ObservedValue::Unreachable) => true,
        (_, ObservedValue::Unstable | ObservedValue::NotObserved)
        | (Reachability::Reachable, ObservedValue::Unreachable)
        | (Reachability::Unreachable, ObservedValue::Reachable) => false,
    };
    Some(if agrees(model) {
        format!("the forwarding model expects this, unlike the document: {because}")
    } else {
        format!(
            "the forwarding model expects {}, unlike the document: {because}",
            predicted.outcome
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Judge, dispute};
    use crate::{
        client::Client,
        facts::TrafficPolicy,
        matrix::{Catalog, Circumstances, MatrixSelection, ServiceKind},
        observation::ObservedValue,
        position::Position,
        protocol::Protocol,
        report::{Cell, Chance, Observed, Prediction, Why},
        target::{NodeRole, Relation, Scope, Target, TargetKind},
        terms::{Required, Terms},
        verdict::{Basis, ExpectedValue, Reachability, Verdict},
    };

    /// From a pod to another node's node port. The pod network keeps addresses, and the Service has two backends.
    fn by_chance(observed: ObservedValue, each_attempt: bool) -> Cell {
        Cell {
            position: Position::PodOther,
            node: Some("o1".to_owned()),
            target: Target {
                kind: TargetKind::NodePort,
                address: "172.30.0.11".to_owned(),
                port: 30080.try_into().unwrap(),
                protocol: Protocol::Tcp,
                port_name: None,
                node: Some("b1".to_owned()),
                node_role: Some(NodeRole::Backend),
                relation: Some(Relation::Remote),
                scope: Some(Scope::Private),
                route: None,
            },
            expected: None,
            editions: Vec::new(),
            policy: None,
            predicted: Some(Prediction {
                action: "endpoints".to_owned(),
                endpoints: vec!["10.244.1.5:80".to_owned()],
                masquerade: Some(false),
                client_kept: Some(true),
                outcome: "some attempts, by chance (1 of 2)".to_owned(),
                reachable: None,
                chance: Some(Chance {
                    served: 1,
                    of: 2,
                    each_attempt,
                }),
                why: vec![Why {
                    rule: "the reply bypasses the node".to_owned(),
                    source: String::new(),
                }],
                cause: None,
                remedy: Some("use the cluster IP".to_owned()),
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
            verdict: Verdict::NotObserved,
            client: Client::default(),
            hint: None,
        }
    }

    fn judged(mut cell: Cell, matrix: Option<&str>, terms: &Terms) -> Cell {
        let mut catalog = Catalog::builtin().unwrap();
        let provider = "
name: mine
provider: mine
editions:
- edition: '1'
  dated: 2026-01-01
  language: en
  source: https://example.org
  rows:
  - position: [pod-other]
    externalTrafficPolicy: Local
    pointer: the table
    values: {node-port/backend: reachable}
";
        catalog.add("mine.yaml", provider).unwrap();
        let judge = Judge {
            catalog: &catalog,
            selection: &MatrixSelection::of(matrix),
            circumstances: &Circumstances {
                front: ServiceKind::LoadBalancer,
                classes: Vec::new(),
                pass_through: vec![false],
                columns: Vec::new(),
                external_traffic_policy: TrafficPolicy::Local,
                internal_traffic_policy: TrafficPolicy::Cluster,
                host_network: Some(false),
                served: true,
                source_ranges: false,
            },
            terms,
        };
        judge.judge(&mut cell);
        cell
    }

    /// Upstream's document says that a node with a backend answers. By kube-proxy's rules, only some attempts are served.
    #[test]
    fn chance_decides_a_cell() {
        use ObservedValue::{NotObserved, Reachable, Unreachable, Unstable};
        for (observed, each_attempt, verdict, hint) in [
            (Reachable, true, Verdict::AsExpected, None),
            (
                Unstable,
                true,
                Verdict::AsExpected,
                Some(
                    "some attempts fail by chance: the reply bypasses the node; use the cluster IP",
                ),
            ),
            (
                Unreachable,
                true,
                Verdict::Undocumented,
                Some("every attempt failed, by chance or for another reason: "),
            ),
            (NotObserved, true, Verdict::NotObserved, None),
            (Reachable, false, Verdict::AsExpected, None),
            (
                Unstable,
                false,
                Verdict::Unstable,
                Some("chance does not explain that only some attempts failed: "),
            ),
            (
                Unreachable,
                false,
                Verdict::Undocumented,
                Some("every attempt failed, by chance or for another reason: "),
            ),
        ] {
            let cell = judged(by_chance(observed, each_attempt), None, &Terms::default());
            let expected = cell.expected.unwrap();
            assert_eq!(
                (cell.verdict, expected.value, expected.basis),
                (verdict, ExpectedValue::ByChance, Basis::Predicted),
                "{observed}, each attempt {each_attempt}"
            );
            let given = cell.hint.unwrap_or_default();
            assert!(given.starts_with(hint.unwrap_or("")), "{observed}: {given}");
            assert_eq!(given.is_empty(), hint.is_none(), "{observed}: {given}");
        }
    }

    #[test]
    fn a_providers_document_and_a_requirement_take_precedence_over_chance() {
        let unstable = || by_chance(ObservedValue::Unstable, true);
        let cell = judged(unstable(), Some("mine"), &Terms::default());
        assert_eq!(cell.verdict, Verdict::Unstable);
        assert_eq!(cell.expected.unwrap().value, ExpectedValue::Reachable);
        let hint = cell.hint.unwrap();
        let expected = "the forwarding model expects this, unlike the document: the reply bypasses";
        assert!(hint.starts_with(expected), "{hint}");
        let terms = Terms {
            required: vec![
                Required::parse("pod-other:node-port", Reachability::Reachable).unwrap(),
            ],
            ..Terms::default()
        };
        let cell = judged(unstable(), None, &terms);
        assert_eq!(cell.verdict, Verdict::Unstable);
        assert_eq!(cell.expected.unwrap().basis, Basis::Required);
    }

    #[test]
    fn dispute_names_editions() {
        let catalog = Catalog::builtin().unwrap();
        let editions: Vec<_> = catalog.editions().iter().take(3).collect();
        let names: Vec<&str> = editions.iter().map(|edition| edition.readable()).collect();
        let values = [
            Reachability::Reachable,
            Reachability::Unreachable,
            Reachability::Unreachable,
        ];
        let all: Vec<_> = editions.iter().copied().zip(values).collect();
        let hint = dispute(&all, ObservedValue::Reachable);
        for part in [
            format!("{} says reachable", names[0]),
            format!("{}, {} say unreachable", names[1], names[2]),
        ] {
            assert!(hint.contains(&part), "{part:?} in {hint}");
        }
    }
}
