//! Collects evidence.

use svc_reach_common::report::Evidence;

/// The evidence collected so far.
#[derive(Default)]
pub struct Notes(pub Vec<Evidence>);

impl Notes {
    pub fn add(&mut self, fact: &str, value: impl ToString, source: impl Into<String>) {
        self.0.push(Evidence {
            fact: fact.to_owned(),
            value: value.to_string(),
            source: source.into(),
        });
    }
}
