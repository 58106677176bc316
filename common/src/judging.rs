//! Decides a cell's verdict from its observation, the documents and the model.

use crate::{
    matrix::{Branch, Catalog, Circumstances, Edition, MatrixSelection, Ruling},
    observation::ObservedValue,
    report::{Cell, EditionValue, Expectation, PolicyEffect, Prediction},
    target::{Scope, Target},
    terms::Terms,
    verdict::{Basis, Expected, Reachability, Verdict, judge},
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
    pub fn judge(&self, cell: &mut Cell) {
        if let Some(required) = self.terms.of(cell) {
            cell.expected = Some(Expectation {
                value: required.value,
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
        let target = Target {
            scope: cell.target.scope.or_else(|| scope_seen(cell)),
            ..cell.target.clone()
        };
        let situations = self.circumstances.situations(cell.position, &target);
        let ruling = self.catalog.ruling(self.selection, &situations);
        let predicted = cell.predicted.as_ref();
        let observed = cell.observed.value;
        let mut hints = Vec::new();
        let mut editions = Vec::new();
        let (expected, against) = match &ruling {
            // If no document mentions the cell, it is compared with the model.
            Ruling::Silent => {
                let by_model = predicted.and_then(|predicted| predicted.reachable);
                let expected = by_model.map(|value| Expectation {
                    value,
                    basis: Basis::Predicted,
                    matrix: None,
                    edition: None,
                    source: None,
                });
                (expected, by_model.map_or(Expected::Nothing, Expected::One))
            }
            Ruling::Depends(edition, branches) => {
                hints.push(depends(edition, branches));
                (None, Expected::Nothing)
            }
            Ruling::Says { edition, cell, all } => {
                editions = all
                    .iter()
                    .map(|(edition, value)| EditionValue {
                        edition: edition.edition.clone(),
                        alias: edition.alias.clone(),
                        value: *value,
                    })
                    .collect();
                let disputed = all.iter().any(|(_, value)| *value != cell.value);
                if disputed {
                    hints.push(dispute(all, observed));
                }
                hints.extend(
                    predicted.and_then(|predicted| disagreement(cell.value, predicted, observed)),
                );
                let source = cell.source.as_ref().unwrap_or(&edition.source);
                let expected = Expectation {
                    value: cell.value,
                    basis: cell.basis,
                    matrix: Some(edition.name.clone()),
                    edition: Some(edition.edition.clone()),
                    source: Some(format!("{source} ({})", cell.pointer)),
                };
                let against = if disputed {
                    Expected::Disputed
                } else {
                    Expected::One(cell.value)
                };
                (Some(expected), against)
            }
        };
        // Policies only forbid. If they may do so, the cell may still be expected to be unreachable, but not reachable.
        let (expected, against) = match policy {
            Some(policy) if against != Expected::One(Reachability::Unreachable) => {
                let reason = policy.reason;
                hints.push(format!(
                    "not judged: whether NetworkPolicies allow it is unknown: {reason}"
                ));
                (None, Expected::Nothing)
            }
            Some(_) | None => (expected, against),
        };
        if observed == ObservedValue::Unreachable {
            let documented = match &ruling {
                Ruling::Says { edition, cell, .. } => edition.remedy(cell),
                Ruling::Silent | Ruling::Depends(..) => None,
            };
            let by_model = || predicted.and_then(|predicted| predicted.remedy.clone());
            hints.extend(documented.or_else(by_model));
        }
        cell.verdict = judge(observed, against);
        cell.expected = expected;
        cell.editions = editions;
        cell.hint = (!hints.is_empty()).then(|| hints.join("; "));
    }
}

/// Judges a cell that NetworkPolicies forbid. Documents and model assume that there are no policies.
fn forbidden(cell: &mut Cell, reason: String) {
    let value = Reachability::Unreachable;
    cell.expected = Some(Expectation {
        value,
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

/// The hint for a cell that depends on an unknown fact.
fn depends(edition: &Edition, branches: &[Branch]) -> String {
    let branches: Vec<String> = branches.iter().map(Branch::to_string).collect();
    format!(
        "not judged: what {} {} says depends on a fact that is unknown ({})",
        edition.name,
        edition.readable(),
        branches.join("; ")
    )
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
    let model = predicted.reachable.filter(|model| *model != document)?;
    let agrees = |with: Reachability| match (with, observed) {
        (Reachability::Reachable, ObservedValue::Reachable)
        | (Reachability::Unreachable, ObservedValue::Unreachable) => true,
        (_, ObservedValue::Unstable | ObservedValue::NotObserved)
        | (Reachability::Reachable, ObservedValue::Unreachable)
        | (Reachability::Unreachable, ObservedValue::Reachable) => false,
    };
    let because = predicted.why.last().map_or("", |why| why.rule.as_str());
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
    use super::dispute;
    use crate::{matrix::Catalog, observation::ObservedValue, verdict::Reachability};

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
