//! What an observation means beside an expectation.

use crate::observation::ObservedValue;

words! {
    /// What an observation means beside an expectation.
    pub enum Verdict("verdict") {
        /// Observed as expected.
        AsExpected = "as-expected",
        /// Expected reachable, is not.
        Worse = "worse",
        /// Expected unreachable, is reachable.
        Better = "better",
        /// Editions of the document disagree; the cell says which of them it agrees with.
        Disputed = "disputed",
        /// Some attempts reached the target and some did not.
        Unstable = "unstable",
        /// Could not look.
        NotObserved = "not-observed",
        /// Observed, with nothing to hold it against.
        Undocumented = "undocumented",
    }
}

words! {
    /// What is expected of a cell.
    pub enum Reachability("expectation") {
        /// A client there is served.
        Reachable = "reachable",
        /// A client there is refused, or hears nothing.
        Unreachable = "unreachable",
    }
}

words! {
    /// What an expectation rests on.
    pub enum Basis("basis") {
        /// A cell of the document says so.
        Stated = "stated",
        /// The document says that what it does not list is normal.
        Implied = "implied",
        /// The forwarding model says so, where no document does.
        Predicted = "predicted",
        /// The user requires it, whatever documents say.
        Required = "required",
    }
}

/// What the documents say of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Nothing,
    /// One thing, in every edition that speaks of it.
    One(Reachability),
    /// Different things in different editions.
    Disputed,
}

/// Judges one cell.
///
/// Precedence: a cell that nobody could look at is that, whatever was expected; then an unstable one is unstable, since
/// neither expectation fits it; then editions that disagree make it disputed; then observation and expectation are
/// compared.
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
    fn every_observation_beside_every_expectation() {
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
                    "{observed:?} beside {expected:?}"
                );
            }
        }
    }
}
