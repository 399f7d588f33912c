//! Attempts to connect of which nothing came and that no scan met: refused at once, mostly.
//!
//! In: sockets that are gone without ever having been connected, as the kernel reported them. Out: failed attempts of
//! flows. It must not count one twice that a scan saw under way, nor more of a namespace than the kernel says failed
//! there: a process that gives up by itself (as who tries two addresses at a time does) is no failure, and no connection.
//!
//! What a socket still knows differs. One that was refused, or not answered, is certain. One whose `connect()` blocked
//! has forgotten the port, and one that a message of ICMP ended looks like one that was given up: those count as far as
//! the kernel counted failures lately, all of them or none, unless all are of one flow. A flow without its port has 0.
//!
//! Pure: no I/O; time is an argument.

use super::ended::{Vague, end_of, left_of};
use super::health::unanswered;
use super::tokens::{End, Left, Used};
use super::{Connections, Evidence, Flows, Pass, State};
use crate::facts::{Ended, Facts, Protocol, Role};
use crate::hash::HashMap;
use crate::records::{ConnectionRecord, Direction, FlowKey, Workload};
use crate::report::naming::Around;
use crate::table::Slot;

/// How certain it is that an attempt failed, the most certain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    /// It was refused, or not answered.
    Certain,
    /// It forgot the port, as one does whose `connect()` failed.
    Forgot,
    /// Its process may have given it up.
    None,
}

impl Proof {
    const fn of(ended: &Ended) -> Self {
        match (ended.failed(), ended.forgot()) {
            (true, _) => Self::Certain,
            (false, true) => Self::Forgot,
            (false, false) => Self::None,
        }
    }
}

/// An attempt that no record explains.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    netns: u32,
    proof: Proof,
    key: FlowKey,
    own: Workload,
}

impl Connections {
    /// Which attempts were those of records that this pass does not see any more: their removal counts them.
    pub(super) fn settle_attempts(&mut self, facts: &Facts, pass: &Pass<'_>) {
        let mut attempts = std::mem::take(&mut self.ledger.attempts);
        if !attempts.is_empty() && !self.attempts.is_empty() {
            let mut exact: HashMap<End, Slot> = HashMap::default();
            let gone = self.attempts.keys().copied();
            for slot in gone.filter(|&slot| self.seen[slot as usize].pass != self.pass) {
                let record = self.table.get(slot).filter(|record| !record.reported);
                exact.extend(record.map(|record| (end_of(record), slot)));
            }
            attempts.retain(|&n| {
                let ended = &facts.ended[n as usize];
                let slot = exact.remove(&self.end_at(ended));
                slot.is_none_or(|slot| !self.tell(slot, pass))
            });
            let mut forgot: HashMap<Vague, Vec<Slot>> = HashMap::default();
            for (end, slot) in exact {
                let vague = (end.netns, end.local.port, end.remote.addr);
                forgot.entry(vague).or_default().push(slot);
            }
            attempts.retain(|&n| {
                let ended = &facts.ended[n as usize];
                let End { netns, local, remote } = self.end_at(ended);
                let slots = forgot.get_mut(&(netns, local.port, remote.addr));
                let slot = slots.filter(|_| ended.forgot()).and_then(Vec::pop);
                slot.is_none_or(|slot| !self.tell(slot, pass))
            });
        }
        self.ledger.attempts = attempts;
    }

    fn end_at(&self, ended: &Ended) -> End {
        End { netns: self.netns_of(ended), local: ended.local, remote: ended.remote }
    }

    fn tell(&mut self, slot: Slot, pass: &Pass<'_>) -> bool {
        let Some(record) = self.table.get_mut(slot, pass.epoch) else { return false };
        record.reported = true;
        true
    }

    /// The record of an attempt goes before the kernel reported it; whether its failure was counted now.
    pub(super) fn expect_attempt(
        &mut self,
        record: &ConnectionRecord,
        failed: bool,
        flows: &Flows,
    ) {
        if record.reported || !self.ledger.reports(record.netns) {
            return;
        }
        let failed = failed || unanswered(record.state, record.quality);
        self.ledger.attempted.leave(end_of(record), Left { failed, ..left_of(record, flows) });
    }

    /// Counts attempts that failed and that no record explains; `true` when there was any.
    pub(super) fn count_attempts(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let reported = std::mem::take(&mut self.ledger.attempts);
        let mut attempts = Vec::new();
        for &n in &reported {
            let ended = &facts.ended[n as usize];
            if !self.explain(ended, flows, evidence, pass) && !pass.first {
                attempts.push(self.attempt_of(ended, flows, pass));
            }
        }
        self.ledger.attempts = reported;
        attempts.sort_by_key(|attempt| (attempt.netns, attempt.proof));
        let mut changed = false;
        for alike in attempts.chunk_by(|a, b| (a.netns, a.proof) == (b.netns, b.proof)) {
            let Attempt { netns, proof, key, .. } = alike[0];
            let (ever, lately) = evidence.coverage.unblamed(netns);
            let failed = if proof == Proof::Certain { ever } else { lately };
            let failed = usize::try_from(failed).unwrap_or(usize::MAX);
            let known = proof == Proof::Certain
                || alike.len() <= failed
                || alike.iter().all(|attempt| attempt.key == key);
            let blamed = if known { &alike[..failed.min(alike.len())] } else { &[] };
            for attempt in blamed {
                let flow = flows.slot(attempt.key, attempt.own, pass);
                flows.change(flow, pass, |flow| flow.health.failed(1));
            }
            evidence.coverage.blamed(netns, blamed.len() as u64);
            // The kernel counted these as opened, and never as failed.
            let given_up = alike.len().saturating_sub(usize::try_from(ever).unwrap_or(usize::MAX));
            evidence.coverage.given_up(netns, given_up as u64);
            changed |= !blamed.is_empty();
        }
        changed
    }

    /// Whether an attempt is that of a record that went before: then it is counted, or is now.
    fn explain(
        &mut self,
        ended: &Ended,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &Pass<'_>,
    ) -> bool {
        let end = self.end_at(ended);
        let left = if ended.forgot() {
            // Whose it was is not known then, and it was met by a scan: that one counts or not.
            let left = Left { failed: true, ..Left::default() };
            self.ledger.attempted.mark_failed(end).then_some(left)
        } else {
            let claim = self.ledger.attempted.claim(end);
            claim.filter(|claim| claim.1 == Used::No).map(|claim| claim.0)
        };
        let Some(Left { flow: (slot, id), failed, .. }) = left else { return false };
        // Nothing else will be reported of it.
        if ended.forgot() {
            self.ledger.awaited.mark_failed(end);
        } else {
            self.ledger.awaited.take(end);
        }
        let counts = !failed && ended.failed() && evidence.coverage.unblamed(end.netns).0 > 0;
        if counts && slot != Slot::MAX && flows.id(slot) == id {
            flows.change(slot, pass, |flow| flow.health.failed(1));
            evidence.coverage.blamed(end.netns, 1);
        }
        true
    }

    /// Whose an attempt was, and at whom.
    fn attempt_of(&self, ended: &Ended, flows: &Flows, pass: &mut Pass<'_>) -> Attempt {
        let End { netns, local, remote } = self.end_at(ended);
        let owner = self.ledger.owner(netns, pass);
        let record = ConnectionRecord {
            netns,
            protocol: Protocol::Tcp,
            state: State::SynSent,
            role: Role::Dialled,
            direction: Direction::Outbound,
            local,
            remote,
            owner,
            counted: true,
            since_ms: pass.now.unix_ms,
            flow: Slot::MAX,
            ..ConnectionRecord::default()
        };
        let there = self.peer_netns(&record);
        let pod = there.map(|netns| self.ledger.owner(netns, pass));
        let peer = pod.map_or(Workload::External(remote.address()), |owner| owner.workload());
        let record = ConnectionRecord { peer, ..record };
        let around = self.around(Slot::MAX, &record, pass);
        let pod = pod.and_then(|owner| owner.pod()).filter(|_| peer == Workload::Unresolved);
        // It began after the pass before, when its peer may have been there still.
        let around = Around { pod, began_ms: pass.since_ms, ..around };
        let ends = pass.naming.ends(&record, &around);
        let key = flows.kept(super::resolve::flow_key(&record, &ends));
        Attempt { netns, proof: Proof::of(ended), key, own: ends.own }
    }
}
