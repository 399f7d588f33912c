//! Who may have how many of the sockets, or of the processes, that a node remembers, when there are more than that.
//!
//! In: those that have a place, and one more. Out: whether it has one. Anyone who has them by the thousands must not hide
//! those of everybody who is read later. Nothing is counted before half of the places are taken.
//!
//! Pure: no I/O.

use super::Limits;
use probelet_core::facts::{Facts, Loss, Process, Socket};
use probelet_core::hash::HashMap;

/// Sockets that everybody may have for as long as there is any place.
const FEW: usize = 64;
/// The root of cgroup v2, which everything is in where v1 is in use.
const ROOT: u64 = 1;

/// By cgroup: each container has one, and each program of the host, and may make as many network namespaces as it likes.
/// Where the cgroup says nothing, by namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Id of a cgroup.
    Cgroup(u64),
    /// Inode number of a network namespace.
    Netns(u32),
}

impl Owner {
    const fn new(netns: u32, cgroup: u64) -> Self {
        if cgroup > ROOT { Self::Cgroup(cgroup) } else { Self::Netns(netns) }
    }

    /// Whose process it is.
    #[must_use]
    pub const fn of(process: &Process) -> Self {
        Self::new(process.netns, process.cgroup)
    }
}

/// How many each owner has in this reading.
#[derive(Debug, Default)]
pub struct Shares {
    held: HashMap<Owner, usize>,
}

const fn owner(socket: &Socket) -> Owner {
    Owner::new(socket.netns, socket.cgroup)
}

impl Shares {
    /// A new reading.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// Adds a socket if it has a place; whether it has.
    pub fn push(&mut self, facts: &mut Facts, one: Socket, limits: Limits) -> bool {
        let list = &facts.sockets;
        let room = self.admit(list.len(), list.iter(), &one, limits.max_sockets as usize);
        if room {
            facts.sockets.push(one);
        } else {
            facts.losses.add(Loss::SocketsFull, 1);
        }
        room
    }

    /// The sockets of one part of the reading give up their places: it is read again.
    pub fn leave<'a>(&mut self, sockets: impl Iterator<Item = &'a Socket>) {
        if self.held.is_empty() {
            return;
        }
        for socket in sockets {
            if let Some(held) = self.held.get_mut(&owner(socket)) {
                *held = held.saturating_sub(1);
            }
        }
    }

    /// They have them once more.
    pub fn come<'a>(&mut self, sockets: impl Iterator<Item = &'a Socket>) {
        if !self.held.is_empty() {
            self.count(sockets.map(owner));
        }
    }

    /// One more has a place that it had before.
    pub fn keep(&mut self, owner: Owner) {
        if !self.held.is_empty() {
            self.count(std::iter::once(owner));
        }
    }

    fn count(&mut self, owners: impl Iterator<Item = Owner>) {
        for owner in owners {
            *self.held.entry(owner).or_default() += 1;
        }
    }

    /// Adds a process if it has a place; whether it has.
    pub fn push_process(&mut self, facts: &mut Facts, one: Process, most: u32) -> bool {
        let list = &facts.processes;
        let others = list.iter().map(Owner::of);
        let room = self.admit_owner(list.len(), others, Owner::of(&one), most as usize);
        if room {
            facts.processes.push(one);
        } else {
            facts.losses.add(Loss::ProcessesFull, 1);
        }
        room
    }

    /// Whether one more socket has a place beside `all` others, where there are `most` places. Who the
    /// others are is asked once, when it begins to matter.
    pub fn admit<'a>(
        &mut self,
        all: usize,
        others: impl Iterator<Item = &'a Socket>,
        one: &Socket,
        most: usize,
    ) -> bool {
        self.admit_owner(all, others.map(owner), owner(one), most)
    }

    fn admit_owner(
        &mut self,
        all: usize,
        others: impl Iterator<Item = Owner>,
        one: Owner,
        most: usize,
    ) -> bool {
        if all < most / 2 {
            self.keep(one);
            return true;
        }
        if self.held.is_empty() {
            self.count(others);
        }
        let owners = self.held.len() + 1;
        let held = self.held.entry(one).or_default();
        // The last quarter is for those who have less than their fair share, half of it for those
        // who have few.
        let room = all < most - most / 4
            || (all < most - most / 8 && *held < most / owners)
            || (all < most && *held < FEW);
        *held += usize::from(room);
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;

    fn fill(shares: &mut Shares, list: &mut Vec<Socket>, cgroup: u64, wanted: usize) -> usize {
        let before = list.len();
        for _ in 0..wanted {
            let socket = Socket { netns: 1, cgroup, ..Socket::default() };
            if shares.admit(list.len(), list.iter(), &socket, MOST) {
                list.push(socket);
            }
        }
        list.len() - before
    }

    #[test]
    fn who_opens_thousands_leaves_room_for_who_is_read_later() {
        let (mut shares, mut list) = (Shares::default(), Vec::new());

        assert_eq!(fill(&mut shares, &mut list, 7, 5000), 750);
        assert_eq!(fill(&mut shares, &mut list, 8, 50), 50);
        // Up to seven eighths of all, and then while it has few.
        assert_eq!(fill(&mut shares, &mut list, 9, 5000), 75);
        assert!(list.len() <= MOST);
    }

    #[test]
    fn who_makes_network_namespaces_has_no_more_for_it() {
        let (mut shares, mut list) = (Shares::default(), Vec::new());
        for netns in 0..1000 {
            let socket = Socket { netns, cgroup: 7, ..Socket::default() };
            if shares.admit(list.len(), list.iter(), &socket, MOST) {
                list.push(socket);
            }
        }

        assert_eq!(list.len(), 750);
        assert_eq!(fill(&mut shares, &mut list, 8, 50), 50);
    }

    #[test]
    fn where_cgroups_say_nothing_namespaces_do() {
        for cgroup in [0, ROOT] {
            let (mut shares, mut list) = (Shares::default(), Vec::new());
            assert_eq!(fill(&mut shares, &mut list, cgroup, 5000), 750);
            let other = Socket { netns: 2, cgroup, ..Socket::default() };
            assert!(shares.admit(list.len(), list.iter(), &other, MOST));
        }
    }

    #[test]
    fn who_forks_without_end_leaves_room_for_processes_that_come_later() {
        let (mut shares, mut facts) = (Shares::default(), Facts::default());
        let mut fork = |cgroup: u64, count: u32| -> usize {
            let of = |pid| Process { pid, netns: 1, cgroup, ..Process::default() };
            (0..count).filter(|&pid| shares.push_process(&mut facts, of(pid), 1000)).count()
        };

        assert_eq!((fork(7, 5000), fork(8, 3)), (750, 3));
        assert_eq!(facts.losses.get(Loss::ProcessesFull), 4250);
    }

    #[test]
    fn who_is_read_last_gets_what_is_left() {
        let (mut shares, mut list) = (Shares::default(), Vec::new());
        fill(&mut shares, &mut list, 8, 50);

        assert_eq!(fill(&mut shares, &mut list, 7, 5000), 700);
    }

    #[test]
    fn a_part_that_is_read_again_finds_its_places_free() {
        let (mut shares, mut list) = (Shares::default(), Vec::new());
        fill(&mut shares, &mut list, 7, 5000);
        fill(&mut shares, &mut list, 8, 50);

        shares.leave(list[..750].iter());
        list.drain(..750);

        assert_eq!(fill(&mut shares, &mut list, 7, 5000), 700);
    }

    #[test]
    fn a_new_reading_begins_with_nothing() {
        let (mut shares, mut list) = (Shares::default(), Vec::new());
        fill(&mut shares, &mut list, 7, 5000);

        list.clear();
        shares.clear();

        assert_eq!(fill(&mut shares, &mut list, 7, 5000), 750);
    }
}
