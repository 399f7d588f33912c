//! Namespaces: their labels, their selectors and their classes.
//!
//! In: names and labels. Out: slots, and new edges where a namespace's labels change what selectors
//! of the whole cluster select in it. A namespace that was only heard of through pods or owners is
//! dropped with the last of them; one that was set stays until it is removed.
//!
//! Pure: no I/O.

use super::hash::Keyed;
use super::labels::{Canonical, Packed};
use super::selectors::Compiled;
use super::signature::Signatures;
use super::slab::{NONE, Slab};
use super::table::Table;
use super::{Index, Refused};
use std::collections::BTreeSet;
use std::mem::{replace, size_of, take};

/// Longest name of a namespace: a DNS label.
const MAX_NAME: usize = 63;

/// The selectors of one namespace, or of the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Selectors that demand no label, which every label set has to be tried on.
    pub(super) unanchored: Vec<u32>,
    pub(super) selectors: u32,
    /// Those filed under a bare key.
    pub(super) on_key: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    pub(super) name: Box<str>,
    pub(super) labels: Packed,
    pub(super) salt: u64,
    pub(super) scope: Scope,
    pub(super) classes: Vec<u32>,
    /// One for each of `classes`.
    pub(super) signatures: Signatures,
    pub(super) owners: u32,
    /// Whether someone set its labels, be they empty.
    declared: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Namespaces {
    pub(super) slots: Slab<Space>,
    by_name: Table,
    /// What holds in every namespace.
    pub(super) cluster: Scope,
    /// Of `cluster`.
    salt: u64,
    /// Selectors of the cluster that ask for labels of the namespace.
    pub(super) choosy: BTreeSet<u32>,
    text: usize,
}

impl Namespaces {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { salt: keyed.salt(0, NONE), ..Self::default() }
    }

    #[inline]
    pub(super) fn find(&self, keyed: Keyed, name: &str) -> Option<u32> {
        self.by_name.find(keyed.text(name), |slot| &*self.slots[slot].name == name)
    }

    fn add(&mut self, keyed: Keyed, name: &str) -> u32 {
        let hash = keyed.text(name);
        let slot = self.slots.insert(Space { name: name.into(), ..Space::default() });
        self.slots[slot].salt = keyed.salt(hash, slot);
        self.text += name.len();
        self.by_name.insert(hash, slot, |slot| keyed.text(&self.slots[slot].name));
        slot
    }

    fn remove(&mut self, keyed: Keyed, slot: u32) {
        let hash = keyed.text(&self.slots[slot].name);
        self.by_name.remove(hash, slot, |slot| keyed.text(&self.slots[slot].name));
        let Space { name, labels, .. } = self.slots.remove(slot);
        self.text -= name.len() + labels.heap_bytes();
    }

    /// The scope of a namespace, or of the cluster.
    pub(super) fn scope(&self, slot: u32) -> (&Scope, u64) {
        match self.slots.get(slot) {
            Some(space) => (&space.scope, space.salt),
            None => (&self.cluster, self.salt),
        }
    }

    pub(super) fn scope_mut(&mut self, slot: u32) -> &mut Scope {
        if slot == NONE { &mut self.cluster } else { &mut self.slots[slot].scope }
    }

    pub(super) fn unanchored(&self) -> usize {
        let own = self.slots.iter().map(|(_, space)| space.scope.unanchored.len());
        own.sum::<usize>() + self.cluster.unanchored.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let lists = |space: &Space| {
            let numbers = space.classes.capacity() + space.scope.unanchored.capacity();
            numbers * size_of::<u32>() + space.signatures.heap_bytes()
        };
        self.slots.heap_bytes()
            + self.by_name.heap_bytes()
            + self.text
            + self.cluster.unanchored.capacity() * size_of::<u32>()
            + self.slots.iter().map(|(_, space)| lists(space)).sum::<usize>()
    }
}

impl Index {
    /// A namespace's labels, as its object has them: now or at any time later.
    ///
    /// Only selectors of the cluster with a `namespaceSelector` ask for them.
    pub fn set_namespace<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: &str,
        labels: &[(K, V)],
    ) -> Result<(), Refused> {
        let space = self.space_of(name)?;
        let own = &mut self.spaces.slots[space];
        own.declared = true;
        if own.labels.is_given(labels) {
            return Ok(());
        }
        let mut order = take(&mut self.order);
        let labels = Canonical::of(labels, &mut order, &mut self.counts.irregular);
        let packed = Packed::pack(&labels, &mut self.text);
        self.keep_order(order);
        self.relabel_space(space, packed);
        Ok(())
    }

    /// The namespace's object is gone. Its pods and owners stay until they are removed, as in the
    /// cluster, where they go one by one; to a `namespaceSelector` they now stand in a namespace
    /// without labels.
    pub fn remove_namespace(&mut self, name: &str) -> bool {
        let Some(space) = self.spaces.find(self.keyed, name) else { return false };
        let was = replace(&mut self.spaces.slots[space].declared, false);
        self.relabel_space(space, Packed::default());
        self.drop_space_if_empty(space);
        was
    }

    /// The namespace of a name; a new one when it was not heard of.
    pub(super) fn space_of(&mut self, name: &str) -> Result<u32, Refused> {
        if let Some(space) = self.spaces.find(self.keyed, name) {
            return Ok(space);
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(self.counts.refused.note(Refused::Name));
        }
        if self.spaces.slots.len() >= self.limits.namespaces {
            return Err(self.counts.refused.note(Refused::Namespaces));
        }
        Ok(self.spaces.add(self.keyed, name))
    }

    pub(super) fn drop_space_if_empty(&mut self, space: u32) {
        let own = self.spaces.slots.get(space).filter(|own| !own.name.is_empty());
        if own.is_some_and(|own| !own.declared && own.owners == 0 && own.classes.is_empty()) {
            self.spaces.remove(self.keyed, space);
        }
    }

    fn relabel_space(&mut self, space: u32, labels: Packed) {
        let added = labels.heap_bytes();
        let old = replace(&mut self.spaces.slots[space].labels, labels);
        self.spaces.text = self.spaces.text + added - old.heap_bytes();
        let choosy: Vec<u32> = self.spaces.choosy.iter().copied().collect();
        for selector in choosy {
            let Some(wanted) = &self.selectors.slots[selector].spaces else { continue };
            let is = wanted.matches(&self.spaces.slots[space].labels);
            if wanted.matches(&old) == is {
                continue;
            }
            for at in 0..self.spaces.slots[space].classes.len() {
                let class = self.spaces.slots[space].classes[at];
                if is {
                    self.admit(selector, class);
                } else {
                    self.expel(selector, class);
                }
            }
        }
    }

    /// Links a class to a selector that its namespace has just become eligible for.
    fn admit(&mut self, selector: u32, class: u32) {
        let Compiled { selector: wanted, .. } = &self.selectors.slots[selector];
        if wanted.as_ref().is_some_and(|wanted| wanted.matches(&self.classes.slots[class].labels)) {
            self.edges.link(&mut self.classes.slots, &mut self.selectors.slots, class, selector);
        }
    }

    fn expel(&mut self, selector: u32, class: u32) {
        let edges = &self.classes.slots[class].selectors;
        if let Some(at) = edges.iter().position(|edge| edge.to == selector) {
            self.edges.unlink(&mut self.classes.slots, &mut self.selectors.slots, class, at);
        }
    }
}
