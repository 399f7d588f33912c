//! Joins sockets with what explains them: listeners give directions, processes give owners.
//!
//! In: the sockets and processes of one pass, and the listeners of the last ones. Out: for each
//! connection its direction and, where no process holds it, the container it must belong to.
//! It must not guess: what has no evidence is `Unknown` or has no owner.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::coverage::Opened;
pub use crate::facts::PortRange;
use crate::facts::{Comm, ContainerId, Endpoint, Process, Protocol, Role};
use crate::records::{Direction, Owner};
use rustc_hash::FxHashMap;

/// A TIME_WAIT socket lives for 60 s (`TCP_TIMEWAIT_LEN`), so a listener explains closed
/// connections for that long after it was last seen.
const REMEMBER_MS: u64 = 62_000;

/// Who opens sockets for others: the system's own and each user's are called so.
const ACTIVATOR: Comm = Comm(*b"systemd\0\0\0\0\0\0\0\0\0");

/// Listeners that are remembered; a process that opens and closes them in a loop meets this bound.
const LISTENERS: usize = 65_536;

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

#[derive(Clone, Copy, Debug)]
struct Remembered {
    owner: Owner,
    seen_ms: u64,
}

/// Every listener of the last passes.
#[derive(Debug, Default)]
pub struct Listeners {
    by_key: FxHashMap<ListenKey, Remembered>,
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
    }

    /// Notes a listener of this pass.
    pub fn saw(&mut self, netns: u32, protocol: Protocol, local: Endpoint, owner: Owner) {
        let seen = Remembered { owner, seen_ms: self.present_ms };
        let key = ListenKey::new(netns, protocol, local);
        if self.by_key.len() >= LISTENERS && !self.by_key.contains_key(&key) {
            return;
        }
        let known = self.by_key.entry(key).or_insert(seen);
        let known_owner = if owner == Owner::default() { known.owner } else { owner };
        *known = Remembered { owner: known_owner, ..seen };
    }

    /// Where a connection to `local` was taken, if a listener took it: the listener's container, or
    /// outside of containers the name of the process that listens. Never its pid: a child of it may
    /// have served the connection.
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
            let comm =
                if known.owner.container.is_some() { Comm::default() } else { known.owner.comm };
            let owner = Owner { pid: 0, comm, container: known.owner.container };
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

/// The processes of a pass by pid, and which container each namespace belongs to.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: FxHashMap<u32, Process>,
    sole: FxHashMap<u32, Option<ContainerId>>,
}

impl Processes {
    /// Takes in the processes of a pass.
    pub fn refill(&mut self, processes: &[Process]) {
        self.by_pid.clear();
        self.sole.clear();
        let pause = Comm::new(b"pause");
        for p in processes {
            self.by_pid.insert(p.pid, *p);
            // A pod's sandbox shares the namespace with the containers that do the work.
            if p.comm != pause {
                let sole = self.sole.entry(p.netns).or_insert(p.container);
                if *sole != p.container {
                    *sole = None;
                }
            }
        }
    }

    /// The process with that pid.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// The owner that a holder makes; an unknown pid gives no owner.
    #[must_use]
    pub fn owner(&self, pid: u32) -> Owner {
        self.get(pid).map_or_else(Owner::default, |p| Owner {
            pid,
            comm: p.comm,
            container: p.container,
        })
    }

    /// Of two holders of a socket, the one that started first: a listener belongs to the master
    /// and not to one of its workers, and the answer does not flap from pass to pass.
    ///
    /// `systemd` only holds the sockets that it activates others with: who else holds one serves.
    #[must_use]
    pub fn older(&self, a: u32, b: u32) -> u32 {
        let last = (true, u64::MAX, u32::MAX);
        let age = |pid| self.get(pid).map_or(last, |p| (p.comm == ACTIVATOR, p.start_ns, p.pid));
        if age(b) < age(a) { b } else { a }
    }

    /// The container that all processes of a namespace are in, if it is one and the same.
    #[must_use]
    pub fn sole_container(&self, netns: u32) -> Option<ContainerId> {
        self.sole.get(&netns).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(port: u16) -> Endpoint {
        Endpoint::v4(Ipv4Addr::LOCALHOST, port)
    }

    fn question(local: u16, remote: u16) -> Question {
        Question {
            netns: 1,
            protocol: Protocol::Tcp,
            local: at(local),
            remote: at(remote),
            remote_netns: Some(1),
            opened: Opened::default(),
            closed: false,
            role: Role::Unknown,
        }
    }

    fn listening_on(port: u16) -> Listeners {
        let mut listeners = Listeners::default();
        listeners.begin(1000);
        listeners.saw(
            1,
            Protocol::Tcp,
            Endpoint::v4(Ipv4Addr::UNSPECIFIED, port),
            Owner::default(),
        );
        listeners
    }

    #[test]
    fn two_ephemeral_ports_are_told_apart_by_the_listener() {
        let listeners = listening_on(40_000);

        let ports = PortRange::default();
        assert_eq!(direction(&listeners, ports, &question(40_000, 50_000)), Direction::Inbound);
        assert_eq!(direction(&listeners, ports, &question(50_000, 40_000)), Direction::Outbound);
    }

    #[test]
    fn without_evidence_the_direction_is_unknown() {
        let q = question(40_000, 50_000);

        assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Unknown);
    }

    #[test]
    fn a_listener_in_another_namespace_says_nothing() {
        let listeners = listening_on(40_000);
        let q = Question { netns: 2, remote_netns: None, ..question(40_000, 50_000) };

        assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Unknown);
    }

    #[test]
    fn counters_that_moved_on_one_side_are_evidence() {
        let q = Question { opened: Opened { active: 3, passive: 0 }, ..question(40_000, 50_000) };

        assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Outbound);
    }

    #[test]
    fn a_listener_that_is_gone_explains_closed_connections_only() {
        let mut listeners = listening_on(40_000);
        listeners.begin(2000);
        listeners.begin(3000);

        let open = question(40_000, 50_000);
        let closed = Question { closed: true, ..open };
        assert_eq!(direction(&listeners, PortRange::default(), &open), Direction::Unknown);
        assert_eq!(direction(&listeners, PortRange::default(), &closed), Direction::Inbound);
    }

    #[test]
    fn a_shared_socket_belongs_to_the_process_that_started_first() {
        let mut processes = Processes::default();
        let process = |pid, start_ns| Process { pid, start_ns, ..Process::default() };
        processes.refill(&[process(10, 500), process(20, 100)]);

        assert_eq!(processes.older(10, 20), 20);
        assert_eq!(processes.older(20, 10), 20);
    }

    #[test]
    fn an_activated_socket_belongs_to_who_serves_and_not_to_systemd() {
        let mut processes = Processes::default();
        let process = |pid, name: &[u8], start_ns| Process {
            pid,
            start_ns,
            comm: Comm::new(name),
            ..Process::default()
        };
        processes.refill(&[
            process(1, b"systemd", 5),
            process(20, b"sshd", 100),
            process(30, b"sshd", 200),
        ]);

        assert_eq!(processes.older(1, 20), 20);
        assert_eq!(processes.older(processes.older(30, 1), 20), 20);
        assert_eq!(processes.older(1, 0), 1);
    }

    #[test]
    fn what_the_kernel_remembers_is_stronger_than_a_listener() {
        let listeners = listening_on(4001);
        let ask = |role, remote| {
            let q = Question { role, ..question(4001, remote) };
            direction(&listeners, PortRange::default(), &q)
        };

        assert_eq!(ask(Role::Dialled, 40_000), Direction::Outbound);
        assert_eq!(ask(Role::Accepted, 80), Direction::Inbound);
    }

    #[test]
    fn a_listener_is_no_evidence_when_the_other_port_is_no_clients() {
        let listeners = listening_on(4001);
        let q = Question { remote_netns: None, ..question(4001, 4001) };

        assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Unknown);
        let q = Question { remote: at(50_000), ..q };
        assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Inbound);
        assert_eq!(direction(&listeners, PortRange::UNKNOWN, &q), Direction::Inbound);
    }

    #[test]
    fn ports_are_no_evidence_where_the_range_is_not_known() {
        let q = Question { remote_netns: None, ..question(40_000, 80) };

        assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Outbound);
        assert_eq!(direction(&Listeners::default(), PortRange::UNKNOWN, &q), Direction::Unknown);
    }

    #[test]
    fn a_pods_sandbox_does_not_make_its_namespace_ambiguous() {
        let mut processes = Processes::default();
        let process = |pid, comm: &[u8], id| Process {
            pid,
            netns: 7,
            comm: Comm::new(comm),
            container: Some(ContainerId(id)),
            ..Process::default()
        };
        processes.refill(&[process(1, b"pause", 0), process(2, b"nginx", 1)]);

        assert_eq!(processes.sole_container(7), Some(ContainerId(1)));
    }
}
