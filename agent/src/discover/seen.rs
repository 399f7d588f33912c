//! Whether everything was seen: the sockets that a reading met against those that the kernel counts.
//!
//! In: sockets, and the counters of their namespaces before and after they were read. Out: how many are
//! missing at least. It may understate, never overstate: what opens or closes meanwhile is not missing.
//!
//! Pure: no I/O.

use probelet_core::facts::{Netns, Protocol, Socket, State};
use probelet_core::hash::{HashMap, HashSet, Seeded};

/// Sockets of one namespace that a reading met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Established or about to be, as `CurrEstab` counts them.
    established: u64,
    /// TCP sockets, listeners too. Half-open requests are no sockets yet.
    tcp: u64,
    /// UDP sockets that have a port.
    udp: u64,
}

impl Seen {
    /// Counts one.
    pub fn add(&mut self, socket: &Socket) {
        if socket.protocol == Protocol::Udp {
            self.udp += 1;
            return;
        }
        let request = socket.state == State::SynRecv && socket.inode == 0;
        self.tcp += u64::from(!request);
        self.established += u64::from(matches!(
            socket.state,
            State::Established | State::CloseWait | State::SynSent | State::SynRecv
        ));
    }

    /// How many the kernel counts beyond these, at least. Whatever opened between the two readings of
    /// the counters may be among those counted after; gauges that tell no openings are compared only if
    /// nothing moved at all.
    #[must_use]
    pub fn missing(&self, before: &Netns, after: &Netns) -> u64 {
        let opened = |after: u64, before: u64| after.saturating_sub(before);
        let opened = opened(after.active_opens, before.active_opens)
            + opened(after.passive_opens, before.passive_opens);
        let established = after.curr_estab.saturating_sub(opened + self.established);
        let counts = |n: &Netns| Netns { ports: None, ..*n };
        if counts(before) != counts(after) {
            return established;
        }
        let tcp = after.tcp_in_use.saturating_sub(self.tcp);
        established.max(tcp) + after.udp_in_use.saturating_sub(self.udp)
    }
}

/// How many sockets of these namespaces were not met, at least; a socket that several hold counts once.
#[must_use]
pub fn missing(sockets: &[Socket], before: &[Netns], after: &[Netns]) -> u64 {
    let mut seen: HashMap<u32, Seen> = HashMap::default();
    let twice = twice(sockets);
    let mut shared = HashSet::default();
    for socket in sockets {
        // the parts of an MPTCP connection have one inode
        let id = (socket.inode, socket.netns, socket.local, socket.remote);
        if !twice.contains(&socket.inode) || shared.insert(id) {
            seen.entry(socket.netns).or_default().add(socket);
        }
    }
    let before: HashMap<u32, &Netns> = before.iter().map(|n| (n.inode, n)).collect();
    let pairs = after.iter().filter_map(|after| Some((*before.get(&after.inode)?, after)));
    let of = |netns: u32| seen.get(&netns).copied().unwrap_or_default();
    pairs.map(|(before, after)| of(before.inode).missing(before, after)).sum()
}

/// The inodes that come more than once: few, so that what else there is of a socket is compared for these alone.
fn twice(sockets: &[Socket]) -> HashSet<u32> {
    let mut once = HashSet::with_capacity_and_hasher(sockets.len(), Seeded::default());
    let inodes = sockets.iter().map(|socket| socket.inode).filter(|&inode| inode != 0);
    inodes.filter(|&inode| !once.insert(inode)).collect()
}

/// What was missing in two checks in a row is missing; in one it may have been on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checks {
    last: Option<u64>,
}

impl Checks {
    /// Takes in what one check found missing; what is certain by now. The first check is believed:
    /// anyone who reads once has no second one.
    pub fn certain(&mut self, missing: u64) -> u64 {
        let last = self.last.replace(missing);
        last.map_or(missing, |last| last.min(missing))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use probelet_core::facts::Endpoint;

    use super::*;

    fn socket(inode: u32, state: State) -> Socket {
        let local = Endpoint::v4(Ipv4Addr::LOCALHOST, 80);
        Socket { netns: 1, inode, state, local, ..Socket::default() }
    }

    fn netns(established: u64, tcp: u64) -> Netns {
        Netns { inode: 1, curr_estab: established, tcp_in_use: tcp, ..Netns::default() }
    }

    #[test]
    fn nothing_is_missing_when_all_that_is_counted_was_met() {
        let sockets = [
            socket(1, State::Listen),
            socket(2, State::Established),
            socket(2, State::Established), // another holder of the same
            socket(3, State::CloseWait),
            socket(0, State::SynRecv), // no socket yet
        ];

        assert_eq!(missing(&sockets, &[netns(2, 3)], &[netns(2, 3)]), 0);
    }

    #[test]
    fn a_listener_and_a_connection_that_were_not_met_are_missing() {
        let sockets = [socket(2, State::Established)];

        assert_eq!(missing(&sockets, &[netns(2, 3)], &[netns(2, 3)]), 2);
    }

    #[test]
    fn the_parts_of_a_connection_with_one_inode_count_each_and_their_holders_once() {
        let part = |port| Socket {
            local: Endpoint::v4(Ipv4Addr::LOCALHOST, port),
            ..socket(7, State::Established)
        };
        let sockets = [part(80), part(81), part(80), part(81), socket(0, State::Established)];

        assert_eq!(missing(&sockets, &[netns(4, 4)], &[netns(4, 4)]), 1);
    }

    #[test]
    fn a_udp_socket_that_was_not_met_is_missing() {
        let one = [Netns { udp_in_use: 1, ..netns(0, 0) }];

        assert_eq!(missing(&[], &one, &one), 1);
    }

    #[test]
    fn what_opened_or_closed_meanwhile_is_not_missing() {
        let before = netns(5, 5);
        let opened = Netns { passive_opens: 3, ..netns(8, 8) };
        let five: Vec<_> = (1..=5).map(|inode| socket(inode, State::Established)).collect();

        assert_eq!(missing(&five, &[before], &[opened]), 0);
        assert_eq!(missing(&five[..2], &[before], &[netns(2, 2)]), 0);
        assert_eq!(missing(&five[..1], &[before], &[opened]), 4);
    }

    #[test]
    fn what_was_missing_once_is_certain_only_when_it_is_the_first_check() {
        let mut checks = Checks::default();

        assert_eq!([2, 0, 3, 3, 0].map(|missing| checks.certain(missing)), [2, 0, 0, 3, 0]);
    }
}
