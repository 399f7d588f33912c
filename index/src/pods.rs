//! Pods, known by UID.
//!
//! In: a UID, a namespace and labels. Out: ids, and the owners whose selectors select a pod. Names
//! are the caller's business: two pods may have one name for a moment, when a StatefulSet's pod
//! comes back before the deletion of the old one is seen.
//!
//! Pure: no I/O.

use super::hash::Keyed;
use super::identity::Uid;
use super::labels::Canonical;
use super::slab::{NONE, Slab};
use super::table::Table;
use super::{Change, Index, OwnerId, PodId, Refused};
use std::mem::{replace, take};

#[derive(Clone, Debug)]
pub(super) struct Pod {
    /// The UID where it is no UUID, else empty.
    text: Box<str>,
    /// Of the UID: flat, because its padding would cost eight bytes a pod.
    bits: [u64; 2],
    /// [`NONE`] in a free slot.
    pub(super) class: u32,
    /// Place in the class's list.
    place: u32,
}

impl Default for Pod {
    fn default() -> Self {
        Self { text: Box::default(), bits: [0; 2], class: NONE, place: 0 }
    }
}

impl Pod {
    const fn uid(&self) -> Uid {
        Uid { bits: self.bits, uuid: self.text.is_empty() }
    }

    fn has_uid(&self, uid: Uid, text: &str) -> bool {
        self.uid() == uid && (uid.uuid || *self.text == *text)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    pub(super) slots: Slab<Pod>,
    by_uid: Table,
    text: usize,
}

impl Pods {
    #[inline]
    fn live(&self, id: PodId) -> Option<&Pod> {
        self.slots.get(id.0).filter(|pod| pod.class != NONE)
    }

    #[inline]
    fn with_uid(&self, keyed: Keyed, uid: Uid, text: &str) -> Option<u32> {
        self.by_uid.find(uid.hash(keyed), |slot| self.slots[slot].has_uid(uid, text))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.by_uid.heap_bytes() + self.text
    }
}

impl Index {
    /// Adds a pod, or brings its labels up to date.
    pub fn upsert_pod<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        uid: &str,
        namespace: &str,
        labels: &[(K, V)],
    ) -> Result<(PodId, Change), Refused> {
        let Some(id) = Uid::acceptable(self.keyed, uid) else {
            return Err(self.counts.refused.note(Refused::Name));
        };
        if let Some(pod) = self.pods.with_uid(self.keyed, id, uid) {
            let space = self.classes.slots[self.pods.slots[pod].class].space;
            if *self.spaces.slots[space].name == *namespace {
                return self.update_pod(PodId(pod), labels).map(|change| (PodId(pod), change));
            }
            // No API server moves a pod: it was deleted, and the UID is used again.
            self.drop_pod(pod);
        }
        let space = self.space_of(namespace)?;
        let added = self.add_labelled(space, id, uid, labels);
        if added.is_err() {
            self.drop_space_if_empty(space);
        }
        added
    }

    /// Brings the labels of a pod up to date. Unchanged labels, which is what most updates of a
    /// pod come with, cost a comparison: no hash, no look-up, no allocation.
    ///
    /// A pod whose new labels cannot be kept is removed: no answer is better than a wrong one.
    pub fn update_pod<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        id: PodId,
        labels: &[(K, V)],
    ) -> Result<Change, Refused> {
        let Some(pod) = self.pods.live(id) else { return Err(Refused::Gone) };
        let old = pod.class;
        let class = &self.classes.slots[old];
        if class.labels.is_given(labels) {
            return Ok(Change::Unchanged);
        }
        let space = class.space;
        let mut order = take(&mut self.order);
        let labels = Canonical::of(labels, &mut order, &mut self.counts.irregular);
        let same = !labels.came_in_order() && class.labels.is_canonical(&labels);
        let new = if same { Ok(old) } else { self.class_of(space, &labels) };
        self.keep_order(order);
        match new {
            Ok(new) if new == old => Ok(Change::Unchanged),
            Ok(new) => {
                self.move_pod(id.0, new);
                Ok(Change::Changed)
            }
            Err(refused) => {
                self.drop_pod(id.0);
                Err(refused)
            }
        }
    }

    /// Removes a pod by its UID. Gives its id, unless it was not there.
    pub fn remove_pod(&mut self, uid: &str) -> Option<PodId> {
        let pod = self.pods.with_uid(self.keyed, Uid::of(self.keyed, uid), uid)?;
        self.drop_pod(pod);
        Some(PodId(pod))
    }

    /// The pod with a UID.
    #[must_use]
    pub fn find_pod(&self, uid: &str) -> Option<PodId> {
        self.pods.with_uid(self.keyed, Uid::of(self.keyed, uid), uid).map(PodId)
    }

    /// The owners whose selectors select a pod, in no order.
    #[inline]
    pub fn owners_of(&self, id: PodId) -> impl Iterator<Item = OwnerId> {
        let class = self.pods.live(id).map(|pod| &self.classes.slots[pod.class]);
        let edges = class.map_or(&[][..], |class| &class.selectors[..]);
        edges.iter().flat_map(|edge| self.owners.of(&self.selectors.slots[edge.to]))
    }

    fn add_labelled<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        space: u32,
        uid: Uid,
        text: &str,
        labels: &[(K, V)],
    ) -> Result<(PodId, Change), Refused> {
        if self.pods.slots.len() >= self.limits.pods {
            return Err(self.counts.refused.note(Refused::Pods));
        }
        let mut order = take(&mut self.order);
        let labels = Canonical::of(labels, &mut order, &mut self.counts.irregular);
        let class = self.class_of(space, &labels);
        self.keep_order(order);
        let class = class?;
        let text: Box<str> = if uid.uuid { Box::default() } else { Box::from(text) };
        self.pods.text += text.len();
        let pod = self.pods.slots.insert(Pod { text, bits: uid.bits, ..Pod::default() });
        self.join(pod, class);
        let (slots, keyed) = (&self.pods.slots, self.keyed);
        self.pods.by_uid.insert(uid.hash(keyed), pod, |slot| slots[slot].uid().hash(keyed));
        Ok((PodId(pod), Change::Added))
    }

    fn drop_pod(&mut self, id: u32) {
        let class = self.pods.slots[id].class;
        self.leave(id);
        let (slots, keyed) = (&self.pods.slots, self.keyed);
        let hash = slots[id].uid().hash(keyed);
        self.pods.by_uid.remove(hash, id, |slot| slots[slot].uid().hash(keyed));
        self.pods.text -= self.pods.slots.remove(id).text.len();
        self.drop_class_if_empty(class);
    }

    fn move_pod(&mut self, id: u32, new: u32) {
        let old = self.pods.slots[id].class;
        self.leave(id);
        self.join(id, new);
        self.counts.relabelled += 1;
        self.drop_class_if_empty(old);
    }

    fn join(&mut self, id: u32, class: u32) {
        let place = self.classes.add_pod(class, PodId(id));
        let pod = &mut self.pods.slots[id];
        (pod.class, pod.place) = (class, place);
    }

    fn leave(&mut self, id: u32) {
        let pod = &mut self.pods.slots[id];
        let (class, place) = (replace(&mut pod.class, NONE), pod.place);
        if let Some(moved) = self.classes.take_pod(class, place) {
            self.pods.slots[moved.0].place = place;
        }
    }
}
