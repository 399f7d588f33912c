//! Which `TIME_WAIT` sockets are new: each is reported by one pass and no other.
//!
//! In: expiries in jiffies, as the hash walk meets them. Out: yes or no, and from where the next
//! pass has to look. It must not forget anything before a pass is complete, nor take for reported what
//! expires early: a place of the hash that only some walks look at shows what came since it was looked at.
//!
//! Pure: no I/O.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use probelet_core::hash::HashSet;

/// The kernel's `TCP_TIMEWAIT_LEN`.
const TIME_WAIT_SECONDS: u64 = 60;
/// CPUs read the clock and publish a socket at different moments.
const MARGIN: u64 = 2;

/// Walks that can lie between two looks at one place of the hash.
pub(super) const MOST_WALKS: usize = 128;

/// Remembers what earlier passes reported.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// Sockets that expire earlier have been reported, where the last walk looked at them.
    since: u64,
    /// The same of the walks before that, the latest first.
    before: VecDeque<u64>,
    /// The same for the pass that runs.
    from: u64,
    /// Reported, or met again, in the present minute, and in the one before: a socket whose minute
    /// began again, since a late segment reached it, is the same one. By a seeded hash of the address
    /// and of what it would receive next, which strangers choose.
    known: [HashSet<u64>; 2],
    seed: RandomState,
    /// What the pass that runs has met.
    next: Vec<u64>,
    /// When the present minute began.
    minute: u64,
    now: u64,
    floor: u64,
    newest: u64,
    length: u64,
}

impl Follow {
    /// Whether no pass is complete yet.
    pub(super) fn is_first(&self) -> bool {
        self.before.is_empty()
    }

    /// The earliest expiry that the next pass has to report, if some places were looked at only so many
    /// walks ago; 1 is the last one.
    pub(super) fn look_back(&mut self, walks: usize) -> u64 {
        self.from = match walks.min(MOST_WALKS) {
            0 | 1 => self.since,
            some => self.before.get(some - 2).copied().unwrap_or(0),
        };
        self.from
    }

    /// Begins a pass at `now`, which is not later than its first look at the hash.
    pub(super) fn begin(&mut self, now: u64, hz: u64) {
        // A socket that is made from here on, perhaps behind our back in a bucket that was walked
        // already, expires no earlier than this.
        self.now = now;
        self.length = TIME_WAIT_SECONDS * hz;
        self.floor = now + self.length - MARGIN;
        self.newest = 0;
        self.next.clear();
    }

    /// Whether this socket is new: `sequence`, what it would receive next, distinguishes it from another
    /// one at the same address.
    pub(super) fn is_new(&mut self, (address, sequence): (u64, u32), expires: u64) -> bool {
        self.newest = self.newest.max(expires);
        let id = self.seed.hash_one((address, sequence));
        self.next.push(id);
        expires >= self.from && !self.known.iter().any(|known| known.contains(&id))
    }

    /// Ends a complete pass; an abandoned one is not ended, and all it saw comes again.
    pub(super) fn complete(&mut self) {
        self.before.truncate(MOST_WALKS - 2);
        self.before.push_front(self.since);
        if self.newest >= self.since {
            // `newest + 1` keeps a kernel with a shorter TIME_WAIT from hiding everything
            self.since = self.floor.min(self.newest + 1).max(self.since);
        }
        if self.now.saturating_sub(self.minute) >= self.length {
            self.minute = self.now;
            self.known.swap(0, 1);
            self.known[0].clear();
            self.known[0].shrink_to(self.known[1].len());
        }
        self.known[0].extend(self.next.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 250;
    const LEN: u64 = 60 * HZ;

    fn pass(follow: &mut Follow, now: u64, sockets: &[(u64, u64)]) -> Vec<u64> {
        pass_after(follow, 1, now, sockets)
    }

    fn pass_after(follow: &mut Follow, walks: usize, now: u64, sockets: &[(u64, u64)]) -> Vec<u64> {
        let since = follow.look_back(walks);
        follow.begin(now, HZ);
        let new = sockets
            .iter()
            .filter(|s| s.1 >= since && follow.is_new((s.0, 0), s.1))
            .map(|s| s.0)
            .collect();
        follow.complete();
        new
    }

    #[test]
    fn the_first_pass_reports_all_and_the_second_none_of_them() {
        let mut follow = Follow::default();
        let sockets = [(1, 20_000), (2, 30_000), (3, 30_000)];

        assert_eq!(pass(&mut follow, 16_000, &sockets), [1, 2, 3]);
        assert!(pass(&mut follow, 16_250, &sockets).is_empty());
    }

    #[test]
    fn a_socket_with_the_expiry_of_a_known_one_is_still_new() {
        let mut follow = Follow::default();
        let now = 100_000;

        assert_eq!(pass(&mut follow, now, &[(1, now + LEN)]), [1]);
        assert_eq!(pass(&mut follow, now + 1, &[(1, now + LEN), (2, now + LEN)]), [2]);
        assert!(pass(&mut follow, now + 2, &[(1, now + LEN), (2, now + LEN)]).is_empty());
    }

    #[test]
    fn a_socket_made_behind_a_long_pass_is_found_by_the_next() {
        let mut follow = Follow::default();
        let now = 100_000;
        // closed 3 jiffies into the pass, in a bucket that was walked; then one at 900 is met
        let (behind, ahead) = ((1, now + 3 + LEN), (2, now + 900 + LEN));

        assert_eq!(pass(&mut follow, now, &[ahead]), [2]);
        assert_eq!(pass(&mut follow, now + 1000, &[behind, ahead]), [1]);
    }

    #[test]
    fn a_socket_that_passes_left_out_for_a_while_is_not_new() {
        let mut follow = Follow::default();
        let now = 100_000;

        assert_eq!(pass(&mut follow, now, &[(1, now + LEN)]), [1]);
        assert!(pass(&mut follow, now + 250, &[]).is_empty());
        assert!(pass(&mut follow, now + 500, &[(1, now + LEN)]).is_empty());
    }

    #[test]
    fn what_an_abandoned_pass_saw_comes_again() {
        let mut follow = Follow::default();
        follow.begin(100_000, HZ);
        assert!(follow.is_new((1, 0), 101_000));

        assert_eq!(pass(&mut follow, 100_500, &[(1, 101_000)]), [1]);
    }

    #[test]
    fn a_kernel_with_a_shorter_time_wait_is_followed_too() {
        let mut follow = Follow::default();

        assert_eq!(pass(&mut follow, 100_000, &[(1, 101_000)]), [1]);
        assert_eq!(pass(&mut follow, 100_250, &[(1, 101_000), (2, 101_250)]), [2]);
    }

    #[test]
    fn nothing_is_forgotten_while_nothing_closes() {
        let mut follow = Follow::default();
        pass(&mut follow, 100_000, &[(1, 115_000)]);
        pass(&mut follow, 110_000, &[(1, 115_000)]);

        assert!(pass(&mut follow, 120_000, &[]).is_empty());
        assert_eq!(pass(&mut follow, 120_100, &[(9, 120_050 + LEN)]), [9]);
    }

    #[test]
    fn what_came_where_no_walk_looked_for_a_while_is_new_and_the_rest_is_not() {
        let mut follow = Follow::default();
        let at = |n: u64| 100_000 + n * HZ;
        for n in 0..6 {
            assert_eq!(pass(&mut follow, at(n), &[(n, at(n) + LEN)]), [n]);
        }
        // Closed after the third walk, in a place that was looked at by the second and is again now.
        let sockets = [(3, at(3) + LEN), (4, at(4) + LEN), (5, at(5) + LEN), (9, at(3) + LEN)];

        assert!(pass(&mut follow, at(6), &sockets).is_empty());
        assert_eq!(pass_after(&mut follow, 5, at(7), &sockets), [9]);
        assert!(pass_after(&mut follow, 5, at(8), &sockets).is_empty());
    }

    #[test]
    fn more_walks_than_there_were_is_from_the_beginning_on() {
        let mut follow = Follow::default();
        assert!(follow.is_first());
        for n in 0..200 {
            pass(&mut follow, 100_000 + n, &[(n, 100_000 + n + LEN)]);
            assert_eq!(follow.look_back(1), 100_000 + n + LEN - MARGIN);
            assert_eq!(follow.look_back(2) == 0, n == 0);
            assert!(follow.look_back(500) == 0 || n >= 126);
        }
        assert!(!follow.is_first() && follow.look_back(MOST_WALKS) > 0);
    }

    #[test]
    fn another_connection_at_the_address_of_a_known_one_is_new() {
        let mut follow = Follow::default();
        pass(&mut follow, 100_000, &[(1, 100_000 + LEN)]);

        follow.look_back(1);
        follow.begin(100_300, HZ);

        assert!(follow.is_new((1, 77), 100_299 + LEN));
    }

    #[test]
    fn one_whose_minute_began_fresh_is_not_new_again() {
        let mut follow = Follow::default();
        pass(&mut follow, 100_000, &[(1, 100_000 + LEN)]);

        for late in [500, 10_000, 20_000, 30_000] {
            assert!(pass(&mut follow, 100_000 + late, &[(1, 100_000 + late + LEN)]).is_empty());
        }
    }
}
