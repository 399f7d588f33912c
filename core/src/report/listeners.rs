//! The table of listeners, and the memory of them that gives connections a direction.
//!
//! In: the sockets of a pass. Out: one record per listening socket (several may share an address
//! through `SO_REUSEPORT`). It must not hold connections.
//!
//! Pure: no I/O; time is an argument.

use super::{Pass, Removed};
use crate::facts::{Loss, Protocol, Queue, Socket, State};
use crate::hash::HashMap;
use crate::join::Listeners;
use crate::records::{ListenerRecord, Owner};
use crate::table::{Frozen, Slot, Table};

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    pass: u32,
    pid: u32,
}

#[derive(Debug)]
pub(super) struct ListenerTable {
    table: Table<ListenerRecord>,
    /// By namespace, protocol and inode; an inode is unique among sockets while its socket lives.
    by_socket: HashMap<(u32, Protocol, u32, u16), Slot>,
    seen: Vec<Seen>,
    pass: u32,
    /// Where somebody waits, as of the last pass.
    queued: Vec<Slot>,
}

/// Whether a socket waits for others to begin.
pub(super) fn listens(socket: &Socket) -> bool {
    match socket.protocol {
        Protocol::Tcp => socket.state == State::Listen,
        Protocol::Udp => socket.state != State::Established,
    }
}

/// The owner of a listener that is new. Where no process holds it (the table of one thread, io_uring, the
/// kernel's own), the cgroup that it was made in shows the container, else its namespace shows the pod.
fn first_owner(socket: &Socket, pass: &Pass<'_>) -> Owner {
    let held = pass.processes.owner(socket.pid);
    if held == Owner::default() { pass.processes.made_in(socket.cgroup) } else { held }
}

impl ListenerTable {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            table: Table::new(limit),
            by_socket: HashMap::default(),
            seen: Vec::new(),
            pass: 0,
            queued: Vec::new(),
        }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.table.set_limit(limit);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&ListenerRecord> {
        self.table.get(slot)
    }

    /// The listeners at which somebody waits.
    pub(super) fn queued(&self) -> &[Slot] {
        &self.queued
    }

    pub(super) fn freeze(&self) -> Frozen<ListenerRecord> {
        self.table.freeze()
    }

    pub(super) fn update(
        &mut self,
        sockets: &[Socket],
        renamed: bool,
        memory: &mut Listeners,
        next_id: &mut u64,
        pass: &mut Pass<'_>,
    ) -> bool {
        self.pass = self.pass.wrapping_add(1);
        self.queued.clear();
        let mut changed = false;
        for socket in sockets.iter().filter(|s| listens(s)) {
            let key = (socket.netns, socket.protocol, socket.inode, socket.local.port);
            if let Some(&slot) = self.by_socket.get(&key) {
                let seen = &mut self.seen[slot as usize];
                let first = seen.pass != self.pass;
                let pid =
                    if first { socket.pid } else { pass.processes.older(seen.pid, socket.pid) };
                *seen = Seen { pass: self.pass, pid };
                changed |= self.queue(slot, socket.tcp.queue(), pass);
                continue;
            }
            let record = ListenerRecord {
                id: *next_id,
                netns: socket.netns,
                inode: socket.inode,
                protocol: socket.protocol,
                local: socket.local,
                owner: first_owner(socket, pass),
                queue: socket.tcp.queue(),
                since_ms: pass.now.unix_ms,
                changed: pass.epoch,
            };
            let Ok(slot) = self.table.insert(record, pass.epoch) else {
                pass.losses.add(Loss::SocketsFull, 1);
                continue;
            };
            *next_id += 1;
            changed = true;
            self.seen.resize(self.table.slots(), Seen::default());
            self.seen[slot as usize] = Seen { pass: self.pass, pid: socket.pid };
            self.by_socket.insert(key, slot);
            self.queue(slot, record.queue, pass);
        }
        self.settle(renamed, memory, pass, changed)
    }

    /// Who waits at a known listener now; written only if it differs.
    fn queue(&mut self, slot: Slot, queue: Option<Queue>, pass: &Pass<'_>) -> bool {
        if queue.is_some_and(|queue| queue.waiting > 0) {
            self.queued.push(slot);
        }
        let differs = |record: &ListenerRecord| queue.is_some() && record.queue != queue;
        if !self.table.get(slot).is_some_and(differs) {
            return false;
        }
        if let Some(record) = self.table.get_mut(slot, pass.epoch) {
            record.queue = queue;
            record.changed = pass.epoch;
        }
        true
    }

    /// Owners, removals, and the memory that directions come from.
    fn settle(
        &mut self,
        renamed: bool,
        memory: &mut Listeners,
        pass: &mut Pass<'_>,
        changed: bool,
    ) -> bool {
        let mut changed = changed;
        for (n, seen) in self.seen.iter().enumerate() {
            let Ok(slot) = Slot::try_from(n) else { break };
            let Some(record) = self.table.get(slot).copied() else { continue };
            if seen.pass != self.pass {
                self.table.remove(slot, pass.epoch);
                self.by_socket.remove(&(
                    record.netns,
                    record.protocol,
                    record.inode,
                    record.local.port,
                ));
                pass.removed.push(Removed::Listener(record.id));
                changed = true;
                continue;
            }
            let mut owner = record.owner;
            if seen.pid != 0 && (renamed || seen.pid != owner.pid) {
                owner = pass.processes.owner(seen.pid);
            }
            if owner == Owner::default() {
                owner = pass.processes.inside(record.netns);
            }
            if owner != record.owner
                && let Some(record) = self.table.get_mut(slot, pass.epoch)
            {
                record.owner = owner;
                record.changed = pass.epoch;
                changed = true;
            }
            if !memory.saw(record.netns, record.protocol, record.local, owner) {
                pass.losses.add(Loss::ListenersFull, 1);
            }
        }
        changed
    }
}
