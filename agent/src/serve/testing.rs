//! For tests: a snapshot of a healthy agent, and a server with limits of one's own.
//!
//! I/O: sockets on loopback.

#![allow(clippy::unwrap_used, reason = "for tests: a failure is a failed test")]

mod everything;
#[cfg(test)]
pub(crate) mod hostile;

use super::{Parts, SeriesLimits, Shared, State, serve};
use crate::discover::Limiter;
use crate::serve::http::cost::Admission;
use crate::serve::http::watch::Limits;
use crate::snapshot::{CpuTime, Intervals, ShortLived, Skip, Snapshot, Task, Vitals};
use probelet_core::facts::{Endpoint, Facts, Process, Socket, SourceKind, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{self, Now, Picture, Report};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use everything::everything;
#[cfg(test)]
pub(crate) use everything::talking_to;

/// The snapshot.
pub(crate) fn snapshot() -> Snapshot {
    let second = Intervals { sockets: 1.0, processes: 1.0, containers: 10.0, bytes: 10.0 };
    let vitals = Vitals {
        source_kind: SourceKind::Netlink,
        refused: ["bpf: loading was refused (EPERM): CAP_BPF is missing".to_owned()].into(),
        cpu_cores: 0.001,
        budget_cores: 0.005,
        window_seconds: 60.0,
        cpu: [CpuTime { user: 1.0, system: 2.0 }; Task::ALL.len()],
        rss_bytes: 12 << 20,
        desired: second,
        effective: second,
        freshness_seconds: 1.0,
        verified_unix: 1_700_000_000.0,
        full_pass_cpu: 0.001,
        short_lived: ShortLived {
            reason: Some("reporting each end needs 55m at this rate of connections".into()),
            needs_cores: Some(0.055),
            messages: 400,
            overruns: 1,
            worker_seconds: 0.002,
            ..ShortLived::default()
        },
        skipped: [3; Skip::ALL.len()],
        limiter_wait_seconds: [
            (Limiter::ProcfsReads, 0.0),
            (Limiter::Fds, 0.5),
            (Limiter::Netns, 0.0),
        ],
        config_generation: 1,
        config_hash: "abc".to_owned(),
        config_origin: "defaults".to_owned(),
        started_unix: 1_699_999_000.5,
        ..Vitals::default()
    };
    Snapshot {
        node: "node-1".into(),
        boot_unix: 1_600_000_000.0,
        clock_steps: 0,
        picture: Picture::default(),
        vitals,
    }
}

/// A node of so many connections.
pub(crate) fn big(connections: u32) -> Snapshot {
    let process = Process { pid: 42, netns: 7, ..Process::default() };
    let socket = |n| Socket {
        netns: 7,
        inode: n + 1,
        pid: 42,
        local: Endpoint::v4(Ipv4Addr::from(0x0a00_0000 + n), 40_000),
        remote: Endpoint::v4(Ipv4Addr::from(0xc000_0200 + n), 443),
        ..Socket::default()
    };
    let sockets = (0..connections).map(socket).collect();
    let fresh = Some(Want::Everything);
    let facts = Facts { fresh, processes: vec![process], sockets, ..Facts::default() };
    let mut report = Report::new(report::Limits::default(), PortRange::default());
    report.update(&facts, Now::default());
    Snapshot { picture: report.picture(Now::default()), ..snapshot() }
}

/// A node where the flow to port 80 sends two in a hundred segments again, that to port 443 none, and where the
/// queue of the listener at port 8080 stays full.
#[cfg(test)]
pub(crate) fn sick() -> Snapshot {
    use probelet_core::facts::{self, Quality, Queue, Role, Tcp};
    let process = Process { pid: 42, netns: 7, ..Process::default() };
    let own = |port| Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), port);
    let socket = |inode, port: u16, retransmitted| {
        let quality = Quality { rtt_us: 20_500, retransmitted, segments: 1000 };
        Socket {
            netns: 7,
            inode,
            pid: 42,
            local: own(40_000 + port),
            remote: Endpoint::v4(Ipv4Addr::new(10, 0, 0, 2), port),
            role: Role::Dialled,
            tcp: Tcp::Quality(quality),
            ..Socket::default()
        }
    };
    let tcp = Tcp::Queue(Queue { waiting: 129, most: 128 });
    let full = Socket {
        local: own(8080),
        remote: own(0),
        state: facts::State::Listen,
        tcp,
        ..socket(3, 0, 0)
    };
    let of = |sockets| {
        let fresh = Some(Want::Everything);
        Facts { fresh, processes: vec![process], sockets, ..Facts::default() }
    };
    let mut report = Report::new(report::Limits::default(), PortRange::default());
    let at = |ms| Now { unix_ms: ms, mono_ms: ms };
    report.update(&of(vec![full]), at(1000));
    report.update(&of(vec![full, socket(1, 80, 20), socket(2, 443, 0)]), at(2000));
    Snapshot { picture: report.picture(at(2000)), ..snapshot() }
}

/// A scrape.
#[cfg(test)]
pub(crate) fn metrics(
    snapshot: &Arc<Snapshot>,
    names: &Arc<probelet_core::display::ContainerNames>,
) -> String {
    let labels =
        probelet_core::display::DisplayNames::refresh(&Arc::default(), &snapshot.picture, names);
    super::metrics::text(snapshot, &labels)
}

/// A server under test.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: watch::Sender<bool>,
}

/// Serves one snapshot. A peer's part of the budget lasts for any machine here: who waits for his part is tried elsewhere.
pub(super) async fn start(mut snapshot: Snapshot, limits: Limits) -> Server {
    snapshot.vitals.window_seconds = 60_000.0;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let parts = Parts {
        snapshots: watch::channel(Arc::new(snapshot)).1,
        names: watch::channel(Arc::default()).1,
        series: Arc::new(SeriesLimits::default),
        admit: Arc::new(|_| Admission::Granted),
        debug_pprof: false,
        web: false,
        kubernetes: None,
        node_probe: None,
        auth: None,
        tls: None,
    };
    let mut state = State::new(parts);
    Arc::get_mut(&mut state.0).unwrap().limits = limits;
    let shared = Arc::clone(&state.0);
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(serve(listener, state, stopping));
    Server { address, shared, _stop: stop }
}

impl Server {
    /// A client.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connections closed for this reason.
    pub(crate) fn closed(&self, reason: &str) -> u64 {
        self.shared.http.closed_for(reason)
    }

    /// Reports that could be rendered now.
    pub(crate) fn renderers(&self) -> usize {
        self.shared.renderers.available_permits()
    }
}

/// Whether the server ends the connection within five seconds.
pub(crate) async fn closed(client: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), client.read_to_end(&mut rest)).await.is_ok()
}
