//! What earlier passes read, for processes that have not run since.
//!
//! In: the processes, sockets and counters of complete passes. Out: what a process looked like, which
//! sockets it held, and whose sockets may have changed although the process has not run. It must not
//! outlive a pass that was given up: the programs remember more than it does then.
//!
//! A process that has not run has opened and closed nothing. What others do to it (memory taken
//! back, another cgroup or parent, a state of a socket that no counter tells) is read again with
//! everything.
//!
//! Pure: no I/O.

use std::ops::Range;

use probelet_core::facts::{Netns, Process, Socket, Want};
use rustc_hash::{FxHashMap, FxHashSet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Grows whenever the programs have to forget.
    generation: u64,
    /// The last pass was complete.
    trusted: bool,
    /// A process was said to be as it was, and nobody knows how it was.
    forgot: bool,
    processes: FxHashMap<u32, Process>,
    sockets: Vec<Socket>,
    held: FxHashMap<u32, Range<usize>>,
    /// The counters when the sockets were read.
    counters: FxHashMap<u32, Netns>,
}

impl Memory {
    /// A pass begins. The generation that the programs may rely on: a new one when everything is to
    /// be read, or when the last pass was given up half way.
    pub(super) fn begin(&mut self, want: Want) -> u64 {
        if !self.trusted || want == Want::Everything {
            self.generation += 1;
        }
        self.trusted = false;
        self.forgot = false;
        self.generation
    }

    /// Takes note of a process that was read, or tells what it was when it was read last.
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

    /// The processes whose sockets have to be read even if they have not run: the counters of a
    /// namespace in which they hold one have moved.
    pub(super) fn stale(&self, counters: &[Netns]) -> Vec<u32> {
        let moved: FxHashSet<u32> = counters
            .iter()
            .filter(|now| self.counters.get(&now.inode) != Some(now))
            .map(|now| now.inode)
            .collect();
        if moved.is_empty() {
            return Vec::new();
        }
        let touched = |range: &Range<usize>| {
            self.sockets[range.clone()].iter().any(|socket| moved.contains(&socket.netns))
        };
        self.held.iter().filter(|(_, range)| touched(range)).map(|(pid, _)| *pid).collect()
    }

    /// The sockets that the process held when they were read last.
    pub(super) fn sockets(&self, pid: u32) -> &[Socket] {
        self.held.get(&pid).map_or(&[], |range| &self.sockets[range.clone()])
    }

    /// The pass is complete: those who are not in `alive` are gone.
    pub(super) fn complete(&mut self, alive: &FxHashSet<u32>) {
        if self.processes.len() > alive.len() {
            self.processes.retain(|pid, _| alive.contains(pid));
        }
        self.trusted = !self.forgot;
    }

    /// What a complete pass found of sockets that processes hold, those of one process together, and
    /// the counters from before it.
    pub(super) fn remember(&mut self, sockets: &[Socket], counters: &[Netns]) {
        self.counters.clear();
        self.counters.extend(counters.iter().map(|netns| (netns.inode, *netns)));
        self.sockets.clear();
        self.sockets.extend_from_slice(sockets);
        self.held.clear();
        let mut from = 0;
        for one in self.sockets.chunk_by(|a, b| a.pid == b.pid) {
            self.held.insert(one[0].pid, from..from + one.len());
            from += one.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        memory.complete(&FxHashSet::default());
        assert_eq!(memory.begin(Want::Sockets), first);

        assert_eq!(memory.begin(Want::Sockets), first + 1);
    }

    #[test]
    fn everything_is_read_from_the_kernel_and_not_from_memory() {
        let mut memory = Memory::default();
        let first = memory.begin(Want::Sockets);
        memory.complete(&FxHashSet::default());

        assert_eq!(memory.begin(Want::Everything), first + 1);
    }

    #[test]
    fn who_holds_a_socket_where_a_counter_moved_is_read_again() {
        let mut memory = Memory::default();
        memory.remember(
            &[socket(1, 10), socket(1, 20), socket(2, 10), socket(3, 20)],
            &[netns(10, 5), netns(20, 5)],
        );

        let mut stale = memory.stale(&[netns(10, 5), netns(20, 6)]);

        stale.sort_unstable();
        assert_eq!(stale, [1, 3]);
        assert!(memory.stale(&[netns(10, 5), netns(20, 5)]).is_empty());
    }

    #[test]
    fn the_sockets_of_a_process_are_kept_together() {
        let mut memory = Memory::default();
        memory.remember(&[socket(1, 10), socket(1, 20), socket(2, 10)], &[]);

        assert_eq!(memory.sockets(1), [socket(1, 10), socket(1, 20)]);
        assert_eq!(memory.sockets(9), []);
    }
}
