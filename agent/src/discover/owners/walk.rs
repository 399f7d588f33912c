//! One walk over `/proc/PID/fd`, in pieces.
//!
//! In: a process, how many entries may be looked at, and what to do with a socket. Out: where the
//! walk stopped and why. It must not `stat` through a link: that follows it and can hang for ever on
//! a dead network file system, which `readlink` never does.
//!
//! I/O: lists `/proc/PID/fd` and reads its links.

use std::io;
use std::mem::MaybeUninit;

use probelet_core::facts::Process;
use rustix::fs::{OFlags, RawDir, SeekFrom};

use super::holders::Holders;
use crate::discover::procfs::root::{Root, bracketed};
use crate::discover::{Limiter, Pace};

/// Entries between two breaths: 256 links of 3.5 µs.
const SLICE: u32 = 256;
/// One listing call's worth: 256 entries of 24 bytes. A larger one would list entries that the
/// limit then does not let us look at.
pub(super) const LISTING: usize = 6 * 1024;

/// What is known of one process's fds.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) start_ns: u64,
    /// The last pass that saw the process.
    pub(super) seen: u64,
    /// Sockets that the last complete walk found.
    pub(super) inodes: Vec<u32>,
    /// Sockets that the walk under way found.
    pub(super) fresh: Vec<u32>,
    pub(super) cursor: u64,
    pub(super) seen_fds: u32,
    /// The pass in which the walk under way, or the last one, began; 0 is never.
    pub(super) started: u64,
    pub(super) complete: bool,
    /// Open fds when it began.
    pub(super) fds: Option<u32>,
    pub(super) denied: bool,
}

impl Walk {
    /// The pass up to which all sockets of the process are known.
    pub(super) fn known_up_to(&self) -> u64 {
        if self.complete { self.started } else { 0 }
    }

    /// The walk is complete: what an earlier one found and this one did not was closed.
    pub(super) fn finish(&mut self, pid: u32, holders: &mut Holders) {
        self.fresh.sort_unstable();
        self.fresh.dedup();
        for inode in &self.inodes {
            if self.fresh.binary_search(inode).is_err() {
                holders.remove(*inode, pid);
            }
        }
        std::mem::swap(&mut self.inodes, &mut self.fresh);
        self.fresh.clear();
        self.complete = true;
        self.denied = false;
    }

    /// The process has ended: it holds nothing any more.
    pub(super) fn withdraw(&self, pid: u32, holders: &mut Holders) {
        for inode in self.inodes.iter().chain(&self.fresh) {
            holders.remove(*inode, pid);
        }
    }
}

/// Why a walk came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All entries were seen.
    End,
    /// The limit or the allowance ended; the cursor says where to go on.
    Limit,
    /// The caller has seen enough.
    Enough,
    /// [`Pace::breathe`] said stop.
    Abandoned,
}

/// What a walk may use up.
pub(super) struct Allowance<'a> {
    /// Entries that may be looked at, whatever the limiter says.
    pub fds: u32,
    /// Entries looked at since the last breath.
    pub since_breath: u32,
    /// The budget.
    pub pace: &'a mut dyn Pace,
}

/// Goes on at `cursor` (0 is the start), which is moved behind the last entry seen. `expected` is
/// how many entries are probably left; `found` gets every socket inode, and says whether to go on.
pub(super) fn walk(
    root: &Root,
    process: &Process,
    cursor: &mut u64,
    expected: u32,
    allowance: &mut Allowance<'_>,
    listing: &mut [MaybeUninit<u8>],
    mut found: impl FnMut(u32) -> bool,
) -> io::Result<Stop> {
    let (pid, before, from) = (process.pid, allowance.fds, *cursor);
    let stop = walk_thread(root, pid, cursor, expected, allowance, listing, &mut found)?;
    let none = stop == Stop::End && allowance.fds == before;
    // A first thread that has ended shows no files, though its process has some.
    if none
        && expected > 0
        && process.threads > 1
        && let Some(thread) = root.another_thread(pid)
    {
        *cursor = from;
        return walk_thread(root, thread, cursor, expected, allowance, listing, &mut found);
    }
    Ok(stop)
}

fn walk_thread(
    root: &Root,
    pid: u32,
    cursor: &mut u64,
    expected: u32,
    allowance: &mut Allowance<'_>,
    listing: &mut [MaybeUninit<u8>],
    found: &mut impl FnMut(u32) -> bool,
) -> io::Result<Stop> {
    let dir = root.file(pid, "fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    if *cursor > 0 {
        rustix::fs::seek(&dir, SeekFrom::Start(*cursor))?;
    }
    let mut granted = 0;
    let mut expected = expected;
    let mut entries = RawDir::new(&dir, listing);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_name().to_bytes().first() == Some(&b'.') {
            continue;
        }
        if granted == 0 {
            if allowance.since_breath >= SLICE {
                allowance.since_breath = 0;
                if !allowance.pace.breathe() {
                    return Ok(Stop::Abandoned);
                }
            }
            let ask = SLICE.min(allowance.fds).min(expected.max(1));
            granted = if ask == 0 { 0 } else { allowance.pace.take(Limiter::Fds, ask).min(ask) };
            if granted == 0 {
                return Ok(Stop::Limit);
            }
            allowance.fds -= granted;
            expected = expected.saturating_sub(granted);
        }
        granted -= 1;
        allowance.since_breath += 1;
        *cursor = entry.next_entry_cookie();
        let mut buffer = [MaybeUninit::<u8>::uninit(); 32];
        // The fd may have been closed since it was listed: that is no loss of ours.
        let Ok((link, _)) = rustix::fs::readlinkat_raw(&dir, entry.file_name(), &mut buffer) else {
            continue;
        };
        if link.starts_with(b"socket:[")
            && let Some(inode) = bracketed(link)
            && !found(inode)
        {
            return Ok(Stop::Enough);
        }
    }
    *cursor = 0;
    Ok(Stop::End)
}
