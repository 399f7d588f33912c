//! Queue: which nodes wait for a write, each at most once.
//!
//! In: nodes that something happened to, and how their writes ended. Out: the next node to plan for. A node that is
//! being written is not given out again before that ended, and is looked at once more if something happened meanwhile:
//! what is written is decided when it is taken out, so that the newest wins. Pure: time and chance are arguments.

use std::collections::{BTreeSet, VecDeque};

use crate::pace::Millis;

/// The first wait after a failed write; it doubles with each.
const FIRST: Millis = 1000;
/// The longest.
const LONGEST: Millis = 300_000;

/// A place in the table of nodes.
pub type NodeId = u32;

/// Where a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Out,
    Ready,
    Later(Millis),
    Flying,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    place: Place,
    again: bool,
    failures: u8,
}

/// Nodes that wait for a write.
#[derive(Debug, Default)]
pub struct Queue {
    slots: Vec<Slot>,
    ready: VecDeque<NodeId>,
    later: BTreeSet<(Millis, NodeId)>,
    flying: usize,
}

impl Queue {
    /// Something happened to the node. One that waits out a failure goes on waiting.
    pub fn offer(&mut self, id: NodeId) {
        let slot = self.slot(id);
        match slot.place {
            Place::Out => {
                slot.place = Place::Ready;
                self.ready.push_back(id);
            }
            Place::Flying => slot.again = true,
            Place::Ready | Place::Later(_) => {}
        }
    }

    /// Looks at the node again at a time, unless it is looked at before.
    pub fn offer_at(&mut self, id: NodeId, at: Millis) {
        let slot = self.slot(id);
        if slot.place == Place::Out {
            slot.place = Place::Later(at);
            self.later.insert((at, id));
        }
    }

    /// Takes out the next node; it counts as being written until [`Queue::idle`] or [`Queue::done`].
    pub fn pop(&mut self, now: Millis) -> Option<NodeId> {
        while let Some(&(at, id)) = self.later.first().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, id));
            self.slot(id).place = Place::Ready;
            self.ready.push_back(id);
        }
        let id = self.ready.pop_front()?;
        self.slot(id).place = Place::Flying;
        self.flying += 1;
        Some(id)
    }

    /// Nothing was to be written.
    pub fn idle(&mut self, id: NodeId) {
        self.land(id);
    }

    /// The write went well.
    pub fn done(&mut self, id: NodeId) {
        self.slot(id).failures = 0;
        self.land(id);
    }

    /// The write failed; `chance` is from 0 to 255. Returns when it is tried again.
    pub fn failed(&mut self, id: NodeId, not_before: Millis, now: Millis, chance: u8) -> Millis {
        let slot = self.slot(id);
        let wait = (FIRST << slot.failures.min(20)).min(LONGEST);
        slot.failures = slot.failures.saturating_add(1);
        // Half to one and a half times as long, so that what failed together is not tried together.
        let at = (now + wait / 2 + wait * u64::from(chance) / 255).max(not_before);
        if slot.place == Place::Flying {
            *slot = Slot { place: Place::Later(at), again: false, ..*slot };
            self.flying -= 1;
            self.later.insert((at, id));
        }
        at
    }

    /// The node is gone and its place will be another's. Not for one that is being written.
    pub fn forget(&mut self, id: NodeId) {
        let place = self.slot(id).place;
        match place {
            Place::Ready => self.ready.retain(|&other| other != id),
            Place::Later(at) => drop(self.later.remove(&(at, id))),
            Place::Out | Place::Flying => {}
        }
        if place == Place::Flying {
            self.flying -= 1;
        }
        *self.slot(id) = Slot::default();
    }

    /// Whether the node is being written.
    #[must_use]
    pub fn is_flying(&self, id: NodeId) -> bool {
        self.slots.get(id as usize).is_some_and(|slot| slot.place == Place::Flying)
    }

    /// Nodes that wait or are being written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len() + self.later.len() + self.flying
    }

    /// Whether nothing waits and nothing is being written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When [`Queue::pop`] will have a node, if nothing happens before.
    #[must_use]
    pub fn next(&self) -> Option<Millis> {
        if self.ready.is_empty() { self.later.first().map(|(at, _)| *at) } else { Some(0) }
    }

    fn land(&mut self, id: NodeId) {
        let slot = self.slot(id);
        if slot.place != Place::Flying {
            return;
        }
        slot.place = Place::Out;
        let again = std::mem::take(&mut slot.again);
        self.flying -= 1;
        if again {
            self.offer(id);
        }
    }

    fn slot(&mut self, id: NodeId) -> &mut Slot {
        let index = id as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        &mut self.slots[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_waits_once_however_often_something_happens_to_it() {
        let mut queue = Queue::default();
        queue.offer(7);
        queue.offer(7);

        assert_eq!(queue.pop(0), Some(7));
        assert_eq!(queue.pop(0), None);
    }

    #[test]
    fn a_node_that_is_being_written_comes_again_only_after_that() {
        let mut queue = Queue::default();
        queue.offer(7);
        queue.pop(0);
        queue.offer(7);

        assert_eq!(queue.pop(0), None);
        queue.done(7);
        assert_eq!(queue.pop(0), Some(7));
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_bound() {
        let mut queue = Queue::default();
        let mut waits = Vec::new();
        queue.offer(1);
        let mut now = 0;
        for _ in 0..12 {
            queue.pop(now).unwrap();
            let at = queue.failed(1, 0, now, 128);
            waits.push(at - now);
            now = at;
        }

        assert!(waits.is_sorted(), "{waits:?}");
        assert!((900..1100).contains(&waits[0]), "{waits:?}");
        assert!((290_000..310_000).contains(&waits[11]), "{waits:?}");
    }

    #[test]
    fn news_do_not_cut_a_wait_short() {
        let mut queue = Queue::default();
        queue.offer(1);
        queue.pop(0);
        let at = queue.failed(1, 5000, 0, 0);
        queue.offer(1);

        assert_eq!((at, queue.pop(4999), queue.next()), (5000, None, Some(5000)));
        assert_eq!(queue.pop(5000), Some(1));
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let mut queue = Queue::default();
        for _ in 0..8 {
            queue.offer(1);
            queue.pop(1 << 40).unwrap();
            queue.failed(1, 0, 0, 0);
        }
        queue.pop(1 << 40).unwrap();
        queue.done(1);
        queue.offer(1);
        queue.pop(0);

        assert_eq!(queue.failed(1, 0, 0, 0), FIRST / 2);
    }

    #[test]
    fn a_forgotten_node_leaves_nothing_behind() {
        let mut queue = Queue::default();
        queue.offer(1);
        queue.offer(2);
        queue.offer_at(3, 10);
        queue.forget(1);
        queue.forget(3);

        assert_eq!((queue.len(), queue.pop(99)), (1, Some(2)));
        queue.offer(1);
        assert_eq!(queue.pop(99), Some(1));
    }
}
