//! Where a connection belongs: its direction, the workload at its other end, and its flow.
//!
//! In: a new connection, or one whose owner or whose name changed. Out: its record filled in, and its flow's
//! counts moved along. It must not guess: what has no evidence stays `Unknown` or `Unresolved`.
//!
//! Pure: no I/O; time is an argument.

use super::translated::Way;
use super::{Connections, Evidence, Flows, Pass, half_open, health};
use crate::facts::{ContainerId, Endpoint, Protocol, State};
use crate::join::{Question, direction};
use crate::records::{ConnectionRecord, Direction, FlowKey, Owner, Workload};
use crate::report::naming::{Around, Ends};
use crate::table::Slot;

impl Connections {
    /// The namespace of the other end when that is on this node.
    pub(super) fn peer_netns(&self, record: &ConnectionRecord) -> Option<u32> {
        if record.remote.is_loopback() || record.remote.addr == record.local.addr {
            return Some(record.netns);
        }
        self.addresses.of(record.remote.addr)
    }

    /// The namespace of what stands behind the other end: one's own, if that is loopback.
    fn place_of(&self, record: &ConnectionRecord, behind: Endpoint) -> Option<u32> {
        if behind.is_loopback() { Some(record.netns) } else { self.addresses.of(behind.addr) }
    }

    /// The record of the other end when that is on this node.
    pub(super) fn peer(&self, slot: Slot, record: &ConnectionRecord) -> Option<Slot> {
        let ConnectionRecord { protocol, local, remote, .. } = *record;
        let direct = || {
            if let Some(netns) = self.peer_netns(record) {
                return self.between(netns, protocol, remote, local);
            }
            // Of several namespaces that have the address it is the one that has the other end.
            let all = self.addresses.several(remote.addr);
            let mut ends = all.filter_map(|there| self.between(there, protocol, remote, local));
            ends.next().filter(|_| ends.next().is_none())
        };
        let behind = || match self.translated.way(slot) {
            Way::To { other, own } => {
                self.between(self.place_of(record, other)?, protocol, other, own)
            }
            _ => None,
        };
        direct().or_else(behind).or_else(|| self.client(record))
    }

    /// The pod at the other end, by one of its containers, where no more than the pod is known of who holds it.
    pub(super) fn peer_pod(&self, slot: Slot, record: &ConnectionRecord) -> Option<ContainerId> {
        if record.peer != Workload::Unresolved {
            return None;
        }
        self.table.get(self.peer(slot, record)?)?.owner.pod()
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
        let question = Question {
            netns: record.netns,
            protocol: record.protocol,
            local: record.local,
            remote: record.remote,
            remote_netns,
            opened: evidence.coverage.opened(record.netns),
            closed: record.state == State::TimeWait,
            role: record.role,
        };
        // What was known once stays: evidence fades when listeners go, facts do not.
        let direction = match record.direction {
            Direction::Unknown => {
                direction(evidence.listeners, evidence.ports(record.netns), &question)
            }
            known => known,
        };
        let peer_slot = self.peer(slot, &record);
        let peer_record = peer_slot.and_then(|slot| self.table.get(slot).copied());
        let peer = if let Some(peer) = peer_record {
            peer.owner.workload()
        } else {
            let record = ConnectionRecord { direction, ..record };
            self.stranger(slot, &record, remote_netns, evidence, pass)
        };
        // What is left of an earlier one on these ports says nothing of this one.
        let old = |peer: &ConnectionRecord| peer.paired && peer.state == State::TimeWait;
        let other = peer_record.filter(|peer| !old(peer));
        let directed = ConnectionRecord { direction, peer, changed: pass.epoch, ..record };
        let counted = self.counts(&directed, remote_netns, other.as_ref(), pass);
        if !counted && let Some(other) = &other {
            self.found_other_end(&directed, other, remote_netns, pass);
        }
        let counted_there = record.counted_there || (other.is_none() && !counted);
        let resolved = ConnectionRecord { counted, counted_there, ..directed };
        let alone = record.flow == Slot::MAX && counted && other.is_none();
        // Counted before, for the other end, which forgot its peer: then it is moved.
        let instead = alone
            && (record.protocol, record.opened) == (Protocol::Tcp, true)
            && record.state != State::TimeWait
            && self.count_instead(&resolved, flows, pass).is_some();
        self.settle(slot, resolved, flows, pass);
        if alone && let Some(&settled) = self.table.get(slot) {
            self.count_through(&settled, remote_netns, evidence, pass);
        }
        if instead {
            self.spend(slot, flows);
        }
        // The other end was there before this one, and was taken for someone else's.
        if let (Some(slot), Some(other)) = (peer_slot, peer_record)
            && other.since_ms != pass.now.unix_ms
            && (other.peer != record.owner.workload() || record.owner.sibling.is_some())
        {
            self.resolve_other(slot, flows, pass);
        }
    }

    /// Whether an end counts its connection. One with both ends on this node is one connection of one flow: its client's.
    fn counts(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        other: Option<&ConnectionRecord>,
        pass: &Pass<'_>,
    ) -> bool {
        match (record.direction, other) {
            _ if record.flow != Slot::MAX => record.counted,
            (Direction::Inbound, Some(_)) => false,
            // What is left of a closed one may be that of one before it: it does not say that no other end counts.
            (_, Some(peer)) if record.counted_there && peer.state == State::TimeWait => false,
            (_, Some(peer)) => !peer.counted,
            (_, None) if record.counted_there => false,
            // The other end was too short to be seen, and is counted, or it knows other addresses.
            (_, None) => {
                let through = self.is_counted_through(record, there, pass);
                !(through || self.ledger.counted_there(record))
            }
        }
    }

    /// Apart, so that two ends do not call each other without an end.
    fn resolve_other(&mut self, slot: Slot, flows: &mut Flows, pass: &mut Pass<'_>) {
        let Some(&record) = self.table.get(slot) else { return };
        let Some(peer) = self.peer(slot, &record).and_then(|slot| self.table.get(slot)) else {
            return;
        };
        let peer = peer.owner.workload();
        let resolved = ConnectionRecord { peer, changed: pass.epoch, ..record };
        self.settle(slot, resolved, flows, pass);
    }

    /// Who is at the other end, when no socket of it was found.
    ///
    /// Both ends of an open TCP connection have a socket, so one whose other end is on this node and
    /// has none was sent on by the kernel: anyone who listens there only holds the port. An address of
    /// the node itself may be sent on for connections that left no second socket, too.
    fn stranger(
        &mut self,
        slot: Slot,
        record: &ConnectionRecord,
        here: Option<u32>,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) -> Workload {
        let closed = record.state == State::TimeWait;
        let at = |netns, end| {
            let listener = evidence.listeners.listening(netns, record.protocol, end, closed);
            let known = listener.filter(|owner| *owner != Owner::default());
            known.unwrap_or_else(|| pass.processes.inside(netns)).workload()
        };
        let way = self.translated.way(slot);
        if let Way::To { other, .. } = way {
            let netns = self.place_of(record, other);
            return netns.map_or(Workload::External(other.address()), |netns| at(netns, other));
        }
        let Some(netns) = here else { return Workload::External(record.remote.address()) };
        let half_open = half_open(record.state);
        let open = record.protocol == Protocol::Tcp && !closed && !half_open;
        let nodes = pass.processes.node_netns() == Some(netns) && !record.remote.is_loopback();
        match way {
            Way::Straight => at(netns, record.remote),
            _ if !open && !nodes => at(netns, record.remote),
            Way::Missing if !open => at(netns, record.remote),
            _ => {
                if record.direction == Direction::Inbound {
                    self.translated.ask_later(slot, record, pass.now.mono_ms);
                } else if record.state != State::SynRecv {
                    self.translated.ask(slot, record);
                }
                Workload::Unresolved
            }
        }
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
        let around = self.around(slot, &resolved, pass);
        let ends = pass.naming.ends(&resolved, &around);
        if ends.translated {
            self.translated.ask(slot, &resolved);
        }
        let key = flow_key(&resolved, &ends);
        let flow = Self::enter_flow(&resolved, key, ends.own, flows, pass);
        if let Some(&record) = self.table.get(slot) {
            let new = ConnectionRecord { flow, named: ends.named, ..resolved };
            // What is as it was is not written: a snapshot shares it.
            if (ConnectionRecord { changed: record.changed, ..new }) == record {
                return;
            }
            record.named.gaps.into_iter().for_each(|gap| self.gaps.take(gap));
            ends.named.gaps.into_iter().for_each(|gap| self.gaps.add(gap));
            if let Some(record) = self.table.get_mut(slot, pass.epoch) {
                *record = new;
            }
        }
    }

    /// What names depend on besides the record.
    pub(super) fn around(&self, slot: Slot, record: &ConnectionRecord, pass: &Pass<'_>) -> Around {
        let peer_netns = self.peer_netns(record);
        let behind = match self.translated.way(slot) {
            Way::To { other, own } => Some((other, own)),
            _ => None,
        };
        // What came through this node's address may come from anywhere.
        let here = match behind {
            Some((other, _)) => self.place_of(record, other).is_some(),
            None => peer_netns.is_some(),
        };
        let here = here || !matches!(record.peer, Workload::External(_) | Workload::Unresolved);
        // Without a cluster there is nothing to be named after.
        if pass.naming.cluster.is_none() {
            return Around { behind, here, ..Around::default() };
        }
        let node = pass.processes.node_netns();
        let of_node =
            [Some(record.netns), peer_netns].map(|netns| netns.is_some() && netns == node);
        let never_open = record.state == State::TimeWait && record.since_ms == pass.now.unix_ms;
        let began_ms = if never_open { pass.since_ms } else { record.since_ms };
        Around { pod: self.peer_pod(slot, record), behind, of_node, here, began_ms }
    }

    /// Counts the connection in its flow, and out of the one that it was thought to be in.
    fn enter_flow(
        record: &ConnectionRecord,
        key: FlowKey,
        own: Workload,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> Slot {
        if !record.counted {
            return Slot::MAX;
        }
        let key = flows.kept(key);
        if record.flow != Slot::MAX && flows.key(record.flow) == Some(key) {
            return record.flow;
        }
        let open = record.state != State::TimeWait;
        let opened = u64::from(record.opened);
        let closed = u64::from(!open && record.opened);
        let moved = record.flow != Slot::MAX;
        // What a reader may have counted there stays counted there.
        let shown = moved && record.since_ms <= pass.shown_ms;
        let carried = [opened, closed].map(|count| if shown { count.cast_signed() } else { 0 });
        if shown {
            flows.change(record.flow, pass, |flow| {
                flow.moved.iter_mut().zip(carried).for_each(|(moved, count)| *moved -= count);
            });
        }
        Self::leave_flow(record, flows, pass);
        let slot = flows.slot(key, own, pass);
        let (sent, received) = record.bytes.unwrap_or_default();
        let inbound = record.direction == Direction::Inbound;
        let (sent, received) = if inbound { (received, sent) } else { (sent, received) };
        flows.change(slot, pass, |flow| {
            flow.current += u32::from(open);
            flow.opened += opened;
            flow.closed += closed;
            flow.moved.iter_mut().zip(carried).for_each(|(moved, count)| *moved += count);
            // What moved in the old flow stays there: bytes only ever grow.
            if !moved && opened == 1 {
                flow.bytes_sent = flow.bytes_sent.saturating_add(sent);
                flow.bytes_received = flow.bytes_received.saturating_add(received);
            }
            if !moved {
                health::enter(record, &mut flow.health);
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
    let Ends { own, peer, service, origin, .. } = *ends;
    let protocol = record.protocol;
    let (source, destination, dialled, port) = match record.direction {
        Direction::Outbound => {
            let dialled = record.remote.port;
            (own, peer, dialled, ends.port.unwrap_or(dialled))
        }
        Direction::Inbound => {
            let port = record.local.port;
            (peer, own, ends.port.unwrap_or(port), port)
        }
        // Neither port is known to be the service's.
        Direction::Unknown => (own, peer, 0, 0),
    };
    let by_service = ends.port.is_some() || ends.translated;
    let service_port =
        if by_service && record.direction != Direction::Unknown { dialled } else { 0 };
    FlowKey { source, destination, service, port, service_port, protocol, origin }
}
