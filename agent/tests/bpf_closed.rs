//! That the BPF sources report each closed connection, once, however many others there are.
//!
//! In: thousands of connections that close, in a box of their own namespaces. Out: a verdict. Needs root and BPF.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]

#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with the tests of one pass")]
mod sandbox;
#[path = "bpf/sources.rs"]
mod sources;

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use probelet_agent::discover::{Pass, Source as _, Unpaced, bpf::Bpf};
use probelet_core::facts::{Facts, Want};
use probelet_core::hash::HashMap;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use sandbox::in_sandbox;
use sources::each_source;

/// More than have their marks looked at by each pass.
const THOUSANDS: usize = 6000;
/// So many that a miss of one in ten thousand shows.
const ALL: usize = 25_000;

fn pass(source: &mut Bpf, want: Want) -> Facts {
    let mut facts = Facts::default();
    assert_eq!(source.pass(want, &mut facts, &mut Unpaced).unwrap(), Pass::Complete);
    facts
}

/// A listener of this process and whom it accepts.
struct Server(TcpListener);

impl Server {
    fn new(port: u16) -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    /// A connection of which the accepted end closes first and waits: a SYN from the same port ends that at any time.
    fn close(&self, port: Option<u16>) {
        let client = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        if let Some(port) = port {
            bind(&client, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
        }
        let own = self.0.local_addr().unwrap().port();
        connect(&client, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, own)).unwrap();
        drop(self.0.accept().unwrap());
    }
}

fn of_port(facts: &Facts, remote: u16) -> usize {
    facts.closed.iter().filter(|closed| closed.remote.port == remote).count()
}

#[test]
#[ignore = "needs root and BPF"]
fn each_connection_closed_on_the_same_ports_is_found_among_thousands() {
    in_sandbox("each_connection_closed_on_the_same_ports_is_found_among_thousands", || {
        let server = Server::new(4360);
        (0..THOUSANDS).for_each(|_| server.close(None));
        each_source(|source| {
            pass(source, Want::Everything);
            for nth in 0..12 {
                server.close(Some(4361));

                let facts = pass(source, Want::Sockets);
                assert_eq!(of_port(&facts, 4361), 1, "the one of number {nth}");
            }
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_closed_on_the_ports_of_an_old_one_is_found_by_its_turn() {
    in_sandbox("a_connection_closed_on_the_ports_of_an_old_one_is_found_by_its_turn", || {
        let (server, other) = (Server::new(4360), Server::new(4370));
        (0..THOUSANDS).for_each(|_| server.close(None));
        each_source(|source| {
            server.close(Some(4361));
            pass(source, Want::Everything);
            let mut pass_after_another = || {
                other.close(None);
                // More than clocks may differ: what is found late expires before what came since.
                std::thread::sleep(Duration::from_millis(25));
                of_port(&pass(source, Want::Sockets), 4361)
            };
            assert_eq!((0..20).map(|_| pass_after_another()).sum::<usize>(), 0, "all is old");

            server.close(Some(4361));

            let found: Vec<_> = (0..40).map(|_| pass_after_another()).collect();
            assert_eq!(found.iter().sum::<usize>(), 1, "{found:?}");
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn none_is_missed_while_thousands_close_and_none_comes_twice() {
    in_sandbox("none_is_missed_while_thousands_close_and_none_comes_twice", || {
        let set = |name: &str, to: &str| {
            std::fs::write(format!("/proc/sys/net/ipv4/{name}"), to).unwrap();
        };
        // So that no two of them have the same ports, and none goes early.
        set("ip_local_port_range", "5000 65000");
        set("tcp_tw_reuse", "0");
        set("tcp_max_tw_buckets", "1000000");
        let port = Cell::new(4380);
        each_source(|source| {
            port.set(port.get() + 1);
            let own = port.get();
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, own)).unwrap();
            pass(source, Want::Everything);
            let storm = std::thread::spawn(move || {
                for _ in 0..ALL {
                    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, own)).unwrap();
                    let accepted = server.accept().unwrap();
                    drop(client);
                    drop(accepted);
                }
            });
            let mut closed: HashMap<u16, usize> = HashMap::default();
            let mut look = || {
                for one in pass(source, Want::Sockets).closed {
                    if one.remote.port == own {
                        *closed.entry(one.local.port).or_default() += 1;
                    }
                }
            };
            while !storm.is_finished() {
                look();
            }
            storm.join().unwrap();
            // What was not looked at in the turn of the last pass, is now.
            let other = Server::new(4370);
            for _ in 0..64 {
                other.close(None);
                look();
            }

            assert_eq!(closed.len(), ALL, "different ports");
            assert!(closed.values().all(|times| *times == 1), "once each");
        });
    });
}
