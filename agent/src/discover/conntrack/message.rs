//! The messages of ctnetlink: one question about one connection, and its answer.
//!
//! In: the two ends of a connection, as either of its ends sees them. Out: bytes to send, and from the
//! kernel's bytes how each end sees the connection. It must not send or receive.
//!
//! ```text
//! question: nlmsghdr, nfgenmsg, TUPLE_ORIG { IP { source, destination }, PROTO { number, ports } }
//! answer:   nlmsghdr, nfgenmsg, TUPLE_ORIG { … }, TUPLE_REPLY { IP { … }, PROTO { … } }, …
//! ```
//! The kernel finds an entry by either of its tuples, whichever attribute the question has it in. The
//! source of the reply is who answers, and its destination the client as the one who answers sees it.
//!
//! Pure: no I/O.

use crate::discover::netlink::message::errno;
use probelet_core::facts::{Endpoint, Protocol};
use probelet_core::report::Entry;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 0x0101;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`: what the answer is.
const NEW: u16 = 0x0100;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
/// What is left of an attribute's type without its flags.
const NLA_TYPE: u16 = 0x3fff;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
/// `CTA_IP_V4_SRC` and `CTA_IP_V6_SRC`; the destination is the next number.
const CTA_IP_SRC: [u16; 2] = [1, 3];
/// Bytes of `nlmsghdr` and `nfgenmsg`.
const HEADER: usize = 16;
const GENERIC: usize = 4;

/// What the kernel says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// This is its entry.
    Entry(Entry),
    /// It refuses, with an errno; `ENOENT` says that it knows no such connection.
    Refused(i32),
    /// An answer to an earlier question.
    Other,
    /// Nothing that makes sense.
    Malformed,
}

/// Writes a question; `sequence` comes back with the answer.
pub(super) fn question(
    out: &mut Vec<u8>,
    sequence: u32,
    protocol: Protocol,
    source: Endpoint,
    destination: Endpoint,
) {
    out.clear();
    let family = if destination.is_v4() { libc::AF_INET } else { libc::AF_INET6 };
    out.extend([0; HEADER]);
    out.extend([u8::try_from(family).unwrap_or(0), 0, 0, 0]);
    nested(out, CTA_TUPLE_ORIG, |out| {
        nested(out, CTA_TUPLE_IP, |out| {
            let kind = CTA_IP_SRC[usize::from(!destination.is_v4())];
            for (kind, end) in [(kind, source), (kind + 1, destination)] {
                let bytes = end.addr.to_be_bytes();
                attribute(out, kind, if destination.is_v4() { &bytes[12..] } else { &bytes });
            }
        });
        nested(out, CTA_TUPLE_PROTO, |out| {
            attribute(out, CTA_PROTO_NUM, &[number(protocol)]);
            attribute(out, CTA_PROTO_SRC_PORT, &source.port.to_be_bytes());
            attribute(out, CTA_PROTO_DST_PORT, &destination.port.to_be_bytes());
        });
    });
    let length = u32::try_from(out.len()).unwrap_or(0);
    out[..4].copy_from_slice(&length.to_ne_bytes());
    out[4..6].copy_from_slice(&GET.to_ne_bytes());
    out[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    out[8..12].copy_from_slice(&sequence.to_ne_bytes());
}

/// Reads the first message of an answer.
pub(super) fn answer(bytes: &[u8], sequence: u32) -> Reply {
    let Some(length) = word(bytes, 0) else { return Reply::Malformed };
    let Some(message) = bytes.get(..length as usize).filter(|m| m.len() >= HEADER) else {
        return Reply::Malformed;
    };
    if word(message, 8) != Some(sequence) {
        return Reply::Other;
    }
    match u16::from_ne_bytes([message[4], message[5]]) {
        NLMSG_ERROR => match word(message, HEADER) {
            Some(error) => Reply::Refused(errno(error)),
            None => Reply::Malformed,
        },
        NEW => entry(&message[HEADER..]).map_or(Reply::Malformed, Reply::Entry),
        _ => Reply::Malformed,
    }
}

fn entry(body: &[u8]) -> Option<Entry> {
    let attributes = body.get(GENERIC..)?;
    let (client, service) = tuple(find(attributes, CTA_TUPLE_ORIG)?)?;
    let (backend, seen) = tuple(find(attributes, CTA_TUPLE_REPLY)?)?;
    Some(Entry { client, service, backend, seen })
}

/// Source and destination.
fn tuple(tuple: &[u8]) -> Option<(Endpoint, Endpoint)> {
    let (ip, ports) = (find(tuple, CTA_TUPLE_IP)?, find(tuple, CTA_TUPLE_PROTO)?);
    let end = |after: u16| {
        let port = find(ports, CTA_PROTO_SRC_PORT + after)?;
        let port = u16::from_be_bytes(port.try_into().ok()?);
        if let Some(v4) = find(ip, CTA_IP_SRC[0] + after) {
            let v4: [u8; 4] = v4.try_into().ok()?;
            return Some(Endpoint::v4(v4.into(), port));
        }
        let v6: [u8; 16] = find(ip, CTA_IP_SRC[1] + after)?.try_into().ok()?;
        Some(Endpoint::v6(v6.into(), port))
    };
    Some((end(0)?, end(1)?))
}

/// The value of the attribute of a kind.
fn find(mut rest: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let its = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & NLA_TYPE;
        let value = rest.get(4..length)?;
        if its == kind {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn nested(out: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 2]);
    out.extend((kind | NLA_F_NESTED).to_ne_bytes());
    inside(out);
    let length = u16::try_from(out.len() - at).unwrap_or(0);
    out[at..at + 2].copy_from_slice(&length.to_ne_bytes());
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(u16::try_from(value.len() + 4).unwrap_or(0).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(d: u8, port: u16) -> Endpoint {
        Endpoint::v4(Ipv4Addr::new(10, 0, 0, d), port)
    }

    #[test]
    fn a_question_is_laid_out_as_the_kernel_expects() {
        let mut out = Vec::new();

        question(&mut out, 7, Protocol::Tcp, at(1, 40_000), at(2, 80));

        let header = [72, 0, 0, 0, 1, 1, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        let addresses = [20, 0, 1, 0x80, 8, 0, 1, 0, 10, 0, 0, 1, 8, 0, 2, 0, 10, 0, 0, 2];
        let ports = [
            28, 0, 2, 0x80, 5, 0, 1, 0, 6, 0, 0, 0, 6, 0, 2, 0, 0x9c, 0x40, 0, 0, 6, 0, 3, 0, 0,
            80, 0, 0,
        ];
        let expected = [&header[..], &[52, 0, 1, 0x80], &addresses, &ports].concat();
        assert_eq!(out, expected);
    }

    /// An answer: the entry of a connection to 10.0.0.2:80 that 10.0.0.9:8080 answers, to which its
    /// client is 10.0.0.3:61000.
    fn entry(sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        question(&mut out, sequence, Protocol::Tcp, at(1, 40_000), at(2, 80));
        let mut other = Vec::new();
        question(&mut other, 0, Protocol::Tcp, at(9, 8080), at(3, 61_000));
        let mut reply = other.split_off(HEADER + GENERIC);
        reply[2] = 2;
        out.extend(reply);
        let length = u32::try_from(out.len()).unwrap();
        out[..4].copy_from_slice(&length.to_ne_bytes());
        out[4..6].copy_from_slice(&NEW.to_ne_bytes());
        out
    }

    #[test]
    fn an_entry_shows_how_each_end_sees_the_connection() {
        let entry = Entry {
            client: at(1, 40_000),
            service: at(2, 80),
            backend: at(9, 8080),
            seen: at(3, 61_000),
        };

        assert_eq!(answer(&self::entry(7), 7), Reply::Entry(entry));
    }

    #[test]
    fn the_answer_to_another_question_is_not_taken_for_this_ones() {
        assert_eq!(answer(&entry(6), 7), Reply::Other);
    }

    #[test]
    fn an_unknown_connection_is_a_refusal_with_its_errno() {
        let mut bytes = vec![36, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend((-libc::ENOENT).to_ne_bytes());
        bytes.resize(36, 0);

        assert_eq!(answer(&bytes, 7), Reply::Refused(libc::ENOENT));
    }

    #[test]
    fn a_cut_answer_is_malformed_wherever_it_is_cut() {
        let whole = entry(7);
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end], 7), Reply::Malformed, "{end} bytes");
        }
    }

    #[test]
    fn attributes_that_lie_about_their_length_end_the_search() {
        let mut bytes = entry(7);
        bytes[20..22].copy_from_slice(&0u16.to_ne_bytes());

        assert_eq!(answer(&bytes, 7), Reply::Malformed);
    }
}
