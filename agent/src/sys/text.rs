//! The program's own code and constants in memory: what only start-up needed is given back.
//!
//! In: nothing. Out: how much of the address space was looked at. It must not touch what was ever written: relocated data
//! looks like the file's and is not.
//!
//! I/O: reads `/proc/self/maps`; one system call for each such mapping.
#![allow(unsafe_code, reason = "madvise on a range of addresses")]

use std::io;

use rustix::mm::{Advice, madvise};

/// Takes the pages of this program's code and constants out of the process. They are the file's, unchanged: what is used again
/// comes back from the page cache, 64 KiB at a time (`fault_around_bytes`), and what is not is no longer resident. Bytes of
/// them mapped.
pub fn release() -> io::Result<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut bytes = 0;
    for (from, to) in maps.lines().filter_map(unchanged) {
        // SAFETY: a private mapping of a file that was never writable: dropped pages are read from the file again, the same.
        unsafe {
            madvise(std::ptr::with_exposed_provenance_mut(from), to - from, Advice::LinuxDontNeed)
        }?;
        bytes += to - from;
    }
    Ok(bytes)
}

/// The addresses of a mapping from a file that was never written: `55d0-55e0 r-xp 1000 fe:00 123 /usr/bin/x` is code, and what
/// is read-only from the beginning of the file are constants (ELF: the first segment). Read-only further on is what the loader
/// relocated and protected afterwards (`PT_GNU_RELRO`).
fn unchanged(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let (access, offset) = (fields.next()?, fields.next()?);
    let of_file = fields.nth(2).is_some_and(|path| path.starts_with('/'));
    let constants = || access == "r--p" && offset.bytes().all(|digit| digit == b'0');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (of_file && (access == "r-xp" || constants())).then_some((address(from)?, address(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_file_has_unchanged_is_given_back() {
        for file in ["r-xp 00001000", "r--p 00000000"] {
            assert_eq!(
                unchanged(&format!(
                    "55d0c000-55d0f000 {file} fe:00 1234      /usr/bin/probelet-agent"
                )),
                Some((0x55d0_c000, 0x55d0_f000))
            );
        }
        for other in [
            "55d0f000-55d10000 r--p 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "55d10000-55d11000 rw-p 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "55d10000-55d11000 rwxp 00004000 fe:00 1234   /usr/bin/probelet-agent",
            "7ffd0000-7ffd2000 r-xp 00000000 00:00 0      [vdso]",
            "7f000000-7f001000 r-xp 00000000 00:00 0",
            "7f000000-7f001000 r--p 00000000 00:00 0",
            "",
        ] {
            assert_eq!(unchanged(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_goes_on_after_its_code_and_constants_were_given_back() {
        assert!(release().unwrap() > 4096);
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
