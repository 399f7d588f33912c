//! The records that the programs write, and the control block, with the layout of `agent/bpf/records.h`.
//!
//! In: values of the windows as u64 words. Out: facts. It must not drop anything but what cannot be
//! a socket: that is a loss, named by the error.
//!
//! Pure: no I/O.

use std::net::{Ipv4Addr, Ipv6Addr};

use probelet_core::facts::{
    Closed, Comm, Endpoint, Loss, Netns, PortRange, Process, Protocol, Quality, Queue, Role,
    Socket, State, Tcp,
};

// The words are split by shifts, as a little-endian machine lays structures out.
#[cfg(target_endian = "big")]
compile_error!("records.rs reads the programs' structures as little-endian words");

/// Values of each window.
pub(super) const SOCKS: usize = 4096;
/// See [`SOCKS`].
pub(super) const PROCS: usize = 2048;
/// See [`SOCKS`].
pub(super) const NETS: usize = 1024;
/// See [`SOCKS`].
pub(super) const LOOKS: usize = 2048;
/// Places of the memory of processes, by pid.
pub(super) const KNOWN: usize = 16_384;
/// Blocks of the hash whose heads are remembered.
pub(super) const HEADS: usize = 2048;
/// Groups of four buckets in a block.
pub(super) const GROUPS: usize = 64;

/// Words of `struct sockrec`.
pub(super) const SOCK_WORDS: usize = 14;
/// Words of `struct procrec`.
pub(super) const PROC_WORDS: usize = 9;
/// Words of `struct known`.
pub(super) const KNOWN_WORDS: usize = 5;
/// Words of `struct lookrec`.
pub(super) const LOOK_WORDS: usize = 6;
/// Words of `struct headrec`.
pub(super) const HEAD_WORDS: usize = GROUPS / 2;
/// Words of `struct netrec`.
pub(super) const NET_WORDS: usize = 11;
/// Words of `struct ctl`.
pub(super) const CTL_WORDS: usize = 51;

/// A word of the control block.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Ctl {
    SliceNs = 0,
    Hash = 2,
    InitTask = 3,
    FinTimeout = 7,
    Cpus = 8,
    InuseIdx = 9,
    Done = 17,
    Nsocks = 18,
    Nprocs = 19,
    Nnets = 20,
    Cut = 21,
    WantSockets = 22,
    Task = 23,
    TaskStart = 24,
    Fd = 25,
    FromStart = 26,
    Lost = 27,
    Table = 28,
    Since = 29,
    Jiffies = 30,
    Bucket = 31,
    Buckets = 32,
    Net = 33,
    Nth = 34,
    Restarted = 35,
    Generation = 36,
    Heads = 37,
    Walked = 38,
    Nlooks = 39,
    Everything = 40,
    Detail = 41,
    Turn = 42,
    Turns = 43,
    Waiting = 44,
    Kind = 46,
    Place = 47,
    Unsure = 49,
}

/// A hash that `strays` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Kind {
    /// Connections.
    Established,
    /// TCP listeners.
    Listen,
    /// UDP sockets by port.
    Udp,
}

/// What a walk of a hash does with what is remembered of the heads of its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Heads {
    /// Nothing: the memory is of another hash.
    Unused,
    /// Walks all chains, and takes note.
    Noted,
    /// Leaves out the chains whose heads are what they were.
    Trusted,
}

/// Which value and word of the window of heads, and which bits of it, stand for the bucket of a socket with this hash;
/// `None` beyond what is remembered.
pub(super) fn head(hash: u32, buckets: u64) -> Option<(usize, usize, u64)> {
    let bucket = usize::try_from(u64::from(hash) & buckets.checked_sub(1)?).ok()?;
    let (block, group) = (bucket / (4 * GROUPS), bucket / 4 % GROUPS);
    let bits = 0xffff_ffff << (32 * (group % 2));
    (block < HEADS).then_some((block, group / 2, bits))
}

/// Where a socket is in the kernel, for another look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Its address.
    pub(super) address: u64,
    /// Its hash.
    pub(super) hash: u32,
}

impl Place {
    /// As the window of looks takes it.
    pub(super) const fn words(self) -> [u64; LOOK_WORDS] {
        [self.address, self.hash as u64, 0, 0, 0, 0]
    }
}

/// What another look at a socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) state: State,
    /// Sent and received, if they were asked for.
    pub(super) bytes: Option<(u64, u64)>,
    /// How it fares, if that was asked for; of a listener always its queue.
    pub(super) tcp: Tcp,
}

/// `struct quality`.
const fn quality(words: [u64; 2]) -> Tcp {
    Tcp::Quality(Quality::from_eighths(low(words[0]), high(words[0]), low(words[1])))
}

/// The queue of a listener, which stands where others have their bytes.
const fn queue(words: [u64; 2]) -> Tcp {
    Tcp::Queue(Queue { waiting: low(words[0]), most: low(words[1]) })
}

/// The end of another look; `None` when the socket is not there any more, or closed.
pub(super) fn look(words: &[u64; LOOK_WORDS], bytes: bool) -> Option<Look> {
    let number = high(words[1]);
    let state = State::from_kernel(u8::try_from(number).ok()?)?;
    // Neither TIME_WAIT nor a request is a whole socket.
    let counted = bytes && !matches!(number, 6 | 10 | 12);
    let tcp = match state {
        State::Listen => queue([words[2], words[3]]),
        _ if counted => quality([words[4], words[5]]),
        _ => Tcp::Unknown,
    };
    let look = Look { state, bytes: counted.then_some((words[2], words[3])), tcp };
    (state != State::Close).then_some(look)
}

/// No namespace has a smaller inode number: dynamic ones begin at 0xf0000000, built-in ones right below.
const LEAST_NETNS: u32 = 0xe000_0000;

#[allow(clippy::cast_possible_truncation, reason = "the half that is asked for")]
const fn low(word: u64) -> u32 {
    word as u32
}

const fn high(word: u64) -> u32 {
    low(word >> 32)
}

#[allow(clippy::cast_possible_truncation, reason = "the part that is asked for")]
const fn half(word: u64, nth: u32) -> u16 {
    (word >> (nth * 16)) as u16
}

/// The mark of a process whose sockets are to be read although it has not run: the first word of its
/// `struct known`.
pub(super) fn stale(pid: u32) -> u64 {
    u64::from(pid) | 1 << 32
}

/// One process: all of it, or that it has not run since it was read last.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) process: Process,
    /// It has not run: of the process only pid, start and CPU time are filled in.
    pub(super) idle: bool,
    /// Its files were not walked: it holds what it held.
    pub(super) kept: bool,
    /// Not the process, but a thread of it in a namespace of its own, which `process` names.
    pub(super) elsewhere: bool,
}

/// `ELSEWHERE` of `records.h`.
const ELSEWHERE: u32 = 2;

/// One process, and the page size to turn its pages into bytes.
pub(super) fn visit(words: &[u64; PROC_WORDS], page: u64) -> Visit {
    let process = process(words, page);
    let kept = high(words[6]);
    Visit { idle: process.threads == 0, kept: kept == 1, elsewhere: kept == ELSEWHERE, process }
}

fn process(words: &[u64; PROC_WORDS], page: u64) -> Process {
    let [ids, netns_threads, start_ns, cpu_ns, cgroup, pages, fds, comm @ ..] = *words;
    let mut name = [0; 16];
    name[..8].copy_from_slice(&comm[0].to_le_bytes());
    name[8..].copy_from_slice(&comm[1].to_le_bytes());
    Process {
        pid: low(ids),
        ppid: high(ids),
        start_ns,
        netns: low(netns_threads),
        threads: high(netns_threads),
        open_fds: Some(low(fds)).filter(|&n| n != u32::MAX),
        cpu_ns,
        rss_bytes: pages.saturating_mul(page),
        cgroup,
        files_limit: 0,
        container: None,
        comm: Comm(name),
    }
}

/// Where the kernel keeps the sockets of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) inode: u32,
    /// The established hash that it uses.
    pub(super) hash: u64,
    /// Its UDP sockets; 0 when that was not asked for.
    pub(super) udp: u64,
}

/// One network namespace and its tables.
pub(super) fn netns(words: &[u64; NET_WORDS]) -> (Netns, Tables) {
    let [
        active_opens,
        passive_opens,
        attempt_fails,
        estab_resets,
        curr_estab,
        hash,
        inuse,
        ids,
        udp,
        embryonic_rsts,
        cookie,
    ] = *words;
    // one CPU's share of a gauge may be negative, and so may a sum that is read while it moves
    let gauge = |n: u32| u64::try_from(n.cast_signed()).unwrap_or(0);
    let ports = u64::from(high(ids));
    let inode = low(ids);
    let netns = Netns {
        inode,
        active_opens,
        passive_opens,
        cookie,
        attempt_fails,
        embryonic_rsts,
        estab_resets,
        curr_estab: if curr_estab.cast_signed() < 0 { 0 } else { curr_estab },
        tcp_in_use: gauge(low(inuse)),
        udp_in_use: gauge(high(inuse)),
        ports: PortRange::new(half(ports, 0), half(ports, 1)),
    };
    (netns, Tables { inode, hash, udp })
}

/// A socket record.
pub(super) enum Sock {
    /// A socket, and where it is.
    Open(Socket, Place),
    /// A `TIME_WAIT` socket with its expiry in jiffies and its identity: its address, and what it
    /// would receive next.
    Closed(Closed, u64, (u64, u32)),
}

/// One socket; the loss says why it cannot be one.
pub(super) fn sock(words: &[u64; SOCK_WORDS]) -> Result<Sock, Loss> {
    let netns = low(words[0]);
    let [family, role] = half(words[2], 0).to_le_bytes();
    let role = match role {
        1 => Role::Accepted,
        2 => Role::Dialled,
        _ => Role::Unknown,
    };
    let interface = low(words[11]);
    let state = State::from_kernel(half(words[2], 1).to_le_bytes()[0]).ok_or(Loss::Torn)?;
    let protocol = match half(words[2], 1).to_le_bytes()[1] {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return Err(Loss::Torn),
    };
    if netns < LEAST_NETNS {
        return Err(Loss::Torn);
    }
    let local = endpoint(family, [words[7], words[8]], half(words[2], 2))?;
    let remote = endpoint(family, [words[9], words[10]], half(words[2], 3))?;
    if state == State::TimeWait {
        let closed = Closed { netns, local, remote, remaining_ms: 0, interface, role };
        return Ok(Sock::Closed(closed, words[5], (words[3], high(words[11]))));
    }
    let whole = protocol == Protocol::Tcp && half(words[2], 1).to_le_bytes()[0] != 12;
    let counted = whole && state != State::Listen;
    let tcp = match state {
        State::Listen => queue([words[5], words[6]]),
        _ if counted => quality([words[12], words[13]]),
        _ => Tcp::Unknown,
    };
    let place = Place { address: words[3], hash: high(words[1]) };
    let socket = Socket {
        netns,
        inode: high(words[0]),
        pid: low(words[1]),
        protocol,
        state,
        local,
        remote,
        cgroup: words[4],
        bytes_sent: counted.then_some(words[5]),
        bytes_received: counted.then_some(words[6]),
        interface,
        role,
        tcp,
    };
    Ok(Sock::Open(socket, place))
}

fn endpoint(family: u8, addr: [u64; 2], port: u16) -> Result<Endpoint, Loss> {
    match i32::from(family) {
        libc::AF_INET => Ok(Endpoint::v4(Ipv4Addr::from(low(addr[0]).to_le_bytes()), port)),
        libc::AF_INET6 => {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&addr[0].to_le_bytes());
            bytes[8..].copy_from_slice(&addr[1].to_le_bytes());
            Ok(Endpoint::v6(Ipv6Addr::from(bytes), port))
        }
        _ => Err(Loss::Torn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETNS: u64 = 0xf000_0098;

    /// family, state, protocol, ports as the structure packs them
    const fn kind(family: u64, state: u64, protocol: u64, lport: u64, rport: u64) -> u64 {
        family | state << 16 | protocol << 24 | lport << 32 | rport << 48
    }

    #[test]
    fn an_ipv4_socket_has_its_addresses_in_order() {
        let words = [
            NETNS | 77 << 32,
            0x63_0000_000c, // pid 12, hash 99
            kind(2, 1, 6, 8080, 40000),
            0xffff_8880_0000_1000,
            3,
            10,
            20,
            0x0100_007f,
            0,
            0x0200_000a,
            0,
            7,
            0x190 | 3 << 32, // 400 eighths of a microsecond, 3 sent again
            9,
        ];

        let Ok(Sock::Open(socket, place)) = sock(&words) else { panic!("an open socket") };

        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!(socket.remote.to_string(), "10.0.0.2:40000");
        assert_eq!((socket.pid, socket.inode, socket.cgroup), (12, 77, 3));
        assert_eq!(place, Place { address: 0xffff_8880_0000_1000, hash: 99 });
        assert_eq!((socket.bytes_sent, socket.bytes_received), (Some(10), Some(20)));
        assert_eq!((socket.interface, socket.role), (7, Role::Unknown));
        let quality = Quality { rtt_us: 50, retransmitted: 3, segments: 9 };
        assert_eq!(socket.tcp, Tcp::Quality(quality));
    }

    #[test]
    fn a_listener_has_a_queue_where_others_have_bytes() {
        let words =
            [NETNS | 77 << 32, 12, kind(2, 10, 6, 8080, 0), 1, 3, 5, 128, 0, 0, 0, 0, 0, 0, 0];

        let Ok(Sock::Open(socket, _)) = sock(&words) else { panic!("an open socket") };

        assert_eq!(socket.tcp, Tcp::Queue(Queue { waiting: 5, most: 128 }));
        assert_eq!(socket.bytes_sent, None);
        let look = look(&[0, 10 << 32, 6, 128, 0, 0], false).unwrap();
        assert_eq!(look.tcp, Tcp::Queue(Queue { waiting: 6, most: 128 }));
    }

    #[test]
    fn a_record_without_a_namespace_is_torn() {
        let words = [0, 12, kind(2, 1, 6, 8080, 40000), 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];

        assert_eq!(sock(&words).err(), Some(Loss::Torn));
    }

    #[test]
    fn a_record_of_an_unknown_family_is_torn() {
        let words = [NETNS, 12, kind(0x4141, 1, 6, 8080, 40000), 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];

        assert_eq!(sock(&words).err(), Some(Loss::Torn));
    }

    #[test]
    fn the_head_of_a_bucket_is_found_by_the_low_bits_of_the_hash() {
        assert_eq!(head(0xabc0_0000, 1 << 18), Some((0, 0, 0xffff_ffff)));
        assert_eq!(head(7, 1 << 18), Some((0, 0, 0xffff_ffff << 32)));
        assert_eq!(head(0x0003_ffff, 1 << 18), Some((1023, 31, 0xffff_ffff << 32)));
        assert_eq!(head(u32::MAX, 1 << 20), None);
        assert_eq!(head(5, 0), None);
    }

    #[test]
    fn a_socket_that_was_closed_or_replaced_has_no_state() {
        let state =
            |number: u64| look(&[0, number << 32, 0, 0, 0, 0], false).map(|look| look.state);

        assert_eq!(state(8), Some(State::CloseWait));
        assert_eq!((state(7), state(0)), (None, None));
    }

    #[test]
    fn another_look_shows_bytes_only_of_what_has_some() {
        let bytes = |state: u64| look(&[0, state << 32, 10, 20, 0, 0], true).unwrap().bytes;

        assert_eq!(bytes(1), Some((10, 20)));
        assert_eq!(bytes(6), None);
        assert_eq!(look(&[0, 1 << 32, 10, 20, 0, 0], false).unwrap().bytes, None);
    }

    #[test]
    fn a_gauge_that_is_read_below_zero_is_zero() {
        let (netns, _) = netns(&[1, 2, 0, 3, u64::MAX, 0, u64::from(u32::MAX), NETNS, 0, 0, 0]);

        assert_eq!((netns.curr_estab, netns.tcp_in_use, netns.udp_in_use), (0, 0, 0));
        assert_eq!(netns.ports, None);
    }

    #[test]
    fn a_namespace_has_its_own_range_of_ports() {
        let ports = (30_000_u64 * 0x1_0000 + 10_000) << 32;
        let (netns, tables) = netns(&[0, 0, 0, 0, 0, 5, 0, NETNS | ports, 9, 0, 0]);

        assert_eq!(netns.ports, Some(PortRange(10_000, 30_000)));
        assert_eq!((tables.hash, tables.udp), (5, 9));
    }

    #[test]
    fn more_fds_than_are_counted_is_unknown_and_not_a_number() {
        let words = [1, 1, 1, 1, 1, 1, u64::from(u32::MAX), 0, 0];

        assert_eq!(process(&words, 4096).open_fds, None);
    }
}
