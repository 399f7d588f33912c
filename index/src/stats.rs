//! The index's account of itself.
//!
//! In: an index. Out: how much it holds, how much memory that takes, how much work it did, and
//! what it refused. Cheap enough for every scrape.
//!
//! Pure: no I/O.

use super::labels::Irregular;
use super::{Index, Refused};

/// What an index holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pods held.
    pub pods: usize,
    /// Owners held.
    pub owners: usize,
    /// Distinct label sets of all namespaces.
    pub classes: usize,
    /// Distinct selectors of all scopes.
    pub selectors: usize,
    /// Selectors that demand no label, so that every new label set is tried on them.
    pub unanchored: usize,
    /// Namespaces held.
    pub namespaces: usize,
    /// Pairs of a label set and a selector that selects it.
    pub edges: usize,
    /// Heap memory, names and labels included.
    pub bytes: usize,
    /// What was done since the start.
    pub counts: Counts,
}

/// Counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Label sets that were not known and had to be matched.
    pub new_classes: u64,
    /// Selectors on which those were tried.
    pub candidates: u64,
    /// Selectors among the candidates that did select them.
    pub matched: u64,
    /// Pods that changed from one label set to another.
    pub relabelled: u64,
    /// Label sets that were not as the API server would give them.
    pub irregular: Irregular,
    /// What was not taken in.
    pub refused: RefusedCounts,
}

/// Refusals by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedCounts {
    /// Pods over the limit.
    pub pods: u64,
    /// Owners over the limit.
    pub owners: u64,
    /// Label sets over the limit.
    pub classes: u64,
    /// Namespaces over the limit.
    pub namespaces: u64,
    /// Names or UIDs that are empty or longer than the API server allows.
    pub names: u64,
}

impl RefusedCounts {
    /// Counts a refusal on its way out.
    pub(super) const fn note(&mut self, refused: Refused) -> Refused {
        match refused {
            Refused::Pods => self.pods += 1,
            Refused::Owners => self.owners += 1,
            Refused::Classes => self.classes += 1,
            Refused::Namespaces => self.namespaces += 1,
            Refused::Name => self.names += 1,
            Refused::Gone => {} // the caller's mistake, not a loss
        }
        refused
    }
}

impl Index {
    /// What the index holds and did.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            pods: self.pods.slots.len(),
            owners: self.owners.slots.len(),
            classes: self.classes.slots.len(),
            selectors: self.selectors.slots.len(),
            unanchored: self.spaces.unanchored(),
            namespaces: self.spaces.slots.len(),
            edges: self.edges.edges,
            bytes: self.heap_bytes(),
            counts: self.counts,
        }
    }

    fn heap_bytes(&self) -> usize {
        self.pods.heap_bytes()
            + self.owners.heap_bytes()
            + self.classes.heap_bytes()
            + self.selectors.heap_bytes()
            + self.spaces.heap_bytes()
            + self.anchors.heap_bytes()
            + self.edges.heap
    }
}
