//! The messages of `NETLINK_SOCK_DIAG`: requests for dumps, and the sockets in their answers.
//!
//! In: bytes as the kernel sent them. Out: rows. It must not send or receive.
//!
//! Pure: no I/O.

use probelet_core::facts::{Closed, Endpoint, Protocol, Quality, Queue, Role, Socket, State, Tcp};

use crate::discover::procfs::tables::{Row, worth_reporting};

/// `TCPDIAG_GETSOCK`: the old request, which alone dumps both families in one walk.
const COMPAT: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const HEADER: usize = 16;
/// Bytes of `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// Attribute with `struct tcp_info`, asked for by bit 1 of the extensions.
const INET_DIAG_INFO: u16 = 2;
/// Attribute with the id of the cgroup in which the socket was created; since 5.8, unasked.
const INET_DIAG_CGROUP_ID: u16 = 21;
/// Offsets in `struct tcp_info`: 8 bytes, 24 words, two rates of 8 bytes.
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
/// Since 4.19.
const BYTES_SENT: usize = 200;
const BYTES_RETRANSMITTED: usize = 208;
/// Words: segments that are on their way, smoothed round-trip time in microseconds, segments sent again,
/// and sent with data (since 4.6).
const UNACKED: usize = 24;
const RTT: usize = 68;
const RETRANSMITTED: usize = 100;
const DATA_SEGMENTS: usize = 156;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// All TCP sockets of both families, with `tcp_info` or without.
    Tcp {
        /// Whether to ask for `tcp_info`: half a microsecond more per socket.
        info: bool,
    },
    /// All UDP sockets over IPv4.
    Udp4,
    /// All UDP sockets over IPv6.
    Udp6,
}

impl Request {
    /// Of which protocol the answer is.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp { .. } => Protocol::Tcp,
            Self::Udp4 | Self::Udp6 => Protocol::Udp,
        }
    }

    /// The bytes to send, for sockets in all states: both structures are as long, but for the four
    /// bytes of `idiag_dbs` that only the old one has.
    #[must_use]
    pub fn bytes(self) -> [u8; 76] {
        let mut out = [0; 76];
        let all_states = u32::MAX.to_ne_bytes();
        let (kind, length) = match self {
            Self::Tcp { info } => {
                // family (0: both), two lengths of 0, extensions; sockid; states; dbs
                out[HEADER + 3] = if info { 1 << (INET_DIAG_INFO - 1) } else { 0 };
                out[HEADER + 52..HEADER + 56].copy_from_slice(&all_states);
                (COMPAT, 76u32)
            }
            Self::Udp4 | Self::Udp6 => {
                // family, protocol, extensions, padding; states; sockid
                let family = if self == Self::Udp4 { libc::AF_INET } else { libc::AF_INET6 };
                out[HEADER] = u8::try_from(family).unwrap_or(0);
                out[HEADER + 1] = u8::try_from(libc::IPPROTO_UDP).unwrap_or(0);
                out[HEADER + 4..HEADER + 8].copy_from_slice(&all_states);
                (BY_FAMILY, 72)
            }
        };
        out[..4].copy_from_slice(&length.to_ne_bytes());
        out[4..6].copy_from_slice(&kind.to_ne_bytes());
        out[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
        out
    }
}

/// One message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A socket.
    Row(Row),
    /// The dump is complete.
    Done,
    /// The kernel refused, with an errno.
    Refused(i32),
    /// Something that is none of these.
    Malformed,
}

/// The messages in what one receive gave.
pub struct Messages<'a> {
    rest: &'a [u8],
    protocol: Protocol,
}

impl<'a> Messages<'a> {
    /// `protocol` is the one that was asked for: messages do not say it.
    #[must_use]
    pub fn new(bytes: &'a [u8], protocol: Protocol) -> Self {
        Self { rest: bytes, protocol }
    }
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if self.rest.is_empty() {
            return None;
        }
        let length = word(self.rest, 0).map_or(0, |length| length as usize);
        let Some(message) = self.rest.get(..length).filter(|m| m.len() >= HEADER) else {
            self.rest = &[];
            return Some(Message::Malformed);
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let body = &message[HEADER..];
        Some(match u16::from_ne_bytes([message[4], message[5]]) {
            // Both carry a negative errno, or 0.
            DONE => match word(body, 0).map_or(0, errno) {
                0 => Message::Done,
                error => Message::Refused(error),
            },
            ERROR => Message::Refused(word(body, 0).map_or(0, errno)),
            COMPAT | BY_FAMILY => row(body, self.protocol).map_or(Message::Malformed, Message::Row),
            _ => Message::Malformed,
        })
    }
}

/// The errno of a message, which has it below zero; 0 is that there is none, and so is what cannot be one.
pub(crate) fn errno(word: u32) -> i32 {
    word.cast_signed().checked_neg().unwrap_or(0).max(0)
}

fn row(body: &[u8], protocol: Protocol) -> Option<Row> {
    let message = body.get(..MESSAGE)?;
    let state = State::from_kernel(message[1])?;
    let local = endpoint(message[0], &message[8..24], [message[4], message[5]])?;
    let remote = endpoint(message[0], &message[24..40], [message[6], message[7]])?;
    let interface = word(message, 40)?;
    if state == State::TimeWait {
        let remaining_ms = word(message, 52)?;
        let closed = Closed { local, remote, remaining_ms, interface, ..Closed::default() };
        return Some(Row::TimeWait(closed, long(message, 44)?));
    }
    let inode = word(message, 68)?;
    let mut socket =
        Socket { inode, protocol, state, local, remote, interface, ..Socket::default() };
    if protocol == Protocol::Tcp && state == State::Listen {
        // What waits and how many may, in the places of bytes that wait.
        socket.tcp = Tcp::Queue(Queue { waiting: word(message, 56)?, most: word(message, 60)? });
    }
    attributes(&body[MESSAGE..], &mut socket);
    Some(worth_reporting(socket))
}

fn attributes(mut rest: &[u8], socket: &mut Socket) {
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(value) = rest.get(4..length) else { return };
        match u16::from_ne_bytes([header[2], header[3]]) {
            INET_DIAG_CGROUP_ID => socket.cgroup = long(value, 0).unwrap_or(0),
            // A listener's structure counts its queue in other fields and no bytes.
            INET_DIAG_INFO if socket.state != State::Listen => {
                socket.bytes_sent = long(value, BYTES_ACKED);
                socket.bytes_received = long(value, BYTES_RECEIVED);
                socket.role = role(value, socket.state).unwrap_or_default();
                socket.tcp = quality(value).map_or(Tcp::Unknown, Tcp::Quality);
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn quality(info: &[u8]) -> Option<Quality> {
    Some(Quality {
        rtt_us: word(info, RTT)?,
        retransmitted: word(info, RETRANSMITTED)?,
        segments: word(info, DATA_SEGMENTS)?,
    })
}

/// Who dialled: the acknowledged bytes begin with the SYN at the end that sent one first, and with the
/// data at the end that accepted. Until the end sends its FIN, which counts as well.
fn role(info: &[u8], state: State) -> Option<Role> {
    let sent = long(info, BYTES_SENT)?.checked_sub(long(info, BYTES_RETRANSMITTED)?)?;
    let acked = long(info, BYTES_ACKED)?;
    let open = matches!(state, State::Established | State::CloseWait);
    Some(match (open, acked.checked_sub(sent)) {
        (true, Some(1)) => Role::Dialled,
        (true, Some(0)) if word(info, UNACKED)? == 0 => Role::Accepted,
        _ => Role::Unknown,
    })
}

pub(crate) fn endpoint(family: u8, address: &[u8], port: [u8; 2]) -> Option<Endpoint> {
    let port = u16::from_be_bytes(port);
    match i32::from(family) {
        libc::AF_INET => {
            let v4: [u8; 4] = address.get(..4)?.try_into().ok()?;
            Some(Endpoint::v4(v4.into(), port))
        }
        libc::AF_INET6 => {
            let v6: [u8; 16] = address.get(..16)?.try_into().ok()?;
            Some(Endpoint::v6(v6.into(), port))
        }
        _ => None,
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A message as kernel 6.18 sends it: 127.0.0.1:8080 ← 127.0.0.1:49876, inode 31337.
    fn message(kind: u16, state: u8, attributes: &[u8]) -> Vec<u8> {
        let mut body = vec![2, state, 0, 0];
        body.extend(8080u16.to_be_bytes());
        body.extend(49_876u16.to_be_bytes());
        for _ in 0..2 {
            body.extend([127, 0, 0, 1]);
            body.extend([0; 12]);
        }
        body.extend([0; 12]); // interface, cookie
        for word in [58_123u32, 0, 0, 1000, 31_337] {
            body.extend(word.to_ne_bytes()); // expires, queues, uid, inode
        }
        body.extend(attributes);
        let mut out = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(body);
        out
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn socket(bytes: &[u8]) -> Socket {
        match Messages::new(bytes, Protocol::Tcp).next() {
            Some(Message::Row(Row::Socket(socket))) => socket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_has_its_cgroup_and_bytes_behind_other_attributes() {
        let mut info = [0u8; 248];
        info[BYTES_ACKED..][..8].copy_from_slice(&11u64.to_ne_bytes());
        info[BYTES_RECEIVED..][..8].copy_from_slice(&22u64.to_ne_bytes());
        for (at, word) in [(RTT, 51u32), (RETRANSMITTED, 2), (DATA_SEGMENTS, 7)] {
            info[at..][..4].copy_from_slice(&word.to_ne_bytes());
        }
        let attributes = [
            attribute(8, &[0]), // shutdown
            attribute(INET_DIAG_INFO, &info),
            attribute(INET_DIAG_CGROUP_ID, &77u64.to_ne_bytes()),
        ];

        let socket = socket(&message(COMPAT, 1, &attributes.concat()));

        assert_eq!(socket.local, Endpoint::v4(Ipv4Addr::LOCALHOST, 8080));
        assert_eq!(socket.remote, Endpoint::v4(Ipv4Addr::LOCALHOST, 49_876));
        assert_eq!((socket.inode, socket.cgroup), (31_337, 77));
        assert_eq!((socket.bytes_sent, socket.bytes_received), (Some(11), Some(22)));
        let quality = Quality { rtt_us: 51, retransmitted: 2, segments: 7 };
        assert_eq!(socket.tcp, Tcp::Quality(quality));
    }

    #[test]
    fn a_listener_has_its_queue_where_others_have_bytes_that_wait() {
        let mut bytes = message(COMPAT, 10, &[]);
        bytes[HEADER + 56..][..4].copy_from_slice(&5u32.to_ne_bytes());
        bytes[HEADER + 60..][..4].copy_from_slice(&128u32.to_ne_bytes());

        assert_eq!(socket(&bytes).tcp, Tcp::Queue(Queue { waiting: 5, most: 128 }));
    }

    #[test]
    fn who_sent_the_syn_has_it_acknowledged() {
        let reported = |acked: u64, sent: u64, unacked: u32, state: u8| {
            let mut info = [0u8; 248];
            info[UNACKED..][..4].copy_from_slice(&unacked.to_ne_bytes());
            info[BYTES_ACKED..][..8].copy_from_slice(&acked.to_ne_bytes());
            info[BYTES_SENT..][..8].copy_from_slice(&(sent + 7).to_ne_bytes());
            info[BYTES_RETRANSMITTED..][..8].copy_from_slice(&7u64.to_ne_bytes());
            socket(&message(COMPAT, state, &attribute(INET_DIAG_INFO, &info))).role
        };

        assert_eq!(reported(101, 100, 0, 1), Role::Dialled);
        assert_eq!(reported(100, 100, 0, 1), Role::Accepted);
        assert_eq!(reported(100, 100, 1, 1), Role::Unknown, "the last byte may be on its way");
        assert_eq!(reported(60, 100, 1, 1), Role::Unknown);
        assert_eq!(reported(101, 100, 0, 5), Role::Unknown, "the FIN counts as well");
    }

    #[test]
    fn without_the_extension_bytes_are_not_known() {
        assert_eq!(socket(&message(COMPAT, 1, &[])).bytes_sent, None);
    }

    #[test]
    fn time_wait_shows_its_rest_in_milliseconds() {
        let bytes = message(COMPAT, 6, &[]);
        let Some(Message::Row(Row::TimeWait(closed, _))) =
            Messages::new(&bytes, Protocol::Tcp).next()
        else {
            panic!()
        };

        assert_eq!(closed.remaining_ms, 58_123);
    }

    #[test]
    fn messages_follow_each_other_until_done() {
        let done = [20u32.to_ne_bytes(), [3, 0, 2, 0], [0; 4], [0; 4], [0; 4]].concat();
        let bytes = [message(BY_FAMILY, 10, &[]), message(BY_FAMILY, 1, &[]), done].concat();

        let kinds: Vec<_> = Messages::new(&bytes, Protocol::Tcp).collect();

        assert!(matches!(kinds[..], [Message::Row(_), Message::Row(_), Message::Done]));
    }

    #[test]
    fn a_missing_module_is_a_refusal_with_its_errno() {
        let error =
            [36u32.to_ne_bytes(), [2, 0, 0, 0], [0; 4], [0; 4], (-2i32).to_ne_bytes()].concat();
        let mut bytes = error;
        bytes.resize(36, 0);

        assert_eq!(
            Messages::new(&bytes, Protocol::Udp).next(),
            Some(Message::Refused(libc::ENOENT))
        );
    }

    #[test]
    fn what_cannot_be_an_errno_is_none() {
        let numbers = [0, -2, 7, i32::MIN, i32::MAX].map(|error: i32| errno(error.cast_unsigned()));

        assert_eq!(numbers, [0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_cut_message_ends_the_answer() {
        let bytes = message(COMPAT, 1, &[]);
        for end in 1..bytes.len() {
            let kinds: Vec<_> = Messages::new(&bytes[..end], Protocol::Tcp).collect();
            assert_eq!(kinds, [Message::Malformed], "{end} bytes");
        }
    }
}
