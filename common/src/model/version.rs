//! Versions of Kubernetes.

use std::{fmt, str::FromStr};

/// A version of Kubernetes. Build and vendor suffixes (`-r0`, `+k3s1`) are ignored, since no rule depends on them.
///
/// ```
/// use svc_reach_common::model::Version;
///
/// let version: Version = "v1.30.2+k3s1".parse()?;
/// assert_eq!(version, Version::new(1, 30, 2));
/// # Ok::<(), svc_reach_common::model::VersionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major version; 1 so far.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Patch version; 0 if the text has none.
    pub patch: u16,
}

/// A text that is not a version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Kubernetes version such as v1.30.2")]
pub struct VersionError(pub String);

/// The newest tag whose source was read.
const NEWEST_TAG: &str = "v1.37.2";

impl Version {
    /// The newest version whose rules the model knows.
    pub const NEWEST: Self = Self::new(1, 37, 0);

    /// Makes a version from its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether it is 1.`minor` or later.
    #[must_use]
    pub const fn since(self, minor: u16) -> bool {
        self.major > 1 || self.minor >= minor
    }

    /// Whether it is between 1.`first` and 1.`last`, both included.
    #[must_use]
    pub const fn between(self, first: u16, last: u16) -> bool {
        self.since(first) && !self.since(last + 1)
    }

    /// The tag of kubernetes/kubernetes at which this version's rules were read.
    ///
    /// Versions up to 1.30 were read in the copies that openshift/sdn carries; 1.20.2 was read in Debian's source
    /// package. The rules of 1.15 follow from those of 1.14 and 1.16. Later versions were read in their Go modules. A
    /// version that is newer than [`Self::NEWEST`] gets the newest tag.
    #[must_use]
    pub const fn tag_read(self) -> &'static str {
        if self.major > 1 {
            return NEWEST_TAG;
        }
        match self.minor {
            0..=14 => "v1.14.0",
            15 | 16 => "v1.16.2",
            17 => "v1.17.2",
            18 => "v1.18.2",
            19 => "v1.19.4",
            20 => "v1.20.2",
            21 => "v1.21.1",
            22 => "v1.22.0",
            23 => "v1.23.4",
            24 => "v1.24.3",
            25 => "v1.25.1",
            26 => "v1.26.0",
            27 => "v1.27.1",
            28 => "v1.28.3",
            29 => "v1.29.1",
            30 => "v1.30.3",
            31 => "v1.31.14",
            32 => "v1.32.13",
            33 => "v1.33.13",
            34 => "v1.34.4",
            35 => "v1.35.4",
            36 => "v1.36.3",
            37.. => NEWEST_TAG,
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `v1.30.2`, `1.30`, `v1.27.3-eks-a5565ad`, `v1.28.6-r0`, `1.24+`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let numbers = text.trim().strip_prefix('v').unwrap_or_else(|| text.trim());
        let numbers = numbers.split(['-', '+']).next().unwrap_or_default();
        let mut parts = numbers.split('.').map(str::parse::<u16>);
        let mut next = || parts.next().transpose().map_err(|_| error());
        let major = next()?.ok_or_else(error)?;
        let minor = next()?.ok_or_else(error)?;
        let patch = next()?.unwrap_or_default();
        Ok(Self::new(major, minor, patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_versions_of_clusters() {
        let rows = [
            ("v1.20.2", Version::new(1, 20, 2)),
            ("1.30", Version::new(1, 30, 0)),
            ("v1.27.3-eks-a5565ad", Version::new(1, 27, 3)),
            ("v1.28.6-r0-28.0.28.2", Version::new(1, 28, 6)),
            ("v1.29.0+k3s1", Version::new(1, 29, 0)),
        ];
        for (text, version) in rows {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        for text in ["", "v1", "one.two", "latest"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    /// A branch moves on; what was read there yesterday may be gone today.
    #[test]
    fn every_version_cites_a_tag() {
        for minor in 14..45 {
            let tag = Version::new(1, minor, 0).tag_read();
            let read: Version = tag.parse().unwrap();
            assert!(read.minor <= Version::NEWEST.minor, "1.{minor}: {tag}");
        }
        let newest: Version = Version::NEWEST.tag_read().parse().unwrap();
        assert_eq!(newest.minor, Version::NEWEST.minor);
        assert_eq!(Version::new(2, 0, 0).tag_read(), "v1.37.2");
    }

    #[test]
    fn since_and_between() {
        let version = Version::new(1, 23, 9);
        assert!(version.since(23) && !version.since(24));
        assert!(version.between(22, 23) && !version.between(24, 25) && !version.between(20, 22));
    }
}
