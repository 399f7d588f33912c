//! What the BPF sources take from memory, and what they must not.
//!
//! In: processes that sleep, in a box of their own namespaces. Out: a verdict. Needs root and BPF.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]

#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with the tests of one pass")]
mod sandbox;
#[path = "bpf/sources.rs"]
mod sources;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use probelet_agent::discover::{Pass, Source as _, Unpaced, bpf::Bpf};
use probelet_core::facts::{Facts, Socket, State, Want};
use sandbox::in_sandbox;
use sources::each_source;

fn pass(source: &mut Bpf, want: Want) -> Facts {
    let mut facts = Facts::default();
    assert_eq!(source.pass(want, &mut facts, &mut Unpaced).unwrap(), Pass::Complete);
    facts
}

/// Passes until one is as expected: a child goes to sleep a moment after it has spoken.
fn until(source: &mut Bpf, want: Want, what: &str, good: impl Fn(&Bpf, &Facts) -> bool) {
    let began = Instant::now();
    loop {
        let facts = pass(source, want);
        if good(source, &facts) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {facts:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A Python program that says when it is ready, and sleeps until its input ends.
struct Sleeper(Child);

impl Sleeper {
    fn start(program: &str) -> Self {
        let program = format!("import socket,sys\n{program}");
        let mut child = Command::new("python3")
            .args(["-uc", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn wake(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn held(facts: &Facts, pid: u32, port: u16) -> Option<&Socket> {
    facts.sockets.iter().find(|s| s.pid == pid && s.local.port == port)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_sleeps_is_not_read_again_and_stays_as_it_was() {
    in_sandbox("a_process_that_sleeps_is_not_read_again_and_stays_as_it_was", || {
        let sleepers: Vec<_> = (0..5)
            .map(|n| {
                let listen = format!("s=socket.create_server(('127.0.0.1',{}))", 4300 + n);
                Sleeper::start(&format!("{listen};print('ready');sys.stdin.read()"))
            })
            .collect();
        each_source(|source| {
            let first = pass(source, Want::Everything);
            assert_eq!(source.kept(), 0);
            until(source, Want::Sockets, "five sleep", |source, facts| {
                source.kept() >= 5 && facts.processes.len() == first.processes.len()
            });
            let later = pass(source, Want::Sockets);
            for (sleeper, port) in sleepers.iter().zip(4300..) {
                let pid = sleeper.0.id();
                let process = |facts: &Facts| {
                    *facts.processes.iter().find(|process| process.pid == pid).unwrap()
                };
                assert_eq!(process(&later), process(&pass(source, Want::Everything)));
                assert_eq!(held(&later, pid, port), held(&first, pid, port));
                assert!(held(&later, pid, port).is_some());
            }
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_whose_peer_closed_is_read_again_though_its_holder_sleeps() {
    in_sandbox("a_socket_whose_peer_closed_is_read_again_though_its_holder_sleeps", || {
        each_source(|source| {
            let accept = "s=socket.create_server(('127.0.0.1',4310),backlog=1);print('ready');a,_=s.accept();sys.stdin.read()";
            let sleeper = Sleeper::start(accept);
            let pid = sleeper.0.id();
            let client = TcpStream::connect("127.0.0.1:4310").unwrap();
            let state = |facts: &Facts| {
                let own = |s: &&Socket| s.pid == pid && s.state != State::Listen;
                facts.sockets.iter().find(own).map(|socket| socket.state)
            };
            until(source, Want::Sockets, "it sleeps", |source, facts| {
                source.kept() > 0 && state(facts) == Some(State::Established)
            });

            drop(client);

            let facts = pass(source, Want::Sockets);
            assert_eq!(state(&facts), Some(State::CloseWait));
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn bytes_that_arrive_at_a_sleeper_come_with_everything_and_its_files_are_not_walked() {
    in_sandbox(
        "bytes_that_arrive_at_a_sleeper_come_with_everything_and_its_files_are_not_walked",
        || {
            each_source(|source| {
                let accept = "s=socket.create_server(('127.0.0.1',4350),backlog=1);print('ready');a,_=s.accept();sys.stdin.read()";
                let sleeper = Sleeper::start(accept);
                let pid = sleeper.0.id();
                let mut client = TcpStream::connect("127.0.0.1:4350").unwrap();
                let kept = |source: &Bpf| source.kept() > 0;
                until(source, Want::Sockets, "it sleeps", |source, _| kept(source));

                client.write_all(b"12345").unwrap();

                let facts = pass(source, Want::Everything);
                let own = |s: &&Socket| s.pid == pid && s.state == State::Established;
                let socket = facts.sockets.iter().find(own).unwrap();
                assert_eq!((socket.bytes_received, kept(source)), (Some(5), true));
            });
        },
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn what_others_do_to_a_sleeper_comes_with_everything() {
    in_sandbox("what_others_do_to_a_sleeper_comes_with_everything", || {
        each_source(|source| {
            // Its parent ends, so that it gets another one, and never knows.
            let fork = "import os\nif os.fork() == 0:\n os.close(0)\n os.pause() if hasattr(os, 'pause') else __import__('signal').pause()";
            let parent = Sleeper::start(&format!("{fork}\nprint('ready');sys.stdin.read()"));
            let old = parent.0.id();
            let child = |facts: &Facts| {
                facts.processes.iter().find(|process| process.ppid == old).map(|p| p.pid)
            };
            until(source, Want::Sockets, "both sleep", |source, facts| {
                source.kept() >= 2 && child(facts).is_some()
            });
            let pid = child(&pass(source, Want::Processes));

            drop(parent);

            let facts = pass(source, Want::Everything);
            let process = facts.processes.iter().find(|p| Some(p.pid) == pid).unwrap();
            assert_eq!((process.ppid, source.kept() > 0), (1, true));
            assert!(Command::new("kill").arg(process.pid.to_string()).status().unwrap().success());
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_wakes_and_opens_a_socket_is_read_again() {
    in_sandbox("a_process_that_wakes_and_opens_a_socket_is_read_again", || {
        each_source(|source| {
            let program = "print('ready');sys.stdin.readline();s=socket.socket(type=socket.SOCK_DGRAM);s.bind(('127.0.0.1',4320));sys.stdin.read()";
            let mut sleeper = Sleeper::start(program);
            let pid = sleeper.0.id();
            until(source, Want::Sockets, "it sleeps", |source, _| source.kept() > 0);

            sleeper.wake();

            until(source, Want::Sockets, "it has opened", |_, facts| {
                held(facts, pid, 4320).is_some()
            });
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_chain_with_nothing_new_is_not_walked_again() {
    in_sandbox("a_chain_with_nothing_new_is_not_walked_again", || {
        let listener = TcpListener::bind("127.0.0.1:4330").unwrap();
        let connect =
            || (TcpStream::connect("127.0.0.1:4330").unwrap(), listener.accept().unwrap());
        let held: Vec<_> = (0..400).map(|_| connect()).collect();
        each_source(|source| {
            pass(source, Want::Everything);
            let all = source.walked();
            let _new = connect();

            // Two ends in one chain each; whatever else this machine opens meanwhile shares the hash.
            pass(source, Want::Sockets);
            assert!(all >= 400, "{all} groups were walked at first");
            assert!(source.walked() < all / 2, "{} of {all} groups again", source.walked());
            // Who is running has its CPU time accounted at the next tick.
            until(source, Want::Sockets, "all are seen", |_, facts| {
                let established = facts.sockets.iter().filter(|s| s.state == State::Established);
                established.count() == 2 * held.len() + 2
            });
        });
    });
}

/// Closes a connection whose peer has not read all.
fn leave_unsent(source: &mut Bpf) {
    // No one reads at the other end, so that closing leaves the socket in its place in the hash.
    let listener = TcpListener::bind("127.0.0.1:4340").unwrap();
    let fill = "s=socket.create_connection(('127.0.0.1',4340));s.setblocking(False)\ntry:\n while s.send(b'x'*65536): pass\nexcept BlockingIOError: pass";
    let close = "print('ready');sys.stdin.readline();s.close();sys.stdin.read()";
    let mut sleeper = Sleeper::start(&format!("{fill}\n{close}"));
    let pid = sleeper.0.id();
    let (_peer, client) = listener.accept().unwrap();
    let ours = |facts: &Facts| {
        let own = |s: &&Socket| s.local.port == client.port();
        facts.sockets.iter().find(own).map(|s| (s.pid, s.state))
    };
    until(source, Want::Sockets, "it sleeps", |source, facts| {
        source.kept() > 0 && ours(facts) == Some((pid, State::Established))
    });

    sleeper.wake();

    until(source, Want::Sockets, "it has closed", |_, facts| {
        ours(facts) == Some((0, State::FinWait1))
    });
    assert_eq!(ours(&pass(source, Want::Sockets)), Some((0, State::FinWait1)));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_that_its_holder_left_unsent_is_found_without_one() {
    in_sandbox("a_connection_that_its_holder_left_unsent_is_found_without_one", || {
        each_source(leave_unsent);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_left_unsent_is_found_beside_a_namespace_with_a_hash_of_its_own() {
    in_sandbox(
        "a_connection_left_unsent_is_found_beside_a_namespace_with_a_hash_of_its_own",
        || {
            std::fs::write("/proc/sys/net/ipv4/tcp_child_ehash_entries", "1024").unwrap();
            let mut other =
                Command::new("unshare").args(["--net", "sleep", "100"]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(300));
            each_source(leave_unsent);
            other.kill().unwrap();
            other.wait().unwrap();
        },
    );
}
