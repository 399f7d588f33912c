//! Whether the kernel answers `NETLINK_SOCK_DIAG`.
//!
//! In: nothing. Out: an answer, or the kernel's refusal. Modules may be missing and autoload
//! forbidden, and a seccomp profile may refuse the socket: only asking shows. It must not dump
//! more than listeners.
//!
//! I/O: one netlink socket, for a moment.

use crate::discover::netlink::message::errno;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};
use std::time::Duration;

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;
/// `sizeof(struct nlmsghdr) + sizeof(struct inet_diag_req_v2)`.
const REQUEST: usize = 16 + 56;

/// Asks for the listening TCP sockets of this namespace.
pub(super) fn ask() -> Result<(), Errno> {
    let kind = SocketType::DGRAM;
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        kind,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(1)))?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut answer = vec![0_u8; 32 << 10];
    let (len, _) = rustix::net::recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    judge(answer.get(..len).unwrap_or(&answer))
}

fn request() -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let len = u32::try_from(REQUEST).unwrap_or(0);
    bytes[..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    bytes[16] = 2; // AF_INET
    bytes[17] = 6; // IPPROTO_TCP
    bytes[20..24].copy_from_slice(&LISTENING.to_ne_bytes());
    bytes
}

/// An error message carries a negative errno after its header.
fn judge(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    match (kind, code.map(errno)) {
        (Some(ERROR), Some(code @ 1..=4095)) => Err(Errno::from_raw_os_error(code)),
        (Some(_), _) => Ok(()),
        (None, _) => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_message_is_the_kernels_refusal() {
        let mut answer = [0; 36];
        answer[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        answer[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());

        assert_eq!(judge(&answer), Err(Errno::NOENT));
        answer[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert_eq!(judge(&answer), Ok(()), "no errno, and nothing that ends the program");
    }

    #[test]
    fn a_socket_or_the_end_of_the_dump_is_an_answer() {
        let mut answer = [0; 20];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());

        assert_eq!(judge(&answer), Ok(()));
        assert_eq!(judge(&[]), Err(Errno::BADMSG));
    }
}
