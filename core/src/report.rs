//! The report: the full picture of one node, kept from pass to pass, and what changed in it.
//!
//! In: the facts of one pass and the time. Out: tables of records in which every record knows the
//! epoch of its last change, and a [`Picture`] of them that costs no copy. It must not read the
//! kernel, render anything or decide when to run.
//!
//! Pure: no I/O, no clock; time is an argument.

mod connections;
mod containers;
mod ends_lost;
mod flows;
mod hands;
mod health;
mod held;
mod levels;
mod listeners;
mod naming;
mod picture;
mod processes;
mod removed;
mod risks;

use crate::cluster::Cluster;
use crate::coverage::Coverage;
use crate::facts::{Container, ContainerId, Endpoint, Facts, Loss, Losses, Protocol, Want};
use crate::hash::HashSet;
use crate::join::{self, Listeners, PortRange};
use crate::records::Risk;
use crate::table::{Epoch, Slot};
pub use picture::{InCluster, Picture};
pub use removed::{Removals, Removed};
use std::cell::Cell;
use std::sync::Arc;

/// `/proc/PID/stat` rounds start times down to clock ticks of 10 ms.
const START_ROUNDING_MS: u64 = 10;

/// The time of a pass by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Unix time, milliseconds: shown to people, may step.
    pub unix_ms: u64,
    /// Milliseconds since boot (`CLOCK_BOOTTIME`, as process start times): what expires goes by it.
    pub mono_ms: u64,
}

/// How much the report may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, and likewise listeners.
    pub sockets: usize,
    /// Processes.
    pub processes: usize,
    /// Flows; one more stands for the rest.
    pub flows: usize,
    /// How long a flow without a connection stays, milliseconds.
    pub flow_ttl_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sockets: 65_536, processes: 16_384, flows: 4096, flow_ttl_ms: 300_000 }
    }
}

/// What the parts of a report share while one pass is taken in.
struct Pass<'a> {
    now: Now,
    /// The epoch that changes of this pass belong to.
    epoch: Epoch,
    /// The first pass with sockets: what it finds did not open before our eyes.
    first: bool,
    /// The time of the pass before, Unix milliseconds: what was never seen open began after that.
    since_ms: u64,
    /// The last time that anything was shown, Unix milliseconds.
    shown_ms: u64,
    processes: &'a join::Processes,
    naming: &'a mut naming::Naming,
    removed: &'a mut Removals,
    losses: &'a mut Losses,
}

/// The pass of a report at `now`. No method: it borrows what it shares, and leaves the parts free to be changed with it.
macro_rules! pass {
    ($report:ident, $now:expr, $epoch:expr, first: $first:expr) => {
        Pass {
            now: $now,
            epoch: $epoch,
            first: $first,
            since_ms: $report.since_ms,
            shown_ms: $report.shown_ms.get(),
            processes: &$report.joined,
            naming: &mut $report.naming,
            removed: &mut $report.removed,
            losses: &mut $report.losses,
        }
    };
}

/// A connection of which only the kernel knows who stands behind its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    slot: Slot,
    id: u64,
    /// Protocol.
    pub protocol: Protocol,
    /// The end that connected.
    pub local: Endpoint,
    /// What it is connected to.
    pub remote: Endpoint,
}

/// What the kernel says of a [`Translation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translated {
    /// The entry of the connection.
    Entry(Entry),
    /// It knows no such connection.
    Unknown,
}

/// A connection as connection tracking has it: how each of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who opened it.
    pub client: Endpoint,
    /// What the client connected to.
    pub service: Endpoint,
    /// Who answers.
    pub backend: Endpoint,
    /// The client as the backend sees it.
    pub seen: Endpoint,
}

/// Everything known of the node.
#[derive(Debug)]
pub struct Report {
    epoch: Epoch,
    limits: Limits,
    ports: PortRange,
    began: bool,
    /// A process changed its name or container since sockets were last looked at.
    renamed: bool,
    /// The last pass over processes says that sockets may have other owners.
    handed_over: bool,
    hands: hands::Hands,
    next_id: u64,
    previous_ms: u64,
    /// The time of the pass before the last one over sockets, Unix milliseconds.
    since_ms: u64,
    /// The time of the last picture that was made, Unix milliseconds.
    shown_ms: Cell<u64>,
    joined: join::Processes,
    listening: Listeners,
    coverage: Coverage,
    ends_lost: ends_lost::EndsLost,
    losses: Losses,
    unseen: Option<u64>,
    removed: Removals,
    processes: processes::Processes,
    connections: connections::Connections,
    listeners: listeners::ListenerTable,
    containers: containers::Containers,
    flows: flows::Flows,
    risks: risks::Risks,
    naming: naming::Naming,
    names: Arc<[Container]>,
    /// [`Facts::recycled`] when `names` was made.
    recycled: u64,
}

impl Report {
    /// An empty report; `ports` are those of a namespace of which the source does not say.
    #[must_use]
    pub fn new(limits: Limits, ports: PortRange) -> Self {
        Self {
            epoch: 0,
            limits,
            ports,
            began: false,
            renamed: false,
            handed_over: false,
            hands: hands::Hands::default(),
            next_id: 1,
            previous_ms: 0,
            since_ms: 0,
            shown_ms: Cell::new(0),
            joined: join::Processes::default(),
            listening: Listeners::default(),
            coverage: Coverage::default(),
            ends_lost: ends_lost::EndsLost::default(),
            losses: Losses::default(),
            unseen: None,
            removed: Removals::default(),
            processes: processes::Processes::new(limits.processes),
            connections: connections::Connections::new(limits.sockets),
            listeners: listeners::ListenerTable::new(limits.sockets),
            containers: containers::Containers::default(),
            flows: flows::Flows::new(limits.flows),
            risks: risks::Risks::default(),
            naming: naming::Naming::default(),
            names: Arc::default(),
            recycled: 0,
        }
    }

    /// New limits; what is held already stays.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.processes.set_limit(limits.processes);
        self.connections.set_limit(limits.sockets);
        self.listeners.set_limit(limits.sockets);
        self.flows.set_limit(limits.flows);
    }

    /// Takes in one pass; `true` when anything changed, and then the epoch has grown.
    ///
    /// Only the sections that `facts.fresh` names are looked at.
    pub fn update(&mut self, facts: &Facts, now: Now) -> bool {
        let epoch = self.epoch + 1;
        let before = self.removed.count();
        self.losses.merge(&facts.losses);
        let mut changed = self.name_containers(facts);
        let fresh = facts.fresh.unwrap_or(Want::Counters);
        if fresh == Want::Everything {
            self.unseen = facts.compared.then(|| facts.losses.get(Loss::Unseen));
        }
        if fresh >= Want::Processes {
            let update = self.processes.update(facts, epoch, &mut self.removed, &mut self.losses);
            self.renamed |= update.renamed;
            changed |= update.changed;
            // The sockets are those of an earlier pass, unless this one reads them.
            let touched = |pid| pid != 0 && update.touched.binary_search(&pid).is_ok();
            self.handed_over = fresh < Want::Sockets
                && ((!update.touched.is_empty()
                    && facts.sockets.iter().any(|socket| touched(socket.pid)))
                    | self.hands.look(&update.fewer, now.mono_ms));
            changed |= self.containers.count(facts, epoch, &mut self.removed);
        }
        if fresh >= Want::Sockets {
            self.hands.settle(&facts.sockets, now.mono_ms);
            changed |= self.sockets(facts, now, epoch);
        }
        changed |= self.expire(facts, now, epoch);
        changed |= self.risk(fresh, facts, now, epoch);
        changed |= self.removed.count() != before;
        self.seal(epoch, changed)
    }

    /// Whether something looked full that may be so for a moment only: then it is worth another look soon.
    #[must_use]
    pub fn suspects(&self) -> bool {
        self.risks.suspects()
    }

    /// Whether ends that forgot their peer wait for the next reading of sockets to be counted: it is to come, though no counter moves.
    #[must_use]
    pub fn awaits_ends(&self) -> bool {
        self.connections.awaits_ends()
    }

    /// Whether the last pass, over processes and not sockets, met one with sockets that ended, runs
    /// another program, has a new child or has fewer open files: then their owners are to be read, though
    /// no counter moved.
    #[must_use]
    pub const fn handed_over(&self) -> bool {
        self.handed_over
    }

    /// Takes in what the containers' cgroups say, CPU time in nanoseconds and memory in bytes;
    /// `true` when anything changed.
    pub fn usage(
        &mut self,
        usage: impl Iterator<Item = (ContainerId, Option<u64>, Option<u64>)>,
    ) -> bool {
        let changed = self.containers.usage(usage, self.epoch + 1);
        self.epoch += u64::from(changed);
        changed
    }

    /// What a reader may keep.
    #[must_use]
    pub fn picture(&self, now: Now) -> Picture {
        self.shown_ms.set(now.unix_ms);
        Picture {
            epoch: self.epoch,
            now,
            processes: self.processes.freeze(),
            connections: self.connections.freeze(),
            listeners: self.listeners.freeze(),
            containers: self.containers.freeze(),
            flows: self.flows.freeze(),
            risks: self.risks.freeze(),
            names: Arc::clone(&self.names),
            removed: self.removed.clone(),
            coverage: [self.coverage.minute(), self.coverage.total()],
            trouble: self.coverage.trouble(),
            losses: self.losses,
            unseen: self.unseen,
            cluster: self.naming.cluster.as_ref().map(|cluster| InCluster {
                pods: cluster.freeze_pods(),
                owners: Arc::clone(&self.naming.pods),
                names: cluster.freeze_names(),
                gaps: self.connections.gaps(),
                known: cluster.known(),
                grain: cluster.grain(),
            }),
        }
    }

    /// Names pods and Services by this cluster from now on.
    pub fn watch(&mut self, cluster: Cluster) {
        self.naming.cluster = Some(Box::new(cluster));
        self.naming.extend(&self.names);
    }

    /// The cluster, to take in what changed. Names follow with [`Self::rename`].
    pub fn cluster(&mut self) -> Option<&mut Cluster> {
        self.naming.cluster.as_deref_mut()
    }

    /// Gives everything the names that the cluster knows now; `true` when anything changed, and
    /// then the epoch has grown. Costs nothing when nothing changed that anybody asked about.
    pub fn rename(&mut self, now: Now) -> bool {
        let epoch = self.epoch + 1;
        let Some(cluster) = &mut self.naming.cluster else { return false };
        cluster.offset_ms = now.unix_ms.saturating_sub(now.mono_ms);
        let settled = cluster.settle(epoch, now.mono_ms);
        let mut changed = settled.changed || !settled.removed.is_empty();
        for id in settled.removed {
            self.removed.push(Removed::Pod(id));
        }
        let affected = self.naming.refresh(&self.names);
        changed |= affected.renames_containers();
        changed |= self
            .with_names(now, |connections, flows, pass| connections.rename(&affected, flows, pass));
        self.sweep_names();
        self.seal(epoch, changed)
    }

    /// Up to `limit` connections of which the kernel is to be asked who stands behind the other end,
    /// the first of those that [`Self::waiting`] counted.
    pub fn unanswered(&mut self, limit: usize) -> Vec<Translation> {
        self.connections.unanswered(limit)
    }

    /// How many connections wait for that now, at most.
    pub fn waiting(&mut self, mono_ms: u64) -> usize {
        self.connections.waiting(mono_ms)
    }

    /// Takes back questions that could not be asked.
    pub fn give_back(&mut self, questions: &[Translation], now: Now) {
        self.connections.give_back(questions, now.mono_ms);
    }

    /// Takes in what the kernel said of these connections; `true` when anything changed.
    pub fn answer(&mut self, answers: &[(Translation, Translated)], now: Now) -> bool {
        let epoch = self.epoch + 1;
        let mut evidence = connections::Evidence {
            listeners: &self.listening,
            netns: &[],
            ports: self.ports,
            coverage: &mut self.coverage,
        };
        let mut pass = pass!(self, now, epoch, first: false);
        let mut changed = false;
        for (question, reply) in answers {
            let (connections, flows) = (&mut self.connections, &mut self.flows);
            changed |= connections.translate(question, *reply, flows, &mut evidence, &mut pass);
        }
        self.seal(epoch, changed)
    }

    /// Does something about names, between passes.
    fn with_names(
        &mut self,
        now: Now,
        work: impl FnOnce(&mut connections::Connections, &mut flows::Flows, &mut Pass<'_>) -> bool,
    ) -> bool {
        let mut pass = pass!(self, now, self.epoch + 1, first: false);
        work(&mut self.connections, &mut self.flows, &mut pass)
    }

    fn sweep_names(&mut self) {
        let Some(cluster) = self.naming.cluster.as_mut().filter(|c| c.crowded()) else { return };
        let mut held = HashSet::default();
        self.connections.held(&mut held);
        self.flows.held(&mut held);
        cluster.sweep(held);
    }

    /// Closes the epoch, if anything changed in it.
    fn seal(&mut self, epoch: Epoch, changed: bool) -> bool {
        if changed {
            self.epoch = epoch;
            self.removed.seal(epoch);
        }
        changed
    }

    fn name_containers(&mut self, facts: &Facts) -> bool {
        let grew = facts.containers.len() > self.names.len() || facts.recycled != self.recycled;
        if grew {
            self.recycled = facts.recycled;
            self.names = facts.containers.as_slice().into();
            self.naming.extend(&self.names);
        }
        grew
    }

    fn sockets(&mut self, facts: &Facts, now: Now, epoch: Epoch) -> bool {
        let renamed = std::mem::take(&mut self.renamed);
        // Only sockets ask for owners, so a pass over processes alone does without.
        self.joined.refill(&facts.processes, &facts.containers);
        let previous_ms = self.previous_ms;
        let born = |netns| {
            let mut inside = facts.processes.iter().filter(|p| p.netns == netns).peekable();
            inside.peek().is_some()
                && inside.all(|p| p.start_ns / 1_000_000 + START_ROUNDING_MS >= previous_ms)
        };
        let missing = self.coverage.missing();
        self.coverage.counters(&facts.netns, born, now.mono_ms);
        self.losses.add(Loss::Overcounted, self.coverage.take_excess());
        self.since_ms = now.unix_ms.saturating_sub(now.mono_ms.saturating_sub(previous_ms));
        self.previous_ms = now.mono_ms;
        self.listening.begin(now.mono_ms);
        self.coverage.reborn().iter().for_each(|&netns| self.listening.forget(netns));
        let mut pass = pass!(self, now, epoch, first: !self.began);
        self.began = true;
        self.connections.bury(self.coverage.reborn(), &mut self.flows, &mut pass);
        let mut changed = self.listeners.update(
            &facts.sockets,
            renamed,
            &mut self.listening,
            &mut self.next_id,
            &mut pass,
        );
        let evidence = connections::Evidence {
            listeners: &self.listening,
            netns: &facts.netns,
            ports: self.ports,
            coverage: &mut self.coverage,
        };
        changed |= self.connections.update(
            facts,
            renamed,
            evidence,
            &mut self.flows,
            &mut self.next_id,
            &mut pass,
        );
        let lost = self.ends_lost.look(missing, self.coverage.total(), facts.overrun);
        self.losses.add(Loss::EndsLost, lost);
        changed
    }

    /// What is about to run full, of that which the pass read.
    fn risk(&mut self, fresh: Want, facts: &Facts, now: Now, epoch: Epoch) -> bool {
        let (removed, losses) = (&mut self.removed, &mut self.losses);
        let mut ledger = risks::Ledger { now, epoch, removed, losses };
        let mut judge = |risk, levels: &[_]| self.risks.judge(risk, levels, &mut ledger);
        let mut changed = false;
        if fresh >= Want::Processes {
            changed |= judge(Risk::OpenFiles, &levels::files(&facts.processes));
        }
        if fresh >= Want::Sockets {
            changed |= judge(Risk::AcceptQueue, &levels::queues(&self.listeners));
            let waiting = self.connections.close_waits();
            changed |= judge(Risk::CloseWait, &levels::close_waits(waiting, &facts.processes));
        }
        if fresh >= Want::Everything {
            let (records, all) = self.connections.all();
            changed |= judge(Risk::EphemeralPorts, &levels::ports(records, all, &facts.netns));
            changed |= judge(Risk::Conntrack, levels::tracked(facts.conntrack).as_slice());
        }
        changed
    }

    fn expire(&mut self, facts: &Facts, now: Now, epoch: Epoch) -> bool {
        let mut pass = pass!(self, now, epoch, first: false);
        let netns = (facts.fresh >= Some(Want::Sockets)).then_some(facts.netns.as_slice());
        self.connections.expire(netns, &mut self.flows, &mut pass);
        self.flows.expire(self.limits.flow_ttl_ms, &mut pass)
    }
}
