//! The agent and its `NodeProbe`: the configuration that comes from it, the file that keeps it, the status that answers.
//!
//! In: the way to the API server, the configuration's channel, snapshots. Out: tasks. It must not hold logic of its own.
//!
//! I/O: starts what does.

pub mod follow;
pub mod saved;
pub mod status;

use crate::args::Args;
use crate::config::Effective;
use crate::kube::{Connection, FeedStatus, Pace, SingleStatus, Timing};
use crate::snapshot::Snapshot;
use follow::Follow;
use probelet_core::display::ContainerNames;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

/// How the agent gets on with its `NodeProbe`.
#[derive(Clone, Debug, Default)]
pub struct NodeProbe {
    /// The watch that the configuration comes from.
    pub watch: Arc<SingleStatus>,
    /// The writes of its status.
    pub writes: Arc<status::Account>,
}

/// What is shared with the feed of names.
pub(crate) struct Cluster {
    pub(crate) connection: Arc<Connection>,
    pub(crate) node: Arc<str>,
    pub(crate) pace: Pace,
    pub(crate) feed: Option<Arc<FeedStatus>>,
}

/// Starts all of it. The task ends when the agent has said that it stops.
pub(crate) fn follow(
    args: &Args,
    cluster: Cluster,
    config: watch::Sender<Arc<Effective>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    names: watch::Receiver<Arc<ContainerNames>>,
    stop: watch::Receiver<bool>,
) -> (NodeProbe, JoinHandle<()>) {
    let Cluster { connection, node, pace, feed } = cluster;
    let shared = NodeProbe::default();
    let (assignment, assigned) = watch::channel(Arc::default());
    if let Some(directory) = args.state_dir.clone() {
        spawn_local(saved::keep(directory, config.subscribe()));
    }
    let writing = spawn_local(status::write(status::Writer {
        connection: Arc::clone(&connection),
        node: Arc::clone(&node),
        snapshots,
        names,
        config: config.subscribe(),
        assignment: assigned,
        feed,
        pinned: args.source.is_some(),
        account: Arc::clone(&shared.writes),
        pace: Arc::clone(&pace),
        timing: Timing::default(),
        stop,
    }));
    let status = Arc::clone(&shared.watch);
    let timing = Timing::default();
    let follow = Follow { connection, node, status, pace, timing };
    spawn_local(follow::follow(follow, config, assignment));
    (shared, writing)
}
