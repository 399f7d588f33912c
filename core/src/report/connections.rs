//! The table of connections: the diff between what was known and what a pass saw.
//!
//! In: sockets and closed connections of a pass. Out: one record per connection end, whose owner,
//! direction, peer and flow are worked out once, when it is new or its owner changed; a pass over
//! known connections compares and writes nothing.
//!
//! Pure: no I/O; time is an argument.

mod addresses;
mod attempts;
mod closed;
mod ended;
mod forgotten;
mod health;
mod naming;
mod owners;
mod redirected;
mod removal;
mod resolve;
mod room;
mod through;
mod tokens;
mod translated;
mod unseen_ends;

use super::Pass;
use super::flows::Flows;
use super::health::Samples;
use super::listeners::listens;
use crate::coverage::Coverage;
use crate::facts::{Endpoint, Facts, Loss, Netns, Protocol, Role, Socket, State, Want};
use crate::hash;
use crate::join::{Listeners, PortRange};
use crate::records::{ConnectionRecord, Direction, Gaps};
use crate::table::{Frozen, Slot, Table};
use hashbrown::HashTable;
use room::{Places, Room, has_ports, was_established};

/// What a pass noted about a slot; beside the table, so that looking writes no shared chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    pass: u32,
    pid: u32,
    /// The pass before whose sockets its own was reported to be gone.
    ended: u32,
}

/// For [`ConnectionRecord::ends`]: it opened who knows when, so coverage never counts it.
const HISTORY: u8 = u8::MAX;

/// Whether a handshake is under way.
const fn half_open(state: State) -> bool {
    matches!(state, State::SynSent | State::SynRecv)
}

/// Whether a socket is, or may be, the one that a record is of, although an end between these ports was reported: that may
/// be an earlier one's, reported late. What its process closed has no inode any more.
const fn is_same(record: &ConnectionRecord, socket: &Socket) -> bool {
    match (record.inode, socket.inode) {
        (known, now) if known == now => known != 0 || matches!(socket.state, State::FinWait2),
        (_, 0) => matches!(
            socket.state,
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck
        ),
        _ => matches!(socket.state, State::FinWait2),
    }
}

/// What the kernel keeps of a socket that closed by a FIN while its peer has not: the socket is gone.
const fn is_trace(socket: &Socket) -> bool {
    matches!((socket.protocol, socket.state), (Protocol::Tcp, State::FinWait2))
        && socket.inode == 0
        && socket.pid == 0
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
    addresses: addresses::Addresses,
    places: Places,
    /// Sockets of this pass for which there was no room before those that went were taken out.
    refused: Vec<u32>,
    /// The last pass could not keep all open connections, so what is new to the next may be old.
    full: bool,
    /// Attempts to connect that are under way, and since when, monotonic milliseconds.
    attempts: hash::HashMap<Slot, u64>,
    /// The earliest end of a TIME_WAIT, monotonic milliseconds.
    next_expiry_ms: u64,
    /// Connections to addresses of Services: what stands behind is the kernel's to say.
    translated: translated::Translated,
    redirected: redirected::Redirected,
    /// Ends without a name.
    gaps: Gaps,
    /// Round-trip times of the reading of everything that is taken in.
    samples: Samples,
    sampling: bool,
    /// Connections that went without a TIME_WAIT in this pass.
    lost: Vec<health::Lost>,
    /// Those that this pass saw in CLOSE_WAIT.
    close_waits: Vec<Slot>,
    /// What the kernel reported of sockets that are gone.
    ledger: ended::Ledger,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    netns: u32,
    protocol: Protocol,
    local: Endpoint,
    remote: Endpoint,
    /// Link-local addresses and those of VRFs mean something on one interface only.
    interface: u32,
}

impl Key {
    const fn of(record: &ConnectionRecord) -> Self {
        Self {
            netns: record.netns,
            protocol: record.protocol,
            local: record.local,
            remote: record.remote,
            interface: record.interface,
        }
    }

    /// Without the interface: what the other end is bound to is not known when it is looked for.
    fn hash64(&self) -> u64 {
        hash::of((self.netns, self.protocol, self.local, self.remote))
    }
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            table: Table::new(Places::most(limit)),
            by_key: HashTable::new(),
            seen: Vec::new(),
            pass: 0,
            open: Vec::new(),
            disputed: Vec::new(),
            addresses: addresses::Addresses::default(),
            places: Places::new(limit),
            refused: Vec::new(),
            full: false,
            attempts: hash::HashMap::default(),
            next_expiry_ms: u64::MAX,
            translated: translated::Translated::default(),
            redirected: redirected::Redirected::default(),
            gaps: Gaps::default(),
            samples: Samples::default(),
            sampling: false,
            lost: Vec::new(),
            close_waits: Vec::new(),
            ledger: ended::Ledger::default(),
        }
    }

    /// Ends without a name, by reason.
    pub(super) const fn gaps(&self) -> Gaps {
        self.gaps
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.table.set_limit(Places::most(limit));
        self.places.set_limit(limit);
    }

    pub(super) fn freeze(&self) -> Frozen<ConnectionRecord> {
        self.table.freeze()
    }

    /// Those that the last pass saw in CLOSE_WAIT.
    pub(super) fn close_waits(&self) -> impl Iterator<Item = &ConnectionRecord> + '_ {
        self.close_waits.iter().filter_map(|&slot| self.table.get(slot))
    }

    /// All of them, and how many they are.
    pub(super) fn all(&self) -> (impl Iterator<Item = &ConnectionRecord> + '_, usize) {
        (self.table.iter().map(|(_, record)| record), self.table.len())
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
        self.refused.clear();
        self.samples.begin();
        self.close_waits.clear();
        self.sampling = facts.fresh == Some(Want::Everything);
        self.begin_ended(facts, pass);
        let mut changed = false;
        let sockets = (0..).zip(&facts.sockets);
        for (n, socket) in sockets.filter(|(_, socket)| !listens(socket) && has_ports(socket)) {
            changed |= self.absorb(n, socket, flows, next_id, &mut evidence, pass);
        }
        changed |= self.settle_owners(renamed, pass);
        changed |= self.absorb_closed(facts, flows, next_id, &mut evidence, pass);
        self.settle_ended(facts, flows, &mut evidence, pass);
        self.remove_unseen(flows, &mut evidence, pass);
        changed |= self.absorb_refused(facts, flows, next_id, &mut evidence, pass);
        evidence.coverage.settle();
        let open = std::mem::take(&mut self.open);
        self.resolve_all(&open, flows, &evidence, pass);
        changed |= self.join_redirected(&open, flows, &mut evidence, pass);
        if self.sampling {
            self.sample_new(&open);
            changed |= flows.settle_health(&mut self.samples, pass);
        }
        self.open = open;
        changed |= self.count_ended(facts, flows, &mut evidence, pass);
        changed |= self.count_attempts(facts, flows, &mut evidence, pass);
        changed
    }

    /// Once more those for which there was no room, now that what went has left its place.
    fn absorb_refused(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        next_id: &mut u64,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let refused = std::mem::take(&mut self.refused);
        let (mut changed, mut full) = (false, false);
        for &n in &refused {
            let Some(socket) = facts.sockets.get(n as usize) else { continue };
            match self.places.room(socket.state, self.table.len()) {
                Room::Refused(loss) => {
                    pass.losses.add(loss, 1);
                    full |= loss == Loss::SocketsFull;
                }
                _ => changed |= self.absorb(n, socket, flows, next_id, evidence, pass),
            }
        }
        self.full = full;
        self.refused = refused;
        changed
    }

    fn find(&self, key: &Key) -> Option<Slot> {
        let same = |slot: &Slot| self.table.get(*slot).is_some_and(|r| Key::of(r) == *key);
        self.by_key.find(key.hash64(), same).copied()
    }

    /// The record between these ends, whatever it is bound to, if there is but one.
    fn between(
        &self,
        netns: u32,
        protocol: Protocol,
        local: Endpoint,
        remote: Endpoint,
    ) -> Option<Slot> {
        let key = Key { netns, protocol, local, remote, interface: 0 };
        let same = |slot: &&Slot| {
            let record = self.table.get(**slot);
            record.is_some_and(|r| (Key { interface: 0, ..Key::of(r) }) == key)
        };
        let mut found = self.by_key.iter_hash(key.hash64()).filter(same);
        found.next().copied().filter(|_| found.next().is_none())
    }

    /// One row of a source: a known connection, another holder of one, or a new one.
    fn absorb(
        &mut self,
        number: u32,
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
            interface: socket.interface,
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
            let reborn = (seen.ended == self.pass && !is_same(&record, socket))
                || record.state == State::TimeWait
                || (record.inode != 0 && socket.inode != 0 && record.inode != socket.inode);
            if !reborn {
                *seen = Seen { pass: self.pass, pid: socket.pid, ended: 0 };
                if socket.pid != record.owner.pid {
                    self.disputed.push(slot);
                }
                if socket.state == State::CloseWait {
                    self.close_waits.push(slot);
                }
                return self.refresh(slot, &record, socket, flows, evidence, pass);
            }
            self.expect_end(&record, flows);
            self.remove(slot, flows, pass);
        }
        // The kernel reports the end of that socket, and that counts it.
        if is_trace(socket) && !pass.first && self.ledger.reports(socket.netns) {
            return false;
        }
        if let Room::Refused(_) = self.places.room(socket.state, self.table.len()) {
            self.refused.push(number);
            return false;
        }
        let record = self.fresh(socket, *next_id, evidence, pass);
        let Some(slot) = self.insert(record, socket.pid, next_id, flows, pass) else {
            return false;
        };
        if record.state == State::SynSent && record.ends == 0 {
            self.attempts.insert(slot, pass.now.mono_ms);
        }
        if record.state == State::CloseWait {
            self.close_waits.push(slot);
        }
        self.observe(slot, pass.now.mono_ms, evidence, pass);
        true
    }

    /// The record of a socket that is new.
    fn fresh(
        &self,
        socket: &Socket,
        id: u64,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) -> ConnectionRecord {
        ConnectionRecord {
            id,
            netns: socket.netns,
            inode: socket.inode,
            interface: socket.interface,
            protocol: socket.protocol,
            state: socket.state,
            role: socket.role,
            local: socket.local,
            remote: socket.remote,
            owner: Self::first_owner(socket, evidence, pass),
            bytes: socket.bytes_sent.zip(socket.bytes_received),
            quality: socket.tcp.quality(),
            since_ms: pass.now.unix_ms,
            flow: Slot::MAX,
            opened: !pass.first,
            ends: if self.is_history(socket.netns, evidence, pass) { HISTORY } else { 0 },
            // Its socket went before the kernel was asked to report that.
            reported: is_trace(socket) && self.ledger.reports(socket.netns),
            changed: pass.epoch,
            ..ConnectionRecord::default()
        }
    }

    /// Whether what is new in this pass may have opened before the kernel's counters were first read, or
    /// before there was room for it.
    fn is_history(&self, netns: u32, evidence: &Evidence<'_>, pass: &Pass<'_>) -> bool {
        pass.first || self.full || evidence.coverage.history(netns)
    }

    /// The first time that an end is seen established, coverage counts it, unless it is history.
    fn observe(&mut self, slot: Slot, since_ms: u64, evidence: &mut Evidence<'_>, pass: &Pass<'_>) {
        let Some(record) = self.table.get(slot) else { return };
        let counts = record.protocol == Protocol::Tcp && record.ends == 0;
        if counts && was_established(record.state) {
            evidence.coverage.observed(record.netns, 1, since_ms);
            if let Some(record) = self.table.get_mut(slot, pass.epoch) {
                record.ends = 1;
            }
        }
    }

    fn insert(
        &mut self,
        record: ConnectionRecord,
        pid: u32,
        next_id: &mut u64,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> Option<Slot> {
        match self.places.room(record.state, self.table.len()) {
            Room::Free => {}
            Room::Displace => self.displace(flows, pass),
            Room::Refused(loss) => {
                pass.losses.add(loss, 1);
                return None;
            }
        }
        let Ok(slot) = self.table.insert(record, pass.epoch) else {
            pass.losses.add(Loss::SocketsFull, 1);
            return None;
        };
        *next_id += 1;
        self.seen.resize(self.table.slots(), Seen::default());
        self.seen[slot as usize] = Seen { pass: self.pass, pid, ended: 0 };
        let table = &self.table;
        let rehash = |slot: &Slot| table.get(*slot).map_or(0, |r| Key::of(r).hash64());
        self.by_key.insert_unique(Key::of(&record).hash64(), slot, rehash);
        self.addresses.came(record.netns, record.local);
        self.places.came(slot, &record);
        self.open.push(slot);
        Some(slot)
    }

    /// A known connection: writes only what differs.
    fn refresh(
        &mut self,
        slot: Slot,
        record: &ConnectionRecord,
        socket: &Socket,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &Pass<'_>,
    ) -> bool {
        let bytes = socket.bytes_sent.zip(socket.bytes_received).or(record.bytes);
        let inode = if socket.inode == 0 { record.inode } else { socket.inode };
        let role = if socket.role == Role::Unknown { record.role } else { socket.role };
        let quality = socket.tcp.quality().or(record.quality);
        self.sample(record, quality);
        let now = (socket.state, bytes, inode, role, quality);
        if (record.state, record.bytes, record.inode, record.role, record.quality) == now {
            return false;
        }
        self.fare(slot, record, socket.state, quality, flows, pass);
        let answered = half_open(record.state) && !half_open(socket.state);
        if answered || (record.direction == Direction::Unknown && role != record.role) {
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
            if there > 0 || back > 0 {
                flows.change(record.flow, pass, |flow| {
                    flow.bytes_sent = flow.bytes_sent.saturating_add(there);
                    flow.bytes_received = flow.bytes_received.saturating_add(back);
                });
            }
        }
        self.places.went(record);
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            (record.state, record.bytes, record.inode, record.role, record.quality) = now;
            record.changed = pass.epoch;
            self.places.came(slot, record);
        }
        if answered {
            let since_ms = self.attempts.remove(&slot).unwrap_or(pass.now.mono_ms);
            self.observe(slot, since_ms, evidence, pass);
        }
        true
    }
}
