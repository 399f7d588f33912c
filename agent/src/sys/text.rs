//! The program's own code in memory: what only start-up needed is given back.
//!
//! In: nothing. Out: how much of the address space was looked at. It must not touch what can be written: relocated data looks
//! like the file's and is not.
//!
//! I/O: reads `/proc/self/maps`; one system call for each mapping of code.
#![allow(unsafe_code, reason = "madvise on a range of addresses")]

use std::io;

use rustix::mm::{Advice, madvise};

/// Takes the pages of this program's code out of the process. They are the file's, unchanged: what runs again comes back from
/// the page cache, 64 KiB at a time (`fault_around_bytes`), and what does not is no longer resident. Bytes of code mapped.
pub fn release() -> io::Result<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut bytes = 0;
    for (from, to) in maps.lines().filter_map(code) {
        // SAFETY: a private mapping of a file that was never writable: dropped pages are read from the file again, the same.
        unsafe {
            madvise(std::ptr::with_exposed_provenance_mut(from), to - from, Advice::LinuxDontNeed)
        }?;
        bytes += to - from;
    }
    Ok(bytes)
}

/// The addresses of a mapping of code from a file: `55d0-55e0 r-xp 0000 fe:00 123 /usr/bin/x`.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let is_code =
        fields.next()? == "r-xp" && fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let address = |text| usize::from_str_radix(text, 16).ok();
    is_code.then_some((address(from)?, address(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_a_file_is_given_back() {
        assert_eq!(
            code(
                "55d0c000-55d0f000 r-xp 00001000 fe:00 1234                 /usr/bin/probelet-agent"
            ),
            Some((0x55d0_c000, 0x55d0_f000))
        );
        for other in [
            "55d0f000-55d10000 r--p 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "55d10000-55d11000 rw-p 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "55d10000-55d11000 rwxp 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "7ffd0000-7ffd2000 r-xp 00000000 00:00 0      [vdso]",
            "7f000000-7f001000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_goes_on_after_its_code_was_given_back() {
        assert!(release().unwrap() > 4096);
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
