//! The text of `/proc/PID/stat`: one process in one line.
//!
//! In: the line as the kernel wrote it. Out: the dozen numbers that a pass keeps, in the kernel's
//! units turned into ours. It must not trust the name: it may hold spaces and parentheses.
//!
//! Pure: no I/O.

use probelet_core::facts::Comm;

/// Set in `flags` for threads of the kernel (`PF_KTHREAD`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Units of the running kernel that the text does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Nanoseconds of a clock tick (`USER_HZ`).
    pub tick_ns: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
}

/// What a pass keeps of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id, of the pid namespace that `/proc` was mounted in.
    pub pid: u32,
    /// Name of the group leader.
    pub comm: Comm,
    /// State letter; `Z` has no files and no memory any more.
    pub state: u8,
    /// Parent.
    pub ppid: u32,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// User and system time of all threads.
    pub cpu_ns: u64,
    /// Threads.
    pub threads: u32,
    /// Start since boot.
    pub start_ns: u64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// Reads one line; `None` when it is not one.
#[must_use]
pub fn parse(line: &[u8], units: Units) -> Option<Stat> {
    // The name stands in parentheses and is the process's own choice: only the last ')' ends it.
    let open = line.iter().position(|&b| b == b'(')?;
    let close = line.iter().rposition(|&b| b == b')')?;
    let comm = Comm::new(line.get(open + 1..close)?);
    let pid = decimal(line[..open].trim_ascii())?;
    let mut fields = Fields(line.get(close + 2..)?);
    let state = *fields.next()?.first()?;
    let parent = fields.number()?;
    let flags = fields.skip(4)?.number()?;
    let utime = fields.skip(4)?.number()?;
    let stime = fields.number()?;
    let threads = fields.skip(4)?.number()?;
    let start = fields.skip(1)?.number()?;
    // A process that gave up its memory may show a negative count; it is 0 for our purpose.
    let rss = fields.skip(1)?.next()?;
    let rss = if rss.starts_with(b"-") { 0 } else { decimal(rss)? };
    Some(Stat {
        pid: u32::try_from(pid).ok()?,
        comm,
        state,
        ppid: u32::try_from(parent).ok()?,
        kernel: flags & PF_KTHREAD != 0,
        cpu_ns: utime.saturating_add(stime).saturating_mul(units.tick_ns),
        threads: u32::try_from(threads).unwrap_or(u32::MAX),
        start_ns: start.saturating_mul(units.tick_ns),
        rss_bytes: rss.saturating_mul(units.page_bytes),
    })
}

/// Fields separated by single spaces.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|&b| b == b' ' || b == b'\n').unwrap_or(self.0.len());
        let field = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(field)
    }

    fn skip(&mut self, fields: usize) -> Option<&mut Self> {
        for _ in 0..fields {
            self.next()?;
        }
        Some(self)
    }

    fn number(&mut self) -> Option<u64> {
        decimal(self.next()?)
    }
}

/// A number that fills the whole of `text`.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        (digit <= 9).then(|| n.checked_mul(10)?.checked_add(digit.into()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units { tick_ns: 10_000_000, page_bytes: 4096 };
    const CAT: &str = "18896 (cat) R 18888 18888 16909 0 -1 4194304 98 0 0 0 7 5 0 0 20 0 1 0 168451 3133440 366 18446744073709551615 94168671526912 94168671546793 140734408702128 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 94168671562800 94168671564416 94169083174912 140734408710850 140734408710870 140734408710870 140734408712171 0\n";

    #[test]
    fn numbers_that_no_kernel_counts_to_are_the_largest_and_not_small_ones() {
        let most = u64::MAX.to_string();
        let line = CAT
            .replace(" 7 5 ", &format!(" {most} {most} "))
            .replace(" 168451 ", &format!(" {most} "));

        let stat = parse(line.as_bytes(), UNITS).unwrap();

        assert_eq!((stat.cpu_ns, stat.start_ns), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_line_gives_times_in_nanoseconds_and_memory_in_bytes() {
        let stat = parse(CAT.as_bytes(), UNITS).unwrap();

        assert_eq!((stat.pid, stat.ppid, stat.state, stat.threads), (18896, 18888, b'R', 1));
        assert_eq!(stat.cpu_ns, 120_000_000);
        assert_eq!(stat.start_ns, 1_684_510_000_000);
        assert_eq!(stat.rss_bytes, 366 * 4096);
        assert!(!stat.kernel);
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_moves_no_field() {
        let line = CAT.replace("(cat)", "(a) b (c)");

        let stat = parse(line.as_bytes(), UNITS).unwrap();

        assert_eq!(stat.comm.to_string(), "a) b (c");
        assert_eq!(Stat { comm: Comm::new(b"cat"), ..stat }, parse(CAT.as_bytes(), UNITS).unwrap());
    }

    #[test]
    fn kernel_threads_are_known_by_their_flags() {
        let line = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

        assert!(parse(line, UNITS).unwrap().kernel);
    }

    #[test]
    fn a_cut_line_is_refused() {
        for end in 0..=CAT.find(" 366 ").unwrap() {
            assert_eq!(parse(&CAT.as_bytes()[..end], UNITS), None, "{end} bytes");
        }
    }

    #[test]
    fn our_reading_of_every_live_process_equals_that_of_the_procfs_crate() {
        let units = Units {
            tick_ns: 1_000_000_000 / procfs::ticks_per_second(),
            page_bytes: procfs::page_size(),
        };
        let mut compared = 0;
        for process in procfs::process::all_processes().unwrap().flatten() {
            // Read once, so that both parse the same moment.
            let Ok(text) = std::fs::read(format!("/proc/{}/stat", process.pid)) else { continue };
            let theirs: procfs::process::Stat =
                procfs::FromRead::from_read(text.as_slice()).unwrap();
            let ours = parse(&text, units).unwrap();
            assert_eq!(i64::from(ours.pid), i64::from(theirs.pid));
            assert_eq!(i64::from(ours.ppid), i64::from(theirs.ppid));
            assert_eq!(ours.comm, Comm::new(theirs.comm.as_bytes()));
            assert_eq!(i64::from(ours.threads), theirs.num_threads);
            assert_eq!(ours.cpu_ns, (theirs.utime + theirs.stime) * units.tick_ns);
            assert_eq!(ours.start_ns, theirs.starttime * units.tick_ns);
            assert_eq!(ours.rss_bytes, theirs.rss * units.page_bytes);
            assert_eq!(ours.kernel, u64::from(theirs.flags) & PF_KTHREAD != 0);
            compared += 1;
        }
        assert!(compared > 1);
    }
}
