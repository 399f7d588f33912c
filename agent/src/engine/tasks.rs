//! CPU time by task, as counters that never go back.
//!
//! In: the exact time of each task so far, and which part of it the kernel says was in user space. Out: seconds in user
//! space and in the kernel. What the kernel says of user and system time is scaled from samples, so that a difference of
//! two such figures may shrink, and a reader of counters takes that for a restart and counts everything again. So only the
//! exact clock says how much, samples say how it is divided, and what was said once stays. Pure: values only.

use crate::snapshot::{CpuTime, Task};

/// What was said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tasks {
    seen_ns: [u64; Task::ALL.len()],
    spent: [CpuTime; Task::ALL.len()],
}

/// One task's time so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// By the exact clock.
    pub(super) ns: u64,
    /// The kernel's division of it, in whatever unit; may be off, and may be negative.
    pub(super) sampled: CpuTime,
}

impl Tasks {
    /// Takes in the times by task, in the order of [`Task::ALL`].
    pub(super) fn add(&mut self, times: [Time; Task::ALL.len()]) -> [CpuTime; Task::ALL.len()] {
        let all = self.seen_ns.iter_mut().zip(&mut self.spent).zip(times);
        for ((seen, spent), Time { ns, sampled }) in all {
            let more = super::seconds(ns.saturating_sub(*seen));
            let (user, system) = (sampled.user.max(0.0), sampled.system.max(0.0));
            let share = if user + system > 0.0 { user / (user + system) } else { 1.0 };
            spent.user += more * share;
            spent.system += more * (1.0 - share);
            *seen = ns.max(*seen);
        }
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ns: u64, user: f64, system: f64) -> [Time; Task::ALL.len()] {
        [Time { ns, sampled: CpuTime { user, system } }; Task::ALL.len()]
    }

    #[test]
    fn all_of_the_exact_time_is_divided_as_the_samples_say() {
        let mut tasks = Tasks::default();
        tasks.add(times(1_000_000_000, 1.0, 3.0));

        let [time, ..] = tasks.add(times(2_000_000_000, 1.0, 1.0));

        assert!((time.user - 0.75).abs() < 1e-9 && (time.system - 1.25).abs() < 1e-9, "{time:?}");
    }

    #[test]
    fn no_counter_goes_back_whatever_the_samples_do() {
        let mut tasks = Tasks::default();
        let mut before = [CpuTime::default(); Task::ALL.len()];
        for (ns, user, system) in
            [(900, 0.1, 0.2), (1000, 0.2, 0.1), (990, -0.1, 0.3), (2000, 0.0, 0.0)]
        {
            let after = tasks.add(times(ns, user, system));

            for (new, old) in after.iter().zip(before) {
                assert!(new.user >= old.user && new.system >= old.system, "{new:?} {old:?}");
            }
            before = after;
        }
        let all = before[0].user + before[0].system;
        assert!((all - 2e-6).abs() < 1e-12, "{all}");
    }
}
