//! Coverage: connections observed ÷ connections opened, over the last minute and since the start.
//!
//! In: the kernel's exact per-namespace counters of opened connections, and which ends the report
//! saw open. Out: a ratio that never claims more than was seen. It must not estimate.
//!
//! Every connection counts once per end: `ActiveOpens` at the client's, `PassiveOpens` at the
//! server's. An attempt that failed is no connection, so `AttemptFails` are taken off; but not those
//! that were a reset of a half-open request (`EmbryonicRsts`), which was never counted as opened.
//!
//! Counters are read before sockets. What opens in between is seen before it is counted: such an
//! end is held back until the next counters cover it. If they do not, the report counted an end that
//! the kernel never opened: that is `Coverage::take_excess`, a fault and not a ratio of one.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::facts::Netns;
use crate::hash::HashMap;

/// More connections than this no namespace opens between two readings: a million a second for a day.
const MOST: u64 = 1 << 36;
/// Buckets of the sliding minute.
const BUCKETS: u8 = 6;
/// Width of a bucket, milliseconds.
const BUCKET_MS: u64 = 10_000;
/// Readings within which the kernel reports an attempt that failed and whose socket was closed at once.
const LATE: usize = 4;

/// Ends opened and ends seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ends that the kernel counted as opened.
    pub opened: u64,
    /// Ends that a pass saw established, or later.
    pub observed: u64,
}

impl Count {
    /// Observed ÷ opened; `None` when nothing was opened.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people; 2^52 connections are enough"
    )]
    pub fn ratio(self) -> Option<f64> {
        (self.opened > 0).then(|| self.observed as f64 / self.opened as f64)
    }

    const fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.observed += other.observed;
    }

    const fn room(self) -> u64 {
        self.opened.saturating_sub(self.observed)
    }
}

/// What went wrong with connections, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Attempts, from here or from elsewhere, that never became a connection.
    pub failed: u64,
    /// Connections that ended by a reset.
    pub reset: u64,
}

/// What opened in one namespace between two passes: evidence for directions, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Connections opened from here.
    pub active: u64,
    /// Connections accepted here.
    pub passive: u64,
}

/// One namespace.
#[derive(Clone, Copy, Debug, Default)]
struct Space {
    last: Netns,
    /// Between the last two readings.
    opened: Opened,
    /// Failed in that time, and not yet taken off.
    failing: u64,
    /// Ended by a reset in that time.
    resets: u64,
    /// Failed since it is known, and no flow's yet.
    unblamed: u64,
    /// Of these, as of the last readings, the newest first.
    lately: [u64; LATE],
    /// Since it is known.
    count: Count,
    /// Seen, and not yet covered by what was opened.
    held: u64,
    /// It came into the account with this reading, and what it opened before is history.
    history: bool,
    /// The reading that it was last in.
    reading: u32,
}

impl Space {
    const fn room(&self) -> u64 {
        self.count.room().saturating_sub(self.failing)
    }

    fn fail(&mut self, failing: u64) {
        add(&mut self.unblamed, failing);
        self.lately.rotate_right(1);
        self.lately[0] = failing;
    }

    fn blame(&mut self, mut attempts: u64) {
        self.unblamed = self.unblamed.saturating_sub(attempts);
        for of_one in self.lately.iter_mut().rev() {
            let taken = attempts.min(*of_one);
            *of_one -= taken;
            attempts -= taken;
        }
    }
}

/// Whether this is the namespace that it was, by its birth if that is reported; else by its counters,
/// which only grow.
const fn same(before: &Netns, now: &Netns) -> bool {
    let known_birth = before.cookie != 0 && now.cookie != 0;
    if known_birth {
        return before.cookie == now.cookie;
    }
    before.active_opens <= now.active_opens
        && before.passive_opens <= now.passive_opens
        && before.attempt_fails <= now.attempt_fails
        && before.estab_resets <= now.estab_resets
}

/// The running account.
#[derive(Debug, Default)]
pub struct Coverage {
    spaces: HashMap<u32, Space>,
    reading: u32,
    /// Numbers that stand for another namespace than at the last reading.
    reborn: Vec<u32>,
    buckets: [Count; BUCKETS as usize],
    bucket: u64,
    total: Count,
    /// Failures that are still to be taken off what opens, so that the total never shrinks.
    debt: u64,
    excess: u64,
    trouble: Trouble,
    started: bool,
}

impl Coverage {
    /// Takes the counters of a pass that also reads sockets. `born` shows whether a namespace that
    /// was not known came into being after the last pass: then all of its opens are news, else
    /// they are history.
    pub fn counters(&mut self, netns: &[Netns], born: impl Fn(u32) -> bool, mono_ms: u64) {
        self.turn(mono_ms);
        self.reading = self.reading.wrapping_add(1);
        self.reborn.clear();
        let (reading, mut opened, mut failed) = (self.reading, 0, 0_u64);
        for &now in netns {
            let known = self.spaces.get(&now.inode).copied();
            let stays = known.filter(|space| same(&space.last, &now));
            let fresh = known.is_some() && stays.is_none();
            if fresh {
                self.reborn.push(now.inode);
            }
            let before = stays.unwrap_or_else(|| {
                let news = self.started && (fresh || born(now.inode));
                Space {
                    last: if news { Netns { inode: now.inode, ..Netns::default() } } else { now },
                    history: !news,
                    ..Space::default()
                }
            });
            let last = before.last;
            let delta = Opened {
                active: grown(now.active_opens, last.active_opens),
                passive: grown(now.passive_opens, last.passive_opens),
            };
            let fails = grown(now.attempt_fails, last.attempt_fails);
            // A reset of a half-open request counts as a failed attempt, and nothing had opened.
            let embryonic = grown(now.embryonic_rsts, last.embryonic_rsts);
            let failing = fails.saturating_sub(embryonic);
            add(&mut self.trouble.failed, fails);
            let resets = grown(now.estab_resets, last.estab_resets);
            add(&mut self.trouble.reset, resets);
            let mut space = Space {
                last: now,
                opened: delta,
                failing,
                resets,
                history: stays.is_none() && before.history,
                reading,
                ..before
            };
            let both = delta.active.saturating_add(delta.passive);
            add(&mut space.count.opened, both);
            add(&mut opened, both);
            add(&mut failed, failing);
            space.fail(failing);
            self.spaces.insert(now.inode, space);
        }
        self.spaces.retain(|_, space| space.reading == reading);
        self.started = true;
        add(&mut self.current().opened, opened);
        // Of the total, failures are taken off before it grows: it is shown as a counter.
        add(&mut self.debt, failed);
        let paid = self.debt.min(opened);
        self.debt -= paid;
        add(&mut self.total.opened, opened - paid);
        self.cover();
    }

    /// What was held back is observed now that it is known to have opened.
    fn cover(&mut self) {
        let mut covered = 0;
        for space in self.spaces.values_mut().filter(|space| space.held > 0) {
            let now = space.held.min(space.room());
            space.count.observed += now;
            self.excess += space.held - now;
            space.held = 0;
            covered += now;
        }
        let bucket = self.bucket;
        self.credit(covered, bucket);
    }

    /// Numbers of namespaces that stand for another namespace since the last [`Self::counters`].
    #[must_use]
    pub(crate) fn reborn(&self) -> &[u32] {
        &self.reborn
    }

    /// What opened in a namespace between the last two calls of [`Self::counters`].
    #[must_use]
    pub fn opened(&self, netns: u32) -> Opened {
        self.spaces.get(&netns).map_or_else(Opened::default, |space| space.opened)
    }

    /// Connections of a namespace that ended by a reset between the last two calls of
    /// [`Self::counters`].
    #[must_use]
    pub fn resets(&self, netns: u32) -> u64 {
        self.spaces.get(&netns).map_or(0, |space| space.resets)
    }

    /// Whether what is found in a namespace in this pass may have opened before the account began.
    #[must_use]
    pub fn history(&self, netns: u32) -> bool {
        self.spaces.get(&netns).is_some_and(|space| space.history)
    }

    /// Notes that `ends` of a namespace were seen established, or later, which began at `since_ms`.
    /// Nothing is claimed for a namespace whose counters are not read.
    pub fn observed(&mut self, netns: u32, ends: u64, since_ms: u64) {
        let Some(space) = self.spaces.get_mut(&netns) else { return };
        let now = ends.min(space.room());
        space.count.observed += now;
        space.held += ends - now;
        self.credit(now, since_ms / BUCKET_MS);
    }

    /// An attempt that was seen under way since `since_ms` is over, and nothing came of it: if the
    /// kernel counted a failure meanwhile, it is taken off when the attempt was made, and `true`.
    pub fn failed(&mut self, netns: u32, since_ms: u64) -> bool {
        let Some(space) = self.spaces.get_mut(&netns).filter(|space| space.failing > 0) else {
            return false;
        };
        space.failing -= 1;
        space.blame(1);
        space.count.opened = space.count.opened.saturating_sub(1);
        self.take_off(1, since_ms / BUCKET_MS);
        true
    }

    /// Attempts of a namespace that failed and were blamed on no flow yet: since it is known, and of those lately.
    #[must_use]
    pub(crate) fn unblamed(&self, netns: u32) -> (u64, u64) {
        let space = self.spaces.get(&netns);
        space.map_or((0, 0), |space| {
            let lately = space.lately.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
            (space.unblamed, space.unblamed.min(lately))
        })
    }

    /// So many of them are a flow's now.
    pub(crate) fn blamed(&mut self, netns: u32, attempts: u64) {
        if let Some(space) = self.spaces.get_mut(&netns) {
            space.blame(attempts);
        }
    }

    /// So many attempts ended that the kernel neither connected nor counted as failed, since their process gave them up:
    /// they are no connections either, and are taken off.
    pub fn given_up(&mut self, netns: u32, attempts: u64) {
        let Some(space) = self.spaces.get_mut(&netns).filter(|space| !space.history) else {
            return;
        };
        let off = attempts.min(space.room());
        space.count.opened -= off;
        add(&mut self.debt, off);
        let bucket = self.bucket;
        self.take_off(off, bucket);
    }

    /// Ends a pass: failures of attempts that no one saw are taken off what opened meanwhile.
    pub fn settle(&mut self) {
        let mut off = 0;
        for space in self.spaces.values_mut() {
            let failed = space.failing.min(space.opened.active + space.opened.passive);
            space.failing = 0;
            space.count.opened = space.count.opened.saturating_sub(failed);
            off += failed;
        }
        let bucket = self.bucket;
        self.take_off(off, bucket);
    }

    /// Ends that were counted as observed and that the kernel never opened, since last asked. More
    /// than none is a fault of the report.
    pub(crate) const fn take_excess(&mut self) -> u64 {
        std::mem::replace(&mut self.excess, 0)
    }

    /// The last minute.
    #[must_use]
    pub fn minute(&self) -> Count {
        let mut sum = Count::default();
        self.buckets.iter().for_each(|&b| sum.add(b));
        sum
    }

    /// Since the start.
    #[must_use]
    pub const fn total(&self) -> Count {
        self.total
    }

    /// Ends that were opened since the start and never seen.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.total.room()
    }

    /// What went wrong since the start.
    #[must_use]
    pub const fn trouble(&self) -> Trouble {
        self.trouble
    }

    /// In the minute only what the minute has room for: an end that opened before it is not its.
    fn credit(&mut self, ends: u64, bucket: u64) {
        self.total.observed += ends;
        let room = self.minute().room();
        if let Some(count) = self.bucket_at(bucket) {
            count.observed += ends.min(room);
        }
    }

    fn take_off(&mut self, ends: u64, bucket: u64) {
        let room = self.minute().room();
        if let Some(count) = self.bucket_at(bucket) {
            count.opened = count.opened.saturating_sub(ends.min(room));
        }
    }

    fn bucket_at(&mut self, bucket: u64) -> Option<&mut Count> {
        let there = bucket <= self.bucket && self.bucket - bucket < u64::from(BUCKETS);
        there.then(|| &mut self.buckets[place(bucket)])
    }

    fn current(&mut self) -> &mut Count {
        &mut self.buckets[place(self.bucket)]
    }

    fn turn(&mut self, mono_ms: u64) {
        let bucket = mono_ms / BUCKET_MS;
        for step in 0..bucket.saturating_sub(self.bucket).min(BUCKETS.into()) {
            self.buckets[place(bucket - step)] = Count::default();
        }
        self.bucket = self.bucket.max(bucket);
    }
}

fn place(bucket: u64) -> usize {
    usize::try_from(bucket % u64::from(BUCKETS)).unwrap_or(0)
}

/// By how much a counter grew; one that is read while it moves may seem to jump by anything.
const fn grown(now: u64, last: u64) -> u64 {
    let by = now.saturating_sub(last);
    if by < MOST { by } else { MOST }
}

/// Up to the largest number, and not round to a small one.
const fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

#[cfg(test)]
mod tests;
