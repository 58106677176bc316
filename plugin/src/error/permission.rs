//! Permissions that a command needs.

use std::fmt;

/// A permission that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Such as `create`.
    pub verb: &'static str,
    /// Such as `batch`; empty for the core group.
    pub group: &'static str,
    /// Such as `jobs`, or `pods/log`.
    pub resource: &'static str,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

impl Permission {
    /// A verb on a resource of the core group.
    pub const fn core(verb: &'static str, resource: &'static str) -> Self {
        Self::of(verb, "", resource)
    }

    /// A verb on a resource of a named group.
    pub const fn of(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self {
            verb,
            group,
            resource,
        }
    }
}
