//! Decides a cell's verdict from its observation, the documents and the model.

use crate::{
    matrix::{
        Branch, Catalog, Circumstances, Edition, EditionReading, MatrixSelection, Ruling, Standing,
        Statement,
    },
    observation::ObservedValue,
    report::{Cell, EditionValue, Expectation, Prediction},
    target::{Scope, Target},
    terms::Terms,
    verdict::{Basis, Decision, Documented, Expected, Reachability, Verdict, expect, judge},
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
        let target = Target {
            scope: cell.target.scope.or_else(|| scope_seen(cell)),
            ..cell.target.clone()
        };
        let situations = self.circumstances.situations(cell.position, &target);
        let ruling = self.catalog.ruling(self.selection, &situations);
        let predicted = cell.predicted.as_ref();
        let observed = cell.observed.value;
        let certain = predicted.and_then(|predicted| predicted.reachable);
        let branches: Vec<Documented> = ruling.branches.iter().map(Branch::documented).collect();
        let decision = expect(&branches, certain);
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
                hints.extend(
                    predicted.and_then(|predicted| disagreement(value, predicted, observed)),
                );
                let against = if disputed {
                    Expected::Disputed
                } else {
                    Expected::One(value)
                };
                (Some(documented(statement)), against)
            }
            (None, Decision::Model(value)) => {
                hints.extend(depends(&ruling, "judged by the forwarding model"));
                (Some(by_model(value)), Expected::One(value))
            }
            (None, _) => {
                hints.extend(depends(&ruling, "not judged"));
                (None, Expected::Nothing)
            }
        };
        if observed == ObservedValue::Unreachable {
            let documented = statement.and_then(|statement| {
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

/// The expectation that a document gives.
fn documented(statement: &Statement<'_>) -> Expectation {
    let (edition, cell) = (statement.first.edition, statement.first.cell);
    let source = cell.source.as_ref().unwrap_or(&edition.source);
    Expectation {
        value: cell.value,
        basis: cell.basis,
        matrix: Some(edition.name.clone()),
        edition: Some(edition.edition.clone()),
        source: Some(format!("{source} ({})", cell.pointer)),
    }
}

/// The expectation that the forwarding model gives.
const fn by_model(value: Reachability) -> Expectation {
    Expectation {
        value,
        basis: Basis::Predicted,
        matrix: None,
        edition: None,
        source: None,
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
