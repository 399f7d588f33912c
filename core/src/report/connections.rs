//! The table of connections: the diff between what was known and what a pass saw.
//!
//! In: sockets and closed connections of a pass. Out: one record per connection end, whose owner,
//! direction, peer and flow are worked out once, when it is new or its owner changed; a pass over
//! known connections compares and writes nothing.
//!
//! Pure: no I/O; time is an argument.

mod closed;
mod naming;
mod resolve;
mod translated;

use super::flows::Flows;
use super::listeners::listens;
use super::{Pass, Removed};
use crate::cluster::Gaps;
use crate::coverage::Coverage;
use crate::facts::{Endpoint, Facts, Loss, Netns, Protocol, Role, Socket, State};
use crate::join::{Listeners, PortRange};
use crate::records::{ConnectionRecord, Direction, Named, Owner, Workload};
use crate::table::{Frozen, Slot, Table};
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// Addresses of this node that are remembered, to tell a peer on the node from one outside.
const ADDRESSES: usize = 65_536;
/// Stands for "more than one namespace has this address".
const AMBIGUOUS: u32 = u32::MAX;

/// What a pass noted about a slot; beside the table, so that looking writes no shared chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    pass: u32,
    pid: u32,
}

#[derive(Debug)]
pub(super) struct Connections {
    table: Table<ConnectionRecord>,
    by_key: HashTable<Slot>,
    seen: Vec<Seen>,
    pass: u32,
    /// New in this pass, or with a new owner: their direction, peer and flow are open questions.
    open: Vec<Slot>,
    /// Seen with another holder than the one on record.
    disputed: Vec<Slot>,
    /// Which namespace an address of this node belongs to.
    addresses: FxHashMap<u128, u32>,
    /// The earliest end of a TIME_WAIT, monotonic milliseconds.
    next_expiry_ms: u64,
    /// Connections to addresses of Services: what stands behind is the kernel's to say.
    translated: translated::Translated,
    /// Ends without a name.
    gaps: Gaps,
}

/// What directions and peers are concluded from.
pub(super) struct Evidence<'a> {
    pub(super) listeners: &'a Listeners,
    /// The namespaces of this pass, with their port ranges.
    pub(super) netns: &'a [Netns],
    /// What is assumed of a namespace whose range the source does not tell.
    pub(super) ports: PortRange,
    pub(super) coverage: &'a mut Coverage,
}

impl Evidence<'_> {
    /// The ephemeral ports of a namespace. Asked for new connections only, so a search will do.
    pub(super) fn ports(&self, netns: u32) -> PortRange {
        let there = self.netns.iter().find(|there| there.inode == netns);
        there.and_then(|there| there.ports).unwrap_or(self.ports)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns: u32,
    protocol: Protocol,
    local: Endpoint,
    remote: Endpoint,
}

impl Key {
    const fn of(record: &ConnectionRecord) -> Self {
        Self {
            netns: record.netns,
            protocol: record.protocol,
            local: record.local,
            remote: record.remote,
        }
    }

    fn hash64(&self) -> u64 {
        let mut hasher = FxHasher::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            table: Table::new(limit),
            by_key: HashTable::new(),
            seen: Vec::new(),
            pass: 0,
            open: Vec::new(),
            disputed: Vec::new(),
            addresses: FxHashMap::default(),
            next_expiry_ms: u64::MAX,
            translated: translated::Translated::default(),
            gaps: Gaps::default(),
        }
    }

    /// Ends without a name, by reason.
    pub(super) const fn gaps(&self) -> Gaps {
        self.gaps
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.table.set_limit(limit);
    }

    pub(super) fn freeze(&self) -> Frozen<ConnectionRecord> {
        self.table.freeze()
    }

    /// Takes in the sockets of a pass; `true` when a record was added or changed (removals are
    /// counted in `pass.removed`).
    pub(super) fn update(
        &mut self,
        facts: &Facts,
        renamed: bool,
        mut evidence: Evidence<'_>,
        flows: &mut Flows,
        next_id: &mut u64,
        pass: &mut Pass<'_>,
    ) -> bool {
        self.pass = self.pass.wrapping_add(1);
        self.open.clear();
        self.disputed.clear();
        let mut changed = false;
        for socket in facts.sockets.iter().filter(|s| !listens(s)) {
            changed |= self.absorb(socket, flows, next_id, &mut evidence, pass);
        }
        changed |= self.settle_owners(renamed, pass);
        changed |= self.absorb_closed(facts, flows, next_id, &mut evidence, pass);
        self.remove_unseen(flows, pass);
        let open = std::mem::take(&mut self.open);
        for &slot in &open {
            self.resolve(slot, flows, &evidence, pass);
        }
        self.open = open;
        changed
    }

    fn find(&self, key: &Key) -> Option<Slot> {
        let same = |slot: &Slot| self.table.get(*slot).is_some_and(|r| Key::of(r) == *key);
        self.by_key.find(key.hash64(), same).copied()
    }

    /// One row of a source: a known connection, another holder of one, or a new one.
    fn absorb(
        &mut self,
        socket: &Socket,
        flows: &mut Flows,
        next_id: &mut u64,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let key = Key {
            netns: socket.netns,
            protocol: socket.protocol,
            local: socket.local,
            remote: socket.remote,
        };
        if let Some(slot) = self.find(&key)
            && let Some(&record) = self.table.get(slot)
        {
            let seen = &mut self.seen[slot as usize];
            if seen.pass == self.pass {
                seen.pid = pass.processes.older(seen.pid, socket.pid);
                self.disputed.push(slot);
                return false;
            }
            // An accepted connection gets its inode at accept(); a different inode is another
            // connection on the same ports, and so is a live one where TIME_WAIT was.
            let reborn = record.state == State::TimeWait
                || (record.inode != 0 && socket.inode != 0 && record.inode != socket.inode);
            if !reborn {
                *seen = Seen { pass: self.pass, pid: socket.pid };
                if socket.pid != record.owner.pid {
                    self.disputed.push(slot);
                }
                return self.refresh(slot, &record, socket, flows, pass);
            }
            self.remove(slot, flows, pass);
        }
        let record = ConnectionRecord {
            id: *next_id,
            netns: socket.netns,
            inode: socket.inode,
            protocol: socket.protocol,
            state: socket.state,
            direction: Direction::Unknown,
            role: socket.role,
            local: socket.local,
            remote: socket.remote,
            owner: pass.processes.owner(socket.pid),
            peer: Workload::Unresolved,
            named: Named::default(),
            bytes: socket.bytes_sent.zip(socket.bytes_received),
            since_ms: pass.now.unix_ms,
            expires_ms: 0,
            flow: Slot::MAX,
            counted: false,
            opened: !pass.first,
            changed: pass.epoch,
        };
        if socket.protocol == Protocol::Tcp && !pass.first {
            evidence.coverage.observed(1, pass.now.mono_ms);
        }
        self.insert(record, socket.pid, next_id, pass).is_some()
    }

    fn insert(
        &mut self,
        record: ConnectionRecord,
        pid: u32,
        next_id: &mut u64,
        pass: &mut Pass<'_>,
    ) -> Option<Slot> {
        let Ok(slot) = self.table.insert(record, pass.epoch) else {
            pass.losses.add(Loss::SocketsFull, 1);
            return None;
        };
        *next_id += 1;
        self.seen.resize(self.table.slots(), Seen::default());
        self.seen[slot as usize] = Seen { pass: self.pass, pid };
        let table = &self.table;
        let rehash = |slot: &Slot| table.get(*slot).map_or(0, |r| Key::of(r).hash64());
        self.by_key.insert_unique(Key::of(&record).hash64(), slot, rehash);
        self.note_address(&record);
        self.open.push(slot);
        Some(slot)
    }

    fn note_address(&mut self, record: &ConnectionRecord) {
        if record.local.is_loopback() || record.local.is_wildcard() {
            return;
        }
        if self.addresses.len() >= ADDRESSES {
            self.addresses.clear();
        }
        let netns = self.addresses.entry(record.local.addr).or_insert(record.netns);
        if *netns != record.netns {
            *netns = AMBIGUOUS;
        }
    }

    /// A known connection: writes only what differs.
    fn refresh(
        &mut self,
        slot: Slot,
        record: &ConnectionRecord,
        socket: &Socket,
        flows: &mut Flows,
        pass: &Pass<'_>,
    ) -> bool {
        let bytes = socket.bytes_sent.zip(socket.bytes_received).or(record.bytes);
        let inode = if socket.inode == 0 { record.inode } else { socket.inode };
        let role = if socket.role == Role::Unknown { record.role } else { socket.role };
        let now = (socket.state, bytes, inode, role);
        if (record.state, record.bytes, record.inode, record.role) == now {
            return false;
        }
        if record.direction == Direction::Unknown && role != record.role {
            self.open.push(slot);
        }
        if record.counted
            && let Some((sent, received)) = bytes
        {
            let (was_sent, was_received) = record.bytes.unwrap_or_default();
            let there = sent.saturating_sub(was_sent);
            let back = received.saturating_sub(was_received);
            // A flow counts from its source to its destination, whichever end we stand at.
            let (there, back) =
                if record.direction == Direction::Inbound { (back, there) } else { (there, back) };
            if there + back > 0 {
                flows.change(record.flow, pass, |flow| {
                    flow.bytes_sent += there;
                    flow.bytes_received += back;
                });
            }
        }
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            (record.state, record.bytes, record.inode, record.role) = now;
            record.changed = pass.epoch;
        }
        true
    }

    /// Gives every connection with a new holder its new owner, and asks again where it belongs.
    fn settle_owners(&mut self, renamed: bool, pass: &Pass<'_>) -> bool {
        let mut changed = false;
        let disputed = std::mem::take(&mut self.disputed);
        let all = if renamed { self.seen.len() } else { 0 };
        let every = (0..all).filter_map(|n| Slot::try_from(n).ok());
        for slot in disputed.iter().copied().chain(every) {
            let seen = self.seen[slot as usize];
            let Some(record) = self.table.get(slot) else { continue };
            // No holder any more (an orphan) or none known yet: the last known one stays.
            if seen.pass != self.pass || seen.pid == 0 {
                continue;
            }
            let owner = pass.processes.owner(seen.pid);
            if owner == record.owner || owner == Owner::default() {
                continue;
            }
            let peer =
                self.find(&Key { local: record.remote, remote: record.local, ..Key::of(record) });
            if let Some(record) = self.table.get_mut(slot, pass.epoch) {
                record.owner = owner;
                record.changed = pass.epoch;
            }
            self.open.push(slot);
            self.open.extend(peer);
            changed = true;
        }
        self.disputed = disputed;
        changed
    }

    fn remove_unseen(&mut self, flows: &mut Flows, pass: &mut Pass<'_>) {
        for n in 0..self.seen.len() {
            if self.seen[n].pass == self.pass {
                continue;
            }
            let Ok(slot) = Slot::try_from(n) else { break };
            if self.table.get(slot).is_some_and(|r| r.state != State::TimeWait) {
                self.remove(slot, flows, pass);
            }
        }
    }

    fn remove(&mut self, slot: Slot, flows: &mut Flows, pass: &mut Pass<'_>) {
        let Some(&record) = self.table.get(slot) else { return };
        let key = Key::of(&record);
        if let Ok(entry) = self.by_key.find_entry(key.hash64(), |&other| other == slot) {
            entry.remove();
        }
        self.table.remove(slot, pass.epoch);
        self.seen[slot as usize] = Seen::default();
        self.translated.forget(slot, &record);
        record.named.gaps.into_iter().for_each(|gap| self.gaps.take(gap));
        pass.removed.push(Removed::Connection(record.id));
        if record.counted && record.state != State::TimeWait {
            flows.change(record.flow, pass, |flow| {
                flow.current = flow.current.saturating_sub(1);
                flow.closed += 1;
            });
        }
    }

    /// Drops TIME_WAIT records that the kernel has forgotten: their minute is over, or their
    /// namespace is gone (`netns` lists those that are there, when the pass says).
    pub(super) fn expire(
        &mut self,
        netns: Option<&[Netns]>,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) {
        let due = self.next_expiry_ms <= pass.now.mono_ms;
        if !due && netns.is_none() {
            return;
        }
        let mut there: Vec<u32> = netns.unwrap_or_default().iter().map(|n| n.inode).collect();
        there.sort_unstable();
        if netns.is_some() {
            self.addresses.retain(|_, n| *n == AMBIGUOUS || there.binary_search(n).is_ok());
        }
        self.next_expiry_ms = u64::MAX;
        let mut gone = Vec::new();
        for (slot, record) in self.table.iter().filter(|(_, r)| r.state == State::TimeWait) {
            let lost = netns.is_some() && there.binary_search(&record.netns).is_err();
            if lost || record.expires_ms <= pass.now.mono_ms {
                gone.push(slot);
            } else {
                self.next_expiry_ms = self.next_expiry_ms.min(record.expires_ms);
            }
        }
        for slot in gone {
            self.remove(slot, flows, pass);
        }
    }
}
