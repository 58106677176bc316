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
    /// What an expectation is based on.
    pub enum Basis("basis") {
        /// A cell of the document says so.
        Stated = "stated",
        /// The document says that every cell it does not list is reachable.
        Implied = "implied",
        /// The forwarding model says so, and no document mentions the cell.
        Predicted = "predicted",
        /// The user requires it. This takes precedence over documents.
        Required = "required",
        /// NetworkPolicies forbid it. This takes precedence over documents.
        Policy = "policy",
    }
}

/// What the documents say about one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Nothing,
    /// The same in every edition that mentions the cell.
    One(Reachability),
    /// Different values in different editions.
    Disputed,
}

/// Judges one cell. The first of these that applies decides:
///
/// 1. The cell could not be observed: it is not observed.
/// 2. It is unstable: it is unstable, since no expectation fits.
/// 3. There is no expectation: it is undocumented.
/// 4. Editions disagree: it is disputed.
/// 5. Otherwise observation and expectation are compared.
#[must_use]
pub const fn judge(observed: ObservedValue, expected: Expected) -> Verdict {
    let observed = match observed {
        ObservedValue::NotObserved => return Verdict::NotObserved,
        ObservedValue::Unstable => return Verdict::Unstable,
        ObservedValue::Reachable => Reachability::Reachable,
        ObservedValue::Unreachable => Reachability::Unreachable,
    };
    match (expected, observed) {
        (Expected::Nothing, _) => Verdict::Undocumented,
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
    use super::{Expected, Reachability, Verdict, judge};
    use crate::observation::ObservedValue;

    #[test]
    fn every_observation_with_every_expectation() {
        let expectations = [
            Expected::Nothing,
            Expected::One(Reachability::Reachable),
            Expected::One(Reachability::Unreachable),
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
