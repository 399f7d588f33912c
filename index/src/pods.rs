//! Pods, known by UID and by name.
//!
//! In: a UID, a namespace, a name and labels. Out: ids, and the owners whose selectors select a
//! pod. The UID is the identity and the name an alias: a StatefulSet's pod comes back under its
//! old name, and the news that the old one is gone may come after the news of the new one.
//!
//! In a namespace a name belongs to one pod at a time. A pod with a new UID and a taken name
//! therefore replaces the one that had it; removing that by its UID finds nothing any more.
//!
//! Pure: no I/O.

use super::classes::Class;
use super::hash::Keyed;
use super::identity::{Identity, Uid};
use super::labels::Canonical;
use super::names::Names;
use super::observe::{Event, Observe};
use super::slab::{NONE, Slab};
use super::{Change, Index, Mark, OwnerId, PodId, Refused};
use std::mem::{replace, take};

#[derive(Clone, Debug)]
pub(super) struct Pod {
    /// The UID where it is no UUID, then the name.
    text: Box<str>,
    /// Of the UID: flat, because its padding would cost eight bytes a pod.
    bits: [u64; 2],
    /// [`NONE`] in a free slot.
    pub(super) class: u32,
    /// Place in the class's list.
    place: u32,
    seen: u32,
    prefix: u16,
}

impl Default for Pod {
    fn default() -> Self {
        Self { text: Box::default(), bits: [0; 2], class: NONE, place: 0, seen: 0, prefix: 0 }
    }
}

impl Pod {
    fn name(&self) -> &str {
        &self.text[usize::from(self.prefix)..]
    }

    const fn uid(&self) -> Uid {
        Uid { bits: self.bits, prefix: self.prefix }
    }

    fn has_uid(&self, uid: Uid, text: &str) -> bool {
        self.uid() == uid && (uid.prefix == 0 || self.text.starts_with(text))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    pub(super) slots: Slab<Pod>,
    by_uid: Names,
    by_name: Names,
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
        let tables = self.by_uid.heap_bytes() + self.by_name.heap_bytes();
        self.slots.heap_bytes() + tables + self.text
    }
}

impl<O: Observe> Index<O> {
    /// Adds a pod, or brings its labels up to date.
    pub fn upsert_pod<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        uid: &str,
        namespace: &str,
        name: &str,
        labels: &[(K, V)],
    ) -> Result<(PodId, Change), Refused> {
        let Some(identity) = Identity::of(self.keyed, uid, name) else {
            return Err(self.counts.refused.note(Refused::Name));
        };
        if let Some(pod) = self.find_identity(identity) {
            let (have_namespace, have_name) = self.pod(PodId(pod)).unwrap_or_default();
            if have_namespace == namespace && have_name == name {
                return self.update_pod(PodId(pod), labels).map(|change| (PodId(pod), change));
            }
            // No API server moves a pod. Anyone who does gets what he asked for.
            self.drop_pod(pod);
        }
        let space = self.space_of(namespace)?;
        let added = self.add_labelled(space, identity, labels);
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
        // Usually seen since the last relist: what is not written need not go back to memory.
        if pod.seen != self.stamp {
            self.pods.slots[id.0].seen = self.stamp;
        }
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

    /// Removes the pods that were last upserted or updated before `mark`: after a relist, those
    /// that are gone. Gives how many.
    pub fn sweep_pods(&mut self, mark: Mark) -> usize {
        let mut gone = 0;
        for pod in 0..self.pods.slots.slots() {
            if self.pods.live(PodId(pod)).is_some_and(|pod| pod.seen < mark.0) {
                self.drop_pod(pod);
                gone += 1;
            }
        }
        self.counts.swept += gone as u64;
        gone
    }

    /// The pod that has a name now.
    #[must_use]
    pub fn find_pod(&self, namespace: &str, name: &str) -> Option<PodId> {
        let space = self.spaces.find(self.keyed, namespace)?;
        self.pod_named(self.name_hash(space, name), space, name).map(PodId)
    }

    /// The pod with a UID.
    #[must_use]
    pub fn find_uid(&self, uid: &str) -> Option<PodId> {
        self.pods.with_uid(self.keyed, Uid::of(self.keyed, uid), uid).map(PodId)
    }

    /// The namespace and name of a pod, unless it is gone.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<(&str, &str)> {
        let pod = self.pods.live(id)?;
        let space = self.classes.slots[pod.class].space;
        Some((&self.spaces.slots[space].name, pod.name()))
    }

    /// Every pod, in no order.
    pub fn pods(&self) -> impl Iterator<Item = PodId> {
        let live = self.pods.slots.iter().filter(|(_, pod)| pod.class != NONE);
        live.map(|(id, _)| PodId(id))
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
        identity: Identity<'_>,
        labels: &[(K, V)],
    ) -> Result<(PodId, Change), Refused> {
        let mut order = take(&mut self.order);
        let labels = Canonical::of(labels, &mut order, &mut self.counts.irregular);
        let class = self.class_of(space, &labels);
        self.keep_order(order);
        self.add_pod(space, class?, identity)
    }

    /// Adds a pod that is not there to a class that is, and removes the one that had its name.
    pub(super) fn add_pod(
        &mut self,
        space: u32,
        class: u32,
        identity: Identity<'_>,
    ) -> Result<(PodId, Change), Refused> {
        let hash = self.name_hash(space, identity.name);
        let old = self.pod_named(hash, space, identity.name);
        if old.is_none() && self.pods.slots.len() >= self.limits.pods {
            self.drop_class_if_empty(class);
            return Err(self.counts.refused.note(Refused::Pods));
        }
        let Identity { uid_text, uid, name } = identity;
        let text = match usize::from(uid.prefix) {
            0 => Box::from(name),
            _ => [uid_text, name].concat().into_boxed_str(),
        };
        self.pods.text += text.len();
        let Uid { bits, prefix } = uid;
        let pod = Pod { text, bits, prefix, seen: self.stamp, ..Pod::default() };
        let pod = self.pods.slots.insert(pod);
        self.join(pod, class);
        let (slots, keyed) = (&self.pods.slots, self.keyed);
        self.pods.by_uid.insert(uid.hash(keyed), pod, |slot| slots[slot].uid().hash(keyed));
        self.tell_pod(pod, class, NONE, true);
        if let Some(old) = old {
            self.pods.by_name.replace(hash, old, pod);
            self.counts.replaced += 1;
            self.forget_pod(old);
            return Ok((PodId(pod), Change::Replaced));
        }
        let Self { pods, classes, spaces, .. } = self;
        pods.by_name.insert(hash, pod, |slot| {
            let pod = &pods.slots[slot];
            let space = classes.slots[pod.class].space;
            keyed.within(spaces.slots[space].salt, keyed.text(pod.name()))
        });
        Ok((PodId(pod), Change::Added))
    }

    fn drop_pod(&mut self, id: u32) {
        let pod = &self.pods.slots[id];
        let hash = self.name_hash(self.classes.slots[pod.class].space, pod.name());
        let Self { pods, classes, spaces, keyed, .. } = self;
        pods.by_name.remove(hash, id, |slot| {
            let pod = &pods.slots[slot];
            let space = classes.slots[pod.class].space;
            keyed.within(spaces.slots[space].salt, keyed.text(pod.name()))
        });
        self.forget_pod(id);
    }

    /// Removes a pod whose name is no longer its own.
    fn forget_pod(&mut self, id: u32) {
        let class = self.pods.slots[id].class;
        self.tell_pod(id, class, NONE, false);
        self.leave(id);
        let (slots, keyed) = (&self.pods.slots, self.keyed);
        let hash = slots[id].uid().hash(keyed);
        self.pods.by_uid.remove(hash, id, |slot| slots[slot].uid().hash(keyed));
        self.pods.text -= self.pods.slots.remove(id).text.len();
        self.drop_class_if_empty(class);
    }

    fn move_pod(&mut self, id: u32, new: u32) {
        let old = self.pods.slots[id].class;
        self.tell_pod(id, old, new, false);
        self.leave(id);
        self.join(id, new);
        self.tell_pod(id, new, old, true);
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

    /// Tells the owners that select `class` and do not select `other`.
    fn tell_pod(&mut self, id: u32, class: u32, other: u32, gained: bool) {
        if !O::LISTENS {
            return;
        }
        for edge in &self.classes.slots[class].selectors {
            if other == NONE || self.linked(other, edge.to).is_none() {
                for owner in self.owners.of(&self.selectors.slots[edge.to]) {
                    self.observer.changed(Event { owner, pod: PodId(id), gained });
                }
            }
        }
    }

    #[inline]
    pub(super) fn find_identity(&self, identity: Identity<'_>) -> Option<u32> {
        self.pods.with_uid(self.keyed, identity.uid, identity.uid_text)
    }

    /// The class of a pod, if it is in `namespace` and has exactly `labels`.
    pub(super) fn class_with<K: AsRef<str>, V: AsRef<str>>(
        &self,
        id: PodId,
        namespace: &str,
        labels: &[(K, V)],
    ) -> Option<u32> {
        let class = self.pods.live(id)?.class;
        let Class { space, labels: have, .. } = &self.classes.slots[class];
        (*self.spaces.slots[*space].name == *namespace && have.is_given(labels)).then_some(class)
    }

    /// Makes room at once, instead of doubling and hashing again on the way.
    pub(super) fn reserve_pods(&mut self, more: usize) {
        let Self { pods, classes, spaces, keyed, limits, .. } = self;
        let more = more.min(limits.pods.saturating_sub(pods.slots.len()));
        let Pods { slots, by_uid, by_name, .. } = pods;
        by_uid.reserve(more, |slot| slots[slot].uid().hash(*keyed));
        by_name.reserve(more, |slot| {
            let space = classes.slots[slots[slot].class].space;
            keyed.within(spaces.slots[space].salt, keyed.text(slots[slot].name()))
        });
    }

    fn name_hash(&self, space: u32, name: &str) -> u64 {
        self.keyed.within(self.spaces.slots[space].salt, self.keyed.text(name))
    }

    fn pod_named(&self, hash: u64, space: u32, name: &str) -> Option<u32> {
        self.pods.by_name.find(hash, |slot| {
            let pod = &self.pods.slots[slot];
            pod.name() == name && self.classes.slots[pod.class].space == space
        })
    }
}
