//! What the report may cost, counted instead of timed: these hold on any machine.
//!
//! In: a node made up of many connections. Out: a verdict on bytes and allocations. It must not look at a clock.
//!
//! Pure: no I/O.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_allocations::{Counting, allocations, taken};
use probelet_core::facts::{Comm, Endpoint, Facts, Netns, Process, Role, Socket, State, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use std::net::Ipv4Addr;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SERVERS: u16 = 200;
/// Bytes of the report for one end of a connection: its record, its place in the index, its address, what each pass notes.
const MOST_BYTES_AN_END: usize = 260;

/// So many connections with both ends on this node, to servers that each have a port.
fn node(connections: u32) -> Facts {
    let named = |pid, comm: &str| Process {
        pid,
        start_ns: u64::from(pid) * 1_000_000,
        netns: 1,
        comm: Comm::new(comm.as_bytes()),
        ..Process::default()
    };
    let end = |ip: u32, port| Endpoint::v4(Ipv4Addr::from(ip), port);
    let mut facts = Facts {
        fresh: Some(Want::Everything),
        processes: (0..u32::from(SERVERS)).map(|n| named(100 + n, "server")).collect(),
        netns: vec![Netns { inode: 1, ..Netns::default() }],
        ..Facts::default()
    };
    facts.processes.push(named(50, "client"));
    for n in 0..connections {
        let server = u16::try_from(n % u32::from(SERVERS)).unwrap();
        let (here, there) =
            (end(0x0a00_0001 + n / 30_000, 2000 + server), end(0x7f00_0001 + n, 40_000));
        let socket = |pid, local, remote, role, inode| Socket {
            netns: 1,
            inode,
            pid,
            state: State::Established,
            local,
            remote,
            role,
            bytes_sent: Some(1000),
            bytes_received: Some(1000),
            ..Socket::default()
        };
        facts.sockets.push(socket(50, there, here, Role::Dialled, 2 * n + 1));
        let pid = 100 + u32::from(server);
        facts.sockets.push(socket(pid, here, there, Role::Accepted, 2 * n + 2));
    }
    facts
}

fn at(second: u64) -> Now {
    Now { unix_ms: 1_700_000_000_000 + second * 1000, mono_ms: 100_000 + second * 1000 }
}

fn report() -> Report {
    Report::new(Limits::default(), PortRange::default())
}

/// What a node of so many connections takes, and how many records and flows that is.
fn held(connections: u32) -> (usize, usize, usize) {
    let facts = node(connections);
    let mut report = report();
    let before = taken();
    for second in 1..4 {
        report.update(&facts, at(second));
        // A reader holds the last picture and nothing older.
        drop(report.picture(at(second)));
    }
    let picture = report.picture(at(4));
    (taken() - before, picture.connections.len(), picture.flows.len())
}

#[test]
fn the_end_of_a_connection_takes_no_more_than_this_many_bytes_of_the_report() {
    let (bytes, ends, flows) = held(20_000);

    assert_eq!((ends, flows), (40_000, 200));
    let each = bytes / ends;
    assert!(each <= MOST_BYTES_AN_END, "{each}");
}

#[test]
fn a_reading_of_everything_that_found_nothing_changed_allocates_for_no_socket() {
    let facts = node(2000);
    let mut report = report();
    for second in 1..10 {
        report.update(&facts, at(second));
        drop(report.picture(at(second)));
    }

    let (before, held) = (allocations(), taken());
    report.update(&facts, at(20));

    let allocations = allocations() - before;
    assert!(allocations <= 64, "{allocations} for 4,000 sockets");
    assert!(taken() <= held + 4096, "{} bytes more", taken() - held);
}
