//! Compares observations with expectations.

use crate::observation::ObservedValue;

words! {
    /// How an observation compares with an expectation.
    pub enum Verdict("verdict") {
        /// Observed as expected.
        AsExpected = "as-expected",
        /// Expected to be reachable, but it is not.
        Worse = "worse",
        /// Expected to be unreachable, but it is reachable.
        Better = "better",
        /// Editions of the document disagree; the cell says which of them it agrees with.
        Disputed = "disputed",
        /// Some attempts reached the target and some did not.
        Unstable = "unstable",
        /// Could not be observed.
        NotObserved = "not-observed",
        /// Observed, but there is nothing to compare with.
        Undocumented = "undocumented",
    }
}

words! {
    /// What is expected of a cell.
    pub enum Reachability("expectation") {
        /// The client is served.
        Reachable = "reachable",
        /// The client is refused or gets no answer.
        Unreachable = "unreachable",
    }
}

words! {
    /// What a cell is compared with.
    pub enum ExpectedValue("expected value") {
        /// The client is served.
        Reachable = "reachable",
        /// The client is refused or gets no answer.
        Unreachable = "unreachable",
        /// Some attempts are served and some are not, because of a choice on the path. Only the forwarding model expects
        /// this.
        ByChance = "by-chance",
    }
}

impl From<Reachability> for ExpectedValue {
    fn from(value: Reachability) -> Self {
        match value {
            Reachability::Reachable => Self::Reachable,
            Reachability::Unreachable => Self::Unreachable,
        }
    }
}

words! {
    /// What an expectation is based on.
    pub enum Basis("basis") {
        /// A cell of the document says so.
        Stated = "stated",
        /// It follows from the document: from its advice, from an example, or from the statement that every cell it does
        /// not list is reachable.
        Implied = "implied",
        /// The forwarding model says so, and no document mentions the cell.
        Predicted = "predicted",
        /// The user requires it. This takes precedence over documents.
        Required = "required",
        /// NetworkPolicies forbid it. This takes precedence over documents.
        Policy = "policy",
    }
}

/// What the documents or the forwarding model say about one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Nothing,
    /// The same in every edition that mentions the cell.
    One(Reachability),
    /// Different values in different editions.
    Disputed,
    /// Chance decides.
    ByChance {
        /// Whether chance decides anew for each attempt.
        each_attempt: bool,
    },
}

/// What the documents say about a cell in one possible case, such as a possible network model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Documented {
    /// They do not mention the cell.
    Silent,
    /// They say one thing.
    Says(Reachability),
    /// They say both things.
    Disputed,
}

/// What decides the expectation of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing does: there is nothing to compare with.
    Nothing,
    /// The forwarding model.
    Model(Reachability),
    /// What the documents say in the branch of this index.
    Documents(usize),
    /// The documents of the branch of this index, which disagree.
    Disputed(usize),
}

/// Decides what a cell is expected to be. There is one branch for each case that is possible with the facts that are known.
/// `certain` is the prediction of the forwarding model, if the model is certain. The order of precedence:
///
/// 1. In each branch, the documents count. If they are silent there, the certain prediction counts.
/// 2. If all branches then agree, that is the expectation. It belongs to the documents if they speak in any branch.
/// 3. If branches differ or are still silent, the certain prediction is the expectation.
/// 4. If there is no certain prediction either, nothing is expected.
///
/// So a cell with a certain prediction always has something to compare with.
#[must_use]
pub fn expect(branches: &[Documented], certain: Option<Reachability>) -> Decision {
    let by_model = certain.map_or(Decision::Nothing, Decision::Model);
    let spoken = branches
        .iter()
        .position(|branch| *branch != Documented::Silent);
    let Some(first) = spoken else {
        return by_model;
    };
    let resolved = |branch: &Documented| match (branch, certain) {
        (Documented::Silent, Some(value)) => Documented::Says(value),
        (said, _) => *said,
    };
    let same = branches
        .iter()
        .all(|branch| resolved(branch) == branches[first]);
    match branches[first] {
        Documented::Says(_) if same => Decision::Documents(first),
        Documented::Disputed if same => Decision::Disputed(first),
        Documented::Silent | Documented::Says(_) | Documented::Disputed => by_model,
    }
}

/// Judges one cell. The first of these that applies decides:
///
/// 1. The cell could not be observed: it is not observed.
/// 2. It is unstable: it is as expected if chance decides anew for each attempt. Otherwise it is unstable, since no
///    expectation fits.
/// 3. There is no expectation: it is undocumented.
/// 4. Editions disagree: it is disputed.
/// 5. Chance decides: it is as expected if it is reachable. If every attempt failed, it is undocumented: the cause may be
///    chance or an outage, and no verdict is better than a wrong one.
/// 6. Otherwise observation and expectation are compared.
#[must_use]
pub const fn judge(observed: ObservedValue, expected: Expected) -> Verdict {
    let observed = match observed {
        ObservedValue::NotObserved => return Verdict::NotObserved,
        ObservedValue::Unstable => {
            return if matches!(expected, Expected::ByChance { each_attempt: true }) {
                Verdict::AsExpected
            } else {
                Verdict::Unstable
            };
        }
        ObservedValue::Reachable => Reachability::Reachable,
        ObservedValue::Unreachable => Reachability::Unreachable,
    };
    match (expected, observed) {
        (Expected::Nothing, _) | (Expected::ByChance { .. }, Reachability::Unreachable) => {
            Verdict::Undocumented
        }
        (Expected::ByChance { .. }, Reachability::Reachable) => Verdict::AsExpected,
        (Expected::Disputed, _) => Verdict::Disputed,
        (Expected::One(Reachability::Reachable), Reachability::Reachable)
        | (Expected::One(Reachability::Unreachable), Reachability::Unreachable) => {
            Verdict::AsExpected
        }
        (Expected::One(Reachability::Reachable), Reachability::Unreachable) => Verdict::Worse,
        (Expected::One(Reachability::Unreachable), Reachability::Reachable) => Verdict::Better,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Decision::{self, Documents, Model, Nothing},
        Documented::{self, Disputed, Says, Silent},
        Expected,
        Reachability::{self, Reachable, Unreachable},
        Verdict, expect, judge,
    };
    use crate::observation::ObservedValue;

    /// If chance decides, all attempts may succeed, or some, or none.
    #[test]
    fn chance_decides_which_attempts_succeed() {
        let rows = [
            (
                ObservedValue::Reachable,
                [Verdict::AsExpected, Verdict::AsExpected],
            ),
            // A client that stays with its first endpoint is served always or never.
            (
                ObservedValue::Unstable,
                [Verdict::AsExpected, Verdict::Unstable],
            ),
            (ObservedValue::Unreachable, [Verdict::Undocumented; 2]),
            (ObservedValue::NotObserved, [Verdict::NotObserved; 2]),
        ];
        for (observed, verdicts) in rows {
            for (each_attempt, verdict) in [true, false].into_iter().zip(verdicts) {
                let expected = Expected::ByChance { each_attempt };
                assert_eq!(
                    judge(observed, expected),
                    verdict,
                    "{observed}, {expected:?}"
                );
            }
        }
    }

    #[test]
    fn branches_and_prediction_give_one_expectation() {
        let (yes, no) = (Says(Reachable), Says(Unreachable));
        type Row<'a> = (&'a str, &'a [Documented], Option<Reachability>, Decision);
        let rows: [Row<'_>; 14] = [
            ("no documents, no model", &[], None, Nothing),
            ("no documents", &[], Some(Reachable), Model(Reachable)),
            (
                "silent documents",
                &[Silent, Silent],
                Some(Unreachable),
                Model(Unreachable),
            ),
            ("documents alone", &[yes, yes], None, Documents(0)),
            (
                "documents, not the model",
                &[yes, yes],
                Some(Unreachable),
                Documents(0),
            ),
            (
                "the model fills a gap",
                &[Silent, yes],
                Some(Reachable),
                Documents(1),
            ),
            (
                "the model differs in a gap",
                &[yes, Silent],
                Some(Unreachable),
                Model(Unreachable),
            ),
            ("a gap remains", &[yes, Silent], None, Nothing),
            (
                "branches differ",
                &[yes, no],
                Some(Reachable),
                Model(Reachable),
            ),
            ("branches differ, no model", &[yes, no], None, Nothing),
            (
                "disputed everywhere",
                &[Disputed, Disputed],
                Some(Reachable),
                Decision::Disputed(0),
            ),
            (
                "disputed in one branch",
                &[Disputed, yes],
                Some(Reachable),
                Model(Reachable),
            ),
            (
                "disputed and a gap",
                &[Silent, Disputed],
                Some(Reachable),
                Model(Reachable),
            ),
            (
                "disputed and a gap, no model",
                &[Silent, Disputed],
                None,
                Nothing,
            ),
        ];
        for (name, branches, certain, decision) in rows {
            assert_eq!(expect(branches, certain), decision, "{name}");
        }
    }

    #[test]
    fn every_observation_with_every_expectation() {
        let expectations = [
            Expected::Nothing,
            Expected::One(Reachable),
            Expected::One(Unreachable),
            Expected::Disputed,
        ];
        let rows = [
            (
                ObservedValue::Reachable,
                [
                    Verdict::Undocumented,
                    Verdict::AsExpected,
                    Verdict::Better,
                    Verdict::Disputed,
                ],
            ),
            (
                ObservedValue::Unreachable,
                [
                    Verdict::Undocumented,
                    Verdict::Worse,
                    Verdict::AsExpected,
                    Verdict::Disputed,
                ],
            ),
            (ObservedValue::Unstable, [Verdict::Unstable; 4]),
            (ObservedValue::NotObserved, [Verdict::NotObserved; 4]),
        ];
        for (observed, verdicts) in rows {
            for (expected, verdict) in expectations.into_iter().zip(verdicts) {
                assert_eq!(
                    judge(observed, expected),
                    verdict,
                    "{observed:?} with {expected:?}"
                );
            }
        }
    }
}
