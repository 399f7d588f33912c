//! Ends that the kernel reports: each is counted once, whatever a pass or a TIME_WAIT socket showed of it.
//!
//! In: sockets that are gone, reported before the sockets of the pass were read. Out: the last bytes of connections
//! that were known, and the counts of those that no pass saw, which get no record. It must not count an end
//! that was counted already, nor a connection twice whose two ends are on this node.
//!
//! An end that is reported is, in this order: of the record between these ends, if a pass saw that alive and this one
//! does not; one whose record went before it was reported (`awaited`); or one that no pass saw: then see `unseen_ends`.
//!
//! Pure: no I/O; time is an argument.

use super::closed::TIME_WAIT_MS;
use super::tokens::{End, Left, Tokens, Used};
use super::{Connections, Evidence, Flows, Key, Pass};
use crate::facts::{Ended, Endpoint, Facts, Loss, Netns, Protocol, Quality, Role, State};
use crate::hash::HashMap;
use crate::records::{ConnectionRecord, Direction, Owner};
use crate::report::health::Samples;
use crate::table::Slot;

/// Clocks of the kernel differ by less than this, milliseconds.
const MARGIN_MS: u64 = 50;

/// For how many passes what an end through a Service left is kept at least, and at most for twice as many: its other end is
/// seen or reported within a few, if it is on this node.
const KEPT_PASSES: u32 = 32;

/// What was reported and what was counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Namespaces whose ends are reported, and since when; in order.
    reported: Vec<(u32, u64)>,
    /// Since when ends are heard of at all.
    heard_ms: u64,
    /// Records that an end of this pass may be of: slot, id, number of the end.
    marked: Vec<(Slot, u64, u32)>,
    /// Of this pass, how many may be of records that went before the ones that are known.
    before: HashMap<End, u32>,
    /// Ends of this pass that no record explains, by number.
    pub(super) unknown: Vec<u32>,
    /// Those that forgot their peer.
    pub(super) forgot: Vec<u32>,
    /// Counted, and not reported yet.
    pub(super) awaited: Tokens,
    /// Counted for the connection of which they are the other end.
    pub(super) partners: Tokens,
    /// Counted by the end that dialled a Service or the one that was reached through it: the other end knows other addresses.
    pub(super) translated: Tokens,
    /// Records that count a connection, by what an end that forgot its peer knows of it: of this pass, once asked for.
    pub(super) sketches: HashMap<End, Vec<Slot>>,
    /// Records of what the kernel keeps of closed sockets whose end was not reported, likewise.
    pub(super) traces: HashMap<Vague, Vec<Slot>>,
    /// Whether these two are those of this pass.
    pub(super) sketched: bool,
    /// Ends that forgot their peer and wait a pass for it.
    pub(super) held: Vec<Ended>,
    /// Attempts of this pass of which nothing came, by number.
    pub(super) attempts: Vec<u32>,
    /// Records of attempts that went before the kernel reported them.
    pub(super) attempted: Tokens,
    /// Whose each namespace was in the last passes: its ends may be reported when its processes are gone.
    inside: HashMap<u32, Inside>,
}

/// Whose a namespace was.
#[derive(Clone, Copy, Debug)]
struct Inside {
    owner: Owner,
    /// Which namespace of all since boot it was.
    cookie: u64,
    /// The last pass in which it was seen to be.
    pass: u32,
}

impl Ledger {
    /// Whether all ends of the namespace are reported.
    pub(super) fn reports(&self, netns: u32) -> bool {
        self.since(netns).is_some()
    }

    /// Whether they were when this one ended.
    pub(super) fn reports_since(&self, netns: u32, ended_ms: u64) -> bool {
        self.since(netns).is_some_and(|since_ms| ended_ms + MARGIN_MS >= since_ms)
    }

    /// Whether the kernel will say nothing of this end any more: it went before anything was listened for. Between that and the
    /// time since when all ends of its namespace are reported it may say something.
    pub(super) const fn is_past(&self, record: &ConnectionRecord) -> bool {
        let ended_ms = record.expires_ms.saturating_sub(TIME_WAIT_MS);
        matches!(record.state, State::TimeWait) && ended_ms + MARGIN_MS < self.heard_ms
    }

    fn since(&self, netns: u32) -> Option<u64> {
        let at = self.reported.binary_search_by_key(&netns, |reported| reported.0).ok()?;
        Some(self.reported[at].1)
    }

    /// Whether the other end of this connection was reported and counted before this one was seen.
    pub(super) fn counted_there(&self, record: &ConnectionRecord) -> bool {
        let end = end_of(record);
        record.protocol == Protocol::Tcp
            && [end, anywhere(end)].iter().any(|&end| self.partners.count(end) > 0)
    }

    /// Whether the end that was reported is counted by the other one, which left a token for it; and what had used that up.
    pub(super) fn take_partner(&mut self, end: End) -> Option<Used> {
        let claim = self.partners.claim(end).or_else(|| self.partners.claim(anywhere(end)));
        claim.map(|claim| claim.1)
    }

    /// Whether this end was counted before it was reported.
    fn expects(&self, end: End) -> bool {
        self.awaited.count(end) > 0 || self.partners.count(end) > 0
    }

    /// Namespaces whose inode numbers are others' now.
    pub(super) fn forget_inside(&mut self, netns: &[u32]) {
        self.inside.retain(|inode, _| !netns.contains(inode));
    }

    pub(super) fn owner(&self, netns: u32, pass: &Pass<'_>) -> Owner {
        let now = pass.processes.inside(netns);
        if now != Owner::default() {
            return now;
        }
        self.inside.get(&netns).map(|known| known.owner).unwrap_or_default()
    }
}

pub(super) const fn end_of(record: &ConnectionRecord) -> End {
    End { netns: record.netns, local: record.local, remote: record.remote }
}

pub(super) const fn key_of(ended: &Ended, netns: u32) -> Key {
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
    pub(super) fn begin_ended(&mut self, facts: &Facts, pass: &mut Pass<'_>) {
        let Ledger { awaited, partners, translated, attempted, .. } = &mut self.ledger;
        for tokens in [awaited, partners, translated, attempted] {
            tokens.begin(self.pass);
        }
        if self.pass.is_multiple_of(KEPT_PASSES) {
            self.ledger.translated.age();
        }
        let Ledger { reported, heard_ms, marked, unknown, forgot, before, .. } = &mut self.ledger;
        before.clear();
        reported.clone_from(&facts.reported);
        *heard_ms = facts.heard_ms;
        [unknown, forgot].into_iter().for_each(Vec::clear);
        marked.clear();
        self.ledger.attempts.clear();
        self.note_inside(&facts.netns, pass);
        for (n, ended) in (0..).zip(&facts.ended) {
            let netns = self.netns_of(ended);
            if netns == 0 {
                pass.losses.add(Loss::EndsElsewhere, u64::from(ended.established));
                continue;
            }
            if !ended.established {
                self.ledger.attempts.extend(ended.attempt().then_some(n));
                continue;
            }
            // Its address is this node's, no matter who connects to it.
            self.addresses.came(netns, ended.local);
            self.addresses.went(netns, ended.local);
            if ended.forgot() {
                self.ledger.forgot.push(n);
                continue;
            }
            let known = self.find(&key_of(ended, netns));
            let known = known.and_then(|slot| Some((slot, *self.table.get(slot)?)));
            match known {
                Some((slot, record))
                    if !record.reported
                        && !self.ledger.is_past(&record)
                        && self.is_first(slot, end_of(&record)) =>
                {
                    self.ledger.marked.push((slot, record.id, n));
                    self.seen[slot as usize].ended = self.pass;
                }
                _ => self.ledger.unknown.push(n),
            }
        }
    }

    /// Whether nothing else was reported that may be the end of this record, or of one before it on these ports.
    fn is_first(&mut self, slot: Slot, end: End) -> bool {
        let awaited = self.ledger.awaited.count(end);
        if awaited > 0 {
            let reported = self.ledger.before.entry(end).or_default();
            *reported += 1;
            if *reported <= awaited {
                return false;
            }
        }
        self.seen[slot as usize].ended != self.pass
    }

    /// Whose the namespaces are, for as long as their ends may be reported. Who has the inode number of one that went is another one.
    fn note_inside(&mut self, there: &[Netns], pass: &Pass<'_>) {
        let mut inside = std::mem::take(&mut self.ledger.inside);
        for &Netns { inode, cookie, .. } in there.iter().filter(|n| self.ledger.reports(n.inode)) {
            let owner = pass.processes.inside(inode);
            if owner != Owner::default() {
                inside.insert(inode, Inside { owner, cookie, pass: self.pass });
            } else if inside.get(&inode).is_some_and(|known| known.cookie != cookie) {
                inside.remove(&inode);
            }
        }
        let now = self.pass;
        inside.retain(|_, known| now.wrapping_sub(known.pass) <= 2);
        self.ledger.inside = inside;
    }

    /// Where the end was: its namespace's short number may have become another one's since. 0: not known.
    pub(super) fn netns_of(&self, ended: &Ended) -> u32 {
        let other = ended.or_netns;
        let Ended { local, remote, .. } = *ended;
        let there = || {
            self.addresses.of(local.addr) == Some(other)
                || self.find(&key_of(ended, other)).is_some()
                || self.ledger.expects(End { netns: other, local, remote })
        };
        if other != 0 && there() { other } else { ended.netns }
    }

    /// The sockets were read: gives records that are not there any more what was reported of their end.
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
            // A socket was reported to be gone before the sockets were read: one that is there now is another one, or
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
        self.settle_attempts(facts, pass);
    }

    /// The last that is known of a record's connection. That it closed is counted when the record goes.
    pub(super) fn end_known(
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
        let left = left_of(&record, flows);
        if record.counted {
            let way = (record.direction, ended.role());
            finish(&left, ended, way, flows, &mut self.samples, pass);
        } else if let (before @ Some(_), now @ Some(_)) = (left.quality, ended.quality()) {
            let before = ConnectionRecord { quality: before, ..record };
            self.fare(slot, &before, State::Established, now, flows, pass);
        }
        let bytes = ended.bytes(dialled(record.direction, ended.role()));
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.bytes = bytes.or(record.bytes);
            record.quality = ended.quality().or(record.quality);
            record.ends += u8::from(established);
            record.reported = true;
            record.changed = pass.epoch;
        }
        // What the kernel keeps of it may have its record for a minute more.
        if !record.counted && !record.paired {
            self.settle_partner(&record);
            self.pair(slot);
        }
    }

    /// A record goes, and its connection is counted as closed, before the kernel reported its end.
    pub(super) fn expect_end(&mut self, record: &ConnectionRecord, flows: &Flows) {
        // Its namespace may have gone with it, so whether that shows now does not matter.
        let reports = record.protocol == Protocol::Tcp && !self.ledger.reported.is_empty();
        if !reports || self.ledger.is_past(record) {
            return;
        }
        let left = left_of(record, flows);
        if !record.reported {
            self.ledger.awaited.leave(end_of(record), left);
        }
        if record.paired {
            return;
        }
        // The other end may be one that no pass saw, or be there still and get another owner.
        if record.counted {
            let there = self.peer_netns(record);
            self.ledger.partners.leave(other_end(there, record), left);
            return;
        }
        self.settle_partner(record);
    }

    /// Of the two ends of a connection this one is not counted, and is not reported a second time.
    fn settle_partner(&mut self, record: &ConnectionRecord) {
        // The record of the one that counts it goes later, or went before.
        let there = self.peer_netns(record);
        if !there.is_some_and(|netns| self.claimed(netns, record))
            && self.ledger.partners.claim(end_of(record)).is_some_and(|c| c.1 == Used::ByEnd)
        {
            let ConnectionRecord { netns, local, remote, interface, .. } = *record;
            let ended = Ended { netns, local, remote, interface, ..Ended::default() };
            self.is_free_again(&ended, record);
        }
    }

    /// The same for the record in a place.
    pub(super) fn expect_end_at(&mut self, slot: Slot, flows: &Flows) {
        if let Some(&record) = self.table.get(slot) {
            self.expect_end(&record, flows);
        }
    }
}

pub(super) fn claims(record: &ConnectionRecord) -> bool {
    record.counted && !record.paired && (record.state != State::TimeWait || record.opened)
}

/// Where it is not known whose the address is, because nothing of it was seen yet, the end is anywhere.
pub(super) fn other_end(there: Option<u32>, record: &ConnectionRecord) -> End {
    let (local, remote): (Endpoint, Endpoint) = (record.remote, record.local);
    End { netns: there.unwrap_or(0), local, remote }
}

/// What the other end of one that forgot its peer is known by: its address, and its peer's port.
pub(super) const fn sketch(end: End) -> End {
    let (local, remote) = (Endpoint { port: 0, ..end.local }, Endpoint { addr: 0, ..end.remote });
    End { netns: 0, local, remote }
}

/// Who dialled an address that may have been translated and forgot its own, by its port.
pub(super) const fn blind(netns: u32, port: u16) -> End {
    let none = Endpoint { addr: u128::MAX, port: 0 };
    End { netns, local: Endpoint { addr: 0, port }, remote: none }
}

/// What an end that forgot its peer still knows: its namespace and port, and the peer's address.
pub(super) type Vague = (u32, u16, u128);

/// What is still known of a record's connection then.
pub(super) const fn vague(record: &ConnectionRecord) -> Vague {
    (record.netns, record.local.port, record.remote.addr)
}

/// The same end, as if it had forgotten its peer.
pub(super) fn forgetting(ended: &Ended) -> Ended {
    let remote = Endpoint { port: 0, ..ended.remote };
    let Ended { netns, or_netns, local, interface, .. } = *ended;
    Ended { netns, or_netns, local, remote, interface, established: true, ..Ended::default() }
}

pub(super) const fn anywhere(end: End) -> End {
    End { netns: 0, ..end }
}

pub(super) fn dialled(direction: Direction, role: Role) -> bool {
    role == Role::Dialled || direction == Direction::Outbound
}

/// What the flow of a record has of its connection.
pub(super) fn left_of(record: &ConnectionRecord, flows: &Flows) -> Left {
    let flow = if record.counted { (record.flow, flows.id(record.flow)) } else { (Slot::MAX, 0) };
    // What one that is new sent is its flow's from the first byte; of one that was there before us only what is new.
    let from = if record.opened { Some(Quality::default()) } else { None };
    Left {
        flow,
        bytes: record.bytes.unwrap_or_default(),
        inbound: record.direction == Direction::Inbound,
        inside: false,
        observed: record.ends != 0,
        quality: record.quality.or(from),
        reset: false,
        failed: false,
        since_ms: record.since_ms,
    }
}

/// What an end shows beyond what its flow has already: bytes, segments, its round-trip time, whether it was reset.
pub(super) fn finish(
    left: &Left,
    ended: &Ended,
    (direction, role): (Direction, Role),
    flows: &mut Flows,
    samples: &mut Samples,
    pass: &Pass<'_>,
) {
    let (slot, id) = left.flow;
    if slot == Slot::MAX || flows.id(slot) != id {
        return;
    }
    let dials = dialled(direction, role);
    let (sent, received) = ended.bytes(dials).unwrap_or_default();
    let there = sent.saturating_sub(left.bytes.0);
    let back = received.saturating_sub(left.bytes.1);
    let (there, back) = if left.inbound { (back, there) } else { (there, back) };
    let known = direction != Direction::Unknown || role != Role::Unknown;
    let reset = !left.reset && ended.reset(known.then_some(dials));
    // What was sent again before any data was a SYN, and no loss; see `health`.
    let quality = ended.quality().filter(|quality| quality.segments > 0);
    let segments = quality.zip(left.quality).map_or((0, 0), |(now, before)| now.since(before));
    flows.change(slot, pass, |flow| {
        flow.bytes_sent = flow.bytes_sent.saturating_add(there);
        flow.bytes_received = flow.bytes_received.saturating_add(back);
        flow.health.sent(segments);
        flow.health.resets = flow.health.resets.saturating_add(u64::from(reset));
    });
    samples.ended(left.flow, ended.rtt_us);
}
