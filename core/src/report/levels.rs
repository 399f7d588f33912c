//! How full the things are that can run full: from the tables of a report to the levels that risks are judged by.
//!
//! In: listeners, connections, processes of a pass. Out: a [`Level`] for each that is on its way. It must not
//! judge, and on a node where all is well it must cost nothing: what is clearly not full is left out first.
//!
//! Pure: no I/O.

use super::listeners::ListenerTable;
use super::risks::Level;
use crate::facts::{Endpoint, Netns, Process, Tracked};
use crate::hash::{self, HashMap};
use crate::records::{ConnectionRecord, Direction, ListenerRecord, Owner, Risk};

/// Queues of listeners that are half full at least.
pub(super) fn queues(listeners: &ListenerTable) -> Vec<Level> {
    let record = |slot: &u32| listeners.get(*slot).copied();
    let level = |record: ListenerRecord| {
        let queue = record.queue?;
        let (used, limit) = (u64::from(queue.waiting), u64::from(queue.most));
        let level = Level {
            subject: (record.netns, record.id),
            owner: record.owner,
            netns: record.netns,
            port: record.local.port,
            remote: Endpoint::default(),
            used,
            limit,
        };
        Risk::AcceptQueue.still(used, limit).then_some(level)
    };
    listeners.queued().iter().filter_map(record).filter_map(level).collect()
}

/// Open files of the processes whose limit is known.
pub(super) fn files(processes: &[Process]) -> Vec<Level> {
    let known = processes.iter().filter(|process| process.files_limit > 0);
    let level = |process: &Process| {
        let used = u64::from(process.open_fds?);
        let limit = u64::from(process.files_limit);
        let level = Level {
            subject: (process.pid, process.start_ns),
            owner: owner(process),
            netns: process.netns,
            port: 0,
            remote: Endpoint::default(),
            used,
            limit,
        };
        Risk::OpenFiles.still(used, limit).then_some(level)
    };
    known.filter_map(level).collect()
}

fn owner(process: &Process) -> Owner {
    let Process { pid, comm, container, .. } = *process;
    Owner { pid, comm, container, sibling: None }
}

/// What each process leaves in CLOSE_WAIT, with the port that most of it is of.
pub(super) fn close_waits<'a>(
    waiting: impl Iterator<Item = &'a ConnectionRecord>,
    processes: &[Process],
) -> Vec<Level> {
    let port = |record: &ConnectionRecord| match record.direction {
        Direction::Outbound => record.remote.port,
        _ => record.local.port,
    };
    let mut all: Vec<_> = waiting
        .filter(|record| record.owner.pid != 0)
        .map(|record| (record.owner.pid, port(record), record))
        .collect();
    all.sort_unstable_by_key(|(pid, port, _)| (*pid, *port));
    let level = |of_one: &[(u32, u16, &ConnectionRecord)]| {
        let used = of_one.len() as u64;
        if !Risk::CloseWait.still(used, 0) {
            return None;
        }
        let most = of_one.chunk_by(|a, b| a.1 == b.1).max_by_key(|same| same.len())?;
        let (pid, port, record) = most[0];
        let process = processes.iter().find(|process| process.pid == pid);
        Some(Level {
            subject: (pid, process.map_or(0, |process| process.start_ns)),
            owner: record.owner,
            netns: record.netns,
            port,
            remote: Endpoint::default(),
            used,
            limit: process.map_or(0, |process| u64::from(process.files_limit)),
        })
    };
    all.chunk_by(|a, b| a.0 == b.0).filter_map(level).collect()
}

/// Ports in use for each destination, in namespaces whose range is reported. `all` counts the records: a range
/// that is larger cannot be used up.
pub(super) fn ports<'a>(
    records: impl Iterator<Item = &'a ConnectionRecord>,
    all: usize,
    netns: &[Netns],
) -> Vec<Level> {
    let reported = netns.iter().filter_map(|there| Some((there.inode, there.ports?.size())));
    let ranges: HashMap<u32, u64> =
        reported.filter(|(_, size)| Risk::EphemeralPorts.still(all as u64, *size)).collect();
    if ranges.is_empty() {
        return Vec::new();
    }
    let dialled =
        |r: &&ConnectionRecord| r.direction == Direction::Outbound && ranges.contains_key(&r.netns);
    let key = |r: &ConnectionRecord| hash::of((r.netns, r.protocol, { r.local.addr }, r.remote));
    let mut used: Vec<_> = records.filter(dialled).map(|record| (key(record), record)).collect();
    used.sort_unstable_by_key(|(key, _)| *key);
    let level = |of_one: &[(u64, &ConnectionRecord)]| {
        let (key, record) = of_one[0];
        let (used, limit) = (of_one.len() as u64, ranges.get(&record.netns).copied()?);
        let level = Level {
            subject: (record.netns, key),
            owner: record.owner,
            netns: record.netns,
            port: record.remote.port,
            remote: record.remote,
            used,
            limit,
        };
        Risk::EphemeralPorts.still(used, limit).then_some(level)
    };
    used.chunk_by(|a, b| a.0 == b.0).filter_map(level).collect()
}

/// The node's connection tracking.
pub(super) fn tracked(tracked: Option<Tracked>) -> Option<Level> {
    let Tracked { now: used, most: limit } = tracked?;
    let level = Level {
        subject: (0, 0),
        owner: Owner::default(),
        netns: 0,
        port: 0,
        remote: Endpoint::default(),
        used,
        limit,
    };
    Risk::Conntrack.still(used, limit).then_some(level)
}
