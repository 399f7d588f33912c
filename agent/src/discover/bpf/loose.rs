//! The sockets that no file of a process leads to: what a walk of the kernel's hash finds beside those of
//! the files, and, when the kernel counts more than was met, a list of all that its hashes hold.
//!
//! In: the hash, the sockets that processes hold, the counters. Out: sockets without a holder, closed
//! connections, and how many the kernel counts that were not met anywhere. It must not list the hashes
//! while nothing is missing.
//!
//! I/O: runs the programs `sockhash`, `states` and `strays`.

use probelet_core::facts::{Closed, Facts, Loss, Netns, Protocol, Socket, Want};
use probelet_core::hash::{HashMap, HashSet};

use super::{
    Bpf, Slices,
    closed::MOST_WALKS,
    push, reach,
    records::{self, Ctl, Heads, Kind, Place, Sock},
    run,
};
use crate::discover::{
    Error, Pace,
    seen::{self, Checks},
};

/// Groups of buckets with a TIME_WAIT head that one pass looks at again: 0.1 ms.
const WAITING_GROUPS: u64 = 1024;
/// While nothing is found the next list waits for so many checks, at most.
const MOST_PATIENCE: u32 = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Loose {
    /// Addresses of what the walk of the hash found.
    met: HashSet<u64>,
    /// What only a list of everything showed, and where it is.
    strays: Vec<(Socket, Place)>,
    after: Vec<Netns>,
    checks: Checks,
    /// Checks until the next list, and how many the last one that found nothing asked for.
    patience: (u32, u32),
    /// Which part of the groups is looked at again.
    turn: u64,
    waiting: u64,
    /// Buckets of the hash whose heads are remembered.
    buckets: u64,
    /// Walks from a look at a group to the next one, at most.
    walks: usize,
    /// The last walk met a group that has to be followed once more.
    unsure: bool,
    /// Walks that are left until all groups have been looked at since a counter moved.
    left: u64,
}

impl Loose {
    /// The hash was not walked, since it holds nothing loose.
    pub(super) fn nothing(&mut self) {
        self.met.clear();
    }

    /// How many buckets the hash has whose heads are remembered.
    pub(super) const fn buckets(&self) -> u64 {
        self.buckets
    }

    /// A walk is complete, the first since a counter `moved` or another one; after so many `turns` more all is looked at.
    pub(super) fn walked(&mut self, moved: bool, turns: u64) {
        self.left = if moved { turns } else { self.left.saturating_sub(1) };
    }

    /// Whether another walk would find nothing as long as no counter moves.
    pub(super) const fn is_sure(&self) -> bool {
        !self.unsure && self.left == 0
    }

    /// Begins a walk, which looks at the part `turn` of the groups; returns how many parts there are, less one.
    fn next_turn(&mut self) -> u64 {
        let parts = (self.waiting / WAITING_GROUPS + 1).min(records::GROUPS as u64);
        let parts = parts.next_power_of_two();
        self.turn = (self.turn + 1) & (parts - 1);
        // Where the number of parts changes, an old turn is waited for and then a new one.
        let both = usize::try_from(2 * parts - 1).unwrap_or(MOST_WALKS);
        self.walks = both.max(self.walks.saturating_sub(1)).min(MOST_WALKS);
        parts - 1
    }
}

impl Bpf {
    /// The sockets that no fd leads to, of this node's namespaces, and the closed connections.
    pub(super) fn unowned(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        let mut first = true;
        let relies = want != Want::Everything || !self.memory.fresh();
        let trusted = std::mem::take(&mut self.noted) && relies;
        let turns = self.loose.next_turn();
        let since = self.follow.look_back(self.loose.walks);
        self.loose.met.clear();
        self.set(&[(Ctl::Walked, 0), (Ctl::Waiting, 0), (Ctl::Unsure, 0)]);
        self.set(&[(Ctl::Turn, self.loose.turn), (Ctl::Turns, turns)]);
        let owned = facts.sockets.len();
        let shared = self.get(Ctl::Hash);
        for table in self.distinct(|tables| tables.hash) {
            let heads = match (table == shared, trusted) {
                (false, _) => Heads::Unused,
                (true, false) => Heads::Noted,
                (true, true) => Heads::Trusted,
            };
            self.set(&[
                (Ctl::Table, table),
                (Ctl::Heads, heads as u64),
                (Ctl::Bucket, 0),
                (Ctl::Since, since),
            ]);
            loop {
                run("sockhash", &self.loaded.sockhash)?;
                let now = self.get(Ctl::Jiffies);
                if first {
                    self.follow.begin(now, self.loaded.hz);
                    first = false;
                }
                self.take_unowned(now, facts)?;
                facts.losses.add(Loss::ChainCut, self.get(Ctl::Cut));
                if self.get(Ctl::Done) != 0 {
                    break;
                }
                if !pace.breathe() {
                    return Ok(None);
                }
            }
            if table == shared {
                self.loose.buckets = self.get(Ctl::Buckets);
            }
        }
        self.loose.waiting = self.get(Ctl::Waiting);
        self.loose.unsure = self.get(Ctl::Unsure) > 0;
        self.noted = true;
        give_holders(facts, owned);
        Ok(Some(()))
    }

    /// The distinct tables of this node's namespaces.
    fn distinct(&self, which: impl Fn(&records::Tables) -> u64) -> Vec<u64> {
        let mut distinct = Vec::new();
        for tables in self.tables.iter().filter(|tables| self.here.contains(&tables.inode)) {
            let table = which(tables);
            if table != 0 && !distinct.contains(&table) {
                distinct.push(table);
            }
        }
        distinct
    }

    fn take_unowned(&mut self, now: u64, facts: &mut Facts) -> Result<(), Error> {
        let count = self.count(Ctl::Nsocks, records::SOCKS);
        reach("sockets", &mut self.loaded.socks, count)?;
        for i in 0..count {
            match records::sock(&self.loaded.socks.get(i)) {
                Ok(Sock::Open(socket, place)) if self.here.contains(&socket.netns) => {
                    self.loose.met.insert(place.address);
                    self.shares.push(facts, socket, self.limits);
                }
                Ok(Sock::Closed(closed, expires, id)) if self.here.contains(&closed.netns) => {
                    if self.follow.is_new(id, expires) {
                        let left =
                            expires.saturating_sub(now).saturating_mul(1000) / self.loaded.hz;
                        let remaining_ms = u32::try_from(left.min(60_000)).unwrap_or(60_000);
                        let closed = Closed { remaining_ms, ..closed };
                        push(&mut facts.closed, closed, self.limits, &mut facts.losses);
                    }
                }
                Ok(_) => {}
                Err(loss) => facts.losses.add(loss, 1),
            }
        }
        Ok(())
    }

    /// Adds the strays that are known, and with everything compares what was met with what the kernel
    /// counts: what is missing is looked for, and what is not found is the loss `unseen`.
    pub(super) fn strays(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        self.look_at_strays()?;
        let met = facts.sockets.len();
        facts.sockets.extend(self.loose.strays.iter().map(|(socket, _)| *socket));
        if want == Want::Everything && facts.losses.get(Loss::SocketsFull) == 0 {
            let mut after = std::mem::take(&mut self.loose.after);
            let counted = self.count_again(&mut after, facts, pace)?;
            let mut missing = seen::missing(&facts.sockets, &facts.netns, &after);
            if counted.is_some() && missing > 0 && self.loose.is_time() {
                if self.list(facts, pace)?.is_none() {
                    return Ok(None);
                }
                facts.sockets.truncate(met);
                facts.sockets.extend(self.loose.strays.iter().map(|(socket, _)| *socket));
                let left = seen::missing(&facts.sockets, &facts.netns, &after);
                self.loose.found(left < missing);
                missing = left;
            }
            self.loose.after = after;
            if counted.is_none() {
                return Ok(None);
            }
            facts.losses.add(Loss::Unseen, self.loose.checks.certain(missing));
            facts.compared = true;
        }
        give_holders(facts, met);
        let no_one = facts.sockets.iter().filter(|socket| socket.pid == 0).count();
        facts.losses.add(Loss::NoOwner, no_one as u64);
        Ok(Some(()))
    }

    /// The counters once more, at the end of a pass; the tables are those of its beginning.
    fn count_again(
        &mut self,
        after: &mut Vec<Netns>,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) -> Slices {
        let tables = std::mem::take(&mut self.tables);
        let done = self.count_all(false, after, &mut facts.losses, pace);
        self.tables = tables;
        done
    }

    /// Drops the strays that are gone, that a process holds now, or that the hash shows.
    fn look_at_strays(&mut self) -> Result<(), Error> {
        let mut strays = std::mem::take(&mut self.loose.strays);
        if strays.is_empty() {
            return Ok(());
        }
        strays.truncate(records::LOOKS);
        reach("sockets to look at", &mut self.loaded.looks, strays.len())?;
        for (at, (_, place)) in strays.iter().enumerate() {
            for (word, to) in place.words().into_iter().enumerate() {
                self.loaded.looks.set(at, word, to);
            }
        }
        self.set(&[(Ctl::Nlooks, strays.len() as u64)]);
        run("states", &self.loaded.states)?;
        let mut there = HashSet::default();
        for (at, (socket, place)) in strays.iter_mut().enumerate() {
            let words = self.loaded.looks.get(at);
            let lives = match (socket.protocol, records::look(&words, false)) {
                (Protocol::Tcp, Some(look)) => {
                    socket.state = look.state;
                    look.state != probelet_core::facts::State::TimeWait
                }
                (Protocol::Tcp, None) => false,
                (Protocol::Udp, _) => words[1] >> 32 != 0,
            };
            if lives
                && self.here.contains(&socket.netns)
                && !self.loose.met.contains(&place.address)
            {
                there.insert(place.address);
            }
        }
        for place in &self.places {
            there.remove(&place.address);
        }
        strays.retain(|(_, place)| there.contains(&place.address));
        self.loose.strays = strays;
        Ok(())
    }

    /// Lists all hashes, and keeps what is neither held nor met.
    fn list(&mut self, facts: &mut Facts, pace: &mut dyn Pace) -> Slices {
        self.loose.strays.clear();
        let held: HashSet<u64> = self.places.iter().map(|place| place.address).collect();
        let hashes = self.distinct(|tables| tables.hash);
        let tables = [
            (Kind::Established, hashes.clone()),
            (Kind::Listen, hashes),
            (Kind::Udp, self.distinct(|tables| tables.udp)),
        ];
        for (kind, table) in
            tables.iter().flat_map(|(kind, all)| all.iter().map(move |t| (kind, *t)))
        {
            self.set(&[(Ctl::Table, table), (Ctl::Kind, *kind as u64), (Ctl::Place, 0)]);
            loop {
                run("strays", &self.loaded.strays)?;
                let count = self.count(Ctl::Nsocks, records::SOCKS);
                reach("sockets", &mut self.loaded.socks, count)?;
                for i in 0..count {
                    let Ok(Sock::Open(unmet, entry)) = records::sock(&self.loaded.socks.get(i))
                    else {
                        continue;
                    };
                    let known = held.contains(&entry.address)
                        || self.loose.met.contains(&entry.address)
                        || !self.here.contains(&unmet.netns);
                    if !known && self.loose.strays.len() < records::LOOKS {
                        self.loose.strays.push((unmet, entry));
                    }
                }
                facts.losses.add(Loss::ChainCut, self.get(Ctl::Cut));
                if self.get(Ctl::Done) != 0 {
                    break;
                }
                if !pace.breathe() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }
}

impl Loose {
    /// Whether a list is worth its cost by now.
    fn is_time(&mut self) -> bool {
        self.patience.0 = self.patience.0.saturating_sub(1);
        self.patience.0 == 0
    }

    /// A list found something, or nothing: then the next one waits twice as long.
    fn found(&mut self, something: bool) {
        let next = if something { 1 } else { (self.patience.1 * 2).clamp(2, MOST_PATIENCE) };
        self.patience = (next, next);
    }
}

/// The parts of an MPTCP connection have its inode: anyone who holds that holds them all.
fn give_holders(facts: &mut Facts, from: usize) {
    let (held, loose) = facts.sockets.split_at_mut(from);
    if !loose.iter().any(|socket| socket.inode != 0) {
        return;
    }
    let held: HashMap<u32, u32> =
        held.iter().filter(|s| s.pid != 0).map(|socket| (socket.inode, socket.pid)).collect();
    for socket in loose.iter_mut().filter(|socket| socket.inode != 0) {
        socket.pid = held.get(&socket.inode).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_looked_at_within_the_walks_that_are_looked_back() {
        let mut loose = Loose::default();
        let mut last = [0; records::GROUPS];
        let sizes = [0, 1023, 1024, 6000, 2000, 300_000, 9000, 20_000, 20_000, 500, 70_000, 3000];
        for walk in 1..5000_usize {
            // Each size stays for a while, or changes with each walk.
            loose.waiting = sizes[if walk < 2500 { walk / 97 } else { walk } % sizes.len()];
            let turns = loose.next_turn();
            for (at, last) in (0..).zip(&mut last) {
                if at & turns == loose.turn {
                    assert!(walk - *last <= loose.walks, "{at}: {last}, {walk}, {}", loose.walks);
                    *last = walk;
                }
            }
        }
    }

    #[test]
    fn a_walk_is_the_last_one_when_all_had_their_turn() {
        let mut loose = Loose::default();
        let sure: Vec<_> = (0..5)
            .map(|nth| {
                loose.walked(nth == 0, 3);
                loose.is_sure()
            })
            .collect();

        assert_eq!(sure, [false, false, false, true, true]);
    }
}
