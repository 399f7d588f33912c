//! How long to wait after failures, so that those who lost the same server do not come back in step.
//!
//! In: how often something failed in a row, a random number. Out: a length of time. It must not sleep.
//!
//! Pure: no clock; the random number is an argument.

use std::time::Duration;

/// `first`, doubled with each failure up to `most`, less up to half of that.
#[must_use]
pub fn doubled((first, most): (Duration, Duration), failures: u32, random: u64) -> Duration {
    let full = first.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(most);
    let part = u32::try_from(random % 1024).unwrap_or(0);
    full.saturating_sub(full / 2 * part / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_at_least_half_of_it() {
        let bounds = (Duration::from_secs(1), Duration::from_secs(30));
        let most = |failures| doubled(bounds, failures, 0).as_secs();
        assert_eq!([0, 1, 4, 5, 40].map(most), [1, 2, 16, 30, 30]);

        let least = doubled(bounds, 40, 1023);
        assert!(least >= bounds.1 / 2 && least < bounds.1 / 2 + Duration::from_millis(20));
    }
}
