//! Ends that the kernel tells: each is counted once, whatever a pass or a TIME_WAIT socket showed of it.
//!
//! In: sockets that are gone, told before the sockets of the pass were read. Out: the last bytes of connections
//! that were known, and the counts of those that no pass saw, which get no record. It must not count an end
//! that was counted already, nor a connection twice whose two ends are on this node.
//!
//! An end that is told is, in this order: of the record between these ends, if a pass saw that alive and this one
//! does not; one whose record went before it was told (`awaited`); or one that nobody saw. Of two ends on this
//! node that nobody saw, the first that is told counts the connection, the client's if both are told in one pass,
//! and leaves a token for the other one (`partners`).
//!
//! Pure: no I/O; time is an argument.

use super::tokens::{End, Left, Tokens};
use super::{Connections, Evidence, Flows, Key, Pass};
use crate::facts::{Ended, Endpoint, Facts, Loss, Protocol, Role, State};
use crate::hash::HashMap;
use crate::join::{Question, direction};
use crate::records::{ConnectionRecord, Direction, Owner, Workload};
use crate::report::naming::Around;
use crate::table::Slot;

/// Clocks of the kernel differ by less than this, milliseconds.
const MARGIN_MS: u64 = 50;

/// Ends that forgot their peer and wait for it at most; what a storm of resets makes in a pass.
const HELD: usize = 8192;

/// What was told and what was counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Namespaces whose ends are told, and since when; in order.
    told: Vec<(u32, u64)>,
    /// Records that an end of this pass may be of: slot, id, number of the end.
    marked: Vec<(Slot, u64, u32)>,
    /// Of this pass, how many may be of records that went before the ones that are known.
    before: HashMap<End, u32>,
    /// Ends of this pass that no record explains, by number.
    unknown: Vec<u32>,
    /// Those that forgot their peer.
    forgot: Vec<u32>,
    /// Counted, and not told yet.
    awaited: Tokens,
    /// Counted for the connection of which they are the other end.
    partners: Tokens,
    /// Records that count a connection, by what an end that forgot its peer knows of it: of this pass.
    sketches: HashMap<End, u32>,
    /// Closed records that were not told, by the same: of this pass.
    traces: HashMap<Vague, Vec<Slot>>,
    /// Ends that forgot their peer and wait a pass for it.
    held: Vec<Ended>,
    /// Whose each namespace was in the last passes: its ends may be told when its processes are gone.
    inside: HashMap<u32, (Owner, u32)>,
}

impl Ledger {
    /// Whether all ends of the namespace are told.
    pub(super) fn tells(&self, netns: u32) -> bool {
        self.since(netns).is_some()
    }

    /// Whether they were when this one ended.
    pub(super) fn tells_since(&self, netns: u32, ended_ms: u64) -> bool {
        self.since(netns).is_some_and(|since_ms| ended_ms + MARGIN_MS >= since_ms)
    }

    fn since(&self, netns: u32) -> Option<u64> {
        let at = self.told.binary_search_by_key(&netns, |told| told.0).ok()?;
        Some(self.told[at].1)
    }

    /// Whether the other end of this connection was told and counted before this one was seen.
    pub(super) fn counted_there(&self, record: &ConnectionRecord) -> bool {
        let end = end_of(record);
        record.protocol == Protocol::Tcp
            && [end, anywhere(end), sketch(end)].iter().any(|&end| self.partners.has(end))
    }

    /// Whether the end that was told is counted by the other one, which left a token for it.
    fn take_partner(&mut self, end: End, forgot: bool) -> bool {
        let mut ends = [end, anywhere(end)].into_iter();
        if forgot {
            ends.any(|end| self.partners.take_vague(end))
        } else {
            ends.any(|end| self.partners.take(end).is_some())
        }
    }

    /// The same for an end that forgot its peer, without taking it.
    fn has_partner(&self, end: End) -> bool {
        [end, anywhere(end)].iter().any(|&end| self.partners.has_vague(end))
    }

    fn take_sketch(&mut self, end: End) -> bool {
        let Some(count) = self.sketches.get_mut(&end) else { return false };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.sketches.remove(&end);
        }
        true
    }

    fn owner(&self, netns: u32, pass: &Pass<'_>) -> Owner {
        let now = pass.processes.inside(netns);
        if now != Owner::default() {
            return now;
        }
        self.inside.get(&netns).map(|known| known.0).unwrap_or_default()
    }
}

/// What an end that forgot its peer still knows: its namespace and port, and the peer's address.
type Vague = (u32, u16, u128);

const fn vague(record: &ConnectionRecord) -> Vague {
    (record.netns, record.local.port, record.remote.addr)
}

const fn end_of(record: &ConnectionRecord) -> End {
    End { netns: record.netns, local: record.local, remote: record.remote }
}

const fn key_of(ended: &Ended, netns: u32) -> Key {
    Key {
        netns,
        protocol: Protocol::Tcp,
        local: ended.local,
        remote: ended.remote,
        interface: ended.interface,
    }
}

impl Connections {
    /// Begins a pass: which records are the ends of, as far as the records of the last pass say?
    pub(super) fn begin_ended(&mut self, facts: &Facts, pass: &Pass<'_>) {
        let Ledger { told, marked, unknown, forgot, before, .. } = &mut self.ledger;
        before.clear();
        told.clone_from(&facts.told);
        [unknown, forgot].into_iter().for_each(Vec::clear);
        marked.clear();
        self.note_inside(pass);
        for (n, ended) in (0..).zip(&facts.ended).filter(|(_, ended)| ended.established) {
            let netns = self.netns_of(ended);
            // Its address is this node's, whoever connects to it.
            self.addresses.came(netns, ended.local);
            self.addresses.went(netns, ended.local);
            if ended.forgot() {
                self.ledger.forgot.push(n);
                continue;
            }
            let known = self.find(&key_of(ended, netns));
            let known = known.and_then(|slot| Some((slot, *self.table.get(slot)?)));
            match known {
                Some((slot, record)) if !record.told && self.is_first(slot, end_of(&record)) => {
                    self.ledger.marked.push((slot, record.id, n));
                    self.seen[slot as usize].ended = self.pass;
                }
                _ => self.ledger.unknown.push(n),
            }
        }
    }

    /// Whether nothing else was told that may be the end of this record, or of one before it on these ports.
    fn is_first(&mut self, slot: Slot, end: End) -> bool {
        let awaited = self.ledger.awaited.count(end);
        if awaited > 0 {
            let told = self.ledger.before.entry(end).or_default();
            *told += 1;
            if *told <= awaited {
                return false;
            }
        }
        self.seen[slot as usize].ended != self.pass
    }

    /// Whose the namespaces are, for as long as their ends may be told.
    fn note_inside(&mut self, pass: &Pass<'_>) {
        let Ledger { told, inside, .. } = &mut self.ledger;
        for &(netns, _) in &*told {
            let owner = pass.processes.inside(netns);
            if owner != Owner::default() {
                inside.insert(netns, (owner, self.pass));
            }
        }
        if inside.len() > told.len() {
            let now = self.pass;
            inside.retain(|_, known| now.wrapping_sub(known.1) <= 2);
        }
    }

    /// Where the end was: its namespace's short number may have become another one's since.
    fn netns_of(&self, ended: &Ended) -> u32 {
        let other = ended.or_netns;
        let there = || {
            self.addresses.of(ended.local.addr) == Some(other)
                || self.find(&key_of(ended, other)).is_some()
        };
        if other != 0 && there() { other } else { ended.netns }
    }

    /// The sockets were read: gives records that are not there any more what was told of their end.
    pub(super) fn settle_ended(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let marked = std::mem::take(&mut self.ledger.marked);
        for &(slot, id, n) in &marked {
            let record = self.table.get(slot).filter(|record| record.id == id);
            // A socket was told to be gone before the sockets were read: one that is there now is another one, or
            // what is kept of a closed one.
            let alive = |record: &ConnectionRecord| {
                self.seen[slot as usize].pass == self.pass
                    && !matches!(record.state, State::TimeWait | State::FinWait2)
            };
            match record {
                Some(record) if !alive(record) => {
                    self.end_known(slot, &facts.ended[n as usize], flows, evidence, pass);
                }
                _ => self.ledger.unknown.push(n),
            }
        }
        self.ledger.marked = marked;
        self.settle_forgot(facts, flows, evidence, pass);
    }

    /// An end that forgot its peer is of the record with its port and the peer's address that is gone now.
    fn settle_forgot(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        if self.ledger.forgot.is_empty() {
            return;
        }
        let mut gone: HashMap<Vague, Vec<Slot>> = HashMap::default();
        for n in (0..self.seen.len()).filter(|&n| self.seen[n].pass != self.pass) {
            let Ok(slot) = Slot::try_from(n) else { break };
            let Some(record) = self.table.get(slot) else { continue };
            if record.protocol == Protocol::Tcp && record.state != State::TimeWait && !record.told {
                gone.entry(vague(record)).or_default().push(slot);
            }
        }
        let mut forgot = std::mem::take(&mut self.ledger.forgot);
        forgot.retain(|&n| {
            let ended = &facts.ended[n as usize];
            let key = (self.netns_of(ended), ended.local.port, ended.remote.addr);
            let Some(slot) = gone.get_mut(&key).and_then(Vec::pop) else { return true };
            self.end_known(slot, ended, flows, evidence, pass);
            false
        });
        self.ledger.forgot = forgot;
    }

    /// The last that is known of a record's connection. That it closed is counted when the record goes.
    fn end_known(
        &mut self,
        slot: Slot,
        ended: &Ended,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let Some(&record) = self.table.get(slot) else { return };
        let established = record.ends == 0;
        if established {
            let since_ms = self.attempts.remove(&slot).unwrap_or(pass.now.mono_ms);
            evidence.coverage.observed(record.netns, 1, since_ms);
        }
        let bytes = ended.bytes(dialled(record.direction, ended.role()));
        if let (true, Some(bytes)) = (record.counted, bytes) {
            let inbound = record.direction == Direction::Inbound;
            let left = Left {
                flow: (record.flow, flows.id(record.flow)),
                bytes: record.bytes.unwrap_or_default(),
                inbound,
                observed: true,
            };
            add_bytes(&left, bytes, flows, pass);
        }
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.bytes = bytes.or(record.bytes);
            record.ends += u8::from(established);
            record.told = true;
            record.changed = pass.epoch;
        }
    }

    /// A record goes, and its connection is counted as closed, before the kernel told of its end.
    pub(super) fn expect_end(&mut self, record: &ConnectionRecord, flows: &Flows) {
        // Its namespace may have gone with it, so whether that tells now does not matter.
        let tells = record.protocol == Protocol::Tcp && !self.ledger.told.is_empty();
        if !tells {
            return;
        }
        let flow =
            if record.counted { (record.flow, flows.id(record.flow)) } else { (Slot::MAX, 0) };
        let left = Left {
            flow,
            bytes: record.bytes.unwrap_or_default(),
            inbound: record.direction == Direction::Inbound,
            observed: record.ends != 0,
        };
        if !record.told {
            self.ledger.awaited.leave(end_of(record), left);
        }
        // The other end may be one that no pass saw.
        // The other end may be one that no pass saw, or be there still and get another owner.
        if record.counted {
            let there = self.peer_netns(record);
            self.ledger.partners.leave(other_end(there, record), left);
        } else {
            self.ledger.partners.take(end_of(record));
        }
    }

    /// The same for the record in a place.
    pub(super) fn expect_end_at(&mut self, slot: Slot, flows: &Flows) {
        if let Some(&record) = self.table.get(slot) {
            self.expect_end(&record, flows);
        }
    }

    /// Counts the ends that no record explains; `true` when there was any.
    pub(super) fn count_ended(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let unknown = std::mem::take(&mut self.ledger.unknown);
        let forgot = std::mem::take(&mut self.ledger.forgot);
        let changed = !(unknown.is_empty() && forgot.is_empty() && self.ledger.held.is_empty());
        let mut others = Vec::new();
        if !forgot.is_empty() || !self.ledger.held.is_empty() {
            self.note_sketches();
        }
        let held = std::mem::take(&mut self.ledger.held);
        for &n in &unknown {
            let ended = &facts.ended[n as usize];
            let record = self.record_of(ended, evidence, pass);
            let end = end_of(&record);
            if let Some(left) = self.ledger.awaited.take(end) {
                if !left.observed {
                    // It was seen while its handshake was under way.
                    Self::observe_end(&record, evidence, pass);
                }
                if let Some(bytes) = ended.bytes(dialled(record.direction, record.role)) {
                    add_bytes(&left, bytes, flows, pass);
                }
            } else if let Some(slot) = self.untold(ended, record.netns) {
                self.end_known(slot, ended, flows, evidence, pass);
            } else {
                Self::observe_end(&record, evidence, pass);
                if record.direction == Direction::Outbound {
                    self.count_one(ended, record, flows, evidence, pass);
                } else {
                    others.push((*ended, record));
                }
            }
        }
        for (ended, record) in others {
            self.count_one(&ended, record, flows, evidence, pass);
        }
        for ended in held {
            let record = self.record_of(&ended, evidence, pass);
            self.count_one(&ended, record, flows, evidence, pass);
        }
        for &n in &forgot {
            self.count_forgot(&facts.ended[n as usize], flows, evidence, pass);
        }
        (self.ledger.unknown, self.ledger.forgot) = (unknown, forgot);
        changed
    }

    /// An end that forgot its peer and that no record explains. The other end knows more, and may be told a little later:
    /// a pass is worth the wait.
    fn count_forgot(
        &mut self,
        ended: &Ended,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let record = self.record_of(ended, evidence, pass);
        let end = end_of(&record);
        if self.ledger.awaited.take_vague(end) || self.take_trace(&record, pass) {
            return;
        }
        Self::observe_end(&record, evidence, pass);
        let waits = self.ledger.held.len() < HELD && !self.is_claimed(ended, &record, false);
        if waits {
            self.ledger.held.push(*ended);
        } else {
            self.count_one(ended, record, flows, evidence, pass);
        }
    }

    /// What a record of it would say.
    fn record_of(
        &self,
        ended: &Ended,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) -> ConnectionRecord {
        let netns = self.netns_of(ended);
        let (protocol, local, remote) = (Protocol::Tcp, ended.local, ended.remote);
        // Accepted sockets live in their listener's container; see `closed`.
        let listener = evidence.listeners.listening(netns, protocol, local, true);
        let known = listener.filter(|owner| *owner != Owner::default());
        let record = ConnectionRecord {
            netns,
            protocol,
            state: State::TimeWait,
            role: ended.role(),
            local,
            remote,
            owner: known.unwrap_or_else(|| self.ledger.owner(netns, pass)),
            since_ms: pass.now.unix_ms,
            flow: Slot::MAX,
            opened: !pass.first,
            ..ConnectionRecord::default()
        };
        let question = Question {
            netns,
            protocol,
            local,
            remote,
            remote_netns: self.peer_netns(&record),
            opened: evidence.coverage.opened(netns),
            closed: true,
            role: record.role,
        };
        let direction = match listener {
            // Its port says nothing: only the listener does.
            Some(_) if ended.forgot() => Direction::Inbound,
            None if ended.forgot() => Direction::Unknown,
            _ => direction(evidence.listeners, evidence.ports(netns), &question),
        };
        ConnectionRecord { direction, ..record }
    }

    /// An end that no pass saw was one that the kernel opened.
    fn observe_end(record: &ConnectionRecord, evidence: &mut Evidence<'_>, pass: &mut Pass<'_>) {
        if pass.first {
            return;
        }
        if !evidence.coverage.history(record.netns) {
            evidence.coverage.observed(record.netns, 1, pass.now.mono_ms);
        }
        if record.owner == Owner::default() {
            pass.losses.add(Loss::ClosedNoOwner, 1);
        }
    }

    /// Counts an end that no pass saw in its flow.
    fn count_one(
        &mut self,
        ended: &Ended,
        record: ConnectionRecord,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        if pass.first || self.is_claimed(ended, &record, true) {
            return;
        }
        let there = self.peer_netns(&record);
        // The other end was told before, and did not know whom it was connected to: this one counts in its stead.
        let instead = self.ledger.partners.take(sketch(end_of(&record)));
        if let Some(Left { flow: (slot, id), .. }) = instead.filter(|_| !ended.forgot())
            && flows.id(slot) == id
        {
            flows.change(slot, pass, |flow| {
                flow.opened = flow.opened.saturating_sub(1);
                flow.closed = flow.closed.saturating_sub(1);
            });
            flows.drop_if_empty(slot, pass);
        }
        let peer = match there {
            Some(netns) => self.peer_at(netns, &record, evidence, pass),
            None => Workload::External(record.remote.addr),
        };
        let record = ConnectionRecord { peer, counted: true, ..record };
        let pod = there.and_then(|netns| self.ledger.owner(netns, pass).pod());
        // No slot: it has no record, so connection tracking was not asked about it either.
        let around = self.around(Slot::MAX, &record, pass);
        let around = Around { pod: pod.filter(|_| peer == Workload::Unresolved), ..around };
        let ends = pass.naming.ends(&record, &around);
        let key = flows.kept(super::resolve::flow_key(&record, &ends));
        let flow = flows.slot(key, ends.own, pass);
        flows.change(flow, pass, |flow| {
            flow.opened += 1;
            flow.closed += 1;
        });
        let inbound = record.direction == Direction::Inbound;
        let left = Left { flow: (flow, flows.id(flow)), bytes: (0, 0), inbound, observed: true };
        if let Some(bytes) = ended.bytes(dialled(record.direction, record.role)) {
            add_bytes(&left, bytes, flows, pass);
        }
        let other = other_end(there, &record);
        if instead.is_none() || ended.forgot() {
            self.ledger.partners.leave(if ended.forgot() { sketch(other) } else { other }, left);
        }
    }

    /// Which records an end that forgot its peer may be the other end of, and which closed ones are not told yet.
    fn note_sketches(&mut self) {
        let Ledger { sketches, traces, .. } = &mut self.ledger;
        sketches.clear();
        traces.clear();
        for (slot, record) in self.table.iter().filter(|(_, r)| r.protocol == Protocol::Tcp) {
            if claims(record) {
                *sketches.entry(sketch(end_of(record))).or_default() += 1;
            }
            if record.state == State::TimeWait && !record.told {
                traces.entry(vague(record)).or_default().push(slot);
            }
        }
    }

    /// The closed record between these ends, if its end was not told: by now no other one is left that it may be.
    fn untold(&self, ended: &Ended, netns: u32) -> Option<Slot> {
        let slot = self.find(&key_of(ended, netns))?;
        let record = self.table.get(slot)?;
        (record.state == State::TimeWait && !record.told).then_some(slot)
    }

    /// Whether a closed record with this port and peer waits for its end: what was told of one before it on these ports
    /// may have been taken for that.
    fn take_trace(&mut self, record: &ConnectionRecord, pass: &Pass<'_>) -> bool {
        let slots = self.ledger.traces.get_mut(&vague(record));
        let Some(slot) = slots.and_then(Vec::pop) else { return false };
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.told = true;
        }
        true
    }

    /// Whether the other end counts this connection; if so and `take` says so, it does for this one only.
    fn is_claimed(&mut self, ended: &Ended, record: &ConnectionRecord, take: bool) -> bool {
        let (end, forgot) = (end_of(record), ended.forgot());
        let by_record = if forgot {
            let other = sketch(other_end(None, record));
            if take {
                self.ledger.take_sketch(other)
            } else {
                self.ledger.sketches.contains_key(&other)
            }
        } else {
            self.peer_netns(record).is_some_and(|netns| self.claimed(netns, record))
        };
        by_record
            || if take {
                self.ledger.take_partner(end, forgot)
            } else {
                self.ledger.has_partner(end)
            }
    }

    /// Whether the record of the other end counts this connection. What is a trace of a closed one does not.
    fn claimed(&self, netns: u32, record: &ConnectionRecord) -> bool {
        let there = self.between(netns, record.protocol, record.remote, record.local);
        there.and_then(|slot| self.table.get(slot)).is_some_and(claims)
    }

    /// Who is at the other end, in a namespace of this node. Behind an address of the node itself that nobody
    /// listens at may be anybody: connection tracking is not asked about what is over.
    fn peer_at(
        &self,
        netns: u32,
        record: &ConnectionRecord,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) -> Workload {
        let listener = evidence.listeners.listening(netns, record.protocol, record.remote, true);
        let known = listener.filter(|owner| *owner != Owner::default());
        known.unwrap_or_else(|| self.ledger.owner(netns, pass)).workload()
    }
}

fn claims(record: &ConnectionRecord) -> bool {
    record.counted && (record.state != State::TimeWait || record.opened)
}

/// Where it is not known whose the address is, because nothing of it was seen yet, the end is anywhere.
fn other_end(there: Option<u32>, record: &ConnectionRecord) -> End {
    let (local, remote): (Endpoint, Endpoint) = (record.remote, record.local);
    End { netns: there.unwrap_or(0), local, remote }
}

/// What the other end of one that forgot its peer is known by: its address, and its peer's port.
const fn sketch(end: End) -> End {
    let (local, remote) = (Endpoint { port: 0, ..end.local }, Endpoint { addr: 0, ..end.remote });
    End { netns: 0, local, remote }
}

const fn anywhere(end: End) -> End {
    End { netns: 0, ..end }
}

fn dialled(direction: Direction, role: Role) -> bool {
    role == Role::Dialled || direction == Direction::Outbound
}

/// What was sent and received beyond what the flow has already.
fn add_bytes(left: &Left, (sent, received): (u64, u64), flows: &mut Flows, pass: &Pass<'_>) {
    let (slot, id) = left.flow;
    if slot == Slot::MAX || flows.id(slot) != id {
        return;
    }
    let there = sent.saturating_sub(left.bytes.0);
    let back = received.saturating_sub(left.bytes.1);
    let (there, back) = if left.inbound { (back, there) } else { (there, back) };
    flows.change(slot, pass, |flow| {
        flow.bytes_sent = flow.bytes_sent.saturating_add(there);
        flow.bytes_received = flow.bytes_received.saturating_add(back);
    });
}
