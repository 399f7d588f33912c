//! The names of plain Docker containers: listed once, then kept by following Docker's events.
//!
//! In: Docker's socket. Out: [`DockerNames`], through a watch channel. When Docker goes away the names stay, and
//! [`State`] says that they may be old; when it is back everything is listed again, so that nothing is missed. It must
//! never read the stats stream, which costs Docker a read of every cgroup each second.
//!
//! I/O: one connection to a Unix socket, and one small request a minute to see that it still lives.

mod list;
mod table;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{EventActor, EventMessage},
    query_parameters::EventsOptions,
};
use futures_util::StreamExt as _;
use probelet_core::backoff::doubled;
use thiserror::Error;
use tokio::{sync::watch::Sender, time};

pub(crate) use table::MAX_CONTAINERS;
use table::Table;
pub use table::{Containers, DockerContainer};

/// Longer than any healthy answer takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent stream is asked for a sign of life.
const PING: Duration = Duration::from_mins(1);
/// How often everything is listed again: Docker drops events for a client that does not take them at once.
const AGAIN: Duration = Duration::from_mins(5);
/// How often a socket that was never there is looked for.
const ABSENT: Duration = Duration::from_mins(1);
/// Bounds of the wait before connecting again.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Events that come together are published together.
const GATHER: Duration = Duration::from_millis(100);

/// What is known of Docker's containers.
#[derive(Debug, Clone, Default)]
pub struct DockerNames {
    /// Running containers by their full id.
    pub containers: Containers,
    /// Whether they are up to date.
    pub state: State,
    /// How often the connection was made again after a loss.
    pub reconnects: u64,
    /// Events that were applied.
    pub events: u64,
    /// Containers and labels that were left out since they would not fit.
    pub dropped: u64,
}

/// Whether Docker answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// There is no socket, and there never was one.
    #[default]
    Absent,
    /// Names are up to date.
    Connected,
    /// Names may be old.
    Disconnected {
        /// When the connection was lost, or first refused.
        since: SystemTime,
    },
}

/// Why a connection ended.
#[derive(Debug, Error)]
enum Error {
    #[error("Docker cannot be reached")]
    Connect(#[source] bollard::errors::Error),
    #[error("the containers cannot be listed")]
    List(#[source] list::Error),
    #[error("event stream closed unexpectedly")]
    Events(#[source] bollard::errors::Error),
    #[error("the events ended")]
    Ended,
    #[error("Docker has not responded for 10 s")]
    Silent,
    #[error("Docker no longer answers")]
    Ping(#[source] bollard::errors::Error),
}

/// Follows Docker at `socket` until no one reads `tx` any more.
pub async fn follow(socket: PathBuf, tx: Sender<Arc<DockerNames>>) {
    let (table, names) = (Table::default(), DockerNames::default());
    let follower = Follower { socket, again: AGAIN, tx: &tx, table, names };
    tokio::select! {
        () = follower.run() => {}
        () = tx.closed() => {}
    }
}

struct Follower<'a> {
    socket: PathBuf,
    /// How often everything is listed again.
    again: Duration,
    tx: &'a Sender<Arc<DockerNames>>,
    table: Table,
    names: DockerNames,
}

impl Follower<'_> {
    async fn run(mut self) {
        let mut failures = 0;
        let mut logged = false;
        loop {
            if self.names.state == State::Absent && !self.socket.exists() {
                if !logged {
                    tracing::info!(socket = %self.socket.display(), "Docker not found; checking again every minute");
                    logged = true;
                }
                time::sleep(ABSENT).await;
                continue;
            }
            let begun = time::Instant::now();
            let Err(error) = self.session().await;
            self.lost(&error);
            // Docker that takes a connection only to drop it is as bad as one that refuses it.
            failures = if begun.elapsed() > PING { 0 } else { failures + 1 };
            time::sleep(wait(failures)).await;
        }
    }

    fn lost(&mut self, error: &Error) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if matches!(self.names.state, State::Disconnected { .. }) {
            tracing::debug!(%error, cause, "Docker is still unreachable");
            return;
        }
        tracing::warn!(%error, cause, containers = self.names.containers.len(), "Docker is unreachable; its names may be stale");
        self.names.state = State::Disconnected { since: SystemTime::now() };
        self.publish();
    }

    /// Connects, lists and follows; ends only by an error.
    async fn session(&mut self) -> Result<std::convert::Infallible, Error> {
        // The version is not sent: Docker answers in its own, and no version is refused as too old or too new.
        let socket = self.socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&socket, TIMEOUT.as_secs(), API_DEFAULT_VERSION)
            .map_err(Error::Connect)?;
        // Events from before the list are asked for again, so that none falls between the two.
        let since = unix_seconds(SystemTime::now()).saturating_sub(1);
        let list = self.list().await?;
        self.connected(list);

        let mut events = std::pin::pin!(docker.events(Some(events_since(since))));
        let mut ping = time::interval_at(time::Instant::now() + PING, PING);
        let mut again = time::interval_at(time::Instant::now() + self.again, self.again);
        let mut publish_at = None;
        loop {
            let publish = async {
                match publish_at {
                    Some(at) => time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => {
                    let event = event.ok_or(Error::Ended)?.map_err(Error::Events)?;
                    if self.apply(event) && publish_at.is_none() {
                        publish_at = Some(time::Instant::now() + GATHER);
                    }
                }
                () = publish => {
                    self.publish();
                    publish_at = None;
                }
                _ = again.tick() => {
                    let list = self.list().await?;
                    if self.replace(list) > 0 {
                        self.publish();
                    }
                }
                _ = ping.tick() => {
                    let answer = time::timeout(TIMEOUT, docker.ping()).await;
                    answer.map_err(|_| Error::Silent)?.map_err(Error::Ping)?;
                }
            }
        }
    }

    async fn list(&self) -> Result<Vec<list::Listed>, Error> {
        let list = time::timeout(TIMEOUT, list::running(&self.socket)).await;
        list.map_err(|_| Error::Silent)?.map_err(Error::List)
    }

    /// These are all containers; how many are new, changed or gone.
    fn replace(&mut self, list: Vec<list::Listed>) -> usize {
        let running = list.into_iter().map(|container| {
            let name = own_name(container.names.as_deref().unwrap_or_default());
            let labels = container.labels.unwrap_or_default().into_iter();
            let image = container.image.unwrap_or_default();
            (container.id, self.table.container(name, &image, labels, None))
        });
        let running = running.collect::<Vec<_>>();
        self.table.replace(running)
    }

    fn connected(&mut self, list: Vec<list::Listed>) {
        let changes = self.replace(list);
        if let State::Disconnected { .. } = self.names.state {
            self.names.reconnects += 1;
        }
        self.names.state = State::Connected;
        tracing::info!(socket = %self.socket.display(), containers = self.table.containers().len(), changes, "Docker answers");
        self.publish();
    }

    /// Takes an event into the table; whether it changed anything.
    fn apply(&mut self, event: EventMessage) -> bool {
        let action = event.action.unwrap_or_default();
        let Some(EventActor { id: Some(id), attributes }) = event.actor else { return false };
        self.names.events += 1;
        let mut attributes = attributes.unwrap_or_default();
        let name = attributes.remove("name").unwrap_or_default();
        let image = attributes.remove("image").unwrap_or_default();
        attributes.remove("oldName");
        // All other attributes of these events are the container's labels.
        let labels = attributes.into_iter();
        match action.as_str() {
            "start" => {
                let started = event.time.and_then(|seconds| u64::try_from(seconds).ok());
                let container = self.table.container(&name, &image, labels, started);
                self.table.insert(id, container)
            }
            "rename" | "update" if self.table.containers().contains_key(id.as_str()) => {
                let started = self.table.containers()[id.as_str()].started;
                let container = self.table.container(&name, &image, labels, started);
                self.table.insert(id, container)
            }
            "die" | "destroy" => self.table.remove(&id),
            _ => false,
        }
    }

    fn publish(&mut self) {
        self.names.containers = self.table.containers().clone();
        self.names.dropped = self.table.dropped();
        self.tx.send_replace(Arc::new(self.names.clone()));
    }
}

fn events_since(seconds: u64) -> EventsOptions {
    let actions = ["start", "die", "destroy", "rename", "update"].map(str::to_owned).to_vec();
    let filters =
        [("type".to_owned(), vec!["container".to_owned()]), ("event".to_owned(), actions)];
    EventsOptions { since: Some(seconds.to_string()), until: None, filters: Some(filters.into()) }
}

/// The name of a container among all that it goes by: `/db`, where `/api/db` is what the container
/// `api`, which is linked to it, calls it.
fn own_name(names: &[String]) -> &str {
    let bare = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    bare.min_by_key(|name| (name.matches('/').count(), name.len())).unwrap_or_default()
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The wait after so many failures in a row.
fn wait(failures: u32) -> Duration {
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    doubled(WAIT, failures, u64::from(nanos / 1000)).max(WAIT.0)
}

#[cfg(test)]
mod tests;
