//! Where a connection belongs: its direction, the workload at its other end, and its flow.
//!
//! In: a new connection, or one whose owner or whose name changed. Out: its record filled in, and its flow's
//! counts moved along. It must not guess: what has no evidence stays `Unknown` or `Unresolved`.
//!
//! Pure: no I/O; time is an argument.

use super::{AMBIGUOUS, Connections, Evidence, Flows, Key, Pass};
use crate::facts::State;
use crate::join::{Question, direction};
use crate::records::{ConnectionRecord, Direction, FlowKey, Owner, Workload};
use crate::report::naming::Ends;
use crate::table::Slot;

impl Connections {
    /// The namespace of the other end when that is on this node.
    pub(super) fn peer_netns(&self, record: &ConnectionRecord) -> Option<u32> {
        if record.remote.is_loopback() || record.remote.addr == record.local.addr {
            return Some(record.netns);
        }
        let addr = record.remote.addr;
        self.addresses.get(&addr).copied().filter(|&netns| netns != AMBIGUOUS)
    }

    /// The record of the other end when that is on this node.
    pub(super) fn peer(&self, record: &ConnectionRecord) -> Option<Slot> {
        let direct = || {
            let (netns, protocol) = (self.peer_netns(record)?, record.protocol);
            self.find(&Key { netns, protocol, local: record.remote, remote: record.local })
        };
        direct().or_else(|| self.client(record))
    }

    pub(super) fn resolve(
        &mut self,
        slot: Slot,
        flows: &mut Flows,
        evidence: &Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let Some(&record) = self.table.get(slot) else { return };
        let remote_netns = self.peer_netns(&record);
        let closed = record.state == State::TimeWait;
        let question = Question {
            netns: record.netns,
            protocol: record.protocol,
            local: record.local,
            remote: record.remote,
            remote_netns,
            opened: evidence.coverage.opened(record.netns),
            closed,
            role: record.role,
        };
        // What was known once stays: evidence fades when listeners go, facts do not.
        let direction = match record.direction {
            Direction::Unknown => {
                direction(evidence.listeners, evidence.ports(record.netns), &question)
            }
            known => known,
        };
        let peer_slot = self.peer(&record);
        let peer_record = peer_slot.and_then(|slot| self.table.get(slot));
        let peer = match (peer_record, remote_netns) {
            (Some(peer), _) => peer.owner.workload(),
            (None, Some(netns)) => {
                let listener =
                    evidence.listeners.listening(netns, record.protocol, record.remote, closed);
                let container = || pass.processes.sole_container(netns);
                let sole = || Owner { container: container(), ..Owner::default() };
                listener.unwrap_or_else(sole).workload()
            }
            (None, None) => Workload::External(record.remote.addr),
        };
        // A connection with both ends on this node is one connection of one flow: its client's.
        let counted = match (direction, peer_record) {
            _ if record.flow != Slot::MAX => record.counted,
            (Direction::Inbound, Some(_)) => false,
            (_, Some(peer)) => !peer.counted,
            (_, None) => true,
        };
        let resolved = ConnectionRecord { direction, peer, counted, changed: pass.epoch, ..record };
        self.settle(slot, resolved, flows, pass);
    }

    /// Names the ends of a connection of which all else is known, counts it in its flow and writes
    /// its record.
    pub(super) fn settle(
        &mut self,
        slot: Slot,
        resolved: ConnectionRecord,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) {
        let backend = self.translated.backend(slot);
        let ends = pass.naming.ends(&resolved, backend);
        if ends.translated {
            self.translated.ask(slot);
        }
        let key = flow_key(&resolved, &ends);
        let flow = Self::enter_flow(&resolved, key, flows, pass);
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.named.gaps.into_iter().for_each(|gap| self.gaps.take(gap));
            ends.named.gaps.into_iter().for_each(|gap| self.gaps.add(gap));
            *record = ConnectionRecord { flow, named: ends.named, ..resolved };
        }
    }

    /// Counts the connection in its flow, and out of the one that it was thought to be in.
    fn enter_flow(
        record: &ConnectionRecord,
        key: FlowKey,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> Slot {
        if !record.counted {
            return Slot::MAX;
        }
        if record.flow != Slot::MAX && flows.key(record.flow) == Some(key) {
            return record.flow;
        }
        let open = record.state != State::TimeWait;
        let opened = u64::from(record.opened);
        let closed = u64::from(!open && record.opened);
        let moved = record.flow != Slot::MAX;
        Self::leave_flow(record, flows, pass);
        let slot = flows.slot(key, pass);
        let (sent, received) = record.bytes.unwrap_or_default();
        let inbound = record.direction == Direction::Inbound;
        let (sent, received) = if inbound { (received, sent) } else { (sent, received) };
        flows.change(slot, pass, |flow| {
            flow.current += u32::from(open);
            flow.opened += opened;
            flow.closed += closed;
            // What moved in the old flow stays there: bytes only ever grow.
            if !moved && opened == 1 {
                flow.bytes_sent += sent;
                flow.bytes_received += received;
            }
        });
        slot
    }

    /// Counts the connection out of its flow, if it is in one.
    pub(super) fn leave_flow(record: &ConnectionRecord, flows: &mut Flows, pass: &mut Pass<'_>) {
        if record.flow == Slot::MAX {
            return;
        }
        let open = record.state != State::TimeWait;
        flows.change(record.flow, pass, |flow| {
            flow.current = flow.current.saturating_sub(u32::from(open));
            flow.opened = flow.opened.saturating_sub(u64::from(record.opened));
            flow.closed = flow.closed.saturating_sub(u64::from(!open && record.opened));
        });
        flows.drop_if_empty(record.flow, pass);
    }
}

pub(super) fn flow_key(record: &ConnectionRecord, ends: &Ends) -> FlowKey {
    let Ends { own, peer, .. } = *ends;
    let (source, destination, port) = match record.direction {
        Direction::Outbound => (own, peer, record.remote.port),
        Direction::Inbound => (peer, own, record.local.port),
        // Neither port is known to be the service's.
        Direction::Unknown => (own, peer, 0),
    };
    FlowKey { source, destination, port, protocol: record.protocol }
}
