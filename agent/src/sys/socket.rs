//! Options of sockets that rustix has no name for, and `SO_RCVLOWAT`, socket(7): how many bytes have to wait in a TCP socket
//! before it counts as readable.
//!
//! In: a socket, a value. Out: nothing. It must not read or write.
//!
//! I/O: one system call.
#![allow(unsafe_code, reason = "rustix has no such options; the call reads one value of ours")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sets an option to a value, which is of the type that the option has: a C int, or what its manual page says.
pub(super) fn set<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the value and what it points to live until the call returns, and `length` is its size; the kernel copies.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// poll(2) and epoll(7) see the socket as readable from `bytes` on, since Linux 4.18 or so (`tcp_data_ready` in
/// net/ipv4/tcp_input.c). An end or an error of the connection shows at once, and so does what waits already when the
/// number is lowered. A read takes whatever there is.
///
/// # Errors
/// What setsockopt(2) says: not a socket.
pub(crate) fn readable_from(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, &value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    fn readable(socket: &TcpStream) -> bool {
        let mut asked = [PollFd::new(socket, PollFlags::IN)];
        let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        poll(&mut asked, Some(&patience)).unwrap() == 1
    }

    #[test]
    fn a_few_bytes_show_only_when_few_are_enough_and_an_end_shows_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();

        readable_from(near.as_fd(), 4096).unwrap();
        far.write_all(b"news").unwrap();
        assert!(!readable(&near));

        readable_from(near.as_fd(), 1).unwrap();
        assert!(readable(&near));

        readable_from(near.as_fd(), 4096).unwrap();
        assert!(!readable(&near));
        drop(far);
        assert!(readable(&near));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();

        let error = readable_from(file.as_fd(), 1).unwrap_err();

        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }
}
