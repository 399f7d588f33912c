//! Classes: the distinct label sets of each namespace, each with the pods that carry it.
//!
//! In: a namespace and canonical labels. Out: the class that has exactly these, made when there is
//! none yet, and matched against the selectors then and only then: however many pods a workload
//! has, its labels are matched once. A class goes with its last pod.
//!
//! Pure: no I/O.

use super::edges::{Edges, place, push, spilled};
use super::hash::Keyed;
use super::labels::{Canonical, Packed};
use super::signature::Signature;
use super::slab::{NONE, Slab};
use super::table::Table;
use super::{Index, PodId, Refused};
use smallvec::SmallVec;
use std::mem::take;

#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    hash: u64,
    pub(super) labels: Packed,
    pub(super) space: u32,
    /// Place in the namespace's list of classes.
    place: u32,
    pub(super) selectors: Edges,
    pub(super) pods: SmallVec<[PodId; 4]>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    pub(super) slots: Slab<Class>,
    by_labels: Table,
    /// Text of the label sets.
    text: usize,
    /// Heap of the lists of pods.
    lists: usize,
}

impl Classes {
    pub(super) fn add_pod(&mut self, class: u32, pod: PodId) -> u32 {
        let list = &mut self.slots[class].pods;
        push(list, pod, &mut self.lists);
        place(list.len() - 1)
    }

    /// Takes a pod off its class's list. Gives the pod that now stands in its place.
    pub(super) fn take_pod(&mut self, class: u32, at: u32) -> Option<PodId> {
        let list = &mut self.slots[class].pods;
        list.swap_remove(at as usize);
        list.get(at as usize).copied()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.by_labels.heap_bytes() + self.text + self.lists
    }
}

/// Hashes of a label set, in a buffer that is used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashes {
    pub(super) keys: Vec<u64>,
    pub(super) pairs: Vec<u64>,
    /// Of the whole set.
    pub(super) set: u64,
}

impl Hashes {
    #[inline]
    pub(super) fn fill<'a>(
        &mut self,
        keyed: Keyed,
        salt: u64,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.keys.clear();
        self.pairs.clear();
        let mut sum = 0_u64;
        for (key, value) in labels {
            let key = keyed.text(key);
            let pair = keyed.pair(key, keyed.text(value));
            self.keys.push(key);
            self.pairs.push(pair);
            sum = sum.wrapping_add(pair);
        }
        self.set = keyed.within(salt, sum);
    }
}

impl Index {
    /// The class of `labels` in a namespace.
    pub(super) fn class_of<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        space: u32,
        labels: &Canonical<'_, K, V>,
    ) -> Result<u32, Refused> {
        let salt = self.spaces.slots[space].salt;
        self.hashes.fill(self.keyed, salt, labels.iter());
        let hash = self.hashes.set;
        let slots = &self.classes.slots;
        let found = self.classes.by_labels.find(hash, |slot| {
            let class = &slots[slot];
            class.hash == hash && class.space == space && class.labels.is_canonical(labels)
        });
        if let Some(class) = found {
            return Ok(class);
        }
        if self.classes.slots.len() >= self.limits.classes {
            return Err(self.counts.refused.note(Refused::Classes));
        }
        let labels = Packed::pack(labels, &mut self.text);
        Ok(self.add_class(space, hash, labels))
    }

    fn add_class(&mut self, space: u32, hash: u64, labels: Packed) -> u32 {
        self.counts.new_classes += 1;
        self.classes.text += labels.heap_bytes();
        let mut signature = Signature::default();
        self.hashes.pairs.iter().for_each(|pair| signature.add_pair(*pair));
        self.hashes.keys.iter().for_each(|key| signature.add_key(*key));
        let at = self.spaces.slots[space].classes.len();
        let class = Class { hash, labels, space, place: place(at), ..Class::default() };
        let class = self.classes.slots.insert(class);
        self.classes.by_labels.insert(hash, class, |slot| self.classes.slots[slot].hash);
        self.spaces.slots[space].classes.push(class);
        self.spaces.slots[space].signatures.push(signature);

        let mut candidates = take(&mut self.candidates);
        self.gather(space, &mut candidates);
        self.counts.candidates += candidates.len() as u64;
        for selector in candidates.drain(..) {
            if self.selects(selector, space, &self.classes.slots[class].labels) {
                self.counts.matched += 1;
                self.edges.link(
                    &mut self.classes.slots,
                    &mut self.selectors.slots,
                    class,
                    selector,
                );
            }
        }
        self.candidates = candidates;
        class
    }

    /// Puts the selectors that the hashed label set has to be tried on into `out`, each once.
    fn gather(&self, space: u32, out: &mut Vec<u32>) {
        let Hashes { keys, pairs, set: _ } = &self.hashes;
        let own = &self.spaces.slots[space];
        for scope in [(&own.scope, own.salt), self.spaces.scope(NONE)] {
            if scope.0.selectors > 0 {
                for (key, pair) in keys.iter().zip(pairs) {
                    self.anchors.probe(self.keyed, scope, (*key, *pair), out);
                }
                out.extend_from_slice(&scope.0.unanchored);
            }
        }
        if out.len() > 1 {
            out.sort_unstable();
            out.dedup();
        }
    }

    /// Drops a class that lost its last pod, and its namespace when nothing else keeps that.
    pub(super) fn drop_class_if_empty(&mut self, class: u32) {
        if !self.classes.slots[class].pods.is_empty() {
            return;
        }
        self.edges.isolate_class(&mut self.classes.slots, &mut self.selectors.slots, class);
        let hash = self.classes.slots[class].hash;
        self.classes.by_labels.remove(hash, class, |slot| self.classes.slots[slot].hash);
        let Class { labels, space, place, pods, .. } = self.classes.slots.remove(class);
        self.classes.text -= labels.heap_bytes();
        self.classes.lists -= spilled(&pods);
        let own = &mut self.spaces.slots[space];
        own.classes.swap_remove(place as usize);
        own.signatures.swap_remove(place as usize);
        if let Some(moved) = own.classes.get(place as usize) {
            self.classes.slots[*moved].place = place;
        }
        self.drop_space_if_empty(space);
    }
}
