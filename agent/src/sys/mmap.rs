//! A BPF array map that is mapped into memory.
//!
//! In: the map's descriptor. Out: values as arrays of u64, which any bits are valid for. It must
//! not hand out references: the kernel writes to the same memory.
//!
//! I/O: yes.
#![allow(unsafe_code, reason = "mmap and access to memory that the kernel shares")]

use std::{io, os::fd::BorrowedFd, ptr};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a page of memory.
#[must_use]
pub fn page_size() -> usize {
    // SAFETY: sysconf reads a constant.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// An array of values of `WORDS` u64 each, shared with BPF programs.
#[derive(Debug)]
pub struct Window<const WORDS: usize> {
    at: *mut u64,
    values: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl<const WORDS: usize> Send for Window<WORDS> {}

impl<const WORDS: usize> Window<WORDS> {
    /// Maps `values` values of a map that was made with `BPF_F_MMAPABLE`.
    pub fn new(map: BorrowedFd<'_>, values: usize) -> io::Result<Self> {
        let bytes = (values * WORDS * 8).next_multiple_of(page_size());
        // SAFETY: a fresh shared mapping; the kernel refuses lengths beyond the map.
        let at = unsafe {
            mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )?
        };
        Ok(Self { at: at.cast(), values, bytes })
    }

    /// The number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.values
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values == 0
    }

    /// A copy of one value.
    ///
    /// # Panics
    /// When there is no such value.
    #[must_use]
    pub fn get(&self, value: usize) -> [u64; WORDS] {
        assert!(value < self.values, "value {value} of {}", self.values);
        // SAFETY: inside the mapping; values start at multiples of eight bytes. The kernel writes
        // only while one of our programs runs, and those run on behalf of the owner of `self`.
        unsafe { self.at.add(value * WORDS).cast::<[u64; WORDS]>().read_volatile() }
    }

    /// Sets one word of a value.
    ///
    /// # Panics
    /// When there is no such value or word.
    pub fn set(&mut self, value: usize, word: usize, to: u64) {
        assert!(value < self.values && word < WORDS, "word {word} of value {value}");
        // SAFETY: inside the mapping, see `get`.
        unsafe { self.at.add(value * WORDS + word).write_volatile(to) }
    }

    /// One word of a value.
    ///
    /// # Panics
    /// When there is no such value or word.
    #[must_use]
    pub fn word(&self, value: usize, word: usize) -> u64 {
        assert!(value < self.values && word < WORDS, "word {word} of value {value}");
        // SAFETY: inside the mapping, see `get`.
        unsafe { self.at.add(value * WORDS + word).read_volatile() }
    }
}

impl<const WORDS: usize> Drop for Window<WORDS> {
    fn drop(&mut self) {
        // SAFETY: the range that `new` mapped; nothing refers into it. It cannot fail for such a
        // range, and there would be nothing to do about it.
        let _unmapped = unsafe { munmap(self.at.cast(), self.bytes) };
    }
}
