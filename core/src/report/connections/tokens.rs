//! Ends that were counted already, for what is reported of them later: each token is good for one.
//!
//! In: ends that were counted before the kernel reported them, or on behalf of the other end. Out: yes or no,
//! once for each, and what is to be added. It must not grow without bound: the oldest give way.
//!
//! Pure: no I/O.

use crate::facts::{Endpoint, Quality};
use crate::hash::{self, HashMap};
use crate::table::Slot;

/// Tokens of one generation: a storm of 10,000 ends a second leaves so many for each other within a pass.
const MOST: usize = 16_384;
/// Passes by which the kernel's worker is late.
const LATE: u32 = 2;

/// An end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct End {
    pub(super) netns: u32,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
}

impl End {
    fn exact(self) -> u64 {
        hash::of(self)
    }

    /// What a socket that reset its connection still knows of it.
    fn vague(self) -> u64 {
        hash::of((self.netns, self.local.port, self.remote.addr))
    }
}

/// Where goes what is reported later, and what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is known of it, each with or without the others"
)]
pub(super) struct Left {
    /// The flow by slot and id; `Slot::MAX` for none.
    pub(super) flow: (Slot, u64),
    /// Bytes sent and received that are in it already, as this end counts them.
    pub(super) bytes: (u64, u64),
    /// This end accepted, so what it sent went back.
    pub(super) inbound: bool,
    /// Left by an end of the network namespace that the other end is in.
    pub(super) inside: bool,
    /// Coverage counts it.
    pub(super) observed: bool,
    /// What it sent that is in the flow already; `None` if that is not known.
    pub(super) quality: Option<Quality>,
    /// Its reset is in the flow already.
    pub(super) reset: bool,
    /// That nothing came of it is.
    pub(super) failed: bool,
    /// When it was counted, Unix milliseconds.
    pub(super) since_ms: u64,
}

/// Tokens for ends that differ by no more than an end without its peer's port can tell, and how many such ends used one
/// up. Which one that was is not known, so all stay until they are taken by an end that knows.
#[derive(Debug, Default)]
struct Alike {
    count: u32,
    /// By ends of connections.
    forgot: u32,
    /// By attempts of which nothing came.
    failed: u32,
}

impl Alike {
    const fn used(&self) -> u32 {
        self.forgot + self.failed
    }

    const fn free(&self) -> u32 {
        self.count.saturating_sub(self.used())
    }

    /// One less, and what had used that up.
    const fn take(&mut self) -> Used {
        let used = match (self.free(), self.failed, self.forgot) {
            (0, 1.., _) => Used::ByAttempt,
            (0, 0, 1..) => Used::ByEnd,
            _ => Used::No,
        };
        self.count = self.count.saturating_sub(1);
        match used {
            Used::ByAttempt => self.failed -= 1,
            Used::ByEnd => self.forgot -= 1,
            Used::No => {}
        }
        used
    }
}

/// Whether a token that is taken was used up: then what used it has none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    No,
    /// By an end that forgot its peer.
    ByEnd,
    /// By an attempt of which nothing came, and whose it was.
    ByAttempt,
}

#[derive(Debug, Default)]
struct Generation {
    exact: HashMap<u64, (Left, u32)>,
    vague: HashMap<u64, Alike>,
    /// Left since it began, taken or not.
    count: usize,
    /// The pass in which the last of them was.
    pass: u32,
}

/// The tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    generations: [Generation; 2],
    pass: u32,
    /// Those that gave way although their ends may be reported yet: left by ends that dialled or do not know, and by those that
    /// accepted.
    lost: [u32; 2],
    /// The pass in which the last of them did.
    lost_pass: u32,
}

impl Tokens {
    /// A pass begins.
    pub(super) const fn begin(&mut self, pass: u32) {
        self.pass = pass;
        if pass.wrapping_sub(self.lost_pass) > LATE {
            self.lost = [0; 2];
        }
    }

    /// The older half of those that were not taken is forgotten.
    pub(super) fn age(&mut self) {
        self.generations.swap(0, 1);
        self.generations[0] = Generation::default();
    }

    /// Leaves one for the end.
    pub(super) fn leave(&mut self, end: End, left: Left) {
        if self.generations[0].count >= MOST {
            self.generations.swap(0, 1);
            let old = std::mem::take(&mut self.generations[0]);
            if old.count > 0 && self.pass.wrapping_sub(old.pass) <= LATE {
                self.lost_pass = self.pass;
                for (left, count) in old.exact.values() {
                    self.lost[usize::from(left.inbound)] += count;
                }
                // Those that are used up are missed by no one: mostly they stand for ends that accepted.
                let used: u32 = old.vague.values().map(Alike::used).sum();
                self.lost[0] = self.lost[0].saturating_sub(used);
            }
        }
        let new = &mut self.generations[0];
        (new.count, new.pass) = (new.count + 1, self.pass);
        let known = new.exact.entry(end.exact()).or_default();
        *known = (left, known.1 + 1);
        let alike = new.vague.entry(end.vague()).or_default();
        alike.count += 1;
    }

    /// Takes one for the end, if there is one.
    pub(super) fn take(&mut self, end: End) -> Option<Left> {
        self.claim(end).map(|claim| claim.0)
    }

    /// The same, and what had used that up.
    pub(super) fn claim(&mut self, end: End) -> Option<(Left, Used)> {
        self.generations.iter_mut().find_map(|tokens| tokens.claim(end))
    }

    /// Whether an end that has none may be one whose token gave way: that excuses one end, which accepted or did not.
    pub(super) const fn excuses(&mut self, inbound: bool) -> bool {
        let lost = &mut self.lost[!inbound as usize];
        let some = *lost > 0;
        *lost = lost.saturating_sub(1);
        some
    }

    /// What was left for the end, which stays.
    pub(super) fn peek(&self, end: End) -> Option<Left> {
        let exact = end.exact();
        self.generations.iter().find_map(|tokens| Some(tokens.exact.get(&exact)?.0))
    }

    /// How many there are for the end, as far as those that are alike are not used up.
    pub(super) fn count(&self, end: End) -> u32 {
        let count = |tokens: &Generation| {
            let free = tokens.vague.get(&end.vague()).map_or(0, Alike::free);
            tokens.exact.get(&end.exact()).map_or(0, |known| known.1.min(free))
        };
        self.generations.iter().map(count).sum()
    }

    /// Uses one up for an end of which only its port and the address of its peer are known.
    pub(super) fn mark(&mut self, end: End) -> bool {
        self.alike(end).is_some_and(|alike| {
            alike.forgot += 1;
            true
        })
    }

    /// The same for an attempt of which nothing came.
    pub(super) fn mark_failed(&mut self, end: End) -> bool {
        self.alike(end).is_some_and(|alike| {
            alike.failed += 1;
            true
        })
    }

    fn alike(&mut self, end: End) -> Option<&mut Alike> {
        let key = end.vague();
        let all = self.generations.iter_mut().filter_map(|tokens| tokens.vague.get_mut(&key));
        all.into_iter().find(|alike| alike.free() > 0)
    }

    /// Entries that are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.generations.iter().map(|tokens| tokens.exact.len().max(tokens.vague.len())).sum()
    }
}

impl Generation {
    fn claim(&mut self, end: End) -> Option<(Left, Used)> {
        let left = self.less(end.exact())?;
        let Some(alike) = self.vague.get_mut(&end.vague()) else { return Some((left, Used::No)) };
        let used = alike.take();
        if alike.count == 0 {
            self.vague.remove(&end.vague());
        }
        Some((left, used))
    }

    fn less(&mut self, exact: u64) -> Option<Left> {
        let (left, count) = self.exact.get_mut(&exact)?;
        let left = *left;
        *count -= 1;
        if *count == 0 {
            self.exact.remove(&exact);
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(port: u16) -> End {
        let (local, remote) = (Endpoint { addr: 1, port }, Endpoint { addr: 2, port: 80 });
        End { netns: 7, local, remote }
    }

    #[test]
    fn each_token_is_good_for_one() {
        let mut tokens = Tokens::default();
        tokens.leave(end(1), Left::default());
        tokens.leave(end(1), Left::default());

        assert_eq!(
            [1, 2, 1, 1].map(|port| tokens.take(end(port)).is_some()),
            [true, false, true, false]
        );
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn an_end_that_forgot_its_peer_uses_up_one_of_its_port_and_takes_none() {
        let mut tokens = Tokens::default();
        let other = End { remote: Endpoint { addr: 2, port: 81 }, ..end(1) };
        tokens.leave(end(1), Left::default());
        tokens.leave(other, Left::default());
        let forgot = End { local: Endpoint { addr: 0, port: 1 }, ..end(1) };
        let forgot = End { remote: Endpoint { addr: 2, port: 0 }, ..forgot };

        assert!(tokens.take(forgot).is_none());
        assert!(tokens.mark(forgot) && tokens.mark(forgot) && !tokens.mark(forgot));
        assert!(!tokens.mark(end(2)), "another port");

        let used = [end(1), other].map(|end| tokens.claim(end).map(|claim| claim.1));
        assert_eq!(used, [Some(Used::ByEnd); 2], "each of them has one less");
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn an_end_that_is_known_frees_no_other_one_while_there_are_enough() {
        let mut tokens = Tokens::default();
        let other = End { remote: Endpoint { addr: 2, port: 81 }, ..end(1) };
        for end in [end(1), other] {
            tokens.leave(end, Left::default());
        }
        assert!(!tokens.mark(end(9)) && tokens.mark(end(1)));

        assert_eq!(tokens.claim(other).map(|claim| claim.1), Some(Used::No));
        assert_eq!(tokens.count(end(1)), 0, "what is left is used up");
        assert_eq!(tokens.claim(end(1)).map(|claim| claim.1), Some(Used::ByEnd));
    }

    #[test]
    fn an_attempt_that_failed_is_no_connection_when_its_token_is_taken() {
        let mut tokens = Tokens::default();
        tokens.leave(end(1), Left::default());
        assert!(tokens.mark_failed(end(1)) && !tokens.mark(end(1)));

        assert_eq!(tokens.claim(end(1)).map(|claim| claim.1), Some(Used::ByAttempt));
    }

    #[test]
    fn the_oldest_give_way() {
        let mut tokens = Tokens::default();
        for n in 0..MOST * 5 {
            let addr = n as u128;
            tokens.leave(End { remote: Endpoint { addr, port: 9 }, ..end(1) }, Left::default());
        }

        assert!(tokens.len() <= 2 * MOST);
        assert!(tokens.take(End { remote: Endpoint { addr: 0, port: 9 }, ..end(1) }).is_none());
    }
}
