//! What the engine hands to everything that shows something: the picture of the node and the
//! agent's own vital signs, as one immutable value.
//!
//! In: nothing. Out: plain data behind an `Arc`; the newest one wins, readers never lock. It must
//! not hold anything that a reader could change.
//!
//! I/O: none.

use crate::discover::Limiter;
use probelet_core::budget::Level;
use probelet_core::facts::Tier;
use probelet_core::report::Picture;
use std::sync::Arc;

/// A kind of task, as `probelet_agent_cpu_seconds_total{task}` tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Task {
    /// Reading the kernel.
    Discover,
    /// Joining, diffing, building the picture.
    Report,
    /// Taking in news of the cluster, and giving names by it.
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

/// CPU time split into the kernel's two kinds, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

/// Why a pass that was due did not run, or ran for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Skip {
    /// Nothing had changed: the gate saved a pass over all sockets.
    Unchanged,
    /// The budget had no room yet.
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
    /// It told the backend.
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

/// Upper bounds of the pass histograms, seconds: from a gate look to a node of 200,000 sockets.
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
    /// Between looks at sockets (a look at the gate that says "unchanged" is one).
    pub sockets: f64,
    /// Between looks at processes.
    pub processes: f64,
    /// Between readings of container usage.
    pub containers: f64,
    /// Between full readings that refresh traffic counters.
    pub bytes: f64,
}

/// The agent's own vital signs.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// The source in use.
    pub tier: Tier,
    /// Why each better tier was refused: one sentence each.
    pub refused: Arc<[String]>,
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
    /// Unix time of the last look that vouches for the picture of sockets.
    pub verified_unix: f64,
    /// Wall time of passes, seconds.
    pub pass_duration: Histogram,
    /// CPU time of passes, seconds.
    pub pass_cpu: Histogram,
    /// CPU time of the last full pass over sockets, joined and all, seconds.
    pub full_pass_cpu: f64,
    /// Connections to Services for which connection tracking was asked, by result.
    pub translations: [u64; Asked::ALL.len()],
    /// Why it cannot be asked; `None` while nobody had to or it can.
    pub conntrack_error: Option<Arc<str>>,
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
            vitals: Vitals::unknown(),
        }
    }
}

impl Vitals {
    fn unknown() -> Self {
        Self {
            tier: Tier::Procfs,
            refused: Arc::default(),
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
            pass_duration: Histogram::default(),
            pass_cpu: Histogram::default(),
            full_pass_cpu: 0.0,
            translations: [0; Asked::ALL.len()],
            conntrack_error: None,
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
