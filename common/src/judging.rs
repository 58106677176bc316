//! From what was seen of a cell, and what documents and model say of it, to its verdict.

use crate::{
    matrix::{Branch, Catalog, Circumstances, Edition, MatrixSelection, Ruling},
    observation::ObservedValue,
    report::{Cell, EditionValue, Expectation, Prediction},
    target::{Scope, Target},
    terms::Terms,
    verdict::{Basis, Expected, Reachability, Verdict, judge},
};

/// The documents, and which of their cells are this Service's.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// All that are known.
    pub catalog: &'a Catalog,
    /// Which of them count.
    pub selection: &'a MatrixSelection,
    /// What their cells depend on.
    pub circumstances: &'a Circumstances,
    /// What a run has to live up to beside them.
    pub terms: &'a Terms,
}

impl Judge<'_> {
    /// Judges a cell anew by what was observed and predicted of it: its expectation, what editions say, its verdict and
    /// its hint.
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
            // Where the documents are silent, the model is what there is to hold the cell against.
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

/// The scope of what a name led to, where that was the same each time.
fn scope_seen(cell: &Cell) -> Option<Scope> {
    let mut scopes = cell
        .observed
        .attempts
        .iter()
        .filter_map(|attempt| Some(Scope::of(attempt.remote?.ip())));
    let first = scopes.next()?;
    scopes.all(|scope| scope == first).then_some(first)
}

/// What an edition's word depends on.
fn depends(edition: &Edition, branches: &[Branch]) -> String {
    let branches: Vec<String> = branches.iter().map(Branch::to_string).collect();
    format!(
        "not judged: what {} {} says depends on a fact that is unknown ({})",
        edition.name,
        edition.readable(),
        branches.join("; ")
    )
}

/// Who says what, and whom the observation agrees with.
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

/// Where document and model disagree, which of them what was seen agrees with, and the model's reason.
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
    fn one_edition_says_and_several_say() {
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
