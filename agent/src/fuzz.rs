//! Entries for the fuzzer: one function for each parser of bytes from outside, with what must hold of its result.
//!
//! In: bytes of any kind. Out: nothing; a panic is a finding. Most parsers are private and stay so: each module with private
//! ones has a `fuzz` of its own below it. None of this is in the program: it is compiled for tests, and for `fuzz/`, which
//! asks for it by a feature. It must not do I/O, or a finding would not be one elsewhere.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use std::sync::Arc;

use probelet_core::facts::{Container, Facts, Netns, Process, Protocol, Socket, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{self, Now, Report};
use serde::de::IgnoredAny;

use crate::discover::containers::cgroup_path::{self, Node};
use crate::discover::containers::hierarchies::Hierarchies;
use crate::discover::netlink::message::{Message, Messages};
use crate::discover::procfs::{root, stat, tables};
use crate::discover::{bpf, conntrack, containers, ends, netns_counters};
use crate::serve::testing::snapshot;
use crate::{config, names, serve};

/// What is fed, and what is fed to it.
pub type Target = (&'static str, fn(&[u8]));

/// Their names and functions; a folder of `fuzz/corpus` is called the same.
pub const TARGETS: &[Target] = &[
    ("netlink", netlink),
    ("bpf", bpf::fuzz::records),
    ("proc", proc),
    ("cgroup", cgroup),
    ("api", names::fuzz::api),
    ("http", serve::fuzz::http),
    ("query", serve::fuzz::query),
    ("yaml", config::fuzz::yaml),
    ("saved", config::fuzz::saved),
];

/// The first byte says which question the rest answers.
fn netlink(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let protocol = match kind % 3 {
        _ if *kind == u8::MAX => return ends::fuzz::message(bytes),
        0 => Protocol::Tcp,
        1 => Protocol::Udp,
        _ => return conntrack::fuzz::answers(bytes),
    };
    let mut facts = Facts::default();
    for message in Messages::new(bytes, protocol) {
        match message {
            Message::Row(tables::Row::Socket(socket)) => {
                facts.sockets.push(Socket { netns: 7, pid: 1, ..socket });
            }
            Message::Row(tables::Row::TimeWait(closed, _)) => facts.closed.push(closed),
            Message::Row(tables::Row::Nothing) | Message::Done | Message::Malformed => {}
            Message::Refused(errno) => assert!(errno >= 0, "an errno is positive"),
        }
    }
    assert!(facts.sockets.len() + facts.closed.len() <= bytes.len() / 72, "a row from nothing");
    reported(facts);
}

/// The first byte says which file the rest is.
fn proc(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let lines = || bytes.split(|&byte| byte == b'\n');
    let mut parts = bytes.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let mut facts = Facts::default();
    match kind % 8 {
        0 => {
            let units = stat::Units { tick_ns: 10_000_000, page_bytes: 4096 };
            facts.processes =
                lines().filter_map(|line| stat::parse(line, units)).map(process).collect();
        }
        which @ (1 | 2) => {
            let protocol = if which == 1 { Protocol::Tcp } else { Protocol::Udp };
            for row in lines().filter_map(|line| tables::parse(line, protocol)) {
                match row {
                    tables::Row::Socket(socket) => {
                        facts.sockets.push(Socket { netns: 7, ..socket });
                    }
                    tables::Row::TimeWait(closed, _) => facts.closed.push(closed),
                    tables::Row::Nothing => {}
                }
            }
        }
        3 => {
            let counters = netns_counters::parse(7, part(), part(), part());
            facts.netns.extend(counters.map(|counters| counters.netns));
        }
        4 => _ = netns_counters::embryonic_resets(bytes),
        5 => _ = root::bracketed(bytes),
        6 => containers::fuzz::usage(bytes),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let (mounts, cgroup) = text.split_once('\0').unwrap_or((&text, "/"));
            let found = Hierarchies::parse(mounts);
            for mount in [&found.unified, &found.cpuacct, &found.memory].into_iter().flatten() {
                let at = mount.path_of("/").unwrap();
                assert!(
                    mount.path_of(cgroup).is_none_or(|path| path.starts_with(&at)),
                    "{cgroup} climbs"
                );
            }
            crate::doctor::fuzz::mounts(mounts);
        }
    }
    reported(facts);
}

fn process(stat: stat::Stat) -> Process {
    let stat::Stat { pid, comm, ppid, cpu_ns, threads, start_ns, rss_bytes, .. } = stat;
    Process {
        pid,
        comm,
        ppid,
        cpu_ns,
        threads,
        start_ns,
        rss_bytes,
        netns: 7,
        ..Process::default()
    }
}

/// The agent's own text, and behind a NUL that of a process.
fn cgroup(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (own, text) = text.split_once('\0').unwrap_or(("", &text));
    for node in [Node::default(), Node::of(own)] {
        let Some(container) = cgroup_path::container(text, &node) else { continue };
        let Container { id, cgroup, outer, .. } = &container;
        assert!(!id.is_empty(), "a container without an id");
        assert!(text.contains(cgroup.as_str()), "{cgroup} is not in the text");
        assert!(cgroup.is_char_boundary(*outer as usize) && *outer as usize <= cgroup.len());
    }
    _ = cgroup_path::unified(text);
}

/// What is seen becomes a report: whatever the kernel said, it is one JSON value without a control byte.
pub(crate) fn reported(mut facts: Facts) {
    if facts.sockets.is_empty()
        && facts.processes.is_empty()
        && facts.closed.is_empty()
        && facts.netns.is_empty()
    {
        return;
    }
    facts.fresh = Some(Want::Everything);
    if facts.netns.is_empty() {
        facts.netns.push(Netns { inode: 7, ..Netns::default() });
    }
    let limits = report::Limits { sockets: 64, processes: 64, flows: 16, flow_ttl_ms: 1000 };
    let mut report = Report::new(limits, PortRange::default());
    let now = |mono_ms| Now { unix_ms: 1_700_000_000_000 + mono_ms, mono_ms };
    report.update(&facts, now(1_000_000));
    for netns in &mut facts.netns {
        netns.active_opens = netns.active_opens.wrapping_add(1);
    }
    facts.sockets.reverse();
    facts.sockets.pop();
    report.update(&facts, now(1_010_000));

    let snapshot =
        crate::snapshot::Snapshot { picture: report.picture(now(1_010_000)), ..snapshot() };
    is_json(&serve::full_report(&Arc::new(snapshot), &Arc::default()));
}

/// One JSON value, in which no byte moves a cursor.
pub(crate) fn is_json(text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    let control = text.chars().find(|&c| c.is_control() && c != '\n');
    assert!(control.is_none(), "{control:?} in {text}");
    serde_json::from_str::<IgnoredAny>(text).unwrap();
}
