//! Ends that the kernel had no space to report: how many there were is what was opened and never seen.
//!
//! In: after each pass, the ends opened and seen since the start, and whether some of them were lost. Out: how many more are
//! certain to be lost. It must not count an end that is only late: what opened in the last passes may still be reported.
//!
//! Pure: no I/O.

use crate::coverage::Count;

/// Passes within which the kernel's worker reports an end.
const LATE: usize = 3;

/// The account of lost ends.
#[derive(Debug, Default)]
pub(super) struct EndsLost {
    /// Ends opened as of the last passes, the newest first.
    opened: [u64; LATE],
    /// Ends that were missing before the first pass with a loss.
    before: u64,
    /// Of those since, how many were counted as lost.
    counted: u64,
    /// Passes until everything that was not lost has been reported; 0 while nothing is lost.
    left: usize,
}

impl EndsLost {
    /// A pass is over, before which so many ends were `missing`: how many more are lost.
    pub(super) fn look(&mut self, missing: u64, now: Count, overrun: bool) -> u64 {
        if overrun {
            if self.left == 0 {
                (self.before, self.counted) = (missing, 0);
            }
            self.left = LATE + 1;
        }
        let recent = now.opened.saturating_sub(self.opened[LATE - 1]);
        self.opened.rotate_right(1);
        self.opened[0] = now.opened;
        if self.left == 0 {
            return 0;
        }
        self.left -= 1;
        let missing = now.opened.saturating_sub(now.observed).saturating_sub(recent);
        let more = missing.saturating_sub(self.before + self.counted);
        self.counted += more;
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(lost: &mut EndsLost, missing: u64, opened: u64, observed: u64, overrun: bool) -> u64 {
        lost.look(missing, Count { opened, observed }, overrun)
    }

    #[test]
    fn what_is_late_is_not_lost_and_what_never_comes_is() {
        let mut lost = EndsLost::default();
        assert_eq!(look(&mut lost, 0, 100, 100, false), 0);

        let all = [(0, 6100, 200, true), (5900, 6100, 4000, false), (2100, 6100, 5000, false)].map(
            |(missing, opened, observed, overrun)| {
                look(&mut lost, missing, opened, observed, overrun)
            },
        );

        assert_eq!(all, [0; 3]);
        assert_eq!(look(&mut lost, 1100, 6100, 5100, false), 1000);
        assert_eq!(look(&mut lost, 1000, 6100, 5100, false), 0);
    }

    #[test]
    fn a_storm_that_goes_on_is_counted_meanwhile() {
        let (mut lost, mut all) = (EndsLost::default(), 0);
        for pass in 1..=10 {
            all += look(&mut lost, 500 * (pass - 1), 1000 * pass, 500 * pass, true);
        }

        assert!(all > 0 && all <= 5000, "{all}");
        for _ in 0..5 {
            all += look(&mut lost, 5000, 10_000, 5000, false);
        }
        assert_eq!(all, 5000);
    }

    #[test]
    fn without_an_overrun_nothing_is_lost_this_way() {
        let mut lost = EndsLost::default();

        for pass in 1..20 {
            assert_eq!(look(&mut lost, 10 * pass, 100 * pass, 50 * pass, false), 0);
        }
    }
}
