//! What connections tell of how their flows fare.
//!
//! In: connections as they are read, and as they go. Out: round-trip times, segments, failed attempts and
//! resets, each added to its flow. It must not blame a flow for what may have been another's.
//!
//! Pure: no I/O.

use super::{Connections, Evidence, Flows, Pass};
use crate::facts::{Quality, State, UNANSWERED};
use crate::records::{ConnectionRecord, Health};
use crate::table::Slot;

/// A connection that went without a TIME_WAIT: it may have been reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    netns: u32,
    /// `Slot::MAX` for an end that no flow counts.
    flow: Slot,
}

impl Lost {
    /// The kernel counts as resets those that end in one of these states.
    pub(super) fn of(record: &ConnectionRecord) -> Option<Self> {
        let may = matches!(record.state, State::Established | State::CloseWait);
        let flow = if record.counted { record.flow } else { Slot::MAX };
        may.then_some(Self { netns: record.netns, flow })
    }
}

/// Whether a SYN was sent so often that it does not look as if an answer will come.
pub(super) fn unanswered(state: State, quality: Option<Quality>) -> bool {
    state == State::SynSent && quality.is_some_and(|quality| quality.retransmitted >= UNANSWERED)
}

/// What a connection that is counted in a flow for the first time had done before.
pub(super) fn enter(record: &ConnectionRecord, health: &mut Health) {
    let Some(quality) = record.quality else { return };
    if record.opened {
        health.sent(quality.since(Quality::default()));
    }
    if unanswered(record.state, record.quality) {
        health.failed(1);
    }
}

/// An attempt is over, and nothing came of it.
pub(super) fn failed(record: &ConnectionRecord, flows: &mut Flows, pass: &Pass<'_>) {
    if record.counted && !unanswered(State::SynSent, record.quality) {
        flows.change(record.flow, pass, |flow| flow.health.failed(1));
    }
}

impl Connections {
    /// Takes note of the round-trip time, if everything is read.
    pub(super) fn sample(&mut self, record: &ConnectionRecord, quality: Option<Quality>) {
        if self.sampling
            && record.counted
            && let Some(quality) = quality
        {
            self.samples.add(record.flow, quality.rtt_us);
        }
    }

    /// The same of those that this pass found.
    pub(super) fn sample_new(&mut self, new: &[Slot]) {
        for &slot in new {
            let Some(&record) = self.table.get(slot) else { continue };
            if self.seen[slot as usize].pass == self.pass {
                self.sample(&record, record.quality);
            }
        }
    }

    /// A known connection was read again: what it sent since, and whether its attempt is answered. Of two
    /// ends on this node the flow counts one; the other one adds what it sent when some of it was sent again.
    pub(super) fn fare(
        &self,
        slot: Slot,
        record: &ConnectionRecord,
        state: State,
        quality: Option<Quality>,
        flows: &mut Flows,
        pass: &Pass<'_>,
    ) {
        let Some(now) = quality else { return };
        // What was sent again before any data was a SYN: that is an attempt without an answer, and no loss.
        let sent =
            if now.segments == 0 { (0, 0) } else { now.since(record.quality.unwrap_or(now)) };
        let given_up = unanswered(state, quality) && !unanswered(record.state, record.quality);
        if record.counted && (sent != (0, 0) || given_up) {
            flows.change(record.flow, pass, |flow| {
                flow.health.sent(sent);
                if given_up {
                    flow.health.failed(1);
                }
            });
        }
        if record.counted || sent.1 == 0 {
            return;
        }
        let other = self.peer(slot, record).and_then(|slot| self.table.get(slot));
        if let Some(other) = other.filter(|other| other.counted) {
            flows.change(other.flow, pass, |flow| flow.health.sent(sent));
        }
    }

    /// Whose the resets were that the kernel counted in a namespace since the last pass: certain only if
    /// nothing was opened there meanwhile, for then each was one of those that are gone, and if that were no
    /// more than the resets, or all of one flow.
    pub(super) fn blame_resets(
        &mut self,
        flows: &mut Flows,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.sort_unstable_by_key(|one| (one.netns, one.flow));
        for of_one in lost.chunk_by(|a, b| a.netns == b.netns) {
            let netns = of_one[0].netns;
            let (resets, opened) =
                (evidence.coverage.resets(netns), evidence.coverage.opened(netns));
            if resets == 0 || opened.active + opened.passive > 0 {
                continue;
            }
            let all = of_one.len() as u64 <= resets;
            for of_flow in of_one.chunk_by(|a, b| a.flow == b.flow) {
                let were = if all { of_flow.len() as u64 } else { resets };
                if (all || of_flow.len() == of_one.len()) && of_flow[0].flow != Slot::MAX {
                    flows.change(of_flow[0].flow, pass, |flow| {
                        flow.health.resets = flow.health.resets.saturating_add(were);
                    });
                }
            }
        }
        self.lost = lost;
    }
}
