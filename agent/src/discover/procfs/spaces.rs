//! Every network namespace that a process of the node is in: its counters, and its sockets as the
//! last dump showed them.
//!
//! In: the processes, and one reader's counters per namespace. Out: [`Facts::netns`], and which
//! namespaces changed since their last dump. It must not keep anything of a namespace open: that
//! would keep the namespace of a deleted pod alive.
//!
//! I/O: reads `/proc/PID/net/{snmp,sockstat,sockstat6}`, each opened, read and closed.

use std::io;

use probelet_core::facts::{Facts, Loss, Netns, Process, Socket, State};
use rustc_hash::FxHashMap;

use super::root::{Root, is_gone};
use crate::discover::{Limiter, Pace, Pass, netns_counters};

/// Processes of a namespace that are tried before it counts as gone.
pub const READERS: usize = 4;
/// Namespaces between two breaths: 8 reads of 35 to 60 µs.
const SLICE: usize = 8;
/// Namespaces whose counters stand still and that are dumped again by a pass over everything: a third
/// of them, in turns, and at least so many. Each dump walks the machine's one hash.
const AGAIN: usize = 6;
/// Dumps of a namespace whose counters stand still, because a socket in it was not settled:
/// `accept()` moves no counter, and a program may never call it.
const UNSETTLED_DUMPS: u8 = 3;

/// One namespace.
#[derive(Debug, Default)]
pub struct Space {
    /// The newest counters; `None` before the first reading.
    pub counters: Option<Netns>,
    /// The counters before the last dump.
    dumped: Option<Netns>,
    /// Further dumps owed to sockets that were in flight.
    unsettled: u8,
    /// Its sockets, without holders.
    pub sockets: Vec<Socket>,
    /// Some processes that are in it, the oldest first.
    pub readers: Vec<u32>,
    /// When it was last read and dumped, for turns under a limit.
    read_in: u64,
    pub(super) dumped_in: u64,
}

impl Space {
    /// Whether its sockets may differ from those remembered.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.dumped.is_none() || self.dumped != self.counters || self.unsettled > 0
    }

    /// A dump is complete; `sockets` holds what it showed.
    pub fn dumped(&mut self, pass: u64) {
        let moved = self.dumped.is_none() || self.dumped != self.counters;
        let in_flight = |s: &Socket| {
            s.state == State::SynSent
                || s.inode == 0 && matches!(s.state, State::Established | State::SynRecv)
        };
        self.unsettled = match self.sockets.iter().any(in_flight) {
            false => 0,
            true if moved => UNSETTLED_DUMPS,
            true => self.unsettled.saturating_sub(1),
        };
        self.dumped = self.counters;
        self.dumped_in = pass;
    }
}

/// All namespaces.
#[derive(Debug, Default)]
pub struct Spaces {
    by_inode: FxHashMap<u32, Space>,
    order: Vec<(u64, u32)>,
    texts: [Vec<u8>; 3],
    pass: u64,
}

impl Spaces {
    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_inode.is_empty()
    }

    /// One namespace.
    pub fn get_mut(&mut self, inode: u32) -> Option<&mut Space> {
        self.by_inode.get_mut(&inode)
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Space> {
        self.by_inode.values()
    }

    /// Sockets remembered in all of them.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.by_inode.values().map(|space| space.sockets.len()).sum()
    }

    /// Namespaces that differ from their last dump, the longest not dumped first; and, when `more`
    /// are wanted, a part of the others that have sockets, in turns.
    pub fn to_dump(&self, more: bool, into: &mut Vec<(u64, u32)>) {
        into.clear();
        if more {
            let still = self.by_inode.iter().filter(|(_, s)| !s.changed() && !s.sockets.is_empty());
            into.extend(still.map(|(inode, space)| (space.dumped_in, *inode)));
            into.sort_unstable();
            into.truncate(into.len().div_ceil(3).max(AGAIN));
        }
        let changed = self.by_inode.iter().filter(|(_, space)| space.changed());
        into.extend(changed.map(|(inode, space)| (space.dumped_in, *inode)));
        into.sort_unstable();
    }

    /// Takes over who is in which namespace. Processes stand in the order of `/proc`, so a
    /// namespace's first ones are mostly its oldest: its pause process, its init.
    pub fn assign(&mut self, processes: &[Process]) {
        for space in self.by_inode.values_mut() {
            space.readers.clear();
        }
        for process in processes.iter().filter(|process| process.netns != 0) {
            let space = self.by_inode.entry(process.netns).or_default();
            if space.readers.len() < READERS {
                space.readers.push(process.pid);
            }
        }
        self.by_inode.retain(|_, space| !space.readers.is_empty());
    }

    /// Refills `facts.netns`.
    pub fn count(&mut self, root: &Root, facts: &mut Facts, pace: &mut dyn Pace) -> Pass {
        self.pass += 1;
        facts.netns.clear();
        self.order.clear();
        self.order.extend(self.by_inode.iter().map(|(inode, space)| (space.read_in, *inode)));
        self.order.sort_unstable();
        for (number, (_, inode)) in self.order.iter().enumerate() {
            if number % SLICE == SLICE - 1 && !pace.breathe() {
                return Pass::Abandoned;
            }
            let Some(space) = self.by_inode.get_mut(inode) else { continue };
            if pace.take(Limiter::Netns, 1) == 0 {
                facts.losses.add(Loss::RateLimited, 1);
            } else {
                match read(root, *inode, &space.readers, &mut self.texts) {
                    Ok(counters) => {
                        space.counters = Some(counters);
                        space.read_in = self.pass;
                    }
                    Err(loss) => {
                        facts.losses.add(loss, 1);
                        if loss == Loss::NetnsVanished {
                            continue;
                        }
                    }
                }
            }
            facts.netns.extend(space.counters);
        }
        Pass::Complete
    }
}

/// Reads the counters through the first process that still is there.
fn read(root: &Root, inode: u32, readers: &[u32], texts: &mut [Vec<u8>; 3]) -> Result<Netns, Loss> {
    let mut loss = Loss::NetnsVanished;
    for &pid in readers {
        match read_texts(root, pid, texts) {
            Ok(()) => {
                let [snmp, sockstat, sockstat6] = texts;
                match netns_counters::parse(inode, snmp, sockstat, sockstat6) {
                    Some(counters) => return Ok(counters),
                    None => loss = Loss::Malformed,
                }
            }
            Err(error) if is_gone(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                loss = Loss::Permission;
            }
            Err(_) => loss = Loss::Malformed,
        }
    }
    Err(loss)
}

fn read_texts(root: &Root, pid: u32, texts: &mut [Vec<u8>; 3]) -> io::Result<()> {
    let [snmp, sockstat, sockstat6] = texts;
    root.read(pid, netns_counters::FILES[0], snmp)?;
    root.read(pid, netns_counters::FILES[1], sockstat)?;
    if root.read(pid, netns_counters::FILES[2], sockstat6).is_err() {
        sockstat6.clear(); // a kernel without IPv6
    }
    Ok(())
}
