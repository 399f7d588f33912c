//! What the engine hands to everything that shows something: the picture of the node and the
//! agent's own vital signs, as one immutable value.
//!
//! In: nothing. Out: plain data behind an `Arc`; the newest one wins, readers never lock. It must
//! not hold anything that a reader could change.
//!
//! I/O: none.

pub(crate) mod instance;

use crate::discover::Limiter;
use crate::rights::Rights;
pub use crate::sys::usage::CpuTime;
use probelet_core::budget::Level;
use probelet_core::facts::SourceKind;
use probelet_core::report::Picture;
use probelet_core::short_lived::Mode;
use std::sync::Arc;

/// A kind of task, as `probelet_agent_cpu_seconds_total{task}` distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Task {
    /// Reading the kernel.
    Discover,
    /// Joining, diffing, building the picture.
    Report,
    /// Applying events of the cluster, and naming by them.
    Match,
    /// Everything on the network: the report's and the metrics' readers, Docker, signals.
    Serve,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 4] = [Self::Discover, Self::Report, Self::Match, Self::Serve];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Report => "report",
            Self::Match => "match",
            Self::Serve => "serve",
        }
    }
}

/// Why a pass that was due did not run, or ran for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Skip {
    /// Nothing had changed: the gate saved a pass over all sockets.
    Unchanged,
    /// The budget did not allow it yet.
    Budget,
    /// `paused: true`.
    Paused,
    /// The source failed; the last picture stays.
    Failed,
    /// Given up half way for a new configuration, a pause or the end.
    Abandoned,
}

impl Skip {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::Unchanged, Self::Budget, Self::Paused, Self::Failed, Self::Abandoned];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Budget => "budget",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What came of asking connection tracking about a connection to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Asked {
    /// It reported the backend.
    Found,
    /// It knows no such connection: the Service is balanced elsewhere, or the entry is not there yet.
    Missing,
    /// It cannot be asked.
    Unavailable,
}

impl Asked {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Found, Self::Missing, Self::Unavailable];

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Upper bounds of the pass histograms, seconds: from a check of the gate to a node of 200,000 sockets.
pub const BUCKETS: [f64; 10] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];

/// A histogram with the bounds of [`BUCKETS`]; cumulative only when rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Counts by bucket, the last one for everything above.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Sum of the values.
    pub sum: f64,
}

impl Histogram {
    /// Counts one value.
    pub fn observe(&mut self, value: f64) {
        let bucket = BUCKETS.iter().position(|&bound| value <= bound).unwrap_or(BUCKETS.len());
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Effective intervals: what the passes really take from one to the next, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Intervals {
    /// Between scans of sockets (a check of the gate that says "unchanged" counts as one).
    pub sockets: f64,
    /// Between scans of processes.
    pub processes: f64,
    /// Between scans of container usage.
    pub containers: f64,
    /// Between full passes, which refresh traffic counters.
    pub bytes: f64,
}

/// The agent's own vital signs.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// The source in use.
    pub source_kind: SourceKind,
    /// Why each better source was refused: one message each.
    pub refused: Arc<[String]>,
    /// The best of them was refused as not permitted.
    pub denied: bool,
    /// What was given up.
    pub level: Level,
    /// Why, and what it would take: "needs 9m for 1 s freshness at 41,200 sockets"; empty at Full.
    pub level_reason: String,
    /// CPU used over the last window, cores.
    pub cpu_cores: f64,
    /// CPU allowed, cores.
    pub budget_cores: f64,
    /// The window, seconds.
    pub window_seconds: f64,
    /// CPU time since the start by task.
    pub cpu: [CpuTime; Task::ALL.len()],
    /// Resident memory of the agent, bytes.
    pub rss_bytes: u64,
    /// Desired intervals, seconds.
    pub desired: Intervals,
    /// Effective intervals, seconds.
    pub effective: Intervals,
    /// Age of the picture of sockets when the last pass ended, at worst: seconds since the pass
    /// before began.
    pub freshness_seconds: f64,
    /// Unix time of the last scan of sockets, or check of the counters that confirm the one before.
    pub verified_unix: f64,
    /// When things were last read: by it, age grows while nothing is.
    pub moments: Moments,
    /// Wall time of passes, seconds.
    pub pass_duration: Histogram,
    /// CPU time of passes, seconds.
    pub pass_cpu: Histogram,
    /// CPU time of the last full pass over sockets, joined and all, seconds.
    pub full_pass_cpu: f64,
    /// Connections to Services for which connection tracking was asked, by result.
    pub translations: [u64; Asked::ALL.len()],
    /// Why it cannot be asked; `None` while no one had to or it can.
    pub conntrack_error: Option<Arc<str>>,
    /// How short connections are counted.
    pub short_lived: ShortLived,
    /// Passes put off or left out, by reason.
    pub skipped: [u64; Skip::ALL.len()],
    /// Units that each limiter refused, as seconds of work put off.
    pub limiter_wait_seconds: [(Limiter, f64); 3],
    /// Accepted configuration changes since the start.
    pub config_generation: u64,
    /// Short hash of the configuration in force.
    pub config_hash: String,
    /// Where it comes from: `defaults`, a file or `NodeProbe`.
    pub config_origin: String,
    /// The `ProbeConfig` that won on this node; empty without one.
    pub config_name: String,
    /// Why the newest edit was refused, if it was.
    pub config_error: Option<String>,
    /// Unix time of the start of the agent.
    pub started_unix: f64,
    /// What the agent may still do, and what keeps it from more.
    pub rights: Arc<Rights>,
}

/// How connections that open and close between two passes are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShortLived {
    /// The way in use.
    pub mode: Mode,
    /// Why it is not the exact one where that was wished, or what is missing from that.
    pub reason: Option<Arc<str>>,
    /// What the exact one would take of the CPU, cores, the kernel's part included; `None` while it is in use or no one
    /// knows.
    pub needs_cores: Option<f64>,
    /// Messages about sockets that went.
    pub messages: u64,
    /// How often the kernel's buffer was full.
    pub overruns: u64,
    /// What sending them took of a kernel worker's CPU time since the start, seconds: an estimate.
    pub worker_seconds: f64,
}

impl Snapshot {
    /// Before the first pass: epoch 0, nothing known.
    #[must_use]
    pub fn empty(node: Arc<str>) -> Self {
        Self {
            node,
            boot_unix: 0.0,
            clock_steps: 0,
            picture: Picture::default(),
            vitals: Vitals::default(),
        }
    }
}

/// When each part of the node was last read: nanoseconds since boot, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    /// Sockets, or the counters that confirm them.
    pub sockets: u64,
    /// Processes.
    pub processes: u64,
    /// CPU and memory of containers.
    pub containers: u64,
    /// Everything, traffic counters as well.
    pub bytes: u64,
    /// When the snapshot was made.
    pub published: u64,
}

impl Vitals {
    /// How old the picture of sockets is at worst, at `now_ns` since boot, seconds: what it was when it was last
    /// refreshed, or the time since then if that is longer.
    #[must_use]
    pub(crate) fn freshness_at(&self, now_ns: u64) -> f64 {
        grown(self.freshness_seconds, self.moments.sockets, now_ns)
    }

    /// The effective intervals at `now_ns` since boot: what they were, or the time since the last scan if that is
    /// longer. A pause is no delay.
    #[must_use]
    pub(crate) fn effective_at(&self, now_ns: u64) -> Intervals {
        if self.level == Level::Paused {
            return self.effective;
        }
        let (was, last) = (self.effective, self.moments);
        Intervals {
            sockets: grown(was.sockets, last.sockets, now_ns),
            processes: grown(was.processes, last.processes, now_ns),
            containers: grown(was.containers, last.containers, now_ns),
            bytes: grown(was.bytes, last.bytes, now_ns),
        }
    }
}

impl Default for Vitals {
    /// Nothing known yet.
    fn default() -> Self {
        Self {
            source_kind: SourceKind::Procfs,
            refused: Arc::default(),
            denied: false,
            level: Level::Full,
            level_reason: String::new(),
            cpu_cores: 0.0,
            budget_cores: 0.0,
            window_seconds: 0.0,
            cpu: [CpuTime::default(); Task::ALL.len()],
            rss_bytes: 0,
            desired: Intervals::default(),
            effective: Intervals::default(),
            freshness_seconds: 0.0,
            verified_unix: 0.0,
            moments: Moments::default(),
            pass_duration: Histogram::default(),
            pass_cpu: Histogram::default(),
            full_pass_cpu: 0.0,
            translations: [0; Asked::ALL.len()],
            conntrack_error: None,
            short_lived: ShortLived::default(),
            skipped: [0; Skip::ALL.len()],
            limiter_wait_seconds: [
                (Limiter::ProcfsReads, 0.0),
                (Limiter::Fds, 0.0),
                (Limiter::Netns, 0.0),
            ],
            config_generation: 0,
            config_hash: String::new(),
            config_origin: String::new(),
            config_name: String::new(),
            config_error: None,
            started_unix: 0.0,
            rights: Arc::default(),
        }
    }
}

/// The picture and the vital signs of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Name of the node.
    pub node: Arc<str>,
    /// Unix time of boot, seconds: process start times count from there.
    pub boot_unix: f64,
    /// How often the wall clock was set since the start of the agent: each time all start times moved.
    pub clock_steps: u32,
    /// The node.
    pub picture: Picture,
    /// The agent.
    pub vitals: Vitals,
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn grown(seconds: f64, last_ns: u64, now_ns: u64) -> f64 {
    if last_ns == 0 { seconds } else { seconds.max(now_ns.saturating_sub(last_ns) as f64 / 1e9) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn vitals() -> Vitals {
        let second = Intervals { sockets: 1.0, processes: 1.0, containers: 10.0, bytes: 10.0 };
        let last = 100 * SECOND;
        let moments =
            Moments { sockets: last, processes: last, containers: 0, bytes: last, published: last };
        Vitals { freshness_seconds: 1.6, effective: second, moments, ..Vitals::default() }
    }

    #[test]
    fn the_age_of_the_picture_grows_while_nothing_is_read() {
        let vitals = vitals();

        assert!((vitals.freshness_at(101 * SECOND) - 1.6).abs() < 1e-9);
        assert!((vitals.freshness_at(230 * SECOND) - 130.0).abs() < 1e-9);
        let effective = vitals.effective_at(230 * SECOND);
        assert!((effective.sockets - 130.0).abs() < 1e-9 && (effective.bytes - 130.0).abs() < 1e-9);
        assert!((effective.containers - 10.0).abs() < 1e-9, "never read: nothing to be late");
    }

    #[test]
    fn a_pause_is_no_delay_and_the_picture_ages_all_the_same() {
        let vitals = Vitals { level: Level::Paused, ..vitals() };

        assert!((vitals.effective_at(230 * SECOND).sockets - 1.0).abs() < 1e-9);
        assert!((vitals.freshness_at(230 * SECOND) - 130.0).abs() < 1e-9);
    }
}
