//! A table of named things with small numbers for places.
//!
//! In: names. Out: places that stay while the thing does and are used again after it. It must not know what it holds.
//! Names come from strangers, hence an ordered map. Pure: values only.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Things by place and by name.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    names: BTreeMap<Arc<str>, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), names: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    /// Puts a thing under a name that is not in use.
    pub(crate) fn insert(&mut self, name: Arc<str>, thing: T) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 things")
        });
        self.slots[id as usize] = Some(thing);
        self.names.insert(name, id);
        id
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let id = self.names.remove(name)?;
        self.free.push(id);
        self.slots[id as usize].take()
    }

    /// Places in the order of the names.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.names.values().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> + '_ {
        self.ids().filter_map(|id| Some((id, self.get(id)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
