//! The agent and its `NodeProbe`: the configuration that comes from it, the file that keeps it, the status that answers.
//!
//! In: the way to the API server, the configuration's channel, snapshots. Out: tasks. It must not hold logic of its own.
//!
//! I/O: starts what does.

use crate::args::Args;
use crate::config::node_probe::{self, Follow};
use crate::config::{Effective, saved};
use crate::kubernetes::{Connection, FeedStatus, Pace, Timing};
use crate::label::Names;
use crate::publish::{NodeProbe, node_probe as status};
use crate::snapshot::Snapshot;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

/// What is shared with the feed of names.
pub(super) struct Cluster {
    pub(super) connection: Arc<Connection>,
    pub(super) node: Arc<str>,
    pub(super) pace: Pace,
    pub(super) feed: Option<Arc<FeedStatus>>,
}

/// Starts all of it. The task ends when the agent has said that it stops.
pub(super) fn follow(
    args: &Args,
    cluster: Cluster,
    config: watch::Sender<Arc<Effective>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    names: Box<Names>,
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
    spawn_local(node_probe::follow(follow, config, assignment));
    (shared, writing)
}
