//! Queue: what waits for a write, each thing at most once.
//!
//! In: what something happened to, and how writes ended. Out: what to look at next: first the missing `default`, then
//! statuses, then nodes, each kind in the order of its arrival. What is being written is not given out again before that
//! ended, and is looked at once more if something happened meanwhile: what is written is decided when it is taken out, so
//! that the newest wins. Pure: time and chance are arguments.

use std::collections::{BTreeMap, BTreeSet};

use crate::pace::Millis;

/// A place in the table of nodes.
pub(crate) type NodeId = u32;
/// A place in the table of configurations.
pub(crate) type ConfigId = u32;

/// What can be written, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The configuration `default` where there is none.
    Seed,
    /// The status of a configuration.
    Status(ConfigId),
    /// The `NodeProbe` of a node.
    Probe(NodeId),
}

impl Key {
    const fn kind(self) -> u8 {
        match self {
            Self::Seed => 0,
            Self::Status(_) => 1,
            Self::Probe(_) => 2,
        }
    }

    /// The wait after a failed write, which doubles with each, and the longest.
    const fn back_off(self) -> (Millis, Millis) {
        match self {
            Self::Seed => (2000, 60_000),
            Self::Status(_) => (5000, 60_000),
            Self::Probe(_) => (1000, 300_000),
        }
    }

    /// How long a change waits for others of the same moment, and the least time between two writes.
    const fn gathers(self) -> (Millis, Millis) {
        match self {
            Self::Status(_) => (100, 5000),
            Self::Seed | Self::Probe(_) => (0, 0),
        }
    }
}

/// Where a thing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Out,
    /// With the number of its arrival.
    Ready(u64),
    Later(Millis),
    Flying,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    place: Place,
    again: bool,
    failures: u8,
    not_before: Millis,
}

/// What waits for a write.
#[derive(Debug, Default)]
pub struct Queue {
    slots: BTreeMap<Key, Slot>,
    /// By kind and arrival.
    ready: BTreeMap<(u8, u64), Key>,
    later: BTreeSet<(Millis, Key)>,
    arrivals: u64,
}

impl Queue {
    /// Something happened to it. What waits out a failure goes on waiting; what was to be looked at later is looked at now.
    pub(crate) fn offer(&mut self, key: Key, now: Millis) {
        let slot = self.slots.entry(key).or_default();
        let at = (now + key.gathers().0).max(slot.not_before);
        match slot.place {
            Place::Flying => slot.again = true,
            Place::Ready(_) => {}
            Place::Later(sooner) if sooner <= at => {}
            Place::Later(_) | Place::Out => self.put(key, at, now),
        }
    }

    /// Looks at it at a time, unless it is looked at before.
    pub(crate) fn offer_at(&mut self, key: Key, at: Millis) {
        let slot = self.slots.entry(key).or_default();
        if slot.place == Place::Out {
            let at = at.max(slot.not_before);
            self.put(key, at, 0);
        }
    }

    /// Takes out what is next; it counts as being written until [`Queue::idle`], [`Queue::done`] or [`Queue::failed`].
    pub fn pop(&mut self, now: Millis) -> Option<Key> {
        while let Some(&(_, key)) = self.later.first().filter(|(at, _)| *at <= now) {
            self.put(key, now, now);
        }
        let (_, key) = self.ready.pop_first()?;
        self.slots.entry(key).or_default().place = Place::Flying;
        Some(key)
    }

    /// Nothing was to be written.
    pub fn idle(&mut self, key: Key, now: Millis) {
        let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.place == Place::Flying) else {
            return;
        };
        slot.place = Place::Out;
        if std::mem::take(&mut slot.again) {
            self.offer(key, now);
        }
    }

    /// The write went well.
    pub fn done(&mut self, key: Key, now: Millis) {
        let slot = self.slots.entry(key).or_default();
        (slot.failures, slot.not_before) = (0, now + key.gathers().1);
        self.idle(key, now);
    }

    /// The write failed; `chance` is from 0 to 255. Returns when it is tried again.
    pub fn failed(&mut self, key: Key, not_before: Millis, now: Millis, chance: u8) -> Millis {
        let slot = self.slots.entry(key).or_default();
        let (first, longest) = key.back_off();
        let wait = (first << slot.failures.min(20)).min(longest);
        slot.failures = slot.failures.saturating_add(1);
        // Half to one and a half times as long, so that what failed together is not tried together.
        let at = (now + wait / 2 + wait * u64::from(chance) / 255).max(not_before);
        if slot.place == Place::Flying {
            (slot.again, slot.not_before) = (false, at);
            self.put(key, at, now);
        }
        at
    }

    /// It is gone and its place will be another's, who waits until a write that is under way has ended.
    pub fn forget(&mut self, key: Key) {
        let Some(slot) = self.slots.remove(&key) else { return };
        match slot.place {
            Place::Ready(arrival) => drop(self.ready.remove(&(key.kind(), arrival))),
            Place::Later(at) => drop(self.later.remove(&(at, key))),
            Place::Out => {}
            Place::Flying => {
                self.slots.insert(key, Slot { place: Place::Flying, ..Slot::default() });
            }
        }
    }

    /// Whether it is being written.
    #[must_use]
    pub(crate) fn is_flying(&self, key: Key) -> bool {
        self.slots.get(&key).is_some_and(|slot| slot.place == Place::Flying)
    }

    /// Nodes that wait or are being written.
    #[must_use]
    pub fn nodes(&self) -> usize {
        let nodes = self.slots.range(Key::Probe(NodeId::MIN)..);
        nodes.filter(|(_, slot)| slot.place != Place::Out).count()
    }

    /// When [`Queue::pop`] will have something, if nothing happens before.
    #[must_use]
    pub fn next(&self) -> Option<Millis> {
        if self.ready.is_empty() { self.later.first().map(|(at, _)| *at) } else { Some(0) }
    }

    /// Moves it to where it waits until `at`.
    fn put(&mut self, key: Key, at: Millis, now: Millis) {
        let slot = self.slots.entry(key).or_default();
        if let Place::Later(old) = slot.place {
            self.later.remove(&(old, key));
        }
        if at > now {
            slot.place = Place::Later(at);
            self.later.insert((at, key));
        } else {
            self.arrivals += 1;
            slot.place = Place::Ready(self.arrivals);
            self.ready.insert((key.kind(), self.arrivals), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key::Probe(7);
    const STATUS: Key = Key::Status(1);

    #[test]
    fn a_node_waits_once_however_often_something_happens_to_it() {
        let mut queue = Queue::default();
        queue.offer(A, 0);
        queue.offer(A, 0);

        assert_eq!(queue.pop(0), Some(A));
        assert_eq!(queue.pop(0), None);
    }

    #[test]
    fn a_node_that_is_being_written_comes_again_only_after_that() {
        let mut queue = Queue::default();
        queue.offer(A, 0);
        queue.pop(0);
        queue.offer(A, 0);

        assert_eq!(queue.pop(0), None);
        queue.done(A, 0);
        assert_eq!(queue.pop(0), Some(A));
    }

    #[test]
    fn what_is_missing_goes_first_then_statuses_then_nodes_in_their_order() {
        let mut queue = Queue::default();
        for key in [Key::Probe(9), STATUS, Key::Probe(2), Key::Seed] {
            queue.offer(key, 0);
        }

        let order: Vec<Key> = std::iter::from_fn(|| queue.pop(100)).collect();

        assert_eq!(order, [Key::Seed, STATUS, Key::Probe(9), Key::Probe(2)]);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_bound() {
        let mut queue = Queue::default();
        let mut waits = Vec::new();
        queue.offer(A, 0);
        let mut now = 0;
        for _ in 0..12 {
            queue.pop(now).unwrap();
            let at = queue.failed(A, 0, now, 128);
            waits.push(at - now);
            now = at;
        }

        assert!(waits.is_sorted(), "{waits:?}");
        assert!((900..1100).contains(&waits[0]), "{waits:?}");
        assert!((290_000..310_000).contains(&waits[11]), "{waits:?}");
    }

    #[test]
    fn news_do_not_cut_a_back_off_short() {
        let mut queue = Queue::default();
        queue.offer(A, 0);
        queue.pop(0);
        let at = queue.failed(A, 5000, 0, 0);
        queue.offer(A, 10);

        assert_eq!((at, queue.pop(4999), queue.next()), (5000, None, Some(5000)));
        assert_eq!(queue.pop(5000), Some(A));
    }

    #[test]
    fn news_come_before_the_time_at_which_it_would_be_looked_at_anyway() {
        let mut queue = Queue::default();
        queue.offer_at(A, 30_000);
        assert_eq!(queue.pop(5000), None);

        queue.offer(A, 5000);

        assert_eq!(queue.pop(5000), Some(A));
        queue.idle(A, 5000);
        assert_eq!(queue.pop(30_000), None);
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let mut queue = Queue::default();
        for _ in 0..8 {
            queue.offer(A, 1 << 40);
            queue.pop(1 << 40).unwrap();
            queue.failed(A, 0, 0, 0);
        }
        queue.pop(1 << 40).unwrap();
        queue.done(A, 0);
        queue.offer(A, 0);
        queue.pop(0);

        assert_eq!(queue.failed(A, 0, 0, 0), 500);
    }

    #[test]
    fn a_forgotten_node_leaves_nothing_behind() {
        let mut queue = Queue::default();
        for id in 1..=2 {
            queue.offer(Key::Probe(id), 0);
        }
        queue.offer_at(Key::Probe(3), 10);
        queue.forget(Key::Probe(1));
        queue.forget(Key::Probe(3));

        assert_eq!((queue.nodes(), queue.pop(99)), (1, Some(Key::Probe(2))));
        queue.offer(Key::Probe(1), 99);
        assert_eq!(queue.pop(99), Some(Key::Probe(1)));
    }

    #[test]
    fn the_place_of_what_is_being_written_is_free_when_that_has_ended() {
        let mut queue = Queue::default();
        queue.offer(STATUS, 0);
        queue.pop(100).unwrap();
        queue.forget(STATUS);

        queue.offer(STATUS, 200);

        assert_eq!(queue.pop(10_000), None);
        queue.idle(STATUS, 10_000);
        assert_eq!(queue.pop(10_100), Some(STATUS));
    }

    #[test]
    fn a_status_is_written_at_once_and_then_at_most_every_five_seconds() {
        let mut queue = Queue::default();
        queue.offer(STATUS, 1000);
        assert_eq!(queue.pop(1100), Some(STATUS));
        queue.done(STATUS, 1110);

        queue.offer(STATUS, 1200);
        queue.offer(STATUS, 2000);

        assert_eq!((queue.pop(6109), queue.next()), (None, Some(6110)));
        assert_eq!(queue.pop(6110), Some(STATUS));
        queue.done(STATUS, 6110);
        assert_eq!(queue.pop(60_000), None);
    }
}
