//! A BPF array map that is mapped into memory, as far as it is used.
//!
//! In: the map's descriptor. Out: values as arrays of u64, which any bits are valid for. It must
//! not hand out references: the kernel writes to the same memory.
//!
//! The kernel makes every page of such a mapping resident at once, used or not, so a large map is mapped from its beginning
//! to where it is about to be read, and less of it again when that is over.
//!
//! I/O: yes.
#![allow(unsafe_code, reason = "mmap and access to memory that the kernel shares")]

use std::{io, os::fd::AsFd, os::fd::OwnedFd, ptr};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a page of memory.
#[must_use]
pub fn page_size() -> usize {
    // SAFETY: sysconf reads a constant.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// What stays mapped of a window that is used all the time, bytes: some hundred records.
const KEPT: usize = 32 * 1024;

/// An array of values of `WORDS` u64 each, shared with BPF programs.
#[derive(Debug)]
pub struct Window<const WORDS: usize> {
    map: OwnedFd,
    at: *mut u64,
    /// Values of the map.
    values: usize,
    /// Bytes of it that are mapped, from its beginning.
    bytes: usize,
    /// It was asked for since it was last let go.
    used: bool,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl<const WORDS: usize> Send for Window<WORDS> {}

impl<const WORDS: usize> Window<WORDS> {
    /// A window onto `values` values of a map that was made with `BPF_F_MMAPABLE`; nothing of it is mapped yet.
    #[must_use]
    pub const fn new(map: OwnedFd, values: usize) -> Self {
        Self { map, at: ptr::null_mut(), values, bytes: 0, used: false }
    }

    /// The number of values of the map.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.values
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values == 0
    }

    /// Bytes that are mapped.
    #[cfg(test)]
    const fn mapped(&self) -> usize {
        self.bytes
    }

    /// Has the first `values` of them mapped: what is read or set from now on is among these.
    ///
    /// # Errors
    /// What mmap(2) says; then nothing is mapped.
    pub fn reach(&mut self, values: usize) -> io::Result<()> {
        self.used = true;
        let needed = bytes_of::<WORDS>(values.min(self.values));
        if needed <= self.bytes {
            return Ok(());
        }
        self.map_only(needed.max(KEPT.min(bytes_of::<WORDS>(self.values))))
    }

    /// A reading is over: no more than the first of them stay mapped.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub fn let_go(&mut self) -> io::Result<()> {
        let keep = KEPT.min(bytes_of::<WORDS>(self.values));
        if self.bytes > keep { self.map_only(keep) } else { Ok(()) }
    }

    /// A reading is over: if it had no use for it, nothing stays mapped. What is used in each stays.
    pub(crate) fn let_go_unused(&mut self) {
        if !std::mem::take(&mut self.used) {
            self.unmap();
        }
    }

    fn map_only(&mut self, bytes: usize) -> io::Result<()> {
        self.unmap();
        // SAFETY: a fresh shared mapping; the kernel refuses lengths beyond the map.
        let at = unsafe {
            mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                self.map.as_fd(),
                0,
            )?
        };
        (self.at, self.bytes) = (at.cast(), bytes);
        Ok(())
    }

    fn unmap(&mut self) {
        if self.bytes > 0 {
            // SAFETY: the range that was mapped; nothing refers into it. It cannot fail for such a range, and there would
            // be nothing to do about it.
            let _unmapped = unsafe { munmap(self.at.cast(), self.bytes) };
        }
        (self.at, self.bytes) = (ptr::null_mut(), 0);
    }

    /// A copy of one value.
    ///
    /// # Panics
    /// When it is not mapped.
    #[must_use]
    pub fn get(&self, value: usize) -> [u64; WORDS] {
        self.check(value);
        // SAFETY: inside the mapping; values start at multiples of eight bytes. The kernel writes
        // only while one of our programs runs, and those run on behalf of the owner of `self`.
        unsafe { self.at.add(value * WORDS).cast::<[u64; WORDS]>().read_volatile() }
    }

    /// Sets one word of a value.
    ///
    /// # Panics
    /// When it is not mapped, or there is no such word.
    pub fn set(&mut self, value: usize, word: usize, to: u64) {
        self.check(value);
        assert!(word < WORDS, "word {word} of value {value}");
        // SAFETY: inside the mapping, see `get`.
        unsafe { self.at.add(value * WORDS + word).write_volatile(to) }
    }

    /// One word of a value.
    ///
    /// # Panics
    /// When it is not mapped, or there is no such word.
    #[must_use]
    pub fn word(&self, value: usize, word: usize) -> u64 {
        self.check(value);
        assert!(word < WORDS, "word {word} of value {value}");
        // SAFETY: inside the mapping, see `get`.
        unsafe { self.at.add(value * WORDS + word).read_volatile() }
    }

    fn check(&self, value: usize) {
        let inside = value < self.values && (value + 1) * WORDS * 8 <= self.bytes;
        assert!(inside, "value {value} of {}, {} bytes mapped", self.values, self.bytes);
    }
}

/// In whole pages.
fn bytes_of<const WORDS: usize>(values: usize) -> usize {
    (values * WORDS * 8).next_multiple_of(page_size())
}

impl<const WORDS: usize> Drop for Window<WORDS> {
    fn drop(&mut self) {
        self.unmap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Any file that can be mapped will do.
    fn window(values: usize) -> Window<14> {
        let file = tempfile::tempfile().unwrap();
        File::set_len(&file, bytes_of::<14>(values) as u64).unwrap();
        Window::new(file.into(), values)
    }

    #[test]
    fn no_more_is_mapped_than_is_used() {
        let mut window = window(4096);
        assert_eq!(window.mapped(), 0);

        window.reach(1).unwrap();
        assert_eq!(window.mapped(), KEPT);
        window.reach(4096).unwrap();
        assert_eq!(window.mapped(), 4096 * 14 * 8);
        window.set(4095, 13, 7);
        window.let_go().unwrap();
        assert_eq!(window.mapped(), KEPT);

        window.reach(4096).unwrap();
        assert_eq!(window.get(4095)[13], 7);
    }

    #[test]
    fn what_each_reading_uses_stays_and_what_one_does_not_goes() {
        let mut window = window(4096);

        window.reach(4096).unwrap();
        window.let_go_unused();
        assert_eq!(window.mapped(), 4096 * 14 * 8);
        window.let_go_unused();

        assert_eq!(window.mapped(), 0);
    }

    #[test]
    #[should_panic(expected = "bytes mapped")]
    fn a_value_that_is_not_mapped_is_not_read() {
        let mut window = window(4096);
        window.reach(1).unwrap();

        let _unread = window.get(4095);
    }

    #[test]
    fn a_map_shorter_than_what_stays_is_mapped_whole() {
        let mut window = window(1);

        window.reach(1).unwrap();

        assert_eq!(window.mapped(), page_size());
    }
}
