//! A made-up node of any size, as the engine would publish it.

use probelet_agent::discover::Limiter;
use probelet_agent::snapshot::{CpuTime, Intervals, Skip, Snapshot, Task, Vitals};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Socket, SourceKind, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Picture, Report};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The node and what the agent knows of it.
pub(crate) struct Node {
    facts: Facts,
    report: Report,
    pass: u64,
}

impl Node {
    /// A node with so many connections, 20 of them to a process; every fourth process is in one of
    /// five containers.
    pub(crate) fn new(connections: u32) -> Self {
        let mut facts =
            Facts { netns: vec![Netns { inode: 7, ..Netns::default() }], ..Facts::default() };
        for n in 0..5 {
            let id = format!("{n:x}").repeat(64);
            facts.containers.push(Container { id, ..Container::default() });
        }
        for n in 0..connections.div_ceil(20).max(1) {
            let container = (n % 4 == 0).then_some(ContainerId(n / 4 % 5));
            let comm = Comm::new(format!("worker-{}", n % 50).as_bytes());
            let process = Process {
                pid: 1000 + n,
                netns: 7,
                threads: 1,
                open_fds: Some(20),
                cpu_ns: 1_500_000_000,
                rss_bytes: 1 << 20,
                container,
                comm,
                ..Process::default()
            };
            facts.processes.push(process);
        }
        for n in 0..connections {
            let local = Endpoint::v4(Ipv4Addr::from(0x0a00_0000 + n), 40_000);
            let remote = Endpoint::v4(Ipv4Addr::from(0xc000_0000 + n % 500), 443);
            let socket = Socket {
                netns: 7,
                inode: n + 1,
                pid: 1000 + n / 20,
                local,
                remote,
                bytes_sent: Some(123_456),
                bytes_received: Some(u64::from(n)),
                ..Socket::default()
            };
            facts.sockets.push(socket);
        }
        let limits = Limits { sockets: 300_000, ..Limits::default() };
        Self { facts, report: Report::new(limits, PortRange::default()), pass: 0 }
    }

    /// One pass, in which the first `moved` connections moved some bytes.
    pub(crate) fn pass(&mut self, moved: usize) -> Arc<Snapshot> {
        self.pass += 1;
        for socket in self.facts.sockets.iter_mut().take(moved) {
            socket.bytes_sent = socket.bytes_sent.map(|b| b + 1000);
        }
        self.facts.fresh = Some(Want::Everything);
        let now = Now {
            unix_ms: 1_700_000_000_000 + self.pass * 1000,
            mono_ms: 10_000 + self.pass * 1000,
        };
        self.report.update(&self.facts, now);
        Arc::new(snapshot(self.report.picture(now)))
    }
}

/// Before the first pass.
pub(crate) fn empty() -> Arc<Snapshot> {
    Arc::new(snapshot(Picture::default()))
}

pub(crate) fn snapshot(picture: Picture) -> Snapshot {
    let second = Intervals { sockets: 1.0, processes: 1.0, containers: 10.0, bytes: 10.0 };
    let vitals = Vitals {
        source_kind: SourceKind::Bpf,
        cpu_cores: 0.001,
        budget_cores: 0.005,
        // So long that no test waits for its part of the budget, however slow the machine and the build.
        window_seconds: 60_000.0,
        cpu: [CpuTime { user: 1.0, system: 2.0 }; Task::ALL.len()],
        rss_bytes: 12 << 20,
        desired: second,
        effective: second,
        freshness_seconds: 1.0,
        verified_unix: 1_700_000_000.0,
        full_pass_cpu: 0.001,
        skipped: [3; Skip::ALL.len()],
        limiter_wait_seconds: [
            (Limiter::ProcfsReads, 0.0),
            (Limiter::Fds, 0.5),
            (Limiter::Netns, 0.0),
        ],
        config_generation: 1,
        config_hash: "abc".to_owned(),
        config_origin: "defaults".to_owned(),
        started_unix: 1_699_999_000.0,
        ..Vitals::default()
    };
    Snapshot { node: "node-1".into(), boot_unix: 1_600_000_000.0, clock_steps: 0, picture, vitals }
}
