//! Deltas and filters against a real report that is fed by a small made-up node.

use super::super::query::Query;
use super::*;
use probelet_core::display::{ContainerName, ContainerNames};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Protocol, Socket, State, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A node whose parts come and go by a fixed sequence of pseudo-random numbers.
struct World {
    facts: Facts,
    report: Report,
    pass: u64,
    seed: u64,
}

impl World {
    fn new() -> Self {
        let container =
            Container { id: ID.into(), cgroup: "/docker/0".into(), ..Container::default() };
        let facts = Facts {
            containers: vec![container],
            netns: vec![Netns { inode: 7, ..Netns::default() }],
            ..Facts::default()
        };
        let limits = Limits { flow_ttl_ms: 5000, ..Limits::default() };
        Self { facts, report: Report::new(limits, PortRange::default()), pass: 0, seed: 42 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    /// One pass: some things go, some come, some change.
    fn pass(&mut self) -> Arc<Snapshot> {
        self.pass += 1;
        for _ in 0..self.random(4) {
            let pid = 100 + u32::try_from(self.random(20)).unwrap();
            self.facts.processes.retain(|p| p.pid != pid);
            self.facts.sockets.retain(|s| s.pid != pid);
        }
        for _ in 0..self.random(5) {
            self.start_process();
        }
        for _ in 0..self.random(30) {
            self.open_socket();
        }
        for n in 0..self.facts.sockets.len() {
            if self.random(10) == 0 {
                let socket = &mut self.facts.sockets[n];
                socket.bytes_sent = socket.bytes_sent.map(|b| b + 10);
                if socket.state == State::Established {
                    socket.state = State::CloseWait;
                }
            }
        }
        let (n, keep) = (self.random(7), self.facts.sockets.len() / 2);
        if n == 0 {
            self.facts.sockets.drain(..keep);
        }
        self.facts.fresh = Some(Want::Everything);
        let now = Now {
            unix_ms: 1_700_000_000_000 + self.pass * 1000,
            mono_ms: 10_000 + self.pass * 1000,
        };
        self.report.update(&self.facts, now);
        Arc::new(Snapshot {
            picture: self.report.picture(now),
            ..crate::serve::testing::snapshot()
        })
    }

    fn start_process(&mut self) {
        let pid = 100 + u32::try_from(self.random(20)).unwrap();
        if self.facts.processes.iter().any(|p| p.pid == pid) {
            return;
        }
        let container = (pid % 4 == 0).then_some(ContainerId(0));
        let process = Process {
            pid,
            start_ns: self.pass * 1_000_000_000 + 12_345_678,
            netns: 7,
            threads: 1,
            comm: Comm::new(if pid % 2 == 0 { b"we\"b" } else { b"db\xff" }),
            container,
            ..Process::default()
        };
        self.facts.processes.push(process);
    }

    fn open_socket(&mut self) {
        let Some(owner) = self.facts.processes.last().copied() else { return };
        let n = u16::try_from(self.random(2000)).unwrap();
        let listener = n % 10 == 0;
        let socket = Socket {
            netns: 7,
            inode: u32::from(n) + 1,
            pid: owner.pid,
            protocol: if n % 7 == 0 { Protocol::Udp } else { Protocol::Tcp },
            state: match (listener, n % 7 == 0) {
                (true, true) => State::Close,
                (true, false) => State::Listen,
                _ => State::Established,
            },
            local: Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), 10_000 + n),
            remote: if listener {
                Endpoint::v4(Ipv4Addr::UNSPECIFIED, 0)
            } else {
                Endpoint::v4(Ipv4Addr::new(192, 0, 2, 7), 443)
            },
            bytes_sent: Some(1),
            bytes_received: Some(2),
            ..Socket::default()
        };
        self.facts.sockets.retain(|s| s.inode != socket.inode);
        self.facts.sockets.push(socket);
    }
}

fn render(snapshot: &Arc<Snapshot>, labels: &Arc<DisplayNames>, query: &str, span: Span) -> Value {
    let filter = Query::parse(query, false).unwrap().filter;
    let sieve = Sieve::new(filter, labels);
    let mut renderer = Renderer::new(Arc::clone(snapshot), Arc::clone(labels), sieve, span);
    let (mut text, mut piece, mut more) = (Vec::new(), Vec::new(), true);
    while more {
        more = renderer.piece(&mut piece);
        text.append(&mut piece);
    }
    serde_json::from_slice(&text)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
}

fn labels(snapshot: &Snapshot) -> Arc<DisplayNames> {
    DisplayNames::refresh(&Arc::default(), &snapshot.picture, &Arc::default())
}

const FULL: Span = Span::Full { since: None };

/// The lists of a report, each by the identity of its records.
type Lists = BTreeMap<&'static str, BTreeMap<String, Value>>;

fn identity(list: &str, record: &Value) -> String {
    match list {
        "processes" => format!("{}@{}", record["pid"], record["startTime"]),
        _ => record.get("id").unwrap_or(record).to_string(),
    }
}

fn lists(report: &Value) -> Lists {
    let of = |list| {
        let records = report[list].as_array().unwrap().iter();
        (list, records.map(|r| (identity(list, r), r.clone())).collect())
    };
    ["processes", "connections", "listeners", "containers", "flows"].map(of).into()
}

fn apply(to: &mut Lists, delta: &Value) {
    for (list, records) in to.iter_mut() {
        for gone in delta["removed"][list].as_array().unwrap() {
            records.remove(&identity(list, gone));
        }
    }
    for (list, news) in lists(delta) {
        to.get_mut(list).unwrap().extend(news);
    }
}

#[test]
fn an_old_report_and_a_delta_make_the_new_report() {
    let mut world = World::new();
    let mut kept: Vec<(Epoch, Lists)> = Vec::new();
    for _ in 0..40 {
        let snapshot = world.pass();
        let labels = labels(&snapshot);
        let full = lists(&render(&snapshot, &labels, "", FULL));
        for (epoch, old) in kept.iter().rev().take(8) {
            let mut old = old.clone();
            apply(&mut old, &render(&snapshot, &labels, "", Span::Delta(*epoch)));
            assert_eq!(old, full, "from epoch {epoch} to {}", snapshot.picture.epoch);
        }
        kept.push((snapshot.picture.epoch, full));
    }
    assert!(kept.last().unwrap().1.values().all(|records| !records.is_empty()), "an empty test");
}

#[test]
fn a_filtered_delta_makes_the_filtered_report() {
    for query in [
        "state=established",
        "pid=104",
        "container=0123",
        "protocol=udp&port=443",
        "direction=inbound",
    ] {
        let mut world = World::new();
        let mut old = None;
        for _ in 0..40 {
            let snapshot = world.pass();
            let labels = labels(&snapshot);
            let full = lists(&render(&snapshot, &labels, query, FULL));
            if let Some((epoch, mut old)) = old.take() {
                apply(&mut old, &render(&snapshot, &labels, query, Span::Delta(epoch)));
                assert_eq!(old, full, "{query} from epoch {epoch}");
            }
            old = Some((snapshot.picture.epoch, full));
        }
    }
}

#[test]
fn a_name_that_comes_late_reaches_clients_of_deltas() {
    let mut world = World::new();
    let mut snapshot = world.pass();
    while snapshot.picture.containers.is_empty() {
        snapshot = world.pass();
    }
    let before = labels(&snapshot);
    let name = ContainerName { name: "web".into(), ..ContainerName::default() };
    let names = Arc::new(ContainerNames([(ID.into(), name)].into()));
    let after = DisplayNames::refresh(&before, &snapshot.picture, &names);

    let delta = render(&snapshot, &after, "", Span::Delta(snapshot.picture.epoch));

    assert_eq!(delta["containers"][0]["name"], "web");
    let shown: Vec<_> =
        delta["processes"].as_array().unwrap().iter().map(|p| &p["container"]).collect();
    assert!(!shown.is_empty() && shown.iter().all(|&c| c == ID), "{shown:?}");
}

#[test]
fn records_have_the_fixed_fields() {
    let mut world = World::new();
    let facts = &mut world.facts;
    let local = Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), 40_000);
    let remote = Endpoint::v6("2001:db8::1".parse().unwrap(), 443);
    facts.processes = vec![Process {
        pid: 42,
        ppid: 1,
        start_ns: 2_500_000_000,
        netns: 7,
        threads: 3,
        open_fds: Some(9),
        cpu_ns: 1_250_000_000,
        rss_bytes: 4096,
        comm: Comm::new(b"curl"),
        ..Process::default()
    }];
    facts.sockets =
        vec![Socket { netns: 7, inode: 5, pid: 42, local, remote, ..Socket::default() }];
    facts.fresh = Some(Want::Everything);
    let now = Now { unix_ms: 1_700_000_000_250, mono_ms: 9000 };
    world.report.update(&world.facts, now);
    let snapshot = Arc::new(Snapshot {
        picture: world.report.picture(now),
        ..crate::serve::testing::snapshot()
    });

    let report = render(&snapshot, &labels(&snapshot), "", FULL);

    let process = serde_json::json!({
        "pid": 42, "startTime": 1_600_000_002.5, "ppid": 1, "comm": "curl", "container": null, "pod": null,
        "cpuSeconds": 1.25, "rssBytes": 4096, "openFds": 9, "filesLimit": null, "threads": 3, "netns": 7,
    });
    assert_eq!(report["processes"], serde_json::json!([process]));
    let connection = &report["connections"][0];
    let expected = serde_json::json!({
        "id": connection["id"], "protocol": "tcp", "state": "established", "local": "10.0.0.1:40000",
        "remote": "[2001:db8::1]:443", "netns": 7, "direction": connection["direction"], "pid": 42,
        "comm": "curl", "container": null, "pod": null,
        "peer": {"kind": "external", "name": "2001:db8::1", "pod": null, "service": null, "workload": null},
        "bytesSent": null, "bytesReceived": null, "rttSeconds": null, "segmentsSent": null,
        "segmentsRetransmitted": null, "since": 1_700_000_000.25,
    });
    assert_eq!(connection, &expected);
    assert_eq!(report["node"], "node-1");
    assert_eq!(report["coverage"]["ratio"], Value::Null);
    assert_eq!(report["time"], 1_700_000_000.25);
}

#[test]
fn a_piece_is_bounded_whatever_the_size_of_the_report() {
    let mut world = World::new();
    world.start_process();
    let pid = world.facts.processes[0].pid;
    for n in 0..20_000_u32 {
        let local = Endpoint::v4(Ipv4Addr::from(0x0a00_0000 + n), 40_000);
        let remote = Endpoint::v4(Ipv4Addr::from(0xc000_0200 + n), 443);
        world.facts.sockets.push(Socket {
            netns: 7,
            inode: n + 1,
            pid,
            local,
            remote,
            ..Socket::default()
        });
    }
    world.facts.fresh = Some(Want::Everything);
    world.report.update(&world.facts, Now::default());
    let picture = world.report.picture(Now::default());
    let snapshot = Arc::new(Snapshot { picture, ..crate::serve::testing::snapshot() });
    let labels = labels(&snapshot);
    let sieve = Sieve::new(crate::serve::report::query::Filter::default(), &labels);
    let mut renderer = Renderer::new(Arc::clone(&snapshot), labels, sieve, FULL);

    let (mut piece, mut largest, mut more) = (Vec::new(), 0, true);
    while more {
        piece.clear();
        more = renderer.piece(&mut piece);
        largest = largest.max(piece.len());
    }

    assert!(largest < 2 * PIECE + 16 * 1024, "{largest}");
    assert!(renderer.records() >= 20_000);
}
