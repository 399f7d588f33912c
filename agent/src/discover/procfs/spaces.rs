//! Every network namespace that a process of the node, or one of its threads, is in: its counters, and its sockets as the
//! last dump showed them.
//!
//! In: the processes, and one reader's counters per namespace. Out: [`Facts::netns`], which
//! namespaces changed since their last dump, and in which of the others bytes went. It must not keep anything of a namespace open: that
//! would keep the namespace of a deleted pod alive.
//!
//! I/O: reads `/proc/PID/net/{snmp,sockstat,sockstat6}`, each opened, read and closed.

use std::io;

use probelet_core::facts::{Facts, Loss, Netns, PortRange, Process, Socket, State};
use probelet_core::hash::HashMap;

use super::root::{Root, is_gone};
use crate::discover::netns_counters::{self, Counters};
use crate::discover::seen::Seen;
use crate::discover::{Limiter, Pace, Pass};

/// Processes of a namespace that are tried before it counts as gone.
pub(crate) const READERS: usize = 4;
/// Namespaces between two breaths: 8 reads of 35 to 60 µs.
const SLICE: usize = 8;
/// Namespaces where bytes went but nothing was opened or closed are dumped again by a pass over
/// everything: a third of them, in turns, and at least so many. Each dump walks the machine's one hash.
const AGAIN: usize = 6;
/// Of those where nothing went, so many are dumped: a socket may have got another holder.
const SILENT: usize = 1;
/// Dumps of a namespace whose counters stand still, because a socket in it was not settled:
/// `accept()` moves no counter, and a program may never call it.
const UNSETTLED_DUMPS: u8 = 3;

/// One namespace.
#[derive(Debug, Default)]
pub struct Space {
    /// The newest counters; `None` before the first reading.
    pub counters: Option<Counters>,
    /// The counters before the last dump.
    dumped: Option<Counters>,
    /// Further dumps owed to sockets that were in flight.
    unsettled: u8,
    /// Its sockets, without holders.
    pub sockets: Vec<Socket>,
    /// Its range of ephemeral ports, as of the last dump.
    pub ports: Option<PortRange>,
    /// What that dump met, to be compared with the counters, unless it had to leave something out.
    seen: Seen,
    cut: bool,
    /// How many sockets the kernel counted beyond that, when it was last compared.
    unseen: u64,
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
        self.moved() || self.unsettled > 0
    }

    /// Whether a socket was opened or closed since the last dump, if there was one.
    fn moved(&self) -> bool {
        let netns = |counters: Option<Counters>| counters.map(|counters| counters.netns);
        self.dumped.is_none() || netns(self.dumped) != netns(self.counters)
    }

    /// A dump is complete; `sockets` holds what it showed, but for what was left out if it was `cut`.
    pub(crate) fn dumped(&mut self, pass: u64, cut: bool) {
        self.cut = cut;
        let moved = self.moved();
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
        self.seen = Seen::default();
        self.sockets.iter().for_each(|socket| self.seen.add(socket));
    }

    /// Whether a connection was opened since the last dump.
    pub(super) fn opened(&self) -> bool {
        let opens =
            |counters: &Counters| (counters.netns.active_opens, counters.netns.passive_opens);
        self.dumped.as_ref().map(opens) != self.counters.as_ref().map(opens)
    }

    /// How many sockets the kernel counts beyond those of the last dump; if something has moved since, how
    /// many it were before.
    fn missing(&mut self) -> u64 {
        if let (Some(then), Some(now)) = (self.dumped, self.counters)
            && then.netns == now.netns
        {
            self.unseen = self.seen.missing(&then.netns, &now.netns);
        }
        self.unseen
    }
}

/// All namespaces.
#[derive(Debug, Default)]
pub struct Spaces {
    by_inode: HashMap<u32, Space>,
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
    #[must_use]
    pub fn get(&self, inode: u32) -> Option<&Space> {
        self.by_inode.get(&inode)
    }

    /// The sockets of all namespaces but this one.
    pub fn others(&self, inode: u32) -> impl Iterator<Item = &Socket> {
        let others = self.by_inode.iter().filter(move |(other, _)| **other != inode);
        others.flat_map(|(_, space)| &space.sockets)
    }

    /// One namespace, to be changed.
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

    /// How many sockets of all namespaces the kernel counts and no dump met; `None` where a dump had to leave
    /// something out.
    #[must_use]
    pub fn missing(&mut self) -> Option<u64> {
        let whole = self.by_inode.values().all(|space| !space.cut);
        whole.then(|| self.by_inode.values_mut().map(Space::missing).sum())
    }

    /// Shows the ranges of ports that dumps have read since the counters were.
    pub(crate) fn tell_ports(&self, facts: &mut Facts) {
        for netns in &mut facts.netns {
            netns.ports = self.by_inode.get(&netns.inode).and_then(|space| space.ports);
        }
    }

    /// Namespaces that differ from their last dump, the longest not dumped first; and, when `more`
    /// are wanted, a part of the others that have sockets, in turns: most of it where bytes went.
    pub(crate) fn to_dump(&self, more: bool, into: &mut Vec<(u64, u32)>) {
        into.clear();
        let mut still = |bytes: bool, most: fn(usize) -> usize| {
            let from = into.len();
            let still = self.by_inode.iter().filter(|(_, s)| !s.changed() && !s.sockets.is_empty());
            let still = still.filter(|(_, space)| (space.dumped != space.counters) == bytes);
            into.extend(still.map(|(inode, space)| (space.dumped_in, *inode)));
            into[from..].sort_unstable();
            into.truncate(from + most(into.len() - from));
        };
        if more {
            still(false, |_| SILENT);
            still(true, |found| found.div_ceil(3).max(AGAIN));
        }
        let changed = self.by_inode.iter().filter(|(_, space)| space.changed());
        into.extend(changed.map(|(inode, space)| (space.dumped_in, *inode)));
        into.sort_unstable();
    }

    /// Takes over who is in which namespace. Processes stand in the order of `/proc`, so a
    /// namespace's first ones are mostly its oldest: its pause process, its init.
    /// How many are gone that were there. A thread in a namespace of its own is a reader like a process.
    pub fn assign(
        &mut self,
        processes: &[Process],
        threads: impl Iterator<Item = (u32, u32)>,
    ) -> u64 {
        for space in self.by_inode.values_mut() {
            space.readers.clear();
        }
        let processes = processes.iter().map(|process| (process.pid, process.netns));
        for (pid, netns) in processes.chain(threads).filter(|(_, netns)| *netns != 0) {
            let space = self.by_inode.entry(netns).or_default();
            if space.readers.len() < READERS {
                space.readers.push(pid);
            }
        }
        let before = self.by_inode.len();
        self.by_inode.retain(|_, space| !space.readers.is_empty());
        (before - self.by_inode.len()) as u64
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
                match read(root, *inode, &space.readers, &mut self.texts, space.counters) {
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
            let ports = space.ports;
            facts.netns.extend(space.counters.map(|counters| Netns { ports, ..counters.netns }));
        }
        Pass::Complete
    }
}

/// Reads the counters through the first process that still is there.
fn read(
    root: &Root,
    inode: u32,
    readers: &[u32],
    texts: &mut [Vec<u8>; 3],
    last: Option<Counters>,
) -> Result<Counters, Loss> {
    let mut loss = Loss::NetnsVanished;
    for &pid in readers {
        match read_texts(root, pid, texts) {
            Ok(()) => {
                let [snmp, sockstat, sockstat6] = texts;
                match netns_counters::parse(inode, snmp, sockstat, sockstat6) {
                    Some(mut counters) => {
                        let fails = |counters: &Counters| counters.netns.attempt_fails;
                        let same = last.filter(|last| fails(last) == fails(&counters));
                        counters.netns.embryonic_rsts = match same {
                            Some(last) => last.netns.embryonic_rsts,
                            None => embryonic(root, pid, snmp).unwrap_or(0),
                        };
                        return Ok(counters);
                    }
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

/// `text` is a buffer that is not needed any more.
fn embryonic(root: &Root, pid: u32, text: &mut Vec<u8>) -> Option<u64> {
    root.read(pid, netns_counters::EXTENDED, text).ok()?;
    netns_counters::embryonic_resets(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Namespaces whose counters stand still, by (inode, segments since the last dump, when that was).
    fn still(of: &[(u32, u64, u64)]) -> Spaces {
        let space = |&(inode, segments, dumped_in): &(u32, u64, u64)| {
            let netns = Netns { inode, ..Netns::default() };
            let space = Space {
                counters: Some(Counters { netns, segments }),
                dumped: Some(Counters { netns, segments: 0 }),
                sockets: vec![Socket::default()],
                dumped_in,
                ..Space::default()
            };
            (inode, space)
        };
        Spaces { by_inode: of.iter().map(space).collect(), ..Spaces::default() }
    }

    fn to_dump(spaces: &Spaces, more: bool) -> Vec<u32> {
        let mut into = Vec::new();
        spaces.to_dump(more, &mut into);
        into.into_iter().map(|(_, inode)| inode).collect()
    }

    #[test]
    fn where_nothing_went_one_namespace_is_dumped_again_in_turns() {
        let mut spaces = still(&[(1, 0, 7), (2, 0, 5), (3, 0, 6)]);
        assert_eq!(to_dump(&spaces, true), [2]);

        spaces.get_mut(2).unwrap().dumped(8, false);

        assert_eq!(to_dump(&spaces, true), [3]);
        assert!(to_dump(&spaces, false).is_empty());
    }

    #[test]
    fn where_bytes_went_a_third_is_dumped_again_in_turns_and_six_at_least() {
        let busy: Vec<_> = (1..=30).map(|inode| (inode, 1, u64::from(inode))).collect();
        let some: Vec<_> = (1..=5).map(|inode| (inode, 1, 3)).collect();

        assert_eq!(to_dump(&still(&busy), true), (1..=10).collect::<Vec<_>>());
        assert_eq!(to_dump(&still(&some), true), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_went_before_the_dump_does_not_count() {
        let mut spaces = still(&[(1, 9, 1), (2, 9, 2)]);
        assert_eq!(to_dump(&spaces, true), [1, 2]);

        spaces.get_mut(2).unwrap().dumped(3, false);

        assert_eq!(to_dump(&spaces, true), [1, 2]);
        spaces.get_mut(1).unwrap().dumped(4, false);
        assert_eq!(to_dump(&spaces, true), [2]);
    }
}
