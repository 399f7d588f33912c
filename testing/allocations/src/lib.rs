//! An allocator that counts: what something holds and how often it allocates, on any machine the same.
//!
//! In: a test that makes [`Counting`] its global allocator. Out: counts of the calling thread, as tests run side by side, and of
//! the program. It must not be a dependency of anything but tests, nor do anything with memory but hand it on.
//!
//! I/O: none.

#![allow(unsafe_code, reason = "a global allocator, which counts and hands on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<usize> = const { Cell::new(0) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// How often this thread allocated.
#[must_use]
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// The bytes that this thread asked for and did not give back. What it gives back in the stead of another one counts here, so that
/// the count may wrap below zero: compare two of them.
#[must_use]
pub fn held() -> usize {
    HELD.get()
}

/// The same in the sizes that the agent's allocator has, four for each power of two.
#[must_use]
pub fn taken() -> usize {
    TAKEN.get()
}

/// The bytes that the program has.
#[must_use]
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// The most that it had since [`forget_peak`].
#[must_use]
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// The peak is what there is now.
pub fn forget_peak() {
    PEAK.store(live(), Relaxed);
}

/// What an allocation of this size takes.
fn class(size: usize) -> usize {
    let step = (size.next_power_of_two() / 8).max(16);
    size.next_multiple_of(step)
}

fn count(added: usize, removed: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + usize::from(added > 0));
    HELD.set(HELD.get().wrapping_add(added).wrapping_sub(removed));
    TAKEN.set(TAKEN.get().wrapping_add(class(added)).wrapping_sub(class(removed)));
    // Of what moves the old place may be live for a moment, too.
    let live = LIVE.fetch_add(added, Relaxed) + added;
    PEAK.fetch_max(live, Relaxed);
    LIVE.fetch_sub(removed, Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn what_is_held_and_given_back_is_counted() {
        let (count, before, taken_before) = (allocations(), held(), taken());
        let mut bytes: Vec<u8> = Vec::with_capacity(1000);
        assert_eq!((allocations() - count, held().wrapping_sub(before)), (1, 1000));
        assert_eq!(taken().wrapping_sub(taken_before), 1024);

        bytes.reserve_exact(3000);
        assert_eq!((allocations() - count, held().wrapping_sub(before)), (2, 3000));
        drop(bytes);

        assert_eq!((held(), taken()), (before, taken_before));
    }

    #[test]
    fn the_peak_is_of_all_threads_and_forgotten_when_asked() {
        std::thread::spawn(|| drop(vec![1_u8; 8 << 20])).join().unwrap();
        assert!(peak() >= 8 << 20);

        forget_peak();

        assert!(peak() < 8 << 20);
    }
}
