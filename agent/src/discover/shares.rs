//! Who may have how many of the sockets that a node remembers, when there are more than that.
//!
//! In: the sockets that have a place, and one more. Out: whether it has one. Anyone who opens
//! sockets by the thousands must not hide those of everybody who is read later. Nothing is counted
//! before half of the places are taken.
//!
//! Pure: no I/O.

use super::Limits;
use probelet_core::facts::{Facts, Loss, Socket};
use probelet_core::hash::HashMap;

/// Sockets that everybody may have for as long as there is any place.
const FEW: usize = 64;

/// By namespace and cgroup: a pod has both for itself, a program of the host has the latter.
type Owner = (u32, u64);

/// How many each owner has in this reading.
#[derive(Debug, Default)]
pub struct Shares {
    held: HashMap<Owner, usize>,
}

const fn owner(socket: &Socket) -> Owner {
    (socket.netns, socket.cgroup)
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
            self.count(sockets);
        }
    }

    fn count<'a>(&mut self, sockets: impl Iterator<Item = &'a Socket>) {
        for socket in sockets {
            *self.held.entry(owner(socket)).or_default() += 1;
        }
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
        if all < most / 2 {
            self.come(std::iter::once(one));
            return true;
        }
        if self.held.is_empty() {
            self.count(others);
        }
        let owners = self.held.len() + 1;
        let held = self.held.entry(owner(one)).or_default();
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
