//! Rates between snapshots, and what was lost in the last minute.
//!
//! In: counters of a snapshot and its time. Out: how fast they grow. It must not spike when a
//! counter is refreshed less often than snapshots come: a rate is taken over a whole window, and
//! the window is at least as long as the interval at which the counter is read.
//!
//! Pure: no I/O, no clock; time is an argument.

use probelet_core::facts::{Loss, Losses};
use probelet_core::hash::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// Counters of many things, sampled once a window.
#[derive(Debug)]
pub(super) struct Meter<K, const N: usize> {
    base: HashMap<K, [u64; N]>,
    next: HashMap<K, [u64; N]>,
    base_ms: u64,
    next_ms: u64,
    now_ms: u64,
    samples: u8,
}

impl<K, const N: usize> Default for Meter<K, N> {
    fn default() -> Self {
        let (base, next) = (HashMap::default(), HashMap::default());
        Self { base, next, base_ms: 0, next_ms: 0, now_ms: 0, samples: 0 }
    }
}

impl<K: Hash + Eq, const N: usize> Meter<K, N> {
    /// Takes note of the time, and of all counters when the window has gone by: on most snapshots
    /// nothing is copied.
    pub(super) fn look(
        &mut self,
        now_ms: u64,
        window_ms: u64,
        counters: impl Iterator<Item = (K, [u64; N])>,
    ) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.samples > 0 && self.now_ms < self.next_ms + window_ms {
            return;
        }
        std::mem::swap(&mut self.base, &mut self.next);
        self.base_ms = self.next_ms;
        self.next.clear();
        self.next.extend(counters);
        self.next_ms = self.now_ms;
        self.samples = self.samples.saturating_add(1);
    }

    /// Growth per second of each counter of `key`, which stands at `now`; `None` before there are
    /// two looks to compare, or when it was not there at the earlier one (`born_ms` says that it
    /// came into being later: then it grew from zero).
    pub(super) fn rate(&self, key: &K, now: [u64; N], born_ms: Option<u64>) -> Option<[f64; N]> {
        // Until a second window begins, the first sample is all there is to compare with.
        let (base, base_ms) = match self.samples {
            0 => return None,
            1 => (&self.next, self.next_ms),
            _ => (&self.base, self.base_ms),
        };
        let elapsed_ms = self.now_ms.checked_sub(base_ms).filter(|&ms| ms > 0)?;
        let from = match base.get(key) {
            Some(&from) => from,
            None if born_ms.is_some_and(|born| born >= base_ms) => [0; N],
            None => return None,
        };
        Some(std::array::from_fn(|n| {
            crate::figures::float(now[n].saturating_sub(from[n])) * 1000.0
                / crate::figures::float(elapsed_ms)
        }))
    }

    /// When the earlier of the two samples was taken.
    pub(super) const fn since_ms(&self) -> u64 {
        if self.samples < 2 { self.next_ms } else { self.base_ms }
    }
}

/// Distance of the samples of [`LastMinute`].
const STEP_MS: u64 = 10_000;
/// How far back it looks.
const MINUTE_MS: u64 = 60_000;

/// Running totals of losses, one every ten seconds of the last minute.
#[derive(Debug, Default)]
pub(super) struct LastMinute {
    samples: VecDeque<(u64, Losses)>,
    now: Losses,
}

impl LastMinute {
    /// Takes note of the totals. What was lost before the first look is history.
    pub(super) fn look(&mut self, now_ms: u64, totals: Losses) {
        self.now = totals;
        if self.samples.back().is_none_or(|&(at, _)| now_ms >= at + STEP_MS) {
            self.samples.push_back((now_ms, totals));
        }
        while self.samples.get(1).is_some_and(|&(at, _)| at + MINUTE_MS <= now_ms) {
            self.samples.pop_front();
        }
    }

    /// What was lost in the last minute, non-zero reasons only.
    pub(super) fn losses(&self) -> impl Iterator<Item = (Loss, u64)> + '_ {
        let before = self.samples.front().map_or(Losses::default(), |&(_, losses)| losses);
        self.now
            .iter()
            .map(move |(loss, n)| (loss, n.saturating_sub(before.get(loss))))
            .filter(|&(_, n)| n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_refreshed_every_ten_seconds_has_a_steady_rate() {
        let mut meter = Meter::<u8, 1>::default();
        let mut rates = Vec::new();
        for second in 0..60 {
            let counter = second / 10 * 1000;
            meter.look(second * 1000, 10_000, [(1, [counter])].into_iter());
            rates.extend(meter.rate(&1, [counter], None).filter(|_| second >= 20));
        }

        assert!(rates.iter().all(|&[r]| (50.0..=150.0).contains(&r)), "{rates:?}");
    }

    #[test]
    fn there_is_no_rate_before_the_second_look() {
        let mut meter = Meter::<u8, 1>::default();
        meter.look(1000, 2000, [(1, [500])].into_iter());
        assert_eq!(meter.rate(&1, [500], None), None);

        meter.look(2000, 2000, std::iter::empty());
        assert_eq!(meter.rate(&1, [510], None), Some([10.0]));
    }

    #[test]
    fn what_was_there_before_but_not_seen_has_no_rate_and_what_was_born_since_has() {
        let mut meter = Meter::<u8, 1>::default();
        meter.look(1000, 5000, std::iter::empty());
        meter.look(3000, 5000, std::iter::empty());

        assert_eq!(meter.rate(&1, [1_000_000], Some(500)), None);
        assert_eq!(meter.rate(&1, [20], Some(1500)), Some([10.0]));
    }

    #[test]
    fn losses_older_than_a_minute_are_forgotten() {
        let mut minute = LastMinute::default();
        let mut totals = Losses::default();
        minute.look(0, totals);
        totals.add(Loss::Vanished, 5);
        minute.look(1000, totals);
        assert_eq!(minute.losses().collect::<Vec<_>>(), [(Loss::Vanished, 5)]);

        for second in 2..75 {
            minute.look(second * 1000, totals);
        }

        assert_eq!(minute.losses().count(), 0);
        assert!(minute.samples.len() <= 8);
    }
}
