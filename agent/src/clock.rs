//! The clocks that the agent reads.
//!
//! In: nothing. Out: nanoseconds, or a report's milliseconds. It must not interpret them.
//!
//! I/O: reads clocks of the kernel (`clock_gettime(2)`), about 0.2 µs each.

use probelet_core::report::Now;
use rustix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Nanoseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds for people; nanoseconds of 2026 fit to 0.2 µs"
)]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Since boot, suspended time included: what processes' start times count in.
pub(crate) fn boot_ns() -> u64 {
    read(ClockId::Boottime)
}

/// Unix time. May step.
pub(crate) fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

/// CPU time of the whole process.
pub(crate) fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// The time of a pass, for the report.
pub(crate) fn now() -> Now {
    Now { unix_ms: unix_ns() / 1_000_000, mono_ms: boot_ns() / 1_000_000 }
}

/// A clock that is set differs from before by more than this; a sample of two clocks by microseconds.
const STEP_SECONDS: f64 = 1.0;

/// When the machine was started, as far as the wall clock shows. It does not move with each look, since
/// it is half of the identity of every process that is shown, but when the clock is set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Boot {
    /// Unix seconds; 0 before the first look.
    pub(crate) unix: f64,
    /// How often the clock was set since.
    pub(crate) steps: u32,
}

impl Boot {
    /// Takes in what the clocks say now; `true` when the wall clock was set since the last look.
    pub(crate) fn look(&mut self, unix_ns: u64, boot_ns: u64) -> bool {
        let unix = seconds(unix_ns.saturating_sub(boot_ns));
        let first = self.unix == 0.0;
        let step = !first && (unix - self.unix).abs() > STEP_SECONDS;
        if first || step {
            self.unix = unix;
            self.steps += u32::from(step);
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_start_of_the_machine_stays_where_it_is_until_the_clock_is_set() {
        let mut boot = Boot::default();
        assert!(!boot.look(1_700_000_100 * SECOND, 100 * SECOND));
        let first = boot.unix;

        // A look a microsecond off, as two clocks read one after the other are.
        assert!(!boot.look(1_700_000_200 * SECOND + 1000, 200 * SECOND));
        assert_eq!((boot.unix.to_bits(), boot.steps), (first.to_bits(), 0));

        assert!(boot.look(1_700_003_800 * SECOND, 200 * SECOND));
        assert_eq!(((boot.unix - first).to_string(), boot.steps), ("3600".to_owned(), 1));
        assert!(!boot.look(1_700_003_801 * SECOND, 201 * SECOND));
    }
}
