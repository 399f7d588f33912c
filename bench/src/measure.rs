//! What a process costs: CPU in nanoseconds, memory, and how busy the machine was meanwhile.
//!
//! In: a pid and a span. Out: [`Usage`]. It must not be run while anything polls the agent.
//! I/O: reads the process's CPU clock and /proc; sleeps.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::cpu_clock::cpu_time;

/// CPU time used, at a moment since the series began; both in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds since the first sample.
    pub at: f64,
    /// CPU seconds used by the process so far.
    pub cpu: f64,
}

/// What a process used over a span.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// CPU time ÷ wall time, in percent of one core.
    pub cpu_percent: f64,
    /// The most expensive second.
    pub worst_second_percent: f64,
    /// Resident memory at the end, MiB.
    pub rss_mib: f64,
    /// The most it ever was, MiB.
    pub hwm_mib: f64,
    /// How busy the whole machine was, in percent of one core.
    pub busy_percent: f64,
}

/// Watches `pid` for `seconds`.
pub fn usage(pid: u32, seconds: u64) -> anyhow::Result<Usage> {
    let busy = Busy::now()?;
    let samples = series(pid, seconds)?;
    let busy_percent = busy.percent_since()?;
    let (rss_mib, hwm_mib) = memory(pid)?;
    Ok(Usage {
        cpu_percent: mean_percent(&samples),
        worst_second_percent: worst_percent(&samples, 1.0).unwrap_or(0.0),
        rss_mib,
        hwm_mib,
        busy_percent,
    })
}

/// One sample a second for `seconds`, and one at the start.
pub fn series(pid: u32, seconds: u64) -> anyhow::Result<Vec<Sample>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    for second in 0..=seconds {
        std::thread::sleep(Duration::from_secs(second).saturating_sub(start.elapsed()));
        let cpu =
            cpu_time(pid).with_context(|| format!("process {pid} ended while it was measured"))?;
        samples.push(Sample { at: start.elapsed().as_secs_f64(), cpu: cpu.as_secs_f64() });
    }
    Ok(samples)
}

/// Mean of a whole series in percent of one core.
#[must_use]
pub fn mean_percent(samples: &[Sample]) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0.0 };
    if last.at > first.at { 100.0 * (last.cpu - first.cpu) / (last.at - first.at) } else { 0.0 }
}

/// The most expensive window of `span` seconds, in percent of one core; `None` if the series is shorter.
#[must_use]
pub fn worst_percent(samples: &[Sample], span: f64) -> Option<f64> {
    // Samples come a few microseconds late: a window of 60 of them may be 59.9999 s.
    let reaches = |from: &Sample| samples.iter().find(|to| to.at - from.at >= span - 0.05).copied();
    samples
        .iter()
        .filter_map(|from| reaches(from).map(|to| 100.0 * (to.cpu - from.cpu) / (to.at - from.at)))
        .reduce(f64::max)
}

/// Resident memory now and at its peak, in MiB.
pub fn memory(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> anyhow::Result<f64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("no {name} in status"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// The machine's CPU time at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    idle: u64,
    all: u64,
}

impl Busy {
    /// Reads /proc/stat.
    pub fn now() -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat")?).context("first line of /proc/stat")
    }

    fn parse(text: &str) -> Option<Self> {
        let ticks: Vec<u64> = text
            .lines()
            .next()?
            .split_whitespace()
            .skip(1)
            .take(8)
            .map_while(|w| w.parse().ok())
            .collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { idle, all: ticks.iter().sum() })
    }

    /// How busy all cores were since, in percent of one core.
    pub fn percent_since(self) -> anyhow::Result<f64> {
        let now = Self::now()?;
        ensure!(now.all > self.all, "no tick has passed");
        let cores = std::thread::available_parallelism()?.get();
        let (all, idle) = (now.all - self.all, now.idle.saturating_sub(self.idle));
        #[expect(
            clippy::cast_precision_loss,
            reason = "ticks of a bench fit 52 bits, and so do cores"
        )]
        Ok(100.0 * cores as f64 * (all - idle.min(all)) as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(cpu: &[f64]) -> Vec<Sample> {
        cpu.iter().zip(0u32..).map(|(&cpu, at)| Sample { at: f64::from(at), cpu }).collect()
    }

    #[test]
    fn the_mean_is_cpu_over_wall_time() {
        assert!((mean_percent(&samples(&[5.0, 5.5, 6.0])) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn the_worst_window_slides() {
        let burst_in_the_middle = samples(&[0.0, 0.0, 0.1, 0.3, 0.3, 0.3]);

        assert!((worst_percent(&burst_in_the_middle, 2.0).unwrap() - 15.0).abs() < 1e-9);
    }

    #[test]
    fn a_series_shorter_than_the_window_has_no_worst() {
        assert_eq!(worst_percent(&samples(&[0.0, 1.0]), 60.0), None);
    }

    #[test]
    fn the_first_line_of_proc_stat_is_read() {
        let busy = Busy::parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n").unwrap();

        assert_eq!((busy.idle, busy.all), (850, 1000));
    }
}
