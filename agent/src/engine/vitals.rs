//! The agent's own vital signs: what its passes cost, how fresh its picture is, what it left out.
//!
//! In: what the engine did, as it does it. Out: [`Vitals`] for the snapshot. It must not decide
//! anything.
//!
//! I/O: reads the agent's own usage and memory from the kernel, once a snapshot.

use super::governor::Governor;
use super::matching::Matching;
use super::own_memory::OwnMemory;
use super::pace::Limiters;
use super::tasks::{Tasks, Time};
use super::tuning::Tuning;
use super::{clock, seconds};
use crate::config::Effective;
use crate::discover::choose::Chosen;
use crate::rights::Rights;
use crate::snapshot::{
    Asked, CpuTime, Histogram, Intervals, Moments, ShortLived, Skip, Task, Vitals,
};
use crate::sys::usage;
use probelet_core::budget::Level;
use probelet_core::facts::{SourceKind, Want};
use probelet_core::report::Picture;
use probelet_core::schedule::Schedule;
use std::sync::Arc;

/// Weight of the newest value in a moving mean.
const NEW: f64 = 0.25;

/// A moving mean that starts at its first value.
#[derive(Clone, Copy, Debug, Default)]
struct Mean(Option<f64>);

impl Mean {
    fn add(&mut self, value: f64) {
        self.0 = Some(self.0.map_or(value, |mean| mean + (value - mean) * NEW));
    }

    fn get(self) -> f64 {
        self.0.unwrap_or(0.0)
    }
}

/// How far apart events of one kind are.
#[derive(Clone, Copy, Debug, Default)]
struct Rhythm {
    last_ns: u64,
    interval: Mean,
}

impl Rhythm {
    fn beat(&mut self, now: u64) {
        if self.last_ns != 0 {
            self.interval.add(seconds(now.saturating_sub(self.last_ns)));
        }
        self.last_ns = now;
    }
}

#[derive(Debug)]
pub(super) struct Signs {
    memory: OwnMemory,
    source_kind: SourceKind,
    refused: Arc<[String]>,
    denied: bool,
    config: Arc<Effective>,
    started_unix: f64,
    rights: Arc<Rights>,
    /// When the first reading could begin.
    began_ns: u64,
    /// CPU time that the process had used by then, seconds.
    start_cpu: f64,
    /// CPU time of a whole turn by what it read, nanoseconds.
    costs: [Mean; 4],
    verified: Rhythm,
    processes: Rhythm,
    containers: Rhythm,
    bytes: Rhythm,
    verified_unix: f64,
    freshness: f64,
    /// Share of looks after which sockets had to be read.
    moved: Mean,
    pass_duration: Histogram,
    pass_cpu: Histogram,
    full_pass_cpu: f64,
    skipped: [u64; Skip::ALL.len()],
    report_cpu_ns: u64,
    match_cpu_ns: u64,
    /// The part of it that another thread spent.
    elsewhere_ns: u64,
    tasks: Tasks,
    translations: [u64; Asked::ALL.len()],
    conntrack_error: Option<Arc<str>>,
    turns: u64,
}

impl Signs {
    /// `start_ns` is what starting took of the CPU, nanoseconds.
    pub(super) fn new(
        config: &Arc<Effective>,
        chosen: &Chosen,
        start_ns: u64,
        rights: Rights,
    ) -> Self {
        Self {
            rights: Arc::new(rights),
            source_kind: chosen.source.kind(),
            refused: chosen.refused.as_slice().into(),
            denied: chosen.denied,
            config: Arc::clone(config),
            memory: OwnMemory::open(),
            started_unix: seconds(clock::unix_ns()),
            began_ns: clock::boot_ns(),
            start_cpu: seconds(start_ns),
            costs: [Mean::default(); 4],
            verified: Rhythm::default(),
            processes: Rhythm::default(),
            containers: Rhythm::default(),
            bytes: Rhythm::default(),
            verified_unix: 0.0,
            freshness: 0.0,
            moved: Mean::default(),
            pass_duration: Histogram::default(),
            pass_cpu: Histogram::default(),
            full_pass_cpu: 0.0,
            skipped: [0; Skip::ALL.len()],
            report_cpu_ns: 0,
            match_cpu_ns: 0,
            elsewhere_ns: 0,
            tasks: Tasks::default(),
            translations: [0; Asked::ALL.len()],
            conntrack_error: None,
            turns: 0,
        }
    }

    pub(super) fn chose(&mut self, chosen: &Chosen) {
        self.source_kind = chosen.source.kind();
        self.refused = chosen.refused.as_slice().into();
        self.denied = chosen.denied;
        self.costs = [Mean::default(); 4];
    }

    /// What is in force now.
    pub(super) fn rights(&mut self, rights: Arc<Rights>) {
        self.rights = rights;
    }

    pub(super) fn config(&mut self, config: &Arc<Effective>) {
        self.config = Arc::clone(config);
    }

    /// Whether nothing was read yet.
    pub(super) const fn is_first(&self) -> bool {
        self.turns == 0
    }

    pub(super) fn skipped(&mut self, skip: Skip) {
        self.skipped[skip as usize] += 1;
    }

    /// A pass of the source ended that was more than a look.
    pub(super) fn read(&mut self, cpu_ns: u64, wall_ns: u64) {
        self.pass_cpu.observe(seconds(cpu_ns));
        self.pass_duration.observe(seconds(wall_ns));
    }

    /// A turn ended: pass, join, report and all.
    #[expect(clippy::cast_precision_loss, reason = "a mean of nanoseconds")]
    pub(super) fn spent(&mut self, want: Want, cpu_ns: u64) {
        // The first reading finds everything new; no later one costs as much.
        if self.turns > 0 {
            self.costs[want as usize].add(cpu_ns as f64);
        }
        self.turns += 1;
        if want >= Want::Sockets {
            self.full_pass_cpu = seconds(cpu_ns);
        }
    }

    pub(super) fn reported(&mut self, cpu_ns: u64) {
        self.report_cpu_ns += cpu_ns;
    }

    pub(super) fn matched(&mut self, cpu_ns: u64) {
        self.match_cpu_ns += cpu_ns;
    }

    /// What connection tracking was asked, and why it cannot be.
    pub(super) fn translated(&mut self, matching: &Matching) {
        self.translations = matching.asked();
        self.conntrack_error = matching.error();
        self.elsewhere_ns = matching.elsewhere_ns();
    }

    /// What a turn is expected to cost, nanoseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of u64s")]
    pub(super) fn cost_ns(&self, want: Want) -> u64 {
        self.costs[want as usize].get() as u64
    }

    /// A look said that sockets have to be read, or that they need not be.
    pub(super) fn moved(&mut self, moved: bool) {
        self.moved.add(f64::from(u8::from(moved)));
    }

    /// Of a thousand looks, after how many sockets had to be read.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    pub(super) fn moved_permille(&self) -> u64 {
        (self.moved.get() * 1000.0) as u64
    }

    /// What turns are expected to cost by what they read, nanoseconds.
    pub(super) fn costs_ns(&self) -> [u64; 4] {
        Want::ALL.map(|want| self.cost_ns(want))
    }

    /// The picture of the sockets is good as of `began`.
    pub(super) fn verified(&mut self, began: u64, ended: u64, ended_unix: u64) {
        if self.verified.last_ns != 0 {
            self.freshness = seconds(ended.saturating_sub(self.verified.last_ns));
        }
        self.verified.beat(began);
        self.verified_unix = seconds(ended_unix);
    }

    pub(super) fn saw_processes(&mut self, now: u64) {
        self.processes.beat(now);
    }

    pub(super) fn saw_containers(&mut self, now: u64) {
        self.containers.beat(now);
    }

    /// There is nothing of that kind that could be read late.
    pub(super) fn saw_no_container(&mut self) {
        self.containers = Rhythm::default();
    }

    pub(super) fn saw_bytes(&mut self, now: u64) {
        self.bytes.beat(now);
    }

    /// After a pause, the time spent pausing is no delay.
    pub(super) fn resumed(&mut self, now: u64) {
        self.verified = Rhythm { last_ns: now, interval: Mean::default() };
    }

    /// Effective over desired interval of looks at the sockets.
    pub(super) fn stretch(&self, now: u64, desired_ns: u64) -> f64 {
        let since = if self.verified.last_ns == 0 { self.began_ns } else { self.verified.last_ns };
        // One late look is noise; one that is a whole interval late is news before it has ended.
        let waiting = seconds(now.saturating_sub(since)) / seconds(desired_ns);
        let mean = self.verified.interval.0.map_or(1.0, |mean| mean / seconds(desired_ns));
        if waiting > 2.0 { mean.max(waiting) } else { mean }
    }

    fn reason(
        &self,
        level: Level,
        tuning: &Tuning,
        schedule: &Schedule,
        picture: &Picture,
        serve_cores: f64,
        (budget, window): (f64, f64),
    ) -> String {
        if level == Level::Paused {
            return "paused by the configuration".to_owned();
        }
        if level == Level::Full {
            return String::new();
        }
        if self.turns == 0 {
            return "the first scan costs more than the budget allows so far".to_owned();
        }
        let (since, earned) = (seconds(clock::boot_ns() - self.began_ns), budget * window);
        if since < window && self.start_cpu > earned / 2.0 {
            let took = (self.start_cpu * 1000.0).ceil();
            return format!(
                "starting took {took:.0} ms of CPU, which count against the first {window:.0} s"
            );
        }
        let need = seconds(schedule.need(self.costs_ns(), self.moved_permille()));
        let need = ((need + serve_cores) * 1000.0).ceil().max(1.0);
        let sockets = picture.connections.len() + picture.listeners.len();
        let desired = tuning.config.spec.intervals.sockets;
        format!("needs {need:.0}m for {desired} freshness at {sockets} sockets")
    }

    pub(super) fn vitals(
        &mut self,
        governor: &Governor,
        tuning: &Tuning,
        schedule: &Schedule,
        level: Level,
        limiters: &Limiters,
        picture: &Picture,
    ) -> Vitals {
        let (used, budget, window) = governor
            .charged(|b, _| (seconds(b.used_cores()), seconds(b.cores()), seconds(b.window_ns())));
        let cpu = self.cpu();
        let uptime = (seconds(clock::unix_ns()) - self.started_unix).max(1.0);
        let serve = cpu[Task::Serve as usize];
        Vitals {
            source_kind: self.source_kind,
            refused: Arc::clone(&self.refused),
            denied: self.denied,
            level,
            level_reason: self.reason(
                level,
                tuning,
                schedule,
                picture,
                (serve.user + serve.system) / uptime,
                (budget, window),
            ),
            cpu_cores: used,
            budget_cores: budget,
            window_seconds: window,
            cpu,
            rss_bytes: self.memory.read().map_or(0, |[_, resident]| resident),
            desired: self.desired(),
            effective: Intervals {
                sockets: self.verified.interval.get(),
                processes: self.processes.interval.get(),
                containers: self.containers.interval.get(),
                bytes: self.bytes.interval.get(),
            },
            freshness_seconds: self.freshness,
            verified_unix: self.verified_unix,
            moments: Moments {
                sockets: self.verified.last_ns,
                processes: self.processes.last_ns,
                containers: self.containers.last_ns,
                bytes: self.bytes.last_ns,
                published: clock::boot_ns(),
            },
            pass_duration: self.pass_duration,
            pass_cpu: self.pass_cpu,
            full_pass_cpu: self.full_pass_cpu,
            translations: self.translations,
            conntrack_error: self.conntrack_error.clone(),
            short_lived: ShortLived::default(),
            skipped: self.skipped,
            limiter_wait_seconds: limiters.waited(),
            config_generation: self.config.generation,
            config_hash: self.config.hash.clone(),
            config_origin: self.config.origin.to_string(),
            config_name: self.config.origin.config().to_owned(),
            config_error: self.config.last_error.clone(),
            started_unix: self.started_unix,
            rights: Arc::clone(&self.rights),
        }
    }

    /// The intervals that the configuration asks for.
    fn desired(&self) -> Intervals {
        let desired = &self.config.spec.intervals;
        Intervals {
            sockets: desired.sockets.duration().as_secs_f64(),
            processes: desired.processes.duration().as_secs_f64(),
            containers: desired.containers.duration().as_secs_f64(),
            bytes: desired.bytes.duration().as_secs_f64(),
        }
    }

    /// CPU time by task: this thread's is split at the join, the rest of the process serves.
    fn cpu(&mut self) -> [CpuTime; Task::ALL.len()] {
        let (thread_ns, process_ns) = (clock::thread_cpu_ns(), clock::process_cpu_ns());
        let (thread, process) = (usage::thread(), usage::process());
        let pure = |ns| Time { ns, sampled: CpuTime { user: 1.0, system: 0.0 } };
        let (report, matched) = (self.report_cpu_ns, self.match_cpu_ns);
        let discover = CpuTime { user: thread.user - seconds(report + matched), ..thread };
        let serve =
            CpuTime { user: process.user - thread.user, system: process.system - thread.system };
        self.tasks.add([
            Time { ns: thread_ns.saturating_sub(report + matched), sampled: discover },
            pure(report),
            pure(matched + self.elsewhere_ns),
            Time { ns: process_ns.saturating_sub(thread_ns + self.elsewhere_ns), sampled: serve },
        ])
    }
}
