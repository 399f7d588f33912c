//! Joins sockets with what explains them: listeners give directions, processes give owners.
//!
//! In: the sockets and processes of one pass, and the listeners of the last ones. Out: for each
//! connection its direction and, where no process holds it, the container it must belong to.
//! It must not guess: what has no evidence is `Unknown` or has no owner.
//!
//! Pure: no I/O, no clock; time is an argument.

mod processes;

use crate::coverage::Opened;
pub use crate::facts::PortRange;
use crate::facts::{Comm, ContainerId, Endpoint, Protocol, Role};
use crate::hash::HashMap;
use crate::records::{Direction, Owner};
pub use processes::Processes;

/// A TIME_WAIT socket lives for 60 s (`TCP_TIMEWAIT_LEN`), so a listener explains closed
/// connections for that long after it was last seen.
const REMEMBER_MS: u64 = 62_000;

/// Listeners that are remembered; a process that opens and closes them in a loop meets this bound.
const LISTENERS: usize = 65_536;
/// The last quarter is for those who have few.
const RESERVED: usize = LISTENERS / 4;
const FEW: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ListenKey {
    netns: u32,
    protocol: Protocol,
    /// Wildcards of both families are one: an IPv6 one takes IPv4 connections too.
    local: Endpoint,
}

impl ListenKey {
    const fn new(netns: u32, protocol: Protocol, local: Endpoint) -> Self {
        let local =
            if local.is_wildcard() { Endpoint { addr: 0, port: local.port } } else { local };
        Self { netns, protocol, local }
    }
}

/// Whose a listener is: a pod's, by the container that determines it, else a network namespace's.
type Whose = Result<ContainerId, u32>;

fn whose(key: &ListenKey, owner: &Owner) -> Whose {
    owner.pod().ok_or(key.netns)
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    owner: Owner,
    seen_ms: u64,
    /// In the last pass several listened here that are not of one container, or of one name.
    shared: bool,
}

/// Every listener of the last passes.
#[derive(Debug, Default)]
pub struct Listeners {
    by_key: HashMap<ListenKey, Remembered>,
    /// How many each has, counted from when it begins to matter.
    held: HashMap<Whose, u32>,
    /// When the pass before the present one began: older listeners explain only closed connections.
    previous_ms: u64,
    present_ms: u64,
}

impl Listeners {
    /// Begins a pass that reads sockets: listeners not seen for a minute are forgotten.
    pub fn begin(&mut self, mono_ms: u64) {
        self.previous_ms = self.present_ms;
        self.present_ms = mono_ms;
        self.by_key.retain(|_, l| mono_ms.saturating_sub(l.seen_ms) <= REMEMBER_MS);
        self.held.clear();
    }

    /// Notes a listener of this pass; whether there was a place for it.
    pub fn saw(&mut self, netns: u32, protocol: Protocol, local: Endpoint, owner: Owner) -> bool {
        let owner = served_by(&owner);
        let seen = Remembered { owner, seen_ms: self.present_ms, shared: false };
        let key = ListenKey::new(netns, protocol, local);
        let scarce = self.by_key.len() >= LISTENERS - RESERVED;
        if scarce && !self.by_key.contains_key(&key) && !self.has_room(whose(&key, &owner)) {
            return false;
        }
        let known = self.by_key.entry(key).or_insert(seen);
        let again = known.seen_ms == self.present_ms;
        let differs = ![known.owner, owner].contains(&Owner::default()) && known.owner != owner;
        let shared = again && (known.shared || differs);
        let known_owner = if owner == Owner::default() { known.owner } else { owner };
        *known = Remembered { owner: known_owner, shared, ..seen };
        true
    }

    /// Whether one more of this owner has one of the last places, which it then takes.
    fn has_room(&mut self, whose: Whose) -> bool {
        let all = self.by_key.len();
        if self.held.is_empty() {
            for (key, known) in &self.by_key {
                *self.held.entry(self::whose(key, &known.owner)).or_default() += 1;
            }
        }
        let held = self.held.entry(whose).or_default();
        let room = all < LISTENERS && *held < FEW;
        *held += u32::from(room);
        room
    }

    /// Forgets the listeners of a namespace: its number is another one's now.
    pub fn forget(&mut self, netns: u32) {
        self.by_key.retain(|key, _| key.netns != netns);
    }

    /// Where a connection to `local` was taken, if a listener took it: the listener's container, or
    /// outside of containers the name of the process that listens. Never its pid: a child of it may
    /// have served the connection. No owner where several listen that differ in that (`SO_REUSEPORT`).
    #[must_use]
    pub fn listening(
        &self,
        netns: u32,
        protocol: Protocol,
        local: Endpoint,
        closed: bool,
    ) -> Option<Owner> {
        let wildcard = Endpoint { addr: 0, port: local.port };
        [local, wildcard].into_iter().find_map(|at| {
            let known = self.by_key.get(&ListenKey { netns, protocol, local: at })?;
            let owner = if known.shared { Owner::default() } else { known.owner };
            (closed || known.seen_ms >= self.previous_ms).then_some(owner)
        })
    }

    /// How many listeners are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// What a listener says of those who serve its connections.
fn served_by(owner: &Owner) -> Owner {
    let comm = if owner.pod().is_some() { Comm::default() } else { owner.comm };
    Owner { pid: 0, comm, ..*owner }
}

/// What is known of a connection before its direction is.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Network namespace of this end.
    pub netns: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// The namespace of the other end when it is on this node too.
    pub remote_netns: Option<u32>,
    /// What opened in this namespace since the last pass.
    pub opened: Opened,
    /// Whether it is closed already: then listeners of the last minute count as well.
    pub closed: bool,
    /// What the kernel remembers of it.
    pub role: Role,
}

/// Who opened a connection. In order of strength: what the kernel remembers of the socket; a listener
/// on this end; a listener on the other end, when that is on this node; counters of this namespace
/// that moved on one side only; exactly one of the two ports being ephemeral, where the namespace's
/// range is known.
///
/// A listener on this end says nothing of a connection whose other port is no client's: with
/// `SO_REUSEPORT` a program may dial from the port that it listens on. Where the range is not known the
/// kernel's usual one may weaken that evidence, but is none itself.
#[must_use]
pub fn direction(listeners: &Listeners, ports: PortRange, q: &Question) -> Direction {
    match q.role {
        Role::Accepted => return Direction::Inbound,
        Role::Dialled => return Direction::Outbound,
        Role::Unknown => {}
    }
    let ephemeral = (ports.contains(q.local.port), ports.contains(q.remote.port));
    let client = ephemeral.1.or_else(|| PortRange::default().contains(q.remote.port));
    let here = listeners.listening(q.netns, q.protocol, q.local, q.closed).is_some();
    let there = q.remote_netns.and_then(|n| listeners.listening(n, q.protocol, q.remote, q.closed));
    match (here, there.is_some()) {
        (true, false) if client == Some(true) => return Direction::Inbound,
        (false, true) => return Direction::Outbound,
        _ => {}
    }
    if q.protocol == Protocol::Tcp {
        match q.opened {
            Opened { active: 1.., passive: 0 } => return Direction::Outbound,
            Opened { active: 0, passive: 1.. } => return Direction::Inbound,
            _ => {}
        }
    }
    match ephemeral {
        (Some(true), Some(false)) if !here => Direction::Outbound,
        (Some(false), Some(true)) => Direction::Inbound,
        _ => Direction::Unknown,
    }
}

#[cfg(test)]
mod tests;
