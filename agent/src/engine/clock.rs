//! The clocks that the engine goes by.
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

/// Since boot, suspended time included: what processes' start times count in.
pub(super) fn boot_ns() -> u64 {
    read(ClockId::Boottime)
}

/// Unix time. May step.
pub(super) fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

/// CPU time of the whole process.
pub(super) fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// The time of a pass, for the report.
pub(super) fn now() -> Now {
    Now { unix_ms: unix_ns() / 1_000_000, mono_ms: boot_ns() / 1_000_000 }
}
