//! Threads that are in another network namespace than their process: some DNS servers, VPNs and test tools
//! keep one for each namespace that they serve, and no process need be in it.
//!
//! In: the processes. Out: (thread, namespace) of those elsewhere. A thread costs a link to be read, so with
//! each reading of everything some are looked at, in turns. It must not hold a namespace.
//!
//! I/O: lists `/proc/PID/task`, reads `ns/net` (number) of threads.

use probelet_core::facts::{Loss, Losses, Process};
use probelet_core::hash::{HashMap, HashSet};

use super::root::{Root, is_gone};
use crate::discover::{Limiter, Pace};

/// Threads that are looked at with one reading of everything: 1.5 ms.
const TURN: u32 = 512;
/// The first time, when a namespace may have been there for long: 12 ms.
const FIRST_TURN: u32 = 4096;
/// Threads between two breaths.
const SLICE: u32 = 64;
/// Threads elsewhere that are remembered.
const KNOWN_MAX: usize = 4096;
const LISTING: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Threads {
    /// Namespace of each thread elsewhere, by its process and itself.
    known: HashMap<(u32, u32), u32>,
    /// The thread that the next turn begins behind, and its process.
    at: (u32, u32),
    looked: bool,
    listing: Vec<u8>,
}

impl Threads {
    /// Looks at the next threads in turn.
    pub fn look(
        &mut self,
        root: &Root,
        processes: &[Process],
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) {
        let mut several: Vec<&Process> =
            processes.iter().filter(|p| p.threads > 1 && p.netns != 0).collect();
        several.sort_unstable_by_key(|process| process.pid);
        let behind = several.partition_point(|process| process.pid < self.at.0);
        several.rotate_left(behind);
        let mut left = if std::mem::replace(&mut self.looked, true) { TURN } else { FIRST_TURN };
        for process in several {
            let first = if process.pid == self.at.0 { self.at.1 } else { 0 };
            if !self.look_at(root, process, first, &mut left, losses, pace) {
                return;
            }
        }
        // All were looked at; the next turn begins with the first one.
        self.at = (0, 0);
    }

    /// Looks at the threads of one process behind `first`; `false` when the turn is over.
    fn look_at(
        &mut self,
        root: &Root,
        process: &Process,
        first: u32,
        left: &mut u32,
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) -> bool {
        let tids = self.list(root, process.pid);
        if !self.known.is_empty() {
            let pid = process.pid;
            self.known.retain(|(of, tid), _| *of != pid || tids.binary_search(tid).is_ok());
        }
        for tid in tids {
            if tid <= first || tid == process.pid {
                continue;
            }
            self.at = (process.pid, tid - 1);
            if *left == 0 || pace.take(Limiter::ProcfsReads, 1) == 0 {
                return false;
            }
            *left -= 1;
            if left.is_multiple_of(SLICE) && !pace.breathe() {
                return false;
            }
            match root.link_number(tid, "ns/net") {
                Ok(netns) if netns != process.netns => {
                    if self.known.len() < KNOWN_MAX {
                        self.known.insert((process.pid, tid), netns);
                    } else {
                        losses.add(Loss::RateLimited, 1);
                    }
                }
                Err(error) if !is_gone(&error) => {}
                _ => {
                    self.known.remove(&(process.pid, tid));
                }
            }
        }
        self.at = (process.pid + 1, 0);
        true
    }

    /// The threads of a process, the lowest first; none of one that has gone.
    fn list(&mut self, root: &Root, pid: u32) -> Vec<u32> {
        let mut tids = Vec::new();
        self.listing.clear();
        self.listing.reserve(LISTING);
        root.threads(pid, self.listing.spare_capacity_mut(), |tid| {
            tids.push(tid);
            true
        });
        tids.sort_unstable();
        tids
    }

    /// Each thread elsewhere whose process is still there, and its namespace.
    pub fn elsewhere(&mut self, processes: &[Process]) -> impl Iterator<Item = (u32, u32)> {
        if !self.known.is_empty() {
            let alive: HashSet<u32> = processes.iter().map(|process| process.pid).collect();
            self.known.retain(|(pid, _), _| alive.contains(pid));
        }
        self.known.iter().map(|((_, tid), netns)| (*tid, *netns))
    }
}
