//! Decides what a backend should see as the client's address.

use super::Judge;
use crate::{
    client::{Client, ClientExpectation, SourceAddress, compare},
    matrix::{Situation, Statement},
    report::Prediction,
    verdict::Basis,
};

/// What is expected, and whether documents and model, or editions, disagree about it.
type Expected = (Option<ClientExpectation>, bool);

impl Judge<'_> {
    /// Judges what was observed of the client's address.
    pub(super) fn judge_client(
        &self,
        client: &mut Client,
        predicted: Option<&Prediction>,
        situations: &[Situation],
    ) {
        let statements = self.catalog.clients(self.selection, situations);
        let model = predicted.and_then(|predicted| predicted.client_kept);
        let (expected, disputed) = expect(&statements, model.map(SourceAddress::of));
        let value = expected.as_ref().map(|expected| expected.value);
        client.verdict = compare(client.value, value, disputed);
        client.expected = expected;
    }
}

impl SourceAddress {
    const fn of(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Replaced }
    }
}

/// Decides what is expected. There is one statement for each situation that is possible with the facts that are known.
/// The order of precedence:
///
/// 1. The documents, if they say the same in every situation. If the model is certain of something else, or editions
///    disagree, the expectation is disputed.
/// 2. The model, if it is certain.
fn expect(
    statements: &[Option<Statement<'_, SourceAddress>>],
    model: Option<SourceAddress>,
) -> Expected {
    let by_model = model.map(|value| ClientExpectation {
        value,
        basis: Basis::Predicted,
        matrix: None,
        edition: None,
        source: None,
    });
    let Some(Some(first)) = statements.first() else {
        return (by_model, false);
    };
    let (edition, cell) = (first.first.edition, first.first.cell);
    let same = |statement: &Option<Statement<'_, SourceAddress>>| {
        statement.as_ref().map(|other| other.first.cell.value) == Some(cell.value)
    };
    if !statements.iter().all(same) {
        return (by_model, false);
    }
    let disputed = statements.iter().flatten().any(Statement::is_disputed);
    let source = cell.source.as_ref().unwrap_or(&edition.source);
    let documented = ClientExpectation {
        value: cell.value,
        basis: cell.basis,
        matrix: Some(edition.name.clone()),
        edition: Some(edition.edition.clone()),
        source: Some(format!("{source} ({})", cell.pointer)),
    };
    let contradicted = model.is_some_and(|model| model != cell.value);
    (Some(documented), disputed || contradicted)
}
