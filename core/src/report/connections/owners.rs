//! Who holds a connection: at first, and when another process turns out to.
//!
//! In: sockets as a pass saw them, and processes. Out: owners. It must not take one away: who held it last is reported when
//! no process does.
//!
//! Pure: no I/O.

use super::{Connections, Evidence, Pass};
use crate::facts::Socket;
use crate::records::Owner;
use crate::table::Slot;

impl Connections {
    /// The owner of a socket that is new. Where no process holds it (not accepted yet, orphaned), the
    /// cgroup that it was made in shows the container, else its listener does, else its namespace.
    pub(super) fn first_owner(socket: &Socket, evidence: &Evidence<'_>, pass: &Pass<'_>) -> Owner {
        let held = pass.processes.owner(socket.pid);
        if held != Owner::default() {
            return held;
        }
        let made = pass.processes.made_in(socket.cgroup);
        if made.container.is_some() {
            return made;
        }
        let Socket { netns, protocol, local, .. } = *socket;
        let listener = evidence.listeners.listening(netns, protocol, local, false);
        let known = [listener.unwrap_or_default(), made].into_iter();
        let known = known.chain([pass.processes.inside(netns)]);
        known.into_iter().find(|owner| *owner != Owner::default()).unwrap_or_default()
    }

    /// Gives every connection with a new holder its new owner, and asks again where it belongs.
    pub(super) fn settle_owners(&mut self, renamed: bool, pass: &Pass<'_>) -> bool {
        let mut changed = false;
        let disputed = std::mem::take(&mut self.disputed);
        let all = if renamed { self.seen.len() } else { 0 };
        let every = (0..all).filter_map(|n| Slot::try_from(n).ok());
        for slot in disputed.iter().copied().chain(every) {
            let seen = self.seen[slot as usize];
            let Some(record) = self.table.get(slot) else { continue };
            // No holder any more (an orphan) or none known yet: the last known one stays.
            if seen.pass != self.pass || seen.pid == 0 {
                continue;
            }
            let owner = pass.processes.owner(seen.pid);
            if owner == record.owner || owner == Owner::default() {
                continue;
            }
            let peer = self.between(record.netns, record.protocol, record.remote, record.local);
            if let Some(record) = self.table.get_mut(slot, pass.epoch) {
                record.owner = owner;
                record.changed = pass.epoch;
            }
            self.open.push(slot);
            self.open.extend(peer);
            changed = true;
        }
        self.disputed = disputed;
        changed
    }
}
