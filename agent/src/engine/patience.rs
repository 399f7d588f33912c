//! How long a source that fails is left alone, and when another one is looked for.
//!
//! In: that a pass failed, or did not. Out: for how long nothing is read, and whether the sources are tried again. Each such
//! trial may load BPF programs, 50 to 70 ms of CPU, so that there must be an end to it: ever rarer, as long as it goes on.
//!
//! Pure: no I/O, no clock.

/// After a failed pass the next one waits so long, after the second one twice as long.
const RETRY_NS: u64 = 1_000_000_000;
/// It does not wait longer than this.
const MAX_RETRY_NS: u64 = 60_000_000_000;
/// After so many failed passes in a row another source is looked for; then after twice as many, and so on.
const FAILURES: u32 = 5;

/// Failed passes in a row.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

/// What follows from a failed pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// Nothing is read for so long.
    pub(super) pause_ns: u64,
    /// The sources are tried again.
    pub(super) look: bool,
    /// The first one in a row: worth a line in the log.
    pub(super) first: bool,
}

impl Patience {
    /// A pass was complete.
    pub(super) const fn well(&mut self) {
        self.failures = 0;
    }

    /// A pass failed.
    pub(super) fn failed(&mut self) -> Next {
        self.failures = self.failures.saturating_add(1);
        let pause_ns = RETRY_NS.saturating_mul(u64::from(self.failures)).min(MAX_RETRY_NS);
        // 5, 10, 20, 40 and so on.
        let look =
            self.failures.is_multiple_of(FAILURES) && (self.failures / FAILURES).is_power_of_two();
        Next { pause_ns, look, first: self.failures == 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which the sources are tried again, while every pass fails for a week.
    fn looks() -> Vec<u64> {
        let (mut patience, mut now_ns, mut looks) = (Patience::default(), 0, Vec::new());
        while now_ns < 7 * 86_400 * 1_000_000_000 {
            let next = patience.failed();
            if next.look {
                looks.push(now_ns / 1_000_000_000);
            }
            now_ns += next.pause_ns;
        }
        looks
    }

    #[test]
    fn a_source_that_goes_on_failing_is_loaded_ever_more_rarely() {
        let looks = looks();

        assert_eq!(looks[..4], [10, 45, 190, 780]);
        assert!(looks.windows(3).all(|at| at[2] - at[1] >= 2 * (at[1] - at[0]) - 60), "{looks:?}");
        assert!(looks.len() <= 12, "{looks:?}");
    }

    #[test]
    fn nothing_is_left_alone_for_more_than_a_minute() {
        let mut patience = Patience::default();

        let pauses: Vec<u64> = (0..100).map(|_| patience.failed().pause_ns).collect();

        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[99]), (RETRY_NS, MAX_RETRY_NS));
    }

    #[test]
    fn a_pass_that_goes_well_begins_the_count_again() {
        let mut patience = Patience::default();
        let first = patience.failed();
        patience.failed();

        patience.well();

        assert_eq!(patience.failed(), first);
        assert!(first.first);
    }
}
