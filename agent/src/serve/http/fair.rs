//! A rate limit that one noisy peer cannot use up for the others.
//!
//! In: who asks, and the time. Out: whether they may. It must not grow with the number of peers: they share bins, chosen
//! by a hash with a secret seed, so that no one can aim at the bin of someone else.
//!
//! Pure: no I/O, no clock; time is an argument.

use probelet_core::budget::Limiter;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

const BINS: usize = 32;

/// So many a second for all peers together, and so many for one.
#[derive(Debug)]
pub(super) struct Fair {
    bins: [Limiter; BINS],
    all: Limiter,
    seed: RandomState,
}

impl Fair {
    pub(super) fn new(each: u32, all: u32) -> Self {
        let bins = [Limiter::new(each); BINS];
        Self { bins, all: Limiter::new(all), seed: RandomState::new() }
    }

    pub(super) fn take(&mut self, peer: IpAddr, now_ns: u64) -> bool {
        let bin = usize::try_from(self.seed.hash_one(peer)).unwrap_or(0) % BINS;
        self.bins[bin].take(now_ns, 1) == 1 && self.all.take(now_ns, 1) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    #[test]
    fn a_noisy_peer_leaves_most_of_the_rate_to_others() {
        let mut fair = Fair::new(2, 8);
        for _ in 0..100 {
            fair.take(peer(1), 0);
        }

        // One of these may share the bin of the noisy one, hardly all of them.
        let served = (2..10).filter(|&n| fair.take(peer(n), 0)).count();

        assert!((1..=6).contains(&served), "{served}");
    }

    #[test]
    fn many_noisy_peers_share_the_whole_rate() {
        let mut fair = Fair::new(2, 8);

        let served = (0..=255).filter(|&n| fair.take(peer(n), 0)).count();

        assert_eq!(served, 8);
    }

    #[test]
    fn a_second_later_there_is_room_again() {
        let mut fair = Fair::new(1, 8);
        assert!(fair.take(peer(1), 0) && !fair.take(peer(1), 0));

        assert!(fair.take(peer(1), 1_000_000_000));
    }
}
