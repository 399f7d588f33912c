//! Records in numbered slots that never move.
//!
//! In: records. Out: slot numbers, used again after removal. Slots stand in chunks, so growing
//! copies nothing and reserves at most one chunk too many (a doubling vector would waste up to
//! half). When the last record goes, the memory goes too.
//!
//! Pure: no I/O.

use std::mem::{size_of, take};
use std::ops::{Index, IndexMut};

/// "No slot", in fields that may have none.
pub(super) const NONE: u32 = u32::MAX;

/// Slots in a chunk. The first chunk grows up to it, so that a small index stays small.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 10;

#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    /// Records held.
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T: Default> Slab<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, record: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            self[slot] = record;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return NONE };
        chunk.push(record);
        u32::try_from(before + chunk.len() - 1).unwrap_or(NONE)
    }

    /// Takes a record out and leaves the default in its slot.
    pub(super) fn remove(&mut self, slot: u32) -> T {
        let record = take(&mut self[slot]);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else {
            self.free.push(slot);
        }
        record
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.chunks.get(slot as usize >> CHUNK_BITS)?.get(slot as usize & (CHUNK - 1))
    }

    /// Every slot, the free ones with the default in them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let slots: usize = self.chunks.iter().map(Vec::capacity).sum();
        slots * size_of::<T>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.chunks[slot as usize >> CHUNK_BITS][slot as usize & (CHUNK - 1)]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize >> CHUNK_BITS][slot as usize & (CHUNK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_put_across_chunks() {
        let mut slab = Slab::default();
        let slots: Vec<_> = (0..5000).map(|n| slab.insert(n)).collect();

        assert!(slots.iter().zip(0..).all(|(slot, n)| slab[*slot] == n));
        assert_eq!(slab.iter().count(), 5000);
    }

    #[test]
    fn a_freed_slot_is_used_again() {
        let mut slab = Slab::default();
        let (first, _) = (slab.insert(1), slab.insert(2));

        assert_eq!(slab.remove(first), 1);
        assert_eq!(slab.insert(3), first);
    }

    #[test]
    fn an_empty_slab_owns_nothing() {
        let mut slab = Slab::default();
        let slots: Vec<_> = (0..3000).map(|n| slab.insert(n)).collect();

        for slot in slots {
            slab.remove(slot);
        }

        assert_eq!((slab.len(), slab.heap_bytes()), (0, 0));
    }
}
