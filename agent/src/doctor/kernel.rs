//! The kernel's version and what it is known to carry.
//!
//! In: the text of `/proc/sys/kernel/osrelease`. Out: a version that can be compared. It must not
//! decide which source is used: loading does that.
//!
//! Pure: no I/O.

use probelet_core::facts::SourceKind;
use std::fmt;

/// Major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

impl Version {
    /// From `6.1.0-18-amd64` and the like.
    pub(super) fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// The first version that can carry a source, with nothing else missing.
    pub(super) const fn needed(source_kind: SourceKind) -> Self {
        match source_kind {
            SourceKind::Bpf => Self(6, 2),
            SourceKind::BpfCompat => Self(5, 17),
            SourceKind::Netlink | SourceKind::Procfs => Self(0, 0),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_suffixes_do_not_matter() {
        assert_eq!(Version::parse("6.1.0-18-amd64\n"), Some(Version(6, 1)));
        assert_eq!(Version::parse("6.18.44-fc-v595"), Some(Version(6, 18)));
        assert_eq!(Version::parse("7.0-rc3"), Some(Version(7, 0)));
        assert_eq!(Version::parse("linux"), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version(6, 18) > Version::needed(SourceKind::Bpf));
        assert!(Version(5, 4) < Version::needed(SourceKind::BpfCompat));
    }
}
