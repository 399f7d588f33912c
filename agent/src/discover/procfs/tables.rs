//! The text of `/proc/PID/net/{tcp,tcp6,udp,udp6}`: the sockets of one network namespace.
//!
//! In: one line. Out: the socket that it shows. Lines are parsed alone, so that one line that makes
//! no sense costs one socket and not the namespace. It must not read files.
//!
//! Pure: no I/O.

use probelet_core::facts::{Closed, Endpoint, Protocol, Socket, State};

use super::stat::decimal;

/// What one line, or one netlink message, shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A socket; its `netns` and `pid` are still 0.
    Socket(Socket),
    /// A `TIME_WAIT` socket; its `netns` is still 0. With what distinguishes it from another one on the same
    /// ports, or 0.
    TimeWait(Closed, u64),
    /// A socket that is no connection and no listener: unbound UDP, or closed TCP.
    Nothing,
}

/// Reads one line below the header; `None` when it is not one.
#[must_use]
pub fn parse(line: &[u8], protocol: Protocol) -> Option<Row> {
    let mut fields = line.split(|&b| b == b' ').filter(|field| !field.is_empty());
    let _number = fields.next()?;
    let local = endpoint(fields.next()?)?;
    let remote = endpoint(fields.next()?)?;
    let kernel_state = u8::try_from(hex(fields.next()?)?).ok()?;
    let state = State::from_kernel(kernel_state)?;
    let _queues = fields.next()?;
    // "03:00000F9E": which timer runs, and its rest in clock ticks.
    let timer = fields.next()?;
    let inode = fields.nth(3)?;
    if state == State::TimeWait && protocol == Protocol::Tcp {
        let ticks = hex(timer.get(3..)?)?;
        // USER_HZ is 100 on every architecture that this runs on.
        let remaining_ms = u32::try_from(ticks.saturating_mul(10)).unwrap_or(u32::MAX);
        let closed = Closed { local, remote, remaining_ms, ..Closed::default() };
        return Some(Row::TimeWait(closed, 0));
    }
    let inode = u32::try_from(decimal(inode)?).ok()?;
    let socket = Socket { inode, protocol, state, local, remote, ..Socket::default() };
    Some(worth_reporting(socket))
}

/// Leaves out what is neither a connection nor a listener.
#[must_use]
pub(crate) fn worth_reporting(socket: Socket) -> Row {
    let idle = match socket.protocol {
        Protocol::Tcp => socket.state == State::Close,
        Protocol::Udp => socket.local.port == 0,
    };
    if idle { Row::Nothing } else { Row::Socket(socket) }
}

/// `0100007F:1F90` or 32 digits for IPv6: words of the kernel's byte order, then the port.
fn endpoint(text: &[u8]) -> Option<Endpoint> {
    let colon = text.iter().position(|&b| b == b':')?;
    let port = u16::try_from(hex(&text[colon + 1..])?).ok()?;
    match &text[..colon] {
        v4 if v4.len() == 8 => Some(Endpoint::v4(word(v4)?.into(), port)),
        v6 if v6.len() == 32 => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.chunks_exact_mut(4).zip(v6.chunks_exact(8)) {
                to.copy_from_slice(&word(from)?);
            }
            Some(Endpoint::v6(bytes.into(), port))
        }
        _ => None,
    }
}

/// The kernel prints each 32-bit word of an address as a number of its own byte order.
fn word(text: &[u8]) -> Option<[u8; 4]> {
    Some(u32::try_from(hex(text)?).ok()?.to_ne_bytes())
}

fn hex(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |n, &b| {
        let digit = (b as char).to_digit(16)?;
        Some(n << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    const LISTEN: &[u8] = b"   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1527 1 00000000a5c651d5 100 0 0 10 0                      ";
    const ESTABLISHED: &[u8] = b"   1: 020200C0:8F88 507100CB:0050 01 00000000:00000000 00:00000000 00000000    42        0 29422 2 000000001db1fc83 20 0 0 11 -1                     ";
    const TIME_WAIT: &[u8] = b"  12: 0100007F:C2D4 0100007F:1F90 06 00000000:00000000 03:00001743 00000000     0        0 0 3 0000000012c3a1f6                                      ";
    const V6: &[u8] = b"   3: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C2D4 01 00000000:00000000 00:00000000 00000000     0        0 31337 1 0000000000000000 20 4 30 10 -1";
    const UDP: &[u8] = b"  873: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 16453 2 00000000f5d9a4cb 0         ";

    fn socket(line: &[u8], protocol: Protocol) -> Socket {
        match parse(line, protocol) {
            Some(Row::Socket(socket)) => socket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listener_has_a_wildcard_remote() {
        let listener = socket(LISTEN, Protocol::Tcp);

        assert_eq!(
            (listener.state, listener.inode, listener.local.port),
            (State::Listen, 1527, 2024)
        );
        assert!(listener.remote.is_wildcard());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_in_the_byte_order_of_the_kernel() {
        let connection = socket(ESTABLISHED, Protocol::Tcp);

        assert_eq!(connection.local, Endpoint::v4(Ipv4Addr::new(192, 0, 2, 2), 36744));
        assert_eq!(connection.remote, Endpoint::v4(Ipv4Addr::new(203, 0, 113, 80), 80));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_mapped_peer_of_a_dual_stack_socket_is_an_ipv4_one() {
        let connection = socket(V6, Protocol::Tcp);

        assert_eq!(connection.local, Endpoint::v4(Ipv4Addr::LOCALHOST, 8080));
        assert_eq!(connection.inode, 31337);
    }

    #[test]
    fn a_time_wait_line_says_how_long_it_stays() {
        let Some(Row::TimeWait(closed, _)) = parse(TIME_WAIT, Protocol::Tcp) else { panic!() };

        assert_eq!(closed.remaining_ms, 59_550);
        assert_eq!((closed.local.port, closed.remote.port), (49876, 8080));
    }

    #[test]
    fn a_bound_udp_socket_is_a_listener_and_an_unbound_one_is_nothing() {
        let unbound = String::from_utf8_lossy(UDP).replace(":0035", ":0000");

        assert_eq!(socket(UDP, Protocol::Udp).state, State::Close);
        assert_eq!(parse(unbound.as_bytes(), Protocol::Udp), Some(Row::Nothing));
    }

    #[test]
    fn a_cut_line_is_refused() {
        let header: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        assert_eq!(parse(header, Protocol::Tcp), None);
        assert_eq!(parse(&ESTABLISHED[..80], Protocol::Tcp), None);
        assert_eq!(parse(b"", Protocol::Tcp), None);
    }

    #[test]
    fn every_line_is_read_as_the_procfs_crate_reads_it() {
        for line in [LISTEN, ESTABLISHED, V6] {
            let text = [b"header\n", line, b"\n"].concat();
            let theirs: procfs::net::TcpNetEntries =
                procfs::FromReadSI::from_read(text.as_slice(), procfs::current_system_info())
                    .unwrap();
            let ours = socket(line, Protocol::Tcp);

            let plain = |e: Endpoint| SocketAddr::new(e.ip(), e.port);
            let canonical = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
            assert_eq!(plain(ours.local), canonical(theirs.0[0].local_address));
            assert_eq!(plain(ours.remote), canonical(theirs.0[0].remote_address));
            assert_eq!(u64::from(ours.inode), theirs.0[0].inode);
            assert_eq!(ours.state as u8, theirs.0[0].state.clone() as u8);
        }
    }
}
