//! The sources `bpf` and `bpf-compat`: programs that are run on demand and never attached.
//!
//! In: the running kernel, through the programs of `agent/bpf`. Out: facts. Each run is a slice of
//! less than 1 ms that leaves its records in small windows; they are copied out before the next
//! one, so memory does not grow with the windows but with the facts, which [`Limits`] bound.
//!
//! I/O: yes; it must be used from one thread, whose network namespace is the agent's.

mod closed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod load;
mod loose;
mod memory;
mod records;
mod refusal;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, OwnedFd};

use probelet_core::facts::{Facts, Loss, Losses, Netns, PortRange, SourceKind, Want};
use probelet_core::hash::HashSet;
use tracing::debug;

use self::{
    closed::Follow,
    load::Loaded,
    loose::Loose,
    memory::Memory,
    records::{Ctl, Place, Sock, Tables},
};
use crate::{
    discover::{Error, Limits, Pace, Pass, Source, shares::Shares},
    sys::{
        bpf,
        mmap::{self, Window},
    },
};

/// A loaded source.
#[derive(Debug)]
pub struct Bpf {
    source_kind: SourceKind,
    limits: Limits,
    shares: Shares,
    process_shares: Shares,
    page: u64,
    loaded: Loaded,
    follow: Follow,
    memory: Memory,
    /// Network namespaces of this node, as of the last walk of the tasks: those that a process is in,
    /// one of the next two.
    here: HashSet<u32>,
    /// Threads in another namespace than their process.
    threads: Vec<(u32, u32)>,
    /// Namespaces of sockets that processes hold from elsewhere.
    holding: HashSet<u32>,
    /// Namespaces of the last pass, to notice those that are gone.
    were: HashSet<u32>,
    /// The tables of each namespace: the same ones, as a rule.
    tables: Vec<Tables>,
    /// The range of ports of each namespace, as of the last pass that read it.
    ports: Vec<(u32, PortRange)>,
    // of the pass that runs: what it has, since a lost cursor makes it meet processes twice
    pids: HashSet<u32>,
    held: HashSet<(u32, u32)>,
    kept: HashSet<u32>,
    /// Where each socket that a process holds is in the kernel.
    places: Vec<Place>,
    /// The heads of the hash are those of the last walk, which was complete.
    noted: bool,
    /// The counters that the last walk of the hash belongs to, and whether it found no socket
    /// without an owner, which may change without moving a counter, and left nothing for the next one.
    walked: Vec<Netns>,
    settled: bool,
    /// What no file of a process leads to.
    loose: Loose,
}

/// Loads the programs of [`SourceKind::Bpf`] or [`SourceKind::BpfCompat`].
pub fn load(source_kind: SourceKind, limits: Limits) -> Result<Bpf, Error> {
    Ok(Bpf {
        source_kind,
        limits,
        shares: Shares::default(),
        process_shares: Shares::default(),
        page: mmap::page_size() as u64,
        loaded: load::load(source_kind)?,
        follow: Follow::default(),
        memory: Memory::default(),
        here: HashSet::default(),
        threads: Vec::new(),
        holding: HashSet::default(),
        were: HashSet::default(),
        tables: Vec::new(),
        ports: Vec::new(),
        pids: HashSet::default(),
        held: HashSet::default(),
        kept: HashSet::default(),
        places: Vec::new(),
        noted: false,
        walked: Vec::new(),
        settled: false,
        loose: Loose::default(),
    })
}

/// Sockets of one pass for which the list of those that were met is kept, to be used again.
const HELD: usize = 1024;

/// A namespace that goes away while the list is read sends the walk back to its start; this often.
const MOST_RESTARTS: u64 = 3;

/// `None`: the pace said stop.
type Slices = Result<Option<()>, Error>;

impl Source for Bpf {
    fn kind(&self) -> SourceKind {
        self.source_kind
    }

    fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error> {
        // which namespaces are ours is known from the processes
        let want = if self.here.is_empty() { want.max(Want::Processes) } else { want };
        (facts.fresh, facts.compared) = (None, false);
        let done = self.sections(want, facts, pace);
        if want >= Want::Sockets {
            self.let_go();
        }
        if done?.is_none() {
            return Ok(Pass::Abandoned);
        }
        facts.fresh = Some(want);
        Ok(Pass::Complete)
    }
}

impl Bpf {
    /// Processes whose sockets the last pass took from memory, because they had not run since.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Groups of four buckets of the kernel's hash whose chains the last walk followed.
    #[must_use]
    pub fn walked(&self) -> u64 {
        self.get(Ctl::Walked)
    }

    /// Counters come first: what is opened meanwhile is then seen but not yet counted, and coverage
    /// never claims more than there was.
    fn sections(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        if self.counters(want, facts, pace)?.is_none() {
            return Ok(None);
        }
        if want >= Want::Processes {
            if !pace.breathe() || self.tasks(want, facts, pace)?.is_none() {
                return Ok(None);
            }
            facts.netns.retain(|n| self.here.contains(&n.inode));
            self.note_vanished(facts);
        }
        if want < Want::Sockets {
            return Ok(Some(()));
        }
        facts.closed_fresh = self.follow.is_first();
        if self.hash_is_as_it_was(facts) {
            self.loose.nothing();
        } else {
            let moved = self.walked != facts.netns;
            self.walked.clear();
            let owned = facts.sockets.len();
            if !pace.breathe() || self.unowned(want, facts, pace)?.is_none() {
                return Ok(None);
            }
            self.follow.complete();
            self.loose.walked(moved, self.get(Ctl::Turns));
            self.walked.extend_from_slice(&facts.netns);
            self.settled = facts.sockets.len() == owned && self.loose.is_sure();
        }
        self.strays(want, facts, pace)
    }

    /// A namespace that was here and is gone took the ends of its connections along.
    fn note_vanished(&mut self, facts: &mut Facts) {
        let gone = |was: &&u32| !self.tables.iter().any(|there| there.inode == **was);
        let gone = self.were.iter().filter(gone).count();
        facts.losses.add(Loss::NetnsVanished, gone as u64);
        self.were.clear();
        self.were.extend(facts.netns.iter().map(|netns| netns.inode));
    }

    /// Whether a walk of the hash would find what the last one found: nothing that no fd leads to,
    /// and no connection closed since. Every open, close and reset moves a counter, and the counters
    /// are read before the walk, so what came behind it has moved them since.
    fn hash_is_as_it_was(&self, facts: &Facts) -> bool {
        self.settled && !self.walked.is_empty() && self.walked == facts.netns
    }

    fn get(&self, word: Ctl) -> u64 {
        self.loaded.ctl.word(0, word as usize)
    }

    /// A count of records, never more than the window has.
    fn count(&self, word: Ctl, most: usize) -> usize {
        usize::try_from(self.get(word)).unwrap_or(most).min(most)
    }

    fn set(&mut self, words: &[(Ctl, u64)]) {
        for &(word, to) in words {
            self.loaded.ctl.set(0, word as usize, to);
        }
    }

    /// The counters of all namespaces of the machine; with [`Want::Counters`], of this node's only.
    fn counters(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        let detail = want >= Want::Sockets;
        if detail {
            self.ports.clear();
        }
        self.tables.clear();
        let mut netns = std::mem::take(&mut facts.netns);
        let done = self.count_all(detail, &mut netns, &mut facts.losses, pace);
        if want == Want::Counters {
            netns.retain(|there| self.here.contains(&there.inode));
        }
        facts.netns = netns;
        done
    }

    /// Reads the counters of all namespaces; in `detail` also where their sockets are.
    fn count_all(
        &mut self,
        detail: bool,
        into: &mut Vec<Netns>,
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) -> Slices {
        into.clear();
        self.set(&[(Ctl::Net, 0), (Ctl::Nth, 0), (Ctl::Restarted, 0)]);
        self.set(&[(Ctl::Detail, u64::from(detail))]);
        loop {
            run("netns", &self.loaded.netns)?;
            let count = self.count(Ctl::Nnets, records::NETS);
            reach("namespaces", &mut self.loaded.nets, count)?;
            for i in 0..count {
                let (mut netns, tables) = records::netns(&self.loaded.nets.get(i));
                if self.get(Ctl::Restarted) > 0 {
                    into.retain(|n| n.inode != netns.inode);
                    self.tables.retain(|n| n.inode != netns.inode);
                }
                if detail {
                    self.ports.extend(netns.ports.map(|ports| (netns.inode, ports)));
                } else {
                    let known = self.ports.iter().find(|known| known.0 == netns.inode);
                    netns.ports = known.map(|known| known.1);
                }
                into.push(netns);
                self.tables.push(tables);
            }
            if self.get(Ctl::Done) != 0 {
                return Ok(Some(()));
            }
            if self.get(Ctl::Restarted) > MOST_RESTARTS {
                losses.add(Loss::NetnsVanished, 1);
                return Ok(Some(()));
            }
            if !pace.breathe() {
                return Ok(None);
            }
        }
    }

    /// The processes and, when wanted, the sockets that their fds lead to.
    fn tasks(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        facts.processes.clear();
        self.process_shares.clear();
        self.here.clear();
        self.pids.clear();
        self.held.clear();
        self.kept.clear();
        let generation = self.memory.begin(want);
        if self.memory.fresh() {
            self.threads.clear();
        }
        let sockets = want >= Want::Sockets;
        let everything = u64::from(want == Want::Everything);
        self.set(&[(Ctl::Generation, generation), (Ctl::Everything, everything)]);
        self.places.clear();
        if sockets {
            facts.sockets.clear();
            self.shares.clear();
            facts.closed.clear();
            if !self.memory.fresh() && self.look_again(want, facts, pace)?.is_none() {
                return Ok(None);
            }
        }
        self.set(&[(Ctl::WantSockets, u64::from(sockets)), (Ctl::Task, 0), (Ctl::TaskStart, 0)]);
        self.set(&[(Ctl::Fd, 0), (Ctl::FromStart, 0), (Ctl::Lost, 0)]);
        loop {
            run("tasks", &self.loaded.tasks)?;
            self.take_processes(facts)?;
            self.take_sockets(facts)?;
            if self.get(Ctl::Done) != 0 {
                break;
            }
            if !pace.breathe() {
                return Ok(None);
            }
        }
        facts.losses.add(Loss::Vanished, self.get(Ctl::Lost));
        for &pid in &self.kept {
            for (socket, place) in self.memory.sockets(pid) {
                if self.shares.push(facts, socket, self.limits) {
                    self.places.push(place);
                }
            }
        }
        // What had no place in the facts is not remembered either.
        let whole =
            facts.losses.get(Loss::SocketsFull) + facts.losses.get(Loss::ProcessesFull) == 0;
        if whole {
            self.memory.complete(&self.pids);
        }
        self.threads.retain(|(pid, _)| self.pids.contains(pid));
        self.here.extend(self.threads.iter().map(|(_, netns)| netns));
        if sockets {
            self.mark_gone()?;
            self.memory.remember(&facts.sockets, &self.places, &facts.netns);
            self.note_holding(facts);
        }
        self.here.extend(&self.holding);
        Ok(Some(()))
    }

    /// Reads the state of sockets that may have changed while their holders slept, and with everything
    /// the bytes of all, which is cheaper than walking all files of these. A holder of one that is not
    /// there any more is read whole.
    fn look_again(&mut self, want: Want, facts: &Facts, pace: &mut dyn Pace) -> Slices {
        let everything = want == Want::Everything;
        for some in self.memory.doubtful(want, &facts.netns).chunks(records::LOOKS) {
            reach("sockets to look at", &mut self.loaded.looks, some.len())?;
            for (at, &nth) in some.iter().enumerate() {
                for (word, to) in self.memory.place(nth).words().into_iter().enumerate() {
                    self.loaded.looks.set(at, word, to);
                }
            }
            self.set(&[(Ctl::Nlooks, some.len() as u64)]);
            run("states", &self.loaded.states)?;
            for (at, &nth) in some.iter().enumerate() {
                let look = records::look(&self.loaded.looks.get(at), everything);
                if let Some(pid) = self.memory.settle(nth, look) {
                    reach("known processes", &mut self.loaded.known, records::KNOWN)?;
                    self.loaded.known.set(pid as usize % records::KNOWN, 0, records::stale(pid));
                }
            }
            if !pace.breathe() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Has the walk of the hash look where sockets were that no one holds any more: they may go on
    /// without an owner, in a chain whose head says nothing of it.
    fn mark_gone(&mut self) -> Result<(), Error> {
        let buckets = self.loose.buckets();
        for place in self.memory.gone(&self.kept, &self.held) {
            if let Some((block, word, bits)) = records::head(place.hash, buckets) {
                reach("heads of buckets", &mut self.loaded.heads, records::HEADS)?;
                let was = self.loaded.heads.word(block, word);
                self.loaded.heads.set(block, word, was & !bits);
            }
        }
        Ok(())
    }

    /// What this pass read is copied: the windows onto it need not stay as wide as they were.
    fn let_go(&mut self) {
        let Loaded { socks, procs, nets, looks, known, heads, .. } = &mut self.loaded;
        let gone = [socks.let_go(), procs.let_go(), nets.let_go(), looks.let_go()];
        if let Some(error) = gone.into_iter().find_map(Result::err) {
            debug!(%error, "a window could not be made smaller; it is opened again when it is needed");
        }
        known.let_go_unused();
        heads.let_go_unused();
        // Who has not run is not in it, so it is large in one reading of everything of six.
        if self.held.capacity() > HELD {
            self.held = HashSet::default();
        }
    }

    /// Namespaces that no process is in, but that a process holds a socket of.
    fn note_holding(&mut self, facts: &Facts) {
        self.holding.clear();
        let mut last = 0;
        for socket in &facts.sockets {
            if socket.netns != last {
                last = socket.netns;
                if !self.here.contains(&last) {
                    self.holding.insert(last);
                }
            }
        }
    }

    fn take_processes(&mut self, facts: &mut Facts) -> Result<(), Error> {
        let count = self.count(Ctl::Nprocs, records::PROCS);
        reach("processes", &mut self.loaded.procs, count)?;
        for i in 0..count {
            let visit = records::visit(&self.loaded.procs.get(i), self.page);
            if visit.elsewhere {
                let thread = (visit.process.pid, visit.process.netns);
                if !self.threads.contains(&thread) {
                    self.threads.push(thread);
                }
                continue;
            }
            let Some(process) = self.memory.process(visit.process, visit.idle) else {
                facts.losses.add(Loss::Torn, 1);
                continue;
            };
            if process.netns != 0 {
                self.here.insert(process.netns);
            }
            if self.pids.contains(&process.pid) {
                continue;
            }
            let most = self.limits.max_processes;
            if self.process_shares.push_process(facts, process, most) {
                self.pids.insert(process.pid);
                if visit.kept {
                    self.kept.insert(process.pid);
                }
            }
        }
        Ok(())
    }

    fn take_sockets(&mut self, facts: &mut Facts) -> Result<(), Error> {
        let count = self.count(Ctl::Nsocks, records::SOCKS);
        reach("sockets", &mut self.loaded.socks, count)?;
        for i in 0..count {
            match records::sock(&self.loaded.socks.get(i)) {
                // a process may hold one socket by several fds
                Ok(Sock::Open(socket, _)) if !self.held.insert((socket.pid, socket.inode)) => {}
                Ok(Sock::Open(socket, place)) => {
                    if self.shares.push(facts, socket, self.limits) {
                        self.places.push(place);
                    }
                }
                Ok(Sock::Closed(..)) => facts.losses.add(Loss::Torn, 1),
                Err(loss) => facts.losses.add(loss, 1),
            }
        }
        Ok(())
    }
}

/// Has so many values of a window mapped.
fn reach<const WORDS: usize>(
    name: &'static str,
    window: &mut Window<WORDS>,
    values: usize,
) -> Result<(), Error> {
    window.reach(values).map_err(|source| Error::Read {
        operation: "map",
        path: format!("the BPF window of {name}"),
        source,
    })
}

fn run(name: &'static str, program: &OwnedFd) -> Result<(), Error> {
    match bpf::run(program.as_fd(), &[]) {
        Ok(_) => Ok(()),
        Err(source) => {
            Err(Error::Read { operation: "run", path: format!("the BPF program {name}"), source })
        }
    }
}

/// Whether there was room.
fn push<T>(list: &mut Vec<T>, one: T, limits: Limits, losses: &mut Losses) -> bool {
    let room = list.len() < limits.max_sockets as usize;
    if room {
        list.push(one);
    } else {
        losses.add(Loss::SocketsFull, 1);
    }
    room
}
