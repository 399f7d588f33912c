//! `getrusage(2)`: CPU time of the calling thread and of the process, split into user and system.
//!
//! In: nothing. Out: seconds. It must not do anything else.
//!
//! I/O: one system call.
#![allow(unsafe_code, reason = "rustix has no getrusage; the call fills a plain struct of ours")]

use std::mem::MaybeUninit;

/// CPU time split into the kernel's two kinds, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

fn usage(who: libc::c_int) -> CpuTime {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a rusage of ours; all-zero is a valid one, so it may be read even
    // if the call fails.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    CpuTime { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// The calling thread.
#[must_use]
pub fn thread() -> CpuTime {
    usage(libc::RUSAGE_THREAD)
}

/// All threads of the process, ended ones included.
#[must_use]
pub fn process() -> CpuTime {
    usage(libc::RUSAGE_SELF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_used_no_more_than_its_process() {
        let thread = thread();
        let process = process();

        assert!(thread.user <= process.user + 0.01 && thread.system <= process.system + 0.01);
    }
}
