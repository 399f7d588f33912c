//! Cost of taking a pass in, by number of sockets: `join` is the first pass, in which every socket
//! is new and gets its owner, direction and flow; `diff` is a pass over the same sockets, in which
//! nothing changed; `churn` is one in which every hundredth connection is another one.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use probelet_core::facts::{Comm, Endpoint, Facts, Netns, Process, Socket, State, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use std::hint::black_box;
use std::net::Ipv4Addr;

const NETNS: u32 = 20;

/// Half of the sockets are client ends, half the accepted ones; 20 namespaces, 100 sockets a process.
fn facts(sockets: u32, churned: bool) -> Facts {
    let workers = (sockets / 100).max(2);
    let processes = (1..=workers).map(|pid| Process {
        pid,
        netns: pid % NETNS,
        start_ns: u64::from(pid),
        comm: Comm::new(format!("wl-{pid}").as_bytes()),
        ..Process::default()
    });
    let listeners = (1..=workers).map(|pid| Socket {
        netns: pid % NETNS,
        inode: pid,
        pid,
        state: State::Listen,
        local: Endpoint::v4(Ipv4Addr::UNSPECIFIED, port(20_000, pid)),
        ..Socket::default()
    });
    let pairs = (0..sockets / 2).flat_map(|n| {
        let (pid, renewed) = (n % workers + 1, churned && n.is_multiple_of(100));
        let client = Endpoint::v4(Ipv4Addr::new(127, 0, 0, byte(n / 20_000) + 1), port(32_768, n));
        let server =
            Endpoint::v4(Ipv4Addr::new(127, 0, 0, byte(n / 20_000) + 1), port(20_000, pid));
        let inode = workers + 2 * n + 1 + if renewed { 10_000_000 } else { 0 };
        let end = |inode, local, remote| Socket {
            netns: pid % NETNS,
            inode,
            pid,
            local,
            remote,
            ..Socket::default()
        };
        [end(inode, client, server), end(inode + 1, server, client)]
    });
    Facts {
        fresh: Some(Want::Everything),
        processes: processes.collect(),
        sockets: listeners.chain(pairs).collect(),
        netns: (0..NETNS).map(|inode| Netns { inode, ..Netns::default() }).collect(),
        ..Facts::default()
    }
}

fn port(base: u32, n: u32) -> u16 {
    u16::try_from(base + n % 20_000).unwrap_or(u16::MAX)
}

fn byte(n: u32) -> u8 {
    u8::try_from(n % 200).unwrap_or(0)
}

fn report() -> Report {
    let limits = Limits { sockets: 400_000, ..Limits::default() };
    Report::new(limits, PortRange::default())
}

fn benches(c: &mut Criterion) {
    let now = |second: u64| Now { unix_ms: second * 1000, mono_ms: second * 1000 };
    for sockets in [100, 1000, 10_000, 100_000] {
        let (first, churned) = (facts(sockets, false), facts(sockets, true));
        let mut group = c.benchmark_group("report");
        group.throughput(Throughput::Elements(u64::from(sockets)));
        group.bench_function(BenchmarkId::new("join", sockets), |b| {
            b.iter_batched_ref(
                report,
                |r| black_box(r.update(&first, now(1))),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("diff", sockets), |b| {
            let mut report = report();
            report.update(&first, now(1));
            b.iter(|| black_box(report.update(&first, now(2))));
        });
        group.bench_function(BenchmarkId::new("churn", sockets), |b| {
            let mut report = report();
            report.update(&first, now(1));
            let mut turn = 0_u64;
            b.iter(|| {
                turn += 1;
                let facts = if turn.is_multiple_of(2) { &first } else { &churned };
                black_box(report.update(facts, now(2)))
            });
        });
        group.finish();
    }
}

criterion_group!(report_benches, benches);
criterion_main!(report_benches);
