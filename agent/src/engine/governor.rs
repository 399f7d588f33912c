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

/// Readers of the report get a quarter of the budget at most: collection comes first, and a greedy
/// reader must not make the picture old that it asks for.
const READERS: u64 = 4;
/// What the cluster tells us gets another quarter at most: a storm of rollouts makes names late, not pictures.
const FEED: u64 = 4;
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
    readers: Share,
    feed: Share,
}

/// Says which share pays.
type PickShare = fn(&mut Account) -> (&Budget, &mut Share);

/// A part of the budget that one kind of work may use.
#[derive(Debug)]
struct Share {
    /// One of so many parts.
    parts: u64,
    /// What it has earned and not spent, nanoseconds of CPU, as of `at_ns`.
    earned_ns: u64,
    at_ns: u64,
}

impl Share {
    /// Full at the start: a reader that waited for the agent gets its first report, and the names of a whole cluster
    /// are read at once.
    const fn full(parts: u64) -> Self {
        Self { parts, earned_ns: u64::MAX, at_ns: 0 }
    }

    /// Takes `cost_ns` out of what was earned, or says how long it takes to earn it.
    fn spend(&mut self, budget: &Budget, now: u64, cost_ns: u64) -> Option<Duration> {
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

impl Governor {
    /// An account with nothing used; what the process has used counts from [`Self::begin`] on, or
    /// whole at the first look without it.
    #[must_use]
    pub fn new(cores: Nanocores, window: Duration, reports_per_second: u32) -> Self {
        let account = Account {
            budget: Budget::new(cores, nanos(window)),
            reports: budget::Limiter::new(reports_per_second),
            readers: Share::full(READERS),
            feed: Share::full(FEED),
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
    /// will take until there is room.
    pub fn room(&self, cost_ns: u64) -> Option<Duration> {
        self.spend(cost_ns, |account| (&account.budget, &mut account.readers))
    }

    /// Asks for the CPU time that the last piece of news about the cluster took; `Some` is how long to wait before
    /// asking again, and before reading the next one.
    pub fn news(&self, cost_ns: u64) -> Option<Duration> {
        self.spend(cost_ns, |account| (&account.budget, &mut account.feed))
    }

    fn spend(&self, cost_ns: u64, share: PickShare) -> Option<Duration> {
        let (now, cpu) = (clock::boot_ns(), clock::process_cpu_ns());
        let mut account = self.account();
        account.budget.charge(now, cpu);
        if account.budget.headroom_ns() < SLICE_NS {
            return Some(Duration::from_nanos(account.budget.wait_ns(now, SLICE_NS)));
        }
        let (budget, share) = share(&mut account);
        share.spend(budget, now, cost_ns)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What looking at one entry of `/proc/PID/fd` costs, nanoseconds: 3.5 to 5 µs were measured.
const FD_NS: u64 = 5000;

/// The limiters of `spec.limits` that a pass meets.
#[derive(Debug)]
pub(super) struct Limiters {
    kinds: [(Limiter, budget::Limiter); 3],
    /// File descriptors while a third of the window is used up. Walking them can be put off, the
    /// rest of a pass cannot: without this a first walk would use a whole window and leave the node
    /// unread for the next one.
    scarce: budget::Limiter,
}

impl Limiters {
    pub(super) const fn new(procfs_reads: u32, fds: u32, netns: u32) -> Self {
        Self {
            kinds: [
                (Limiter::ProcfsReads, budget::Limiter::new(procfs_reads)),
                (Limiter::Fds, budget::Limiter::new(fds)),
                (Limiter::Netns, budget::Limiter::new(netns)),
            ],
            scarce: budget::Limiter::new(1),
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
    /// Told the time before it waits; says after how many nanoseconds it wants to be told again.
    pub(super) waits: &'a mut dyn FnMut(&Limiters, u64) -> u64,
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
                Some(wait) => {
                    let most = (self.waits)(self.limiters, clock::boot_ns());
                    thread::park_timeout(Duration::from_nanos(wait.min(most)));
                }
            }
        }
    }

    fn take(&mut self, limiter: Limiter, n: u32) -> u32 {
        let now = clock::boot_ns();
        let n = if limiter == Limiter::Fds { self.affordable(now, n) } else { n };
        let mut kinds = self.limiters.kinds.iter_mut();
        kinds.find(|(kind, _)| *kind == limiter).map_or(n, |(_, bucket)| bucket.take(now, n))
    }
}

impl Paced<'_> {
    /// Of `n` file descriptors, how many may be looked at: all while two thirds of the window are
    /// left, else what half of the budget earns.
    fn affordable(&mut self, now: u64, n: u32) -> u32 {
        let (scarce, earned) = self.governor.charged(|budget, _| {
            (budget.headroom_ns() < budget.window_budget_ns() / 3 * 2, budget.cores() / 2 / FD_NS)
        });
        if !scarce {
            return n;
        }
        self.limiters.scarce.set(u32::try_from(earned).unwrap_or(u32::MAX).max(1));
        self.limiters.scarce.take(now, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_reader_gets_a_quarter_of_the_budget() {
        let governor = Governor::new(8_000_000_000, Duration::from_mins(1), 100);
        let quarter = 2 * 60 * 1_000_000_000;

        assert_eq!(governor.room(quarter), None);

        let wait = governor.room(quarter / 2).expect("nothing is left");
        assert!(wait > Duration::from_secs(25) && wait <= Duration::from_secs(30), "{wait:?}");
    }

    #[test]
    fn a_report_dearer_than_the_quarter_is_given_once_it_is_full() {
        let governor = Governor::new(8_000_000_000, Duration::from_mins(1), 100);

        assert_eq!(governor.room(u64::MAX), None);
        assert!(governor.room(u64::MAX).is_some());
    }

    #[test]
    fn news_and_readers_do_not_eat_each_others_share() {
        let governor = Governor::new(8_000_000_000, Duration::from_mins(1), 100);
        let quarter = 2 * 60 * 1_000_000_000;

        assert_eq!(governor.news(quarter), None);
        assert!(governor.news(quarter / 2).is_some());
        assert_eq!(governor.room(quarter), None);
    }

    #[test]
    fn more_requests_than_the_limit_are_told_to_come_back() {
        let governor = Governor::new(1_000_000_000, Duration::from_mins(1), 2);

        let answers: Vec<_> = (0..3).map(|_| governor.request().is_some()).collect();

        assert_eq!(answers, [false, false, true]);
    }

    /// Nobody has anything to say or to do meanwhile.
    fn paced<'a>(governor: &'a Governor, limiters: &'a mut Limiters) -> Paced<'a> {
        let interrupted = Box::leak(Box::new(|| false));
        let waits = Box::leak(Box::new(|_: &Limiters, _| u64::MAX));
        Paced { governor, limiters, interrupted, waits }
    }

    #[test]
    fn a_walk_over_files_leaves_two_thirds_of_the_window_to_the_rest() {
        let governor = Governor::new(1_000_000, Duration::from_mins(1), 2);
        governor.begin();
        let mut limiters = Limiters::new(1, 100_000, 1);
        let fds = |limiters: &mut Limiters| {
            let mut pace = paced(&governor, limiters);
            pace.take(Limiter::Fds, 1000)
        };
        assert_eq!(fds(&mut limiters), 1000);

        let began = clock::thread_cpu_ns();
        while clock::thread_cpu_ns() - began < 25_000_000 {}

        assert!(fds(&mut limiters) <= 100, "half a millicore earns 100 a second");
    }

    #[test]
    fn a_pass_is_given_up_when_the_end_is_called() {
        let governor = Governor::new(1_000_000_000, Duration::from_mins(1), 2);
        let mut limiters = Limiters::new(1, 1, 1);
        governor.stop();

        let mut pace = paced(&governor, &mut limiters);

        assert!(!pace.breathe());
    }
}
