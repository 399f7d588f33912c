//! `SO_RCVLOWAT`, socket(7): how many bytes have to wait in a TCP socket before it counts as readable.
//!
//! In: a socket, a number of bytes. Out: nothing. It must not read or write.
//!
//! I/O: one system call.
#![allow(unsafe_code, reason = "rustix has no such option; the call reads one number of ours")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// poll(2) and epoll(7) see the socket as readable from `bytes` on, since Linux 4.18 or so (`tcp_data_ready` in
/// net/ipv4/tcp_input.c). An end or an error of the connection shows at once, and so does what waits already when the
/// number is lowered. A read takes whatever there is.
///
/// # Errors
/// What setsockopt(2) says: not a socket.
pub fn readable_from(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
    // SAFETY: the pointer is to `value`, which lives until the call returns, and `length` is its size.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            length,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
