//! Connections that the kernel may have sent on to somewhere else: what stands behind each is asked
//! of connection tracking, and asked again while there is no answer.
//!
//! In: connections whose other end is a Service or an address of this node that has no socket of
//! theirs, and what the kernel says of them. Out: questions, and connections that know who stands
//! behind. It must not guess: without an answer the other end stays what it is.
//!
//! Questions are asked in the order in which they came, those of open connections before those of
//! closed ones. A question without an answer waits longer each time.
//!
//! Pure: no I/O; time is an argument.

use super::{Connections, Evidence, Flows, Pass};
use crate::facts::{Endpoint, Protocol, State};
use crate::hash::HashMap;
use crate::records::{ConnectionRecord, Direction};
use crate::report::{Entry, Translated as Reply, Translation};
use crate::table::Slot;
use std::collections::VecDeque;

/// A connection that is open is asked for again after 1, 2, 4, … s, and then every four minutes: its
/// entry may be made after its socket, and the kernel may lose one and make another.
const WAITS: usize = 9;
const FIRST_WAIT_MS: u64 = 1000;
/// A connection that is closed gets no new entry, so it is asked for so often only.
const CLOSED_TRIES: u8 = 2;
/// Questions of connections that are gone are left in a queue until they are as many as the others.
const LEFT: usize = 1024;

/// What is known of the way of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// Not asked, or not answered yet.
    #[default]
    Open,
    /// The kernel knows no such connection.
    Missing,
    /// It goes where it seems to go.
    Straight,
    /// The other end is this one, to which this end is `own`.
    To { other: Endpoint, own: Endpoint },
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    id: u64,
    tries: u8,
    waiting: bool,
    way: Way,
}

/// A place in a queue; an entry of a connection that is gone is passed over in its turn.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: Slot,
    id: u64,
    due_ms: u64,
}

/// The connections whose way is asked for.
#[derive(Debug, Default)]
pub(super) struct Translated {
    known: HashMap<Slot, Asked>,
    live: VecDeque<Place>,
    closed: VecDeque<Place>,
    /// Those that wait to be asked for again, by how long: each queue is in the order of its times.
    later: [VecDeque<Place>; WAITS],
    /// The client's end of a translated connection, by its backend's end: protocol, backend, and the
    /// client as the backend sees it.
    clients: HashMap<(Protocol, Endpoint, Endpoint), Slot>,
}

impl Translated {
    pub(super) fn way(&self, slot: Slot) -> Way {
        // Nodes without Services do not pay for a look-up.
        if self.known.is_empty() {
            return Way::Open;
        }
        self.known.get(&slot).map_or(Way::Open, |asked| asked.way)
    }

    /// The end that accepted what this one dials, though at another port: forgotten with that end, which knows
    /// that it comes from this one.
    pub(super) fn accepted_by(&mut self, client: &ConnectionRecord, server: Slot) {
        self.clients.insert((client.protocol, client.local, client.remote), server);
    }

    /// Who stands behind the other end, if that is known.
    pub(super) fn behind(&self, slot: Slot) -> Option<Endpoint> {
        match self.way(slot) {
            Way::To { other, .. } => Some(other),
            _ => None,
        }
    }

    /// Wants to know who stands behind.
    pub(super) fn ask(&mut self, slot: Slot, record: &ConnectionRecord) {
        let id = record.id;
        let new = Asked { id, tries: 0, waiting: false, way: Way::Open };
        let asked = self.known.entry(slot).or_insert(new);
        if asked.tries > 0 || asked.waiting {
            return;
        }
        asked.waiting = true;
        let queue = if closed(record) { &mut self.closed } else { &mut self.live };
        push(queue, Place { slot, id, due_ms: 0 }, &self.known);
    }

    /// Wants to know it in a while: the question about the other end mostly answers this one, too.
    pub(super) fn ask_later(&mut self, slot: Slot, record: &ConnectionRecord, now_ms: u64) {
        let id = record.id;
        let new = Asked { id, tries: 0, waiting: false, way: Way::Open };
        let asked = self.known.entry(slot).or_insert(new);
        if asked.tries == 0 && !asked.waiting {
            asked.waiting = true;
            let place = Place { slot, id, due_ms: now_ms + FIRST_WAIT_MS };
            push(&mut self.later[0], place, &self.known);
        }
    }

    /// There was no answer: once more, later.
    fn again(&mut self, slot: Slot, record: &ConnectionRecord, now_ms: u64) {
        let Some(asked) = self.known.get_mut(&slot) else { return };
        if asked.waiting || (closed(record) && asked.tries >= CLOSED_TRIES) {
            return;
        }
        asked.waiting = true;
        let level = usize::from(asked.tries.saturating_sub(1)).min(WAITS - 1);
        let place = Place { slot, id: asked.id, due_ms: now_ms + (FIRST_WAIT_MS << level) };
        push(&mut self.later[level], place, &self.known);
    }

    pub(super) fn forget(&mut self, slot: Slot, record: &ConnectionRecord) {
        if self.known.is_empty() {
            return;
        }
        // If it waits, its place in the queue is passed over in its turn.
        if let Some(Asked { way: Way::To { other, own }, .. }) = self.known.remove(&slot) {
            let key = (record.protocol, other, own);
            if self.clients.get(&key) == Some(&slot) {
                self.clients.remove(&key);
            }
        }
    }

    /// How many may be asked for now, at most.
    fn due(&mut self, now_ms: u64) -> usize {
        for level in 0..WAITS {
            while let Some(place) = self.later[level].pop_front_if(|place| place.due_ms <= now_ms) {
                if valid(&place, &self.known) {
                    push(&mut self.live, place, &self.known);
                }
            }
        }
        self.live.len() + self.closed.len()
    }

    fn next(&mut self) -> Option<Place> {
        self.live.pop_front().or_else(|| self.closed.pop_front())
    }
}

const fn closed(record: &ConnectionRecord) -> bool {
    matches!(record.state, State::TimeWait)
}

fn valid(place: &Place, known: &HashMap<Slot, Asked>) -> bool {
    known.get(&place.slot).is_some_and(|asked| asked.waiting && asked.id == place.id)
}

/// One place for each connection, so that a queue is as long as the table and some that are gone.
fn push(queue: &mut VecDeque<Place>, place: Place, known: &HashMap<Slot, Asked>) {
    if queue.len() >= 2 * known.len() + LEFT {
        queue.retain(|place| valid(place, known));
    }
    queue.push_back(place);
}

impl Connections {
    /// Takes up to `limit` questions; those who are asked about must be answered, or given back.
    pub(in crate::report) fn unanswered(&mut self, limit: usize) -> Vec<Translation> {
        let mut questions = Vec::new();
        while questions.len() < limit {
            let Some(place) = self.translated.next() else { break };
            if !valid(&place, &self.translated.known) {
                continue;
            }
            let Some(&record) = self.table.get(place.slot) else { continue };
            let known = self.peer(place.slot, &record).is_some();
            if let Some(asked) = self.translated.known.get_mut(&place.slot) {
                asked.waiting = false;
                asked.tries = asked.tries.saturating_add(u8::from(!known));
            }
            // The other end has been found meanwhile: there is nothing left to ask.
            if known {
                continue;
            }
            let ConnectionRecord { id, protocol, local, remote, .. } = record;
            questions.push(Translation { slot: place.slot, id, protocol, local, remote });
        }
        questions
    }

    /// How many questions wait now, at most.
    pub(in crate::report) fn waiting(&mut self, now_ms: u64) -> usize {
        self.translated.due(now_ms)
    }

    /// Questions that could not be asked: once more, later.
    pub(in crate::report) fn give_back(&mut self, questions: &[Translation], now_ms: u64) {
        for question in questions {
            if let Some(record) = self.table.get(question.slot).filter(|r| r.id == question.id) {
                self.translated.again(question.slot, record, now_ms);
            }
        }
    }

    /// Takes in what the kernel said; `true` when it changed anything.
    pub(in crate::report) fn translate(
        &mut self,
        question: &Translation,
        reply: Reply,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let slot = question.slot;
        // The connection may have gone meanwhile, and another have its place.
        let Some(&record) = self.table.get(slot).filter(|r| r.id == question.id) else {
            return false;
        };
        match reply {
            Reply::Entry(entry) => self.learn(slot, &record, &entry, true, flows, evidence, pass),
            Reply::Unknown => {
                // A namespace that redirects leaves the node no trace of it.
                if let Way::To { .. } = self.translated.way(slot) {
                    return false;
                }
                self.translated.again(slot, &record, pass.now.mono_ms);
                self.go(slot, &record, Way::Missing, None, flows, evidence, pass)
            }
        }
    }

    /// Takes in where a connection goes; with `tell` its client's end knows it, too.
    #[expect(
        clippy::too_many_arguments,
        reason = "the connection, and what every step of a pass needs"
    )]
    pub(super) fn learn(
        &mut self,
        slot: Slot,
        record: &ConnectionRecord,
        entry: &Entry,
        tell: bool,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        self.direct(slot, record, entry, pass);
        let way = self.follow(slot, record, entry);
        let client = if tell { self.tell_client(slot, record, entry, pass) } else { None };
        self.go(slot, record, way, client, flows, evidence, pass)
    }

    /// A connection goes this way, of which `client` is the other end.
    #[expect(
        clippy::too_many_arguments,
        reason = "the connection, and what every step of a pass needs"
    )]
    fn go(
        &mut self,
        slot: Slot,
        record: &ConnectionRecord,
        way: Way,
        client: Option<Slot>,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(asked) = self.translated.known.get_mut(&slot) else { return false };
        if asked.way == way {
            return false;
        }
        asked.way = way;
        self.resolve(slot, flows, evidence, pass);
        let Some(&resolved) = self.table.get(slot) else { return false };
        if let Way::To { .. } = way
            && let Some(peer) = self.peer(slot, &resolved)
        {
            let inbound = resolved.direction == Direction::Inbound;
            let (client, server) = if inbound { (peer, slot) } else { (slot, peer) };
            self.join_ends(client, server, flows, evidence, pass);
        }
        if let Some(client) = client {
            self.resolve(client, flows, evidence, pass);
        }
        self.table.get(slot).is_some_and(|after| after != record)
    }

    /// Which way the kernel's entry says that a connection goes, seen from one of its ends.
    fn follow(&mut self, slot: Slot, record: &ConnectionRecord, entry: &Entry) -> Way {
        let ends = (record.local, record.remote);
        let Entry { client, service, backend, seen } = *entry;
        let straight = (client, service) == (seen, backend);
        if straight || (ends != (client, service) && ends != (backend, seen)) {
            return Way::Straight;
        }
        if ends == (client, service) {
            self.translated.clients.insert((record.protocol, backend, seen), slot);
            return Way::To { other: backend, own: seen };
        }
        Way::To { other: client, own: service }
    }

    /// The entry of a server's end shows its client's end on this node who stands behind what it connected to,
    /// which nothing else makes it ask for: an address that is not known as a Service's. The client's end.
    fn tell_client(
        &mut self,
        server: Slot,
        record: &ConnectionRecord,
        entry: &Entry,
        pass: &Pass<'_>,
    ) -> Option<Slot> {
        let Entry { client, service, backend, seen } = *entry;
        let ends = (record.local, record.remote);
        if ends != (backend, seen) || (client, service) == (seen, backend) {
            return None;
        }
        let netns = self.addresses.of(client.addr)?;
        let slot = self.between(netns, record.protocol, client, service)?;
        let end = *self.table.get(slot).filter(|_| slot != server)?;
        let new = Asked { id: end.id, tries: 0, waiting: false, way: Way::Open };
        let asked = self.translated.known.entry(slot).or_insert(new);
        if let Way::To { .. } = asked.way {
            return None;
        }
        asked.way = Way::To { other: backend, own: seen };
        self.translated.clients.insert((record.protocol, backend, seen), slot);
        self.direct(slot, &end, entry, pass);
        Some(slot)
    }

    /// The entry shows who opened the connection, where nothing else did.
    fn direct(&mut self, slot: Slot, record: &ConnectionRecord, entry: &Entry, pass: &Pass<'_>) {
        let ends = (record.local, record.remote);
        let direction = match entry {
            Entry { client, service, .. } if ends == (*client, *service) => Direction::Outbound,
            Entry { backend, seen, .. } if ends == (*backend, *seen) => Direction::Inbound,
            _ => return,
        };
        if record.direction == Direction::Unknown
            && let Some(record) = self.table.get_mut(slot, pass.epoch)
        {
            (record.direction, record.changed) = (direction, pass.epoch);
        }
    }

    /// Two records are the ends of one connection: it is counted once, by its client's.
    fn join_ends(
        &mut self,
        client: Slot,
        server: Slot,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) {
        let ends = (self.table.get(client).copied(), self.table.get(server).copied());
        let (Some(client), Some(other)) = ends else { return };
        if client.counted && other.counted {
            Self::leave_flow(&other, flows, pass);
            if let Some(record) = self.table.get_mut(server, pass.epoch) {
                (record.flow, record.counted) = (Slot::MAX, false);
                (record.direction, record.changed) = (Direction::Inbound, pass.epoch);
            }
        }
        self.resolve(server, flows, evidence, pass);
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
