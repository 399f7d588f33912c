//! Laws of ends that the kernel reports: each connection is counted once, whatever passes, TIME_WAIT sockets and the
//! order of messages showed of it; where ports are used again at once, never more often than it was opened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_core::facts::{
    Closed, Comm, Ended, Endpoint, Facts, Loss, Netns, Process, Socket, State, Want,
};
use probelet_core::join::PortRange;
use probelet_core::records::FlowRecord;
use probelet_core::report::{Limits, Now, Picture, Report};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use std::net::Ipv4Addr;

const CLIENT: u32 = 11;
const SERVER: u32 = 12;
/// Time between two passes, milliseconds.
const PASS: u64 = 1000;
const BEGAN: u64 = 100_000;
const CASES: u32 = 500;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Close {
    /// The client closes first, and is left in TIME_WAIT.
    Fin,
    /// By a reset; if the client sends it without lingering, it forgets its peer.
    Reset { forgets: bool },
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "what happens to it, each with or without the others"
)]
#[derive(Clone, Copy, Debug)]
struct Connection {
    port: u16,
    /// When it opens, when the client's socket goes, and when the server's does.
    opens: u64,
    goes: [u64; 2],
    /// How much later each is reported.
    late: [u64; 2],
    close: Close,
    /// The server is on another node.
    far: bool,
    /// The server accepts it only after the first pass that sees it.
    slow: bool,
    /// A pass sees the client's socket when the kernel is still looking for a port for it.
    early: bool,
    /// Until the server's socket goes, the kernel keeps the client's in FIN_WAIT2, if it ended by a FIN.
    half: bool,
}

/// On so many ports, which are used again when so much time has passed.
fn connections(most_ports: u16, again: u64) -> impl Strategy<Value = Vec<Connection>> {
    let close =
        prop_oneof![Just(Close::Fin), any::<bool>().prop_map(|forgets| Close::Reset { forgets })];
    let late = || prop_oneof![4 => Just(0), 1 => Just(PASS), 1 => Just(2 * PASS)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let one = (1..6 * PASS, 1..3 * PASS, 0..2 * PASS, [late(), late()], close, flags);
    let all = proptest::collection::vec((0..most_ports, one), 1..40);
    all.prop_map(move |all| {
        let mut free = vec![0; usize::from(most_ports)];
        let mut out = Vec::new();
        for (n, (port, (at, long, longer, late, close, (far, slow, early, half)))) in (0..).zip(all)
        {
            let port = if most_ports > 100 { n } else { port };
            let opens = at.max(free[usize::from(port)] + 1);
            let goes = [opens + long, opens + long + longer];
            free[usize::from(port)] = goes[1] + again;
            out.push(Connection { port, opens, goes, late, close, far, slow, early, half });
        }
        out
    })
}

fn client(c: &Connection) -> Endpoint {
    Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), 40_000 + c.port)
}

fn server(c: &Connection) -> Endpoint {
    Endpoint::v4(if c.far { Ipv4Addr::new(192, 0, 2, 1) } else { Ipv4Addr::new(10, 0, 0, 2) }, 80)
}

fn reported(c: &Connection, end: usize) -> Ended {
    let (local, remote) = if end == 0 { (client(c), server(c)) } else { (server(c), client(c)) };
    let marks = u64::from(end == 0) + u64::from(c.close == Close::Fin);
    let sent = if end == 0 { 100 } else { 50 };
    let ended = Ended {
        netns: [CLIENT, SERVER][end],
        local,
        remote,
        established: true,
        segments: 3,
        rtt_us: 200,
        sent,
        acknowledged: sent + marks,
        received: 150 - sent + u64::from(c.close == Close::Fin),
        ..Ended::default()
    };
    if end == 0 && c.close == (Close::Reset { forgets: true }) {
        let (local, remote) = (Endpoint { addr: 0, ..local }, Endpoint { port: 0, ..remote });
        return Ended {
            local,
            remote,
            sent: 0,
            acknowledged: 0,
            received: 0,
            segments: 0,
            ..ended
        };
    }
    ended
}

/// What a pass sees of the sockets of one connection, and which of its ends were reported since the last one.
fn sockets(n: u32, c: &Connection, before: u64, now: u64, facts: &mut Facts) {
    if c.early && before < c.opens && now <= c.opens {
        let (local, remote) = (Endpoint { port: 0, ..client(c) }, server(c));
        let (netns, inode, state) = (CLIENT, 10 * n, State::SynSent);
        facts.sockets.push(Socket {
            netns,
            inode,
            pid: 1,
            state,
            local,
            remote,
            ..Socket::default()
        });
    }
    if c.half && c.close == Close::Fin && c.goes[0] < now && now <= c.goes[1] {
        let (local, remote, state) = (client(c), server(c), State::FinWait2);
        facts.sockets.push(Socket { netns: CLIENT, state, local, remote, ..Socket::default() });
    }
    let ends = if c.far { 1 } else { 2 };
    for end in 0..ends {
        let at = reported(&Connection { close: Close::Fin, ..*c }, end);
        let at_ms = (c.goes[end] + c.late[end]).max(c.goes[end]);
        if c.opens < now && now <= c.goes[end] {
            let held = end == 0 || !c.slow || c.opens < before;
            facts.sockets.push(Socket {
                netns: at.netns,
                inode: if held { 10 * n + u32::try_from(end).unwrap() } else { 0 },
                pid: if held { u32::try_from(end).unwrap() + 1 } else { 0 },
                local: at.local,
                remote: at.remote,
                bytes_sent: Some(at.sent / 2),
                bytes_received: Some(at.received / 2),
                ..Socket::default()
            });
        }
        if before <= at_ms && at_ms < now {
            facts.ended.push(reported(c, end));
        }
    }
}

/// What a pass at `now` sees, the last one having been at `before`.
fn pass(all: &[Connection], before: u64, now: u64) -> Facts {
    let process = |pid, netns, comm: &[u8]| Process {
        pid,
        start_ns: 1,
        netns,
        comm: Comm::new(comm),
        ..Process::default()
    };
    let opened =
        |far_too: bool| all.iter().filter(|c| c.opens < now && (far_too || !c.far)).count() as u64;
    let listener = Socket {
        netns: SERVER,
        inode: 1,
        pid: 2,
        state: State::Listen,
        local: Endpoint::v4(Ipv4Addr::UNSPECIFIED, 80),
        remote: Endpoint::v4(Ipv4Addr::UNSPECIFIED, 0),
        ..Socket::default()
    };
    let mut facts = Facts {
        fresh: Some(Want::Everything),
        processes: vec![process(1, CLIENT, b"client"), process(2, SERVER, b"server")],
        netns: vec![
            Netns { inode: CLIENT, active_opens: opened(true), ..Netns::default() },
            Netns { inode: SERVER, passive_opens: opened(false), ..Netns::default() },
        ],
        reported: vec![(CLIENT, 1), (SERVER, 1)],
        sockets: vec![listener],
        ..Facts::default()
    };
    for (n, c) in (1_u32..).zip(all) {
        sockets(n, c, before, now, &mut facts);
        // What is used again leaves no TIME_WAIT.
        let again = all
            .iter()
            .any(|d| d.port == c.port && d.far == c.far && c.goes[0] < d.opens && d.opens < now);
        let waits = c.goes[usize::from(c.half)];
        if c.close == Close::Fin && before <= waits && waits < now && !again {
            let remaining_ms = u32::try_from(60_000 - (now - waits)).unwrap();
            let (local, remote) = (client(c), server(c));
            facts.closed.push(Closed {
                netns: CLIENT,
                local,
                remote,
                remaining_ms,
                ..Closed::default()
            });
        }
    }
    facts
}

fn run(all: &[Connection]) -> Picture {
    let mut report = Report::new(Limits::default(), PortRange::default());
    let at = |ms| Now { unix_ms: 1_700_000_000_000 + ms, mono_ms: BEGAN + ms };
    report.update(&pass(&[], 0, 0), at(0));
    let mut before = 0;
    let last = all.iter().flat_map(|c| c.goes).max().unwrap_or(0) + 4 * PASS;
    while before < last {
        let now = before + PASS;
        report.update(&pass(all, before, now), at(now));
        let _shown = report.picture(at(now));
        before = now;
    }
    report.picture(at(before))
}

/// What one connection left for an end that came another way may stand for one of the next on its ports.
#[test]
fn of_ports_that_are_used_again_after_a_while_all_but_a_hundredth_is_counted() {
    let mut runner = TestRunner::deterministic();
    let (mut n, mut opened) = (0, 0);
    for _ in 0..CASES {
        let all = connections(3, 6 * PASS).new_tree(&mut runner).unwrap().current();
        n += all.len() as u64;
        opened += run(&all).flows.iter().map(|f| f.opened).sum::<u64>();
    }

    assert!(opened <= n && opened >= n - n / 100, "{opened} of {n}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn each_connection_is_counted_once(all in connections(1000, 0)) {
        let picture = run(&all);

        let ends: u64 = all.iter().map(|c| if c.far { 1 } else { 2 }).sum();
        prop_assert_eq!(picture.losses.get(Loss::Overcounted), 0);
        prop_assert_eq!((picture.coverage[1].opened, picture.coverage[1].observed), (ends, ends));
        let flows: Vec<_> = picture.flows.iter().copied().collect();
        let sum = |of: fn(&FlowRecord) -> u64| flows.iter().map(of).sum::<u64>();
        let n = all.len() as u64;
        prop_assert_eq!((sum(|f| f.opened), sum(|f| f.closed), sum(|f| f.current.into())), (n, n, 0), "{:#?}", flows);
        let once = flows.iter().map(FlowRecord::counted_once).fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]);
        prop_assert_eq!(once, [n, n]);
        let reset = all.iter().filter(|c| c.close != Close::Fin).count() as u64;
        prop_assert!(sum(|f| f.health.resets) <= reset);
    }

    #[test]
    fn where_ports_are_used_again_nothing_is_counted_twice(all in connections(3, 0)) {
        // The kernel's worker is late by a pass at most: later than that two ends on the same ports change places.
        let soon = |c: &Connection| Connection { late: c.late.map(|late| late.min(PASS)), ..*c };
        let all: Vec<Connection> = all.iter().map(soon).collect();
        let picture = run(&all);

        prop_assert_eq!(picture.losses.get(Loss::Overcounted), 0);
        let opened: u64 = picture.flows.iter().map(|f| f.opened).sum();
        let closed: u64 = picture.flows.iter().map(|f| f.closed).sum();
        prop_assert!(opened <= all.len() as u64, "{opened} of {}", all.len());
        prop_assert!(closed <= opened);
        prop_assert!(picture.coverage[1].observed <= picture.coverage[1].opened);
    }

    #[test]
    fn ports_that_are_used_again_after_a_while_are_other_connections(all in connections(3, 6 * PASS)) {
        let picture = run(&all);

        prop_assert_eq!(picture.losses.get(Loss::Overcounted), 0);
        let opened: u64 = picture.flows.iter().map(|f| f.opened).sum();
        let n = all.len() as u64;
        prop_assert!(opened <= n, "{opened} of {n}");
    }

    #[test]
    fn payload_is_that_of_the_connections(all in connections(1000, 0)) {
        let lingering = |c: &&Connection| c.close != (Close::Reset { forgets: true });
        // What moves to another flow, since its other end turned up late, leaves its bytes behind.
        let on_time = |c: &Connection| Connection { late: [0, 0], slow: false, ..*c };
        let all: Vec<Connection> = all.iter().filter(lingering).map(on_time).collect();
        let picture = run(&all);

        let sent: u64 = picture.flows.iter().map(|f| f.bytes_sent).sum();
        let received: u64 = picture.flows.iter().map(|f| f.bytes_received).sum();
        let n = all.len() as u64;
        prop_assert_eq!((sent, received), (100 * n, 50 * n));
        // Of two ends here the one that is counted shows its segments, the other only what it had to send again.
        let segments: u64 = picture.flows.iter().map(|f| f.health.segments).sum();
        let resets: u64 = picture.flows.iter().map(|f| f.health.resets).sum();
        let reset = all.iter().filter(|c| c.close != Close::Fin).count() as u64;
        prop_assert_eq!((segments, resets), (3 * n, reset));
    }
}
