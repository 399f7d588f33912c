//! How records leave the table of connections: unseen, expired, displaced, or with their namespace.
//!
//! In: what a pass saw, and the time. Out: removals, and flows that say so.
//!
//! Pure: no I/O; time is an argument.

use super::{Connections, Evidence, Flows, Key, Pass, Seen, health};
use crate::facts::{Netns, State};
use crate::report::Removed;
use crate::table::Slot;

impl Connections {
    /// Removes open connections that this pass did not see.
    pub(super) fn remove_unseen(
        &mut self,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        self.lost.clear();
        for n in 0..self.seen.len() {
            if self.seen[n].pass == self.pass {
                continue;
            }
            let Ok(slot) = Slot::try_from(n) else { break };
            let Some(&record) = self.table.get(slot) else { continue };
            if record.state == State::TimeWait {
                continue;
            }
            if let Some(since_ms) = self.attempts.remove(&slot) {
                let failed = evidence.coverage.failed(record.netns, since_ms);
                if failed {
                    health::failed(&record, flows, pass);
                } else if record.reported {
                    evidence.coverage.given_up(record.netns, 1);
                }
                self.expect_attempt(&record, failed, flows);
            }
            // Where ends are reported, each says itself whether it was reset.
            if !self.ledger.reports(record.netns) {
                self.lost.extend(health::Lost::of(&record));
            }
            self.expect_end(&record, flows);
            self.remove(slot, flows, pass);
        }
        self.blame_resets(flows, evidence, pass);
    }

    /// The oldest closed connection gives its place to another one.
    pub(super) fn displace(&mut self, flows: &mut Flows, pass: &mut Pass<'_>) {
        let Self { table, places, .. } = self;
        let there = |slot, id| table.get(slot).is_some_and(|r| r.id == id && closed(r.state));
        if let Some(slot) = places.oldest(there) {
            self.expect_end_at(slot, flows);
            self.remove(slot, flows, pass);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot, flows: &mut Flows, pass: &mut Pass<'_>) {
        let Some(&record) = self.table.get(slot) else { return };
        let key = Key::of(&record);
        if let Ok(entry) = self.by_key.find_entry(key.hash64(), |&other| other == slot) {
            entry.remove();
        }
        self.table.remove(slot, pass.epoch);
        self.seen[slot as usize] = Seen::default();
        self.attempts.remove(&slot);
        self.addresses.went(record.netns, record.local);
        self.places.went(&record);
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
    pub(in crate::report) fn expire(
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
            self.addresses.keep(|netns| there.binary_search(&netns).is_ok());
        }
        self.next_expiry_ms = u64::MAX;
        let mut gone = Vec::new();
        for (slot, record) in self.table.iter().filter(|(_, r)| closed(r.state)) {
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
        let Self { table, places, .. } = self;
        places.tidy(|slot, id| table.get(slot).is_some_and(|r| r.id == id && closed(r.state)));
    }

    /// Removes what is left of namespaces whose numbers are other namespaces' now.
    pub(in crate::report) fn bury(
        &mut self,
        netns: &[u32],
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) {
        if netns.is_empty() {
            return;
        }
        let all = self.table.iter().filter(|(_, r)| netns.contains(&r.netns));
        let gone: Vec<Slot> = all.map(|(slot, _)| slot).collect();
        for slot in gone {
            self.remove(slot, flows, pass);
        }
        self.addresses.keep(|there| !netns.contains(&there));
        self.ledger.forget_inside(netns);
    }
}

const fn closed(state: State) -> bool {
    matches!(state, State::TimeWait)
}
