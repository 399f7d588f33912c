//! Connections that this side closed first: known ones change state, unknown ones were too short
//! for any pass to see them open, and are counted all the same.
//!
//! In: TIME_WAIT sockets, each once. Out: records in `TimeWait` that stay until the kernel forgets
//! the socket. It must not give a process to a connection that no one saw open.
//!
//! Pure: no I/O; time is an argument.

use super::{Connections, Evidence, Flows, HISTORY, Key, Pass};
use crate::facts::{Facts, Loss, Protocol, Role, State};
use crate::records::{ConnectionRecord, Owner};
use crate::table::Slot;

/// How long the kernel keeps a TIME_WAIT socket.
pub(super) const TIME_WAIT_MS: u64 = 60_000;
/// Two TIME_WAITs on the same ports whose ends are further apart than this are two connections.
const SAME_MS: u64 = 1500;

impl Connections {
    pub(super) fn absorb_closed(
        &mut self,
        facts: &Facts,
        flows: &mut Flows,
        next_id: &mut u64,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        for closed in &facts.closed {
            let expires_ms = pass.now.mono_ms + u64::from(closed.remaining_ms);
            self.next_expiry_ms = self.next_expiry_ms.min(expires_ms);
            let key = Key {
                netns: closed.netns,
                protocol: Protocol::Tcp,
                local: closed.local,
                remote: closed.remote,
                interface: closed.interface,
            };
            // Of what the kernel reports the end of, this is no more than a trace.
            let began_ms = expires_ms.saturating_sub(TIME_WAIT_MS);
            let trace = self.ledger.reports_since(closed.netns, began_ms);
            if let Some(slot) = self.find(&key) {
                let another = self.is_another(slot, expires_ms, facts.closed_fresh);
                if !another {
                    self.close_known(slot, (expires_ms, trace), flows, evidence, pass);
                    continue;
                }
                // Nothing that is known of the one before is true of this one.
                self.expect_end_at(slot, flows);
                self.remove(slot, flows, pass);
            }
            let closed = (key, closed.role, expires_ms);
            self.close_unknown(closed, trace, flows, next_id, evidence, pass);
        }
        !facts.closed.is_empty()
    }

    /// Whether a TIME_WAIT is that of another connection than the closed one which is known on its ports: a
    /// source reports each once, unless it has just begun and `repeats` what another one reported.
    fn is_another(&self, slot: Slot, expires_ms: u64, repeats: bool) -> bool {
        self.table.get(slot).is_some_and(|record| {
            let later = expires_ms > record.expires_ms + SAME_MS;
            record.state == State::TimeWait && (later || !repeats)
        })
    }

    fn close_known(
        &mut self,
        slot: Slot,
        (expires_ms, trace): (u64, bool),
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let Some(&record) = self.table.get(slot) else { return };
        let live = self.seen[slot as usize].pass == self.pass && record.state != State::TimeWait;
        if live && !trace {
            // The ports were used again: this one opened and closed between two passes.
            evidence.coverage.observed(record.netns, 1, pass.now.mono_ms);
            if record.counted {
                flows.change(record.flow, pass, |flow| {
                    flow.opened += 1;
                    flow.closed += 1;
                });
            }
        } else if !live && record.state != State::TimeWait && record.counted {
            flows.change(record.flow, pass, |flow| {
                flow.current = flow.current.saturating_sub(1);
                flow.closed += 1;
            });
        }
        if live {
            return;
        }
        self.places.went(&record);
        // It was seen under way only: that it was established is known from how it ended.
        let established = record.ends == 0 && record.state != State::TimeWait;
        let since_ms = self.attempts.remove(&slot).unwrap_or(pass.now.mono_ms);
        if established {
            evidence.coverage.observed(record.netns, 1, since_ms);
        }
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.state = State::TimeWait;
            record.expires_ms = expires_ms;
            record.inode = 0;
            record.ends += u8::from(established);
            record.changed = pass.epoch;
            self.places.came(slot, record);
        }
    }

    fn close_unknown(
        &mut self,
        (key, role, expires_ms): (Key, Role, u64),
        trace: bool,
        flows: &mut Flows,
        next_id: &mut u64,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        // Accepted sockets live in their listener's container; a namespace with one container, or
        // one pod, leaves no choice either. The process cannot be determined: a fork may have served it.
        let listener = evidence.listeners.listening(key.netns, key.protocol, key.local, true);
        let known = listener.filter(|owner| *owner != Owner::default());
        let owner = known.unwrap_or_else(|| pass.processes.inside(key.netns));
        if owner == Owner::default() && !trace {
            pass.losses.add(Loss::ClosedNoOwner, 1);
        }
        let record = ConnectionRecord {
            id: *next_id,
            netns: key.netns,
            interface: key.interface,
            protocol: key.protocol,
            state: State::TimeWait,
            role,
            local: key.local,
            remote: key.remote,
            owner,
            since_ms: pass.now.unix_ms,
            expires_ms,
            flow: Slot::MAX,
            opened: !pass.first && !trace,
            ends: if trace || self.is_history(key.netns, evidence, pass) { HISTORY } else { 0 },
            reported: trace,
            paired: trace,
            changed: pass.epoch,
            ..ConnectionRecord::default()
        };
        let other = self.unseen_end(&record, listener.is_some(), evidence, pass);
        let Some(slot) = self.insert(record, 0, next_id, flows, pass) else { return };
        if record.ends == HISTORY || other.is_err() {
            return;
        }
        evidence.coverage.observed(key.netns, 1, pass.now.mono_ms);
        if let Ok(Some(netns)) = other {
            evidence.coverage.observed(netns, 1, pass.now.mono_ms);
        }
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.ends = 1 + u8::from(matches!(other, Ok(Some(_))));
        }
    }

    /// The namespace of the other end of a closed connection, when that was on this node, too, and
    /// no one saw it: then this one TIME_WAIT stands for both ends that the kernel counted. No one
    /// can have translated it: an address of the node may be a port of someone elsewhere, and so
    /// may one where no one listens. `Err` when the other end's record stands for both already.
    fn unseen_end(
        &self,
        record: &ConnectionRecord,
        accepted: bool,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) -> Result<Option<u32>, ()> {
        let Some(netns) = self.peer_netns(record) else { return Ok(None) };
        if self.ledger.reports(netns) {
            return Ok(None);
        }
        let peer = self.between(netns, record.protocol, record.remote, record.local);
        if let Some(peer) = peer.and_then(|slot| self.table.get(slot)) {
            let both = peer.ends == 2 && peer.since_ms == pass.now.unix_ms;
            return if both { Err(()) } else { Ok(None) };
        }
        let nodes = pass.processes.node_netns().is_none_or(|node| node == netns);
        if nodes && !record.remote.is_loopback() {
            return Ok(None);
        }
        let listener = evidence.listeners.listening(netns, record.protocol, record.remote, true);
        Ok((accepted || listener.is_some()).then_some(netns))
    }
}
