//! The pace of a pass: slices, and the rate limits of `spec.limits`.
//!
//! In: what a source wants to do next. Out: how much of it, and when. It must not keep an account: the governor does.
//!
//! I/O: reads clocks; waits by parking the calling thread.

use super::clock;
use super::governor::{Governor, SLICE_NS};
use crate::discover::{Limiter, Pace};
use probelet_core::budget;
use std::thread;
use std::time::Duration;

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
    /// Until this thread's CPU clock shows this, nothing waits: the first reading is a part of starting.
    pub(super) free_until_ns: u64,
    /// Whether something happened for which the pass is to be given up.
    pub(super) interrupted: &'a mut dyn FnMut() -> bool,
    /// Gets the time before it waits; says after how many nanoseconds it wants to be called again.
    pub(super) waits: &'a mut dyn FnMut(&Limiters, u64) -> u64,
}

impl Pace for Paced<'_> {
    fn breathe(&mut self) -> bool {
        loop {
            if self.governor.stopped() || (self.interrupted)() {
                return false;
            }
            if self.free_until_ns > 0 && clock::thread_cpu_ns() < self.free_until_ns {
                return true;
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

    /// Of this process only what follows.
    fn governor(cores: u64) -> Governor {
        let governor = Governor::new(cores, Duration::from_mins(1), 2);
        governor.begin();
        governor
    }

    /// No one has anything to say or to do meanwhile.
    fn paced<'a>(governor: &'a Governor, limiters: &'a mut Limiters) -> Paced<'a> {
        let interrupted = Box::leak(Box::new(|| false));
        let waits = Box::leak(Box::new(|_: &Limiters, _| u64::MAX));
        Paced { governor, limiters, free_until_ns: 0, interrupted, waits }
    }

    #[test]
    fn a_walk_over_files_leaves_two_thirds_of_the_window_to_the_rest() {
        let governor = governor(1_000_000);
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
