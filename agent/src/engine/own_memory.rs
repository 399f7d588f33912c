//! The agent's own memory.
//!
//! In: `/proc/self/statm`, which stays open: opening it costs more than all else that a quiet second does. Out: bytes. It
//! must not read what costs the kernel a walk over the address space, as `smaps` does.
//!
//! I/O: one small file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The file.
#[derive(Debug)]
pub(crate) struct OwnMemory(Option<File>);

impl OwnMemory {
    pub(crate) fn open() -> Self {
        Self(File::open("/proc/self/statm").ok())
    }

    /// Bytes of address space, and of them in RAM: its first two fields, in pages (proc(5)); `None` where it cannot be read.
    pub(crate) fn read(&self) -> Option<[u64; 2]> {
        let mut text = [0; 128];
        let read = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut pages = std::str::from_utf8(&text[..read]).ok()?.split(' ');
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let mut bytes = || Some(pages.next()?.parse::<u64>().ok()? * page);
        Some([bytes()?, bytes()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_ram_is_a_part_of_the_address_space_and_more_than_nothing() {
        let [size, resident] = OwnMemory::open().read().unwrap();

        assert!(resident > 1 << 20 && resident < size, "{resident} of {size}");
    }
}
