//! Ends that the kernel reported and that no record explains: their connections were too short for any pass.
//!
//! In: ends that were reported, and who would have them. Out: counts in flows, and what they had moved; no record is made. It
//! must not count a connection twice whose two ends are on this node.
//!
//! Of two ends on this node that no pass saw, the first that is reported counts the connection, the client's if both are reported
//! in one pass, and leaves a token for the other one (`partners`).
//!
//! Pure: no I/O; time is an argument.

use super::ended::{Ledger, claims, end_of, finish, key_of, other_end, sketch, vague};
use super::tokens::Left;
use super::{Connections, Evidence, Flows, Pass, Seen};
use crate::facts::{Ended, Facts, Loss, Protocol, Quality, State};
use crate::join::{Question, direction};
use crate::records::{ConnectionRecord, Direction, Owner, Workload};
use crate::report::naming::Around;
use crate::table::Slot;

/// Ends that forgot their peer and wait for it at most; what a storm of resets makes in a pass.
const HELD: usize = 8192;

impl Connections {
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
                let way = (record.direction, record.role);
                finish(&left, ended, way, flows, &mut self.samples, pass);
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

    /// An end that forgot its peer and that no record explains. The other end knows more, and may be reported a little later:
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
        // The other end was reported before, and did not know whom it was connected to: this one counts in its stead.
        let forgot = ended.forgot();
        let sketched = if forgot { None } else { Some(sketch(end_of(&record))) };
        let claim = sketched.and_then(|end| self.ledger.partners.take(end));
        let instead = claim.filter(|left| flows.id(left.flow.0) == left.flow.1);
        // What a reader may have counted there stays counted there.
        let shown = instead.is_some_and(|left| left.since_ms <= pass.shown_ms);
        if let Some(Left { flow: (slot, _), .. }) = instead {
            flows.change(slot, pass, |flow| {
                flow.opened = flow.opened.saturating_sub(1);
                flow.closed = flow.closed.saturating_sub(1);
                flow.moved.iter_mut().for_each(|moved| *moved -= i64::from(shown));
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
        let to_service = key.service.is_some();
        let flow = flows.slot(key, ends.own, pass);
        flows.change(flow, pass, |flow| {
            flow.opened += 1;
            flow.closed += 1;
            flow.moved.iter_mut().for_each(|moved| *moved += i64::from(shown));
        });
        let left = Left {
            flow: (flow, flows.id(flow)),
            inbound: record.direction == Direction::Inbound,
            observed: true,
            quality: Some(Quality::default()),
            // Of one that forgot its peer that one shows, if it is on this node, too: its flow has the right port.
            reset: instead.is_some_and(|left| left.reset) || (forgot && there.is_some()),
            since_ms: pass.now.unix_ms,
            ..Left::default()
        };
        finish(&left, ended, (record.direction, record.role), flows, &mut self.samples, pass);
        // Also where it counts in the stead of an end that forgot its peer: that may have been another connection's to the same
        // port. Then this one's other end is still to come; if not, a token too many counts nothing twice.
        let other = other_end(there, &record);
        let left = Left { reset: there.is_none(), ..left };
        self.ledger.expect_translated(&record, there, to_service, left);
        self.ledger.partners.leave(if forgot { sketch(other) } else { other }, left);
    }

    /// Which records an end that forgot its peer may be the other end of, and which closed ones are not reported yet.
    fn note_sketches(&mut self) {
        let Self { ledger: Ledger { sketches, traces, .. }, seen, .. } = self;
        sketches.clear();
        traces.clear();
        for (slot, record) in self.table.iter().filter(|(_, r)| r.protocol == Protocol::Tcp) {
            if claims(record) {
                sketches.entry(sketch(end_of(record))).or_default().push(slot);
            }
            if is_untold(record, seen[slot as usize]) {
                traces.entry(vague(record)).or_default().push(slot);
            }
        }
    }

    /// The closed record between these ends, if its end was not reported: by now no other one is left that it may be.
    fn untold(&self, ended: &Ended, netns: u32) -> Option<Slot> {
        let slot = self.find(&key_of(ended, netns))?;
        let record = self.table.get(slot)?;
        is_untold(record, self.seen[slot as usize]).then_some(slot)
    }

    /// Whether a closed record with this port and peer waits for its end: what was reported of one before it on these ports
    /// may have been taken for that.
    fn take_trace(&mut self, record: &ConnectionRecord, pass: &Pass<'_>) -> bool {
        let slots = self.ledger.traces.get_mut(&vague(record));
        let Some(slot) = slots.and_then(Vec::pop) else { return false };
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.reported = true;
        }
        true
    }

    /// Whether the other end counts this connection; if so and `take` says so, it does for this one only.
    fn is_claimed(&mut self, ended: &Ended, record: &ConnectionRecord, take: bool) -> bool {
        let (end, forgot) = (end_of(record), ended.forgot());
        let by_record = if forgot {
            let other = sketch(other_end(None, record));
            if take {
                let slot = self.ledger.take_sketch(other);
                slot.is_some_and(|slot| self.pair(slot))
            } else {
                self.ledger.sketches.contains_key(&other)
            }
        } else {
            self.peer_netns(record).is_some_and(|netns| self.claimed(netns, record, take))
        };
        if !take {
            return by_record || self.ledger.has_partner(end);
        }
        let claimed = by_record || self.ledger.take_partner(end, forgot);
        let there = self.peer_netns(record);
        self.ledger.take_translated(record, there) || claimed
    }

    /// Whether the record of the other end counts this connection; if so and `take` says so, it does for no further one.
    /// What is a trace of a closed one does not.
    pub(super) fn claimed(&mut self, netns: u32, record: &ConnectionRecord, take: bool) -> bool {
        let there = self.between(netns, record.protocol, record.remote, record.local);
        let there = there.filter(|&slot| self.table.get(slot).is_some_and(claims));
        let Some(slot) = there else { return false };
        !take || self.pair(slot)
    }

    /// The other end of this record's connection was reported. No reader sees that, so nothing changed.
    fn pair(&mut self, slot: Slot) -> bool {
        let Some(changed) = self.table.get(slot).map(|record| record.changed) else { return false };
        if let Some(record) = self.table.get_mut(slot, changed) {
            record.paired = true;
        }
        true
    }

    /// Who is at the other end, in a namespace of this node. Behind an address of the node itself that no one
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

/// Whether a record is of what the kernel keeps of a socket that is gone, and its end was not reported.
fn is_untold(record: &ConnectionRecord, seen: Seen) -> bool {
    let kept = match record.state {
        State::TimeWait => true,
        State::FinWait2 => seen.pid == 0,
        _ => false,
    };
    kept && !record.reported
}
