//! Coverage: connections observed ÷ connections opened, over the last minute and since the start.
//!
//! In: the kernel's exact per-namespace counters of opened connections, and how many ends the
//! report saw open. Out: a ratio that never claims more than was seen. It must not estimate.
//!
//! Every connection counts once per end: `ActiveOpens` at the client's, `PassiveOpens` at the
//! server's. `AttemptFails` are taken off, because an attempt that failed is no connection.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::facts::Netns;
use rustc_hash::FxHashMap;

/// Buckets of the sliding minute.
const BUCKETS: usize = 6;
/// Width of a bucket, milliseconds.
const BUCKET_MS: u64 = 10_000;

/// Ends opened and ends seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ends that the kernel counted as opened.
    pub opened: u64,
    /// Ends that a pass saw, alive or in TIME_WAIT.
    pub observed: u64,
}

impl Count {
    /// Observed ÷ opened, at most 1; `None` when nothing was opened.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people; 2^52 connections are enough"
    )]
    pub fn ratio(self) -> Option<f64> {
        (self.opened > 0).then(|| (self.observed as f64 / self.opened as f64).min(1.0))
    }

    const fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.observed += other.observed;
    }
}

/// What went wrong with connections, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Attempts, from here or from elsewhere, that never became a connection.
    pub failed: u64,
    /// Connections that ended by a reset.
    pub reset: u64,
}

/// What opened in one namespace between two passes: evidence for directions, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Connections opened from here.
    pub active: u64,
    /// Connections accepted here.
    pub passive: u64,
}

/// The running account.
#[derive(Debug, Default)]
pub struct Coverage {
    last: FxHashMap<u32, Netns>,
    now: FxHashMap<u32, Netns>,
    opened: FxHashMap<u32, Opened>,
    buckets: [Count; BUCKETS],
    bucket: u64,
    total: Count,
    trouble: Trouble,
    started: bool,
}

impl Coverage {
    /// Takes the counters of a pass that also reads sockets. `born` tells whether a namespace that
    /// was not known came into being after the last pass: then all of its opens are news, else
    /// they are history.
    pub fn counters(&mut self, netns: &[Netns], born: impl Fn(u32) -> bool, mono_ms: u64) {
        self.opened.clear();
        self.now.clear();
        let mut opened = 0;
        for &now in netns {
            let before = match self.last.get(&now.inode) {
                Some(&before) => before,
                None if self.started && born(now.inode) => Netns::default(),
                None => now,
            };
            let delta = Opened {
                active: now.active_opens.saturating_sub(before.active_opens),
                passive: now.passive_opens.saturating_sub(before.passive_opens),
            };
            let failed = now.attempt_fails.saturating_sub(before.attempt_fails);
            self.trouble.failed += failed;
            self.trouble.reset += now.estab_resets.saturating_sub(before.estab_resets);
            opened += (delta.active + delta.passive).saturating_sub(failed);
            if delta != Opened::default() {
                self.opened.insert(now.inode, delta);
            }
            self.now.insert(now.inode, now);
        }
        std::mem::swap(&mut self.last, &mut self.now);
        self.started = true;
        self.count(Count { opened, observed: 0 }, mono_ms);
    }

    /// What opened in a namespace between the last two calls of [`Self::counters`].
    #[must_use]
    pub fn opened(&self, netns: u32) -> Opened {
        self.opened.get(&netns).copied().unwrap_or_default()
    }

    /// Adds ends that were seen to have opened.
    pub fn observed(&mut self, ends: u64, mono_ms: u64) {
        self.count(Count { opened: 0, observed: ends }, mono_ms);
    }

    /// The last minute.
    #[must_use]
    pub fn minute(&self) -> Count {
        let mut sum = Count::default();
        self.buckets.iter().for_each(|&b| sum.add(b));
        sum
    }

    /// Since the start.
    #[must_use]
    pub const fn total(&self) -> Count {
        self.total
    }

    /// What went wrong since the start.
    #[must_use]
    pub const fn trouble(&self) -> Trouble {
        self.trouble
    }

    fn count(&mut self, count: Count, mono_ms: u64) {
        let bucket = mono_ms / BUCKET_MS;
        let steps = bucket.saturating_sub(self.bucket).min(BUCKETS as u64);
        for step in 0..steps {
            let n = (bucket - step) % BUCKETS as u64;
            self.buckets[usize::try_from(n).unwrap_or(0)] = Count::default();
        }
        self.bucket = self.bucket.max(bucket);
        self.buckets[usize::try_from(self.bucket % BUCKETS as u64).unwrap_or(0)].add(count);
        self.total.add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn netns(active: u64, passive: u64, fails: u64) -> Netns {
        Netns {
            inode: 1,
            active_opens: active,
            passive_opens: passive,
            attempt_fails: fails,
            ..Netns::default()
        }
    }

    #[test]
    fn what_opened_before_the_agent_started_is_not_asked_of_it() {
        let mut coverage = Coverage::default();

        coverage.counters(&[netns(1000, 500, 0)], |_| true, 0);

        assert_eq!(coverage.minute().ratio(), None);
    }

    #[test]
    fn half_of_the_opened_seen_is_a_coverage_of_one_half() {
        let mut coverage = Coverage::default();
        coverage.counters(&[netns(0, 0, 0)], |_| false, 0);

        coverage.counters(&[netns(10, 10, 0)], |_| false, 1000);
        coverage.observed(10, 1000);

        assert_eq!(coverage.minute().ratio(), Some(0.5));
    }

    #[test]
    fn failed_attempts_are_no_connections() {
        let mut coverage = Coverage::default();
        coverage.counters(&[netns(0, 0, 0)], |_| false, 0);

        coverage.counters(&[netns(5, 0, 5)], |_| false, 1000);

        assert_eq!(coverage.minute().ratio(), None);
    }

    #[test]
    fn what_failed_or_was_reset_since_the_start_is_counted() {
        let mut coverage = Coverage::default();
        coverage.counters(&[Netns { estab_resets: 7, ..netns(0, 0, 40) }], |_| false, 0);

        coverage.counters(&[Netns { estab_resets: 9, ..netns(0, 0, 45) }], |_| false, 1000);

        assert_eq!(coverage.trouble(), Trouble { failed: 5, reset: 2 });
    }

    #[test]
    fn a_new_namespace_counts_from_zero_and_an_old_one_does_not() {
        let mut coverage = Coverage::default();
        coverage.counters(&[], |_| false, 0);

        coverage.counters(
            &[netns(3, 0, 0), Netns { inode: 2, ..netns(70, 0, 0) }],
            |n| n == 1,
            1000,
        );

        assert_eq!(coverage.minute().opened, 3);
    }

    #[test]
    fn the_minute_forgets_what_is_older() {
        let mut coverage = Coverage::default();
        coverage.counters(&[netns(0, 0, 0)], |_| false, 0);
        coverage.counters(&[netns(8, 0, 0)], |_| false, 1000);

        coverage.counters(&[netns(9, 0, 0)], |_| false, 65_000);

        assert_eq!(coverage.minute().opened, 1);
        assert_eq!(coverage.total().opened, 9);
    }
}
