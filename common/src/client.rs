//! Whether a backend sees the client's own address.

use crate::verdict::Basis;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

words! {
    /// What a backend sees as the address of its client.
    pub enum SourceAddress("source address") {
        /// One of the client's own addresses.
        Kept = "kept",
        /// Another address, because something on the path replaced it.
        Replaced = "replaced",
    }
}

words! {
    /// What was observed of the client's address.
    pub enum ClientValue("client address") {
        /// Each backend that answered saw one of the client's own addresses.
        Kept = "kept",
        /// Each backend that answered saw another address.
        Replaced = "replaced",
        /// The backends did not report it, they differ, or it is unknown whose address they saw.
        NotKnown = "not-known",
    }
}

words! {
    /// How the observed address compares with what is expected.
    pub enum ClientVerdict("client verdict") {
        /// Observed as expected.
        AsExpected = "as-expected",
        /// Expected to be kept, but it is replaced.
        Worse = "worse",
        /// Expected to be replaced, but it is kept.
        Better = "better",
        /// The documents and the forwarding model disagree, or editions do.
        Disputed = "disputed",
        /// It is not known, or there is nothing to compare with.
        NotJudged = "not-judged",
    }
}

/// What backends saw as the address of their client, what was expected, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// What was observed.
    pub value: ClientValue,
    /// The address that the backends saw; `null` if they did not report it, or not the same one each time.
    pub address: Option<IpAddr>,
    /// Whose address it is, if it is not the client's; `null` if that is unknown.
    pub replaced_by: Option<String>,
    /// Why nothing is known.
    pub reason: Option<String>,
    /// What was expected; `null` if nothing was.
    pub expected: Option<ClientExpectation>,
    /// How they compare.
    pub verdict: ClientVerdict,
}

/// What a backend should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientExpectation {
    /// Whether the address should be kept.
    pub value: SourceAddress,
    /// What the expectation is based on.
    pub basis: Basis,
    /// Name of the matrix.
    pub matrix: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// The place in the document that says so.
    pub source: Option<String>,
}

impl Default for Client {
    /// Nothing is known about it.
    fn default() -> Self {
        Self::unknown("no backend reported the client's address")
    }
}

impl Client {
    /// Nothing is known, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            value: ClientValue::NotKnown,
            address: None,
            replaced_by: None,
            reason: Some(reason.into()),
            expected: None,
            verdict: ClientVerdict::NotJudged,
        }
    }

    /// Whether the client's address was lost, although a document states that it is kept or the forwarding model is
    /// certain of it. What only follows from a document is not certain enough to fail a run.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let certain = |expected: &ClientExpectation| {
            matches!(expected.basis, Basis::Stated | Basis::Predicted)
        };
        self.verdict == ClientVerdict::Worse && self.expected.as_ref().is_some_and(certain)
    }
}

/// Compares what was observed with what is expected. `disputed`: the expectation is disputed.
#[must_use]
pub const fn compare(
    observed: ClientValue,
    expected: Option<SourceAddress>,
    disputed: bool,
) -> ClientVerdict {
    let Some(expected) = expected else {
        return ClientVerdict::NotJudged;
    };
    match (observed, expected) {
        (ClientValue::NotKnown, _) => ClientVerdict::NotJudged,
        (_, _) if disputed => ClientVerdict::Disputed,
        (ClientValue::Kept, SourceAddress::Kept)
        | (ClientValue::Replaced, SourceAddress::Replaced) => ClientVerdict::AsExpected,
        (ClientValue::Replaced, SourceAddress::Kept) => ClientVerdict::Worse,
        (ClientValue::Kept, SourceAddress::Replaced) => ClientVerdict::Better,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ClientValue::{Kept, NotKnown, Replaced},
        ClientVerdict::{AsExpected, Better, Disputed, NotJudged, Worse},
        SourceAddress, compare,
    };

    #[test]
    fn every_observation_with_every_expectation() {
        let (kept, replaced) = (Some(SourceAddress::Kept), Some(SourceAddress::Replaced));
        for (observed, expected, disputed, verdict) in [
            (Kept, kept, false, AsExpected),
            (Replaced, replaced, false, AsExpected),
            (Replaced, kept, false, Worse),
            (Kept, replaced, false, Better),
            (Replaced, kept, true, Disputed),
            (Kept, None, false, NotJudged),
            (Replaced, None, false, NotJudged),
            (NotKnown, kept, false, NotJudged),
            (NotKnown, replaced, true, NotJudged),
        ] {
            assert_eq!(
                compare(observed, expected, disputed),
                verdict,
                "{observed}, {expected:?}, disputed {disputed}"
            );
        }
    }
}
