//! Ends that were counted already, for what is told of them later: each token is good for one.
//!
//! In: ends that were counted before the kernel told of them, or on behalf of the other end. Out: yes or no,
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

/// Where goes what is told later, and what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

#[derive(Debug, Default)]
struct Generation {
    exact: HashMap<u64, (Left, u32)>,
    vague: HashMap<u64, u32>,
    /// Left since it began, taken or not: what is taken in the vague way leaves a trace in the exact one.
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
        *new.vague.entry(end.vague()).or_default() += 1;
    }

    /// Takes one for the end, if there is one.
    pub(super) fn take(&mut self, end: End) -> Option<Left> {
        self.0.iter_mut().find_map(|tokens| tokens.take(end))
    }

    /// The same where a token too few would count a connection twice: one that was taken for an end that forgot its peer,
    /// and was another's, is good for its own end all the same.
    pub(super) fn take_lenient(&mut self, end: End) -> bool {
        self.0.iter_mut().any(|tokens| tokens.take_exact(end).is_some())
    }

    /// How many there are for the end, at most.
    pub(super) fn count(&self, end: End) -> u32 {
        let of = |tokens: &Generation| {
            let vague = tokens.vague.get(&end.vague()).copied().unwrap_or(0);
            tokens.exact.get(&end.exact()).map_or(0, |known| known.1.min(vague))
        };
        self.0.iter().map(of).sum()
    }

    /// Whether there is one for an end of which only its port and the address of its peer are known.
    pub(super) fn has_vague(&self, end: End) -> bool {
        self.0.iter().any(|tokens| tokens.vague.contains_key(&end.vague()))
    }

    /// Whether there is one for the end.
    pub(super) fn has(&self, end: End) -> bool {
        // One that forgot its peer may have had it.
        let there =
            |tokens: &&Generation| tokens.count > 0 && tokens.vague.contains_key(&end.vague());
        self.0.iter().filter(there).any(|tokens| tokens.exact.contains_key(&end.exact()))
    }

    /// Takes one for an end of which only its port and the address of its peer are known.
    pub(super) fn take_vague(&mut self, end: End) -> bool {
        self.0.iter_mut().any(|tokens| tokens.less(end.vague()))
    }

    /// Entries that are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|tokens| tokens.exact.len().max(tokens.vague.len())).sum()
    }
}

impl Generation {
    fn take(&mut self, end: End) -> Option<Left> {
        let (left, had) = self.take_exact(end)?;
        // One that forgot its peer may have had it.
        had.then_some(left)
    }

    /// What was left, and whether it was there in the vague way, too.
    fn take_exact(&mut self, end: End) -> Option<(Left, bool)> {
        let key = end.exact();
        let (left, count) = self.exact.get_mut(&key)?;
        let left = *left;
        *count -= 1;
        if *count == 0 {
            self.exact.remove(&key);
        }
        Some((left, self.less(end.vague())))
    }

    fn less(&mut self, vague: u64) -> bool {
        let Some(count) = self.vague.get_mut(&vague) else { return false };
        *count -= 1;
        if *count == 0 {
            self.vague.remove(&vague);
        }
        true
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
