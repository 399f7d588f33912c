//! Metrics: what the operator does and what it costs, as Prometheus text.
//!
//! In: counts from the task that owns the world, asked for at each scrape. Out: text. Labels are bounded: configurations
//! beyond the first 200 by name are added up as `_other`.
//!
//! I/O: reads two small files of `/proc/self`.

use std::fs;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use probelet_core::text::clean;
use probelet_crds::Phase;
use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec,
    IntGauge, Opts, Registry, TEXT_FORMAT, TextEncoder,
};

use crate::world::{ConfigId, Counts, Kind, World};

pub mod feed;
mod labels;

pub use labels::Write;
use labels::{OK, PODS, WATCHED, watched};

/// More configurations have no series of their own.
const CONFIGS: usize = 200;
/// Kernel ticks a second, as `/proc` has them on every machine that Linux runs on today.
const TICKS: f64 = 100.0;
const PAGE: f64 = 4096.0;
const STATES: [&str; 9] = [
    "applied",
    "pending",
    "failed",
    "over_budget",
    "silent",
    "refused",
    "absent",
    "unheard",
    "held",
];
/// Nodes in each of them.
type ByState = [u32; STATES.len()];
/// What stands for the configurations without series of their own; no object can have this name.
const OTHER: &str = "_other";

/// What a scrape gets about the world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Nodes by configuration and state, in the order of the names; the empty name is the built-in configuration.
    pub nodes: Vec<(String, ByState)>,
    /// Generation of each configuration as it was observed, in the order of the names; those that have series of their own.
    pub generations: Vec<(String, i64)>,
    /// Rollouts that are not complete, by phase.
    pub rollouts: [u32; 4],
    /// Configurations that are rejected.
    pub rejected: u32,
    /// Nodes that wait for a write.
    pub queue: usize,
}

impl Figures {
    /// Counts for a scrape.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let mut figures = Self { queue: world.queue.nodes(), ..Self::default() };
        let all = world.counts();
        let count = |of: Option<ConfigId>| all.get(&of).map_or([0; STATES.len()], states);
        if all.get(&None).is_some_and(|counts| counts.effective > 0) {
            figures.nodes.push((String::new(), count(None)));
        }
        let mut other: Option<ByState> = None;
        for (at, (id, config)) in world.all_configs().enumerate() {
            let counts = count(Some(id));
            if at < CONFIGS {
                let name = clean(&config.name).into_owned();
                figures.nodes.push((name.clone(), counts));
                figures.generations.push((name, config.generation));
            } else {
                let sum = other.get_or_insert_default();
                sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
            }
            figures.rejected += u32::from(config.rejected.is_some());
            if let Some(rollout) = &config.rollout {
                figures.rollouts[place(rollout.status().phase)] += 1;
            }
        }
        figures.nodes.extend(other.map(|counts| (OTHER.to_owned(), counts)));
        figures
    }
}

fn states(counts: &Counts) -> ByState {
    let &Counts { applied, pending, failed, over_budget, silent, refused, absent, .. } = counts;
    let &Counts { unheard, held, .. } = counts;
    [applied, pending, failed, over_budget, silent, refused, absent, unheard, held]
}

const PHASES: [&str; 4] = ["canary", "rolling", "complete", "rolled_back"];

const fn place(phase: Phase) -> usize {
    match phase {
        Phase::Canary => 0,
        Phase::Rolling => 1,
        Phase::Complete => 2,
        Phase::RolledBack => 3,
    }
}

const NODES_HELP: &str = "Nodes by the configuration in force and its state; over_budget, silent, unheard, \
    refused and held overlap with the others. held: pending, as a person has paused the rollout. absent: no agent is expected there, and no other state counts them.";

const GENERATION_HELP: &str = "metadata.generation of each ProbeConfig.";

const OTHER_HELP: &str =
    "1 while another installation of probelet operates this cluster; this one waits for it to end.";

/// Makes metrics and registers them.
struct Make(Registry);

impl Make {
    fn with<C: Collector + Clone + 'static>(&self, made: C) -> prometheus::Result<C> {
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.with(GaugeVec::new(Opts::new(ours(name), help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.with(IntGauge::new(ours(name), help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.with(IntCounterVec::new(Opts::new(ours(name), help), labels)?)
    }

    fn process(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.with(Gauge::new(name, help)?)
    }

    fn reconcile(&self) -> prometheus::Result<Histogram> {
        let help = "Time to process a batch of watch events, or to plan for it, in seconds.";
        let options = HistogramOpts::new(ours("reconcile_seconds"), help);
        self.with(Histogram::with_opts(options.buckets(vec![0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]))?)
    }

    fn write_seconds(&self) -> prometheus::Result<HistogramVec> {
        let help = "Duration of writes to the API server, in seconds.";
        let options = HistogramOpts::new(ours("api_write_seconds"), help);
        let options = options.buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        self.with(HistogramVec::new(options, &["kind"])?)
    }
}

fn ours(name: &str) -> String {
    format!("probelet_operator_{name}")
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    nodes: GaugeVec,
    generations: GaugeVec,
    rollouts: GaugeVec,
    rejected: IntGauge,
    queue: IntGauge,
    /// 1 on the replica that writes.
    pub leader: IntGauge,
    /// 1 while another installation holds the cluster's Lease.
    pub waits: IntGauge,
    /// 1 if the file of `--seed` cannot be used.
    pub seed_invalid: IntGauge,
    writes: IntCounterVec,
    watch_errors: IntCounterVec,
    /// Time to take in a batch of observations and plan for it.
    pub reconcile: Histogram,
    write_seconds: HistogramVec,
    cpu: Counter,
    rss: Gauge,
    /// Of the feed.
    pub feed: feed::Feed,
}

impl Metrics {
    /// All of them at zero, those with labels of a fixed set as well: Prometheus sees no increase in a series that begins
    /// with its first failure.
    ///
    /// # Errors
    /// A name is used twice, which only a mistake of this module can bring about.
    pub fn new() -> Result<Self, prometheus::Error> {
        let make = Make(Registry::new());
        let build =
            make.gauges("build_info", "Always 1; the version is in the label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let started = make
            .process("process_start_time_seconds", "Start of the process, Unix time in seconds.")?;
        started.set(Timestamp::now().as_duration().as_secs_f64());
        let cpu_help = "CPU time of the process, user and system, in seconds.";
        let seed_help = "1 if the seed of the default configuration is invalid.";
        let errors_help = "Watches that failed and were restarted.";
        let watch_errors = make.counters("watch_errors_total", errors_help, &["kind"])?;
        let metrics = Self {
            nodes: make.gauges("nodes", NODES_HELP, &["config", "state"])?,
            generations: make.gauges("config_generation", GENERATION_HELP, &["config"])?,
            rollouts: make.gauges(
                "rollouts",
                "Configurations by phase of their rollout.",
                &["phase"],
            )?,
            rejected: make.gauge("configs_rejected", "Configurations that are rejected.")?,
            queue: make
                .gauge("queue_length", "Nodes that wait for a write or are being written.")?,
            leader: make.gauge("leader", "1 on the replica that writes.")?,
            waits: make.gauge("other_installation", OTHER_HELP)?,
            seed_invalid: make.gauge("seed_invalid", seed_help)?,
            writes: make.counters(
                "api_writes_total",
                "Writes to the API server.",
                &["kind", "result"],
            )?,
            reconcile: make.reconcile()?,
            write_seconds: make.write_seconds()?,
            cpu: make.with(Counter::new("process_cpu_seconds_total", cpu_help)?)?,
            rss: make.process(
                "process_resident_memory_bytes",
                "Memory of the process in RAM, in bytes.",
            )?,
            feed: feed::Feed::new(&make, watch_errors.with_label_values(&[PODS]))?,
            watch_errors,
            registry: make.0,
        };
        for kind in WATCHED {
            drop(metrics.watch_errors.with_label_values(&[watched(kind)]));
        }
        for write in Write::ALL {
            drop(metrics.write_seconds.with_label_values(&[write.name()]));
            for result in write.results() {
                drop(metrics.writes.with_label_values(&[write.name(), result]));
            }
        }
        Ok(metrics)
    }

    /// The text of a scrape; `figures` is `None` if the world did not answer in time.
    #[must_use]
    pub fn render(&self, figures: Option<&Figures>) -> Vec<u8> {
        if let Some(figures) = figures {
            self.show(figures);
        }
        if let Some((cpu, rss)) = usage() {
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
            self.rss.set(rss);
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    fn show(&self, figures: &Figures) {
        self.nodes.reset();
        for (name, counts) in &figures.nodes {
            for (state, count) in STATES.iter().zip(counts) {
                self.nodes.with_label_values(&[name.as_str(), state]).set((*count).into());
            }
        }
        self.generations.reset();
        for (name, generation) in &figures.generations {
            #[expect(clippy::cast_precision_loss, reason = "there are no 2^52 edits")]
            self.generations.with_label_values(&[name.as_str()]).set(*generation as f64);
        }
        for (phase, count) in PHASES.iter().zip(figures.rollouts) {
            self.rollouts.with_label_values(&[*phase]).set(count.into());
        }
        self.rejected.set(figures.rejected.into());
        self.queue.set(i64::try_from(figures.queue).unwrap_or(i64::MAX));
    }

    /// Counts a watch that failed.
    pub(crate) fn watch_failed(&self, kind: Kind) {
        self.watch_errors.with_label_values(&[watched(kind)]).inc();
    }

    /// Counts a write that took so long and failed with [`crate::stages::apply::Error::result`], if it did.
    pub fn wrote(&self, write: Write, failed: Option<&str>, took: Duration) {
        self.writes.with_label_values(&[write.name(), failed.unwrap_or(OK)]).inc();
        self.write_seconds.with_label_values(&[write.name()]).observe(took.as_secs_f64());
    }
}

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

/// CPU seconds and resident bytes.
fn usage() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(((number(11)? + number(12)?) / TICKS, number(21)? * PAGE))
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::apply::Error;

    #[test]
    fn a_scrape_shows_what_the_world_says_and_nothing_of_the_one_before() {
        let metrics = Metrics::new().unwrap();
        let old = Figures { nodes: vec![("gone".into(), [1; 9])], ..Figures::default() };
        let new = Figures {
            nodes: vec![
                (String::new(), [9, 0, 0, 0, 0, 0, 0, 0, 0]),
                ("default".into(), [3, 2, 0, 0, 0, 1, 0, 0, 2]),
            ],
            generations: vec![("default".into(), 7)],
            queue: 4,
            ..Figures::default()
        };
        drop(metrics.render(Some(&old)));

        let text = String::from_utf8(metrics.render(Some(&new))).unwrap();

        assert!(text.contains("probelet_operator_nodes{config=\"default\",state=\"pending\"} 2"));
        assert!(text.contains("probelet_operator_nodes{config=\"default\",state=\"held\"} 2"));
        assert!(text.contains("probelet_operator_config_generation{config=\"default\"} 7"));
        assert!(text.contains("probelet_operator_queue_length 4"));
        assert!(!text.contains("gone"), "{text}");
    }

    #[test]
    fn what_can_fail_is_in_a_scrape_before_it_did() {
        let metrics = Metrics::new().unwrap();

        let text = String::from_utf8(metrics.render(None)).unwrap();

        for line in [
            "probelet_operator_watch_errors_total{kind=\"probeconfigs\"} 0",
            "probelet_operator_api_writes_total{kind=\"nodeprobe\",result=\"refused\"} 0",
            "probelet_operator_api_write_seconds_count{kind=\"event\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn a_write_is_counted_in_a_series_that_was_there() {
        let metrics = Metrics::new().unwrap();
        let series = || String::from_utf8(metrics.render(None)).unwrap().lines().count();
        let before = series();
        let errors = [
            Error::Busy(Duration::ZERO),
            Error::Refused(String::new()),
            Error::Other(String::new()),
        ];

        for write in Write::ALL {
            metrics.wrote(write, None, Duration::ZERO);
        }
        for error in errors {
            metrics.wrote(Write::Status, Some(error.result()), Duration::ZERO);
        }

        assert_eq!(series(), before);
    }

    #[test]
    fn the_process_knows_what_it_costs() {
        let (cpu, rss) = usage().unwrap();

        assert!((0.0..3600.0).contains(&cpu), "{cpu}");
        assert!(rss > 1e6, "{rss}");
    }
}
