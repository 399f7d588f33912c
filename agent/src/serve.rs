//! Publish: serves the picture of the node, the metrics and the agent's own profiles over HTTP.
//!
//! In: a `watch` of snapshots and one of container names. Out: answers. It must not read the
//! kernel or keep a request from being bounded: connections, bytes of a request, time for each
//! step, memory of an answer and CPU time all have their limit.
//!
//! I/O: one listening socket. One task per connection, on the caller's runtime, whose thread does nothing else: it sleeps
//! when the readers' share of the budget is used up.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod http;
mod listener;
mod metrics;
pub(crate) mod report;
pub(crate) mod sight;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "the fuzzer takes the snapshots alone"))]
pub(crate) mod testing;

use crate::args::Address;
use crate::clock::boot_ns;
use crate::kube::FeedStatus;
use crate::node_probe::NodeProbe;
use crate::snapshot::Snapshot;
use http::auth::{Guard, Peer};
use http::cost::{Admission, Admit, Cost, Learned};
use http::places::{Known, Place, Places};
use http::readers_share::{Paid, ReadersShare};
use http::tls::Tls;
use http::{connection, profile, watch};
use listener::Stream;
use metrics::http::Counters;
use probelet_core::display::{ContainerNames, DisplayNames};
use probelet_runtime::listen::instead;
use report::kept::Kept;
use report::span::Span;
use report::{filter, query, render};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

pub use listener::{Detached, Listener, bind as bind_at};
pub use metrics::{SeriesLimits, Shown};

/// Connections that wait in the kernel while no one is let in. More would wait for longer than anybody is patient.
const BACKLOG: u32 = 128;
/// Whole reports under way at a time, some 200 KiB each; the others wait their turn.
const RENDERERS: usize = 24;
/// How long connections may take to end once the agent is to.
const GRACE: Duration = Duration::from_millis(800);
/// Accepting fails when file descriptors run out: then try again that often.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Why the agent cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}; {}", reason(source), advice(source, address, flag))]
    Listen {
        /// The flag that chooses it.
        flag: &'static str,
        /// The address that was asked for.
        address: Address,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface has that address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn advice(error: &io::Error, address: &Address, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied if matches!(address, Address::Unix(_)) => {
            format!("choose a directory that this user may write to with {flag}")
        }
        io::ErrorKind::AddrInUse => {
            format!("choose another with {flag} or stop the process that has it")
        }
        io::ErrorKind::PermissionDenied => format!("choose a port of 1024 or more with {flag}"),
        _ => format!("choose another with {flag}"),
    }
}

/// Listens on `address`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address, BACKLOG).map_err(|source| Error::Listen {
        flag: "--listen",
        address: Address::Tcp(address),
        source,
    })
}

/// On a kernel without IPv6, `[::]` is everywhere by IPv4.
fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    listen_at(address, backlog).or_else(|error| match instead(address, &error) {
        Some(other) => listen_at(other, backlog),
        None => Err(error),
    })
}

fn listen_at(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// What the server needs.
pub struct Parts {
    /// The newest picture.
    pub snapshots: channel::Receiver<Arc<Snapshot>>,
    /// Names of containers.
    pub names: channel::Receiver<Arc<ContainerNames>>,
    /// `spec.metrics`, as it is now.
    pub series: Arc<dyn Fn() -> SeriesLimits + Send + Sync>,
    /// Whether the budget has room for a request.
    pub admit: Admit,
    /// Whether `/debug/pprof` is there.
    pub debug_pprof: bool,
    /// Whether the page for browsers is there.
    pub web: bool,
    /// How the Kubernetes feed is doing, if there is one.
    pub kubernetes: Option<Arc<FeedStatus>>,
    /// How the agent gets on with its `NodeProbe`, if it has one.
    pub node_probe: Option<NodeProbe>,
    /// Who may read; without it everybody may.
    pub auth: Option<Guard>,
    /// HTTPS; without it HTTP.
    pub tls: Option<Tls>,
}

/// The server's state.
pub struct State(Arc<Shared>);

impl State {
    /// A server that has not yet answered anything. Turns the heap profiler on if profiles are
    /// asked for.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            snapshots,
            names,
            series,
            admit,
            debug_pprof,
            web,
            kubernetes,
            node_probe,
            auth,
            tls,
        } = parts;
        if debug_pprof {
            profile::activate();
        }
        let node = snapshots.borrow().node.to_string();
        let own_names = vec![node.clone()];
        Self(Arc::new(Shared {
            node,
            own_names,
            began_ns: boot_ns(),
            snapshots,
            names,
            series,
            admit,
            debug_pprof,
            web,
            kubernetes,
            node_probe,
            auth,
            tls,
            limits: watch::Limits::default(),
            labels: Mutex::default(),
            learned: Mutex::default(),
            kept: Mutex::default(),
            metrics: Mutex::default(),
            http: Counters::default(),
            renderers: Arc::new(Semaphore::new(RENDERERS)),
            profiler: Arc::new(Semaphore::new(1)),
        }))
    }
}

/// What all connections share. Locks are held for a moment, never while waiting.
pub(crate) struct Shared {
    /// The node, as its `NodeProbe` is called.
    node: String,
    /// What this machine is called, besides localhost.
    own_names: Vec<String>,
    began_ns: u64,
    snapshots: channel::Receiver<Arc<Snapshot>>,
    names: channel::Receiver<Arc<ContainerNames>>,
    series: Arc<dyn Fn() -> SeriesLimits + Send + Sync>,
    admit: Admit,
    debug_pprof: bool,
    web: bool,
    kubernetes: Option<Arc<FeedStatus>>,
    node_probe: Option<NodeProbe>,
    auth: Option<Guard>,
    tls: Option<Tls>,
    limits: watch::Limits,
    labels: Mutex<Arc<DisplayNames>>,
    learned: Mutex<Learned>,
    /// The last whole report that was sent encoded to who may see all of it.
    kept: Mutex<Option<Kept>>,
    metrics: Mutex<metrics::Metrics>,
    http: Counters,
    renderers: Arc<Semaphore>,
    profiler: Arc<Semaphore>,
}

impl Shared {
    fn labels(&self, snapshot: &Snapshot) -> Arc<DisplayNames> {
        let picture = &snapshot.picture;
        let names = Arc::clone(&self.names.borrow());
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        *labels = DisplayNames::refresh(&labels, picture, &names);
        Arc::clone(&labels)
    }

    fn learn(&self, full: bool, records: usize, cpu: Duration) {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).learn(full, records, cpu);
    }

    fn keep(&self, report: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learned(&self) -> Learned {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until `stop` is true, then at most one second more.
pub async fn serve(listener: impl Into<Listener>, state: State, mut stop: channel::Receiver<bool>) {
    let listener = listener.into();
    let State(shared) = state;
    let readers_share = ReadersShare::new(
        Arc::clone(&shared.admit),
        shared.snapshots.clone(),
        stop.clone(),
        shared.http.rested.clone(),
    );
    let mut intake = Intake {
        shared,
        readers_share: Arc::new(readers_share),
        places: Places::default(),
        inside: JoinSet::new(),
    };
    let (stopped, mut shut) = (stop.clone(), None);
    loop {
        tokio::select! {
            () = until_stopped(&mut stop) => break,
            Some(ended) = intake.inside.join_next_with_id(), if !intake.inside.is_empty() => {
                intake.places.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            () = sleep_until(shut.unwrap_or_else(Instant::now)), if shut.is_some() => {
                shut = intake.shut();
            }
            accepted = listener.accept(), if shut.is_none() => {
                match accepted {
                    Ok((socket, peer)) => intake.enter(socket, peer, &stopped),
                    Err(error) => {
                        warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
                shut = intake.shut();
            }
        }
        intake.readers_share.pay(None);
    }
    drop(listener);
    let mut inside = intake.inside;
    let drained = async { while inside.join_next().await.is_some() {} };
    if timeout(GRACE, drained).await.is_err() {
        inside.shutdown().await;
    }
}

/// Who is in, and what is paid for them.
struct Intake {
    shared: Arc<Shared>,
    readers_share: Arc<ReadersShare>,
    places: Places,
    inside: JoinSet<()>,
}

impl Intake {
    fn enter(&mut self, socket: Stream, peer: Peer, stopped: &channel::Receiver<bool>) {
        match self.places.make_room(peer.ip) {
            None => return self.shared.http.closed("limit"),
            Some(true) => self.shared.http.closed("evicted"),
            Some(false) => {}
        }
        let (phase, known) = (watch::Phase::new(self.shared.limits), Known::default());
        let (shared, signs) = (Arc::clone(&self.shared), (phase.clone(), known.clone()));
        let work = connection::run(socket, peer, shared, signs, stopped.clone());
        let task = self.inside.spawn(Paid::new(work, Arc::clone(&self.readers_share), peer.ip));
        self.places.take(Place { peer: peer.ip, phase, known, task });
    }

    /// Until when no one new is let in, if so.
    fn shut(&self) -> Option<Instant> {
        match (self.shared.admit)(Cost::Accept) {
            Admission::Granted => None,
            Admission::RetryAfter(wait) => Some(Instant::now() + wait),
        }
    }
}

/// Waits until the agent is to stop, or its sender is gone.
async fn until_stopped(stop: &mut channel::Receiver<bool>) {
    drop(stop.wait_for(|&stop| stop).await);
}

/// The full report as one text, for those who do not ask over HTTP.
#[must_use]
pub fn full_report(snapshot: &Arc<Snapshot>, names: &Arc<ContainerNames>) -> Vec<u8> {
    let picture = &snapshot.picture;
    let labels = DisplayNames::refresh(&Arc::default(), picture, names);
    let sieve = filter::Sieve::new(query::Filter::default(), &labels);
    let span = Span::Full { since: None };
    let mut renderer = render::Renderer::new(Arc::clone(snapshot), labels, sieve, span);
    let (mut text, mut piece) = (Vec::new(), Vec::new());
    loop {
        let more = renderer.piece(&mut piece);
        text.append(&mut piece);
        if !more {
            return text;
        }
    }
}
