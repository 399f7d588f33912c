//! Who has a place in the table of connections when there are more than it holds.
//!
//! In: how many records of which kind there are. Out: whether one more has room, and which closed one
//! gives way. A connection that is open comes before one that is closed, whose counts are in its flow
//! already; half-open requests have a share of their own, because a stranger makes as many as he likes.
//!
//! Pure: no I/O.

use super::half_open;
use crate::facts::{Loss, Protocol, Socket, State};
use crate::records::ConnectionRecord;
use crate::table::Slot;
use std::collections::VecDeque;

/// Of the places for open connections, those that closed ones have besides: short connections are
/// counted on a node that is full, too.
const CLOSED_PART: usize = 8;
/// Of the places for open connections, those that half-open requests may take.
const REQUESTS_PART: usize = 16;
/// Half-open requests that there is room for on the smallest node: the backlog of a small server.
const REQUESTS_LEAST: usize = 64;

/// What a record needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is a free place.
    Free,
    /// The oldest closed connection has to go for it.
    Displace,
    /// There is none.
    Refused(Loss),
}

/// The account of places.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    closed: usize,
    requests: usize,
    /// Closed connections, the oldest first; some of them are gone already.
    queue: VecDeque<(Slot, u64)>,
}

impl Places {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, closed: 0, requests: 0, queue: VecDeque::new() }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Records in all.
    pub(super) const fn most(limit: usize) -> usize {
        limit + limit / CLOSED_PART
    }

    /// Whether a record in this state has room among `all`.
    pub(super) fn room(&self, state: State, all: usize) -> Room {
        let open = all - self.closed;
        if state == State::SynRecv {
            let share = (self.limit / REQUESTS_PART).max(REQUESTS_LEAST);
            if self.requests >= share {
                return Room::Refused(Loss::HalfOpen);
            }
        }
        if state != State::TimeWait && open >= self.limit {
            return Room::Refused(Loss::SocketsFull);
        }
        if all < Self::most(self.limit) {
            return Room::Free;
        }
        if self.closed > 0 { Room::Displace } else { Room::Refused(Loss::SocketsFull) }
    }

    /// A record came, or came into another state.
    pub(super) fn came(&mut self, slot: Slot, record: &ConnectionRecord) {
        self.requests += usize::from(record.state == State::SynRecv);
        if record.state == State::TimeWait {
            self.closed += 1;
            self.queue.push_back((slot, record.id));
        }
    }

    /// A record went, or leaves this state.
    pub(super) fn went(&mut self, record: &ConnectionRecord) {
        self.requests -= usize::from(record.state == State::SynRecv);
        self.closed -= usize::from(record.state == State::TimeWait);
    }

    /// The closed connection that gives way first; `there` shows whether one still is.
    pub(super) fn oldest(&mut self, there: impl Fn(Slot, u64) -> bool) -> Option<Slot> {
        while let Some((slot, id)) = self.queue.pop_front() {
            if there(slot, id) {
                return Some(slot);
            }
        }
        None
    }

    /// Forgets the places of those at the head of the queue that are gone.
    pub(super) fn tidy(&mut self, there: impl Fn(Slot, u64) -> bool) {
        while self.queue.pop_front_if(|(slot, id)| !there(*slot, *id)).is_some() {}
        if self.queue.is_empty() {
            self.queue.shrink_to(1024);
        }
    }
}

/// Whether the record is one that coverage may count: of a TCP connection that was established.
pub(super) const fn was_established(state: State) -> bool {
    !half_open(state) && !matches!(state, State::Listen | State::Close)
}

/// A socket that connects is in SYN_SENT before the kernel has found a port for it, and one that was reset loses its
/// peer's: a source that reads a socket at that moment shows what is no connection.
pub(super) const fn has_ports(socket: &Socket) -> bool {
    !matches!(socket.protocol, Protocol::Tcp) || (socket.local.port != 0 && socket.remote.port != 0)
}
