//! Finding a slot by a name that stands in the slot's record.
//!
//! In: hashes and slots. Out: the slot, when the caller says that its record is the right one.
//! Five bytes an entry; shrinks again after a peak. It must not keep names itself.
//!
//! Pure: no I/O.

use hashbrown::HashTable;
use std::mem::size_of;

/// Below this many entries a table is not worth shrinking.
const SMALL: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    table: HashTable<u32>,
}

impl Table {
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table.find(hash, |slot| is(*slot)).copied()
    }

    /// Adds a slot that is not there yet. `rehash` gives the hash of any slot that is.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        self.table.insert_unique(hash, slot, |slot| rehash(*slot));
    }

    pub(super) fn remove(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        if let Ok(entry) = self.table.find_entry(hash, |have| *have == slot) {
            entry.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        } else if self.table.capacity() > SMALL && self.table.len() < self.table.capacity() / 8 {
            self.table.shrink_to(self.table.len() * 2, |slot| rehash(*slot));
        }
    }

    /// Puts `slot` where `old` stood: both have the same hash.
    pub(super) fn replace(&mut self, hash: u64, old: u32, slot: u32) {
        if let Some(entry) = self.table.find_mut(hash, |have| *have == old) {
            *entry = slot;
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        // A slot and a control byte for each bucket; seven of eight buckets may be full.
        self.table.capacity() / 7 * 8 * (size_of::<u32>() + 1)
    }
}
