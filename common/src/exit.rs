//! Exit codes, which scripts rely on.

/// How a run ends. A code never changes its meaning after a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Every cell was observed and is as expected.
    AsExpected,
    /// A cell is worse or better than expected, or unstable.
    Differs,
    /// The command line, or a file given to it, is wrong.
    Usage,
    /// Some cell could not be observed, or nothing could be compared.
    Incomplete,
    /// The cluster refused a request or failed.
    Cluster,
    /// SIGINT arrived, and the run cleaned up.
    Interrupted,
    /// SIGTERM or SIGHUP arrived, and the run cleaned up.
    Terminated,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 7] = [
        Self::AsExpected,
        Self::Differs,
        Self::Usage,
        Self::Incomplete,
        Self::Cluster,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::Differs => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Cluster => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The more important of two ends has the higher rank.
    const fn rank(self) -> u8 {
        match self {
            Self::Interrupted => 6,
            Self::Terminated => 5,
            Self::Usage => 4,
            Self::Cluster => 3,
            Self::Differs => 2,
            Self::Incomplete => 1,
            Self::AsExpected => 0,
        }
    }

    /// How a run ends in which both happened: the more important of the two.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        if self.rank() >= other.rank() {
            self
        } else {
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_most_important_end_wins() {
        let order = [130, 143, 2, 4, 1, 3, 0];
        for a in Exit::ALL {
            for b in Exit::ALL {
                let gravest = order
                    .iter()
                    .find(|code| [a.code(), b.code()].contains(code))
                    .copied();
                assert_eq!(Some(a.and(b).code()), gravest, "{a:?} and {b:?}");
            }
        }
    }
}
