//! Cost of names on a node of 20,000 connections, in a cluster of 2,000 Services and 20,000 pods:
//! `quiet` is a look without news, `stranger` a slice that changed and that no one here talks to,
//! `peer` one that 1,000 connections go to, `everything` a change of the settings, and `list` the
//! first list of the cluster's slices.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, Grain, Settings};
use probelet_core::facts::{Endpoint, Facts, Netns, Process, Socket, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

const SERVICES: u32 = 2000;
const MEMBERS: u32 = 10;
/// Connections go to the first so many Services.
const USED: u32 = 20;
const CONNECTIONS: u32 = 20_000;
const NOW: Now = Now { unix_ms: 1, mono_ms: 1 };

fn address(service: u32, member: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a01_0000 + service * 16 + member)
}

fn slice(service: u32, ready: bool) -> EndpointSlice {
    let backend = |member: u32| Backend {
        addresses: vec![IpAddr::V4(address(service, member))],
        ready: ready || member > 0,
        pod: Some(("shop".into(), format!("s-{service}-{member}").into(), "u".into())),
        node: Some(format!("node-{member}").into()),
        ..Backend::default()
    };
    EndpointSlice {
        namespace: "shop".into(),
        name: format!("s-{service}-abcde").into(),
        service: format!("s-{service}").into(),
        endpoints: (0..MEMBERS).map(backend).collect(),
        ports: vec![SlicePort { port: 8080, ..SlicePort::default() }],
        ..EndpointSlice::default()
    }
}

fn service(n: u32) -> Service {
    Service {
        namespace: "shop".into(),
        name: format!("s-{n}").into(),
        cluster_ips: vec![IpAddr::V4(Ipv4Addr::from(0x0a60_0000 + n))],
        selector: vec![("app".into(), format!("s-{n}").into())],
        ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
        ..Service::default()
    }
}

fn connected() -> Report {
    let mut report = Report::new(Limits::default(), PortRange::default());
    report.watch(Cluster::new(Settings::default(), 7));
    let socket = |n: u32| Socket {
        netns: 1,
        inode: n + 1,
        pid: 1,
        local: Endpoint::v4(
            Ipv4Addr::from(0x0a02_0000 + n / 20_000),
            u16::try_from(32_768 + n % 20_000).unwrap_or(0),
        ),
        remote: Endpoint::v4(address(n % USED, n % MEMBERS), 8080),
        ..Socket::default()
    };
    let facts = Facts {
        fresh: Some(Want::Everything),
        processes: vec![Process { pid: 1, netns: 1, ..Process::default() }],
        sockets: (0..CONNECTIONS).map(socket).collect(),
        netns: vec![Netns { inode: 1, ..Netns::default() }],
        ..Facts::default()
    };
    apply(&mut report, (0..SERVICES).map(|n| Event::Service(service(n))));
    apply(&mut report, (0..SERVICES).map(|n| Event::EndpointSlice(slice(n, true))));
    apply(&mut report, Kind::ALL.map(Event::Listed));
    report.update(&facts, NOW);
    report
}

fn apply(report: &mut Report, events: impl IntoIterator<Item = Event>) -> bool {
    if let Some(cluster) = report.cluster() {
        for event in events {
            cluster.apply(event, NOW.mono_ms);
        }
    }
    report.rename(NOW)
}

fn names(c: &mut Criterion) {
    let mut report = connected();
    c.bench_function("names/quiet", |b| b.iter(|| black_box(report.rename(NOW))));
    let mut ready = true;
    for (name, at) in [("names/stranger", SERVICES - 1), ("names/peer", 0)] {
        c.bench_function(name, |b| {
            let flip = || {
                ready = !ready;
                Event::EndpointSlice(slice(at, ready))
            };
            b.iter_batched(flip, |event| apply(&mut report, [event]), BatchSize::SmallInput);
        });
    }
    let mut pods = false;
    c.bench_function("names/everything", |b| {
        b.iter(|| {
            pods = !pods;
            let grain = if pods { Grain::Pod } else { Grain::Workload };
            if let Some(cluster) = report.cluster() {
                cluster.set(Settings { grain, ..Settings::default() });
            }
            report.rename(NOW)
        });
    });
    c.bench_function("names/list", |b| {
        let fresh = || {
            let cluster = Cluster::new(Settings::default(), 7);
            let events: Vec<_> =
                (0..SERVICES).map(|n| Event::EndpointSlice(slice(n, true))).collect();
            (cluster, events)
        };
        let list = |(mut cluster, events): (Cluster, Vec<Event>)| {
            for event in events {
                cluster.apply(event, 1);
            }
            cluster
        };
        b.iter_batched(fresh, list, BatchSize::LargeInput);
    });
}

criterion_group!(benches, names);
criterion_main!(benches);
