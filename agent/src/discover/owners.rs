//! Who holds a socket: a walk over `/proc/PID/fd` that is paid for once per new socket, not once per
//! pass.
//!
//! In: the inodes of sockets seen in this pass, and the processes. Out: the holders of each. A walk
//! over an fd costs 3.5 µs, so only sockets without a known holder are looked for, likely processes
//! first, in pieces, under [`Limiter::Fds`](super::Limiter::Fds). It must not look again and again
//! for a socket that no one holds.
//!
//! I/O: lists `/proc/PID/fd` and reads its links, never through them.

use probelet_core::facts::{Loss, Losses, Process};
use probelet_core::hash::{HashMap, HashSet};

use self::holders::Holders;
use self::walk::{Allowance, Stop, Walk};
use super::procfs::root::{Root, is_gone};
use super::{Pace, Pass};

mod holders;
mod walk;

/// Fds that an [`Everything`](probelet_core::facts::Want::Everything) pass looks at again although no
/// socket is missing: 4 ms. It shows, in turns, what changed without a new socket.
const REFRESH_FDS: u32 = 1024;
/// Processes between two breaths when they have few fds.
const PROCESSES_PER_BREATH: u32 = 4;
/// Passes until a socket that no process held is looked for again; doubles each time, up to 2^5.
const RETRY_PASSES: u64 = 30;

/// A socket without a known holder.
#[derive(Debug)]
struct Wanted {
    netns: u32,
    /// Processes walked since this pass need not be walked again for it.
    since: u64,
    seen: u64,
    /// No process of its own namespace has it.
    netns_done: bool,
    /// No process has it; look again in that pass.
    retry: Option<u64>,
    tries: u32,
}

/// Every holder known, and the search for the others.
#[derive(Debug)]
pub struct Owners {
    holders: Holders,
    walks: HashMap<u32, Walk>,
    wanted: HashMap<u32, Wanted>,
    /// Inodes that this pass looks for.
    hunted: HashSet<u32>,
    /// (namespace, port) of those, to find their listeners.
    hunted_ports: HashSet<(u32, u16)>,
    /// Processes that hold a listener of a wanted port.
    likely: HashSet<u32>,
    order: Vec<Candidate>,
    pass: u64,
    listing: Vec<u8>,
}

/// Sorted: most likely first, then the one not walked for longest, then the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    class: u8,
    started: u64,
    fds: u32,
    index: u32,
}

impl Owners {
    /// Knows no holder yet. Sockets of other families than ours are remembered too, because they
    /// cannot be distinguished; hence twice as many as the node may have of ours.
    #[must_use]
    pub fn new(max_sockets: u32) -> Self {
        Self {
            holders: Holders::new(2 * max_sockets as usize),
            walks: HashMap::default(),
            wanted: HashMap::default(),
            hunted: HashSet::default(),
            hunted_ports: HashSet::default(),
            likely: HashSet::default(),
            order: Vec::new(),
            pass: 0,
            listing: Vec::with_capacity(walk::LISTING),
        }
    }

    /// Remembers the holders of another number of sockets at most.
    pub(crate) fn set_max(&mut self, max_sockets: u32) {
        self.holders.set_max(2 * max_sockets as usize);
    }

    /// A new pass: forgets processes that ended, and what they held.
    pub fn begin(&mut self, processes: &[Process]) {
        self.pass += 1;
        self.hunted.clear();
        self.hunted_ports.clear();
        self.likely.clear();
        for process in processes {
            if let Some(walk) = self.walks.get_mut(&process.pid)
                && walk.start_ns == process.start_ns
            {
                walk.seen = self.pass;
            }
        }
        let (pass, holders) = (self.pass, &mut self.holders);
        self.walks.retain(|pid, walk| {
            let alive = walk.seen == pass;
            if !alive {
                walk.withdraw(*pid, holders);
            }
            alive
        });
    }

    /// A socket of this pass. Takes note of those that no one is known to hold.
    pub fn note(&mut self, inode: u32, netns: u32, port: u16, everywhere: bool) {
        if !self.holders.of(inode).is_empty() {
            return;
        }
        let pass = self.pass;
        let wanted = self.wanted.entry(inode).or_insert(Wanted {
            netns,
            since: pass,
            seen: pass,
            netns_done: false,
            retry: None,
            tries: 0,
        });
        wanted.seen = pass;
        if let Some(retry) = wanted.retry {
            if retry > pass {
                return;
            }
            *wanted = Wanted { since: pass, netns_done: false, retry: None, ..*wanted };
        }
        if !wanted.netns_done || everywhere {
            self.hunted.insert(inode);
            self.hunted_ports.insert((netns, port));
        }
    }

    /// A listener of this pass: accepted sockets are mostly held by who holds their listener.
    pub fn hint(&mut self, inode: u32, netns: u32, port: u16) {
        if self.hunted_ports.contains(&(netns, port)) {
            self.likely.extend(self.holders.of(inode));
        }
    }

    /// Whether any socket of this pass is looked for, so that hints are of use.
    #[must_use]
    pub(crate) fn hunts(&self) -> bool {
        !self.hunted.is_empty()
    }

    /// Who holds a socket, as far as is known.
    #[must_use]
    pub fn of(&self, inode: u32) -> &[u32] {
        self.holders.of(inode)
    }

    /// Looks for the holders of what was noted: in the sockets' own namespaces, and `everywhere` also
    /// in all others, with a part of the processes walked again in turns.
    pub fn search(
        &mut self,
        root: &Root,
        processes: &[Process],
        everywhere: bool,
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) -> Pass {
        let mut allowance = Allowance { fds: u32::MAX, since_breath: 0, pace };
        if self.hunts()
            && self.hunt(root, processes, everywhere, losses, &mut allowance) == Pass::Abandoned
        {
            return Pass::Abandoned;
        }
        // In turns: half for what seems to have changed, half for those that waited longest.
        for by_change in [true, false] {
            if !everywhere {
                break;
            }
            allowance.fds = REFRESH_FDS / 2;
            let pass = self.pass;
            self.order_by(processes, by_change, |_| Some(pass));
            if self.walk_all(root, processes, false, losses, &mut allowance) == Pass::Abandoned {
                return Pass::Abandoned;
            }
        }
        self.count(losses);
        Pass::Complete
    }

    fn hunt(
        &mut self,
        root: &Root,
        processes: &[Process],
        everywhere: bool,
        losses: &mut Losses,
        allowance: &mut Allowance<'_>,
    ) -> Pass {
        let mut since: HashMap<u32, u64> = HashMap::default();
        for wanted in self.hunted.iter().filter_map(|inode| self.wanted.get(inode)) {
            if !wanted.netns_done {
                let newest = since.entry(wanted.netns).or_default();
                *newest = wanted.since.max(*newest);
            }
        }
        self.order_by(processes, true, |p| since.get(&p.netns).copied());
        if self.walk_all(root, processes, true, losses, allowance) == Pass::Abandoned {
            return Pass::Abandoned;
        }
        self.settle(processes, false);
        if everywhere {
            let rest = self.hunted.iter().filter_map(|inode| self.wanted.get(inode));
            let newest = rest.filter(|w| w.netns_done).map(|w| w.since).max();
            self.order_by(processes, true, |_| newest);
            if self.walk_all(root, processes, true, losses, allowance) == Pass::Abandoned {
                return Pass::Abandoned;
            }
            self.settle(processes, true);
        }
        Pass::Complete
    }

    /// Fills `order` with the processes of which not all is known since the pass that `since` names.
    fn order_by(
        &mut self,
        processes: &[Process],
        by_change: bool,
        since: impl Fn(&Process) -> Option<u64>,
    ) {
        self.order.clear();
        for (index, process) in (0..).zip(processes) {
            let Some(since) = since(process) else { continue };
            let walk = self.walks.get(&process.pid);
            if walk.is_some_and(|walk| walk.known_up_to() >= since) {
                continue;
            }
            let changed = walk.is_none_or(|walk| !walk.denied && walk.fds != process.open_fds);
            let class = match walk {
                _ if changed || !by_change => 0,
                _ if self.likely.contains(&process.pid) => 1,
                _ => 2,
            };
            self.order.push(Candidate {
                class,
                started: walk.map_or(0, |walk| walk.started),
                fds: process.open_fds.unwrap_or(u32::MAX),
                index,
            });
        }
        self.order.sort_unstable();
    }

    /// Walks in that order until all that is hunted is found, or the limit ends.
    fn walk_all(
        &mut self,
        root: &Root,
        processes: &[Process],
        hunting: bool,
        losses: &mut Losses,
        allowance: &mut Allowance<'_>,
    ) -> Pass {
        let order = std::mem::take(&mut self.order);
        let mut outcome = Pass::Complete;
        for (number, candidate) in (1..).zip(&order) {
            if hunting && self.hunted.is_empty() {
                break;
            }
            if number % PROCESSES_PER_BREATH == 0 {
                allowance.since_breath = 0;
                if !allowance.pace.breathe() {
                    outcome = Pass::Abandoned;
                    break;
                }
            }
            let process = &processes[candidate.index as usize];
            let resumed = self.walks.get(&process.pid).is_some_and(|walk| walk.cursor > 0);
            let mut stop = self.walk_one(root, process, hunting, losses, allowance);
            if stop == Stop::End && resumed && hunting {
                // What is hunted may be a lower fd than where the walk went on.
                stop = self.walk_one(root, process, hunting, losses, allowance);
            }
            match stop {
                Stop::End | Stop::Enough => {}
                Stop::Limit => {
                    if hunting {
                        losses.add(Loss::RateLimited, 1);
                    }
                    break;
                }
                Stop::Abandoned => {
                    outcome = Pass::Abandoned;
                    break;
                }
            }
        }
        self.order = order;
        outcome
    }

    fn walk_one(
        &mut self,
        root: &Root,
        process: &Process,
        hunting: bool,
        losses: &mut Losses,
        allowance: &mut Allowance<'_>,
    ) -> Stop {
        let mut walk = self.walks.remove(&process.pid).unwrap_or_default();
        if walk.cursor == 0 {
            walk.start_ns = process.start_ns;
            walk.seen = self.pass;
            walk.started = self.pass;
            walk.complete = false;
            walk.fds = process.open_fds;
            walk.seen_fds = 0;
            walk.fresh.clear();
        }
        let (pid, before) = (process.pid, allowance.fds);
        let expected = process.open_fds.map_or(u32::MAX, |n| n.saturating_sub(walk.seen_fds));
        let (holders, hunted, wanted) = (&mut self.holders, &mut self.hunted, &mut self.wanted);
        let fresh = &mut walk.fresh;
        self.listing.clear();
        let listing = self.listing.spare_capacity_mut();
        let found = |inode| {
            fresh.push(inode);
            let needed = wanted.remove(&inode).is_some();
            holders.add(inode, pid, needed);
            hunted.remove(&inode);
            !(hunting && hunted.is_empty())
        };
        let stop = walk::walk(root, process, &mut walk.cursor, expected, allowance, listing, found);
        walk.seen_fds += before - allowance.fds;
        match stop {
            Ok(stop) => {
                if stop == Stop::End {
                    walk.finish(pid, &mut self.holders);
                }
                self.walks.insert(pid, walk);
                stop
            }
            Err(error) if is_gone(&error) => {
                losses.add(Loss::Vanished, 1);
                walk.withdraw(pid, &mut self.holders);
                Stop::End
            }
            Err(_) => {
                // Not asked again before it is its turn.
                losses.add(Loss::Permission, 1);
                walk.cursor = 0;
                walk.complete = true;
                walk.denied = true;
                self.walks.insert(pid, walk);
                Stop::End
            }
        }
    }

    /// Concludes what a complete search did not find.
    fn settle(&mut self, processes: &[Process], everywhere: bool) {
        if self.hunted.is_empty() {
            return;
        }
        let mut known: HashMap<u32, u64> = HashMap::default();
        let mut all = u64::MAX;
        for process in processes {
            let up_to = self.walks.get(&process.pid).map_or(0, Walk::known_up_to);
            let least = known.entry(process.netns).or_insert(u64::MAX);
            *least = up_to.min(*least);
            all = up_to.min(all);
        }
        for inode in &self.hunted {
            let Some(wanted) = self.wanted.get_mut(inode) else { continue };
            if everywhere && all >= wanted.since {
                wanted.retry = Some(self.pass + (RETRY_PASSES << wanted.tries.min(5)));
                wanted.tries += 1;
            }
            wanted.netns_done |=
                known.get(&wanted.netns).is_none_or(|up_to| *up_to >= wanted.since);
        }
    }

    fn count(&mut self, losses: &mut Losses) {
        let pass = self.pass;
        self.wanted.retain(|_, wanted| wanted.seen == pass);
        let no_one = self.wanted.values().filter(|wanted| wanted.retry.is_some()).count() as u64;
        losses.add(Loss::NoOwner, no_one);
        losses.add(Loss::OwnerPending, self.wanted.len() as u64 - no_one);
    }
}
