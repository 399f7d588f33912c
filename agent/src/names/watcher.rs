//! Follows one kind for as long as the agent lives, in whatever selection the configuration asks for.
//!
//! In: what is wanted, a connection. Out: batches of events. It must not let go of what it has for less than a narrower
//! selection, nor keep asking when no one listens.
//!
//! I/O: the network through its session.

mod end;
mod intake;
mod outbox;
mod session;

use crate::kube::Pace;
use crate::kube::connection::Connection;
use crate::kube::selection::Selection;
use crate::kube::status::{FeedStatus, KindStatus, State};
use crate::kube::timing::Timing;
use crate::names::{Operator, Origin};
use probelet_core::cluster::objects::{Event, Kind};
use session::Session;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What is followed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) origin: Origin,
    pub(super) selection: Selection,
}

/// One kind's watcher and what it remembers from session to session.
pub(super) struct Watcher {
    pub(super) kind: Kind,
    pub(super) connection: Arc<Connection>,
    pub(super) operator: Option<Operator>,
    pub(super) status: Arc<FeedStatus>,
    pub(super) events: mpsc::Sender<Vec<Event>>,
    pub(super) pace: Pace,
    pub(super) timing: Timing,
}

impl Watcher {
    /// Follows whatever is wanted, until no one receives events or wants anything.
    pub(super) async fn run(self, mut wanted: watch::Receiver<Option<Wanted>>) {
        let mut before: Option<Wanted> = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            let lost = match (&before, &now) {
                (Some(_), None) => true,
                (Some(before), Some(now)) => now.selection.is_narrower_than(&before.selection),
                (None, _) => false,
            };
            if lost && self.events.send(vec![Event::Unwatched(self.kind)]).await.is_err() {
                return;
            }
            let watching = async {
                if let Some(wanted) = &now {
                    self.note(|status| status.origin = wanted.origin);
                    Session::new(&self, wanted).follow().await;
                } else {
                    self.note(|status| status.state = State::Off);
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = watching => return,
                // A watch without events would not notice that no one listens.
                () = self.events.closed() => return,
                changed = wanted.changed() => if changed.is_err() { return },
            }
            before = now;
        }
    }

    /// The way to where it is.
    fn connection(&self, origin: Origin) -> &Connection {
        match (origin, &self.operator) {
            (Origin::Feed, Some(operator)) => &operator.connection,
            _ => &self.connection,
        }
    }

    fn note(&self, change: impl FnOnce(&mut KindStatus)) {
        change(&mut self.status.at(self.kind));
    }
}
