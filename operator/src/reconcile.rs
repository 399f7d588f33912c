//! Reconcile: the one task that owns the world.
//!
//! In: observations, whether this process leads, questions of scrapes. Out: writes, a few at a time, at a pace. Nothing is
//! written before nodes, `NodeProbes` and configurations have all been listed: a list that is not there yet must never
//! be taken for an empty one. It holds no rules of its own: these are in `world`, `plan`, `rollout` and `status`.
//!
//! I/O: reads the clock, spawns writes.

mod work;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use kube::Client;
use probelet_crds::CpuQuantity;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use crate::admin::Question;
use crate::clock::Clock;
use crate::events::Teller;
use crate::metrics::{Figures, Metrics};
use crate::pace::{Millis, Pace};
use crate::placement::Placement;
use crate::stages::apply::Writer;
use crate::stages::validate::judge;
use crate::watch::{Agents, Observation, is_forbidden, watch as follow};
use crate::world::{Kind, World};
use probelet_runtime::chain;
use work::{Done, Seeding};

/// The longest sleep, so that a mistake in a deadline heals itself.
const NAP: Millis = 60_000;

/// A watch that failed so long ago works: the next failure is another one.
const QUIET: Millis = 60_000;

/// What the task needs.
pub struct Parts {
    /// The API server.
    pub client: Client,
    /// Whether this process may write.
    pub leads: watch::Receiver<bool>,
    /// Whether to end.
    pub stop: watch::Receiver<bool>,
    /// Questions of scrapes.
    pub questions: mpsc::Receiver<Question>,
    /// Set once everything was listed.
    pub synced: watch::Sender<bool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What `default` is made from; it is not made without one.
    pub seed: Option<Seed>,
    /// The agents' `DaemonSet`, if it is known.
    pub agents: Option<Agents>,
    /// The most CPU that a configuration may give an agent.
    pub max_budget: Option<CpuQuantity>,
    /// Most writes a second.
    pub writes_per_second: u32,
    /// The name of this process in events.
    pub identity: String,
    /// The clock.
    pub clock: Clock,
}

/// Reads what `default` is made from; why not, if it cannot be used.
pub type Seed = Rc<dyn Fn() -> Result<Value, String>>;

/// The task's state.
pub(crate) struct Task {
    world: World,
    /// The most CPU that a configuration may give an agent.
    max_budget: Option<CpuQuantity>,
    writer: Writer,
    teller: Teller,
    pace: Pace,
    seeding: Seeding,
    /// Whether this process has begun to lead.
    begun: bool,
    jobs: JoinSet<Done>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Nodes, `NodeProbes`, configurations and the agents' `DaemonSet`: whether each was listed.
    listed: [bool; 4],
    /// When the watch of each failed last.
    failed: [Option<Millis>; 4],
    /// Whether the list of `DaemonSets` had the agents' one.
    placed: bool,
    leads: bool,
}

/// Works until asked to stop. Writes under way are broken off then.
pub async fn run(mut parts: Parts) {
    while !until_lost(&mut parts).await {}
}

/// Works until this process does not lead any more, or is asked to stop: whether it is. Writes under way are broken off, and
/// nothing that was known is kept: another leader may have changed all of it.
async fn until_lost(parts: &mut Parts) -> bool {
    let client = parts.client.clone();
    let now = parts.clock.millis();
    let mut task = Task {
        world: World::default(),
        max_budget: parts.max_budget,
        writer: Writer::new(&client),
        teller: Teller::new(client.clone(), parts.identity.clone(), now),
        pace: Pace::new(parts.writes_per_second, now),
        seeding: Seeding::new(parts.seed.clone()),
        begun: false,
        jobs: JoinSet::new(),
        metrics: Arc::clone(&parts.metrics),
        clock: parts.clock.clone(),
        listed: [false, false, false, parts.agents.is_none()],
        failed: [None; 4],
        placed: false,
        leads: false,
    };
    let Parts { leads, stop, questions, synced, .. } = parts;
    synced.send_replace(false);
    task.follow_election(*leads.borrow_and_update());
    let mut observations = std::pin::pin!(follow(&client, parts.agents.as_ref()));
    loop {
        let wake = task.wake();
        tokio::select! {
            _ = stop.wait_for(|&stop| stop) => return true,
            Some(batch) = observations.next() => task.take_in(batch, synced),
            Some(done) = task.jobs.join_next(), if !task.jobs.is_empty() => {
                if let Ok(done) = done {
                    task.finish(done);
                }
            }
            Some(question) = questions.recv() => {
                // A scrape that went away needs no answer.
                drop(question.send(Figures::of(&task.world)));
                continue;
            }
            changed = leads.changed() => {
                // The election ended: so does this process.
                if changed.is_err() {
                    return true;
                }
                if !task.follow_election(*leads.borrow_and_update()) {
                    return false;
                }
            }
            () = sleep_until(task.clock.instant(wake)) => {}
        }
        if task.may_write() {
            task.work();
        }
    }
}

impl Task {
    fn take_in(&mut self, batch: Vec<Observation>, synced: &watch::Sender<bool>) {
        let began = Instant::now();
        let now = self.clock.millis();
        for observation in batch {
            self.observe(observation, now);
        }
        if self.listed == [true; 4] && !*synced.borrow() {
            let (names, configs) = (self.world.names(), self.world.all_configs().count());
            info!(nodes = self.world.present(), names, configs, "everything is listed");
            synced.send_replace(true);
        }
        self.metrics.reconcile.observe(began.elapsed().as_secs_f64());
    }

    fn observe(&mut self, observation: Observation, now: Millis) {
        let world = &mut self.world;
        match observation {
            Observation::ListBegins(kind) => {
                world.list_begins(kind);
                self.placed &= kind != Kind::Agents;
            }
            Observation::ListEnds(kind) => {
                world.list_ends(kind, now);
                if kind == Kind::Agents && !self.placed {
                    world.placement(Placement::default(), now);
                }
                if kind == Kind::Probes {
                    world.broken = None;
                }
                self.listed[kind as usize] = true;
            }
            Observation::Placement(placement) => {
                self.placed = true;
                world.placement(placement, now);
            }
            Observation::Node(seen) => world.node(seen),
            Observation::NodeGone(name) => world.node_gone(&name, now),
            Observation::Probe(seen) => {
                world.broken = None;
                world.probe(*seen, now);
            }
            Observation::ProbeGone(name, uid) => world.probe_gone(&name, uid.as_deref(), now),
            Observation::Config(seen) => world.config(judge(*seen, self.max_budget), now),
            Observation::ConfigGone(name) => world.config_gone(&name),
            Observation::Failed(kind, error) => {
                self.metrics.watch_failed(kind);
                if kind == Kind::Probes {
                    world.broken = Some(now);
                }
                // A role from before this release: what can never run an agent is known without it.
                if kind == Kind::Agents && is_forbidden(&error) {
                    world.placement(Placement::default(), now);
                    self.listed[kind as usize] = true;
                }
                let error = chain(&*error);
                // Of an outage one line is enough.
                let last = self.failed[kind as usize].replace(now);
                if last.is_none_or(|last| now >= last + QUIET) {
                    warn!(?kind, error, "watch failed; restarting it");
                } else {
                    debug!(?kind, error, "a watch failed again");
                }
            }
        }
    }

    /// Whether to go on: a leader that is none any more does not.
    fn follow_election(&mut self, leads: bool) -> bool {
        let lost = self.leads && !leads;
        self.metrics.leader.set(leads.into());
        self.leads |= leads;
        !lost
    }

    fn may_write(&self) -> bool {
        self.leads && self.listed == [true; 4]
    }

    /// When something is to be done without anything happening.
    fn wake(&self) -> Millis {
        let now = self.clock.millis();
        if !self.may_write() {
            return now + NAP;
        }
        let room = self.jobs.len() < work::AT_ONCE;
        let write = self.world.next_at().filter(|_| room).map(|at| at.max(self.pace.next()));
        let times = [write, self.world.deadline(), Some(now + NAP)];
        times.into_iter().flatten().min().unwrap_or(now + NAP)
    }
}

const _: () = assert!(Kind::Nodes as usize == 0 && Kind::Agents as usize == 3);

#[cfg(test)]
mod tests;
