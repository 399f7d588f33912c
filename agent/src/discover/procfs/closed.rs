//! Which `TIME_WAIT` sockets were reported already.
//!
//! In: every `TIME_WAIT` socket that a dump shows, each time it shows it. Out: each once. It must not
//! report one again that only stayed, and must report a 4-tuple again that was used again.
//!
//! Pure: no I/O; the clock is an argument, the hash is seeded once.

use std::hash::{BuildHasher, RandomState};

use probelet_core::facts::{Closed, Loss, Losses};
use probelet_core::hash::HashMap;

/// As many as the kernel keeps by default on a large node (`net.ipv4.tcp_max_tw_buckets`).
const REMEMBERED_MAX: usize = 262_144;
/// A `TIME_WAIT` that ends this much later than the one remembered belongs to a new connection, or its
/// minute began again. The end is known to 10 ms, some time after it was read.
const SAME_END_MS: u64 = 500;
/// How long one is remembered behind its end: its minute may have begun again unseen.
const GRACE_MS: u64 = 15_000;
/// Entries are dropped in bulk, at most this often.
const SWEEP_MS: u64 = 10_000;

/// The memory, and what was not handed over yet.
#[derive(Debug, Default)]
pub struct ClosedMemory {
    // By a seeded hash of the 4-tuple: strangers choose addresses and ports.
    ends: HashMap<u64, u64>,
    seed: RandomState,
    swept_ms: u64,
    pending: Vec<Closed>,
}

impl ClosedMemory {
    /// Takes note of one; `now_ms` is any clock that does not jump. `cookie` distinguishes it from another one on
    /// the same ports; where it is 0, `opened` says whether the namespace opened any since the last time:
    /// if not, one that ends later is the same, reached by a late segment.
    pub fn note(
        &mut self,
        closed: Closed,
        cookie: u64,
        opened: bool,
        now_ms: u64,
        losses: &mut Losses,
    ) {
        let key = self.seed.hash_one((
            (closed.netns, cookie, closed.interface),
            (closed.local.addr, closed.local.port),
            (closed.remote.addr, closed.remote.port),
        ));
        let end = now_ms + u64::from(closed.remaining_ms);
        if let Some(known) = self.ends.get_mut(&key) {
            let later = end > *known + SAME_END_MS;
            *known = end.max(*known);
            if !later || !opened || cookie != 0 {
                return;
            }
        } else if self.ends.len() >= REMEMBERED_MAX {
            losses.add(Loss::SocketsFull, 1);
            return;
        } else {
            self.ends.insert(key, end);
        }
        self.pending.push(closed);
    }

    /// Hands over what is new since the last time, and forgets what the kernel has forgotten.
    pub fn hand_over(&mut self, into: &mut Vec<Closed>, now_ms: u64) {
        into.clear();
        into.append(&mut self.pending);
        if now_ms >= self.swept_ms + SWEEP_MS {
            self.swept_ms = now_ms;
            self.ends.retain(|_, end| *end + GRACE_MS > now_ms);
            if self.ends.capacity() > 4 * self.ends.len() + 1024 {
                self.ends.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use probelet_core::facts::Endpoint;

    use super::*;

    fn closed(remaining_ms: u32) -> Closed {
        Closed {
            netns: 1,
            local: Endpoint::v4(Ipv4Addr::LOCALHOST, 40_000),
            remote: Endpoint::v4(Ipv4Addr::LOCALHOST, 80),
            remaining_ms,
            ..Closed::default()
        }
    }

    fn seen(memory: &mut ClosedMemory, now_ms: u64, remaining_ms: u32) -> usize {
        reported(memory, now_ms, remaining_ms, 0, true)
    }

    fn reported(
        memory: &mut ClosedMemory,
        now_ms: u64,
        remaining_ms: u32,
        cookie: u64,
        opened: bool,
    ) -> usize {
        let mut out = Vec::new();
        memory.note(closed(remaining_ms), cookie, opened, now_ms, &mut Losses::default());
        memory.hand_over(&mut out, now_ms);
        out.len()
    }

    #[test]
    fn one_whose_minute_began_fresh_is_the_same_where_nothing_was_opened() {
        let mut memory = ClosedMemory::default();

        assert_eq!(reported(&mut memory, 1_000, 59_000, 0, true), 1);
        assert_eq!(reported(&mut memory, 9_000, 60_000, 0, false), 0);
        assert_eq!(reported(&mut memory, 10_000, 59_000, 0, true), 0);
        assert_eq!(reported(&mut memory, 11_300, 59_900, 0, true), 1);
    }

    #[test]
    fn a_cookie_distinguishes_connections_on_the_same_ports() {
        let mut memory = ClosedMemory::default();

        assert_eq!(reported(&mut memory, 1_000, 59_000, 7, true), 1);
        assert_eq!(reported(&mut memory, 9_000, 60_000, 7, true), 0);
        assert_eq!(reported(&mut memory, 9_100, 59_900, 8, true), 1);
    }

    #[test]
    fn one_that_stays_is_reported_once() {
        let mut memory = ClosedMemory::default();

        assert_eq!(seen(&mut memory, 1_000, 59_000), 1);
        assert_eq!(seen(&mut memory, 2_000, 58_010), 0);
        assert_eq!(seen(&mut memory, 31_000, 29_000), 0);
    }

    #[test]
    fn a_tuple_that_is_used_again_is_reported_again() {
        let mut memory = ClosedMemory::default();

        assert_eq!(seen(&mut memory, 1_000, 59_000), 1);
        assert_eq!(seen(&mut memory, 6_000, 59_500), 1);
    }

    #[test]
    fn the_kernel_forgets_and_so_do_we() {
        let mut memory = ClosedMemory::default();
        seen(&mut memory, 1_000, 59_000);

        memory.hand_over(&mut Vec::new(), 76_000);

        assert!(memory.ends.is_empty());
    }
}
