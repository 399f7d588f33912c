//! Owners: Services, or whatever else has a name and a selector.
//!
//! In: a scope, a name and a selector. Out: ids, and the pods that an owner's selector selects.
//! Owners of one selector form a chain through their records, so that one of ten thousand can go
//! without a search.
//!
//! Pure: no I/O.

use super::selectors::Compiled;
use super::slab::{NONE, Slab};
use super::table::Table;
use super::{Change, Index, OwnerId, PodId, Refused};
use crate::selector::Selector;

/// Longest name of an owner: a DNS subdomain, with as much again for a prefix of the caller's.
const MAX_NAME: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    name: Box<str>,
    /// Namespace, or [`NONE`] for the cluster.
    scope: u32,
    /// [`NONE`] selects nothing.
    selector: u32,
    next: u32,
    previous: u32,
    live: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    pub(super) slots: Slab<Owner>,
    by_name: Table,
    text: usize,
}

impl Owners {
    fn live(&self, id: OwnerId) -> Option<&Owner> {
        self.slots.get(id.0).filter(|owner| owner.live)
    }

    /// The owners of a selector. Usually there is one, and its record is not even read.
    #[inline]
    pub(super) fn of(&self, selector: &Compiled) -> impl Iterator<Item = OwnerId> {
        let (mut next, mut left) = (selector.owner, selector.owners);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let owner = next;
            if left > 0 {
                next = self.slots[owner].next;
            }
            Some(OwnerId(owner))
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.by_name.heap_bytes() + self.text
    }
}

impl Index {
    /// Adds an owner or gives it another selector.
    ///
    /// `scope` is its namespace, or `None` for the whole cluster; then `namespace_selector` says
    /// which namespaces (in a namespace it is ignored). No selector selects nothing and the empty
    /// one everything in scope: a Service whose selector is empty has to come with `None`.
    pub fn upsert_owner(
        &mut self,
        scope: Option<&str>,
        name: &str,
        selector: Option<&Selector>,
        namespace_selector: Option<&Selector>,
    ) -> Result<(OwnerId, Change), Refused> {
        let spaces = namespace_selector.filter(|spaces| scope.is_none() && !spaces.is_empty());
        let space = scope.map_or(Ok(NONE), |scope| self.space_of(scope))?;
        let hash = self.owner_hash(space, name);
        let known = self.owner_named(hash, space, name);
        let owner = match known {
            Some(owner) => owner,
            None => self.add_owner(hash, space, name)?,
        };
        let old = self.owners.slots[owner].selector;
        let same = match (self.selectors.slots.get(old), selector) {
            (Some(old), Some(new)) => old.is(space, new, spaces),
            (old, new) => old.is_none() && new.is_none(),
        };
        if !same {
            let new = selector.map_or(NONE, |new| self.selector_of(space, new, spaces));
            self.move_owner(owner, new);
        }
        let change = match (known, same) {
            (None, _) => Change::Added,
            (Some(_), true) => Change::Unchanged,
            (Some(_), false) => Change::Changed,
        };
        Ok((OwnerId(owner), change))
    }

    /// Removes an owner. Gives its id, unless there was none of that name.
    pub fn remove_owner(&mut self, scope: Option<&str>, name: &str) -> Option<OwnerId> {
        let id = self.find_owner(scope, name)?;
        self.drop_owner(id.0);
        Some(id)
    }

    fn find_owner(&self, scope: Option<&str>, name: &str) -> Option<OwnerId> {
        let space = match scope {
            Some(scope) => self.spaces.find(self.keyed, scope)?,
            None => NONE,
        };
        self.owner_named(self.owner_hash(space, name), space, name).map(OwnerId)
    }

    /// The scope and name of an owner, unless it is gone.
    #[must_use]
    pub fn owner(&self, id: OwnerId) -> Option<(Option<&str>, &str)> {
        let owner = self.owners.live(id)?;
        let space = self.spaces.slots.get(owner.scope);
        Some((space.map(|space| &*space.name), &*owner.name))
    }

    /// The pods that an owner's selector selects, in no order.
    pub fn pods_of(&self, id: OwnerId) -> impl Iterator<Item = PodId> {
        let owner = self.owners.live(id);
        let selector = owner.and_then(|owner| self.selectors.slots.get(owner.selector));
        let classes = selector.map_or(&[][..], |selector| &selector.classes[..]);
        classes.iter().flat_map(|edge| self.classes.slots[edge.to].pods.iter().copied())
    }

    fn add_owner(&mut self, hash: u64, space: u32, name: &str) -> Result<u32, Refused> {
        let refused = if name.is_empty() || name.len() > MAX_NAME {
            Some(Refused::Name)
        } else {
            (self.owners.slots.len() >= self.limits.owners).then_some(Refused::Owners)
        };
        if let Some(refused) = refused {
            if space != NONE {
                self.drop_space_if_empty(space);
            }
            return Err(self.counts.refused.note(refused));
        }
        let owner = Owner {
            name: name.into(),
            scope: space,
            selector: NONE,
            next: NONE,
            previous: NONE,
            live: true,
        };
        self.owners.text += name.len();
        let owner = self.owners.slots.insert(owner);
        let (slots, spaces, keyed) = (&self.owners.slots, &self.spaces, self.keyed);
        self.owners.by_name.insert(hash, owner, |slot| {
            let Owner { name, scope, .. } = &slots[slot];
            keyed.within(spaces.scope(*scope).1, keyed.text(name))
        });
        if space != NONE {
            self.spaces.slots[space].owners += 1;
        }
        Ok(owner)
    }

    fn drop_owner(&mut self, owner: u32) {
        self.move_owner(owner, NONE);
        let Owner { name, scope, .. } = &self.owners.slots[owner];
        let (scope, hash) = (*scope, self.owner_hash(*scope, name));
        let (slots, spaces, keyed) = (&self.owners.slots, &self.spaces, self.keyed);
        self.owners.by_name.remove(hash, owner, |slot| {
            let Owner { name, scope, .. } = &slots[slot];
            keyed.within(spaces.scope(*scope).1, keyed.text(name))
        });
        self.owners.text -= self.owners.slots.remove(owner).name.len();
        if scope != NONE {
            self.spaces.slots[scope].owners -= 1;
            self.drop_space_if_empty(scope);
        }
    }

    /// Hands an owner to another selector, and drops the one it leaves without any.
    fn move_owner(&mut self, owner: u32, new: u32) {
        let Owner { selector: old, next, previous, .. } = self.owners.slots[owner];
        if old != NONE {
            if next != NONE {
                self.owners.slots[next].previous = previous;
            }
            if previous == NONE {
                self.selectors.slots[old].owner = next;
            } else {
                self.owners.slots[previous].next = next;
            }
            self.selectors.slots[old].owners -= 1;
        }
        let mut next = NONE;
        if new != NONE {
            next = std::mem::replace(&mut self.selectors.slots[new].owner, owner);
            self.selectors.slots[new].owners += 1;
            if next != NONE {
                self.owners.slots[next].previous = owner;
            }
        }
        let record = &mut self.owners.slots[owner];
        (record.selector, record.next, record.previous) = (new, next, NONE);
        if old != NONE {
            self.drop_selector_if_unowned(old);
        }
    }

    fn owner_hash(&self, space: u32, name: &str) -> u64 {
        self.keyed.within(self.spaces.scope(space).1, self.keyed.text(name))
    }

    fn owner_named(&self, hash: u64, space: u32, name: &str) -> Option<u32> {
        self.owners.by_name.find(hash, |slot| {
            let owner = &self.owners.slots[slot];
            owner.scope == space && *owner.name == *name
        })
    }
}
