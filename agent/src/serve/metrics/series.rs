//! A bounded set of series whose counters never go down.
//!
//! In: for each key, what its counters grew by and what its gauges are. Out: a value per exported
//! key, and one for all others together. A key that was exported stays while it exists and for a
//! while after, so that a client sees no counter start over; new keys come in by weight, the
//! heaviest first, while there is room. Where there is none, the lightest key of the owner who has most
//! gives way to one of an owner who has fewer: no one takes all the room by coming first.
//!
//! Pure: no I/O, no clock; time is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What one key adds: growth of `C` counters, state of `G` gauges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample<const C: usize, const G: usize> {
    pub(super) counters: [f64; C],
    pub(super) gauges: [f64; G],
    /// Which key comes first when there is not room for all.
    pub(super) weight: f64,
}

impl<const C: usize, const G: usize> Default for Sample<C, G> {
    fn default() -> Self {
        Self { counters: [0.0; C], gauges: [0.0; G], weight: 0.0 }
    }
}

impl<const C: usize, const G: usize> Sample<C, G> {
    pub(super) fn add(&mut self, other: &Self) {
        self.counters.iter_mut().zip(other.counters).for_each(|(mine, more)| *mine += more);
        self.gauges.iter_mut().zip(other.gauges).for_each(|(mine, more)| *mine += more);
        self.weight += other.weight;
    }
}

#[derive(Debug)]
struct Entry<const C: usize, const G: usize> {
    value: Sample<C, G>,
    seen: Instant,
}

/// The set.
#[derive(Debug)]
pub(super) struct Series<K, const C: usize, const G: usize> {
    exported: BTreeMap<K, Entry<C, G>>,
    other: Sample<C, G>,
    /// Whether anything was ever folded: from then on `other` is shown.
    overflowed: bool,
    folded: usize,
}

impl<K, const C: usize, const G: usize> Default for Series<K, C, G> {
    fn default() -> Self {
        Self { exported: BTreeMap::new(), other: Sample::default(), overflowed: false, folded: 0 }
    }
}

impl<K: Ord + Clone, const C: usize, const G: usize> Series<K, C, G> {
    /// Takes in what there is now, exporting at most `room` keys.
    pub(super) fn update<O: Ord + Clone>(
        &mut self,
        now: Instant,
        samples: &BTreeMap<K, Sample<C, G>>,
        room: usize,
        ttl: Duration,
        owner: impl Fn(&K) -> O,
    ) {
        self.exported
            .retain(|key, entry| samples.contains_key(key) || now.duration_since(entry.seen) < ttl);
        self.shrink(samples, room);
        let mut waiting: Vec<_> =
            samples.iter().filter(|(key, _)| !self.exported.contains_key(key)).collect();
        // Stable, so that keys of equal weight come in their own order.
        waiting.sort_by(|(_, a), (_, b)| b.weight.total_cmp(&a.weight));
        let free = room.saturating_sub(self.exported.len()).min(waiting.len());
        let left = waiting.split_off(free);
        for (key, _) in waiting {
            self.export(key.clone(), now);
        }
        self.share(samples, left.into_iter().map(|(key, _)| key), now, owner);
        for entry in self.exported.values_mut() {
            entry.value.gauges = [0.0; G];
        }
        self.other.gauges = [0.0; G];
        self.folded = 0;
        for (key, sample) in samples {
            if let Some(entry) = self.exported.get_mut(key) {
                entry.value.add(sample);
                entry.value.weight = sample.weight;
                entry.seen = now;
            } else {
                self.other.add(sample);
                self.folded += 1;
                self.overflowed = true;
            }
        }
    }

    fn export(&mut self, key: K, now: Instant) {
        self.exported.insert(key, Entry { value: Sample::default(), seen: now });
    }

    /// Room for owners who have less of it than others, until no one who waits has two keys fewer
    /// than another. `waiting` are the keys without room, the heaviest first.
    fn share<'a, O: Ord + Clone>(
        &mut self,
        samples: &'a BTreeMap<K, Sample<C, G>>,
        waiting: impl Iterator<Item = &'a K>,
        now: Instant,
        owner: impl Fn(&K) -> O,
    ) where
        K: 'a,
    {
        let mut held: BTreeMap<O, usize> = BTreeMap::new();
        for key in self.exported.keys() {
            *held.entry(owner(key)).or_default() += 1;
        }
        let mut queues: BTreeMap<O, VecDeque<&K>> = BTreeMap::new();
        for key in waiting {
            queues.entry(owner(key)).or_default().push_back(key);
        }
        let have = |held: &BTreeMap<O, usize>, owner: &O| held.get(owner).copied().unwrap_or(0);
        loop {
            let poorest = queues.keys().min_by_key(|owner| have(&held, owner)).cloned();
            let richest = held.iter().max_by_key(|(_, count)| **count);
            let (Some(poorest), Some((richest, &most))) = (poorest, richest) else { return };
            if have(&held, &poorest) + 1 >= most {
                return;
            }
            let richest = richest.clone();
            let its = self.exported.iter().filter(|(key, _)| owner(key) == richest);
            let lightest = its.min_by(|(a, x), (b, y)| {
                let there = samples.contains_key(a).cmp(&samples.contains_key(b));
                there.then(x.value.weight.total_cmp(&y.value.weight))
            });
            let Some(gone) = lightest.map(|(key, _)| key.clone()) else { return };
            self.exported.remove(&gone);
            *held.entry(richest).or_default() -= 1;
            let next = queues.get_mut(&poorest).and_then(VecDeque::pop_front);
            *held.entry(poorest).or_default() += 1;
            if let Some(next) = next {
                self.export(next.clone(), now);
            }
            queues.retain(|_, queue| !queue.is_empty());
        }
    }

    /// Makes room when the limit was lowered: what is gone goes first, then the lightest.
    fn shrink(&mut self, samples: &BTreeMap<K, Sample<C, G>>, room: usize) {
        while self.exported.len() > room {
            let lightest = self.exported.iter().min_by(|(a, x), (b, y)| {
                let order = samples.contains_key(a).cmp(&samples.contains_key(b));
                order.then(x.value.weight.total_cmp(&y.value.weight))
            });
            let Some(key) = lightest.map(|(key, _)| key.clone()) else { return };
            self.exported.remove(&key);
        }
    }

    /// Every exported key with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Sample<C, G>)> + '_ {
        self.exported.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// Whether a key has a series of its own.
    pub(super) fn has(&self, key: &K) -> bool {
        self.exported.contains_key(key)
    }

    /// What was folded, if anything ever was.
    pub(super) fn other(&self) -> Option<&Sample<C, G>> {
        self.overflowed.then_some(&self.other)
    }

    /// Keys that have series of their own, `other` included, and keys that are folded.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.exported.len() + usize::from(self.overflowed), self.folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(1);

    fn samples(of: &[(&'static str, f64)]) -> BTreeMap<&'static str, Sample<1, 1>> {
        let sample = |grown| Sample { counters: [grown], gauges: [1.0], weight: grown };
        of.iter().map(|&(key, grown)| (key, sample(grown))).collect()
    }

    fn counted(series: &Series<&'static str, 1, 1>) -> String {
        let pairs = series.iter().map(|(key, value)| format!("{key} {}", value.counters[0]));
        pairs.collect::<Vec<_>>().join(", ")
    }

    fn keys(series: &Series<&'static str, 1, 1>) -> Vec<&'static str> {
        series.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn the_heaviest_keys_are_exported_and_the_rest_is_other() {
        let mut series = Series::default();

        series.update(
            Instant::now(),
            &samples(&[("a", 1.0), ("b", 9.0), ("c", 5.0)]),
            2,
            TTL,
            |key| *key,
        );

        assert_eq!(keys(&series), ["b", "c"]);
        assert_eq!(series.other().map(|o| o.counters[0].to_string()).as_deref(), Some("1"));
        assert_eq!(series.count(), (3, 1));
    }

    #[test]
    fn an_exported_key_is_not_pushed_out_by_a_heavier_one() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.update(now, &samples(&[("a", 1.0)]), 1, TTL, |key| *key);

        series.update(now, &samples(&[("a", 0.0), ("b", 99.0)]), 1, TTL, |key| *key);

        assert_eq!(keys(&series), ["a"]);
        assert_eq!(counted(&series), "a 1");
    }

    #[test]
    fn a_key_that_comes_back_in_time_goes_on_counting() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.update(now, &samples(&[("a", 7.0)]), 5, TTL, |key| *key);
        series.update(now + TTL / 2, &samples(&[]), 5, TTL, |key| *key);
        assert_eq!(series.iter().map(|(_, v)| v.gauges[0].to_string()).collect::<String>(), "0");

        series.update(now + TTL, &samples(&[("a", 2.0)]), 5, TTL, |key| *key);

        assert_eq!(counted(&series), "a 9");
    }

    #[test]
    fn a_key_that_is_gone_for_long_leaves() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.update(now, &samples(&[("a", 7.0)]), 5, TTL, |key| *key);

        series.update(now + TTL, &samples(&[]), 5, TTL, |key| *key);

        assert_eq!(series.count(), (0, 0));
    }

    #[test]
    fn a_lowered_limit_drops_the_lightest() {
        let (mut series, now) = (Series::default(), Instant::now());
        series.update(now, &samples(&[("a", 3.0), ("b", 1.0), ("c", 2.0)]), 3, TTL, |key| *key);

        series.update(now, &samples(&[("a", 0.0), ("b", 0.0), ("c", 0.0)]), 1, TTL, |key| *key);

        assert_eq!(keys(&series), ["a"]);
    }

    #[test]
    fn no_counter_ever_goes_down_whatever_comes_and_goes() {
        let (mut series, now) = (Series::default(), Instant::now());
        let mut before: BTreeMap<&str, f64> = BTreeMap::new();
        for step in 0..50_u32 {
            let names = ["a", "b", "c", "d", "e", "f"];
            let here = names.iter().zip(0_u32..).filter(|(_, n)| (step / (n + 1)) % 3 != 0);
            let now_here: Vec<_> = here.map(|(&name, n)| (name, f64::from(n + 1))).collect();
            series.update(
                now + Duration::from_secs(u64::from(step)),
                &samples(&now_here),
                3,
                TTL,
                |key| *key,
            );

            let mut after: BTreeMap<_, _> =
                series.iter().map(|(k, v)| (*k, v.counters[0])).collect();
            after.extend(series.other().map(|o| ("other", o.counters[0])));
            for (key, value) in &before {
                assert!(after.get(key).is_none_or(|a| a >= value), "{key} at {step}");
            }
            before = after;
        }
    }

    #[test]
    fn who_came_first_does_not_keep_the_room_from_others() {
        fn owner(key: &&'static str) -> &'static str {
            key.split('/').next().unwrap_or_default()
        }
        let (mut series, now) = (Series::default(), Instant::now());
        let hostile = [("h/1", 90.0), ("h/2", 80.0), ("h/3", 70.0), ("h/4", 60.0)];
        series.update(now, &samples(&hostile), 4, TTL, owner);
        assert_eq!(keys(&series).len(), 4);

        let both = [&hostile[..], &[("v/1", 0.5), ("v/2", 0.2), ("v/3", 0.1)]].concat();
        series.update(now, &samples(&both), 4, TTL, owner);
        series.update(now, &samples(&both), 4, TTL, owner);

        assert_eq!(keys(&series), ["h/1", "h/2", "v/1", "v/2"]);
    }
}
