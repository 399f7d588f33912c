//! The pass that the sources `netlink` and `procfs` share; they differ in how a namespace is dumped.
//!
//! In: `/proc` and a [`Dump`]. Out: all sections of [`Facts`]. Namespaces whose counters stand still
//! are served from memory. It must not hold anything of a namespace over a pass.
//!
//! I/O: reads `/proc`, and dumps namespaces through the [`Dump`].

use std::time::Instant;

use probelet_core::facts::{Facts, Loss, Losses, PortRange, Role, Socket, SourceKind, State, Want};
use probelet_core::hash::HashMap;

use super::closed::ClosedMemory;
use super::processes::Processes;
use super::root::Root;
use super::spaces::Spaces;
use super::tables::Row;
use super::threads::Threads;
use crate::discover::owners::Owners;
use crate::discover::seen::Checks;
use crate::discover::shares::Shares;
use crate::discover::{Error, Limiter, Limits, Pace, Pass, Source};

/// How a dump of one namespace through one process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumped {
    /// The intake has all its sockets.
    Complete,
    /// The process has gone; another one may still be in the namespace.
    Vanished,
    /// The process has moved to this namespace.
    Moved(u32),
    /// The kernel refused.
    Denied,
    /// [`Pace::breathe`] said stop.
    Abandoned,
}

/// What to dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// A process in the namespace.
    pub pid: u32,
    /// The namespace.
    pub netns: u32,
    /// Whether the bytes of each socket are wanted, where the source can tell.
    pub detail: bool,
    /// Whether it has UDP sockets: their tables are the machine's, and walked for nothing else.
    pub udp: bool,
}

/// Reads all sockets of one network namespace.
pub trait Dump {
    /// The source that dumps so.
    const KIND: SourceKind;

    /// Reads the sockets of a namespace through one of its processes.
    fn dump(
        &mut self,
        root: &Root,
        target: Target,
        intake: &mut Intake<'_>,
        pace: &mut dyn Pace,
    ) -> Result<Dumped, Error>;
}

/// Where a dump puts what it shows.
pub struct Intake<'a> {
    netns: u32,
    sockets: &'a mut Vec<Socket>,
    closed: &'a mut ClosedMemory,
    /// What the dump met.
    pub losses: &'a mut Losses,
    /// The namespace's range of ephemeral ports, if the source can read it.
    pub ports: Option<PortRange>,
    /// The dump was ended where it would not pay to go on.
    pub ended_early: bool,
    shares: &'a mut Shares,
    spaces: &'a Spaces,
    /// Sockets of other namespaces that have a place, and places in all.
    elsewhere: usize,
    most: usize,
    /// Sockets without a place.
    refused: u64,
    began: Instant,
    opened: bool,
}

impl Intake<'_> {
    /// One socket, or one that is closed.
    pub fn row(&mut self, row: Row) {
        match row {
            Row::Socket(socket) => {
                let socket = Socket { netns: self.netns, ..socket };
                let here = self.netns;
                let others = self.spaces.others(here).chain(&*self.sockets);
                let all = self.elsewhere + self.sockets.len();
                if self.shares.admit(all, others, &socket, self.most) {
                    self.sockets.push(socket);
                } else {
                    self.refused += 1;
                    self.losses.add(Loss::SocketsFull, 1);
                }
            }
            Row::TimeWait(mut closed, cookie) => {
                closed.netns = self.netns;
                self.closed.note(closed, cookie, self.opened, millis(self.began), self.losses);
            }
            Row::Nothing => {}
        }
    }

    /// How many rows are worth reading: beyond several times the places there is nothing but a count.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.most.saturating_mul(ROWS_A_PLACE).saturating_add(ROWS_LEAST)
    }
}

/// Rows of one table that are read for each place of a socket, and rows that are read in any case: TIME_WAITs
/// have no place among the sockets, and the kernel keeps up to 262,144.
const ROWS_A_PLACE: usize = 4;
const ROWS_LEAST: usize = 65_536;

/// A node, read by one [`Dump`].
#[derive(Debug)]
pub struct Node<D> {
    root: Root,
    limits: Limits,
    dump: D,
    processes: Processes,
    spaces: Spaces,
    owners: Owners,
    closed: ClosedMemory,
    began: Instant,
    pass: u64,
    dumps: u64,
    checks: Checks,
    handed_over: bool,
    shares: Shares,
    threads: Threads,
    order: Vec<(u64, u32)>,
    scratch: Vec<Socket>,
    bytes: HashMap<u32, Socket>,
}

impl<D: Dump> Node<D> {
    /// Nothing is read yet.
    pub fn new(root: Root, limits: Limits, dump: D) -> Self {
        Self {
            processes: Processes::new(&root, limits.max_processes),
            root,
            limits,
            dump,
            spaces: Spaces::default(),
            owners: Owners::new(limits.max_sockets),
            closed: ClosedMemory::default(),
            began: Instant::now(),
            pass: 0,
            dumps: 0,
            checks: Checks::default(),
            handed_over: false,
            shares: Shares::default(),
            threads: Threads::default(),
            order: Vec::new(),
            scratch: Vec::new(),
            bytes: HashMap::default(),
        }
    }

    /// Namespaces dumped so far.
    #[cfg(test)]
    pub(crate) fn dumps(&self) -> u64 {
        self.dumps
    }
}

impl<D: Dump> Source for Node<D> {
    fn kind(&self) -> SourceKind {
        D::KIND
    }

    fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.processes.set_max(limits.max_processes);
        self.owners.set_max(limits.max_sockets);
    }

    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error> {
        self.pass += 1;
        (facts.fresh, facts.compared) = (None, false);
        if want >= Want::Processes || self.spaces.is_empty() {
            if self.processes.refresh(&self.root, want, facts, pace)? == Pass::Abandoned {
                return Ok(Pass::Abandoned);
            }
            if want == Want::Everything {
                self.threads.look(&self.root, &facts.processes, &mut facts.losses, pace);
            }
            let threads =
                self.processes.following().chain(self.threads.elsewhere(&facts.processes));
            let gone = self.spaces.assign(&facts.processes, threads);
            facts.losses.add(Loss::NetnsVanished, gone);
        }
        if self.spaces.count(&self.root, facts, pace) == Pass::Abandoned {
            return Ok(Pass::Abandoned);
        }
        if want == Want::Everything && self.dumps > 0 {
            // before the dumps: by now the counters tell whether anything moved since the last ones
            if let Some(missing) = self.spaces.missing() {
                facts.losses.add(Loss::Unseen, self.checks.certain(missing));
                facts.compared = true;
            }
        }
        if want >= Want::Sockets && self.sockets(want, facts, pace)? == Pass::Abandoned {
            return Ok(Pass::Abandoned);
        }
        facts.fresh = Some(want);
        Ok(Pass::Complete)
    }
}

impl<D: Dump> Node<D> {
    fn sockets(
        &mut self,
        want: Want,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) -> Result<Pass, Error> {
        let everything = want == Want::Everything;
        self.shares.clear();
        let mut order = std::mem::take(&mut self.order);
        self.spaces.to_dump(everything, &mut order);
        let mut outcome = Ok(Pass::Complete);
        for (_, netns) in &order {
            if !pace.breathe() {
                outcome = Ok(Pass::Abandoned);
            } else if pace.take(Limiter::Netns, 1) == 0 {
                facts.losses.add(Loss::RateLimited, 1);
                continue;
            } else {
                outcome = self.dump_one(*netns, everything, &mut facts.losses, pace);
            }
            if !matches!(outcome, Ok(Pass::Complete)) {
                break;
            }
        }
        self.order = order;
        if !matches!(outcome, Ok(Pass::Complete)) {
            return outcome;
        }
        if self.find_owners(everything, facts, pace) == Pass::Abandoned {
            return Ok(Pass::Abandoned);
        }
        self.emit(facts);
        Ok(Pass::Complete)
    }

    /// Dumps one namespace through the first of its processes that is still in it.
    fn dump_one(
        &mut self,
        netns: u32,
        detail: bool,
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) -> Result<Pass, Error> {
        let Some(space) = self.spaces.get(netns) else { return Ok(Pass::Complete) };
        let elsewhere = self.spaces.sockets() - space.sockets.len();
        let counted = space.counters.map(|counters| counters.netns);
        let udp = counted.is_none_or(|counted| counted.udp_in_use > 0);
        let opened = space.opened();
        let readers = space.readers.clone();
        self.shares.leave(space.sockets.iter());
        let mut loss = Loss::NetnsVanished;
        for pid in readers {
            self.scratch.clear();
            let mut intake = Intake {
                netns,
                sockets: &mut self.scratch,
                closed: &mut self.closed,
                losses,
                ports: None,
                ended_early: false,
                shares: &mut self.shares,
                spaces: &self.spaces,
                elsewhere,
                most: self.limits.max_sockets as usize,
                refused: 0,
                began: self.began,
                opened,
            };
            self.dumps += 1;
            match self.dump.dump(
                &self.root,
                Target { pid, netns, detail, udp },
                &mut intake,
                pace,
            )? {
                Dumped::Complete => {
                    let Intake { ports, ended_early, refused, .. } = intake;
                    if ended_early {
                        let met = self.scratch.len() as u64 + refused;
                        let all = counted.map_or(0, |all| all.tcp_in_use + all.udp_in_use);
                        losses.add(Loss::SocketsFull, all.saturating_sub(met).max(1));
                    }
                    let Some(space) = self.spaces.get_mut(netns) else { break };
                    space.ports = ports;
                    if !detail {
                        keep_bytes(&space.sockets, &mut self.scratch, &mut self.bytes);
                    }
                    std::mem::swap(&mut space.sockets, &mut self.scratch);
                    space.dumped(self.pass, ended_early || refused > 0);
                    return Ok(Pass::Complete);
                }
                Dumped::Abandoned => return Ok(Pass::Abandoned),
                Dumped::Moved(to) => self.processes.moved(pid, to),
                Dumped::Denied => loss = Loss::Permission,
                Dumped::Vanished => {}
            }
            self.shares.leave(self.scratch.iter());
        }
        if let Some(space) = self.spaces.get(netns) {
            self.shares.come(space.sockets.iter());
        }
        losses.add(loss, 1);
        Ok(Pass::Complete)
    }

    fn find_owners(&mut self, everywhere: bool, facts: &mut Facts, pace: &mut dyn Pace) -> Pass {
        self.owners.begin(&facts.processes);
        let sockets = || self.spaces.iter().flat_map(|space| &space.sockets);
        for socket in sockets().filter(|socket| socket.inode != 0) {
            self.owners.note(socket.inode, socket.netns, socket.local.port, everywhere);
        }
        if self.owners.hunts() {
            for listener in sockets().filter(|socket| socket.state == State::Listen) {
                self.owners.hint(listener.inode, listener.netns, listener.local.port);
            }
        }
        self.owners.search(&self.root, &facts.processes, everywhere, &mut facts.losses, pace)
    }

    fn emit(&mut self, facts: &mut Facts) {
        facts.sockets.clear();
        let mut shared = false;
        for socket in self.spaces.iter().flat_map(|space| &space.sockets) {
            let pids = self.owners.of(socket.inode);
            // Others without a holder were counted by the search.
            facts.losses.add(Loss::NoOwner, u64::from(pids.is_empty() && socket.inode == 0));
            let pid = pids.first().copied().unwrap_or(0);
            facts.sockets.push(Socket { pid, ..*socket });
            shared |= pids.len() > 1;
        }
        // Every socket has a place before the second holder of any.
        let max = self.limits.max_sockets as usize;
        for socket in self.spaces.iter().filter(|_| shared).flat_map(|space| &space.sockets) {
            for &pid in self.owners.of(socket.inode).iter().skip(1) {
                if facts.sockets.len() < max {
                    facts.sockets.push(Socket { pid, ..*socket });
                } else {
                    facts.losses.add(Loss::SocketsFull, 1);
                }
            }
        }
        self.spaces.tell_ports(facts);
        facts.closed_fresh = !std::mem::replace(&mut self.handed_over, true);
        self.closed.hand_over(&mut facts.closed, millis(self.began));
    }
}

/// A dump without bytes keeps those that an earlier one reported.
fn keep_bytes(old: &[Socket], new: &mut [Socket], by_inode: &mut HashMap<u32, Socket>) {
    by_inode.clear();
    let reported =
        |s: &&Socket| s.inode != 0 && (s.bytes_sent.is_some() || s.role != Role::Unknown);
    let reported = old.iter().filter(reported);
    by_inode.extend(reported.map(|socket| (socket.inode, *socket)));
    if by_inode.is_empty() {
        return;
    }
    for socket in new {
        if let Some(known) = by_inode.get(&socket.inode)
            && (known.local, known.remote) == (socket.local, socket.remote)
        {
            socket.bytes_sent = known.bytes_sent;
            socket.bytes_received = known.bytes_received;
            socket.role = known.role;
            if known.tcp.quality().is_some() {
                socket.tcp = known.tcp;
            }
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
