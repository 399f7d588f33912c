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

/// Tokens for ends that differ by no more than an end without its peer's port can tell.
#[derive(Debug, Default)]
struct Alike {
    count: usize,
    /// Those for which tokens were left, the newest last; some of them were taken since.
    ends: Vec<u64>,
}

#[derive(Debug, Default)]
struct Generation {
    exact: HashMap<u64, (Left, u32)>,
    vague: HashMap<u64, Alike>,
    /// Left since it began, taken or not.
    count: usize,
}

/// The tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens([Generation; 2]);

impl Tokens {
    /// Leaves one for the end.
    pub(super) fn leave(&mut self, end: End, left: Left) {
        if self.0[0].count >= MOST {
            self.0.swap(0, 1);
            self.0[0] = Generation::default();
        }
        let new = &mut self.0[0];
        new.count += 1;
        let known = new.exact.entry(end.exact()).or_default();
        *known = (left, known.1 + 1);
        let alike = new.vague.entry(end.vague()).or_default();
        alike.count += 1;
        alike.ends.push(end.exact());
    }

    /// Takes one for the end, if there is one.
    pub(super) fn take(&mut self, end: End) -> Option<Left> {
        self.0.iter_mut().find_map(|tokens| tokens.take(end))
    }

    /// How many there are for the end.
    pub(super) fn count(&self, end: End) -> u32 {
        self.0.iter().map(|tokens| tokens.exact.get(&end.exact()).map_or(0, |known| known.1)).sum()
    }

    /// Whether there is one for an end of which only its port and the address of its peer are known.
    pub(super) fn has_vague(&self, end: End) -> bool {
        self.0.iter().any(|tokens| tokens.vague.contains_key(&end.vague()))
    }

    /// Whether there is one for the end.
    pub(super) fn has(&self, end: End) -> bool {
        let mut some = self.0.iter().filter(|tokens| tokens.count > 0);
        some.any(|tokens| tokens.exact.contains_key(&end.exact()))
    }

    /// Takes one for an end of which only its port and the address of its peer are known.
    pub(super) fn take_vague(&mut self, end: End) -> bool {
        self.0.iter_mut().any(|tokens| tokens.take_vague(end))
    }

    /// Entries that are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|tokens| tokens.exact.len().max(tokens.vague.len())).sum()
    }
}

impl Generation {
    fn take(&mut self, end: End) -> Option<Left> {
        let left = self.less(end.exact())?;
        if let Some(alike) = self.vague.get_mut(&end.vague()) {
            alike.count = alike.count.saturating_sub(1);
            if alike.count == 0 {
                self.vague.remove(&end.vague());
            }
        }
        Some(left)
    }

    /// Takes the newest of those that are alike: what is known of the end is no more, and then none of them is one too many.
    fn take_vague(&mut self, end: End) -> bool {
        let Some(mut alike) = self.vague.remove(&end.vague()) else { return false };
        let taken = loop {
            let Some(exact) = alike.ends.pop() else { break false };
            if self.less(exact).is_some() {
                break true;
            }
        };
        alike.count = alike.count.saturating_sub(1);
        if taken && alike.count > 0 {
            self.vague.insert(end.vague(), alike);
        }
        taken
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
    fn an_end_that_forgot_its_peer_takes_the_one_of_its_port() {
        let mut tokens = Tokens::default();
        tokens.leave(end(1), Left::default());
        let forgot = End { local: Endpoint { addr: 0, port: 1 }, ..end(1) };
        let forgot = End { remote: Endpoint { addr: 2, port: 0 }, ..forgot };

        assert!(tokens.take(forgot).is_none());
        assert!(tokens.take_vague(forgot) && !tokens.take_vague(forgot));
    }

    #[test]
    fn what_an_end_without_its_peers_port_took_is_no_ones_any_more() {
        let (mut tokens, other) =
            (Tokens::default(), End { remote: Endpoint { addr: 2, port: 81 }, ..end(1) });
        tokens.leave(other, Left::default());
        tokens.leave(end(1), Left::default());
        assert!(tokens.take_vague(other));

        assert_eq!((tokens.count(end(1)), tokens.count(other)), (0, 1), "the newest is gone");
        assert!(tokens.take(end(1)).is_none() && tokens.take(other).is_some());
        assert_eq!(tokens.len(), 0);
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
