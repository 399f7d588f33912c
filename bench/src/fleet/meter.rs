//! What a scene costs: CPU and memory of every process that takes part, and the requests that the API server served.
//!
//! In: the processes by name, two moments. Out: a [`Span`]. It must not be asked often: the API server's metrics are
//! megabytes. I/O: /proc, the CPU clocks of processes, one GET.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    cpu_clock::cpu_time,
    fleet::{connection::Api, requests::Requests},
    measure,
};

/// Name of the operator among the processes.
pub const OPERATOR: &str = "operator";
/// And of this one.
pub const FLEET: &str = "fleet";

/// Processes by name.
pub type Processes = BTreeMap<String, u32>;

/// A moment.
#[derive(Debug, Clone)]
pub struct Reading {
    at: Instant,
    /// Of each process: which one it is, and the seconds that it has used.
    cpu: BTreeMap<String, (u32, f64)>,
    requests: Requests,
}

/// What went on between two moments.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Its length.
    pub seconds: f64,
    /// By process, in percent of one core.
    pub cpu: BTreeMap<String, f64>,
    /// By process, at its end: MiB now and at the peak.
    pub memory: BTreeMap<String, (f64, f64)>,
    /// Requests served.
    pub requests: Requests,
}

impl Reading {
    /// Now.
    pub async fn take(api: &Api, processes: &Processes) -> anyhow::Result<Self> {
        let requests = Requests::parse(&api.text("/metrics").await?);
        let cpu = processes.iter().filter_map(|(name, &pid)| {
            Some((name.clone(), (pid, cpu_time(pid).ok()?.as_secs_f64())))
        });
        Ok(Self { at: Instant::now(), cpu: cpu.collect(), requests })
    }

    /// From then until now. Of a process that was started meanwhile everything counts, of one that ended nothing.
    pub async fn until_now(&self, api: &Api, processes: &Processes) -> anyhow::Result<Span> {
        let mut span = Span::default();
        for (name, &pid) in processes {
            if let Ok(now) = cpu_time(pid) {
                let before = self.cpu.get(name).filter(|(was, _)| *was == pid);
                let used = now.as_secs_f64() - before.map_or(0.0, |(_, seconds)| *seconds);
                span.cpu.insert(name.clone(), 100.0 * used / self.at.elapsed().as_secs_f64());
            }
            if let Ok(memory) = measure::memory(pid) {
                span.memory.insert(name.clone(), memory);
            }
        }
        span.seconds = self.at.elapsed().as_secs_f64();
        span.requests = Requests::parse(&api.text("/metrics").await?).since(&self.requests);
        Ok(span)
    }
}

impl Span {
    /// CPU of a process, percent of one core.
    #[must_use]
    pub fn cpu(&self, name: &str) -> Option<f64> {
        self.cpu.get(name).copied()
    }

    /// Memory of a process, MiB.
    #[must_use]
    pub fn rss(&self, name: &str) -> Option<f64> {
        self.memory.get(name).map(|(now, _)| *now)
    }

    /// A number of requests as a rate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    pub fn per_second(&self, requests: u64) -> f64 {
        if self.seconds > 0.0 { requests as f64 / self.seconds } else { 0.0 }
    }

    /// Everybody's CPU and memory, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let one = |(name, percent): (&String, &f64)| {
            let rss = self.rss(name).unwrap_or_default();
            format!("{name} {percent:.1} %, {rss:.0} MiB")
        };
        self.cpu.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}
