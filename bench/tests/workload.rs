//! The load is what it says: a small one stands in a box, and the kernel agrees with its truth.
//!
//! I/O: namespaces of its own; needs root.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use probelet_bench::{load::ends::End, sandbox};

/// A load in its own network and mount namespaces; it ends when this is dropped.
struct Load {
    child: Child,
    dir: tempfile::TempDir,
}

impl Load {
    fn start(size: &[&str]) -> Self {
        assert_eq!(sandbox::possible(), Ok(()));
        let dir = tempfile::tempdir().unwrap();
        let script = "ip link set lo up; mkdir -p /run/netns; mount -t ramfs ramfs /run/netns; exec \"$0\" run --dir \"$@\"";
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_probelet-load"))
            .arg(dir.path())
            .args(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready procs="), "{ready:?}");
        Self { child, dir }
    }

    fn ends(&self, name: &str) -> Vec<End> {
        End::read(&self.dir.path().join(name)).unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// Ports of the established IPv4 sockets in the namespace of `pid`: (own, other).
fn established(pid: u32) -> Vec<(u16, u16)> {
    let port = |address: &str| u16::from_str_radix(address.split_once(':').unwrap().1, 16).unwrap();
    let text = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "01").map(|row| (port(row[1]), port(row[2]))).collect()
}

#[test]
#[ignore = "needs root"]
fn every_end_of_the_truth_is_an_established_socket_of_its_process() {
    let load = Load::start(&["procs=12", "fds=30", "conns=60", "netns=3", "host=2"]);

    for end in load.ends("truth").iter().chain(&load.ends("server")) {
        let ports = (end.local.port(), end.remote.port());
        assert!(established(end.pid).contains(&ports), "{end:?}");
    }
    assert_eq!((load.ends("truth").len(), load.ends("server").len()), (60, 60));
}

#[test]
#[ignore = "needs root"]
fn every_process_holds_its_share_of_open_files() {
    let load = Load::start(&["procs=4", "fds=50", "conns=8", "netns=2", "host=1", "big=300"]);

    let mut all = Vec::new();
    let held = |range: std::ops::RangeInclusive<usize>, all: &[usize]| {
        all.iter().filter(|count| range.contains(count)).count()
    };
    // A process may hold one more for the moment in which it takes a connection.
    for _ in 0..50 {
        let mut counts: Vec<(PathBuf, usize)> = Vec::new();
        for end in load.ends("truth") {
            let folder = PathBuf::from(format!("/proc/{}/fd", end.pid));
            let count = fs::read_dir(&folder).unwrap().count();
            counts.push((folder, count));
        }
        counts.sort();
        counts.dedup_by(|one, other| one.0 == other.0);
        all = counts.iter().map(|(_, count)| *count).collect();
        if held(50..=51, &all) == 3 && held(300..=301, &all) == 1 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{all:?}");
}

#[test]
#[ignore = "needs root"]
fn the_load_takes_its_processes_with_it() {
    let load = Load::start(&["procs=3", "fds=20", "conns=6", "netns=1", "host=0"]);
    let pids: Vec<u32> = load.ends("truth").iter().map(|end| end.pid).collect();

    drop(load);

    assert!(
        !pids.is_empty() && pids.iter().all(|pid| fs::metadata(format!("/proc/{pid}")).is_err()),
        "{pids:?}"
    );
}
