//! What the report claims to have seen, against what a real kernel did.
//!
//! In: connections that stay, end at once, hang or are never completed, in a box of its own
//! namespaces. Out: a verdict for each source. Ignored: needs root; a source that this kernel refuses prints
//! SKIP.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]

#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with the tests of the BPF sources")]
mod sandbox;

use probelet_agent::discover::{Limits, Pass, Source, Unpaced, choose};
use probelet_core::coverage::Count;
use probelet_core::facts::{Facts, Loss, PortRange, SourceKind, Want};
use probelet_core::report::{self, Now, Report};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, connect, ipproto, listen, sendto,
    socket_with, sockopt,
};
use sandbox::in_sandbox;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

struct Node {
    source: Box<dyn Source>,
    facts: Facts,
    report: Report,
    began: Instant,
}

impl Node {
    fn new(source_kind: SourceKind) -> Option<Self> {
        let limits = Limits { max_sockets: 65_536, max_processes: 16_384 };
        match choose::load(source_kind, limits) {
            Ok(source) => Some(Self {
                source,
                facts: Facts::default(),
                report: Report::new(report::Limits::default(), PortRange::UNKNOWN),
                began: Instant::now(),
            }),
            Err(error) => {
                eprintln!("SKIP: no BPF: {}: {error}", source_kind.name());
                None
            }
        }
    }

    fn now(&self) -> Now {
        let ms = 100_000 + u64::try_from(self.began.elapsed().as_millis()).unwrap();
        Now { unix_ms: ms, mono_ms: ms }
    }

    fn pass(&mut self) {
        self.read(Want::Everything);
    }

    fn read(&mut self, want: Want) {
        let done = self.source.pass(want, &mut self.facts, &mut Unpaced).unwrap();
        assert_eq!(done, Pass::Complete);
        self.report.update(&self.facts, self.now());
    }

    fn total(&self) -> Count {
        self.report.picture(self.now()).coverage[1]
    }

    fn overcounted(&self) -> u64 {
        self.report.picture(self.now()).losses.get(Loss::Overcounted)
    }
}

fn local(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn server() -> (TcpListener, u16) {
    let server = TcpListener::bind(local(0)).unwrap();
    let port = server.local_addr().unwrap().port();
    (server, port)
}

/// A connection that ends by a reset and leaves no trace at either end.
fn reset(server: &TcpListener, port: u16) {
    let client = TcpStream::connect(local(port)).unwrap();
    let accepted = server.accept().unwrap();
    sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    drop(accepted);
}

/// A SYN from a port that has no socket: the stack itself resets the answer.
fn probe(raw: &OwnedFd, from: u16, to: u16) {
    let mut segment = [0_u8; 20];
    segment[..2].copy_from_slice(&from.to_be_bytes());
    segment[2..4].copy_from_slice(&to.to_be_bytes());
    segment[4..8].copy_from_slice(&u32::from(from).to_be_bytes());
    (segment[12], segment[13], segment[14]) = (5 << 4, 2, 4);
    let ends = [127, 0, 0, 1, 127, 0, 0, 1, 0, 6, 0, 20];
    let words = ends.iter().chain(&segment).copied().collect::<Vec<u8>>();
    let sum: u32 = words.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    sendto(raw, &segment, SendFlags::empty(), &local(0)).unwrap();
}

/// An attempt to connect that no one answers.
fn attempt(port: u16) -> OwnedFd {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let _in_progress = connect(&socket, &local(port));
    socket
}

#[test]
#[ignore = "needs root and BPF"]
fn coverage_claims_what_was_seen_established_and_no_more() {
    in_sandbox("coverage_claims_what_was_seen_established_and_no_more", || {
        let raw = socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(ipproto::TCP),
        );
        let raw = raw.unwrap();
        let mut tried = 0;
        for source_kind in SourceKind::ALL {
            let Some(mut node) = Node::new(source_kind) else { continue };
            tried += 1;
            let (open, open_port) = server();
            let (full, full_port) = server();
            listen(&full, 0).unwrap();
            node.pass();

            let kept: Vec<_> = (0..5)
                .map(|_| (TcpStream::connect(local(open_port)).unwrap(), open.accept().unwrap()))
                .collect();
            (0..40).for_each(|_| reset(&open, open_port));
            (0..30).for_each(|n| probe(&raw, 20_000 + n, open_port));
            let waiting = TcpStream::connect(local(full_port)).unwrap();
            let hanging: Vec<_> = (0..20).map(|_| attempt(full_port)).collect();
            std::thread::sleep(Duration::from_millis(100));
            node.pass();
            node.pass();

            // Kept and waiting ones at both ends; resets at both ends, unseen; attempts at one.
            let expected = Count { opened: 10 + 80 + 2 + 20, observed: 10 + 2 };
            assert_eq!(node.total(), expected, "{}", source_kind.name());
            assert_eq!(node.overcounted(), 0, "{}", source_kind.name());

            drop((kept, waiting, hanging));
            node.pass();
            node.pass();
            assert_eq!(node.total().observed, expected.observed, "{}", source_kind.name());
            assert_eq!(node.overcounted(), 0, "{}", source_kind.name());
        }
        assert!(tried > 0, "no source can be loaded here");
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn connections_on_the_same_ports_one_after_the_other_are_all_counted() {
    in_sandbox("connections_on_the_same_ports_one_after_the_other_are_all_counted", || {
        for (round, source_kind) in (0..).zip(SourceKind::ALL) {
            let Some(mut node) = Node::new(source_kind) else { continue };
            let (server, port) = server();
            node.pass();
            for _ in 0..5 {
                let client = socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::CLOEXEC,
                    None,
                )
                .unwrap();
                sockopt::set_socket_reuseaddr(&client, true).unwrap();
                rustix::net::bind(&client, &local(25_000 + round)).unwrap();
                connect(&client, &local(port)).unwrap();
                let accepted = server.accept().unwrap();
                drop(client);
                std::thread::sleep(Duration::from_millis(20));
                drop(accepted);
                // On loopback the kernel uses the ports of a TIME_WAIT again after a second.
                std::thread::sleep(Duration::from_millis(1300));
                node.pass();
            }
            node.pass();

            let Count { opened, observed } = node.total();
            assert_eq!(opened, 10, "{}", source_kind.name());
            assert_eq!(node.overcounted(), 0, "{}", source_kind.name());
            // The text of /proc distinguishes two of them by their time only.
            let least = if source_kind == SourceKind::Procfs { 2 } else { 10 };
            assert!((least..=10).contains(&observed), "{}: {observed} of 10", source_kind.name());
            let flows = node.report.picture(node.now()).flows;
            let opened: u64 = flows.iter().map(|flow| flow.opened).sum();
            assert_eq!(opened, observed / 2, "{}", source_kind.name());
        }
    });
}

/// Two processes: one connects and at a word hands the connection to the other and closes its own end.
const HANDS: &str = "
import array,os,socket,sys
l=socket.create_server(('127.0.0.1',0))
a,b=socket.socketpair()
child=os.fork()
if child==0:
    l.close(); a.close(); b.send(b'r')
    m,rights,_,_=b.recvmsg(1,socket.CMSG_SPACE(4)); sys.stdin.read(); os._exit(0)
b.close(); a.recv(1)
c=socket.create_connection(l.getsockname()); s,_=l.accept()
print(child,c.getsockname()[1],flush=True)
sys.stdin.readline()
a.sendmsg([b'x'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[c.fileno()]))]); c.close()
print('handed',flush=True)
sys.stdin.read()
";

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_that_is_handed_to_another_process_is_its_own_a_look_later() {
    use std::io::{BufRead as _, BufReader, Write as _};
    in_sandbox("a_socket_that_is_handed_to_another_process_is_its_own_a_look_later", || {
        for source_kind in [SourceKind::Bpf, SourceKind::BpfCompat] {
            let Some(mut node) = Node::new(source_kind) else { continue };
            let mut holder = std::process::Command::new("python3")
                .args(["-c", HANDS])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
            let first = said.next().unwrap().unwrap();
            let (child, port) = first.split_once(' ').unwrap();
            let (child, port): (u32, u16) = (child.parse().unwrap(), port.parse().unwrap());
            node.pass();
            let owner = |node: &Node| {
                let picture = node.report.picture(node.now());
                let client = picture.connections.iter().find(|c| c.local.port == port);
                client.map(|c| c.owner.pid)
            };
            assert_eq!(owner(&node), Some(holder.id()), "{}", source_kind.name());
            node.read(Want::Processes);
            assert!(!node.report.handed_over(), "nothing has happened");

            holder.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
            assert_eq!(said.next().unwrap().unwrap(), "handed");
            std::thread::sleep(Duration::from_millis(100));
            node.read(Want::Processes);
            assert!(node.report.handed_over(), "{}", source_kind.name());
            node.read(Want::Sockets);

            assert_eq!(owner(&node), Some(child), "{}", source_kind.name());
            drop(holder.stdin.take());
            holder.wait().unwrap();
        }
    });
}
