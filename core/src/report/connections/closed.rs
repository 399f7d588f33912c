//! Connections that this side closed first: known ones change state, unknown ones were too short
//! for any pass to see them open, and are counted all the same.
//!
//! In: TIME_WAIT sockets, each once. Out: records in `TimeWait` that stay until the kernel forgets
//! the socket. It must not give a process to a connection that nobody saw open.
//!
//! Pure: no I/O; time is an argument.

use super::{Connections, Evidence, Flows, Key, Pass};
use crate::facts::{Facts, Loss, Protocol, Role, State};
use crate::records::{ConnectionRecord, Direction, Named, Owner, Workload};
use crate::table::Slot;

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
            };
            match self.find(&key) {
                Some(slot) => {
                    let repeats = facts.closed_anew;
                    self.close_known(slot, expires_ms, repeats, flows, evidence, pass);
                }
                None => self.close_unknown(&key, closed.role, expires_ms, next_id, evidence, pass),
            }
        }
        !facts.closed.is_empty()
    }

    fn close_known(
        &mut self,
        slot: Slot,
        expires_ms: u64,
        repeats: bool,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let Some(&record) = self.table.get(slot) else { return };
        let live = self.seen[slot as usize].pass == self.pass && record.state != State::TimeWait;
        // A source reports each once, so this is another one, unless the source is another one.
        let later = expires_ms > record.expires_ms + SAME_MS;
        let again = record.state == State::TimeWait && (later || !repeats);
        if live || again {
            // The ports were used again: this one opened and closed between two passes.
            evidence.coverage.observed(1, pass.now.mono_ms);
            if record.counted {
                flows.change(record.flow, pass, |flow| {
                    flow.opened += 1;
                    flow.closed += 1;
                });
            }
        } else if record.state != State::TimeWait && record.counted {
            flows.change(record.flow, pass, |flow| {
                flow.current = flow.current.saturating_sub(1);
                flow.closed += 1;
            });
        }
        if !live && let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.state = State::TimeWait;
            record.expires_ms = expires_ms;
            record.inode = 0;
            record.changed = pass.epoch;
        }
    }

    fn close_unknown(
        &mut self,
        key: &Key,
        role: Role,
        expires_ms: u64,
        next_id: &mut u64,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        // Accepted sockets live in their listener's container; a namespace with one container
        // leaves no choice either. The process cannot be told: a fork may have served it.
        let listener = evidence.listeners.listening(key.netns, key.protocol, key.local, true);
        let sole =
            || Owner { container: pass.processes.sole_container(key.netns), ..Owner::default() };
        let owner = listener.unwrap_or_else(sole);
        if owner == Owner::default() {
            pass.losses.add(Loss::ClosedNoOwner, 1);
        }
        let record = ConnectionRecord {
            id: *next_id,
            netns: key.netns,
            inode: 0,
            protocol: key.protocol,
            state: State::TimeWait,
            direction: Direction::Unknown,
            role,
            local: key.local,
            remote: key.remote,
            owner,
            peer: Workload::Unresolved,
            named: Named::default(),
            bytes: None,
            since_ms: pass.now.unix_ms,
            expires_ms,
            flow: Slot::MAX,
            counted: false,
            opened: !pass.first,
            changed: pass.epoch,
        };
        if !pass.first {
            // When the other end is on this node and nobody saw it either, this one TIME_WAIT
            // stands for both ends that the kernel counted.
            let unseen_peer = self.peer_netns(&record).is_some() && self.peer(&record).is_none();
            evidence.coverage.observed(1 + u64::from(unseen_peer), pass.now.mono_ms);
        }
        self.insert(record, 0, next_id, pass);
    }
}
