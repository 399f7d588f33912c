//! The account: which part of the budget is whose.
//!
//! In: clocks, as they are told. Out: what each part has left. It must not read a clock.
//!
//! Pure: no I/O, no clock; time is an argument.

use probelet_core::budget::{self, Budget, Nanocores};
use std::time::Duration;

/// Whoever connects gets a quarter of the budget at most: collection comes first, and a greedy reader must not make the
/// picture old that it asks for. All that serving costs is in it, measured: handshakes, refusals and mistakes as well.
const READERS: u64 = 4;
/// So much of it is theirs whatever collection would like to have: an agent that is overloaded can still be asked why.
pub(super) const READERS_LEAST: u64 = 16;
/// While less than this part of the readers' share is left, nobody new is let in and those who use most wait: who is in
/// already and asks for little goes first.
const DOOR: u64 = 4;
/// Probes have a share of their own: a kubelet's nine a minute take a thirtieth of it at the default budget.
const PROBES: u64 = 32;
/// What the cluster tells us gets another quarter at most: a storm of rollouts makes names late, not pictures.
const FEED: u64 = 4;

#[derive(Debug)]
pub(super) struct Account {
    /// Everything that the process does.
    pub(super) budget: Budget,
    /// The part of it that is serving.
    pub(super) readers: Budget,
    /// The part of it that is answering probes.
    pub(super) probes: Budget,
    pub(super) reports: budget::Limiter,
    pub(super) feed: Share,
}

impl Account {
    pub(super) fn new(cores: Nanocores, window_ns: u64, reports_per_second: u32) -> Self {
        Self {
            budget: Budget::new(cores, window_ns),
            readers: Budget::new(cores / READERS, window_ns),
            probes: Budget::new(cores / PROBES, window_ns),
            reports: budget::Limiter::new(reports_per_second),
            feed: Share::full(FEED),
        }
    }

    pub(super) fn set(&mut self, cores: Nanocores, window_ns: u64, reports_per_second: u32) {
        self.budget.set(cores, window_ns);
        self.readers.set(cores / READERS, window_ns);
        self.probes.set(cores / PROBES, window_ns);
        self.reports.set(reports_per_second);
    }

    /// What the readers have whatever collection does.
    pub(super) fn readers_least_ns(&self) -> u64 {
        self.budget.window_budget_ns() / READERS_LEAST
    }

    /// What serving may still use in this window: of its share as much as the whole budget has, and at least its least.
    pub(super) fn readers_room_ns(&self) -> u64 {
        let used = self.readers.used_ns();
        let shared = self.readers.headroom_ns().min(self.budget.left_ns());
        shared.max(self.readers_least_ns().saturating_sub(used))
    }

    /// What of that is for those who are in already.
    pub(super) fn door_ns(&self) -> u64 {
        self.readers_least_ns() / DOOR
    }

    /// Keeps out of collection's reach what readers and probes have for certain and did not use.
    pub(super) fn keep(&mut self) {
        let readers = self.readers_least_ns().saturating_sub(self.readers.used_ns());
        self.budget.keep(readers + self.probes.headroom_ns());
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
