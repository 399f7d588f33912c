//! Names for all that shows some: Docker's, where there is a Docker, and the cluster's for `once`, which makes a
//! single pass.
//!
//! In: Docker's socket, if it is to be asked, or an API server. Out: the names, as they change. It must not hold
//! anything up: without an answer there are short ids.
//!
//! I/O: through [`super::docker`], with the feature `docker`, and [`crate::kube`].

use super::{Feed, Operator};
use crate::config::Effective;
use crate::kube::{Access, Connection, FeedStatus, Timing, operator};
use probelet_core::cluster::objects::Event;
use probelet_core::display::ContainerNames;
#[cfg(feature = "docker")]
use probelet_core::text::clean;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};

/// Where the operator's feed is and by whom its certificate is signed is asked again at most so often: an operator that is away
/// would otherwise have all agents ask the API server.
const FEED_RENEW: Duration = Duration::from_mins(3);

/// Follows Docker's names for as long as anybody looks at them.
pub(crate) fn follow(socket: Option<PathBuf>) -> watch::Receiver<Arc<ContainerNames>> {
    let (sender, receiver) = watch::channel(Arc::new(ContainerNames::default()));
    match socket {
        #[cfg(feature = "docker")]
        Some(socket) => {
            let (docker, mut seen) = watch::channel(Arc::default());
            spawn_local(super::docker::follow(socket, docker));
            spawn_local(async move {
                while seen.changed().await.is_ok() {
                    let names = adapt(&seen.borrow_and_update());
                    sender.send_replace(Arc::new(names));
                }
            });
        }
        // The sender must live as long as the readers: a closed channel is an end to them.
        _ => drop(spawn_local(async move { sender.closed().await })),
    }
    receiver
}

/// Follows the cluster, if there is one, on a thread of its own, until no one wants to know: for a
/// single look, which has no runtime.
pub(crate) fn follow_cluster(
    access: Option<Access>,
    operator: Option<&crate::args::Feed>,
    node: Arc<str>,
    config: watch::Receiver<Arc<Effective>>,
    events: mpsc::Sender<Vec<Event>>,
) {
    let Some(access) = access else { return };
    let timing = Timing { start: Duration::ZERO, ..Timing::default() };
    let connection = Arc::new(Connection::new(access, timing.renew, timing.gather));
    let feed = Feed {
        operator: operator.map(|feed| of_operator(feed, &connection, &timing)),
        connection,
        snapshots: None,
        node,
        config,
        status: Arc::new(FeedStatus::default()),
        pace: Arc::new(|_| None),
        timing,
    };
    let follow = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            LocalSet::new().block_on(&runtime, super::follow(feed, events));
        }
    };
    // Without the thread, the look waits without success for a while and shows no names.
    drop(thread::Builder::new().name("probelet-feed".to_owned()).spawn(follow));
}

/// Where the operator hands out this node's pods.
pub(crate) fn of_operator(
    feed: &crate::args::Feed,
    api: &Arc<Connection>,
    timing: &Timing,
) -> Operator {
    let place = feed.place.clone();
    let connection = operator::feed(Arc::clone(api), place, FEED_RENEW, timing.gather);
    Operator { connection: Arc::new(connection), fallback: feed.fallback }
}

/// The names as they are now, waiting for Docker for a moment at most.
#[cfg(feature = "docker")]
pub(crate) fn now(socket: Option<PathBuf>) -> Arc<ContainerNames> {
    use super::docker::State;
    let Some(socket) = socket.filter(|path| path.exists()) else { return Arc::default() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Arc::default();
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (docker, mut seen) = watch::channel(Arc::default());
        spawn_local(super::docker::follow(socket, docker));
        let connected = seen.wait_for(|docker| matches!(docker.state, State::Connected));
        match tokio::time::timeout(Duration::from_secs(2), connected).await {
            Ok(Ok(docker)) => Arc::new(adapt(&docker)),
            _ => Arc::default(),
        }
    })
}

/// Without Docker no one is asked.
#[cfg(not(feature = "docker"))]
pub(crate) fn now(_: Option<PathBuf>) -> Arc<ContainerNames> {
    Arc::default()
}

#[cfg(feature = "docker")]
fn adapt(docker: &super::docker::DockerNames) -> ContainerNames {
    use probelet_core::display::ContainerName;
    let containers = docker.containers.iter().map(|(id, known)| {
        let text = |text: &String| clean(text).into_owned();
        let labels = known.labels.iter().map(|(key, value)| (text(key), text(value))).collect();
        let (name, image) = (text(&known.name), text(&known.image));
        (text(&id.to_string()), ContainerName { name, image, labels })
    });
    ContainerNames(containers.collect())
}
