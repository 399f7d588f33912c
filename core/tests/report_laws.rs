//! Laws that hold after any sequence of passes: the report equals what the last pass saw, however
//! it came about, and a flow never counts more or fewer connections than there are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_core::facts::{Comm, Endpoint, Facts, Netns, Process, Socket, State, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Picture, Removed, Report};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

fn processes() -> impl Strategy<Value = Vec<Process>> {
    // Few pids, two starts each: pids are used again, names change, processes come and go.
    let one = (1..6_u32, 0..2_u64, 0..3_u8).prop_map(|(pid, start, name)| Process {
        pid,
        start_ns: u64::from(pid) + start * 1000,
        netns: pid % 2 + 1,
        comm: Comm::new(&[b'a' + name]),
        ..Process::default()
    });
    proptest::collection::vec(one, 0..8).prop_map(|processes| {
        let by_pid: BTreeMap<_, _> = processes.into_iter().map(|p| (p.pid, p)).collect();
        by_pid.into_values().collect()
    })
}

fn sockets() -> impl Strategy<Value = Vec<Socket>> {
    let port = 1..5_u16;
    let one = (1..3_u32, 0..6_u32, port.clone(), port, 0..3_u8, 0..4_u64, 1..9_u32);
    let one = one.prop_map(|(netns, pid, from, to, kind, bytes, inode)| {
        let at = |port| Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), port);
        let listen = kind == 0;
        Socket {
            netns,
            // An inode is one socket's: the same on the same ports, another one elsewhere.
            inode: inode * 1000
                + u32::from(from) * 100
                + u32::from(to) * 10
                + netns
                + u32::from(listen) * 5,
            pid,
            state: if listen { State::Listen } else { State::Established },
            local: at(from),
            remote: if listen { Endpoint::v4(Ipv4Addr::UNSPECIFIED, 0) } else { at(to) },
            bytes_sent: Some(bytes),
            bytes_received: Some(bytes),
            ..Socket::default()
        }
    });
    proptest::collection::vec(one, 0..20).prop_map(|sockets| {
        // The kernel has at most one connection on the same four: of several, the first is it.
        let mut inodes = BTreeMap::new();
        let keep = |s: &Socket| {
            s.state == State::Listen
                || *inodes.entry((s.netns, s.local, s.remote)).or_insert(s.inode) == s.inode
        };
        sockets.into_iter().filter(keep).collect()
    })
}

type Key = (u32, Endpoint, Endpoint, u32);

fn live(picture: &Picture) -> BTreeSet<Key> {
    let live = picture.connections.iter().filter(|c| c.state != State::TimeWait);
    live.map(|c| (c.netns, c.local, c.remote, c.inode)).collect()
}

proptest! {
    #[test]
    fn the_report_is_what_the_last_pass_saw(passes in proptest::collection::vec((processes(), sockets()), 1..12)) {
        let mut report = Report::new(Limits::default(), PortRange::default());
        let mut known: BTreeMap<u64, Key> = BTreeMap::new();
        let mut epoch = 0;
        for (n, (processes, sockets)) in passes.into_iter().enumerate() {
            let now = Now { unix_ms: n as u64 * 1000, mono_ms: n as u64 * 1000 };
            let netns = [1, 2].map(|inode| Netns { inode, ..Netns::default() }).to_vec();
            let facts = Facts { fresh: Some(Want::Everything), processes, sockets, netns, ..Facts::default() };
            report.update(&facts, now);
            let picture = report.picture(now);

            let pids: BTreeSet<_> = facts.processes.iter().map(|p| (p.pid, p.start_ns)).collect();
            let seen: BTreeSet<_> = picture.processes.iter().map(|p| (p.fact.pid, p.fact.start_ns)).collect();
            prop_assert_eq!(pids, seen);

            let there = facts.sockets.iter().filter(|s| s.state != State::Listen);
            let there: BTreeSet<Key> = there.map(|s| (s.netns, s.local, s.remote, s.inode)).collect();
            prop_assert_eq!(&there, &live(&picture));

            for c in picture.connections.iter().filter(|c| c.owner.pid != 0) {
                let holders = facts.sockets.iter().filter(|s| (s.netns, s.local, s.remote) == (c.netns, c.local, c.remote));
                let holders: Vec<_> = holders.filter(|s| facts.processes.iter().any(|p| p.pid == s.pid)).collect();
                let right = holders.iter().any(|s| s.pid == c.owner.pid) || holders.is_empty();
                prop_assert!(right, "{:?} is not held by {}", c, c.owner.pid);
            }

            let counted = picture.connections.iter().filter(|c| c.counted && c.state != State::TimeWait).count();
            let current: u32 = picture.flows.iter().map(|f| f.current).sum();
            prop_assert_eq!(counted, current as usize);

            // A reader that follows removals and changes knows the same connections.
            for gone in picture.removed.since(epoch).unwrap() {
                if let Removed::Connection(id) = gone {
                    known.remove(&id);
                }
            }
            for c in picture.connections.iter_changed(epoch).filter(|c| c.changed > epoch) {
                known.insert(c.id, (c.netns, c.local, c.remote, c.inode));
            }
            epoch = picture.epoch;
            let all: BTreeMap<_, _> =
                picture.connections.iter().map(|c| (c.id, (c.netns, c.local, c.remote, c.inode))).collect();
            prop_assert_eq!(&known, &all);
        }
    }
}
