//! The governor: the one account of CPU time that every part of the process draws on.
//!
//! In: the process's CPU clock, and requests to spend. Out: how long to wait, or no. It must not
//! do the work itself.
//!
//! I/O: reads clocks; waits by parking the calling thread.

use super::clock;
use crate::discover::{Limiter, Pace};
use probelet_core::budget::{self, Budget, Nanocores};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Part of the window's budget that readers of the report may not touch: collection comes first.
const RESERVE: u64 = 10;
/// What a slice of a pass may cost before the next look at the budget, nanoseconds.
const SLICE_NS: u64 = 1_000_000;

/// The account, shared by the engine's thread and the server's.
#[derive(Debug)]
pub struct Governor {
    account: Mutex<Account>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Account {
    budget: Budget,
    reports: budget::Limiter,
}

impl Governor {
    /// An account with nothing used; what the process has used counts from [`Self::begin`] on, or
    /// whole at the first look without it.
    #[must_use]
    pub fn new(cores: Nanocores, window: Duration, reports_per_second: u32) -> Self {
        let account = Account {
            budget: Budget::new(cores, nanos(window)),
            reports: budget::Limiter::new(reports_per_second),
        };
        Self { account: Mutex::new(account), stop: AtomicBool::new(false) }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Every state of the account is a valid one, so a panic elsewhere does not spoil it.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New limits; what was used stays used.
    pub fn set(&self, cores: Nanocores, window: Duration, reports_per_second: u32) {
        let mut account = self.account();
        account.budget.set(cores, nanos(window));
        account.reports.set(reports_per_second);
    }

    /// Begins to count now: loading a source, 30 to 70 ms of CPU for the BPF ones, is paid once.
    pub fn begin(&self) {
        self.account().budget.begin(clock::boot_ns(), clock::process_cpu_ns());
    }

    /// Tells everybody who waits to stop waiting.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the end was called.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Looks at the CPU clock, and then at the account.
    pub fn charged<T>(&self, look: impl FnOnce(&Budget, u64) -> T) -> T {
        let now = clock::boot_ns();
        let mut account = self.account();
        account.budget.charge(now, clock::process_cpu_ns());
        look(&account.budget, now)
    }

    /// Asks for one request of a reader; `Some` is how long to wait before asking again.
    pub fn request(&self) -> Option<Duration> {
        let now = clock::boot_ns();
        (self.account().reports.take(now, 1) == 0).then_some(Duration::from_secs(1))
    }

    /// Asks for a reader's piece of work that may cost `cost_ns` of CPU time; `Some` is how long it
    /// will take until there is room. Collection comes first: a tenth of the window is its alone.
    pub fn room(&self, cost_ns: u64) -> Option<Duration> {
        self.charged(|budget, now| {
            let reserve = budget.window_budget_ns() / RESERVE;
            let wait = || Duration::from_nanos(budget.wait_ns(now, cost_ns.max(SLICE_NS)));
            (budget.headroom_ns() < cost_ns.saturating_add(reserve)).then(wait)
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The limiters of `spec.limits` that a pass meets.
#[derive(Debug)]
pub(super) struct Limiters {
    kinds: [(Limiter, budget::Limiter); 3],
}

impl Limiters {
    pub(super) const fn new(procfs_reads: u32, fds: u32, netns: u32) -> Self {
        Self {
            kinds: [
                (Limiter::ProcfsReads, budget::Limiter::new(procfs_reads)),
                (Limiter::Fds, budget::Limiter::new(fds)),
                (Limiter::Netns, budget::Limiter::new(netns)),
            ],
        }
    }

    pub(super) fn set(&mut self, procfs_reads: u32, fds: u32, netns: u32) {
        for ((_, limiter), rate) in self.kinds.iter_mut().zip([procfs_reads, fds, netns]) {
            limiter.set(rate);
        }
    }

    pub(super) fn waited(&self) -> [(Limiter, f64); 3] {
        self.kinds.map(|(kind, limiter)| (kind, limiter.refused_seconds()))
    }
}

/// Paces one pass: slices run back to back while the window has room, and wait when it has none.
pub(super) struct Paced<'a> {
    pub(super) governor: &'a Governor,
    pub(super) limiters: &'a mut Limiters,
    /// Whether something happened for which the pass is to be given up.
    pub(super) interrupted: &'a mut dyn FnMut() -> bool,
}

impl Pace for Paced<'_> {
    fn breathe(&mut self) -> bool {
        loop {
            if self.governor.stopped() || (self.interrupted)() {
                return false;
            }
            let wait = self.governor.charged(|budget, now| {
                (budget.headroom_ns() < SLICE_NS).then(|| budget.wait_ns(now, SLICE_NS))
            });
            match wait {
                None => return true,
                Some(wait) => thread::park_timeout(Duration::from_nanos(wait)),
            }
        }
    }

    fn take(&mut self, limiter: Limiter, n: u32) -> u32 {
        let now = clock::boot_ns();
        let mut kinds = self.limiters.kinds.iter_mut();
        kinds.find(|(kind, _)| *kind == limiter).map_or(n, |(_, bucket)| bucket.take(now, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_refused_before_collection_is() {
        let governor = Governor::new(8_000_000_000, Duration::from_mins(1), 100);

        let all = governor.charged(|budget, _| budget.headroom_ns());

        assert!(governor.room(all * 95 / 100).is_some());
        assert_eq!(governor.room(0), None);
    }

    #[test]
    fn more_requests_than_the_limit_are_told_to_come_back() {
        let governor = Governor::new(1_000_000_000, Duration::from_mins(1), 2);

        let answers: Vec<_> = (0..3).map(|_| governor.request().is_some()).collect();

        assert_eq!(answers, [false, false, true]);
    }

    #[test]
    fn a_pass_is_given_up_when_the_end_is_called() {
        let governor = Governor::new(1_000_000_000, Duration::from_mins(1), 2);
        let mut limiters = Limiters::new(1, 1, 1);
        governor.stop();

        let mut pace =
            Paced { governor: &governor, limiters: &mut limiters, interrupted: &mut || false };

        assert!(!pace.breathe());
    }
}
