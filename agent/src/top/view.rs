//! What is looked at: the newest snapshot, the rates since earlier ones, and names.
//!
//! In: snapshots, one after the other. Out: everything that a cell may show. It must not know
//! about screens, keys or the terminal.
//!
//! Pure: no I/O, no clock; the snapshots carry the time.

use crate::figures::float;
use crate::snapshot::Snapshot;
use crate::top::meter::{LastMinute, Meter};
use probelet_core::display::{ContainerNames, ends};
use probelet_core::facts::{ContainerId, Loss};
use probelet_core::hash::{HashMap, HashSet};
use probelet_core::records::{
    ConnectionRecord, ContainerRecord, FlowRecord, ProcessRecord, Workload,
};
use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use tokio::sync::watch;

/// Rates are taken over at least this long, however short the intervals: calmer figures.
const WINDOW_MS: f64 = 2000.0;
/// And over at most this long, however far passes are stretched.
const WINDOW_MAX_MS: f64 = 60_000.0;

/// Connections by holder, counted when a screen that shows them is drawn.
#[derive(Debug, Default)]
struct Holders {
    pids: HashMap<u32, u32>,
    containers: HashMap<ContainerId, u32>,
}

/// A snapshot and what comes of comparing it with the ones before.
pub(super) struct View {
    snapshot: Arc<Snapshot>,
    names: watch::Receiver<Arc<ContainerNames>>,
    labels: RefCell<HashMap<ContainerId, Arc<str>>>,
    opened: Meter<u64, 1>,
    traffic: Meter<u64, 2>,
    process_cpu: Meter<(u32, u64), 1>,
    container_cpu: Meter<ContainerId, 1>,
    minute: LastMinute,
    holders: OnceCell<Holders>,
    netns: OnceCell<usize>,
}

impl View {
    /// Looks at a first snapshot.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        names: watch::Receiver<Arc<ContainerNames>>,
    ) -> Self {
        let mut view = Self {
            snapshot: Arc::clone(&snapshot),
            names,
            labels: RefCell::default(),
            opened: Meter::default(),
            traffic: Meter::default(),
            process_cpu: Meter::default(),
            container_cpu: Meter::default(),
            minute: LastMinute::default(),
            holders: OnceCell::new(),
            netns: OnceCell::new(),
        };
        view.take(snapshot);
        view
    }

    /// Looks at the next snapshot.
    pub(super) fn observe(&mut self, snapshot: Arc<Snapshot>) {
        if Arc::ptr_eq(&self.snapshot, &snapshot) {
            return; // only a key was pressed
        }
        self.take(snapshot);
    }

    fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.labels.borrow_mut().clear();
        self.holders = OnceCell::new();
        self.netns = OnceCell::new();
        let picture = &self.snapshot.picture;
        let now = picture.now.mono_ms;
        if now == 0 {
            return; // before the first pass there is nothing to compare with later
        }
        let every = self.snapshot.vitals.effective;
        let flows = || picture.flows.iter();
        self.opened.look(now, window(every.sockets), flows().map(|f| (f.id, [f.opened])));
        self.traffic.look(
            now,
            window(every.bytes),
            flows().map(|f| (f.id, [f.bytes_sent, f.bytes_received])),
        );
        let processes =
            picture.processes.iter().map(|p| ((p.fact.pid, p.fact.start_ns), [p.fact.cpu_ns]));
        self.process_cpu.look(now, window(every.processes), processes);
        let containers = picture.containers.iter().filter_map(|c| Some((c.id, [c.cpu_ns?])));
        self.container_cpu.look(now, window(every.containers), containers);
        self.minute.look(now, picture.losses);
    }

    /// The snapshot.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether a pass has been taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshot.picture.now.mono_ms == 0
    }

    /// The name of a container; each is asked for once a snapshot.
    pub(super) fn container(&self, id: ContainerId) -> Arc<str> {
        let mut labels = self.labels.borrow_mut();
        let fresh = || ends::container(&self.snapshot.picture, &self.names.borrow(), id).into();
        Arc::clone(labels.entry(id).or_insert_with(fresh))
    }

    /// One end of a flow.
    pub(super) fn workload(&self, workload: Workload) -> Arc<str> {
        match workload {
            Workload::Container(id) => self.container(id),
            other => ends::workload(&self.snapshot.picture, &self.names.borrow(), other).into(),
        }
    }

    /// The other end of a connection as the cluster calls it, else its container or process; empty
    /// when only its address is known.
    pub(super) fn peer(&self, connection: &ConnectionRecord) -> Arc<str> {
        match (connection.named.peer, connection.peer) {
            (Some(id), _) => self.workload(Workload::Named(id)),
            (None, peer @ (Workload::Container(_) | Workload::Process(_))) => self.workload(peer),
            _ => "".into(),
        }
    }

    /// Connections of a flow opened per second.
    pub(super) fn opened(&self, flow: &FlowRecord) -> Option<f64> {
        // A flow that was not there began with its first connection: it grew from zero.
        self.opened
            .rate(&flow.id, [flow.opened], Some(self.opened.since_ms()))
            .map(|[opened]| opened)
    }

    /// Bytes of a flow sent and received per second.
    pub(super) fn traffic(&self, flow: &FlowRecord) -> Option<[f64; 2]> {
        let now = [flow.bytes_sent, flow.bytes_received];
        self.traffic.rate(&flow.id, now, Some(self.traffic.since_ms()))
    }

    /// Cores that a process uses.
    pub(super) fn process_cpu(&self, process: &ProcessRecord) -> Option<f64> {
        let fact = &process.fact;
        let rate = self.process_cpu.rate(
            &(fact.pid, fact.start_ns),
            [fact.cpu_ns],
            Some(fact.start_ns / 1_000_000),
        );
        rate.map(|[ns]| ns / 1e9)
    }

    /// Cores that a container uses.
    pub(super) fn container_cpu(&self, container: &ContainerRecord) -> Option<f64> {
        self.container_cpu.rate(&container.id, [container.cpu_ns?], None).map(|[ns]| ns / 1e9)
    }

    /// Connections that a process holds.
    pub(super) fn held_by_process(&self, pid: u32) -> u32 {
        self.holders().pids.get(&pid).copied().unwrap_or(0)
    }

    /// Connections that the processes of a container hold.
    pub(super) fn held_by_container(&self, id: ContainerId) -> u32 {
        self.holders().containers.get(&id).copied().unwrap_or(0)
    }

    /// Network namespaces that a process is in.
    pub(super) fn netns(&self) -> usize {
        *self.netns.get_or_init(|| {
            let inodes: HashSet<u32> =
                self.snapshot.picture.processes.iter().map(|p| p.fact.netns).collect();
            inodes.iter().filter(|&&inode| inode != 0).count()
        })
    }

    /// What was lost in the last minute; of sockets that nothing met, how many they are now.
    pub(super) fn losses(&self) -> impl Iterator<Item = (Loss, u64)> + '_ {
        let others = self.minute.losses().filter(|&(loss, _)| loss != Loss::Unseen);
        let unseen = self.snapshot.picture.unseen.unwrap_or(0);
        others.chain((unseen > 0).then_some((Loss::Unseen, unseen)))
    }

    /// Milliseconds from a Unix time until the picture was taken.
    pub(super) fn age_ms(&self, since_unix_ms: u64) -> u64 {
        self.snapshot.picture.now.unix_ms.saturating_sub(since_unix_ms)
    }

    /// Milliseconds from a time since boot until the picture was taken.
    pub(super) fn age_since_boot_ms(&self, ns: u64) -> u64 {
        self.snapshot.picture.now.mono_ms.saturating_sub(ns / 1_000_000)
    }

    fn holders(&self) -> &Holders {
        self.holders.get_or_init(|| {
            let mut holders = Holders::default();
            for connection in self.snapshot.picture.connections.iter() {
                if connection.owner.pid != 0 {
                    *holders.pids.entry(connection.owner.pid).or_default() += 1;
                }
                if let Some(id) = connection.owner.container {
                    *holders.containers.entry(id).or_default() += 1;
                }
            }
            holders
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a minute")]
fn window(every_seconds: f64) -> u64 {
    (every_seconds * 1000.0).clamp(WINDOW_MS, WINDOW_MAX_MS) as u64
}

/// How long the agent has been running, milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; years fit"
)]
pub(super) fn uptime_ms(snapshot: &Snapshot) -> u64 {
    (float(snapshot.picture.now.unix_ms) - snapshot.vitals.started_unix * 1000.0).max(0.0) as u64
}
