//! Verdicts that are remembered for a while.
//!
//! In: verdicts by the keyed hash of a token and a right. Out: what is known, and how well. It must not hold a token, or
//! grow: the least useful verdict goes first.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::kube::Verdict;
use probelet_core::hash::HashMap;
use std::time::Duration;

/// Verdicts at most, some 100 bytes each. A node has a handful of readers, and tenants need one for each namespace.
const ENTRIES: usize = 512;
/// How long verdicts are of use.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A good one: with `grace`, a minute, for which a reader whose right was taken away can go on.
    pub good: Duration,
    /// A bad one: anyone who just got the right need not wait.
    pub bad: Duration,
    /// So much longer is a good one of use while it waits to be asked about again.
    pub grace: Duration,
    /// So much longer is a good one of use while no one can be asked.
    pub outage: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            good: Duration::from_secs(50),
            bad: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            outage: Duration::from_hours(1),
        }
    }
}

/// A keyed hash of a token and a right. The key is this process's secret, so no one can choose what these are.
pub(super) type Key = [u8; 32];

/// What is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// As good as asking.
    Fresh(Verdict),
    /// It was good until a moment ago; to be trusted if it has to wait for its turn.
    Late,
    /// It was good; to be trusted only if no one can be asked.
    WasGood,
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    at: Duration,
}

impl Entry {
    fn is_good(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    fn fresh_until(&self, terms: &Terms) -> Duration {
        self.at + if self.is_good() { terms.good } else { terms.bad }
    }

    fn useful_until(&self, terms: &Terms) -> Duration {
        self.fresh_until(terms) + if self.is_good() { terms.outage } else { Duration::ZERO }
    }
}

/// The verdicts.
#[derive(Debug, Default)]
pub(super) struct Cache {
    terms: Terms,
    entries: HashMap<Key, Entry>,
}

impl Cache {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, entries: HashMap::default() }
    }

    pub(super) fn find(&self, key: &Key, now: Duration) -> Known {
        match self.entries.get(key) {
            Some(entry) if now < entry.fresh_until(&self.terms) => {
                Known::Fresh(entry.verdict.clone())
            }
            Some(entry) if now < entry.useful_until(&self.terms) => {
                let late = now < entry.fresh_until(&self.terms) + self.terms.grace;
                if late { Known::Late } else { Known::WasGood }
            }
            _ => Known::Nothing,
        }
    }

    pub(super) fn keep(&mut self, key: Key, verdict: Verdict, now: Duration) {
        if self.entries.len() >= ENTRIES && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(key, Entry { verdict, at: now });
    }

    /// Bad verdicts go before good ones, or strangers with made-up tokens could push out who is known; among equals
    /// the oldest goes.
    fn make_room(&mut self, now: Duration) {
        let terms = &self.terms;
        self.entries.retain(|_, entry| now < entry.useful_until(terms));
        if self.entries.len() < ENTRIES {
            return;
        }
        let least = self.entries.iter().min_by_key(|(_, entry)| (entry.is_good(), entry.at));
        if let Some(key) = least.map(|(key, _)| *key) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn key(n: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&n.to_le_bytes());
        key
    }

    fn after(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_good_verdict_is_fresh_for_fifty_seconds_and_a_minute_at_most() {
        let mut cache = Cache::default();
        cache.keep(key(1), Verdict::Allowed, START);

        assert_eq!(cache.find(&key(1), after(49)), Known::Fresh(Verdict::Allowed));
        assert_eq!(cache.find(&key(1), after(50)), Known::Late);
        assert_eq!(cache.find(&key(1), after(60)), Known::WasGood);
    }

    #[test]
    fn a_good_verdict_is_of_use_for_another_hour_and_no_longer() {
        let mut cache = Cache::default();
        cache.keep(key(1), Verdict::Allowed, START);

        assert_eq!(cache.find(&key(1), after(50 + 3599)), Known::WasGood);
        assert_eq!(cache.find(&key(1), after(50 + 3600)), Known::Nothing);
    }

    #[test]
    fn a_bad_verdict_is_forgotten_after_ten_seconds() {
        for bad in [Verdict::Unknown, Verdict::Forbidden { user: "eve".into() }] {
            let mut cache = Cache::default();
            cache.keep(key(1), bad.clone(), START);

            assert_eq!(cache.find(&key(1), after(9)), Known::Fresh(bad));
            assert_eq!(cache.find(&key(1), after(10)), Known::Nothing);
        }
    }

    #[test]
    fn a_new_verdict_replaces_the_old_one() {
        let mut cache = Cache::default();
        cache.keep(key(1), Verdict::Allowed, START);

        cache.keep(key(1), Verdict::Unknown, after(301));

        assert_eq!(cache.find(&key(1), after(302)), Known::Fresh(Verdict::Unknown));
    }

    #[test]
    fn a_flood_of_bad_tokens_does_not_push_out_a_good_one() {
        let mut cache = Cache::default();
        cache.keep(key(0), Verdict::Allowed, START);

        for n in 1..2000 {
            cache.keep(key(n), Verdict::Unknown, START);
        }

        assert_eq!(cache.find(&key(0), after(1)), Known::Fresh(Verdict::Allowed));
        assert_eq!(cache.entries.len(), ENTRIES);
    }

    #[test]
    fn of_too_many_good_verdicts_the_oldest_goes() {
        let mut cache = Cache::default();
        let most = u16::try_from(ENTRIES).unwrap();
        for n in 0..=most {
            cache.keep(key(n), Verdict::Allowed, after(u64::from(n) / 100));
        }
        cache.keep(key(most + 1), Verdict::Allowed, after(6));

        let kept = (0..100).filter(|&n| cache.find(&key(n), after(6)) != Known::Nothing).count();
        assert_eq!((kept, cache.entries.len()), (98, ENTRIES));
    }
}
