//! The account: which part of the budget is whose.
//!
//! In: clocks, as they are given. Out: what each part has left. It must not read a clock.
//!
//! Pure: no I/O, no clock; time is an argument.

use probelet_core::budget::{self, Budget, Nanocores};
use std::time::Duration;

/// Anyone who connects gets a quarter of the budget at most: collection comes first, and a greedy reader must not make the
/// picture old that it asks for. All that serving costs is in it, measured: handshakes, refusals and mistakes as well.
const READERS: u64 = 4;
/// So much of it is theirs whatever collection would like to have: an agent that is overloaded can still be asked why.
pub(super) const READERS_LEAST: u64 = 16;
/// While less than this part of the readers' share is left, no one new is let in and those who use most wait: who is in
/// already and asks for little goes first.
const ACCEPT: u64 = 4;
/// Probes have a share of their own: a kubelet's nine a minute take a thirtieth of it at the default budget.
const PROBES: u64 = 32;
/// What the cluster reports gets another quarter at most: a storm of rollouts makes names late, not pictures.
const FEED: u64 = 4;

#[derive(Debug)]
pub(super) struct Account {
    /// Everything that the process does.
    pub(super) budget: Budget,
    /// The part of it that is serving.
    pub(super) readers: Budget,
    /// What of serving is the readers' whatever collection does.
    least: Budget,
    /// The part of it that is answering probes.
    pub(super) probes: Budget,
    pub(super) pace: Pace,
    least_pace: Pace,
    pub(super) reports: budget::Limiter,
    pub(super) feed: Share,
}

impl Account {
    pub(super) fn new(cores: Nanocores, window_ns: u64, reports_per_second: u32) -> Self {
        Self {
            budget: Budget::new(cores, window_ns),
            readers: Budget::new(cores / READERS, window_ns),
            least: Budget::new(cores / READERS_LEAST, window_ns),
            probes: Budget::new(cores / PROBES, window_ns),
            pace: Pace::default(),
            least_pace: Pace::default(),
            reports: budget::Limiter::new(reports_per_second),
            feed: Share::full(FEED),
        }
    }

    pub(super) fn set(&mut self, cores: Nanocores, window_ns: u64, reports_per_second: u32) {
        self.budget.set(cores, window_ns);
        self.readers.set(cores / READERS, window_ns);
        self.least.set(cores / READERS_LEAST, window_ns);
        self.probes.set(cores / PROBES, window_ns);
        self.reports.set(reports_per_second);
    }

    /// Takes note of the clocks: of the process, of serving, of answering probes.
    pub(super) fn charge(&mut self, now: u64, cpu_ns: u64, served_ns: u64, probed_ns: u64) {
        self.budget.charge(now, cpu_ns);
        self.readers.charge(now, served_ns);
        self.least.charge(now, served_ns);
        self.probes.charge(now, probed_ns);
        self.pace.charge(&self.readers, now, served_ns);
        self.least_pace.charge(&self.least, now, served_ns);
        self.keep();
    }

    /// What serving may still use now: of its share as much as the whole budget has, and of its least whatever that has.
    pub(super) fn readers_room_ns(&self) -> u64 {
        let shared = self.readers.headroom_ns().min(self.budget.left_ns());
        let shared = shared.min(self.pace.left_ns(&self.readers));
        shared.max(self.least.headroom_ns().min(self.least_pace.left_ns(&self.least)))
    }

    /// What of that is for those who are in already.
    pub(super) fn accept_ns(&self) -> u64 {
        self.least.window_budget_ns() / ACCEPT / 2
    }

    /// Keeps out of collection's reach what readers and probes have for certain and did not use.
    fn keep(&mut self) {
        self.budget.keep(self.least.headroom_ns() + self.probes.headroom_ns());
    }
}

/// How fast the readers' share is used: half of it at once, the rest as it can be kept up. Without this a burst would use
/// all of it, and no one would be served until the window has passed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What was used of that half and not earned back yet, nanoseconds.
    used: u64,
    /// The thread's CPU clock and the monotonic clock at the last charge, nanoseconds.
    clock: u64,
    at: u64,
}

impl Pace {
    fn charge(&mut self, readers: &Budget, now: u64, clock_ns: u64) {
        let passed = now.saturating_sub(self.at).min(readers.window_ns());
        let earned = u128::from(passed) * u128::from(readers.rate(now)) / 1_000_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let more = clock_ns.saturating_sub(self.clock);
        self.used = self.used.saturating_sub(earned).saturating_add(more);
        (self.clock, self.at) = (clock_ns, now);
    }

    pub(super) fn left_ns(&self, readers: &Budget) -> u64 {
        (readers.window_budget_ns() / 2).saturating_sub(self.used)
    }

    /// How long until there is `ns` left, nanoseconds.
    pub(super) fn wait_ns(&self, readers: &Budget, now: u64, ns: u64) -> u64 {
        let lacks = (self.used + ns).saturating_sub(readers.window_budget_ns() / 2);
        let wait = u128::from(lacks) * 1_000_000_000 / u128::from(readers.rate(now).max(1));
        u64::try_from(wait).unwrap_or(u64::MAX)
    }
}

/// A part of the budget that one kind of work may use.
#[derive(Debug)]
pub(super) struct Share {
    /// One of so many parts.
    parts: u64,
    /// What it has earned and not spent, nanoseconds of CPU, as of `at_ns`.
    earned_ns: u64,
    at_ns: u64,
}

impl Share {
    /// Full at the start: the names of a whole cluster are read at once.
    pub(super) const fn full(parts: u64) -> Self {
        Self { parts, earned_ns: u64::MAX, at_ns: 0 }
    }

    /// Takes `cost_ns` out of what was earned, or says how long it takes to earn it.
    pub(super) fn spend(&mut self, budget: &Budget, now: u64, cost_ns: u64) -> Option<Duration> {
        let depth = budget.window_budget_ns() / self.parts;
        let rate = (budget.cores() / self.parts).max(1);
        let passed = now.saturating_sub(self.at_ns).min(budget.window_ns());
        let earned = u128::from(passed) * u128::from(rate) / 1_000_000_000;
        self.at_ns = now;
        self.earned_ns =
            self.earned_ns.saturating_add(u64::try_from(earned).unwrap_or(u64::MAX)).min(depth);
        // What costs more than can ever be saved up is given when that is.
        let cost = cost_ns.min(depth);
        if self.earned_ns >= cost {
            self.earned_ns -= cost;
            return None;
        }
        let wait = u128::from(cost - self.earned_ns) * 1_000_000_000 / u128::from(rate);
        Some(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;

    /// Someone who always wants something: what they get in each of so many seconds, microseconds.
    fn served(cores: Nanocores, seconds: u64, collection: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut account = Account::new(cores, MINUTE, 1);
        let (mut cpu, mut clock) = (0, 0);
        let each = |second: u64| {
            let before = clock;
            for tenth in 0..10 {
                let now = second * SECOND + tenth * SECOND / 10;
                cpu += collection(account.budget.headroom_ns());
                account.charge(now, cpu, clock, 0);
                while account.readers_room_ns() > 0 && clock - before < SECOND / 2 {
                    clock += 100_000;
                    cpu += 100_000;
                    account.charge(now, cpu, clock, 0);
                }
            }
            (clock - before) / 1000
        };
        (0..seconds).map(each).collect()
    }

    #[test]
    fn a_greedy_reader_has_half_of_the_share_at_once_and_is_served_on_after_that() {
        let got = served(5_000_000, 180, |_| 0);

        assert!((37_000..=39_000).contains(&got[0]), "{}", got[0]);
        for minute in got.windows(60) {
            assert!(minute.iter().sum::<u64>() <= 76_000, "{minute:?}");
        }
        for ten in got.windows(10) {
            assert!(ten.iter().sum::<u64>() >= 3000, "{ten:?}");
        }
    }

    #[test]
    fn collecting_all_there_is_leaves_readers_their_least() {
        let got = served(5_000_000, 180, |headroom| headroom);

        for minute in got.windows(60) {
            let sum = minute.iter().sum::<u64>();
            assert!((9000..=76_000).contains(&sum), "{sum}: {minute:?}");
        }
    }
}
