//! Which backends answered how often.

use serde::{Deserialize, Serialize};

words! {
    /// Whether a backend got its share of the traffic.
    pub enum Share("share") {
        /// It answered.
        Answered = "answered",
        /// It answered no attempt, and the number of attempts rules chance out.
        Silent = "silent",
        /// It answered no attempt, and that may be chance.
        NotKnown = "not-known",
    }
}

words! {
    /// Whether each client stayed with one backend.
    pub enum Affinity("affinity") {
        /// In each cell, one backend gave every answer.
        Held = "held",
        /// In some cell, two backends gave several answers each.
        NotHeld = "not-held",
        /// There were too few answers, or the affinity is too short for this run.
        NotKnown = "not-known",
    }
}

/// Which backends answered how often. Only backends that report their names count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Distribution {
    /// Each backend that is ready or answered.
    pub backends: Vec<BackendAnswers>,
    /// Whether `sessionAffinity: ClientIP` was held; `null` if the Service has none.
    pub affinity: Option<Affinity>,
}

/// How often one backend answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendAnswers {
    /// Name of the pod.
    pub pod: String,
    /// Its node.
    pub node: Option<String>,
    /// Number of its answers.
    pub answers: usize,
    /// Number of attempts for which a proxy chose between this backend and others, and which one of them answered.
    pub attempts: usize,
    /// Number of such attempts after which no answer at all is no chance any more (probability below 1 %).
    pub attempts_needed: usize,
    /// Whether it got its share.
    pub share: Share,
}
