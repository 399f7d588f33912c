//! What earlier passes read, for processes that have not run since.
//!
//! In: the processes, sockets and counters of complete passes. Out: what a process looked like, which
//! sockets it held, which of these may have changed although the process has not run, and which are
//! gone. It must not outlive a pass that was given up: the programs remember more than it does then.
//!
//! A process that has not run has opened and closed nothing. What others do to it (memory taken
//! back, another cgroup or parent, bytes that arrive, a state of a socket that no counter shows) is read
//! again with everything, from the process and its sockets; its files, which are many, are not walked for
//! that but with every sixth reading of everything, in case someone shares them.
//!
//! Pure: no I/O.

use std::ops::Range;

use probelet_core::facts::{Netns, Process, Protocol, Queue, Socket, Tcp, Want};
use probelet_core::hash::{HashMap, HashSet};

use super::records::{Look, Place};

/// Readings of everything from one walk of all files to the next.
const FRESH: u32 = 6;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Grows whenever the programs have to forget.
    generation: u64,
    /// The last pass was complete.
    trusted: bool,
    /// Readings of everything since all files were walked.
    leaning: u32,
    /// This pass relies on nothing.
    fresh: bool,
    /// A process was said to be as it was, and no one knows how it was.
    forgot: bool,
    processes: HashMap<u32, Process>,
    sockets: Vec<Socket>,
    /// Where each of `sockets` is in the kernel.
    places: Vec<Place>,
    held: HashMap<u32, Range<usize>>,
    /// Of these, listeners at which a connection waits.
    queued: usize,
    /// The counters when the sockets were read.
    counters: HashMap<u32, Netns>,
}

impl Memory {
    /// A pass begins. The generation that the programs may rely on: a new one, and then everything is
    /// read again, when it is time for that or when the last pass was given up half way.
    pub(super) fn begin(&mut self, want: Want) -> u64 {
        self.leaning += u32::from(want == Want::Everything);
        self.fresh = !self.trusted || self.leaning >= FRESH;
        if self.fresh {
            self.generation += 1;
            self.leaning = 0;
        }
        self.trusted = false;
        self.forgot = false;
        self.generation
    }

    /// Whether the programs were asked to forget when this pass began.
    pub(super) const fn fresh(&self) -> bool {
        self.fresh
    }

    /// Takes note of a process that was read, or says what it was when it was read last.
    pub(super) fn process(&mut self, read: Process, idle: bool) -> Option<Process> {
        if !idle {
            self.processes.insert(read.pid, read);
            return Some(read);
        }
        let known = self.processes.get(&read.pid).copied();
        let known = known.filter(|p| p.start_ns == read.start_ns);
        self.forgot |= known.is_none();
        known
    }

    /// The sockets, by number, that are to be looked at again: with everything all of TCP, otherwise those
    /// whose state may have changed without their holder, since the counters of their namespace have moved,
    /// and listeners at which somebody waits: that moves no counter. The state of a UDP socket is its
    /// holder's doing.
    pub(super) fn doubtful(&self, want: Want, counters: &[Netns]) -> Vec<usize> {
        let moved: HashSet<u32> = counters
            .iter()
            .filter(|now| self.counters.get(&now.inode) != Some(now))
            .map(|now| now.inode)
            .collect();
        let all = want == Want::Everything;
        if moved.is_empty() && !all && self.queued == 0 {
            return Vec::new();
        }
        let doubt = |s: &Socket| {
            s.protocol == Protocol::Tcp && (all || waits(s) || moved.contains(&s.netns))
        };
        (0..self.sockets.len()).filter(|&nth| doubt(&self.sockets[nth])).collect()
    }

    /// Where the socket of that number is.
    pub(super) fn place(&self, nth: usize) -> Place {
        self.places[nth]
    }

    /// Takes note of what another look at the socket of that number found. If nothing, it is not what it
    /// was: then the answer is its holder, whose sockets have to be read even if it has not run.
    pub(super) fn settle(&mut self, nth: usize, look: Option<Look>) -> Option<u32> {
        let socket = &mut self.sockets[nth];
        match look {
            Some(Look { state, bytes, tcp }) => {
                socket.state = state;
                if tcp != Tcp::Unknown {
                    socket.tcp = tcp;
                }
                if let Some((sent, received)) = bytes {
                    (socket.bytes_sent, socket.bytes_received) = (Some(sent), Some(received));
                }
                None
            }
            None => Some(socket.pid),
        }
    }

    /// Where the TCP sockets were that no one holds any more: those of processes that are not in
    /// `kept`, and not in `held` by (pid, inode). They may still be in the kernel's hash.
    pub(super) fn gone(
        &self,
        kept: &HashSet<u32>,
        held: &HashSet<(u32, u32)>,
    ) -> impl Iterator<Item = Place> {
        let read = self.held.iter().filter(|(pid, _)| !kept.contains(pid));
        read.flat_map(|(_, range)| range.clone()).filter_map(|nth| {
            let socket = &self.sockets[nth];
            let gone =
                socket.protocol == Protocol::Tcp && !held.contains(&(socket.pid, socket.inode));
            gone.then_some(self.places[nth])
        })
    }

    /// The sockets that the process held when they were read last, and where they are.
    pub(super) fn sockets(&self, pid: u32) -> impl Iterator<Item = (Socket, Place)> {
        let range = self.held.get(&pid).cloned().unwrap_or_default();
        range.map(|nth| (self.sockets[nth], self.places[nth]))
    }

    /// The pass is complete: those who are not in `alive` are gone.
    pub(super) fn complete(&mut self, alive: &HashSet<u32>) {
        if self.processes.len() > alive.len() {
            self.processes.retain(|pid, _| alive.contains(pid));
        }
        self.trusted = !self.forgot;
    }

    /// What a complete pass found of sockets that processes hold, those of one process together, where
    /// each is, and the counters from before it.
    pub(super) fn remember(&mut self, sockets: &[Socket], places: &[Place], counters: &[Netns]) {
        self.counters.clear();
        self.counters.extend(counters.iter().map(|netns| (netns.inode, *netns)));
        self.sockets.clear();
        self.sockets.extend_from_slice(sockets);
        self.queued = sockets.iter().filter(|socket| waits(socket)).count();
        self.places.clear();
        self.places.extend_from_slice(places);
        self.held.clear();
        let mut from = 0;
        for one in self.sockets.chunk_by(|a, b| a.pid == b.pid) {
            self.held.insert(one[0].pid, from..from + one.len());
            from += one.len();
        }
    }
}

/// Whether somebody waits at this listener.
const fn waits(socket: &Socket) -> bool {
    matches!(socket.tcp, Tcp::Queue(Queue { waiting: 1.., .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::facts::State;

    fn process(pid: u32, start_ns: u64) -> Process {
        Process { pid, start_ns, ppid: 1, ..Process::default() }
    }

    fn socket(pid: u32, netns: u32) -> Socket {
        Socket { pid, netns, ..Socket::default() }
    }

    fn netns(inode: u32, active_opens: u64) -> Netns {
        Netns { inode, active_opens, ..Netns::default() }
    }

    #[test]
    fn a_process_that_has_not_run_is_what_it_was() {
        let mut memory = Memory::default();
        memory.process(process(7, 100), false);

        let idle = Process { pid: 7, start_ns: 100, ..Process::default() };

        assert_eq!(memory.process(idle, true), Some(process(7, 100)));
    }

    #[test]
    fn a_pid_that_was_used_again_is_not_what_it_was() {
        let mut memory = Memory::default();
        memory.process(process(7, 100), false);

        assert_eq!(memory.process(process(7, 200), true), None);
    }

    #[test]
    fn a_pass_that_was_given_up_makes_the_programs_forget() {
        let mut memory = Memory::default();
        let first = memory.begin(Want::Sockets);
        memory.complete(&HashSet::default());
        assert_eq!(memory.begin(Want::Sockets), first);

        assert_eq!(memory.begin(Want::Sockets), first + 1);
    }

    #[test]
    fn every_sixth_reading_of_everything_relies_on_nothing() {
        let mut memory = Memory::default();
        let mut fresh = |want| {
            memory.begin(want);
            memory.complete(&HashSet::default());
            memory.fresh()
        };

        assert!(fresh(Want::Everything), "the first pass");
        for _ in 0..2 {
            assert!((0..5).all(|_| !fresh(Want::Everything) && !fresh(Want::Sockets)));
            assert!(fresh(Want::Everything));
        }
    }

    /// Remembers these, each at the address of its number plus one.
    fn remembering(sockets: &[Socket], counters: &[Netns]) -> Memory {
        let mut memory = Memory::default();
        let place = |nth: usize| Place { address: nth as u64 + 1, hash: 0 };
        let places: Vec<_> = (0..sockets.len()).map(place).collect();
        memory.remember(sockets, &places, counters);
        memory
    }

    #[test]
    fn a_socket_where_a_counter_moved_is_looked_at_again() {
        let sockets = [socket(1, 10), socket(1, 20), socket(2, 10), socket(3, 20)];
        let memory = remembering(&sockets, &[netns(10, 5), netns(20, 5)]);

        assert_eq!(memory.doubtful(Want::Sockets, &[netns(10, 5), netns(20, 6)]), [1, 3]);
        assert!(memory.doubtful(Want::Sockets, &[netns(10, 5), netns(20, 5)]).is_empty());
        assert_eq!(memory.doubtful(Want::Everything, &[]), [0, 1, 2, 3]);
    }

    #[test]
    fn a_listener_at_which_somebody_waits_is_looked_at_again_though_nothing_moved() {
        let queue = |waiting| Tcp::Queue(Queue { waiting, most: 128 });
        let with = |pid, waiting| Socket { tcp: queue(waiting), ..socket(pid, 10) };
        let mut memory = remembering(&[with(1, 0), with(2, 3)], &[netns(10, 5)]);

        assert_eq!(memory.doubtful(Want::Sockets, &[netns(10, 5)]), [1]);

        let look = Look { state: State::Listen, bytes: None, tcp: queue(4) };
        memory.settle(1, Some(look));
        assert_eq!(memory.sockets(2).next().unwrap().0.tcp, queue(4));
    }

    #[test]
    fn a_new_state_is_kept_and_a_socket_without_one_has_its_holder_read() {
        let mut memory = remembering(&[socket(1, 10), socket(2, 10)], &[]);

        let look = Look { state: State::CloseWait, bytes: None, tcp: Tcp::Unknown };
        assert_eq!(memory.settle(0, Some(look)), None);
        assert_eq!(memory.settle(1, None), Some(2));
        assert_eq!(memory.sockets(1).next().unwrap().0.state, State::CloseWait);
    }

    #[test]
    fn bytes_are_those_of_the_last_look_that_asked_for_them() {
        let mut memory = remembering(&[socket(1, 10)], &[]);

        for bytes in [Some((10, 20)), None] {
            memory.settle(0, Some(Look { state: State::Established, bytes, tcp: Tcp::Unknown }));
        }

        let socket = memory.sockets(1).next().unwrap().0;
        assert_eq!((socket.bytes_sent, socket.bytes_received), (Some(10), Some(20)));
    }

    #[test]
    fn what_a_process_that_ran_holds_no_more_is_gone() {
        let with_inode = |pid, inode| Socket { inode, ..socket(pid, 10) };
        let memory = remembering(&[with_inode(1, 7), with_inode(2, 8), with_inode(2, 9)], &[]);
        let (kept, held) = (HashSet::from_iter([1]), HashSet::from_iter([(2, 9)]));

        let gone: Vec<_> = memory.gone(&kept, &held).map(|place| place.address).collect();

        assert_eq!(gone, [2]);
    }

    #[test]
    fn the_sockets_of_a_process_are_kept_together() {
        let memory = remembering(&[socket(1, 10), socket(1, 20), socket(2, 10)], &[]);

        let of_one: Vec<_> = memory.sockets(1).map(|(socket, at)| (socket, at.address)).collect();
        assert_eq!(of_one, [(socket(1, 10), 1), (socket(1, 20), 2)]);
        assert_eq!(memory.sockets(9).count(), 0);
    }
}
