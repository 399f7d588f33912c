//! Who has a place at a listening socket, and who has to give it up.
//!
//! In: peers as they come and go. Out: whose connection ends. A peer has few places, and when all are taken the first that
//! came of the peer with most of them goes: no one can fill the listener by waiting, neither the one for metrics nor the one
//! that the kubelet probes.
//!
//! Pure: no I/O; ends tasks.

use std::net::IpAddr;

use tokio::task::{AbortHandle, Id};

/// Connections at a time.
const ALL: usize = 32;
/// Of them, of one peer.
const EACH: usize = 8;

/// Who is here, in the order in which they came.
#[derive(Debug, Default)]
pub struct Places(Vec<(IpAddr, AbortHandle)>);

impl Places {
    /// Makes room for one more from `peer`.
    pub fn make_room(&mut self, peer: IpAddr) {
        let peers: Vec<_> = self.0.iter().map(|(peer, _)| *peer).collect();
        if let Some(first) = gives_way(&peers, peer) {
            self.0.remove(first).1.abort();
        }
    }

    /// A connection began.
    pub fn take(&mut self, peer: IpAddr, task: AbortHandle) {
        self.0.push((peer, task));
    }

    /// A connection ended.
    pub fn leave(&mut self, task: Id) {
        self.0.retain(|(_, place)| place.id() != task);
    }
}

/// Whose place is given up for one more from `peer`, if one must be.
fn gives_way(here: &[IpAddr], peer: IpAddr) -> Option<usize> {
    let count = |peer| here.iter().filter(|other| **other == peer).count();
    let crowded = if count(peer) >= EACH {
        Some(peer)
    } else if here.len() >= ALL {
        here.iter().copied().max_by_key(|other| count(*other))
    } else {
        None
    };
    here.iter().position(|other| Some(*other) == crowded)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    #[test]
    fn a_peer_with_all_its_places_gives_up_its_own() {
        let mut here = vec![peer(2)];
        here.extend([peer(1); EACH]);

        assert_eq!(gives_way(&here, peer(1)), Some(1));
        assert_eq!(gives_way(&here, peer(3)), None);
    }

    #[test]
    fn at_a_full_listener_the_most_crowded_peer_gives_way() {
        let mut here: Vec<_> = (10..35).map(peer).collect();
        here.extend([peer(1); 7]);

        assert_eq!(gives_way(&here, peer(3)), Some(25));
    }
}
