//! What every source must do on the running kernel, as tests that each source passes.
//!
//! In: a source. Out: assertions. It must not assert anything that only one source can do.
//!
//! I/O: opens sockets on loopback, forks helpers into namespaces of their own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use probelet_core::facts::{Endpoint, Facts, Protocol, Socket, State, Want};

use super::netlink::{self, Netlink};
use super::procfs::{self, Procfs};
use super::{Limits, Pass, Source, Unpaced};

mod budget;

const LIMITS: Limits = Limits { max_sockets: 65_536, max_processes: 4_096 };

fn source_kinds() -> Vec<Box<dyn Source>> {
    let mut source_kinds: Vec<Box<dyn Source>> = vec![Box::new(procfs::load(LIMITS).unwrap())];
    // Without root the kernel may refuse it: the ignored tests hold that it loads where it can.
    if let Ok(source) = netlink::load(LIMITS) {
        source_kinds.push(Box::new(source));
    }
    source_kinds
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
    fn start(program: &str) -> Self {
        let program = format!("import os,sys,socket,time\n{program}\nsys.stdin.read()");
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up; exec python3 -uc \"$0\"", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "a network namespace cannot be made: needs root");
        Self(child, line.trim().to_owned())
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
    for mut source in source_kinds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut facts = Facts::default();
        for want in [Want::Sockets, Want::Everything] {
            again(&mut *source, want, &mut facts);

            let me = std::process::id();
            // Another namespace may have a socket on the same address and port.
            let netns = facts.processes.iter().find(|process| process.pid == me).unwrap().netns;
            facts.sockets.retain(|socket| socket.netns == netns);
            let port = listener.local_addr().unwrap().port();
            let found = at(&facts, port);
            let source_kind = source.kind().name();
            assert_eq!(
                found,
                [(me, State::Established), (me, State::Listen)].into(),
                "{source_kind}"
            );
            let six = six.local_addr().unwrap().port();
            assert_eq!(at(&facts, six), [(me, State::Listen)].into(), "{source_kind}");
            let udp = udp.local_addr().unwrap().port();
            let is_udp = |s: &&Socket| s.protocol == Protocol::Udp && s.local.port == udp;
            assert_eq!(facts.sockets.iter().find(is_udp).unwrap().pid, me, "{source_kind}");
            let end = endpoint(client.local_addr().unwrap());
            let is_client = |s: &&Socket| s.local == end && s.protocol == Protocol::Tcp;
            let seen = facts.sockets.iter().find(is_client).unwrap();
            assert_eq!(seen.remote, endpoint(server.local_addr().unwrap()), "{source_kind}");
        }
    }
}

#[test]
fn the_fds_of_a_process_are_counted() {
    for mut source in source_kinds() {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();

        let facts = read(&mut *source, Want::Everything);

        let me = facts.processes.iter().find(|p| p.pid == std::process::id()).unwrap();
        assert!(me.open_fds.unwrap() as usize > files.len());
    }
}

#[test]
#[ignore = "needs root"]
fn a_process_whose_first_thread_ended_keeps_its_files_sockets_memory_and_namespace() {
    let there = Elsewhere::start(
        "import ctypes,threading
server=socket.create_server(('127.0.0.1',4243))
files=[open('/dev/null') for _ in range(20)]
threading.Thread(target=lambda: (print('ok'),sys.stdin.read(),os._exit(0))).start()
ctypes.CDLL(None).syscall(60 if os.uname().machine=='x86_64' else 93,0)",
    );
    let pid = there.0.id();
    let stat = format!("/proc/{pid}/stat");
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let thread = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let thread =
        thread.map(|entry| entry.file_name()).find(|tid| *tid != *pid.to_string()).unwrap();
    let link = std::fs::read_link(format!("/proc/{}/ns/net", thread.display())).unwrap();
    let netns = procfs::root::bracketed(link.to_str().unwrap().as_bytes()).unwrap();
    for mut source in source_kinds() {
        let facts = read(&mut *source, Want::Everything);

        let name = source.kind().name();
        let process = facts.processes.iter().find(|process| process.pid == pid).unwrap();
        assert!(process.open_fds.unwrap() > 20, "{name}: {process:?}");
        assert_eq!((process.netns, process.rss_bytes > 1 << 20), (netns, true), "{name}");
        let socket = facts.sockets.iter().find(|s| s.netns == netns && s.local.port == 4243);
        assert_eq!(socket.map(|socket| socket.pid), Some(pid), "{name}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_socket_of_another_namespace_has_its_pid_and_namespace() {
    let there = Elsewhere::start("s=socket.create_server(('127.0.0.1',4242));print('ok')");
    for mut source in source_kinds() {
        let facts = read(&mut *source, Want::Sockets);

        let netns = there.netns();
        let seen = facts.sockets.iter().find(|s| s.netns == netns && s.local.port == 4242);
        let seen = seen.unwrap_or_else(|| panic!("{}", source.kind().name()));
        assert_eq!((seen.pid, seen.state), (there.0.id(), State::Listen));
        let counters = facts.netns.iter().find(|counters| counters.inode == netns).unwrap();
        assert_eq!(counters.tcp_in_use, 1);
    }
}

#[test]
#[ignore = "needs root"]
fn netlink_knows_bytes_from_a_full_pass_and_keeps_them() {
    let mut source = netlink::load(LIMITS).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[7; 5_000]).unwrap();
    server.read_exact(&mut [0; 5_000]).unwrap();
    let end = endpoint(server.local_addr().unwrap());
    let received = |facts: &Facts| {
        let is_server = |s: &&Socket| s.local == end && s.state == State::Established;
        facts.sockets.iter().find(is_server).unwrap().bytes_received
    };

    let mut facts = read(&mut source, Want::Sockets);
    assert_eq!(received(&facts), None);
    again(&mut source, Want::Everything, &mut facts);
    assert_eq!(received(&facts), Some(5_000));
    let _more = TcpListener::bind("127.0.0.1:0").unwrap(); // so that the namespace is dumped again
    again(&mut source, Want::Sockets, &mut facts);
    assert_eq!(received(&facts), Some(5_000));
}

#[test]
#[ignore = "needs root"]
fn netlink_and_procfs_show_the_same_sockets() {
    let there = Elsewhere::start(
        "l=[socket.create_server(('127.0.0.1',5000+i)) for i in range(9)]\nm=socket.create_server(('::',5100),family=socket.AF_INET6,dualstack_ipv6=True)\nc=[socket.create_connection(('127.0.0.1',5000+i)) for i in range(9)]+[socket.create_connection(('127.0.0.1',5100))]\na=[s.accept() for s in l+[m]]\nu=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);u.bind(('127.0.0.1',5200));v=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);v.connect(('::1',5200));print('ok')",
    );
    let mut seen = Vec::new();
    for mut source in source_kinds() {
        let facts = read(&mut *source, Want::Everything);
        let sockets = facts.sockets.iter().filter(|socket| socket.netns == there.netns());
        let plain = sockets.map(|s| (s.protocol, s.state, s.local, s.remote, s.inode, s.pid));
        seen.push(plain.collect::<BTreeSet<_>>());
    }
    assert_eq!(seen[0].len(), 9 + 1 + 2 * 10 + 2);
    assert!(seen.iter().all(|set| *set == seen[0]), "{seen:#?}");
}

#[test]
#[ignore = "needs root"]
fn a_socket_that_two_processes_hold_comes_once_for_each() {
    let program = "s=socket.create_server(('127.0.0.1',4243))\nc=os.fork()\nif c==0: time.sleep(600)\nprint(c)\nimport atexit,signal;atexit.register(lambda: os.kill(c,9))";
    let there = Elsewhere::start(program);
    let (parent, child) = (there.0.id(), there.said().parse().unwrap());
    for mut source in source_kinds() {
        let mut facts = read(&mut *source, Want::Sockets);
        let mut passes = 0;
        while at(&facts, 4243).len() < 2 && passes < 100 {
            again(&mut *source, Want::Everything, &mut facts);
            passes += 1;
        }

        let both = [(parent, State::Listen), (child, State::Listen)].into();
        assert_eq!(at(&facts, 4243), both, "{}", source.kind().name());
    }
}

#[test]
fn a_closed_connection_is_reported_once_as_time_wait() {
    for mut source in source_kinds() {
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
        assert_eq!(seen.len(), 1, "{}", source.kind().name());
        assert!((50_000..=60_500).contains(&seen[0].remaining_ms), "{}", seen[0].remaining_ms);
        assert!(!facts.sockets.iter().any(|socket| socket.local == end));

        again(&mut *source, Want::Everything, &mut facts);
        assert!(!facts.closed.iter().any(|closed| closed.local == end));
    }
}

#[test]
#[ignore = "needs root"]
fn an_unaccepted_connection_has_no_holder_and_gets_one_when_it_is_accepted() {
    let program = "s=socket.create_server(('127.0.0.1',4244))\nc=socket.create_connection(('127.0.0.1',4244))\nprint('ok')\nsys.stdin.readline()\na,_=s.accept()";
    for mut source in source_kinds() {
        let mut there = Elsewhere::start(program);
        let pid = there.0.id();
        let facts = read(&mut *source, Want::Sockets);
        assert!(at(&facts, 4244).contains(&(0, State::Established)));

        there.tell();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let facts = read(&mut *source, Want::Sockets);
        assert!(at(&facts, 4244).contains(&(pid, State::Established)), "{}", source.kind().name());
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
        for mut source in source_kinds() {
            read(&mut *source, Want::Everything);
            assert_eq!(pins(), Vec::<String>::new(), "{}", source.kind().name());
        }
        return;
    }
    // Other tests of this process open netlink sockets at the same time.
    let name = "discover::live::nothing_of_a_namespace_is_held_after_a_pass";
    let output = Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).output();
    let output = output.unwrap();
    // A name that no test has runs nothing, and that is a success.
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{error}");
}

#[test]
#[ignore = "needs root"]
fn a_namespace_whose_counters_stand_still_is_not_dumped_again() {
    let mut there = Elsewhere::start(
        "s=socket.create_server(('127.0.0.1',4245));print('ok');sys.stdin.readline();t=socket.create_server(('127.0.0.1',4246))",
    );
    // A tree with this one namespace in it, so that no other test moves its counters.
    let tree = tempfile::tempdir().unwrap();
    let pid = there.0.id();
    let link = tree.path().join(pid.to_string());
    std::os::unix::fs::symlink(format!("/proc/{pid}"), &link).unwrap();
    gate(&mut Procfs::with_root(tree.path(), LIMITS).unwrap(), Procfs::dumps, 1);
    gate(&mut Netlink::with_root(tree.path(), LIMITS).unwrap(), Netlink::dumps, 1);

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
