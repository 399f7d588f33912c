//! The records of a report: what is known of each process, connection, listener, container, flow.
//!
//! In: nothing. Out: plain `Copy` values that the tables hold and that a renderer reads. Names of
//! containers, pods and Services are not in here: a record carries a [`ContainerId`] or a
//! [`NameId`], the snapshot the names.
//!
//! Pure: no I/O.

mod health;
mod risk;
mod unresolved;

pub use health::{Health, Problems, Recent, Rtt};
pub use risk::Risk;
pub use unresolved::{Gaps, Unresolved};

use crate::facts::{
    Address, Comm, ContainerId, Endpoint, Process, Protocol, Quality, Queue, Role, State,
};
use crate::names::NameId;
use crate::table::Epoch;

/// Who opened a connection, as far as there is evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// This end called connect().
    Outbound,
    /// This end accepted.
    Inbound,
    /// No evidence either way; never guessed from the size of the port numbers.
    #[default]
    Unknown,
}

impl Direction {
    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Unknown => "unknown",
        }
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A container of this node.
    Container(ContainerId),
    /// A process of this node outside of any container, by name.
    Process(Comm),
    /// An address that no socket of this node has.
    External(Address),
    /// What the cluster knows by a name: a workload, a Service, a pod, a node. Ends of flows only;
    /// in a connection it stands in [`Named`], beside what the kernel reported.
    Named(NameId),
    /// On this node, but the owner could not be determined.
    #[default]
    Unresolved,
    /// Where flows go when the table of flows is full.
    Other,
}

impl PartialOrd for Comm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Comm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// A process and when it last changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessRecord {
    /// What the last pass saw of it.
    pub fact: Process,
    /// The last change.
    pub changed: Epoch,
}

/// Who holds a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process id; 0 when no process of this node holds the socket or none is known.
    pub pid: u32,
    /// Name of the process; empty when unknown. Kept after the process is gone.
    pub comm: Comm,
    /// Container of the process, or of the listener or namespace when the process is unknown.
    pub container: Option<ContainerId>,
    /// Where the container is unknown and the pod is not: any container of that pod.
    pub sibling: Option<ContainerId>,
}

impl Owner {
    /// The container that determines the pod.
    #[must_use]
    pub fn pod(&self) -> Option<ContainerId> {
        self.container.or(self.sibling)
    }

    /// The owner as one end of a flow.
    #[must_use]
    pub fn workload(&self) -> Workload {
        match self.container {
            Some(ContainerId::UNKNOWN) => Workload::Unresolved,
            Some(id) => Workload::Container(id),
            None if self.comm == Comm::default() => Workload::Unresolved,
            None => Workload::Process(self.comm),
        }
    }
}

/// What the cluster knows of the other end of a connection; nothing without a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The pod, Service, node or group at the other end.
    pub peer: Option<NameId>,
    /// The Service by which it is known.
    pub service: Option<NameId>,
    /// Why this end and the other one have no name, where they should have one.
    pub gaps: [Option<Unresolved>; 2],
}

/// One end of a TCP connection, or a connected UDP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is known of it, each with or without the others"
)]
pub struct ConnectionRecord {
    /// Unique while the agent runs.
    pub id: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Inode number of the socket, 0 when no file holds it.
    pub inode: u32,
    /// The network interface that it is bound to, 0 for none; part of its identity.
    pub interface: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// State; `TimeWait` records stay until the kernel forgets them.
    pub state: State,
    /// Who opened it.
    pub direction: Direction,
    /// What the kernel remembers of that.
    pub role: Role,
    /// Own end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Who holds it; of several holders, the one that started first.
    pub owner: Owner,
    /// The other end, as far as the kernel reports.
    pub peer: Workload,
    /// The other end, as the cluster calls it.
    pub named: Named,
    /// Bytes acknowledged by the peer and bytes received; `None` when the source does not say.
    pub bytes: Option<(u64, u64)>,
    /// How it fares; `None` when the source does not say.
    pub quality: Option<Quality>,
    /// When it was first seen, Unix milliseconds.
    pub since_ms: u64,
    /// When the kernel forgets it, monotonic milliseconds; 0 while it is open.
    pub expires_ms: u64,
    /// Its flow, by slot; `u32::MAX` while it has none.
    pub flow: u32,
    /// Whether this end is the one that its flow counts (the other end may be on this node too).
    pub counted: bool,
    /// Whether it opened before our eyes: what the first pass finds did not.
    pub opened: bool,
    /// Ends that coverage counts for it: 0 while it was never seen established, 2 when it stands for
    /// the other end too, 255 when it opened who knows when and is never counted.
    pub ends: u8,
    /// The kernel reported that its socket is gone: what is left of it is counted already.
    pub reported: bool,
    /// The end that is the other one of this connection, on this node, was reported: no further one is.
    pub paired: bool,
    /// The other end counts the connection, under other addresses than this one knows.
    pub counted_there: bool,
    /// The last change.
    pub changed: Epoch,
}

/// A socket that waits for connections (TCP) or datagrams (UDP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerRecord {
    /// Unique while the agent runs.
    pub id: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Inode number of the socket.
    pub inode: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// Address and port.
    pub local: Endpoint,
    /// Who holds it; of several holders, the one that started first.
    pub owner: Owner,
    /// Who waits for it to accept; `None` when the source does not say, or for UDP.
    pub queue: Option<Queue>,
    /// When it was first seen, Unix milliseconds.
    pub since_ms: u64,
    /// The last change.
    pub changed: Epoch,
}

/// A container with at least one process, or one that lately had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerRecord {
    /// Its index among the snapshot's container names.
    pub id: ContainerId,
    /// Processes in it.
    pub processes: u32,
    /// CPU time, nanoseconds, from its cgroup; `None` when that cannot be read.
    pub cpu_ns: Option<u64>,
    /// Memory in use, bytes, from its cgroup.
    pub memory_bytes: Option<u64>,
    /// The last change.
    pub changed: Epoch,
}

/// Where the source of a flow is, and so which node reports its connections as their source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// On this node: it reports the connections, wherever their destination is.
    #[default]
    Here,
    /// On this other node, whose agent, if there is one, reports them too.
    Node(NameId),
    /// On one of the nodes beyond those that are kept apart.
    OtherNode,
    /// At a private address that nothing explains: maybe on another node.
    Unknown,
    /// Outside of the cluster: only the destination's node sees them.
    Outside,
}

/// Which end of its connections a flow is reported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    /// The end that opened them; for connections within the node, too.
    Source,
    /// The end that accepted them.
    Destination,
}

impl Reporter {
    /// As a label and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// What a flow is counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Who opened the connections.
    pub source: Workload,
    /// Who accepted them; the Service where no more is known of who answers.
    pub destination: Workload,
    /// The Service that the source used, or by which the destination is known on its port.
    pub service: Option<NameId>,
    /// The port that answers, or, while that is not known, the one that was connected to; 0 when the
    /// direction is unknown.
    pub port: u16,
    /// The port that was connected to, where another one may answer: of a Service, of a node; else 0.
    pub service_port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Where the source is.
    pub origin: Origin,
}

impl FlowKey {
    /// Which end this node reports.
    #[must_use]
    pub const fn reporter(&self) -> Reporter {
        match self.origin {
            Origin::Here => Reporter::Source,
            _ => Reporter::Destination,
        }
    }

    /// The names that it holds.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        let end = |end| match end {
            Workload::Named(id) => Some(id),
            _ => None,
        };
        let node = match self.origin {
            Origin::Node(id) => Some(id),
            _ => None,
        };
        [end(self.source), end(self.destination), self.service, node].into_iter().flatten()
    }
}

/// Connections grouped by (source, destination, port, protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Unique while the agent runs.
    pub id: u64,
    /// What it is counted by.
    pub key: FlowKey,
    /// Connections that are open now.
    pub current: u32,
    /// Connections seen to open, short-lived ones included.
    pub opened: u64,
    /// Connections seen to close.
    pub closed: u64,
    /// Of both, how many were shown in another flow before they turned out to belong here, less those that
    /// went from here to another one: a sum of what flows grew by must not count them twice.
    pub moved: [i64; 2],
    /// Bytes from source to destination, as far as the source shows.
    pub bytes_sent: u64,
    /// Bytes from destination to source.
    pub bytes_received: u64,
    /// How its connections fare.
    pub health: Health,
    /// Last change, monotonic milliseconds: idle flows leave the table.
    pub active_ms: u64,
    /// The last change.
    pub changed: Epoch,
}

impl FlowRecord {
    /// Connections that opened and closed here, each counted in the first flow that it was shown in: sums
    /// of these over all flows count every connection once, whatever it was called meanwhile.
    #[must_use]
    pub fn counted_once(&self) -> [u64; 2] {
        let once = |count: u64, moved: i64| {
            if moved < 0 {
                count.saturating_add(moved.unsigned_abs())
            } else {
                count.saturating_sub(moved.unsigned_abs())
            }
        };
        [once(self.opened, self.moved[0]), once(self.closed, self.moved[1])]
    }
}

/// Something that is about to run full, and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskRecord {
    /// Unique while the agent runs.
    pub id: u64,
    /// What runs full.
    pub risk: Risk,
    /// Whose it is; nothing for what is the node's.
    pub owner: Owner,
    /// Inode number of the network namespace; 0 for what is the node's.
    pub netns: u32,
    /// The port that it is about; 0 where it is about none.
    pub port: u16,
    /// The destination whose ports are used up; all zero for others.
    pub remote: Endpoint,
    /// How much is in use.
    pub used: u64,
    /// How much may be; 0 when that is not known.
    pub limit: u64,
    /// When it became one, Unix milliseconds.
    pub since_ms: u64,
    /// The last change.
    pub changed: Epoch,
}
