//! Labels of a pod or a namespace, of which some may be unknown.

use std::collections::BTreeMap;

/// Labels of a pod or a namespace. By default, nothing is known about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The labels that are known.
    pub known: BTreeMap<String, String>,
    /// Whether there are no others.
    pub complete: bool,
}

impl Labels {
    /// All labels of an object.
    #[must_use]
    pub const fn all(known: BTreeMap<String, String>) -> Self {
        Self {
            known,
            complete: true,
        }
    }

    /// Some labels of an object. It may have others.
    #[must_use]
    pub const fn some(known: BTreeMap<String, String>) -> Self {
        Self {
            known,
            complete: false,
        }
    }

    /// The labels of an object of which none is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::some(BTreeMap::new())
    }

    /// The value of a label, or that it is absent. The outer `None` means that neither is known.
    pub(super) fn get(&self, key: &str) -> Option<Option<&str>> {
        match self.known.get(key) {
            Some(value) => Some(Some(value)),
            None => self.complete.then_some(None),
        }
    }
}
