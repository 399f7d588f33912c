//! What every source must do on the running kernel, as tests that each tier passes.
//!
//! In: a source. Out: assertions. It must not assert anything that only one tier can do.
//!
//! I/O: opens sockets on loopback, forks helpers into namespaces of their own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use probelet_core::facts::{Endpoint, Facts, Loss, Protocol, Socket, State, Want};

use super::netlink::{self, Netlink};
use super::procfs::{self, Procfs};
use super::{Limiter, Limits, Pace, Pass, Source, Unpaced};

const LIMITS: Limits = Limits { max_sockets: 65_536, max_processes: 4_096 };

fn tiers() -> Vec<Box<dyn Source>> {
    let mut tiers: Vec<Box<dyn Source>> = vec![Box::new(procfs::load(LIMITS).unwrap())];
    match netlink::load(LIMITS) {
        Ok(source) => tiers.push(Box::new(source)),
        Err(error) => println!("SKIP netlink: {error}"),
    }
    tiers
}

fn read(source: &mut dyn Source, want: Want) -> Facts {
    let mut facts = Facts::default();
    again(source, want, &mut facts);
    facts
}

fn again(source: &mut dyn Source, want: Want, facts: &mut Facts) {
    assert_eq!(source.pass(want, facts, &mut Unpaced).unwrap(), Pass::Complete);
    assert_eq!(facts.fresh, Some(want));
}

fn endpoint(address: std::net::SocketAddr) -> Endpoint {
    match address {
        std::net::SocketAddr::V4(v4) => Endpoint::v4(*v4.ip(), v4.port()),
        std::net::SocketAddr::V6(v6) => Endpoint::v6(*v6.ip(), v6.port()),
    }
}

/// Holders and states of the sockets with this own port.
fn at(facts: &Facts, port: u16) -> BTreeSet<(u32, State)> {
    let sockets = facts.sockets.iter().filter(|socket| socket.local.port == port);
    sockets.map(|socket| (socket.pid, socket.state)).collect()
}

/// A Python program in a namespace of its own, which says when it is ready and ends with its input.
struct Elsewhere(Child, String);

impl Elsewhere {
    fn start(program: &str) -> Option<Self> {
        let program = format!("import os,sys,socket,time\n{program}\nsys.stdin.read()");
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up; exec python3 -uc \"$0\"", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
        if line.is_empty() {
            println!("SKIP a network namespace cannot be made here");
            return None;
        }
        Some(Self(child, line.trim().to_owned()))
    }

    fn said(&self) -> &str {
        &self.1
    }

    fn tell(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn netns(&self) -> u32 {
        let link = std::fs::read_link(format!("/proc/{}/ns/net", self.0.id())).unwrap();
        procfs::root::bracketed(link.to_str().unwrap().as_bytes()).unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn own_sockets_are_found_with_their_ends_and_our_pid() {
    for mut source in tiers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut facts = Facts::default();
        for want in [Want::Sockets, Want::Everything] {
            again(&mut *source, want, &mut facts);

            let me = std::process::id();
            let port = listener.local_addr().unwrap().port();
            let found = at(&facts, port);
            let tier = source.tier().name();
            assert_eq!(found, [(me, State::Established), (me, State::Listen)].into(), "{tier}");
            let six = six.local_addr().unwrap().port();
            assert_eq!(at(&facts, six), [(me, State::Listen)].into(), "{tier}");
            let udp = udp.local_addr().unwrap().port();
            let is_udp = |s: &&Socket| s.protocol == Protocol::Udp && s.local.port == udp;
            assert_eq!(facts.sockets.iter().find(is_udp).unwrap().pid, me, "{tier}");
            let end = endpoint(client.local_addr().unwrap());
            let is_client = |s: &&Socket| s.local == end && s.protocol == Protocol::Tcp;
            let seen = facts.sockets.iter().find(is_client).unwrap();
            assert_eq!(seen.remote, endpoint(server.local_addr().unwrap()), "{tier}");
            let process = facts.processes.iter().find(|process| process.pid == me).unwrap();
            assert_eq!(seen.netns, process.netns, "{tier}");
        }
    }
}

#[test]
fn the_fds_of_a_process_are_counted() {
    for mut source in tiers() {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();

        let facts = read(&mut *source, Want::Everything);

        let me = facts.processes.iter().find(|p| p.pid == std::process::id()).unwrap();
        assert!(me.open_fds.unwrap() as usize > files.len());
    }
}

#[test]
fn a_socket_of_another_namespace_has_its_pid_and_namespace() {
    let Some(there) = Elsewhere::start("s=socket.create_server(('127.0.0.1',4242));print('ok')")
    else {
        return;
    };
    for mut source in tiers() {
        let facts = read(&mut *source, Want::Sockets);

        let netns = there.netns();
        let seen = facts.sockets.iter().find(|s| s.netns == netns && s.local.port == 4242);
        let seen = seen.unwrap_or_else(|| panic!("{}", source.tier().name()));
        assert_eq!((seen.pid, seen.state), (there.0.id(), State::Listen));
        let counters = facts.netns.iter().find(|counters| counters.inode == netns).unwrap();
        assert_eq!(counters.tcp_in_use, 1);
    }
}

#[test]
fn a_socket_that_two_processes_hold_comes_once_for_each() {
    let program = "s=socket.create_server(('127.0.0.1',4243))\nc=os.fork()\nif c==0: time.sleep(600)\nprint(c)\nimport atexit,signal;atexit.register(lambda: os.kill(c,9))";
    let Some(there) = Elsewhere::start(program) else { return };
    let (parent, child) = (there.0.id(), there.said().parse().unwrap());
    for mut source in tiers() {
        let mut facts = read(&mut *source, Want::Sockets);
        let mut passes = 0;
        while at(&facts, 4243).len() < 2 && passes < 100 {
            again(&mut *source, Want::Everything, &mut facts);
            passes += 1;
        }

        let both = [(parent, State::Listen), (child, State::Listen)].into();
        assert_eq!(at(&facts, 4243), both, "{}", source.tier().name());
    }
}

#[test]
fn a_closed_connection_is_reported_once_as_time_wait() {
    for mut source in tiers() {
        let mut facts = read(&mut *source, Want::Sockets);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let end = endpoint(client.local_addr().unwrap());
        let (mut server, _) = listener.accept().unwrap();
        drop(client);
        server.read_to_end(&mut Vec::new()).unwrap();
        drop(server);

        again(&mut *source, Want::Sockets, &mut facts);
        let seen: Vec<_> = facts.closed.iter().filter(|closed| closed.local == end).collect();
        assert_eq!(seen.len(), 1, "{}", source.tier().name());
        assert!((50_000..=60_500).contains(&seen[0].remaining_ms), "{}", seen[0].remaining_ms);
        assert!(!facts.sockets.iter().any(|socket| socket.local == end));

        again(&mut *source, Want::Everything, &mut facts);
        assert!(!facts.closed.iter().any(|closed| closed.local == end));
    }
}

#[test]
fn an_unaccepted_connection_has_no_holder_and_gets_one_when_it_is_accepted() {
    let program = "s=socket.create_server(('127.0.0.1',4244))\nc=socket.create_connection(('127.0.0.1',4244))\nprint('ok')\nsys.stdin.readline()\na,_=s.accept()";
    for mut source in tiers() {
        let Some(mut there) = Elsewhere::start(program) else { return };
        let pid = there.0.id();
        let facts = read(&mut *source, Want::Sockets);
        assert!(at(&facts, 4244).contains(&(0, State::Established)));

        there.tell();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let facts = read(&mut *source, Want::Sockets);
        assert!(at(&facts, 4244).contains(&(pid, State::Established)), "{}", source.tier().name());
    }
}

/// Links of this process to network namespaces and to `/proc/PID/net`, and its netlink sockets.
fn pins() -> Vec<String> {
    let netlink = std::fs::read_to_string("/proc/self/net/netlink").unwrap();
    let netlink: Vec<&str> =
        netlink.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9)).collect();
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let links = links.map(|link| link.display().to_string());
    links
        .filter(|link| {
            let socket = link.strip_prefix("socket:[").and_then(|link| link.strip_suffix(']'));
            link.starts_with("net:")
                || link.contains("/net/")
                || socket.is_some_and(|inode| netlink.contains(&inode))
        })
        .collect()
}

/// These look at, or change, what the whole process holds: one at a time, alone in a child process.
#[test]
fn nothing_of_a_namespace_is_held_after_a_pass() {
    if std::env::args().any(|arg| arg == "--exact") {
        for mut source in tiers() {
            read(&mut *source, Want::Everything);
            assert_eq!(pins(), Vec::<String>::new(), "{}", source.tier().name());
        }
        return;
    }
    // Other tests of this process open netlink sockets at the same time.
    let name = "discover::live::nothing_of_a_namespace_is_held_after_a_pass";
    let status = Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_namespace_whose_counters_stand_still_is_not_dumped_again() {
    let Some(mut there) = Elsewhere::start(
        "s=socket.create_server(('127.0.0.1',4245));print('ok');sys.stdin.readline();t=socket.create_server(('127.0.0.1',4246))",
    ) else {
        return;
    };
    // A tree with this one namespace in it, so that no other test moves its counters.
    let tree = tempfile::tempdir().unwrap();
    let pid = there.0.id();
    let link = tree.path().join(pid.to_string());
    std::os::unix::fs::symlink(format!("/proc/{pid}"), &link).unwrap();
    gate(&mut Procfs::with_root(tree.path(), LIMITS).unwrap(), Procfs::dumps, 1);
    match Netlink::with_root(tree.path(), LIMITS) {
        Ok(mut source) => gate(&mut source, Netlink::dumps, 1),
        Err(error) => println!("SKIP netlink: {error}"),
    }

    let mut source = Procfs::with_root(tree.path(), LIMITS).unwrap();
    read(&mut source, Want::Sockets);
    there.tell();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let facts = read(&mut source, Want::Sockets);
    assert_eq!(source.dumps(), 2);
    assert_eq!(at(&facts, 4246), [(pid, State::Listen)].into());
}

fn gate<S: Source>(source: &mut S, dumps: fn(&S) -> u64, once: u64) {
    let mut facts = Facts::default();
    for _ in 0..5 {
        again(source, Want::Sockets, &mut facts);
        assert_eq!(at(&facts, 4245).len(), 1);
        assert_eq!(dumps(source), once);
    }
    again(source, Want::Everything, &mut facts);
    assert_eq!(dumps(source), once + 1);
}

#[derive(Default)]
struct Sparing {
    fds: u32,
    asked: u32,
}

impl Pace for Sparing {
    fn breathe(&mut self) -> bool {
        true
    }

    fn take(&mut self, limiter: Limiter, n: u32) -> u32 {
        if limiter != Limiter::Fds {
            return n;
        }
        let granted = n.min(self.fds);
        self.fds -= granted;
        self.asked += granted;
        granted
    }
}

#[test]
fn the_owner_among_twenty_thousand_fds_is_found_piece_by_piece() {
    let program = "import resource as r\nh=r.getrlimit(r.RLIMIT_NOFILE)[1];r.setrlimit(r.RLIMIT_NOFILE,(h,h));n=min(h-100,20000)\nf=[os.open('/dev/null',0) for _ in range(n)]\ns=socket.create_server(('127.0.0.1',4247));print(n)";
    let Some(there) = Elsewhere::start(program) else { return };
    let fds: u32 = there.said().parse().unwrap();
    if fds < 10_000 {
        println!("SKIP this shell may open only {fds} files");
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let pid = there.0.id();
    std::os::unix::fs::symlink(format!("/proc/{pid}"), tree.path().join(pid.to_string())).unwrap();
    let mut source = Procfs::with_root(tree.path(), LIMITS).unwrap();
    let mut pace = Sparing::default();
    for pending in 0..30 {
        let mut facts = Facts::default();
        // The count of a copied tree comes from listing: let it be done before.
        pace.fds = if pending == 0 { fds + 300 } else { 0 } + 1_000;
        source.pass(Want::Sockets, &mut facts, &mut pace).unwrap();
        if at(&facts, 4247).contains(&(pid, State::Listen)) {
            assert!(pending >= fds / 1_000 - 1, "{pending} passes for {fds} fds");
            return;
        }
        assert_eq!(facts.losses.get(Loss::OwnerPending), 1);
        assert_eq!(at(&facts, 4247), [(0, State::Listen)].into());
    }
    panic!("not found; {} fds looked at", pace.asked);
}

#[test]
fn a_socket_that_no_process_holds_is_looked_for_everywhere_and_then_let_be() {
    // The holder is outside of the tree, as one in another pid namespace would be.
    let Some(there) = Elsewhere::start(
        "s=socket.create_server(('127.0.0.1',4248))\nc=os.fork()\nif c==0:\n s.close();time.sleep(600)\nprint(c)\nimport atexit;atexit.register(lambda: os.kill(c,9))",
    ) else {
        return;
    };
    let child = there.said();
    let tree = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(format!("/proc/{child}"), tree.path().join(child)).unwrap();
    let mut source = Procfs::with_root(tree.path(), LIMITS).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));

    let facts = read(&mut source, Want::Sockets);
    assert_eq!(facts.losses.get(Loss::OwnerPending), 1);
    let facts = read(&mut source, Want::Everything);
    assert_eq!(facts.losses.get(Loss::NoOwner), 1);
    let mut pace = Sparing { fds: 1_000_000, asked: 0 };
    let mut facts = facts;
    source.pass(Want::Sockets, &mut facts, &mut pace).unwrap();
    assert_eq!(pace.asked, 0, "walked again for a socket that nobody holds");
}

#[test]
fn a_pass_that_may_not_go_on_is_abandoned() {
    struct Stopped;
    impl Pace for Stopped {
        fn breathe(&mut self) -> bool {
            false
        }
        fn take(&mut self, _: Limiter, n: u32) -> u32 {
            n
        }
    }
    for mut source in tiers() {
        let mut facts = Facts::default();

        let pass = source.pass(Want::Everything, &mut facts, &mut Stopped).unwrap();

        assert_eq!(pass, Pass::Abandoned);
        assert_eq!(facts.fresh, None);
    }
}

#[test]
fn the_tables_of_sockets_and_processes_are_bounded() {
    let listeners: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    assert!(listeners[0].as_raw_fd() > 0);
    let limits = Limits { max_sockets: 3, max_processes: 2 };
    let mut source = Procfs::with_root(Path::new("/proc"), limits).unwrap();

    let facts = read(&mut source, Want::Everything);

    assert!(facts.sockets.len() <= 3);
    assert!(facts.processes.len() <= 2);
    assert!(facts.losses.get(Loss::ProcessesFull) > 0);
}
