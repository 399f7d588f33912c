//! Who has a place at the listener, and who has to give it up.
//!
//! A stranger is who was not yet answered anything but refusals: without a token they get no further. In: who is there,
//! who comes. Out: whether there is a place, and whose. One peer's strangers have few places, and when all are taken the
//! one that has kept silent for longest goes, of the peer that has most of them: no one can fill the listener by waiting.
//!
//! Pure: no I/O; what connections do is read from their phase.

use super::watch::{Doing, Phase};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

/// Connections at a time.
pub(crate) const ALL: usize = 64;
/// Of them, strangers of one peer. Readers behind the API server's proxy share its address, and are strangers for a moment
/// only.
pub(crate) const EACH: usize = 12;

/// Whether someone at the other end was ever answered what they asked for; shared by the connection and its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<AtomicBool>);

impl Known {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) peer: IpAddr,
    pub(crate) phase: Phase,
    pub(crate) known: Known,
    pub(crate) task: AbortHandle,
}

/// All places.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Place>);

/// What becomes of who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// There is a place.
    Free,
    /// There is one once this one is given up.
    Instead(usize),
    /// There is none: all who are here are being answered.
    Full,
}

/// What matters of a place.
#[derive(Clone, Copy, Debug)]
struct Seen {
    peer: IpAddr,
    known: bool,
    /// Since when its peer has been expected to say something.
    silent: Option<Instant>,
}

impl Places {
    /// Makes room for someone from `peer`. `None`: there is none. Else whether someone had to go for it.
    pub(crate) fn make_room(&mut self, peer: IpAddr) -> Option<bool> {
        let seen: Vec<_> = self.0.iter().map(Place::seen).collect();
        match choose(&seen, peer) {
            Choice::Free => Some(false),
            Choice::Full => None,
            Choice::Instead(n) => {
                self.0.swap_remove(n).task.abort();
                Some(true)
            }
        }
    }

    pub(crate) fn take(&mut self, place: Place) {
        self.0.push(place);
    }

    /// A connection ended.
    pub(crate) fn leave(&mut self, task: Id) {
        self.0.retain(|place| place.task.id() != task);
    }
}

impl Place {
    fn seen(&self) -> Seen {
        let (doing, since) = self.phase.doing();
        let silent = matches!(doing, Doing::Idle | Doing::Head).then_some(since);
        Seen { peer: self.peer, known: self.known.get(), silent }
    }
}

fn choose(places: &[Seen], peer: IpAddr) -> Choice {
    let mut strangers = BTreeMap::new();
    for place in places.iter().filter(|place| !place.known) {
        *strangers.entry(place.peer).or_insert(0_usize) += 1;
    }
    let longest = |fits: &dyn Fn(&Seen) -> bool| {
        let silent = places.iter().enumerate().filter(|(_, place)| fits(place));
        let since = silent.filter_map(|(n, place)| Some((place.silent?, n)));
        since.min().map(|(_, n)| n)
    };
    let instead = |n: Option<usize>| n.map_or(Choice::Full, Choice::Instead);
    if strangers.get(&peer).is_some_and(|&n| n >= EACH) {
        return instead(longest(&|place| !place.known && place.peer == peer));
    }
    if places.len() < ALL {
        return Choice::Free;
    }
    let most = strangers.iter().max_by_key(|(_, n)| **n).map(|(peer, _)| *peer);
    let crowd = most.and_then(|most| longest(&|place| !place.known && place.peer == most));
    let stranger = crowd.or_else(|| longest(&|place| !place.known));
    instead(stranger.or_else(|| longest(&|place| place.known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn peer(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    fn seen(from: u8, known: bool, silent: Option<u64>) -> Seen {
        let began = *START.get_or_init(Instant::now);
        let silent = silent.map(|second| began + Duration::from_secs(second));
        Seen { peer: peer(from), known, silent }
    }

    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

    #[test]
    fn who_takes_more_places_than_one_may_loses_the_one_that_was_silent_for_longest() {
        let mut places: Vec<_> = (0..12).map(|n| seen(1, false, Some(100 - n))).collect();
        places.push(seen(2, false, Some(0)));

        assert_eq!(choose(&places, peer(1)), Choice::Instead(11));
        assert_eq!(choose(&places, peer(3)), Choice::Free);
    }

    #[test]
    fn at_a_full_listener_the_most_crowded_stranger_makes_room_and_no_reader() {
        let mut places: Vec<_> = (0..52).map(|_| seen(9, true, Some(0))).collect();
        places.extend((0..10).map(|n| seen(1, false, Some(50 + n))));
        places.extend([seen(2, false, Some(1)), seen(2, false, Some(2))]);

        assert_eq!(choose(&places, peer(3)), Choice::Instead(52));
    }

    #[test]
    fn without_strangers_the_reader_that_was_idle_for_longest_makes_room() {
        let mut places: Vec<_> = (0..63).map(|_| seen(9, true, None)).collect();
        places.push(seen(8, true, Some(5)));

        assert_eq!(choose(&places, peer(3)), Choice::Instead(63));
    }

    #[test]
    fn who_is_being_answered_is_not_cut_off() {
        let places: Vec<_> = (0..64).map(|_| seen(9, true, None)).collect();

        assert_eq!(choose(&places, peer(3)), Choice::Full);
    }
}
