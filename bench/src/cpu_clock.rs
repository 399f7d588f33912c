//! The CPU clock of another process, in nanoseconds, threads that have ended included.
//!
//! In: a pid. Out: the CPU time it has used. It must not be read through `/proc/PID/stat`, whose tick of 10 ms is
//! larger than what a second of the agent costs. I/O: one system call.
#![allow(
    unsafe_code,
    reason = "clock_gettime of another process's clock has no safe wrapper: rustix names only fixed clocks"
)]

use std::{io, time::Duration};

/// CPU time (user and system) that process `pid` of this pid namespace has used so far.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    // CPUCLOCK_SCHED (2) of a whole process, as clock_getcpuclockid(3) composes it: ~pid << 3 | 2.
    let pid = libc::clockid_t::try_from(pid).map_err(io::Error::other)?;
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the whole call, and the kernel keeps no pointer to it.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(time.tv_sec).map_err(io::Error::other)?;
    let nanos = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_clock_advances_while_we_compute_and_counts_threads_that_ended() {
        let before = cpu_time(std::process::id()).unwrap();

        let sum = std::thread::spawn(|| (0..20_000_000u64).fold(0u64, |a, b| a.rotate_left(3) ^ b))
            .join()
            .unwrap();

        let used = cpu_time(std::process::id()).unwrap().saturating_sub(before);
        assert!(used > Duration::from_micros(100), "{used:?} for {sum}");
    }

    #[test]
    fn a_pid_that_does_not_exist_is_an_error() {
        assert!(cpu_time(u32::from(u16::MAX) * 1000).is_err());
    }
}
