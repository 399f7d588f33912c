//! Ends that know each other by other addresses, as those of a connection through a Service do: joined by what both know, the
//! client's address and port.
//!
//! In: ends that are counted or are about to be, as records or as the kernel reported them. Out: whether the other end counts the
//! connection already. Connection tracking says it too, of connections that stand long enough to be asked about; one of whose ends a
//! pass saw and the other did not is gone by then, and so is mostly the kernel's entry. The first end that is known leaves a token, and
//! the other one takes it. Where the ports are used again for another server at once, the two may change places, and no more
//! is counted than there was as long as each end knows its peer.
//!
//! A token that no end takes, since the other end is on another node, must not stand for a later connection of that port: an end
//! that dialled takes one only where what it dialled may have been translated, and tokens are forgotten after some passes.
//!
//! Pure: no I/O.

use super::ended::Ledger;
use super::tokens::{End, Left, Used};
use super::{Connections, Evidence, Flows, Pass};
use crate::facts::{Endpoint, Protocol, Role, State};
use crate::records::{ConnectionRecord, Direction};
use crate::table::Slot;

impl Ledger {
    /// Whether the other end of a connection through a Service's address counts it; `may` says whether what was dialled may
    /// have been translated. A token that was left for an end that turned out to be known by its addresses is taken, too,
    /// and stands for nothing.
    pub(super) fn take_translated(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        may: impl FnOnce() -> bool,
    ) -> bool {
        match (record.direction, there) {
            (Direction::Inbound, Some(_)) => self.translated.take(accepts(record.remote)).is_some(),
            (Direction::Outbound, _) => {
                let client = dials(record.netns, record.local);
                let left = self.translated.peek(client).filter(|left| left.inside || may());
                left.and_then(|_| self.translated.claim(client)).is_some_and(|c| c.1 == Used::No)
            }
            _ => false,
        }
    }

    /// Whether the token for an end may be one of too many to be remembered.
    pub(super) fn excuses_translated(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
    ) -> bool {
        match (record.direction, there) {
            (Direction::Inbound, Some(_)) if !record.remote.is_loopback() => {
                self.translated.excuses(true)
            }
            (Direction::Outbound, None) => self.translated.excuses(false),
            _ => false,
        }
    }

    /// Leaves a token for the other end of a connection that is counted, if that may know other addresses: one to what may
    /// be translated (`may`), whose pods may be on this node, and one that was accepted from this node.
    pub(super) fn expect_translated(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        may: impl FnOnce() -> bool,
        left: Left,
    ) {
        match (record.direction, there) {
            (Direction::Inbound, Some(netns)) if !record.remote.is_loopback() => {
                let left = Left { inside: netns == record.netns, ..left };
                self.translated.leave(dials(netns, record.remote), left);
            }
            (Direction::Outbound, _) if may() => {
                self.translated.leave(accepts(record.local), left);
            }
            _ => {}
        }
    }
}

impl Connections {
    /// Whether the other end of a record that is new, and of which no record is found, counts the connection. It does for
    /// no further one.
    pub(super) fn is_counted_through(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        pass: &Pass<'_>,
    ) -> bool {
        let may = || may_be_translated(record, there, pass);
        may_be_through(record) && self.ledger.take_translated(record, there, may)
    }

    /// The end that accepted was there before and counts. It is known by its addresses, so what it left for one that
    /// is not stands for no later connection. Of what is closed already another one may have the same addresses.
    pub(super) fn found_other_end(
        &mut self,
        record: &ConnectionRecord,
        other: &ConnectionRecord,
        there: Option<u32>,
        pass: &Pass<'_>,
    ) {
        let new = record.since_ms == pass.now.unix_ms;
        let direct = (other.local, other.remote) == (record.remote, record.local);
        let open = [record, other].iter().all(|end| end.state == State::Established);
        if new && direct && open && may_be_through(record) {
            self.ledger.take_translated(record, there, || true);
        }
    }

    /// A record counts its connection from now on: so that its other end does not.
    pub(super) fn count_through(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        evidence: &Evidence<'_>,
        pass: &Pass<'_>,
    ) {
        if may_be_through(record) {
            let may = || is_sent_on(record, there, evidence, pass);
            let inbound = record.direction == Direction::Inbound;
            self.ledger.expect_translated(record, there, may, Left { inbound, ..Left::default() });
        }
    }

    /// Of two new ends it is the client's that counts, which knows what it dialled: it comes first.
    pub(super) fn resolve_all(
        &mut self,
        new: &[Slot],
        flows: &mut Flows,
        evidence: &Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        for accepted in [false, true] {
            for &slot in new {
                if self.table.get(slot).is_some_and(|record| seems_accepted(record) == accepted) {
                    self.resolve(slot, flows, evidence, pass);
                }
            }
        }
    }
}

/// Whether an end was accepted, as far as its socket says.
const fn seems_accepted(record: &ConnectionRecord) -> bool {
    match record.role {
        Role::Accepted => true,
        Role::Dialled => false,
        Role::Unknown => record.local.port < record.remote.port,
    }
}

/// Whether this may be an end of a connection that is counted: what is left of a reported one is not.
const fn may_be_through(record: &ConnectionRecord) -> bool {
    let trace = matches!(record.state, State::TimeWait) && !record.opened;
    matches!(record.protocol, Protocol::Tcp) && !trace
}

/// Whether the address that an end dialled may stand for another one: a Service's, or the node's own, whose ports may be those of
/// its pods.
pub(super) fn may_be_translated(
    record: &ConnectionRecord,
    there: Option<u32>,
    pass: &Pass<'_>,
) -> bool {
    is_of_node(record, there, pass) || pass.naming.may_be_translated(record).unwrap_or(true)
}

/// The same of an end that is counted first: at the node's own address only a port at which no one listens.
pub(super) fn is_sent_on(
    record: &ConnectionRecord,
    there: Option<u32>,
    evidence: &Evidence<'_>,
    pass: &Pass<'_>,
) -> bool {
    match there {
        None => pass.naming.may_be_translated(record).unwrap_or(false),
        Some(netns) => {
            let ConnectionRecord { protocol, remote, .. } = *record;
            is_of_node(record, there, pass)
                && evidence.listeners.listening(netns, protocol, remote, true).is_none()
        }
    }
}

fn is_of_node(record: &ConnectionRecord, there: Option<u32>, pass: &Pass<'_>) -> bool {
    !record.remote.is_loopback() && there.is_some() && there == pass.processes.node_netns()
}

/// Who dialled, by its own end: what it dialled may have been translated.
pub(super) fn dials(netns: u32, client: Endpoint) -> End {
    End { netns, local: client, remote: Endpoint::default() }
}

/// Who was reached by a client, wherever that is.
fn accepts(client: Endpoint) -> End {
    End { netns: 0, local: Endpoint::default(), remote: client }
}
