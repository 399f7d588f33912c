//! The distinct selectors of each scope, each with the classes it selects.
//!
//! In: a selector and its scope. Out: its slot, made when there is none yet: then it is filed under
//! one label, and the classes it selects are found with one scan over signatures. Ten thousand
//! Services with the same selector are one selector here. It goes with its last owner.
//!
//! Pure: no I/O.

use super::Index;
use super::edges::{Edges, place};
use super::hash::Keyed;
use super::signature::Signature;
use super::slab::{NONE, Slab};
use super::table::Table;
use crate::selector::{Labels, Op, Requirement, Selector};
use smallvec::SmallVec;
use std::mem::{size_of, take};

/// Most values of `In` that a selector is filed under; with more it is filed under the key.
const MAX_FILINGS: usize = 64;
/// From here on a requirement with fewer values is preferred, however rare the values are.
const MANY_VALUES: usize = 4;

/// A selector in its scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    pub(super) selector: Option<Selector>,
    /// The namespaces of a selector of the cluster. `None` is all of them.
    pub(super) spaces: Option<Box<Selector>>,
    hash: u64,
    pub(super) scope: u32,
    /// First filing, or [`NONE`] for a selector that demands no label.
    filing: u32,
    /// Place among the unanchored ones of the scope.
    place: u32,
    on_key: bool,
    /// First of the chain of owners, and its length.
    pub(super) owner: u32,
    pub(super) owners: u32,
    pub(super) classes: Edges,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    pub(super) slots: Slab<Compiled>,
    by_content: Table,
    text: usize,
}

impl Selectors {
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.by_content.heap_bytes() + self.text
    }
}

impl Compiled {
    pub(super) fn is(&self, scope: u32, selector: &Selector, spaces: Option<&Selector>) -> bool {
        self.scope == scope
            && self.selector.as_ref() == Some(selector)
            && self.spaces.as_deref() == spaces
    }

    fn heap_bytes(&self) -> usize {
        let spaces = self.spaces.as_ref().map_or(0, |it| size_of::<Selector>() + it.heap_bytes());
        spaces + self.selector.as_ref().map_or(0, Selector::heap_bytes)
    }
}

/// One requirement that a label set can only meet by carrying a label.
struct Demand {
    key: u64,
    /// The pairs of `In`; empty for operators that only demand the key.
    pairs: SmallVec<[u64; 1]>,
    /// Length of the first value.
    len: usize,
}

impl Demand {
    fn of(keyed: Keyed, requirement: &Requirement<'_>) -> Option<Self> {
        let key = keyed.text(requirement.key);
        match requirement.op {
            Op::NotIn | Op::DoesNotExist => None,
            Op::Exists | Op::GreaterThan | Op::LessThan => {
                Some(Self { key, pairs: <_>::default(), len: 0 })
            }
            Op::In => {
                let len = requirement.values.clone().next().map_or(0, str::len);
                let values = requirement.values.clone();
                let pairs = values.map(|value| keyed.pair(key, keyed.text(value))).collect();
                Some(Self { key, pairs, len })
            }
        }
    }

    /// The bits that a label set's signature must have.
    fn signature(&self, out: &mut Signature) {
        match *self.pairs {
            [pair] => out.add_pair(pair),
            _ => out.add_key(self.key),
        }
    }
}

impl Index {
    /// The slot of a selector in a scope: a namespace, or [`NONE`] for the cluster.
    pub(super) fn selector_of(
        &mut self,
        scope: u32,
        selector: &Selector,
        spaces: Option<&Selector>,
    ) -> u32 {
        let (_, salt) = self.spaces.scope(scope);
        let hash = content_hash(self.keyed, salt, selector, spaces);
        let slots = &self.selectors.slots;
        let same = |slot| slots[slot].hash == hash && slots[slot].is(scope, selector, spaces);
        if let Some(slot) = self.selectors.by_content.find(hash, same) {
            return slot;
        }
        let compiled = Compiled {
            selector: Some(selector.clone()),
            spaces: spaces.cloned().map(Box::new),
            hash,
            scope,
            filing: NONE,
            owner: NONE,
            ..Compiled::default()
        };
        self.selectors.text += compiled.heap_bytes();
        let slot = self.selectors.slots.insert(compiled);
        self.selectors.by_content.insert(hash, slot, |slot| self.selectors.slots[slot].hash);
        if spaces.is_some() {
            self.spaces.choosy.insert(slot);
        }
        let keyed = self.keyed;
        let demands: SmallVec<[Demand; 4]> =
            selector.requirements().filter_map(|it| Demand::of(keyed, &it)).collect();
        self.file(slot, salt, &demands);
        self.link_classes(slot, &demands);
        slot
    }

    /// Files a selector under the demand that brings it up least often without success.
    fn file(&mut self, slot: u32, salt: u64, demands: &[Demand]) {
        let scope = self.selectors.slots[slot].scope;
        let best = self.best_anchor(scope, salt, demands);
        let mut filing = NONE;
        match (best, demands.first()) {
            (Some(best), _) => {
                for pair in &best.pairs {
                    filing = self.anchors.file(self.keyed.within(salt, *pair), slot, filing);
                }
            }
            (None, Some(any)) => {
                filing = self.anchors.file(self.keyed.within(!salt, any.key), slot, NONE);
            }
            (None, None) => {}
        }
        let on_key = best.is_none() && filing != NONE;
        let scope = self.spaces.scope_mut(scope);
        scope.selectors += 1;
        scope.on_key += u32::from(on_key);
        let compiled = &mut self.selectors.slots[slot];
        (compiled.filing, compiled.on_key) = (filing, on_key);
        if filing == NONE {
            compiled.place = place(scope.unanchored.len());
            scope.unanchored.push(slot);
        }
    }

    /// Of the demands for certain values the rarest, counting the selectors already filed there
    /// (a new label set is tried on all of them) and the label sets that carry it.
    fn best_anchor<'a>(&self, scope: u32, salt: u64, demands: &'a [Demand]) -> Option<&'a Demand> {
        let usable = |demand: &&Demand| (1..=MAX_FILINGS).contains(&demand.pairs.len());
        let mut usable = demands.iter().filter(usable);
        let first = usable.next()?;
        let Some(second) = usable.next() else { return Some(first) };
        let cost = |demand: &&Demand| {
            let filed = |pair: &u64| u64::from(self.anchors.load(self.keyed.within(salt, *pair)));
            let filed: u64 = demand.pairs.iter().map(filed).sum();
            let mut bits = Signature::default();
            demand.signature(&mut bits);
            let carried: u64 = match self.spaces.slots.get(scope) {
                Some(space) => space.signatures.count(bits) as u64,
                None => 0, // of the whole cluster: not worth a scan of every namespace
            };
            // Of equally rare ones the longest, which is likely to stay rare: `checkout-17`, not `api`.
            let likely = (demand.pairs.len(), usize::MAX - demand.len);
            (demand.pairs.len() > MANY_VALUES, filed + carried, likely)
        };
        [first, second].into_iter().chain(usable).min_by_key(cost)
    }

    /// Finds the classes that a new selector selects.
    fn link_classes(&mut self, slot: u32, demands: &[Demand]) {
        let mut bits = Signature::default();
        for demand in demands {
            demand.signature(&mut bits);
        }
        let mut found = take(&mut self.candidates);
        let compiled = &self.selectors.slots[slot];
        if let Some(space) = self.spaces.slots.get(compiled.scope) {
            space.signatures.scan(bits, |at| found.push(space.classes[at]));
        } else {
            let wanted = compiled.spaces.as_deref();
            for (_, space) in self.spaces.slots.iter() {
                if wanted.is_none_or(|wanted| wanted.matches(&space.labels)) {
                    space.signatures.scan(bits, |at| found.push(space.classes[at]));
                }
            }
        }
        for class in found.drain(..) {
            let Some(selector) = &self.selectors.slots[slot].selector else { continue };
            if selector.matches(&self.classes.slots[class].labels) {
                self.edges.link(&mut self.classes.slots, &mut self.selectors.slots, class, slot);
            }
        }
        self.candidates = found;
    }

    /// Whether a selector selects labels in a namespace: a candidate is only that until here.
    #[inline]
    pub(super) fn selects(&self, slot: u32, space: u32, labels: &impl Labels) -> bool {
        let Compiled { selector: Some(selector), spaces, scope, .. } = &self.selectors.slots[slot]
        else {
            return false;
        };
        let eligible = if *scope == NONE {
            let nameless = super::labels::Packed::default();
            let own = self.spaces.slots.get(space).map_or(&nameless, |space| &space.labels);
            spaces.as_ref().is_none_or(|wanted| wanted.matches(own))
        } else {
            *scope == space
        };
        eligible && selector.matches(labels)
    }

    /// Drops a selector that lost its last owner.
    pub(super) fn drop_selector_if_unowned(&mut self, slot: u32) {
        if self.selectors.slots[slot].owners > 0 {
            return;
        }
        self.edges.isolate_selector(&mut self.classes.slots, &mut self.selectors.slots, slot);
        let hash = self.selectors.slots[slot].hash;
        self.selectors.by_content.remove(hash, slot, |slot| self.selectors.slots[slot].hash);
        let gone = self.selectors.slots.remove(slot);
        self.selectors.text -= gone.heap_bytes();
        self.spaces.choosy.remove(&slot);
        self.anchors.unfile(gone.filing);
        let scope = self.spaces.scope_mut(gone.scope);
        scope.selectors -= 1;
        scope.on_key -= u32::from(gone.on_key);
        if gone.filing == NONE {
            scope.unanchored.swap_remove(gone.place as usize);
            if let Some(moved) = scope.unanchored.get(gone.place as usize) {
                self.selectors.slots[*moved].place = gone.place;
            }
        }
    }
}

/// Equal selectors have equal canonical text, so the order of requirements does not matter.
fn content_hash(keyed: Keyed, salt: u64, selector: &Selector, spaces: Option<&Selector>) -> u64 {
    let of = |selector: &Selector| {
        selector.requirements().fold(salt, |hash, it| {
            let hash = keyed.pair(hash.wrapping_add(it.op as u64), keyed.text(it.key));
            it.values.fold(hash, |hash, value| keyed.pair(hash, keyed.text(value)))
        })
    };
    keyed.within(spaces.map_or(salt, of), of(selector))
}
