//! What an observation means beside an expectation.

use crate::observation::Observation;

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
pub const fn judge(observation: &Observation, expected: Expected) -> Verdict {
    let observed = match observation {
        Observation::NotObserved(_) => return Verdict::NotObserved,
        Observation::Unstable { .. } => return Verdict::Unstable,
        Observation::Reachable { .. } => Reachability::Reachable,
        Observation::Unreachable { .. } => Reachability::Unreachable,
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
    use crate::observation::{NotObserved, Observation};

    #[test]
    fn every_observation_beside_every_expectation() {
        let expectations = [
            Expected::Nothing,
            Expected::One(Reachability::Reachable),
            Expected::One(Reachability::Unreachable),
            Expected::Disputed,
        ];
        let summary = String::new;
        let rows = [
            (
                Observation::Reachable { summary: summary() },
                [
                    Verdict::Undocumented,
                    Verdict::AsExpected,
                    Verdict::Better,
                    Verdict::Disputed,
                ],
            ),
            (
                Observation::Unreachable { summary: summary() },
                [
                    Verdict::Undocumented,
                    Verdict::Worse,
                    Verdict::AsExpected,
                    Verdict::Disputed,
                ],
            ),
            (
                Observation::Unstable { summary: summary() },
                [Verdict::Unstable; 4],
            ),
            (
                Observation::NotObserved(NotObserved::Interrupted),
                [Verdict::NotObserved; 4],
            ),
        ];
        for (observation, verdicts) in rows {
            for (expected, verdict) in expectations.into_iter().zip(verdicts) {
                assert_eq!(
                    judge(&observation, expected),
                    verdict,
                    "{observation:?} beside {expected:?}"
                );
            }
        }
    }
}
