//! A server over a made-up node, and a client that reads answers byte for byte.

use probelet_agent::args::Address;
use probelet_agent::serve::http::auth::{Auth, Guard};
use probelet_agent::serve::http::cost::{Admission, Cost};
use probelet_agent::serve::http::tls::Tls;
use probelet_agent::serve::{Parts, SeriesLimits, State, bind, bind_at, serve};
use probelet_agent::snapshot::Snapshot;
use probelet_core::display::ContainerNames;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
    _names: watch::Sender<Arc<ContainerNames>>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

async fn launch(
    snapshot: Arc<Snapshot>,
    series: SeriesLimits,
    [debug_pprof, web]: [bool; 2],
    admit: impl Fn(Cost) -> Admission + Send + Sync + 'static,
    auth: Option<Guard>,
    tls: Option<Tls>,
) -> Server {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (snapshots, seen) = watch::channel(snapshot);
    let (sender, named) = watch::channel(Arc::new(ContainerNames::default()));
    let (stop, stopping) = watch::channel(false);
    let server = State::new(Parts {
        snapshots: seen,
        names: named,
        series: Arc::new(move || series),
        admit: Arc::new(admit),
        debug_pprof,
        web,
        kubernetes: None,
        node_probe: None,
        auth,
        tls,
    });
    let task = tokio::spawn(serve(listener, server, stopping));
    // The server begins.
    tokio::task::yield_now().await;
    Server { address, snapshots, stop, task, _names: sender }
}

/// Starts a server at a file, and gives back where; the sender ends it.
pub(crate) fn start_at_file(
    snapshot: Arc<Snapshot>,
    path: &std::path::Path,
) -> (watch::Sender<bool>, JoinHandle<()>) {
    let listener = bind_at(&Address::Unix(path.to_owned())).unwrap();
    let (stop, stopping) = watch::channel(false);
    let server = State::new(Parts {
        snapshots: watch::channel(snapshot).1,
        names: watch::channel(Arc::new(ContainerNames::default())).1,
        series: Arc::new(SeriesLimits::default),
        admit: Arc::new(|_| Admission::Granted),
        debug_pprof: false,
        web: false,
        kubernetes: None,
        node_probe: None,
        auth: None,
        tls: None,
    });
    (stop, tokio::spawn(serve(listener, server, stopping)))
}

/// Starts a server that asks for tokens.
pub(crate) async fn start_behind(
    snapshot: Arc<Snapshot>,
    auth: Option<Auth>,
    tls: Option<Tls>,
) -> Server {
    start_guarded(snapshot, auth.map(Guard::from), tls).await
}

/// The same, no matter who decides.
pub(crate) async fn start_guarded(
    snapshot: Arc<Snapshot>,
    guard: Option<Guard>,
    tls: Option<Tls>,
) -> Server {
    let admit = |_| Admission::Granted;
    launch(snapshot, SeriesLimits::default(), [false; 2], admit, guard, tls).await
}

/// Starts a server with the page for browsers.
pub(crate) async fn start_web(snapshot: Arc<Snapshot>, auth: Option<Auth>) -> Server {
    let admit = |_| Admission::Granted;
    launch(snapshot, SeriesLimits::default(), [false, true], admit, auth.map(Guard::from), None)
        .await
}

pub(crate) async fn start_with(
    snapshot: Arc<Snapshot>,
    series: SeriesLimits,
    debug_pprof: bool,
    admit: impl Fn(Cost) -> Admission + Send + Sync + 'static,
) -> Server {
    launch(snapshot, series, [debug_pprof, false], admit, None, None).await
}

pub(crate) async fn start(snapshot: Arc<Snapshot>) -> Server {
    start_with(snapshot, SeriesLimits::default(), false, |_| Admission::Granted).await
}

impl Server {
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &str) -> Reply {
        let socket = TcpStream::connect(self.address).await.unwrap();
        ask(socket, method, target, headers).await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "").await
    }
}

/// One request on a connection that ends with it.
pub(crate) async fn ask(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    target: &str,
    headers: &str,
) -> Reply {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw).await.unwrap();
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    let body = raw[end + 4..].to_vec();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked") && method != "HEAD";
    let body = if chunked { unchunk(&body) } else { body };
    Reply { status, head, body }
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let line = raw.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&raw[line + 2..line + 2 + size]);
        raw = &raw[line + 4 + size..];
    }
}
