//! Label selectors.

use super::labels::Labels;
use std::collections::BTreeMap;

words! {
    /// `matchExpressions[].operator`.
    pub enum Operator("operator") {
        /// The label has one of the values.
        In = "In",
        /// The label is absent or has none of the values.
        NotIn = "NotIn",
        /// The label exists.
        Exists = "Exists",
        /// The label is absent.
        DoesNotExist = "DoesNotExist",
    }
}

/// One of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// How the label is compared.
    pub operator: Operator,
    /// The values to compare with; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// A label selector. All its parts must match, so an empty selector matches everything
/// (`k8s.io/apimachinery` v0.34.4 `pkg/apis/meta/v1/types.go`, `LabelSelector`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether an object with these labels matches; `None` if that depends on a label that is unknown.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> Option<bool> {
        let equal = self
            .labels
            .iter()
            .map(|(key, value)| labels.get(key).map(|found| found == Some(value)));
        let required = self.expressions.iter().map(|one| one.matches(labels));
        let mut unknown = false;
        for part in equal.chain(required) {
            match part {
                Some(false) => return Some(false),
                Some(true) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(true)
    }
}

impl Requirement {
    /// An absent label matches `NotIn` (`k8s.io/apimachinery` v0.34.4 `pkg/labels/selector.go`, `Requirement.Matches`).
    fn matches(&self, labels: &Labels) -> Option<bool> {
        let value = labels.get(&self.key)?;
        let listed = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        Some(match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        })
    }
}
