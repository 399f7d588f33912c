//! What one pass of a source saw: plain data with ids, the only thing a source hands over.
//!
//! In: a source's reading of the kernel. Out: the buffers that `join` reads. It must not resolve,
//! guess or drop anything: what a source could not read is a counted loss, not a missing field.
//!
//! Pure: no I/O.

mod ended;
mod endpoint;
mod loss;
mod role;
mod tcp;

pub use ended::Ended;
pub(crate) use ended::UNANSWERED;
pub use endpoint::{Address, Endpoint};
pub use loss::{Loss, Losses};
pub use role::{PortRange, Role};
pub use tcp::{Quality, Queue, Tcp};

/// One way to read the kernel, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Programs run on demand, reading through `bpf_rdonly_cast` (kernel 6.2 and newer).
    Bpf,
    /// The same programs, reading through `bpf_probe_read_kernel` (5.19 and newer).
    BpfCompat,
    /// `sock_diag` per network namespace, gated by its counters, plus a budgeted fd walk.
    Netlink,
    /// `/proc/PID/net/*` plus a budgeted fd walk: works everywhere.
    Procfs,
}

impl SourceKind {
    /// All sources, best first.
    pub const ALL: [Self; 4] = [Self::Bpf, Self::BpfCompat, Self::Netlink, Self::Procfs];

    /// The name used in the report, the metrics and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::BpfCompat => "bpf-compat",
            Self::Netlink => "netlink",
            Self::Procfs => "procfs",
        }
    }
}

/// Which part of the node a pass reads; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The TCP and UDP counters of every network namespace: the cheap "did anything change".
    Counters,
    /// Also every process.
    Processes,
    /// Also every socket with its owner, and the connections closed since the last such pass.
    /// Sources that can may take unchanged namespaces from their memory.
    Sockets,
    /// Like `Sockets`, but nothing from memory: traffic counters and fd-only changes are fresh.
    Everything,
}

impl Want {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Counters, Self::Processes, Self::Sockets, Self::Everything];
}

/// A name of at most 15 bytes, as the kernel keeps it (`task_struct.comm`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// Cuts `name` to the 15 bytes that the kernel would keep.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut comm = [0; 16];
        let len = name.len().min(15);
        comm[..len].copy_from_slice(&name[..len]);
        Self(comm)
    }

    /// The bytes before the first NUL.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl std::fmt::Display for Comm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::text::clean_bytes(self.bytes()))
    }
}

impl std::fmt::Debug for Comm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.bytes()))
    }
}

/// Bits of a [`ContainerId`] that say which place; the others say which of its generations.
const PLACE: u32 = 18;

/// An interned container: a place in [`Facts::containers`], and the generation of that place. An id
/// of an earlier generation finds nothing rather than another container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub u32);

impl ContainerId {
    /// A process whose container could not be determined: it may be in one.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// The id of a place in that generation.
    #[must_use]
    pub const fn new(place: u32, generation: u32) -> Self {
        Self(generation << PLACE | (place & ((1 << PLACE) - 1)))
    }

    /// Where it stands.
    #[must_use]
    pub const fn place(self) -> usize {
        (self.0 & ((1 << PLACE) - 1)) as usize
    }

    /// The generation after this one of a place; they go round without reaching [`Self::UNKNOWN`].
    #[must_use]
    pub const fn next(generation: u32) -> u32 {
        (generation + 1) % ((1 << (32 - PLACE)) - 1)
    }

    /// Its container among those by place.
    #[must_use]
    pub fn of(self, containers: &[Container]) -> Option<&Container> {
        let container = containers.get(self.place())?;
        let own = Self::new(0, container.generation).0 == self.0 & !((1 << PLACE) - 1);
        (own && !container.id.is_empty()).then_some(container)
    }
}

/// A container as its cgroup names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The full id, 64 hexadecimal digits with the usual runtimes.
    pub id: String,
    /// Who runs it, as the cgroup path shows.
    pub runtime: Runtime,
    /// The pod's uid, when the path names one.
    pub pod_uid: Option<String>,
    /// The cgroup path, from the root of the hierarchy that names the container; empty when it is
    /// too long to be kept.
    pub cgroup: String,
    /// How much of that path is the container around this one; 0 when there is none.
    pub outer: u32,
    /// Others than this node's own kubelet or root may have made the cgroup: no pod is believed.
    pub foreign: bool,
    /// Which container of its place this is.
    pub generation: u32,
}

/// Who runs a container, as far as its cgroup path shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// The path names a container but not its runtime (cgroupfs driver under kubepods).
    #[default]
    Unknown,
    /// containerd through the CRI.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker, alone or under Kubernetes.
    Docker,
    /// podman (libpod).
    Podman,
    /// Kata Containers: the sandbox around a virtual machine.
    Kata,
    /// A step of a build, run by BuildKit.
    BuildKit,
    /// LXC, LXD or Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
    /// Nomad, without Docker.
    Nomad,
    /// Garden, of Cloud Foundry.
    Garden,
    /// Mesos.
    Mesos,
    /// Firecracker, by its jailer.
    Firecracker,
}

impl Runtime {
    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kata => "kata",
            Self::BuildKit => "buildkit",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Nomad => "nomad",
            Self::Garden => "garden",
            Self::Mesos => "mesos",
            Self::Firecracker => "firecracker",
        }
    }
}

/// One process (a thread group) of the agent's pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Process id in the agent's pid namespace.
    pub pid: u32,
    /// Parent's process id in the same namespace; 0 when the parent is outside of it.
    pub ppid: u32,
    /// Start, nanoseconds since boot (`CLOCK_BOOTTIME`). With `pid` it is the process's identity.
    /// `/proc/PID/stat` rounds it down to 10 ms, so sources differ below that.
    pub start_ns: u64,
    /// Inode number of the network namespace (`/proc/PID/ns/net`); 0 when it could not be read.
    pub netns: u32,
    /// Threads of the process.
    pub threads: u32,
    /// Open file descriptors; `None` when the source may not count them.
    pub open_fds: Option<u32>,
    /// CPU time of all threads, dead ones included, nanoseconds. Procfs sources round to 10 ms.
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Id of the cgroup v2 directory (its inode number); 0 when unknown, 1 for the root.
    pub cgroup: u64,
    /// Most files that it may have open (`RLIMIT_NOFILE`); 0 when that was not read. Not filled in by the
    /// source, and only of processes that have many open.
    pub files_limit: u32,
    /// The container, filled in by the container resolver and not by the source.
    pub container: Option<ContainerId>,
    /// `task_struct.comm` of the group leader.
    pub comm: Comm,
}

/// Transport protocol of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// State of a socket, with the numbers of the kernel's `include/net/tcp_states.h`.
/// UDP uses `Established` (connected) and `Close` (bound only, a listener).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// Connected.
    #[default]
    Established = 1,
    /// connect() is waiting for the answer.
    SynSent = 2,
    /// A handshake is under way on the listening side.
    SynRecv = 3,
    /// We closed, the FIN is not yet acknowledged.
    FinWait1 = 4,
    /// We closed, the peer has not.
    FinWait2 = 5,
    /// Closed here first, kept for 60 s.
    TimeWait = 6,
    /// Not connected: a bound UDP socket.
    Close = 7,
    /// The peer closed, we have not.
    CloseWait = 8,
    /// Both closed, the last acknowledgement is missing.
    LastAck = 9,
    /// Waiting for connections.
    Listen = 10,
    /// Both sides closed at once.
    Closing = 11,
}

impl State {
    /// From the kernel's number; 12 (`TCP_NEW_SYN_RECV`) is shown as `SynRecv`, as ss does.
    #[must_use]
    pub const fn from_kernel(n: u8) -> Option<Self> {
        Some(match n {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// As `ss` spells it, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynRecv => "syn-recv",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Close => "unconnected",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
        }
    }
}

/// One TCP or UDP socket, once per process that holds it. TIME_WAIT ones stand in [`Facts::closed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Inode number of the network namespace of the socket.
    pub netns: u32,
    /// Inode number of the socket; 0 for one that no file holds (not accepted yet, or orphaned).
    pub inode: u32,
    /// Holder, in the agent's pid namespace; 0 when unknown. A socket that several processes
    /// share comes once per process.
    pub pid: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// State.
    pub state: State,
    /// Own end.
    pub local: Endpoint,
    /// The other end; all zero (or v4-mapped zero) for listeners.
    pub remote: Endpoint,
    /// Id of the cgroup v2 directory in which the socket was created; 0 when unknown.
    pub cgroup: u64,
    /// Bytes that the peer has acknowledged; `None` when the source does not say.
    pub bytes_sent: Option<u64>,
    /// Bytes received; `None` when the source does not say.
    pub bytes_received: Option<u64>,
    /// The network interface that it is bound to (a VRF, or the scope of a link-local address); 0 when
    /// it is bound to none or the source does not say.
    pub interface: u32,
    /// How it came to be connected, as far as the kernel remembers.
    pub role: Role,
    /// What TCP keeps of it.
    pub tcp: Tcp,
}

/// A connection that this side closed first: its TIME_WAIT socket, reported once by a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Own end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Milliseconds until the kernel forgets it (at most 60,000).
    pub remaining_ms: u32,
    /// The network interface that it was bound to; see [`Socket::interface`].
    pub interface: u32,
    /// How it came to be connected, as far as the kernel remembers.
    pub role: Role,
}

/// Counters of one network namespace, monotonic unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Netns {
    /// Inode number of the namespace. The kernel gives it to another one when this one is gone.
    pub inode: u32,
    /// Which namespace of all since boot it is (`SO_NETNS_COOKIE`); 0 when the source does not say.
    pub cookie: u64,
    /// `Tcp: ActiveOpens` of /proc/net/snmp: connections opened from here.
    pub active_opens: u64,
    /// `Tcp: PassiveOpens`: connections accepted here.
    pub passive_opens: u64,
    /// `Tcp: AttemptFails`: opens of either kind that never became a connection.
    pub attempt_fails: u64,
    /// `TcpExt: EmbryonicRsts` of /proc/net/netstat: half-open requests that were reset, each of which
    /// `attempt_fails` counts too.
    pub embryonic_rsts: u64,
    /// `Tcp: EstabResets`.
    pub estab_resets: u64,
    /// `Tcp: CurrEstab`, a gauge.
    pub curr_estab: u64,
    /// TCP sockets in use (`/proc/net/sockstat{,6}`), a gauge.
    pub tcp_in_use: u64,
    /// UDP sockets in use, a gauge.
    pub udp_in_use: u64,
    /// The namespace's own `net.ipv4.ip_local_port_range`; `None` when the source cannot tell.
    pub ports: Option<PortRange>,
}

/// How full connection tracking is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    /// Connections that it follows.
    pub now: u64,
    /// How many it may: packets of further ones are dropped.
    pub most: u64,
}

/// What one pass saw. The buffers are reused: a source clears what it refills, so a pass on a
/// node where nothing grew allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How much of the rest the last pass refreshed; sections beyond it are from earlier passes.
    pub fresh: Option<Want>,
    /// Every process, in no particular order.
    pub processes: Vec<Process>,
    /// Every socket of every network namespace that a process of this node is in.
    pub sockets: Vec<Socket>,
    /// Connections closed since the last pass that read sockets, each once.
    pub closed: Vec<Closed>,
    /// Sockets that the kernel said are gone, each once; what is not [`Ended::established`] is among them. All of them
    /// went before the sockets of this pass were read.
    pub ended: Vec<Ended>,
    /// The namespaces of which every end is reported that way, by inode number and since when, monotonic milliseconds.
    /// Of these a TIME_WAIT socket is shown and not counted.
    pub reported: Vec<(u32, u64)>,
    /// When ends began to be heard of, the last time that they did, monotonic milliseconds: of none that ended before will the
    /// kernel say anything more.
    pub heard_ms: u64,
    /// The kernel had no room for some of what it had to tell since the last pass.
    pub overrun: bool,
    /// The sockets of this pass were compared with the kernel's own counts: what it counts beyond them is
    /// [`Loss::Unseen`].
    pub compared: bool,
    /// The source has just begun, so `closed` may hold what another one reported before.
    pub closed_fresh: bool,
    /// One entry per network namespace that a process of this node is in.
    pub netns: Vec<Netns>,
    /// Containers by the place of their [`ContainerId`]; a place without one has an empty id.
    pub containers: Vec<Container>,
    /// Connections that the node's connection tracking follows, and how many it may; `None` when that was
    /// not read. Filled in by the engine.
    pub conntrack: Option<Tracked>,
    /// How often places were given up; with the length of the list it shows whether it changed.
    pub recycled: u64,
    /// What this pass met, not a running total.
    pub losses: Losses,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_container_that_is_gone_finds_nothing_at_its_place() {
        let containers =
            |generation| [Container { id: "a".to_owned(), generation, ..Container::default() }];
        let old = ContainerId::new(0, 0);

        assert!(old.of(&containers(0)).is_some());
        assert!(old.of(&containers(1)).is_none());
        assert!(ContainerId::new(0, 1).of(&containers(1)).is_some());
        assert!(ContainerId::UNKNOWN.of(&containers(0)).is_none());
        assert!(old.of(&[Container::default()]).is_none());
    }

    #[test]
    fn no_generation_makes_an_id_that_is_unknown() {
        let last = (1 << PLACE) - 1;
        let mut generation = 0;
        for _ in 0..40_000 {
            generation = ContainerId::next(generation);
            assert_ne!(ContainerId::new(last, generation), ContainerId::UNKNOWN);
        }
    }

    #[test]
    fn a_long_name_is_cut_as_the_kernel_does() {
        assert_eq!(Comm::new(b"a-name-of-more-than-fifteen").to_string(), "a-name-of-more-");
    }
}
