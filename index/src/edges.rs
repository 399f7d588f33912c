//! Lists of edges, as a class and a selector hold them: each edge knows its place in the other's list.
//!
//! In: items. Out: lists whose heap is accounted for. It must not know whose list it is.
//!
//! Pure: no I/O.

use smallvec::{Array, SmallVec};
use std::mem::size_of;

/// One end of an edge: the record at the other end, and the place of this edge in its list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edge {
    pub(super) to: u32,
    pub(super) back: u32,
}

/// Edges of one record; two fit without an allocation, and most have one.
pub(super) type Edges = SmallVec<[Edge; 2]>;

/// Heap of a list that outgrew its record.
pub(super) fn spilled<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() { list.capacity() * size_of::<A::Item>() } else { 0 }
}

/// Appends to a list and keeps account of its heap.
#[inline]
pub(super) fn push<A: Array>(list: &mut SmallVec<A>, item: A::Item, heap: &mut usize) {
    let before = spilled(list);
    list.push(item);
    *heap += spilled(list) - before;
}

pub(super) fn place(list_len: usize) -> u32 {
    u32::try_from(list_len).unwrap_or(u32::MAX)
}
