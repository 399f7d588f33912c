//! The Kubernetes feed: what the API server knows of this node's pods and of the cluster's Services.
//!
//! This node's pods may come from the operator's feed instead, which speaks as the API server does.
//!
//! In: a service account or a kubeconfig, `spec.match`. Out: batches of [`Event`]s through a bounded channel, and
//! [`FeedStatus`]. When the channel is full, or the CPU budget is, the feed stops reading, and the API server keeps what
//! is not read or ends the watch; nothing is dropped and nothing piles up here. Without an API server the agent goes on
//! with the names it has. It must never list periodically, watch all pods, or act at the same moment as other nodes.
//!
//! Our own list and watch rather than kube's `runtime`: that errs for ever on a server without streaming lists, keeps
//! pages of a list whole, and cannot be stopped from reading.
//!
//! I/O: the network, on the caller's runtime.

use super::interest::{self, Interest};
use super::nodes;
use super::origin::{self, Operator};
use super::wanted::wanted;
use super::watcher::{Wanted, Watcher};
use crate::config::Effective;
use crate::kube::selection::Selection;
use crate::kube::{Connection, FeedStatus, Origin, Pace, Timing};
use crate::snapshot::Snapshot;
use probelet_core::cluster::objects::{Event, Kind};
use probelet_core::feed::PODS;
use probelet_crds::Peers;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Batches on their way to the engine. One is what a piece of a body held, or some of them: at most 128 KiB of JSON and
/// the rest of an object begun before it. 2 MiB in all, or half a second of a storm.
const BATCHES: usize = 16;

/// What the feed needs.
pub struct Feed {
    /// The way to the API server.
    pub connection: Arc<Connection>,
    /// Who hands out this node's pods, if not the API server.
    pub operator: Option<Operator>,
    /// What the node looks like, for addresses that have no name: pods of other nodes, whom the operator knows.
    pub snapshots: Option<watch::Receiver<Arc<Snapshot>>>,
    /// This node's name in the cluster.
    pub node: Arc<str>,
    /// The configuration in force, and its successors.
    pub config: watch::Receiver<Arc<Effective>>,
    /// Where it says how it is doing.
    pub status: Arc<FeedStatus>,
    /// The budget.
    pub pace: Pace,
    /// How long it waits.
    pub timing: Timing,
}

/// The channel that events go through.
#[must_use]
pub fn channel() -> (mpsc::Sender<Vec<Event>>, mpsc::Receiver<Vec<Event>>) {
    mpsc::channel(BATCHES)
}

/// Follows the API server until no one receives events any more.
pub async fn follow(feed: Feed, events: mpsc::Sender<Vec<Event>>) {
    let first = feed.operator.as_ref().map_or(Origin::Api, |_| Origin::Feed);
    let (sender, mut from) = watch::channel(first);
    // Ends with this, whatever it waits for.
    let _beside = beside(&feed, &events, sender);
    let Feed { connection, operator, node, mut config, status, pace, timing, .. } = feed;
    let select = |config: &Effective, from, kind| select(config, from, kind, &node);
    let now = Arc::clone(&config.borrow_and_update());
    let mut tasks = JoinSet::new();
    let named = now.spec.matching.peers == Peers::EndpointSlices;
    if let Some(every) = timing.nodes.filter(|_| named) {
        if timing.start.is_zero() {
            nodes::once(&connection, &events).await;
        } else {
            let (connection, events) = (Arc::clone(&connection), events.clone());
            tasks.spawn(nodes::follow(connection, events, timing.start, every, timing.silence));
        }
    }
    let selections = Kind::ALL.map(|kind| {
        let (sender, receiver) = watch::channel(select(&now, first, kind));
        let watcher = Watcher {
            kind,
            connection: Arc::clone(&connection),
            operator: operator.clone(),
            status: Arc::clone(&status),
            events: events.clone(),
            pace: Arc::clone(&pace),
            timing: timing.clone(),
        };
        tasks.spawn(watcher.run(receiver));
        (kind, sender)
    });
    drop(events);
    let (mut configured, mut moves) = (true, true);
    loop {
        tokio::select! {
            changed = config.changed(), if configured => {
                configured = changed.is_ok();
            }
            changed = from.changed(), if moves => {
                moves = changed.is_ok();
            }
            ended = tasks.join_next() => if ended.is_none() { return },
        }
        let (now, from) = (Arc::clone(&config.borrow_and_update()), *from.borrow_and_update());
        for (kind, sender) in &selections {
            let wanted = select(&now, from, *kind);
            // Only a watcher whose own selection changed is disturbed.
            sender.send_if_modified(|current| {
                let differs = *current != wanted;
                *current = wanted;
                differs
            });
        }
    }
}

/// What is done beside the watches: whether pods come from the feed, and who is at addresses that have no name.
fn beside(
    feed: &Feed,
    events: &mpsc::Sender<Vec<Event>>,
    origin: watch::Sender<Origin>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Some(operator) = &feed.operator else { return tasks };
    if operator.fallback {
        let (status, timing) = (Arc::clone(&feed.status), feed.timing.clone());
        let origin = origin::follow(operator.clone(), status, timing, origin);
        tasks.spawn(async { match origin.await {} });
    }
    if let Some(snapshots) = feed.snapshots.clone() {
        let (operator, config, timing) =
            (operator.clone(), feed.config.clone(), feed.timing.clone());
        let interest =
            Interest { operator, snapshots, config, pace: Arc::clone(&feed.pace), timing };
        tasks.spawn(interest::follow(interest, events.clone()));
    }
    tasks
}

/// What is followed of `kind`, and where.
fn select(config: &Effective, from: Origin, kind: Kind, node: &str) -> Option<Wanted> {
    let selection = wanted(kind, &config.spec.matching, node)?;
    Some(match (kind, from) {
        // Whose pods they are is in the token.
        (Kind::Pod, Origin::Feed) => {
            Wanted { origin: from, selection: Selection { path: PODS, filter: String::new() } }
        }
        _ => Wanted { origin: Origin::Api, selection },
    })
}
