//! The governor: the one account of CPU time that every part of the process draws on.
//!
//! In: the process's CPU clock, what serving and probes were measured to cost, and requests to spend. Out: how long to
//! wait, or no. It must not do the work itself.
//!
//! I/O: reads clocks; waits by parking the calling thread.

mod account;

use super::clock;
use account::Account;
use probelet_core::budget::{Budget, Nanocores};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A share that is used up rests for so long, and looks again after so long.
const REST: Duration = Duration::from_millis(200);
const LONG_REST: Duration = Duration::from_secs(1);
/// What a slice of a pass may cost before the next look at the budget, nanoseconds.
pub(super) const SLICE_NS: u64 = 1_000_000;

/// The account, shared by the engine's thread and the server's.
#[derive(Debug)]
pub struct Governor {
    account: Mutex<Account>,
    /// What serving was measured to cost so far, nanoseconds.
    served_ns: AtomicU64,
    /// What answering probes was measured to cost so far, nanoseconds.
    probed_ns: AtomicU64,
    /// What the kernel did on our behalf where no clock of ours runs, nanoseconds: an estimate.
    worker_ns: AtomicU64,
    stop: AtomicBool,
}

impl Governor {
    /// An account with nothing used. All that the process has used counts, its start too: loading a source takes 30 to
    /// 70 ms of CPU for the BPF ones, and the first window begins with that as a debt.
    #[must_use]
    pub fn new(cores: Nanocores, window: Duration, reports_per_second: u32) -> Self {
        Self {
            account: Mutex::new(Account::new(cores, nanos(window), reports_per_second)),
            served_ns: AtomicU64::new(0),
            probed_ns: AtomicU64::new(0),
            worker_ns: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Every state of the account is a valid one, so a panic elsewhere does not spoil it.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account as of now, and now.
    fn charge(&self) -> (u64, MutexGuard<'_, Account>) {
        let (now, cpu) = (clock::boot_ns(), clock::process_cpu_ns());
        let cpu = cpu.saturating_add(self.worker_ns.load(Ordering::Relaxed));
        let (served, probed) =
            (self.served_ns.load(Ordering::Relaxed), self.probed_ns.load(Ordering::Relaxed));
        let mut account = self.account();
        account.charge(now, cpu, served, probed);
        (now, account)
    }

    /// New limits; what was used stays used.
    pub fn set(&self, cores: Nanocores, window: Duration, reports_per_second: u32) {
        self.account().set(cores, nanos(window), reports_per_second);
    }

    /// Begins to count now: for tests, which share their process with others.
    pub fn begin(&self) {
        self.account().budget.begin(clock::boot_ns(), clock::process_cpu_ns());
    }

    /// The kernel took so much CPU time for us in a worker of its own.
    pub fn worker(&self, ns: u64) {
        self.worker_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Has every thread that waits stop waiting.
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
        let (now, account) = self.charge();
        look(&account.budget, now)
    }

    /// Looks at the account as of the last charge: for what a moment more or less says nothing new.
    pub fn looked<T>(&self, look: impl FnOnce(&Budget) -> T) -> T {
        look(&self.account().budget)
    }

    /// Asks for one request of a reader; `Some` is how long to wait before asking again.
    pub fn request(&self) -> Option<Duration> {
        let now = clock::boot_ns();
        (self.account().reports.take(now, 1) == 0).then_some(Duration::from_secs(1))
    }

    /// Asks whether a reader's piece of work fits that may cost `cost_ns` of CPU time; `Some` is how long it will take
    /// until it does. What it costs in the end is reported by [`Self::served`].
    pub(crate) fn admit_report(&self, cost_ns: u64) -> Option<Duration> {
        let (now, account) = self.charge();
        // What costs more than can ever be saved up is given when half of it is there: someone always asks for metrics.
        let cost = cost_ns.min(account.readers.window_budget_ns() / 2);
        let lacks = account.readers_room_ns() < cost;
        lacks.then(|| {
            let share = account.readers.wait_ns(now, cost);
            let all = account.budget.wait_ns(now, cost.min(SLICE_NS));
            Duration::from_nanos(share.max(all))
        })
    }

    /// The same for a piece of work that something else can stand for: it has to leave a quarter of what can be saved up at once.
    pub(crate) fn admit_newer(&self, cost_ns: u64) -> Option<Duration> {
        let whole = self.account().readers.window_budget_ns() / 2;
        self.admit_report(cost_ns.min(whole * 3 / 4).saturating_add(whole / 4))
    }

    /// Serving took so much CPU time. `Some` says that its share is used up, and for how long it has to stop.
    pub fn served(&self, cpu: Duration) -> Option<Duration> {
        self.served_ns.fetch_add(nanos(cpu), Ordering::Relaxed);
        let (now, account) = self.charge();
        (account.readers_room_ns() == 0).then(|| rest(&account, now))
    }

    /// Whether a new client may be accepted, or one that uses much go on; `Some` is how long to wait before asking
    /// again.
    pub fn accept(&self) -> Option<Duration> {
        let (now, account) = self.charge();
        (account.readers_room_ns() <= account.accept_ns()).then(|| rest(&account, now))
    }

    /// Answering probes took so much CPU time. `Some` says that their share is used up, and for how long.
    pub(crate) fn probed(&self, cpu: Duration) -> Option<Duration> {
        self.probed_ns.fetch_add(nanos(cpu), Ordering::Relaxed);
        let (now, account) = self.charge();
        (account.probes.headroom_ns() == 0).then(|| pause(&account.probes, now))
    }

    /// Asks for the CPU time that the last events of the cluster took; `Some` is how long to wait before
    /// asking again, and before reading the next one.
    pub(crate) fn admit_events(&self, cost_ns: u64) -> Option<Duration> {
        let (now, mut account) = self.charge();
        if account.budget.headroom_ns() < SLICE_NS {
            return Some(Duration::from_nanos(account.budget.wait_ns(now, SLICE_NS)));
        }
        let Account { budget, feed, .. } = &mut *account;
        feed.spend(budget, now, cost_ns)
    }
}

/// How long readers rest before there is something worth waking up for. If it is the whole budget that has nothing, that may
/// change at any time.
fn rest(account: &Account, now: u64) -> Duration {
    let (share, pace) = (&account.readers, &account.pace);
    let wait = match share.headroom_ns() {
        0 => share.wait_ns(now, SLICE_NS),
        _ => pace.wait_ns(share, now, SLICE_NS),
    };
    if account.budget.left_ns() == 0 { LONG_REST } else { bounded(wait) }
}

/// How long a share that is used up rests.
fn pause(share: &Budget, now: u64) -> Duration {
    bounded(share.wait_ns(now, SLICE_NS))
}

fn bounded(wait_ns: u64) -> Duration {
    Duration::from_nanos(wait_ns).clamp(REST, LONG_REST)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: u64 = 1_000_000_000;
    const MINUTE: Duration = Duration::from_mins(1);

    /// Of this process only what follows.
    fn governor(cores: u64) -> Governor {
        let governor = Governor::new(cores, MINUTE, 100);
        governor.begin();
        governor
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_greedy_reader_gets_half_of_a_quarter_of_the_budget_at_once() {
        let governor = governor(8 * CORE);
        assert_eq!(governor.admit_report(50 * CORE), None);

        assert_eq!(governor.served(seconds(59)), None);

        assert!(governor.served(seconds(2)).is_some(), "half of 120 s is used");
        let wait = governor.admit_report(30 * CORE).expect("nothing is left");
        assert!(wait > seconds(25), "{wait:?}");
    }

    #[test]
    fn a_report_more_expensive_than_the_share_is_given_while_half_of_it_is_left() {
        let governor = governor(8 * CORE);

        assert_eq!(governor.admit_report(u64::MAX), None);
        governor.served(seconds(61));
        assert!(governor.admit_report(u64::MAX).is_some());
    }

    #[test]
    fn what_could_be_left_undone_leaves_something_for_those_who_come_next() {
        let governor = governor(8 * CORE);

        assert_eq!(governor.admit_newer(30 * CORE), None);
        governor.served(seconds(20));

        assert!(governor.admit_newer(30 * CORE).is_some(), "40 of 60 s are left, and 15 are to be");
        assert_eq!(governor.admit_report(30 * CORE), None);
        assert_eq!(governor.admit_newer(20 * CORE), None);
    }

    #[test]
    fn of_what_readers_have_for_certain_collection_gets_nothing_used_or_not() {
        let governor = governor(8 * CORE);
        let collection = |g: &Governor| g.charged(|budget, _| budget.headroom_ns()) / CORE;
        assert_eq!(collection(&governor), 480 - 30 - 15 - 1, "less what the test took");

        governor.served(seconds(30));

        // The clock of the process did not move with it, so the whole difference is what is no longer kept.
        assert_eq!(collection(&governor), 480 - 15 - 1);
    }

    #[test]
    fn no_one_new_is_let_in_before_those_inside_have_to_stop() {
        let governor = governor(8 * CORE);
        assert_eq!(governor.accept(), None);

        assert_eq!(governor.served(seconds(58)), None);

        assert!(governor.accept().is_some());
        assert_eq!(governor.served(Duration::ZERO), None);
    }

    #[test]
    fn readers_and_probes_have_their_least_when_collection_used_all_the_rest() {
        let governor = governor(100_000);
        let began = clock::thread_cpu_ns();
        while clock::thread_cpu_ns() - began < 7_000_000 {}

        assert_eq!(governor.charged(|budget, _| budget.left_ns()), 0);
        assert_eq!(governor.served(Duration::ZERO), None);
        assert!(governor.served(Duration::from_micros(400)).is_some(), "a sixteenth of 6 ms");
        assert_eq!(governor.probed(Duration::ZERO), None);
        assert!(governor.probed(Duration::from_micros(200)).is_some());
    }

    #[test]
    fn news_and_readers_do_not_eat_each_others_share() {
        let governor = governor(8 * CORE);
        let quarter = 2 * 60 * CORE;

        assert_eq!(governor.admit_events(quarter), None);
        assert!(governor.admit_events(quarter / 2).is_some());
        assert_eq!(governor.admit_report(quarter), None);
    }

    #[test]
    fn what_a_worker_of_the_kernel_does_for_us_is_used_up_as_well() {
        let governor = governor(CORE);
        let left = || governor.charged(|budget, _| budget.left_ns()) / CORE;
        assert_eq!(left(), 59, "less what the test took");

        governor.worker(30 * CORE);

        assert_eq!(left(), 29);
    }

    #[test]
    fn more_requests_than_the_limit_are_asked_to_come_back() {
        let governor = Governor::new(1_000_000_000, Duration::from_mins(1), 2);

        let answers: Vec<_> = (0..3).map(|_| governor.request().is_some()).collect();

        assert_eq!(answers, [false, false, true]);
    }
}
