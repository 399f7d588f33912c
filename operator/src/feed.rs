//! Feed: hands each node's agent the pods of its own node, so that no agent needs to read those of the whole cluster.
//!
//! ```text
//! API server ─ one watch of all pods ─▶ source ─ pod ─▶ store ─▶ answer ─▶ serve ─ TLS ─▶ agents
//!            ◀─ whose token is this? ── caller ◀───────────┘        places, certificate
//! ```
//! In: flags, a client. Out: HTTPS on a port of its own: list and watch as the API server has them, of the pods of the node that
//! the caller's token is bound to. Every replica serves, not only the one that leads. It must not hand out pods of another
//! node, anything of a pod that agents do not read, or hold more for a slow reader than for a quick one.
//!
//! On a thread of its own: handshakes of strangers must not keep the leader from renewing its Lease.
//!
//! I/O: a listening socket, a watch and reviews of tokens at the API server, a Secret.

mod answer;
mod caller;
mod certificate;
mod places;
mod pod;
mod serve;
mod source;
mod store;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::{Client, Config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::metrics::feed::Feed as Figures;
use crate::{admin, connect};
pub use caller::Agents;
use caller::Callers;
use certificate::Shown;
use places::Connections;
use store::{Bounds, Store};

/// What is handed out may be so old before a new watch is refused; the API server sends a bookmark a minute.
const FRESH: Duration = Duration::from_mins(3);

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to serve.
    pub listen: SocketAddr,
    /// The Secret with the certificate to show.
    pub secret: String,
    /// Whom to serve.
    pub agents: Agents,
}

/// Why the feed cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error(transparent)]
    Listen(#[from] admin::Error),
    /// What it is made of cannot be set up.
    #[error("cannot set up the feed: {0}")]
    Setup(String),
}

/// What all connections share.
struct Hub {
    store: RefCell<Store>,
    callers: Callers,
    places: RefCell<Connections>,
    figures: Figures,
    /// When the API server was last heard of.
    heard: Cell<Option<Instant>>,
    failing: Cell<bool>,
}

impl Hub {
    fn new(client: Client, agents: Agents, figures: Figures) -> Result<Self, Error> {
        let callers = Callers::new(client, agents).map_err(|_| {
            Error::Setup("there are no random numbers to remember tokens by".to_owned())
        })?;
        Ok(Self {
            store: RefCell::new(Store::new(Bounds::default())),
            callers,
            places: RefCell::new(Connections::new()),
            figures,
            heard: Cell::default(),
            failing: Cell::default(),
        })
    }

    /// The API server was heard of.
    fn heard(&self) {
        self.heard.set(Some(Instant::now()));
        self.figures.heard();
        if self.failing.replace(false) {
            info!("the API server responds again: the feed is current");
        }
    }

    /// The watch of the pods failed.
    fn failed(&self, error: &str) {
        self.figures.watch_errors.inc();
        if !self.failing.replace(true) {
            warn!(error, "cannot follow the pods of the cluster: what the feed hands out ages");
        }
    }

    /// Whether what is handed out is as the cluster is now.
    fn is_fresh(&self) -> bool {
        self.heard.get().is_some_and(|heard| heard.elapsed() < FRESH)
    }

    fn show(&self) {
        let (pods, bytes) = self.store.borrow().held();
        self.figures.held(pods, bytes);
    }
}

/// Serves on a thread of its own until it is to stop; the receiver gets the reason if it ends before.
///
/// # Errors
/// The port is taken, or the thread cannot be started.
pub async fn start(
    wanted: Wanted,
    (config, proxy): (Config, Option<String>),
    namespace: String,
    metrics: &Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Result<oneshot::Receiver<String>, Error> {
    // Bound here, so that a port in use ends the operator at once.
    let listener = admin::bind(wanted.listen).await?;
    let listener = listener.into_std().map_err(|error| Error::Setup(error.to_string()))?;
    open_files();
    let figures = metrics.feed.clone();
    let (end, ended) = oneshot::channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let client = connect::client(config, proxy.as_deref())
                    .map_err(|error| format!("{error:#}"))?;
                let listener = tokio::net::TcpListener::from_std(listener)
                    .map_err(|error| error.to_string())?;
                run(wanted, client, namespace, figures, listener, stop)
                    .await
                    .map_err(|error| error.to_string())
            })
        });
        if let Err(why) = outcome {
            // No one waits for it if the operator is ending anyway.
            let _gone = end.send(why);
        }
    };
    let thread = std::thread::Builder::new().name("probelet-feed".to_owned()).spawn(run);
    thread.map_err(|error| Error::Setup(error.to_string()))?;
    Ok(ended)
}

/// A connection is an open file, and there is one for each node: runtimes set the limit that counts to 1,024, and leave the one up
/// to which a process may raise it much higher.
fn open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, limit = limit.current, "cannot raise the limit of open files: it bounds how many agents are served");
    }
}

async fn run(
    wanted: Wanted,
    client: Client,
    namespace: String,
    figures: Figures,
    listener: tokio::net::TcpListener,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let hub = std::rc::Rc::new(Hub::new(client.clone(), wanted.agents, figures)?);
    let shown = Arc::new(Shown::default());
    let tls = certificate::acceptor(Arc::clone(&shown))
        .map_err(|error| Error::Setup(error.to_string()))?;
    info!(address = %wanted.listen, "handing out pods to agents");
    tokio::select! {
        never = source::follow(client.clone(), &hub) => match never {},
        never = certificate::follow(client, &namespace, &wanted.secret, &shown) => match never {},
        never = serve::serve(listener, tls, std::rc::Rc::clone(&hub)) => match never {},
        // A sender that is gone has said so, too.
        _stopped = async { stop.wait_for(|&stop| stop).await.is_ok() } => Ok(()),
    }
}
