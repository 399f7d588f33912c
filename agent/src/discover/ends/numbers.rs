//! The short numbers by which the node's network namespace knows the others: rtnetlink(7), `RTM_GETNSID`.
//!
//! In: a process in a namespace. Out: the number of that namespace, if it has one. The kernel gives it when a veth pair
//! joins the two, and takes it back when the namespace goes; it gives it to another one at once. The socket is in the
//! node's namespace, so nothing of a pod's is held.
//!
//! I/O: one question and one answer over netlink, 2 µs.

use crate::discover::netlink::message::word;
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, SendFlags};
use std::io;

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
const HEADER: usize = 16;
/// `struct rtgenmsg`, padded.
const GENERAL: usize = 4;
const BUFFER: usize = 256;
/// Answers to questions that were given up, passed over before this is called a failure.
const STRAY: usize = 8;

/// The number of the namespace that the process is in; `None` if it has none, or the process is gone.
pub(super) fn of_process(socket: &OwnedFd, pid: u32, sequence: u32) -> io::Result<Option<i32>> {
    rustix::net::send(socket, &question(pid, sequence), SendFlags::empty())?;
    let mut buffer = [0; BUFFER];
    for _ in 0..STRAY {
        let (received, _) = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let answer = &buffer[..received];
        if word(answer, 8) == Some(sequence) {
            return Ok(number(answer));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn question(pid: u32, sequence: u32) -> [u8; 28] {
    let mut out = [0; 28];
    out[..4].copy_from_slice(&28_u32.to_ne_bytes());
    out[4..6].copy_from_slice(&RTM_GETNSID.to_ne_bytes());
    out[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    out[8..12].copy_from_slice(&sequence.to_ne_bytes());
    out[20..22].copy_from_slice(&8_u16.to_ne_bytes());
    out[22..24].copy_from_slice(&NETNSA_PID.to_ne_bytes());
    out[24..28].copy_from_slice(&pid.to_ne_bytes());
    out
}

fn number(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes([*answer.get(4)?, *answer.get(5)?]);
    if kind == NLMSG_ERROR || kind != RTM_NEWNSID {
        return None;
    }
    let mut rest = answer.get(HEADER + GENERAL..)?;
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) == NETNSA_NSID {
            // -1: it has none.
            return word(value, 0).map(u32::cast_signed).filter(|number| *number >= 0);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    fn answer(kind: u16, number: i32) -> Vec<u8> {
        let mut out = 28_u32.to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend([0; 10]);
        out.extend([0; GENERAL]);
        out.extend([8, 0, 1, 0]);
        out.extend(number.to_ne_bytes());
        out
    }

    #[test]
    fn a_namespace_has_a_number_or_none() {
        assert_eq!(number(&answer(RTM_NEWNSID, 3)), Some(3));
        assert_eq!(number(&answer(RTM_NEWNSID, -1)), None);
        assert_eq!(number(&answer(NLMSG_ERROR, 3)), None);
    }

    #[test]
    fn a_cut_answer_has_none() {
        let whole = answer(RTM_NEWNSID, 3);
        assert!((0..whole.len()).all(|end| number(&whole[..end]).is_none()));
    }
}
