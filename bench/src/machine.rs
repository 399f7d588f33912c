//! What a figure was taken on: kernel, processor, cores, memory.
//!
//! In: /proc. Out: one line for the table. I/O: reads /proc.

use std::fs;

/// Kernel, processor, cores and memory, in one line.
#[must_use]
pub fn describe() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = value(&cpu, "model name").unwrap_or("unknown processor");
    let gib = value(&memory, "MemTotal")
        .and_then(|v| v.trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        >> 20;
    format!("Linux {}, {cores} cores of {model}, {gib} GiB", kernel.trim())
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_key() {
        assert_eq!(
            value("MemFree:  12 kB\nMemTotal:       24684096 kB\n", "MemTotal"),
            Some("24684096 kB")
        );
        assert_eq!(value("model name\t: AMD EPYC\n", "model name"), Some("AMD EPYC"));
    }
}
