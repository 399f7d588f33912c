//! A table whose snapshots are cheap: records stand in chunks that a snapshot shares with the
//! table until one of them is written.
//!
//! In: records, by slot. Out: slots that stay put, and clones that cost one counter per chunk
//! instead of a copy of every record. It must not know what a record means.
//!
//! Pure: no I/O, no locks.

use std::sync::Arc;

/// The publishing step that a record belongs to; grows by one whenever the picture changed.
pub type Epoch = u64;

/// Place of a record in its table; reused after removal.
pub type Slot = u32;

/// Records in a chunk: a write after a snapshot copies one chunk. As many as make a chunk of connections fit into an
/// allocation of 14 KiB, which one more would make 16.
const CHUNK: usize = 68;

#[derive(Clone, Debug)]
struct Chunk<T> {
    /// The newest change of any record in here, so that a delta can pass the chunk by.
    changed: Epoch,
    slots: [Option<T>; CHUNK],
}

impl<T> Chunk<T> {
    const fn empty() -> Self {
        Self { changed: 0, slots: [const { None }; CHUNK] }
    }
}

/// Records in slots. Cloning shares the chunks.
#[derive(Debug)]
pub struct Table<T> {
    chunks: Vec<Arc<Chunk<T>>>,
    /// Free slots, the most recently freed last: new records fill holes and touch few chunks.
    free: Vec<Slot>,
    len: usize,
    limit: usize,
}

/// What a snapshot keeps of a table: it can be read, not written.
#[derive(Clone, Debug)]
pub struct Frozen<T> {
    chunks: Vec<Arc<Chunk<T>>>,
    len: usize,
}

impl<T> Default for Frozen<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Table<T> {
    /// An empty table that never holds more than `limit` records.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0, limit }
    }

    /// Number of records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One more than the highest slot ever used.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Changes how many records may be held; existing ones stay.
    pub(crate) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Puts a record into a free slot, or gives it back when the table is full.
    pub fn insert(&mut self, record: T, epoch: Epoch) -> Result<Slot, T> {
        if self.len >= self.limit {
            return Err(record);
        }
        let slot = if let Some(slot) = self.free.pop() {
            slot
        } else {
            let first = Slot::try_from(self.slots()).unwrap_or(Slot::MAX);
            self.chunks.push(Arc::new(Chunk::empty()));
            let chunk = Slot::try_from(CHUNK).unwrap_or(Slot::MAX);
            self.free.extend((first + 1..first + chunk).rev());
            first
        };
        self.len += 1;
        let chunk = self.chunk(slot, epoch);
        chunk.slots[slot as usize % CHUNK] = Some(record);
        Ok(slot)
    }

    /// Takes a record out.
    pub fn remove(&mut self, slot: Slot, epoch: Epoch) -> Option<T> {
        self.get(slot)?;
        let record = self.chunk(slot, epoch).slots[slot as usize % CHUNK].take();
        self.len -= 1;
        self.free.push(slot);
        record
    }

    /// Reads a record.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.chunks.get(slot as usize / CHUNK)?.slots[slot as usize % CHUNK].as_ref()
    }

    /// Writes a record: its chunk is copied if a snapshot still shares it.
    pub fn get_mut(&mut self, slot: Slot, epoch: Epoch) -> Option<&mut T> {
        self.get(slot)?;
        self.chunk(slot, epoch).slots[slot as usize % CHUNK].as_mut()
    }

    fn chunk(&mut self, slot: Slot, epoch: Epoch) -> &mut Chunk<T> {
        let chunk = Arc::make_mut(&mut self.chunks[slot as usize / CHUNK]);
        chunk.changed = chunk.changed.max(epoch);
        chunk
    }

    /// Every record with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> + '_ {
        iter_chunks(&self.chunks, 0)
    }

    /// What a reader may keep.
    #[must_use]
    pub fn freeze(&self) -> Frozen<T> {
        Frozen { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<T> Frozen<T> {
    /// Number of records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every record.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.iter_changed(0)
    }

    /// Every record of the chunks in which anything changed after `since`; the caller still
    /// looks at each record's own epoch.
    pub fn iter_changed(&self, since: Epoch) -> impl Iterator<Item = &T> + '_ {
        iter_chunks(&self.chunks, since).map(|(_, record)| record)
    }

    /// The record in `slot`.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.chunks.get(slot as usize / CHUNK)?.slots[slot as usize % CHUNK].as_ref()
    }

    /// Slots from `first` on in one chunk's width, for readers that go on later: the records, and
    /// the slot to go on with, `None` after the last.
    pub fn page(&self, first: Slot) -> (impl Iterator<Item = &T> + '_, Option<Slot>) {
        self.page_changed(first, 0)
    }

    /// Like [`Self::page`], but passes by the chunks in which nothing changed after `since`; the
    /// caller still looks at each record's own epoch.
    pub fn page_changed(
        &self,
        first: Slot,
        since: Epoch,
    ) -> (impl Iterator<Item = &T> + '_, Option<Slot>) {
        let chunks = self.chunks.iter().enumerate().skip(first as usize / CHUNK);
        let found = chunks.into_iter().find(|(_, c)| since == 0 || c.changed > since);
        let after = found.map_or(self.chunks.len(), |(number, _)| number + 1);
        let next = Slot::try_from(after * CHUNK).ok().filter(|_| after < self.chunks.len());
        (found.into_iter().flat_map(|(_, c)| c.slots.iter().flatten()), next)
    }
}

fn iter_chunks<T>(chunks: &[Arc<Chunk<T>>], since: Epoch) -> impl Iterator<Item = (Slot, &T)> + '_ {
    let chunks = chunks.iter().enumerate().filter(move |(_, c)| since == 0 || c.changed > since);
    chunks.flat_map(|(n, c)| {
        let slots = c.slots.iter().enumerate();
        slots.filter_map(move |(i, r)| Some((Slot::try_from(n * CHUNK + i).ok()?, r.as_ref()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::ConnectionRecord;

    #[test]
    fn a_chunk_of_connections_fits_into_an_allocation() {
        let counts = 2 * size_of::<usize>();
        let taken = size_of::<Chunk<ConnectionRecord>>() + counts;
        let (room, one) = (14 << 10, size_of::<Option<ConnectionRecord>>());
        assert!(taken <= room && room < taken + one, "{taken} bytes, {one} for each");
    }

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let mut table = Table::new(10);
        let slot = table.insert(1, 1).unwrap();
        let before = table.freeze();

        *table.get_mut(slot, 2).unwrap() = 7;

        assert_eq!(before.iter().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(table.get(slot), Some(&7));
    }

    #[test]
    fn unwritten_chunks_are_shared_with_the_snapshot() {
        let mut table = Table::new(1000);
        for n in 0..CHUNK * 3 {
            table.insert(n, 1).unwrap();
        }
        let before = table.freeze();

        *table.get_mut(0, 2).unwrap() = 9;

        assert!(!Arc::ptr_eq(&before.chunks[0], &table.chunks[0]));
        assert!(Arc::ptr_eq(&before.chunks[1], &table.chunks[1]));
    }

    #[test]
    fn a_full_table_gives_the_record_back() {
        let mut table = Table::new(1);
        table.insert('a', 1).unwrap();

        assert_eq!(table.insert('b', 1), Err('b'));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn freed_slots_are_used_again_before_the_table_grows() {
        let mut table = Table::new(CHUNK);
        let slots: Vec<_> = (0..CHUNK).map(|n| table.insert(n, 1).unwrap()).collect();
        table.remove(slots[5], 2);

        assert_eq!(table.insert(99, 3), Ok(slots[5]));
        assert_eq!(table.slots(), CHUNK);
    }

    #[test]
    fn a_delta_passes_unchanged_chunks_by() {
        let mut table = Table::new(1000);
        for n in 0..CHUNK * 2 {
            table.insert(n, 1).unwrap();
        }
        *table.get_mut(Slot::try_from(CHUNK).unwrap(), 5).unwrap() = 0;

        assert_eq!(table.freeze().iter_changed(4).count(), CHUNK);
        assert_eq!(table.freeze().iter_changed(5).count(), 0);
    }

    #[test]
    fn pages_walk_the_whole_table() {
        let mut table = Table::new(1000);
        for n in 0..CHUNK * 2 + 3 {
            table.insert(n, 1).unwrap();
        }
        let frozen = table.freeze();

        let (mut seen, mut at) = (0, Some(0));
        while let Some(first) = at {
            let (page, next) = frozen.page(first);
            seen += page.count();
            at = next;
        }

        assert_eq!(seen, CHUNK * 2 + 3);
    }

    #[test]
    fn pages_of_a_delta_pass_unchanged_chunks_by() {
        let mut table = Table::new(1000);
        for n in 0..CHUNK * 3 {
            table.insert(n, 1).unwrap();
        }
        *table.get_mut(Slot::try_from(CHUNK).unwrap(), 5).unwrap() = 7777;
        let frozen = table.freeze();

        let (page, next) = frozen.page_changed(0, 4);

        assert_eq!(page.copied().next(), Some(7777));
        assert_eq!(frozen.page_changed(next.unwrap(), 4).0.count(), 0);
    }
}
