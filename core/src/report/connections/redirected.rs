//! Connections that a namespace redirects to a port of its own, as the sidecars of service meshes have it done.
//!
//! In: accepted ends whose other end was not found though its address is one of this node. Out: both ends as one
//! connection, counted once. It must not guess: connection tracking of the node does not see inside of another
//! namespace, so that an end is taken for the other one by two proofs only. Either both are in one namespace and
//! one accepted from the very address and port that the other one dials from; or the end that dials has the
//! accepting end's address as its destination, and only the port differs.
//!
//! Pure: no I/O; time is an argument.

use super::{Connections, Evidence, Flows, Pass, half_open};
use crate::facts::{Endpoint, Protocol, State};
use crate::hash::HashMap;
use crate::records::{ConnectionRecord, Direction};
use crate::report::Entry;
use crate::table::Slot;

/// Accepted ends that wait for their other end; beyond, those that wait are forgotten.
const MOST: usize = 4096;

/// Accepted ends without the other one, by its namespace, address and port: place and id.
#[derive(Debug, Default)]
pub(super) struct Redirected(HashMap<(u32, Endpoint), (Slot, u64)>);

/// An end of a TCP connection that stands.
const fn stands(record: &ConnectionRecord) -> bool {
    let open = !half_open(record.state) && !matches!(record.state, State::TimeWait);
    open && matches!(record.protocol, Protocol::Tcp)
}

/// Whether `server` accepted what `client` dials, given that it came from where `client` dials from.
fn belong(client: &ConnectionRecord, server: &ConnectionRecord) -> bool {
    let inside = client.netns == server.netns;
    inside || client.remote.addr == server.local.addr
}

impl Connections {
    /// Joins the ends that are new with those that waited; `true` when any record changed.
    pub(super) fn join_redirected(
        &mut self,
        new: &[Slot],
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        // In the node's own namespace connection tracking knows, and masquerades others by its addresses.
        let Some(node) = pass.processes.node_netns() else { return false };
        let came = self.wait_for_ends(new, node);
        if self.redirected.0.is_empty() {
            return false;
        }
        let found = if came {
            self.pairs(self.table.iter())
        } else {
            self.pairs(new.iter().filter_map(|&slot| Some((slot, self.table.get(slot)?))))
        };
        let mut changed = false;
        for (server, client) in found {
            if let Some(client) = client {
                changed |= self.redirect(server, client, flows, evidence, pass);
            }
        }
        changed
    }

    /// Notes the accepted ends whose other end was not found; `true` if there are any.
    fn wait_for_ends(&mut self, new: &[Slot], node: u32) -> bool {
        let mut came = false;
        for &slot in new {
            let Some(record) = self.table.get(slot) else { continue };
            let accepted = record.direction == Direction::Inbound && stands(record);
            if !accepted || record.netns == node || record.remote.is_loopback() {
                continue;
            }
            // What is accepted on loopback was sent there by its own namespace.
            let own = record.local.is_loopback().then_some(record.netns);
            let there = own.or_else(|| self.peer_netns(record));
            let Some(there) = there.filter(|&there| there != node) else { continue };
            if self.peer(slot, record).is_some() {
                continue;
            }
            let (key, value) = ((there, record.remote), (slot, record.id));
            if !std::mem::replace(&mut came, true) {
                let Self { redirected: Redirected(waiting), table, .. } = self;
                waiting.retain(|_, (slot, id)| table.get(*slot).is_some_and(|r| r.id == *id));
                if waiting.len() >= MOST {
                    waiting.clear();
                }
            }
            if self.redirected.0.len() < MOST {
                self.redirected.0.insert(key, value);
            }
        }
        came
    }

    /// Accepted ends, each with the end that dialled it; none where several may have.
    fn pairs<'a>(
        &self,
        ends: impl Iterator<Item = (Slot, &'a ConnectionRecord)>,
    ) -> HashMap<Slot, Option<Slot>> {
        let mut found: HashMap<Slot, Option<Slot>> = HashMap::default();
        for (slot, client) in ends {
            if client.direction == Direction::Inbound || !stands(client) {
                continue;
            }
            let Some(&(place, id)) = self.redirected.0.get(&(client.netns, client.local)) else {
                continue;
            };
            let server = self.table.get(place).filter(|server| server.id == id);
            if place != slot && server.is_some_and(|server| belong(client, server)) {
                found.entry(place).and_modify(|other| *other = None).or_insert(Some(slot));
            }
        }
        found
    }

    fn redirect(
        &mut self,
        server: Slot,
        client: Slot,
        flows: &mut Flows,
        evidence: &mut Evidence<'_>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let ends = (self.table.get(server).copied(), self.table.get(client).copied());
        let (Some(accepted), Some(dials)) = ends else { return false };
        self.redirected.0.remove(&(dials.netns, dials.local));
        let entry = Entry {
            client: dials.local,
            service: dials.remote,
            backend: accepted.local,
            seen: accepted.remote,
        };
        // Who dials another pod is connected to that pod at the port that it dialled, wherever the pod is: that
        // the pod has its own sidecar accept it is known here alone. What does not leave the pod ends there.
        let inside = accepted.netns == dials.netns;
        self.translated.ask_later(server, &accepted, pass.now.mono_ms);
        let changed = self.learn(server, &accepted, &entry, inside, flows, evidence, pass);
        if !inside {
            self.translated.accepted_by(&dials, server);
            self.resolve(client, flows, evidence, pass);
        }
        changed
    }
}
