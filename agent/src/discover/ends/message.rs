//! What the kernel says when a TCP socket goes: `inet_diag_msg` with `tcp_info`, to the destroy groups of `sock_diag`.
//!
//! In: bytes as the kernel sent them. Out: ends. It must not send or receive.
//!
//! The message has no inode and no cgroup: the socket has left its file. Its state is always `CLOSE`, so whether it was
//! ever connected has to be seen from its counts: `min_rtt` has the largest number there is until the first measurement,
//! and keeps what was measured even when a reset makes the socket forget all else (tried on 6.18, see the tests).
//!
//! Pure: no I/O.

use crate::discover::netlink::message::{endpoint, long, word};
use probelet_core::facts::Ended;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
const HEADER: usize = 16;
/// Bytes of `struct inet_diag_msg`.
const MESSAGE: usize = 72;
const INET_DIAG_INFO: u16 = 2;
/// Offsets in `struct tcp_info`; the last of them came with 4.19.
const RTT: usize = 68;
const RETRANSMITTED: usize = 100;
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
const SEGMENTS_RECEIVED: usize = 140;
const MIN_RTT: usize = 148;
const SEGMENTS: usize = 156;
const DELIVERED: usize = 192;
const BYTES_SENT: usize = 200;
const BYTES_RETRANSMITTED: usize = 208;

/// The end that a message shows, without its namespace; `None` if it is none, or has not all that is needed.
#[must_use]
pub fn ended(bytes: &[u8]) -> Option<Ended> {
    let length = word(bytes, 0)? as usize;
    let message = bytes.get(..length)?;
    if u16::from_ne_bytes([*message.get(4)?, *message.get(5)?]) != BY_FAMILY {
        return None;
    }
    let body = message.get(HEADER..)?;
    let head = body.get(..MESSAGE)?;
    let local = endpoint(head[0], &head[8..24], [head[4], head[5]])?;
    let remote = endpoint(head[0], &head[24..40], [head[6], head[7]])?;
    let info = info(&body[MESSAGE..])?;
    let (acknowledged, received) = (long(info, BYTES_ACKED)?, long(info, BYTES_RECEIVED)?);
    let measured = word(info, MIN_RTT)? != u32::MAX;
    let counted = word(info, DELIVERED)? > 0 || acknowledged > 0 || received > 0;
    Some(Ended {
        local,
        remote,
        interface: word(head, 40)?,
        // Of one that was never bound nothing can be determined.
        established: (measured || counted) && local.port != 0,
        answered: word(info, SEGMENTS_RECEIVED)? > 0,
        acknowledged,
        received,
        sent: long(info, BYTES_SENT)?.saturating_sub(long(info, BYTES_RETRANSMITTED)?),
        rtt_us: word(info, RTT)?,
        retransmitted: word(info, RETRANSMITTED)?,
        segments: word(info, SEGMENTS)?,
        ..Ended::default()
    })
}

fn info(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) == INET_DIAG_INFO {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use probelet_core::facts::Endpoint;
    use std::net::Ipv4Addr;

    /// 127.0.0.1:36824 → 127.0.0.1:58967, as kernel 6.18 sends it.
    fn message(remote_port: u16, numbers: &[(usize, u64, usize)]) -> Vec<u8> {
        let mut info = [0_u8; 280];
        info[MIN_RTT..][..4].fill(0xff);
        for (at, value, size) in numbers {
            info[*at..][..*size].copy_from_slice(&value.to_ne_bytes()[..*size]);
        }
        let mut body = vec![2, 7, 0, 0];
        body.extend(36_824_u16.to_be_bytes());
        body.extend(remote_port.to_be_bytes());
        for _ in 0..2 {
            body.extend([127, 0, 0, 1]);
            body.extend([0; 12]);
        }
        body.extend([0; 32]);
        body.extend([5, 0, 10, 0, 6, 0, 0, 0]); // INET_DIAG_PROTOCOL
        body.extend([28, 1, 2, 0]);
        body.extend(info);
        let mut out = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        out.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(body);
        out
    }

    #[test]
    fn an_end_has_its_bytes_and_how_it_fared() {
        let numbers = [
            (BYTES_ACKED, 5002, 8),
            (BYTES_RECEIVED, 701, 8),
            (BYTES_SENT, 6448, 8),
            (BYTES_RETRANSMITTED, 1448, 8),
            (RTT, 2538, 4),
            (RETRANSMITTED, 1, 4),
            (SEGMENTS, 5, 4),
            (MIN_RTT, 7, 4),
        ];

        let ended = ended(&message(58_967, &numbers)).unwrap();

        assert_eq!(ended.local, Endpoint::v4(Ipv4Addr::LOCALHOST, 36_824));
        assert_eq!({ ended.remote.port }, 58_967);
        assert!(ended.established);
        assert_eq!((ended.sent, ended.acknowledged, ended.received), (5000, 5002, 701));
        assert_eq!((ended.rtt_us, ended.retransmitted, ended.segments), (2538, 1, 5));
    }

    #[test]
    fn who_was_refused_was_never_connected_and_who_reset_at_once_was() {
        let established = |numbers: &[_]| ended(&message(0, numbers)).unwrap().established;

        assert!(!established(&[]));
        assert!(established(&[(MIN_RTT, 8, 4)]));
        assert!(established(&[(DELIVERED, 1, 4)]));
    }

    /// As Linux 6.18 reports them: the second one was refused in a blocking `connect()`.
    #[test]
    fn an_attempt_that_was_refused_is_distinguished_from_one_that_was_given_up() {
        let failed = |port, numbers: &[_]| {
            let ended = ended(&message(port, numbers)).unwrap();
            (ended.attempt(), ended.forgot(), ended.failed())
        };

        assert_eq!(failed(9, &[(SEGMENTS_RECEIVED, 1, 4)]), (true, false, true));
        assert_eq!(failed(0, &[]), (true, true, false));
        assert_eq!(failed(9, &[]), (true, false, false));
        assert_eq!(failed(9, &[(RETRANSMITTED, 5, 4)]), (true, false, true));
        assert_eq!(failed(9, &[(MIN_RTT, 7, 4)]), (false, false, false));
    }

    #[test]
    fn what_is_cut_or_of_another_kind_is_no_end() {
        let whole = message(1, &[]);
        for end in 0..whole.len() {
            assert_eq!(ended(&whole[..end]), None, "{end} bytes");
        }
        let mut other = whole;
        other[4] = 3;
        assert_eq!(ended(&other), None);
    }
}
