//! The engine: decides when the node is read, and turns what was read into the next snapshot.
//!
//! In: a source, the configuration in force. Out: snapshots through a watch channel, newest wins.
//! It must not serve anybody, name anything or wait on the network.
//!
//! I/O: only through its source, the container resolver and the clocks; it runs on a thread of its
//! own, which sleeps when nothing is due or the budget has no room.

mod ends;
mod governor;
mod matching;
mod outlet;
pub(crate) mod own_memory;
mod pace;
mod patience;
mod rest;
mod rights;
mod tasks;
mod tuning;
mod vitals;

use crate::clock::{self, seconds};
use crate::config::{Effective, Origin};
use crate::discover::ceilings::Ceilings;
use crate::discover::containers::{Containers, hierarchies::Hierarchies, usage::Usage};
use crate::discover::{self, Pass, Source, choose::Chosen};
use crate::rights::Plan;
use crate::snapshot::{Skip, Snapshot};
pub use ends::Open as OpenEnds;
pub use governor::Governor;
use matching::Matching;
use pace::{Limiters, Paced};
use patience::Patience;
use probelet_core::budget::{Ladder, Level};
use probelet_core::cluster::objects::Event;
use probelet_core::facts::{Facts, Loss, Losses, PortRange, SourceKind, Want};
use probelet_core::gate::Gate;
use probelet_core::report::Report;
use probelet_core::schedule::Schedule;
use rest::PUBLISH_NS;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};
use tuning::Tuning;
use vitals::Signs;

/// News of the cluster that is left for later is left for so long.
const BACKLOG_NS: u64 = 1_000_000;
/// The first reading need not wait for so much CPU time: there is nothing to show before it. It is in the account.
const FIRST_NS: u64 = 30_000_000;

/// Loads a source; a function so that tests can bring a source of their own.
pub type Load =
    Box<dyn Fn(Option<SourceKind>, discover::Limits) -> Result<Chosen, discover::Error> + Send>;

/// What the engine starts from.
pub struct Setup {
    /// Name of the node.
    pub node: Arc<str>,
    /// Pinned by the command line; wins over `spec.source`.
    pub source: Option<SourceKind>,
    /// The configuration in force, and its successors.
    pub config: watch::Receiver<Arc<Effective>>,
    /// The account of CPU time.
    pub governor: Arc<Governor>,
    /// Where snapshots go.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// How sources are loaded.
    pub load: Load,
    /// How the ends of connections are heard; none for who reads once.
    pub ends: Option<OpenEnds>,
    /// News of the cluster, if there is one.
    pub cluster: Option<mpsc::Receiver<Vec<Event>>>,
    /// What is to be given back once all is loaded and opened; `None` keeps all.
    pub rights: Option<Plan>,
}

/// Why the engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// It has to begin again as a new process: what is asked for takes rights that were given back.
    Restart(String),
}

/// The engine and everything it remembers from pass to pass.
pub struct Engine {
    setup: Setup,
    tuning: Tuning,
    source: Box<dyn Source>,
    containers: Containers,
    ceilings: Ceilings,
    usage: Usage,
    usage_ns: u64,
    facts: Facts,
    report: Report,
    gate: Gate,
    schedule: Schedule,
    ladder: Ladder,
    limiters: Limiters,
    matching: Matching,
    reported: ends::Reported,
    signs: Signs,
    published_ns: u64,
    boot: clock::Boot,
    patience: Patience,
    /// Readings of everything so far.
    everything: u32,
    giving: rights::Giving,
}

impl Engine {
    /// Loads a source, the best that the configuration and the kernel allow.
    pub fn new(mut setup: Setup) -> Result<Self, discover::Error> {
        let config = Arc::clone(&setup.config.borrow_and_update());
        let tuning = Tuning::new(&config, setup.source);
        let chosen = match (setup.load)(tuning.pin, tuning.source_limits) {
            // An agent that ends would never hear of the edit that takes it back.
            Err(error) if tuning.pin.is_some() && setup.source.is_none() && follows(&config) => {
                warn!(
                    error = probelet_runtime::chain(&error),
                    "the configured source cannot be loaded; the best one that can is used"
                );
                (setup.load)(None, tuning.source_limits)?
            }
            loaded => loaded?,
        };
        let giving = rights::Giving::after(chosen.refused.len());
        let source_kind = chosen.source.kind();
        info!(source = source_kind.name(), refused = chosen.refused.len(), "source loaded");
        let limiters = Limiters::new(tuning.procfs_reads, tuning.fds, tuning.netns);
        let mut report = Report::new(tuning.report_limits, PortRange::UNKNOWN);
        let matching = Matching::new(setup.cluster.take(), &config, &setup.node, &mut report);
        let reported = ends::Reported::new(setup.ends.as_ref(), tuning.short_lived);
        let looks = tuning::looks(source_kind, reported.kept());
        let schedule = Schedule::new(tuning.intervals, looks, tuning.phase_ns(&setup.node));
        let start_ns = setup.governor.charged(|budget, _| budget.used_ns());
        let signs = Signs::new(&config, &chosen, start_ns, rights::before(setup.rights.is_some()));
        // One look for both: in a pod it goes through the cgroups of the node.
        let hierarchies = Hierarchies::mounted(Path::new("/proc"))?;
        Ok(Self {
            tuning,
            source: chosen.source,
            containers: Containers::within(Path::new("/proc"), &hierarchies)?,
            ceilings: Ceilings::new(Path::new("/proc"))?,
            usage: Usage::with(hierarchies),
            usage_ns: 0,
            facts: Facts::default(),
            report,
            gate: Gate::default(),
            schedule,
            ladder: Ladder::default(),
            limiters,
            matching,
            reported,
            signs,
            published_ns: 0,
            boot: clock::Boot::default(),
            patience: Patience::default(),
            everything: 0,
            giving,
            setup,
        })
    }

    /// Which source is in use.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.source.kind()
    }

    /// Reads the node until the governor is asked to stop. Anyone who changes the configuration or
    /// calls the end unparks this thread.
    pub fn run(mut self) -> End {
        // What loading took of the program is not there beside the first reading, which takes the most.
        rest::give_back_code();
        rest::wake_with_others();
        while !self.setup.governor.stopped() {
            self.take_config();
            if let Some(why) = self.giving.restart.take() {
                return End::Restart(why);
            }
            let now = clock::boot_ns();
            self.judge(now);
            let more = self.take_events(now);
            match self.schedule.next(self.ladder.level()) {
                Some((due, want)) if due <= now => {
                    self.turn(want, now);
                    self.give_rights_back();
                }
                next => {
                    let due = next.map_or(u64::MAX, |(due, _)| due);
                    self.idle(if more { due.min(now + BACKLOG_NS) } else { due }, now);
                }
            }
        }
        debug!("engine stopped");
        End::Asked
    }

    /// One reading of everything, or two so far apart, without budget: for `once`.
    pub fn once(mut self, settle: Option<Duration>) -> Result<Arc<Snapshot>, discover::Error> {
        self.read_unpaced()?;
        if let Some(settle) = settle {
            thread::sleep(settle);
            self.read_unpaced()?;
        }
        self.await_names();
        self.publish(clock::boot_ns());
        Ok(Arc::clone(&self.setup.snapshots.borrow()))
    }

    fn read_unpaced(&mut self) -> Result<(), discover::Error> {
        let (began, cpu) = (clock::boot_ns(), clock::thread_cpu_ns());
        self.facts.losses = Losses::default();
        self.source.pass(Want::Everything, &mut self.facts, &mut discover::Unpaced)?;
        self.containers.resolve(&mut self.facts, || self.report.held_containers());
        self.look_up(Want::Everything);
        self.report.update(&self.facts, clock::now());
        self.usage_ns = 0;
        self.read_usage(began);
        self.signs.verified(began, clock::boot_ns(), clock::unix_ns());
        self.signs.spent(Want::Everything, clock::thread_cpu_ns() - cpu);
        Ok(())
    }

    /// Is there room for what is due? If so, do it; if not, note when there will be.
    fn turn(&mut self, want: Want, now: u64) {
        let cost = self.signs.cost_ns(want);
        let (headroom, window, pause) = self.setup.governor.charged(|budget, now| {
            (budget.headroom_ns(), budget.window_budget_ns(), budget.wait_ns(now, cost))
        });
        // A reading that costs more than half the window is cut into slices that wait for themselves.
        if headroom < cost.min(window / 2) {
            self.signs.skipped(Skip::Budget);
            self.schedule.hold(want, now + pause);
            return;
        }
        self.schedule.began(want, now);
        self.facts.losses = Losses::default();
        let cpu = clock::thread_cpu_ns();
        // Before the node: whatever is read alive after that is another socket.
        self.reported.read(&self.setup.governor);
        self.schedule.set_looks(self.looks());
        let outcome = self.read(want);
        match outcome {
            Ok(Pass::Complete) => {
                self.patience.well();
                // Each of these clocks is a system call, and most turns are looks that cost few.
                if want > Want::Counters {
                    let read_ns = clock::thread_cpu_ns() - cpu;
                    self.signs.read(read_ns, clock::boot_ns() - now);
                }
                let ended = self.take_in(want, now);
                self.signs.spent(want, ended - cpu);
                self.pay(want, now);
            }
            Ok(Pass::Abandoned) => {
                self.signs.skipped(Skip::Abandoned);
                self.start_over();
            }
            Err(error) => self.failed(&error, now),
        }
    }

    /// The next reading of each kind that was just made waits until the rate that can be kept up has
    /// earned its share. What was spent already is in that rate.
    fn pay(&mut self, want: Want, began: u64) {
        let shares = self.schedule.shares(self.signs.costs_ns(), self.signs.moved_permille());
        let waits = self
            .setup
            .governor
            .charged(|budget, now| shares.map(|share| budget.wait_ns(now, share)));
        self.schedule.pay(want, began, waits);
    }

    fn read(&mut self, want: Want) -> Result<Pass, discover::Error> {
        let (work, mut outlet) = self.split();
        let Setup { config, governor, .. } = outlet.setup();
        let free_until_ns =
            if outlet.is_first() { clock::thread_cpu_ns().saturating_add(FIRST_NS) } else { 0 };
        let mut interrupted = || config.has_changed().unwrap_or(false);
        let mut waits = |limiters: &Limiters, now| outlet.wait(limiters, now);
        let mut pace = Paced {
            governor,
            limiters: work.limiters,
            free_until_ns,
            interrupted: &mut interrupted,
            waits: &mut waits,
        };
        work.source.pass(want, work.facts, &mut pace)
    }

    /// Takes in what was read; the thread's CPU clock when that is done.
    fn take_in(&mut self, want: Want, began: u64) -> u64 {
        if want >= Want::Processes {
            self.containers.resolve(&mut self.facts, || self.report.held_containers());
        }
        self.look_up(want);
        self.reported.counted(&self.facts, &self.setup.governor);
        let moved = self.gate.moved(&self.facts.netns);
        if want >= Want::Sockets {
            self.reported.hand_over(&mut self.facts);
            self.gate.arm(&self.facts.netns);
            let left = |loss| self.facts.losses.get(loss) > 0;
            if left(Loss::OwnerPending) && left(Loss::RateLimited) {
                // A search for owners that a limit cut short goes on in the next interval.
                self.schedule.moved();
                self.signs.moved(true);
            }
        } else if moved {
            self.schedule.moved();
        } else {
            self.signs.skipped(Skip::Unchanged);
        }
        if want >= Want::Sockets || !moved {
            self.signs.verified(began, clock::boot_ns(), clock::unix_ns());
        }
        if want >= Want::Processes {
            self.signs.saw_processes(began);
        }
        if want >= Want::Everything {
            self.signs.saw_bytes(began);
            self.end_start();
        }
        let cpu = (want > Want::Counters).then(clock::thread_cpu_ns);
        let mut changed = self.report.update(&self.facts, clock::now());
        if want == Want::Processes && self.report.handed_over() {
            self.schedule.moved();
        }
        if self.report.suspects() || self.report.awaits_ends() {
            self.schedule.moved();
        }
        changed |= self.translate();
        if self.ladder.level() < Level::CountersOnly {
            changed |= self.read_usage(began);
        }
        if want < Want::Sockets {
            self.signs.moved(moved);
        }
        if changed || began.saturating_sub(self.published_ns) >= PUBLISH_NS {
            self.publish(began);
        }
        let ended = clock::thread_cpu_ns();
        self.signs.reported(cpu.map_or(0, |cpu| ended - cpu));
        ended
    }

    /// What no source reads: limits of open files, how full connection tracking is.
    fn look_up(&mut self, want: Want) {
        if want >= Want::Processes {
            self.ceilings.files(&mut self.facts.processes, clock::boot_ns());
        }
        if want >= Want::Everything {
            self.facts.conntrack = self.ceilings.tracked();
        }
    }

    /// At the second reading of everything the start is over: what only it needed of the program leaves memory, and later what only a
    /// reader needed.
    fn end_start(&mut self) {
        self.everything = self.everything.saturating_add(1);
        self.giving.full_report(clock::boot_ns());
        if rest::is_time_to_give_back(self.everything) {
            rest::give_back_code();
        }
    }

    fn read_usage(&mut self, now: u64) -> bool {
        if self.usage_ns != 0 && now.saturating_sub(self.usage_ns) < self.tuning.containers_ns {
            return false;
        }
        if self.facts.containers.is_empty() {
            self.signs.saw_no_container();
            return false;
        }
        self.signs.saw_containers(now);
        self.usage_ns = now;
        self.usage.running(self.facts.processes.iter().filter_map(|process| process.container));
        let usage = self.usage.read(&self.facts.containers);
        self.report.usage(usage.iter().map(|(id, used)| (*id, used.cpu_ns, used.memory_bytes)))
    }

    fn failed(&mut self, error: &discover::Error, now: u64) {
        let next = self.patience.failed();
        self.signs.skipped(Skip::Failed);
        self.schedule.hold_all(now + next.pause_ns);
        self.start_over();
        if next.first {
            warn!(
                error = probelet_runtime::chain(error),
                source = self.source.kind().name(),
                "pass failed"
            );
        }
        if next.look {
            self.load(self.tuning.pin, true);
        }
    }

    fn start_over(&mut self) {
        self.gate.disarm();
        self.schedule.restart();
    }

    fn load(&mut self, pin: Option<SourceKind>, failed: bool) {
        if self.keeps_source(pin, failed) {
            return;
        }
        match (self.setup.load)(pin, self.tuning.source_limits) {
            Ok(chosen) => {
                info!(source = chosen.source.kind().name(), "source loaded");
                self.signs.chose(&chosen);
                self.giving.refused = chosen.refused.len();
                self.source = chosen.source;
                self.start_over();
            }
            Err(error) => {
                warn!(
                    error = probelet_runtime::chain(&error),
                    "no other source; keeping the last one"
                );
            }
        }
    }

    fn take_config(&mut self) {
        if !self.setup.config.has_changed().unwrap_or(false) {
            return;
        }
        let config = Arc::clone(&self.setup.config.borrow_and_update());
        let tuning = Tuning::new(&config, self.setup.source);
        let spec = &config.spec;
        self.setup.governor.set(
            spec.budget.cpu.nanocores(),
            spec.budget.window.duration(),
            u32::try_from(spec.limits.report_requests_per_second).unwrap_or(1),
        );
        self.limiters.set(tuning.procfs_reads, tuning.fds, tuning.netns);
        self.report.set_limits(tuning.report_limits);
        self.matching.configure(&config, &mut self.report);
        let suits = tuning.pin.unwrap_or(SourceKind::ALL[0]) == self.source.kind();
        let reload = tuning.pin != self.tuning.pin && !suits;
        if tuning.source_limits != self.tuning.source_limits {
            self.source.set_limits(tuning.source_limits);
            // What was left out, or is to be, shows in a reading of everything.
            self.start_over();
        }
        self.reported.wishes(tuning.short_lived);
        self.tuning = tuning;
        if reload {
            self.load(self.tuning.pin, false);
        }
        self.schedule.set(self.tuning.intervals, self.looks());
        // What was promised under the old budget does not bind the new one.
        self.schedule.hold_all(0);
        self.signs.config(&config);
        self.published_ns = 0;
    }
}

/// Whether the configuration is the one that an earlier run saved, and another one may come from the API server.
const fn follows(config: &Effective) -> bool {
    matches!(config.origin, Origin::NodeProbe { .. })
}
