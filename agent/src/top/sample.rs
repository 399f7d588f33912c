//! A small node for tests, at any second of its life.
//!
//! In: a second. Out: a snapshot in which counters have grown accordingly. It must not be built
//! into the agent.
//!
//! Pure: no I/O.

use super::draw::draw;
use super::state::{Fitted, Key, State as Settings};
use super::view::View;
use crate::discover::Limiter;
use crate::snapshot::{BUCKETS, CpuTime, Histogram, Intervals, Snapshot, Vitals};
use probelet_core::coverage::Count;
use probelet_core::display::ContainerNames;
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Loss, Losses, Process, Protocol, Runtime, SourceKind,
    State,
};
use probelet_core::records::{
    ConnectionRecord, ContainerRecord, Direction, FlowKey, FlowRecord, Health, ListenerRecord,
    Owner, Problems, ProcessRecord, Recent, Rtt, Workload,
};
use probelet_core::report::{Now, Picture};
use probelet_core::table::{Frozen, Table};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;
use tokio::sync::watch;

/// Unix time at which the sample's node was booted, milliseconds.
const BOOT_MS: u64 = 1_750_000_000_000;

/// A node of some size after an hour.
pub(crate) fn snapshot() -> Snapshot {
    at(3600, 40)
}

/// A node whose agent has not finished a pass.
pub(crate) fn empty() -> Snapshot {
    Snapshot { picture: Picture::default(), ..at(0, 0) }
}

/// A node of `size` processes, `second`s after boot.
pub(crate) fn at(second: u64, size: u32) -> Snapshot {
    Snapshot {
        node: "node-a.example".into(),
        boot_unix: 1_750_000_000.0,
        clock_steps: 0,
        picture: picture(second, size),
        vitals: vitals(second),
    }
}

fn frozen<T: Copy>(records: impl Iterator<Item = T>) -> Frozen<T> {
    let mut table = Table::new(usize::MAX);
    for record in records {
        assert!(table.insert(record, 1).is_ok(), "the table has no limit");
    }
    table.freeze()
}

fn picture(second: u64, size: u32) -> Picture {
    let mut losses = Losses::default();
    losses.add(Loss::Vanished, second / 7);
    losses.add(Loss::NoOwner, second / 30);
    let now = Now { unix_ms: BOOT_MS + second * 1000, mono_ms: second * 1000 };
    Picture {
        epoch: second,
        now,
        processes: frozen((0..size).map(|n| process(n, second))),
        connections: frozen((0..size * 10).map(|n| connection(n, second))),
        listeners: frozen((0..size / 4).map(listener)),
        containers: frozen((0..4.min(size)).map(|n| container(n, second))),
        flows: frozen((0..size).map(|n| flow(n, second))),
        names: (0..4).map(name).collect(),
        coverage: [
            Count { opened: 1208, observed: 1204 },
            Count { opened: second * 20, observed: second * 19 },
        ],
        losses,
        ..Picture::default()
    }
}

fn name(n: u32) -> Container {
    let id = format!("{:064x}", u128::from(n + 1) * 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    Container {
        id: id.chars().rev().collect(),
        runtime: Runtime::Containerd,
        ..Container::default()
    }
}

fn comm(n: u32) -> Comm {
    Comm::new(
        [&b"nginx"[..], b"postgres", b"redis-server", b"envoy", b"java", b"python3"]
            [n as usize % 6],
    )
}

fn owner(n: u32) -> Owner {
    Owner {
        pid: 1000 + n,
        comm: comm(n),
        container: (!n.is_multiple_of(3)).then_some(ContainerId(n % 4)),
        sibling: None,
    }
}

fn process(n: u32, second: u64) -> ProcessRecord {
    let fact = Process {
        pid: 1000 + n,
        ppid: 1,
        start_ns: u64::from(n) * 60_000_000_000,
        netns: 4_026_531_840 + n % 7,
        threads: 1 + n % 30,
        open_fds: (n != 3).then_some(n * 37 % 900),
        cpu_ns: second * 1_000_000 * u64::from(n * n % 97),
        rss_bytes: u64::from(n) << 21,
        container: owner(n).container,
        comm: comm(n),
        ..Process::default()
    };
    ProcessRecord { fact, changed: second }
}

fn remote(n: u32) -> Endpoint {
    let byte = |n: u32| u8::try_from(n % 250).unwrap_or(0);
    if n % 9 == 4 {
        return Endpoint::v6(
            format!("2001:db8:10:{n:x}::17").parse().unwrap_or(std::net::Ipv6Addr::LOCALHOST),
            443,
        );
    }
    Endpoint::v4([10, 244, byte(n / 250), byte(n)].into(), 5432)
}

fn port(n: u32) -> u16 {
    u16::try_from(32_768 + n % 28_000).unwrap_or(u16::MAX)
}

fn connection(n: u32, second: u64) -> ConnectionRecord {
    ConnectionRecord {
        id: u64::from(n),
        netns: 4_026_531_840 + n % 7,
        inode: n,
        protocol: if n % 13 == 12 { Protocol::Udp } else { Protocol::Tcp },
        state: if n % 11 == 10 { State::TimeWait } else { State::Established },
        direction: [
            Direction::Outbound,
            Direction::Inbound,
            Direction::Outbound,
            Direction::Unknown,
        ][n as usize % 4],
        local: Endpoint::v4([192, 168, 100, 20].into(), port(n)),
        remote: remote(n),
        owner: owner(n / 10),
        bytes: (!n.is_multiple_of(5)).then_some((second * u64::from(n), second * u64::from(n) * 7)),
        since_ms: BOOT_MS + (second * 1000).saturating_sub(u64::from(n) * 2500),
        ..ConnectionRecord::default()
    }
}

fn listener(n: u32) -> ListenerRecord {
    ListenerRecord {
        id: u64::from(n),
        netns: 4_026_531_840 + n % 7,
        local: Endpoint::v4([0, 0, 0, 0].into(), u16::try_from(8000 + n).unwrap_or(0)),
        owner: owner(n),
        since_ms: BOOT_MS,
        ..ListenerRecord::default()
    }
}

fn container(n: u32, second: u64) -> ContainerRecord {
    ContainerRecord {
        id: ContainerId(n),
        processes: 5 + n,
        cpu_ns: (n != 3).then_some(second * u64::from(n) * 120_000_000),
        memory_bytes: Some(u64::from(n + 1) * 77_000_000),
        changed: second,
    }
}

/// Of each eleventh flow something is sent again.
fn health(n: u32) -> Health {
    let recent = Recent { segments: 1000, retransmitted: u32::from(n % 11 == 10) * 25, failed: 0 };
    let (min_us, median_us, p99_us) = (90 + n, 200 + n, 4000 + n);
    let problems = Problems { lossy: recent.retransmitted > 0, failing: false };
    Health { rtt: Rtt { min_us, median_us, p99_us }, recent, problems, ..Health::default() }
}

fn flow(n: u32, second: u64) -> FlowRecord {
    let source = match n % 3 {
        0 => Workload::Process(comm(n)),
        _ => Workload::Container(ContainerId(n % 4)),
    };
    let destination = match n % 4 {
        0 => Workload::Container(ContainerId((n + 1) % 4)),
        3 => Workload::Unresolved,
        _ => Workload::External(remote(n).address()),
    };
    let port = if n % 8 == 7 { 0 } else { u16::try_from(5000 + n).unwrap_or(0) };
    FlowRecord {
        id: u64::from(n),
        key: FlowKey { source, destination, port, ..FlowKey::default() },
        current: n * 3 % 50,
        opened: second * u64::from(n % 5) + u64::from(n),
        closed: second * u64::from(n % 5),
        moved: [0; 2],
        bytes_sent: second * u64::from(n) * 1000,
        bytes_received: second * u64::from(n) * 90_000,
        health: health(n),
        active_ms: second * 1000,
        changed: second,
    }
}

/// The lines of every screen of a snapshot.
pub(crate) fn frames(snapshot: &Arc<Snapshot>, names: &Arc<ContainerNames>) -> Vec<String> {
    let view = View::new(Arc::clone(snapshot), watch::channel(Arc::clone(names)).1);
    let mut state = Settings::new(None, None).expect("no column is asked for");
    let (width, height) = (200, 60);
    state.fit(Fitted { height: 40, rows: 1000, width });
    let mut lines = Vec::new();
    for _ in 0..8 {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&state, &view, &mut buffer);
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        lines.extend((0..height).map(line));
        state.press(Key::Tab);
    }
    lines
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a sample")]
fn vitals(second: u64) -> Vitals {
    let mut passes = Histogram::default();
    passes.counts[1] = second;
    passes.counts[2] = second / 3;
    passes.counts[BUCKETS.len()] = 1;
    passes.sum = second as f64 * 0.000_3;
    let every = Intervals { sockets: 1.0, processes: 2.0, containers: 10.0, bytes: 10.0 };
    Vitals {
        source_kind: SourceKind::Netlink,
        refused: [
            "bpf refused at BPF_PROG_LOAD: CAP_BPF and CAP_PERFMON are missing".to_owned(),
            "bpf-compat refused at BPF_PROG_LOAD: CAP_BPF and CAP_PERFMON are missing".to_owned(),
        ]
        .into(),
        denied: true,
        cpu_cores: 0.0007,
        budget_cores: 0.005,
        window_seconds: 60.0,
        cpu: [
            CpuTime { user: 0.12, system: 1.4 },
            CpuTime { user: 0.61, system: 0.02 },
            CpuTime { user: 0.01, system: 0.0 },
            CpuTime { user: 0.2, system: 0.09 },
        ],
        rss_bytes: 11_700_000,
        desired: every,
        effective: Intervals { processes: 4.1, ..every },
        freshness_seconds: 1.0,
        verified_unix: 1_750_000_000.0 + second as f64,
        pass_duration: passes,
        pass_cpu: passes,
        full_pass_cpu: 0.000_71,
        skipped: [second, 0, 0, 0, 1],
        limiter_wait_seconds: [
            (Limiter::ProcfsReads, 0.0),
            (Limiter::Fds, 0.5),
            (Limiter::Netns, 0.0),
        ],
        config_generation: 1,
        config_hash: "1f2e3d4c".to_owned(),
        config_origin: "defaults".to_owned(),
        started_unix: 1_750_000_000.0,
        ..Vitals::default()
    }
}
