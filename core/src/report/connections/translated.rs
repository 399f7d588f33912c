//! Connections to addresses of Services: the backend behind each is asked for once, and once more
//! when the kernel knew none.
//!
//! In: connections whose other end is a Service, and what the kernel says of them. Out: questions,
//! and connections that know their backend. It must not guess: without an answer the other end
//! stays the Service.
//!
//! Pure: no I/O.

use super::{Connections, Flows, Key, Pass};
use crate::facts::{Endpoint, Protocol};
use crate::records::{ConnectionRecord, Direction};
use crate::report::{Translated as Reply, Translation};
use crate::table::Slot;
use rustc_hash::FxHashMap;

/// How often a connection is asked for: its entry may be made a moment after its socket.
const TRIES: u8 = 2;

#[derive(Clone, Copy, Debug)]
struct State {
    tries: u8,
    waiting: bool,
    backend: Option<Endpoint>,
}

/// The connections to Services.
#[derive(Debug, Default)]
pub(super) struct Translated {
    known: FxHashMap<Slot, State>,
    waiting: Vec<Slot>,
    /// The client's end of a translated connection, by its backend's end: protocol, backend, client.
    clients: FxHashMap<(Protocol, Endpoint, Endpoint), Slot>,
}

impl Translated {
    /// Where the connection went on to, if that is known.
    pub(super) fn backend(&self, slot: Slot) -> Option<Endpoint> {
        // Nodes without Services do not pay for a look-up.
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&slot)?.backend
    }

    /// Wants to know the backend.
    pub(super) fn ask(&mut self, slot: Slot) {
        let new = State { tries: 0, waiting: false, backend: None };
        let state = self.known.entry(slot).or_insert(new);
        if state.tries < TRIES && !state.waiting && state.backend.is_none() {
            state.waiting = true;
            self.waiting.push(slot);
        }
    }

    pub(super) fn forget(&mut self, slot: Slot, record: &ConnectionRecord) {
        if self.known.is_empty() {
            return;
        }
        // If it waits, its place in the queue is passed over in its turn.
        if let Some(State { backend: Some(backend), .. }) = self.known.remove(&slot) {
            self.clients.remove(&(record.protocol, backend, record.local));
        }
    }
}

impl Connections {
    /// Takes up to `limit` questions.
    pub(in crate::report) fn unanswered(&mut self, limit: usize) -> Vec<Translation> {
        let Self { table, translated, .. } = self;
        let keep = translated.waiting.len().saturating_sub(limit);
        let taken = translated.waiting.split_off(keep);
        let question = |slot: Slot| {
            let record = table.get(slot)?;
            let state = translated.known.get_mut(&slot).filter(|state| state.waiting)?;
            state.waiting = false;
            state.tries += 1;
            let &ConnectionRecord { id, protocol, local, remote, .. } = record;
            Some(Translation { slot, id, protocol, local, remote })
        };
        taken.into_iter().filter_map(question).collect()
    }

    /// Questions that wait.
    pub(in crate::report) const fn waiting(&self) -> usize {
        self.translated.waiting.len()
    }

    /// Takes in what the kernel said; `true` when it changed anything.
    pub(in crate::report) fn translate(
        &mut self,
        question: &Translation,
        reply: Reply,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> bool {
        let slot = question.slot;
        // The connection may have gone meanwhile, and another have its place.
        let Some(&record) = self.table.get(slot).filter(|r| r.id == question.id) else {
            return false;
        };
        let backend = match reply {
            Reply::To(backend) if backend != record.remote => backend,
            Reply::To(_) => return false,
            Reply::Unknown => {
                self.translated.ask(slot);
                return false;
            }
        };
        let Some(state) = self.translated.known.get_mut(&slot) else { return false };
        state.backend = Some(backend);
        self.translated.clients.insert((record.protocol, backend, record.local), slot);
        let changed = self.rename_one(slot, flows, pass);
        changed | self.join_backend(slot, backend, flows, pass)
    }

    /// The other end of a translated connection on this node: it is not a connection of its own.
    fn join_backend(
        &mut self,
        client: Slot,
        backend: Endpoint,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(&record) = self.table.get(client) else { return false };
        let address = backend.addr;
        let Some(&netns) = self.addresses.get(&address) else { return false };
        let protocol = record.protocol;
        let key = Key { netns, protocol, local: backend, remote: record.local };
        let Some(slot) = self.find(&key) else { return false };
        let Some(&other) = self.table.get(slot) else { return false };
        let peer = record.owner.workload();
        let counted = other.counted && !record.counted;
        if other.counted == counted && other.peer == peer {
            return false;
        }
        if other.counted && !counted {
            Self::leave_flow(&other, flows, pass);
        }
        let flow = if counted { other.flow } else { Slot::MAX };
        let direction = Direction::Inbound;
        let changed = pass.epoch;
        let joined = ConnectionRecord { direction, peer, flow, counted, changed, ..other };
        self.settle(slot, joined, flows, pass);
        true
    }

    /// The client's end of a connection that was translated to this one, when it is on this node.
    pub(super) fn client(&self, record: &ConnectionRecord) -> Option<Slot> {
        if self.translated.clients.is_empty() {
            return None;
        }
        let key = (record.protocol, record.local, record.remote);
        self.translated.clients.get(&key).copied()
    }
}
