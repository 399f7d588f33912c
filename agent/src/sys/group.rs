//! Multicast groups of netlink, netlink(7): joining and leaving them, and reading many messages at a time.
//!
//! In: a netlink socket. Out: messages as they came, with the short number of the namespace that each is from. It must
//! not parse them.
//!
//! I/O: system calls; none of them waits.
#![allow(unsafe_code, reason = "rustix has no recvmmsg; the call fills buffers of ours")]

use super::socket::set;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Messages of one call.
const MESSAGES: usize = 32;
/// Longer messages are cut: one of `sock_diag` about the end of a socket has 380 bytes on Linux 6.18.
const LONGEST: usize = 640;
/// Room for one control message with a number.
const CONTROL: usize = 32;
/// `NETLINK_LISTEN_ALL_NSID`, as an option and as the kind of control message that shows the number.
const LISTEN_ALL_NSID: libc::c_int = 8;

/// From now on messages of all namespaces that have a short number in the socket's own are heard.
///
/// # Errors
/// What setsockopt(2) says: EPERM without `CAP_NET_BROADCAST`.
pub(crate) fn listen_everywhere(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    set(socket, libc::SOL_NETLINK, LISTEN_ALL_NSID, &on)
}

/// Lets so many bytes wait, by the kernel's count, whatever the machine allows others; without `CAP_NET_ADMIN` as many as
/// it does (`net.core.rmem_max`). Whether it is as many as were asked for.
///
/// # Errors
/// What setsockopt(2) says.
pub(crate) fn let_wait(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<bool> {
    // The kernel doubles it.
    let half = libc::c_int::try_from(bytes / 2).map_err(io::Error::other)?;
    match set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &half) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &half)?;
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

/// Joins a group, or leaves it.
///
/// # Errors
/// What setsockopt(2) says: EINVAL when there is no such group.
pub fn listen(socket: BorrowedFd<'_>, group: u32, on: bool) -> io::Result<()> {
    let group = libc::c_int::try_from(group).map_err(io::Error::other)?;
    let option = if on { libc::NETLINK_ADD_MEMBERSHIP } else { libc::NETLINK_DROP_MEMBERSHIP };
    set(socket, libc::SOL_NETLINK, option, &group)
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Slot {
    control: [u8; CONTROL],
    data: [u8; LONGEST],
}

/// Buffers for one call.
pub struct Messages {
    slots: Box<[Slot]>,
    /// Length and namespace of each message of the last call.
    results: [(usize, Option<i32>); MESSAGES],
    count: usize,
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Default for Messages {
    fn default() -> Self {
        let slot = Slot { control: [0; CONTROL], data: [0; LONGEST] };
        Self {
            slots: vec![slot; MESSAGES].into_boxed_slice(),
            results: [(0, None); MESSAGES],
            count: 0,
        }
    }
}

impl Messages {
    /// Reads what waits, as far as there is room for it; the number of messages, 0 when none waits.
    ///
    /// # Errors
    /// What recvmmsg(2) says: ENOBUFS when some were lost since the last call.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        // SAFETY: all-zero is a valid value of these plain structures.
        let mut parts: [libc::iovec; MESSAGES] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; MESSAGES] = unsafe { mem::zeroed() };
        for ((slot, part), header) in self.slots.iter_mut().zip(&mut parts).zip(&mut headers) {
            part.iov_base = slot.data.as_mut_ptr().cast();
            part.iov_len = LONGEST;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = slot.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL;
        }
        let most = libc::c_uint::try_from(MESSAGES).map_err(io::Error::other)?;
        // SAFETY: each header points to one part and one control buffer of ours, which live until the call returns, and
        // has their sizes.
        let answer = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                most,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(answer) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for (result, header) in self.results.iter_mut().zip(&headers[..count]) {
            let length = usize::try_from(header.msg_len).unwrap_or(0).min(LONGEST);
            *result = (length, namespace(&header.msg_hdr));
        }
        self.count = count;
        Ok(count)
    }

    /// The messages of the last call: the namespace by its short number, none for the socket's own.
    pub fn iter(&self) -> impl Iterator<Item = (Option<i32>, &[u8])> {
        let slots = self.slots.iter().zip(&self.results).take(self.count);
        slots.map(|(slot, (length, namespace))| (*namespace, &slot.data[..*length]))
    }
}

fn namespace(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: the header is one that recvmmsg filled; its control buffer and length are as the kernel left them.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: the pointer is into the control buffer, at a control message that the kernel wrote.
        let message = unsafe { at.read_unaligned() };
        if message.cmsg_level == libc::SOL_NETLINK && message.cmsg_type == LISTEN_ALL_NSID {
            // SAFETY: the kernel puts a number there, and there is room for it in the buffer.
            return Some(unsafe { libc::CMSG_DATA(at).cast::<i32>().read_unaligned() });
        }
        // SAFETY: as for the first one.
        at = unsafe { libc::CMSG_NXTHDR(header, at) };
    }
    None
}
