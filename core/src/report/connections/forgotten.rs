//! Ends that forgot their peer: a reset without lingering clears its port, the bytes, and perhaps the own address.
//!
//! In: such ends, after all others of the pass. Out: the counts that they prove, and no more. It must not take for one of
//! them what stands for an end that knows its peer: that one may only be late, and would be counted a second time.
//!
//! What is left of one is its own port and the address of its peer, which several connections may have in common: a
//! group. So none of them is matched with one connection. A group has connections that are counted and of which this
//! end was neither seen nor reported; each end that forgot its peer uses up one of these, whichever it was (it marks
//! the group's tokens, see `tokens`). When there is none left, one more was connected than is counted, for the kernel
//! reports each end once: that is counted in the group's flow, and moves when its other end is reported.
//!
//! Only one side of a connection may prove one that way, or one of which both ends forgot their peer is counted twice: where
//! both ends are on this node and reported, the one that accepted. Its port is the listener's.
//!
//! Pure: no I/O; time is an argument.

use super::ended::{
    Ledger, Vague, anywhere, claims, end_of, finish, forgetting, left_of, other_end, sketch, vague,
};
use super::through::dials;
use super::tokens::End;
use super::unseen_ends::is_kept;
use super::{Connections, Evidence, Flows, Pass};
use crate::facts::{Ended, Facts, Protocol, State};
use crate::hash::HashMap;
use crate::records::{ConnectionRecord, Direction};
use crate::table::Slot;

/// Ends that forgot their peer and wait for it at most; what a storm of resets makes in a pass.
const HELD: usize = 8192;

impl Connections {
    /// An end that forgot its peer is of a record with its port and the peer's address that is gone now, if there is one.
    /// Which of several is not known: its flow learns of the reset, and the record waits for its end as before.
    pub(super) fn settle_forgot(
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
            if record.protocol == Protocol::Tcp
                && record.state != State::TimeWait
                && !record.reported
            {
                gone.entry(vague(record)).or_default().push(slot);
            }
        }
        let mut forgot = std::mem::take(&mut self.ledger.forgot);
        forgot.retain(|&n| {
            let ended = &facts.ended[n as usize];
            let key = (self.netns_of(ended), ended.local.port, ended.remote.addr);
            let slot = gone.get_mut(&key).and_then(Vec::pop);
            let Some((slot, &record)) = slot.and_then(|slot| Some((slot, self.table.get(slot)?)))
            else {
                return true;
            };
            // It was seen while its handshake was under way, and only this says that it was connected.
            if record.ends == 0 {
                self.end_known(slot, ended, flows, evidence, pass);
                return false;
            }
            if record.counted {
                let left = left_of(&record, flows);
                let way = (record.direction, record.role);
                finish(&left, ended, way, flows, &mut self.samples, pass);
            }
            true
        });
        self.ledger.forgot = forgot;
    }

    /// Whether some wait for the next pass.
    pub(in crate::report) fn awaits_ends(&self) -> bool {
        !self.ledger.held.is_empty()
    }

    /// Counts what the ends that forgot their peer prove: `held` waited for a pass, `forgot` are of this one.
    pub(super) fn count_forgot(
        &mut self,
        held: &[Ended],
        forgot: &[Ended],
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        self.ledger.sketched = false;
        for ended in held {
            let record = self.record_of(ended, evidence, pass);
            // Meanwhile the address of its peer may be known to be this node's.
            let counts = self.speaks(&record) && !self.is_reached(&record);
            if counts && !self.use_up(&record, flows) && !pass.first {
                self.count_new(ended, record, flows, evidence, pass);
            }
        }
        for ended in forgot {
            let record = self.record_of(ended, evidence, pass);
            if self.ledger.awaited.mark(end_of(&record)) || self.use_trace(&record, flows, pass) {
                continue;
            }
            Self::observe_end(&record, evidence, pass);
            if self.is_reached(&record)
                || !self.speaks(&record)
                || self.use_up(&record, flows)
                || pass.first
            {
                continue;
            }
            // The other end knows more, and may be reported a little later: a pass is worth the wait.
            if !self.ledger.hold(*ended, record.netns) {
                self.count_new(ended, record, flows, evidence, pass);
            }
        }
    }

    /// Whether an end that dialled did so through an address that was translated, and who accepted it counts it.
    fn is_reached(&mut self, record: &ConnectionRecord) -> bool {
        record.direction != Direction::Inbound
            && self.ledger.translated.mark(dials(record.netns, record.local))
    }

    /// Whether an end may prove a connection by being one more than are counted.
    pub(super) fn speaks(&self, record: &ConnectionRecord) -> bool {
        record.direction == Direction::Inbound
            || self.peer_netns(record).is_none_or(|there| !self.ledger.reports(there))
    }

    /// An end that is known took what an end that forgot its peer had used up: that is one more than are counted now.
    pub(super) fn is_free_again(&mut self, ended: &Ended, record: &ConnectionRecord) {
        if self.speaks(record) {
            self.ledger.hold(forgetting(ended), record.netns);
        }
    }

    /// The same for what is kept of a closed socket with this port and peer and waits for its end: what was reported of one
    /// before it on these ports may have been taken for that.
    fn use_trace(&mut self, record: &ConnectionRecord, flows: &Flows, pass: &Pass<'_>) -> bool {
        self.note_sketches();
        let slots = self.ledger.traces.get_mut(&vague(record));
        let Some(slot) = slots.and_then(Vec::pop) else { return false };
        let Some(record) = self.table.get_mut(slot, pass.epoch) else { return false };
        record.reported = true;
        let record = *record;
        self.ledger.awaited.leave(end_of(&record), left_of(&record, flows));
        self.ledger.awaited.mark(end_of(&record))
    }

    /// Uses up a connection that is counted and of which this end was neither seen nor reported, if its group has one.
    fn use_up(&mut self, record: &ConnectionRecord, flows: &Flows) -> bool {
        let end = end_of(record);
        let partners = &mut self.ledger.partners;
        if partners.mark(end) || partners.mark(anywhere(end)) {
            return true;
        }
        self.note_sketches();
        let other = sketch(other_end(None, record));
        let keys = [End { netns: record.netns, ..other }, other];
        while let Some(slot) = keys.iter().find_map(|&key| self.ledger.take_sketch(key)) {
            if self.is_alone(slot) {
                self.spend(slot, flows);
                return true;
            }
        }
        self.ledger.partners.excuses(record.direction == Direction::Inbound)
    }

    /// Whether the other end of this record's connection has no socket.
    fn is_alone(&self, slot: Slot) -> bool {
        let Some(record) = self.table.get(slot) else { return false };
        self.peer(slot, record).is_none_or(|there| {
            let other = self.table.get(there);
            other.is_none_or(|other| is_kept(other, self.seen[there as usize]))
        })
    }

    /// The end that forgot its peer is taken for the other end of this record; one that knows better finds its token.
    pub(super) fn spend(&mut self, slot: Slot, flows: &Flows) {
        let Some(&record) = self.table.get(slot) else { return };
        self.pair(slot);
        let other = other_end(self.peer_netns(&record), &record);
        self.ledger.partners.leave(other, left_of(&record, flows));
        self.ledger.partners.mark(other);
    }

    /// Which records count a connection of which the other end has none, by what that knows if it forgot its peer.
    fn note_sketches(&mut self) {
        if std::mem::replace(&mut self.ledger.sketched, true) {
            return;
        }
        let mut sketches = std::mem::take(&mut self.ledger.sketches);
        let mut traces = std::mem::take(&mut self.ledger.traces);
        sketches.clear();
        traces.clear();
        for (slot, record) in self.table.iter().filter(|(_, r)| r.protocol == Protocol::Tcp) {
            if self.is_unreported(slot, record) {
                traces.entry(vague(record)).or_default().push(slot);
            }
            if claims(record) {
                let netns = self.peer_netns(record).unwrap_or(0);
                let key = End { netns, ..sketch(end_of(record)) };
                sketches.entry(key).or_default().push(slot);
            }
        }
        (self.ledger.sketches, self.ledger.traces) = (sketches, traces);
    }
}

impl Ledger {
    /// Keeps an end of a namespace for the next pass, if there is space: by then its short number may be known as another
    /// namespace's alone.
    fn hold(&mut self, ended: Ended, netns: u32) -> bool {
        let space = self.held.len() < HELD;
        if space {
            self.held.push(Ended { netns, or_netns: 0, ..ended });
        }
        space
    }

    fn take_sketch(&mut self, end: End) -> Option<Slot> {
        let slots = self.sketches.get_mut(&end)?;
        let slot = slots.pop();
        if slots.is_empty() {
            self.sketches.remove(&end);
        }
        slot
    }
}
