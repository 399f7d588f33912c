//! Why an end of a connection has no name.
//!
//! In: counts that go up and down. Out: counts. It must not hide a reason: each has a name that
//! report and metrics show.
//!
//! Pure: no I/O.

/// Why an end of a connection has no name of the cluster, though it should have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Unresolved {
    /// The container is a pod's, but no such pod is known.
    NoPodForContainer,
    /// Several pods or Services have the address, and none the better claim.
    AmbiguousAddress,
    /// The objects have not been listed yet.
    NotSynced,
    /// A private address that nothing known explains. Public ones are simply outside.
    UnknownAddress,
    /// The table of names is full.
    NamesFull,
}

impl Unresolved {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::NoPodForContainer,
        Self::AmbiguousAddress,
        Self::NotSynced,
        Self::UnknownAddress,
        Self::NamesFull,
    ];

    /// The reason as a metric label and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPodForContainer => "no_pod_for_container",
            Self::AmbiguousAddress => "ambiguous_address",
            Self::NotSynced => "not_synced",
            Self::UnknownAddress => "unknown_address",
            Self::NamesFull => "names_full",
        }
    }
}

/// How many ends of connections are unresolved now, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps([u64; Unresolved::ALL.len()]);

impl Gaps {
    pub(crate) fn add(&mut self, gap: Option<Unresolved>) {
        if let Some(gap) = gap {
            self.0[gap as usize] += 1;
        }
    }

    pub(crate) fn take(&mut self, gap: Option<Unresolved>) {
        if let Some(gap) = gap {
            self.0[gap as usize] = self.0[gap as usize].saturating_sub(1);
        }
    }

    /// These counts; what is not named has none.
    #[must_use]
    pub fn of(counts: impl IntoIterator<Item = (Unresolved, u64)>) -> Self {
        let mut gaps = Self::default();
        for (reason, n) in counts {
            gaps.0[reason as usize] = n;
        }
        gaps
    }

    /// For each reason the lower one of two counts.
    #[must_use]
    pub fn least(mut self, other: Self) -> Self {
        for (n, other) in self.0.iter_mut().zip(other.0) {
            *n = (*n).min(other);
        }
        self
    }

    /// The count for one reason.
    #[must_use]
    pub const fn get(&self, reason: Unresolved) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count, zero ones included.
    pub fn iter(&self) -> impl Iterator<Item = (Unresolved, u64)> + '_ {
        Unresolved::ALL.iter().map(|&reason| (reason, self.get(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_number() {
        for (number, reason) in Unresolved::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
    }
}
