//! Ends that know each other by other addresses, as those of a connection through a Service do: joined by what both know, the
//! client's address and port.
//!
//! In: ends that are counted or are about to be, as records or as the kernel reported them. Out: whether the other end counts the
//! connection already. Connection tracking says it too, of connections that stand long enough to be asked about; one of whose ends a
//! pass saw and the other did not is gone by then, and so is mostly the kernel's entry. The first end that is known leaves a token, and
//! the other one takes it. Where the ports are used again for another server at once, the two may change places, and no more
//! is counted than there was as long as each end knows its peer.
//!
//! Pure: no I/O.

use super::ended::Ledger;
use super::tokens::{End, Left, Used};
use super::{Connections, Evidence, Flows, Pass};
use crate::facts::{Endpoint, Protocol, Role, State};
use crate::records::{ConnectionRecord, Direction};
use crate::table::Slot;

impl Ledger {
    /// Whether the other end of a connection through a Service's address counts it. A token that was left for an end that
    /// turned out to be known by its addresses is taken, too, and stands for nothing.
    pub(super) fn take_translated(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
    ) -> bool {
        match (record.direction, there) {
            (Direction::Inbound, Some(_)) => self.translated.take(accepts(record.remote)).is_some(),
            (Direction::Outbound, _) => {
                let claim = self.translated.claim(dials(record.netns, record.local));
                claim.is_some_and(|(_, used)| used == Used::No)
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

    /// Leaves a token for the other end of a connection that is counted, if that may know other addresses: one to a
    /// `service`, whose pods may be on this node, and one that was accepted from this node.
    pub(super) fn expect_translated(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        service: bool,
        left: Left,
    ) {
        match (record.direction, there) {
            (Direction::Inbound, Some(netns)) if !record.remote.is_loopback() => {
                self.translated.leave(dials(netns, record.remote), left);
            }
            (Direction::Outbound, None) if service => {
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
    ) -> bool {
        may_be_through(record) && self.ledger.take_translated(record, there)
    }

    /// A record counts its connection from now on: so that its other end does not.
    pub(super) fn count_through(
        &mut self,
        record: &ConnectionRecord,
        there: Option<u32>,
        flows: &Flows,
    ) {
        if !may_be_through(record) {
            return;
        }
        let service = flows.key(record.flow).is_some_and(|key| key.service.is_some());
        let inbound = record.direction == Direction::Inbound;
        self.ledger.expect_translated(record, there, service, Left { inbound, ..Left::default() });
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

/// Who dialled, by its own end: what it dialled may have been translated.
pub(super) fn dials(netns: u32, client: Endpoint) -> End {
    End { netns, local: client, remote: Endpoint::default() }
}

/// Who was reached by a client, wherever that is.
fn accepts(client: Endpoint) -> End {
    End { netns: 0, local: Endpoint::default(), remote: client }
}
