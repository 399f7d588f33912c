//! Ends that the kernel reported and that no record explains: their connections were too short for any pass.
//!
//! In: ends that were reported, and who would have them. Out: counts in flows, and what they had moved; no record is made. It
//! must not count a connection twice whose two ends are on this node.
//!
//! Of two ends on this node that no pass saw, the first that is reported counts the connection, the client's if both are reported
//! in one pass, and leaves a token for the other one (`partners`).
//!
//! Pure: no I/O; time is an argument.

use super::ended::{blind, claims, end_of, finish, forgetting, key_of, other_end, sketch};
use super::through::{is_sent_on, may_be_translated};
use super::tokens::{Left, Used};
use super::{Connections, Evidence, Flows, Pass, Seen};
use crate::facts::{Ended, Facts, Loss, Protocol, Quality, State};
use crate::join::{Question, direction};
use crate::records::{ConnectionRecord, Direction, Owner, Workload};
use crate::report::naming::Around;
use crate::table::Slot;

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
        let numbers = std::mem::take(&mut self.ledger.forgot);
        let held = std::mem::take(&mut self.ledger.held);
        let changed = !(unknown.is_empty() && numbers.is_empty() && held.is_empty());
        let mut forgot: Vec<Ended> = numbers.iter().map(|&n| facts.ended[n as usize]).collect();
        let mut others = Vec::new();
        for &n in &unknown {
            let ended = &facts.ended[n as usize];
            let record = self.record_of(ended, evidence, pass);
            // One that is used up by an attempt was that one's.
            let claim = self.ledger.awaited.claim(end_of(&record));
            if let Some((left, used)) = claim.filter(|claim| claim.1 != Used::ByAttempt) {
                if !left.observed {
                    // It was seen while its handshake was under way.
                    Self::observe_end(&record, evidence, pass);
                }
                let way = (record.direction, record.role);
                finish(&left, ended, way, flows, &mut self.samples, pass);
                forgot.extend((used == Used::ByEnd).then(|| forgetting(ended)));
            } else if let Some(slot) = self.untold(ended, record.netns) {
                self.end_known(slot, ended, flows, evidence, pass);
            } else if self.ledger.awaited.excuses(record.direction != Direction::Inbound) {
                // It may be one of those that were counted and that are too many to be remembered.
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
        self.count_forgot(&held, &forgot, flows, evidence, pass);
        (self.ledger.unknown, self.ledger.forgot) = (unknown, numbers);
        changed
    }

    /// What a record of it would say.
    pub(super) fn record_of(
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
    pub(super) fn observe_end(
        record: &ConnectionRecord,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
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

    /// Counts an end that no pass saw and that knows its peer, unless the other end counts it.
    fn count_one(
        &mut self,
        ended: &Ended,
        record: ConnectionRecord,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        if !pass.first && !self.is_claimed(ended, &record, pass) {
            self.count_new(ended, record, flows, evidence, pass);
        }
    }

    /// Counts a connection in its flow.
    pub(super) fn count_new(
        &mut self,
        ended: &Ended,
        record: ConnectionRecord,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let there = self.peer_netns(&record);
        // The other end was reported before, and did not know whom it was connected to: this one counts in its stead.
        let forgot = ended.forgot();
        let instead = if forgot { None } else { self.count_instead(&record, flows, pass) };
        let (shown, reset) = instead.unwrap_or_default();
        let peer = match there {
            Some(netns) => self.peer_at(netns, &record, evidence, pass),
            None => Workload::External(record.remote.address()),
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
            flow.moved.iter_mut().for_each(|moved| *moved += i64::from(shown));
        });
        let left = Left {
            flow: (flow, flows.id(flow)),
            inbound: record.direction == Direction::Inbound,
            observed: true,
            quality: Some(Quality::default()),
            // Of one that forgot its peer that one says it, if it is on this node, too: its flow has the right port.
            reset: reset || (forgot && there.is_some()),
            since_ms: pass.now.unix_ms,
            ..Left::default()
        };
        finish(&left, ended, (record.direction, record.role), flows, &mut self.samples, pass);
        // Also where it counts in the stead of an end that forgot its peer: that may have been another connection's to the same
        // port. Then this one's other end is still to come; that one uses its token up.
        let other = other_end(there, &record);
        let left = Left { reset: there.is_none(), ..left };
        // Without the port nothing says whether the address is a Service's.
        if forgot && there.is_none() && record.direction != Direction::Inbound {
            self.ledger.translated.leave(blind(record.netns, record.local.port), left);
        }
        let may = || !forgot && is_sent_on(&record, there, evidence, pass);
        self.ledger.expect_translated(&record, there, may, left);
        self.ledger.partners.leave(if forgot { sketch(other) } else { other }, left);
        if instead.is_some() {
            self.ledger.partners.mark(other);
        }
    }

    /// Takes out a connection that was counted for an end that forgot its peer, which may be the other one of this. Whether a
    /// reader may have seen it there, and whether its reset is in that flow.
    pub(super) fn count_instead(
        &mut self,
        record: &ConnectionRecord,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> Option<(bool, bool)> {
        let sketched = self.ledger.partners.take(sketch(end_of(record)));
        let client = || {
            let inbound = record.direction == Direction::Inbound;
            let netns = self.peer_netns(record).filter(|_| inbound)?;
            Some(blind(netns, record.remote.port))
        };
        let left = match sketched {
            None => client().and_then(|client| self.ledger.translated.take(client)),
            known => known,
        };
        let Left { flow: (slot, id), since_ms, reset, .. } = left?;
        if flows.id(slot) != id {
            return Some((false, reset));
        }
        // What a reader may have counted there stays counted there.
        let shown = since_ms <= pass.shown_ms;
        flows.change(slot, pass, |flow| {
            flow.opened = flow.opened.saturating_sub(1);
            flow.closed = flow.closed.saturating_sub(1);
            flow.moved.iter_mut().for_each(|moved| *moved -= i64::from(shown));
        });
        flows.drop_if_empty(slot, pass);
        Some((shown, reset))
    }

    /// The closed record between these ends, if its end was not reported: by now no other one is left that it may be.
    fn untold(&self, ended: &Ended, netns: u32) -> Option<Slot> {
        let slot = self.find(&key_of(ended, netns))?;
        let record = self.table.get(slot)?;
        self.is_unreported(slot, record).then_some(slot)
    }

    /// Whether a record is of what the kernel keeps of a socket that is gone, and will report.
    pub(super) fn is_unreported(&self, slot: Slot, record: &ConnectionRecord) -> bool {
        let kept = is_kept(record, self.seen[slot as usize]);
        kept && !record.reported && !self.ledger.is_past(record)
    }

    /// Whether the other end counts this connection; if so, it does for this one only.
    fn is_claimed(&mut self, ended: &Ended, record: &ConnectionRecord, pass: &Pass<'_>) -> bool {
        let there = self.peer_netns(record);
        // Where this end has a record that is alive, the record of the other end is that one's.
        let by_record =
            !self.is_alive(record) && there.is_some_and(|netns| self.claimed(netns, record));
        let claimed = by_record
            || self.ledger.take_partner(end_of(record)).is_some_and(|used| {
                if used == Used::ByEnd {
                    self.is_free_again(ended, record);
                }
                true
            });
        let here = there.is_some_and(|netns| self.ledger.reports(netns));
        let inbound = record.direction == Direction::Inbound;
        let may = || claimed || may_be_translated(record, there, pass);
        self.ledger.take_translated(record, there, may)
            || claimed
            || (here && self.ledger.partners.excuses(inbound))
            || self.ledger.excuses_translated(record, there)
    }

    /// Whether there is a record between these ends whose socket is there.
    fn is_alive(&self, record: &ConnectionRecord) -> bool {
        let ConnectionRecord { netns, protocol, local, remote, .. } = *record;
        let slot = self.between(netns, protocol, local, remote);
        slot.is_some_and(|slot| {
            self.table.get(slot).is_some_and(|own| !is_kept(own, self.seen[slot as usize]))
        })
    }

    /// Whether the record of the other end counts this connection; if so, it does for no further one. What is a trace of a
    /// closed one does not.
    pub(super) fn claimed(&mut self, netns: u32, record: &ConnectionRecord) -> bool {
        let there = self.between(netns, record.protocol, record.remote, record.local);
        let there = there.filter(|&slot| self.table.get(slot).is_some_and(claims));
        there.is_some_and(|slot| self.pair(slot))
    }

    /// The other end of this record's connection was reported. No reader sees that, so nothing changed.
    pub(super) fn pair(&mut self, slot: Slot) -> bool {
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

/// Whether a record is of what the kernel keeps of a socket that is gone.
pub(super) const fn is_kept(record: &ConnectionRecord, seen: Seen) -> bool {
    match record.state {
        State::TimeWait => true,
        State::FinWait2 => seen.pid == 0,
        _ => false,
    }
}
