//! Connection tracking of a real kernel: a namespace with a rule as kube-proxy writes them.
//!
//! Needs root and iptables; ignored unless asked for, as `make test` does.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests, and what a look costs is shown"
)]

use probelet_agent::discover::conntrack::Conntrack;
use probelet_core::facts::{Endpoint, Protocol};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const SERVICE: &str = "10.96.0.7:80";
const BACKEND: &str = "10.1.7.5:8080";

/// A namespace of its own in which the Service's address leads to the backend; gone when dropped.
struct Space(String);

impl Space {
    fn new() -> Result<Self, String> {
        let space = Self(format!("probelet-ct-{}", std::process::id()));
        run("ip", &["netns", "add", &space.0])?;
        let inside = |words: &[&str]| run("ip", &[&["-n", &space.0], words].concat());
        inside(&["link", "set", "lo", "up"])?;
        inside(&["addr", "add", "10.1.7.5/32", "dev", "lo"])?;
        inside(&["route", "add", "10.96.0.0/16", "dev", "lo"])?;
        for protocol in ["tcp", "udp"] {
            let rule = ["-p", protocol, "-d", "10.96.0.7", "--dport", "80", "-j", "DNAT"];
            let words = ["netns", "exec", &space.0, "iptables", "-t", "nat", "-A", "OUTPUT"];
            run("ip", &[&words[..], &rule, &["--to-destination", BACKEND]].concat())?;
        }
        Ok(space)
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0)
    }

    /// Does something on a thread that is in the namespace.
    fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(self.path()).unwrap();
        let thread = std::thread::spawn(move || {
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), network).unwrap();
            work()
        });
        thread.join().unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &["netns", "del", &self.0]) {
            eprintln!("{error}");
        }
    }
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{program} {words:?}: {said}"))
}

fn end(address: SocketAddr) -> Endpoint {
    match address {
        SocketAddr::V4(v4) => Endpoint::v4(*v4.ip(), v4.port()),
        SocketAddr::V6(v6) => Endpoint::v6(*v6.ip(), v6.port()),
    }
}

#[test]
#[ignore = "needs root and iptables"]
fn the_backend_of_a_translated_connection_is_reported_and_of_no_other() {
    let space = Space::new().expect("a namespace with a DNAT rule: needs root and iptables");
    let (client, _server, datagrams) = space.within(|| {
        let server = TcpListener::bind(BACKEND).unwrap();
        let client = TcpStream::connect(SERVICE).unwrap();
        let datagrams = UdpSocket::bind("10.1.7.5:0").unwrap();
        datagrams.connect(SERVICE).unwrap();
        datagrams.send(b"x").unwrap();
        (client, server, datagrams)
    });
    // A /proc whose first process is in that namespace.
    let proc = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(proc.path().join("1/ns")).unwrap();
    std::os::unix::fs::symlink(space.path(), proc.path().join("1/ns/net")).unwrap();
    let mut conntrack = Conntrack::new(proc.path());
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let mut batch = conntrack.open().unwrap();

    let service = end(SERVICE.parse().unwrap());
    let backend = end(BACKEND.parse().unwrap());
    let local = end(client.local_addr().unwrap());
    let ask = |batch: &mut probelet_agent::discover::conntrack::Batch<'_>, protocol, local| {
        let entry = batch.entry(protocol, local, service).unwrap();
        entry.map(|entry| (entry.client, entry.service, entry.backend, entry.seen))
    };
    let reported = |local| Some((local, service, backend, local));
    assert_eq!(ask(&mut batch, Protocol::Tcp, local), reported(local));
    let datagrams = end(datagrams.local_addr().unwrap());
    assert_eq!(ask(&mut batch, Protocol::Udp, datagrams), reported(datagrams));
    // The one who answers asks about the same connection, as it sees it.
    let asked = batch.entry(Protocol::Tcp, backend, local).unwrap();
    assert_eq!(asked.map(|entry| (entry.client, entry.service)), Some((local, service)));
    let stranger = Endpoint { port: local.port ^ 1, ..local };
    assert_eq!(ask(&mut batch, Protocol::Tcp, stranger), None);

    let began = Instant::now();
    for _ in 0..1000 {
        ask(&mut batch, Protocol::Tcp, local);
    }
    eprintln!("1000 questions took {:?}", began.elapsed());
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), own, "back home");
}

#[test]
fn a_node_whose_first_process_is_hidden_is_an_error_with_a_message() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut conntrack = Conntrack::new(nowhere.path());

    let error = conntrack.open().err().unwrap();

    let message = error.message();
    assert!(message.contains("1/ns/net") && message.contains("SYS_PTRACE"), "{message}");
}
