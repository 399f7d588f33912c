//! Which pods does a Service select, and which Services select a pod: kept up to date, so that
//! asking costs nothing.
//!
//! In: pods, owners (Services, or anything with a name and a selector) and namespaces, as their
//! objects change. Out: for a pod its owners, and for an owner its pods. It must not know state:
//! whether a selected pod is a *member* of a Service (its phase, readiness, host network;
//! `ExternalName`; selectors that are absent because an EndpointSlice does their work) is decided
//! above. It must not know names of pods either: a pod is its UID.
//!
//! ```text
//! pod ──▶ class ◀──edges──▶ selector ◀── owner
//!         one per distinct   one per distinct
//!         label set of a     selector of a
//!         namespace          namespace or the cluster
//! ```
//!
//! Labels are matched once per distinct set, not once per pod, and a new set only against the
//! selectors filed under one of its labels (`anchors`): about one, instead of all of the
//! namespace. A new selector finds its sets by scanning their signatures (`signature`).
//!
//! | event | cost |
//! |---|---|
//! | pod, labels unchanged | comparing their bytes; no hash, no allocation |
//! | pod, labels known | hashing them |
//! | pod, labels new | the same, and the selectors filed under them |
//! | owner, selector new | the sets of the namespace, 24 bytes each, and those it selects |
//! | owners of a pod, pods of an owner | the answer |
//!
//! Hashes are keyed with a seed, so that no one who names pods can make them collide, and every
//! answer that a hash suggests is checked on the text. One writer; anyone who reads on other threads
//! is given a clone.
//!
//! Pure: no I/O, no clock, no locks. The seed is an argument.
#![forbid(unsafe_code)]

mod anchors;
mod classes;
mod edges;
mod hash;
mod identity;
mod labels;
mod ledger;
mod namespaces;
mod owners;
mod pods;
pub mod selector;
mod selectors;
mod signature;
mod slab;
mod stats;
mod table;

pub use labels::{Irregular, MAX_KEY, MAX_LABELS, MAX_VALUE};
pub use stats::{Counts, RefusedCounts, Stats};

use classes::{Classes, Hashes};
use hash::Keyed;
use labels::AsGiven;
use ledger::Ledger;
use namespaces::Namespaces;
use owners::Owners;
use pods::Pods;
use selectors::Selectors;
use smallvec::SmallVec;

/// A pod of an index. Good until the pod is removed or replaced; then it may be given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodId(u32);

/// An owner of an index. Good until the owner is removed; then it may be given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(u32);

impl PodId {
    /// The number itself: small, for use as an index into a table of the caller's.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl OwnerId {
    /// The number itself: small, for use as an index into a table of the caller's.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What an update came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// As it was.
    Unchanged,
    /// New.
    Added,
    /// Known, with other labels or another selector.
    Changed,
}

/// Why something was not taken in. Each is counted in [`RefusedCounts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// [`Limits::pods`].
    #[error("as many pods as allowed are held already")]
    Pods,
    /// [`Limits::owners`].
    #[error("as many owners as allowed are held already")]
    Owners,
    /// [`Limits::classes`].
    #[error("as many distinct label sets as allowed are held already")]
    Classes,
    /// [`Limits::namespaces`].
    #[error("as many namespaces as allowed are held already")]
    Namespaces,
    /// No API server gives such a name or UID.
    #[error("a name or UID is empty or longer than Kubernetes allows")]
    Name,
    /// [`Index::update_pod`] with the id of a pod that was removed. Not counted.
    #[error("the pod was removed before")]
    Gone,
}

/// How much an index may hold. The defaults are about seven times the largest clusters that
/// Kubernetes is tested with (150,000 pods, 10,000 Services).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pods, at about 200 bytes each.
    pub pods: usize,
    /// Owners, at about 300 bytes each with their selectors.
    pub owners: usize,
    /// Distinct label sets, at about 400 bytes each.
    pub classes: usize,
    /// Namespaces, at about 300 bytes each.
    pub namespaces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pods: 1 << 20, owners: 1 << 16, classes: 1 << 20, namespaces: 1 << 16 }
    }
}

/// Pods, owners, and who selects whom.
#[derive(Clone, Debug)]
pub struct Index {
    keyed: Keyed,
    limits: Limits,
    spaces: Namespaces,
    classes: Classes,
    selectors: Selectors,
    edges: Ledger,
    anchors: anchors::Anchors,
    pods: Pods,
    owners: Owners,
    counts: Counts,
    // Buffers that are used again.
    hashes: Hashes,
    candidates: Vec<u32>,
    order: Vec<u32>,
    text: String,
}

impl Index {
    /// An empty index. The seed must be random, once per process.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_limits(seed, Limits::default())
    }

    /// An empty index that holds no more than `limits`.
    #[must_use]
    pub fn with_limits(seed: u64, limits: Limits) -> Self {
        Self::with(Keyed::new(seed), limits)
    }

    /// Hashes of three bits, so that nearly everything collides: answers must stay right.
    #[doc(hidden)]
    #[must_use]
    pub fn with_weak_hashes_for_tests(seed: u64, limits: Limits) -> Self {
        Self::with(Keyed::weak(seed), limits)
    }

    fn with(keyed: Keyed, limits: Limits) -> Self {
        Self {
            keyed,
            limits,
            spaces: Namespaces::new(keyed),
            classes: Classes::default(),
            selectors: Selectors::default(),
            edges: Ledger::default(),
            anchors: anchors::Anchors::default(),
            pods: Pods::default(),
            owners: Owners::default(),
            counts: Counts::default(),
            hashes: Hashes::default(),
            candidates: Vec::new(),
            order: Vec::new(),
            text: String::new(),
        }
    }

    /// Keeps the buffer that labels are sorted through, unless someone's made it huge.
    fn keep_order(&mut self, order: Vec<u32>) {
        self.order = if order.capacity() > 4 * MAX_LABELS { Vec::new() } else { order };
    }

    /// Adds to `out` the owners that select these labels in a namespace: for labels that belong to
    /// no pod of the index. Keeps nothing. Order and repetition are treated as with pods.
    pub fn match_labels<K: AsRef<str>, V: AsRef<str>>(
        &self,
        namespace: &str,
        labels: &[(K, V)],
        out: &mut Vec<OwnerId>,
    ) {
        let space = self.spaces.find(self.keyed, namespace).unwrap_or(slab::NONE);
        let mut candidates = SmallVec::<[u32; 16]>::new();
        let scopes = [space, slab::NONE].map(|scope| self.spaces.scope(scope));
        // No one has heard of the namespace: only what holds in all of them is left.
        let scopes = &scopes[usize::from(space == slab::NONE)..];
        for (key, value) in labels {
            let key = self.keyed.text(key.as_ref());
            let pair = self.keyed.pair(key, self.keyed.text(value.as_ref()));
            for scope in scopes.iter().filter(|(scope, _)| scope.selectors > 0) {
                self.anchors.probe(self.keyed, *scope, (key, pair), &mut candidates);
            }
        }
        for (scope, _) in scopes {
            candidates.extend_from_slice(&scope.unanchored);
        }
        candidates.sort_unstable();
        candidates.dedup();
        for selector in candidates {
            if self.selects(selector, space, &AsGiven(labels)) {
                out.extend(self.owners.of(&self.selectors.slots[selector]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_thread_may_have_a_clone() {
        const fn sendable<T: Send + Sync + Clone>(_: &T) {}

        sendable(&Index::new(1));
    }

    #[test]
    fn an_empty_index_owns_nothing() {
        assert_eq!(Index::new(1).stats().bytes, 0);
    }

    #[test]
    fn records_stay_small() {
        assert_eq!(size_of::<pods::Pod>(), 40);
        assert_eq!(size_of::<owners::Owner>(), 40);
        assert_eq!(size_of::<classes::Class>(), 80);
        assert_eq!(size_of::<selectors::Compiled>(), 80);
    }
}
