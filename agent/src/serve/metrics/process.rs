//! The standard `process_*` metrics, of the agent itself.
//!
//! In: `/proc/self`. Out: families; what cannot be read is left out.
//!
//! I/O: two small files and one directory.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::family::Families;
use crate::engine::own_memory::OwnMemory;
use crate::open_files;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

pub(super) fn add(families: &mut Families, started_unix: f64) {
    let cpu = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    families.counter(
        "process_cpu_seconds_total",
        "CPU time of the process, user and system, in seconds.",
        [([], cpu.as_secs_f64())],
    );
    families.value(
        "process_start_time_seconds",
        "Start of the process, Unix time in seconds.",
        started_unix,
    );
    if let Some([size, resident]) = OwnMemory::open().read() {
        families.value(
            "process_virtual_memory_bytes",
            "Address space of the process, in bytes.",
            size as f64,
        );
        families.value(
            "process_resident_memory_bytes",
            "Memory of the process in RAM, in bytes.",
            resident as f64,
        );
    }
    if let Ok(fds) = fs::read_dir("/proc/self/fd") {
        families.value(
            "process_open_fds",
            "Open file descriptors of the process.",
            fds.count() as f64,
        );
    }
    if let Some(most) = open_files::most() {
        families.value(
            "process_max_fds",
            "File descriptors that the process may have open.",
            most as f64,
        );
    }
    if let Ok(threads) = fs::read_dir("/proc/self/task") {
        families.value("process_threads", "Threads of the process.", threads.count() as f64);
    }
}
