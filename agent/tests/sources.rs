//! Every source gives the same picture of the same node: the `procfs` one is the oracle, and what
//! may differ is listed in docs/sources.md and nowhere else.
//!
//! Needs root (namespaces, cgroups, BPF); ignored unless asked for, as `make test` does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that cannot run says so"
)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const TIERS: [&str; 4] = ["procfs", "netlink", "bpf-compat", "bpf"];

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
use program::once;

/// A process in a network namespace of its own, and sockets of ours in there.
struct Scene {
    sleeper: Child,
    netns: u64,
    container: String,
    cgroup: Option<PathBuf>,
    _sockets: Sockets,
}

struct Sockets {
    _tcp: Vec<TcpStream>,
    _listeners: Vec<TcpListener>,
    _udp: Vec<UdpSocket>,
}

impl Scene {
    fn new() -> Self {
        let mut sleeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        sleeper.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        let space = File::open(format!("/proc/{}/ns/net", sleeper.id())).unwrap();
        let netns = std::os::unix::fs::MetadataExt::ino(&space.metadata().unwrap());
        // Threads have namespaces of their own, so only this one moves.
        let sockets = std::thread::spawn(move || {
            let net = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), Some(net))
                .unwrap();
            Sockets::open()
        });
        let container = container_id();
        let cgroup = Self::contain(sleeper.id(), &container);
        Self { netns, container, cgroup, _sockets: sockets.join().unwrap(), sleeper }
    }

    /// Puts the process into a cgroup that is named as Docker with the systemd driver names it.
    fn contain(pid: u32, id: &str) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root = mounts
            .lines()
            .find(|l| l.split(' ').nth(2) == Some("cgroup2"))?
            .split(' ')
            .nth(1)?
            .to_owned();
        let dir = PathBuf::from(root).join(format!("docker-{id}.scope"));
        fs::create_dir_all(&dir).ok()?;
        fs::write(dir.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(dir)
    }
}

/// A container id that no other scene of this run has.
fn container_id() -> String {
    static SCENES: AtomicU32 = AtomicU32::new(0);
    format!("{:064x}", 0x5c0f_fee0_0000_u64 + u64::from(SCENES.fetch_add(1, Ordering::Relaxed)))
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.sleeper.kill().unwrap();
        self.sleeper.wait().unwrap();
        if let Some(cgroup) = &self.cgroup {
            std::thread::sleep(Duration::from_millis(100));
            fs::remove_dir(cgroup).unwrap();
        }
    }
}

impl Sockets {
    fn open() -> Self {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::]:0").unwrap();
        let waiting = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = Vec::new();
        for (listener, ip) in [(&v4, "127.0.0.1"), (&v6, "::1"), (&v6, "127.0.0.1")] {
            let to = (ip, listener.local_addr().unwrap().port());
            tcp.push(TcpStream::connect(to).unwrap());
            tcp.push(listener.accept().unwrap().0);
        }
        // Connected but not accepted: one end has no file.
        tcp.push(TcpStream::connect(waiting.local_addr().unwrap()).unwrap());
        // Closed here first: the client's end stays as TIME_WAIT.
        let gone = TcpStream::connect(v4.local_addr().unwrap()).unwrap();
        let (peer, _) = v4.accept().unwrap();
        drop(gone);
        std::thread::sleep(Duration::from_millis(50));
        drop(peer);
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        here.connect("127.0.0.1:9").unwrap();
        Self { _tcp: tcp, _listeners: vec![v4, v6, waiting], _udp: vec![here, there] }
    }
}

/// What all sources must agree on, of one list of the report, in one namespace.
fn rows(report: &Value, list: &str, netns: u64, fields: &[&str]) -> BTreeSet<String> {
    let rows = report[list].as_array().unwrap().iter().filter(|r| r["netns"] == netns);
    rows.map(|r| fields.iter().map(|f| r[*f].to_string()).collect::<Vec<_>>().join(" ")).collect()
}

fn by_source(look: impl Fn(&Value) -> BTreeSet<String>) {
    let oracle = look(&once("procfs").expect("procfs works everywhere"));
    assert!(!oracle.is_empty());
    for source_kind in &TIERS[1..] {
        if let Some(report) = once(source_kind) {
            let seen = look(&report);
            let missing: Vec<_> = oracle.difference(&seen).collect();
            let more: Vec<_> = seen.difference(&oracle).collect();
            assert!(
                missing.is_empty() && more.is_empty(),
                "{source_kind}: missing {missing:#?}, more {more:#?}"
            );
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn every_source_sees_the_same_connections_with_the_same_owners() {
    let scene = Scene::new();
    let fields = ["protocol", "state", "local", "remote", "direction", "pid", "comm", "container"];

    by_source(|report| {
        let mut report = report.clone();
        // Nothing but its port shows who dialled a UDP socket, and procfs knows no range but its own.
        for row in report["connections"].as_array_mut().unwrap() {
            if row["protocol"] == "udp" {
                assert_ne!(row["direction"], "inbound");
                row["direction"] = Value::Null;
            }
        }
        let rows = rows(&report, "connections", scene.netns, &fields);
        // 3 pairs, 2 ends of the one not accepted, 1 TIME_WAIT, 1 UDP.
        assert_eq!(rows.len(), 10, "{rows:#?}");
        assert_eq!(rows.iter().filter(|r| r.contains("time-wait")).count(), 1);
        rows
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn every_source_sees_the_same_listeners() {
    let scene = Scene::new();

    by_source(|report| {
        let rows = rows(
            report,
            "listeners",
            scene.netns,
            &["protocol", "local", "pid", "comm", "container"],
        );
        assert_eq!(rows.len(), 4, "{rows:#?}");
        rows
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn every_source_sees_the_same_processes_in_the_same_containers() {
    let scene = Scene::new();
    let me = u64::from(std::process::id());
    let fields = ["pid", "ppid", "comm", "container", "netns", "threads", "openFds"];

    by_source(|report| {
        let processes = report["processes"].as_array().unwrap().iter();
        let ours =
            processes.filter(|p| p["pid"] == u64::from(scene.sleeper.id()) || p["pid"] == me);
        // Other tests of this binary come and go as threads and files of ours.
        let stable = |p: &Value, f: &str| p["pid"] != me || !["threads", "openFds"].contains(&f);
        let row = |p: &Value| {
            fields.iter().filter(|f| stable(p, f)).map(|f| p[*f].to_string()).collect::<Vec<_>>()
        };
        let rows: BTreeSet<_> = ours.map(|p| row(p).join(" ")).collect();
        assert_eq!(rows.len(), 2);
        if scene.cgroup.is_some() {
            assert!(rows.iter().any(|r| r.contains(&scene.container)), "{rows:#?}");
        }
        rows
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn start_times_agree_to_a_clock_tick_and_memory_to_a_megabyte() {
    let scene = Scene::new();
    let figures = |source_kind| {
        let report = once(source_kind)?;
        let processes = report["processes"].as_array().unwrap().clone();
        let of = |p: &Value| {
            (
                p["pid"].as_u64().unwrap(),
                (p["startTime"].as_f64().unwrap(), p["rssBytes"].as_f64().unwrap()),
            )
        };
        Some(processes.iter().map(of).collect::<BTreeMap<_, _>>())
    };
    let oracle = figures("procfs").unwrap();

    for source_kind in &TIERS[1..] {
        let Some(seen) = figures(source_kind) else { continue };
        let sleeper = u64::from(scene.sleeper.id());
        let (want, got) = (oracle[&sleeper], seen[&sleeper]);
        // Boot time itself is measured again by each run, to a few milliseconds.
        assert!((want.0 - got.0).abs() < 0.05, "{source_kind}: {want:?} {got:?}");
        assert!((want.1 - got.1).abs() < 1e6, "{source_kind}: {want:?} {got:?}");
    }
}
