//! `SO_ATTACH_FILTER`, socket(7): which peers' packets the kernel drops before a listening socket hears of them.
//!
//! In: a listening socket, addresses. Out: nothing. A dropped SYN costs the process nothing, and its sender tries again.
//! It must not decide who is heard.
//!
//! I/O: one system call.

use super::socket::set;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// Instructions at most (`BPF_MAXINSNS` is 4,096); so many addresses fit into a jump, which is a byte.
const MOST: usize = 60;
/// `SKF_NET_OFF`: from here offsets count from the beginning of the IP header.
const NET: u32 = 0xfff0_0000;
const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const KEEP: u32 = u32::MAX;

/// From now on `listener` hears only peers with these addresses: sixty of each family at most.
///
/// # Errors
/// What setsockopt(2) says.
pub(crate) fn only_from(listener: BorrowedFd<'_>, peers: &[IpAddr]) -> io::Result<()> {
    let mut program = program(peers);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    set(listener, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// From now on it hears everybody again.
///
/// # Errors
/// What setsockopt(2) says.
pub fn anybody(listener: BorrowedFd<'_>) -> io::Result<()> {
    let unused: libc::c_int = 0;
    match set(listener, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &unused) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

const fn step(code: u16, then: u8, otherwise: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: then, jf: otherwise, k }
}

fn program(peers: &[IpAddr]) -> Vec<libc::sock_filter> {
    let v4 = peers.iter().filter_map(|peer| match peer.to_canonical() {
        IpAddr::V4(peer) => Some(u32::from(peer)),
        IpAddr::V6(_) => None,
    });
    let v6 = peers.iter().filter_map(|peer| match peer.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(peer) => Some(u128::from(peer)),
    });
    // The source is at offset 12 of a header of IPv4, and at 8 to 23 of one of IPv6.
    let mut old = vec![step(LOAD_WORD, 0, 0, NET + 12)];
    for peer in v4.take(MOST) {
        old.extend([step(EQUAL, 0, 1, peer), step(RETURN, 0, 0, KEEP)]);
    }
    old.push(step(RETURN, 0, 0, 0));
    let over = u8::try_from(old.len()).unwrap_or(u8::MAX);
    let mut all =
        vec![step(LOAD_BYTE, 0, 0, NET), step(AND, 0, 0, 0xf0), step(EQUAL, over, 0, 0x60)];
    all.extend(old);
    for peer in v6.take(MOST) {
        for (n, word) in (0..4_u8).zip([96, 64, 32, 0]) {
            #[expect(clippy::cast_possible_truncation, reason = "one word of four")]
            let word = (peer >> word) as u32;
            all.push(step(LOAD_WORD, 0, 0, NET + 8 + 4 * u32::from(n)));
            // Over the rest of this address: two steps a word, and the last one.
            all.push(step(EQUAL, 0, (3 - n) * 2 + 1, word));
        }
        all.push(step(RETURN, 0, 0, KEEP));
    }
    all.push(step(RETURN, 0, 0, 0));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    fn heard(listener: &TcpListener) -> bool {
        let address = listener.local_addr().unwrap();
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
    }

    fn only_the_named_are_heard(listener: &TcpListener, own: IpAddr, other: IpAddr) {
        only_from(listener.as_fd(), &[other]).unwrap();
        assert!(!heard(listener));
        only_from(listener.as_fd(), &[other, own]).unwrap();
        assert!(heard(listener));
        only_from(listener.as_fd(), &[]).unwrap();
        assert!(!heard(listener));
        anybody(listener.as_fd()).unwrap();
        assert!(heard(listener));
        anybody(listener.as_fd()).unwrap();
    }

    #[test]
    fn a_listener_hears_only_the_addresses_that_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();

        only_the_named_are_heard(
            &listener,
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::new(10, 9, 8, 7).into(),
        );
    }

    #[test]
    fn so_it_is_with_ipv6() {
        let listener = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) {
            Ok(listener) => listener,
            Err(error) => return println!("SKIP no IPv6 here: {error}"),
        };

        only_the_named_are_heard(
            &listener,
            Ipv6Addr::LOCALHOST.into(),
            "fd00::1".parse::<Ipv6Addr>().unwrap().into(),
        );
    }

    #[test]
    fn as_many_addresses_as_fit_are_taken_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let many: Vec<IpAddr> = (0..200_u32)
            .flat_map(|n| {
                [
                    IpAddr::from(Ipv4Addr::from(n)),
                    IpAddr::from(Ipv6Addr::from(u128::from(n) << 64 | 1)),
                ]
            })
            .collect();

        only_from(listener.as_fd(), &many).unwrap();
    }
}
