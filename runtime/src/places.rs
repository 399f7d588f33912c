//! Who has a place at a listening socket, and who has to give it up.
//!
//! In: peers as they come and go. Out: whose connection ends. A peer has few places, and when all are taken the first that
//! came of the peer with most of them goes: no one can fill the listener by waiting, neither the one for metrics nor the one
//! that the kubelet probes.
//!
//! Pure: no I/O; ends tasks.

use std::net::IpAddr;

use tokio::task::{AbortHandle, Id};

/// The connections of a listener, in the order in which they came.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_of_a_peer: usize,
    taken: Vec<(IpAddr, AbortHandle)>,
}

impl Places {
    /// So many connections at a time, and so many of one peer.
    #[must_use]
    pub const fn new(most: usize, most_of_a_peer: usize) -> Self {
        Self { most, most_of_a_peer, taken: Vec::new() }
    }

    /// Frees a place for one more from `peer`, if there is none.
    pub fn make_room(&mut self, peer: IpAddr) {
        if let Some(first) = self.gives_way(peer) {
            self.taken.remove(first).1.abort();
        }
    }

    /// Which place is given up for one more from `peer`, if one must be.
    fn gives_way(&self, peer: IpAddr) -> Option<usize> {
        let peers = || self.taken.iter().map(|(peer, _)| *peer);
        let count = |peer| peers().filter(|other| *other == peer).count();
        let crowded = if count(peer) >= self.most_of_a_peer {
            Some(peer)
        } else if self.taken.len() >= self.most {
            peers().max_by_key(|other| count(*other))
        } else {
            None
        };
        peers().position(|other| Some(other) == crowded)
    }

    /// A connection began.
    pub fn take(&mut self, peer: IpAddr, task: AbortHandle) {
        self.taken.push((peer, task));
    }

    /// A connection ended.
    pub fn leave(&mut self, task: Id) {
        self.taken.retain(|(_, place)| place.id() != task);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    /// Places for 32, 8 of a peer, taken by these in turn.
    fn taken_by(peers: &[IpAddr]) -> Places {
        let mut places = Places::new(32, 8);
        for peer in peers {
            places.take(*peer, tokio::spawn(std::future::pending::<()>()).abort_handle());
        }
        places
    }

    #[tokio::test]
    async fn a_peer_with_all_its_places_gives_up_its_own() {
        let mut here = vec![peer(2)];
        here.extend([peer(1); 8]);
        let places = taken_by(&here);

        assert_eq!(places.gives_way(peer(1)), Some(1));
        assert_eq!(places.gives_way(peer(3)), None);
    }

    #[tokio::test]
    async fn at_a_full_listener_the_most_crowded_peer_gives_way() {
        let mut here: Vec<_> = (10..35).map(peer).collect();
        here.extend([peer(1); 7]);

        assert_eq!(taken_by(&here).gives_way(peer(3)), Some(25));
    }
}
