//! The end of a TCP socket, as the kernel reports it once: what its connection had come to.
//!
//! In: what a message of the kernel says. Out: the same, with the bytes that are payload distinguished from the SYN and
//! the FIN, which the kernel counts as bytes too. It must not say what the end belongs to.
//!
//! Pure: no I/O.

use super::{Endpoint, Quality, Role};

/// Retransmissions of a SYN after which it is not answered: the second one leaves after three seconds.
pub(crate) const UNANSWERED: u32 = 2;

/// A TCP socket that is gone, reported once and by nothing else. One that closed by a reset of its own with no time to
/// linger (`SO_LINGER` of 0) has forgotten the port of its peer, perhaps its own address, and what it counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Inode number of the network namespace; 0 where that of the short number is gone, which may be another one's by now.
    pub netns: u32,
    /// Inode number of the namespace that it may have been in instead: who had the short number before. 0: no doubt.
    pub or_netns: u32,
    /// Own end.
    pub local: Endpoint,
    /// The other end; its port is 0 where the socket forgot it.
    pub remote: Endpoint,
    /// The network interface that it was bound to; 0 for none.
    pub interface: u32,
    /// It was connected once. Else it was an attempt that failed, a listener, or never used.
    pub established: bool,
    /// Its peer sent it something, be it only a reset.
    pub answered: bool,
    /// Bytes that the peer acknowledged, SYN and FIN included, as `tcp_info` counts them.
    pub acknowledged: u64,
    /// Bytes received, the FIN included.
    pub received: u64,
    /// Bytes of payload sent, each once.
    pub sent: u64,
    /// Smoothed round-trip time, microseconds; 0 when there was no measurement.
    pub rtt_us: u32,
    /// Segments sent again, SYNs included.
    pub retransmitted: u32,
    /// Segments sent with data, those sent again included.
    pub segments: u32,
}

impl Ended {
    /// What the acknowledged bytes have beyond the payload: a SYN, where this end sent one first, and a FIN.
    const fn marks(&self) -> u64 {
        self.acknowledged.saturating_sub(self.sent)
    }

    /// Whether the socket forgot whom it was connected to.
    #[must_use]
    pub const fn forgot(&self) -> bool {
        self.remote.port == 0
    }

    /// Whether it tried to connect, and nothing came of it. One that failed in a blocking `connect()` has forgotten the
    /// port of its peer; listeners and sockets that were never used have no peer at all.
    #[must_use]
    pub const fn attempt(&self) -> bool {
        !self.established && self.local.port != 0 && !self.remote.is_wildcard()
    }

    /// Whether that failed for certain: it was refused, or not answered. One that its own process gave up before looks
    /// like one that a message of ICMP ended.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.attempt() && (self.answered || self.retransmitted >= UNANSWERED)
    }

    /// Who dialled, where the counts leave no doubt: only who sent a SYN has two marks acknowledged, and who has not
    /// even one did not.
    #[must_use]
    pub const fn role(&self) -> Role {
        match (self.marks(), self.sent, self.acknowledged) {
            _ if self.forgot() || !self.established => Role::Unknown,
            (2, ..) => Role::Dialled,
            (_, 0, 0) => Role::Accepted,
            _ => Role::Unknown,
        }
    }

    /// Whether the peer acknowledged the FIN of this end: if not, the connection ended by a reset, or by giving up.
    #[must_use]
    pub(crate) const fn orderly(&self, dialled: bool) -> bool {
        !self.forgot() && self.marks() > dialled as u64
    }

    /// Whether the connection ended by a reset, or by giving up, as far as this end knows. Where no one knows who dialled a
    /// single mark may be that of the SYN or of the FIN, and proves nothing.
    #[must_use]
    pub const fn reset(&self, dialled: Option<bool>) -> bool {
        self.established
            && match dialled {
                Some(dialled) => !self.orderly(dialled),
                None => self.marks() == 0,
            }
    }

    /// How it fared until its end; `None` where the socket forgot it.
    #[must_use]
    pub const fn quality(&self) -> Option<Quality> {
        let Self { rtt_us, retransmitted, segments, .. } = *self;
        if self.forgot() { None } else { Some(Quality { rtt_us, retransmitted, segments }) }
    }

    /// Payload sent and acknowledged, and payload received; `None` where the socket forgot it.
    #[must_use]
    pub fn bytes(&self, dialled: bool) -> Option<(u64, u64)> {
        if self.forgot() {
            return None;
        }
        let fin = u64::from(self.orderly(dialled) && self.received > 0);
        let sent = self.acknowledged.saturating_sub(u64::from(dialled)).min(self.sent);
        Some((sent, self.received - fin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(sent: u64, acknowledged: u64, received: u64) -> Ended {
        let remote = Endpoint { addr: 1, port: 80 };
        Ended { remote, established: true, sent, acknowledged, received, ..Ended::default() }
    }

    /// As Linux 6.18 reports them of 5,000 bytes there and 700 back, on loopback.
    #[test]
    fn payload_is_distinguished_from_syn_and_fin() {
        let (client, server) = (ended(5000, 5002, 701), ended(700, 701, 5001));

        assert_eq!((client.role(), server.role()), (Role::Dialled, Role::Unknown));
        assert_eq!(client.bytes(true), Some((5000, 700)));
        assert_eq!(server.bytes(false), Some((700, 5000)));
        assert!(client.orderly(true) && server.orderly(false));
        assert!(!client.reset(Some(true)) && !server.reset(Some(false)));
    }

    #[test]
    fn what_a_reset_ended_had_no_fin_acknowledged() {
        let (client, server) = (ended(5000, 5001, 0), ended(0, 0, 5000));

        assert_eq!((client.role(), server.role()), (Role::Unknown, Role::Accepted));
        assert_eq!(client.bytes(true), Some((5000, 0)));
        assert_eq!(server.bytes(false), Some((0, 5000)));
        assert!(!client.orderly(true) && !server.orderly(false));
        assert!(client.reset(Some(true)) && server.reset(Some(false)) && server.reset(None));
        assert!(!client.reset(None), "its one mark may be a FIN's");
    }

    #[test]
    fn who_reset_at_once_has_forgotten_all_of_it() {
        let forgot = Ended { remote: Endpoint { addr: 1, port: 0 }, ..ended(0, 0, 0) };

        assert_eq!((forgot.role(), forgot.bytes(true)), (Role::Unknown, None));
        assert!(!forgot.orderly(false) && forgot.reset(None));
        assert_eq!(forgot.quality(), None);
        assert!(!Ended { established: false, ..forgot }.reset(None), "no connection came of it");
    }
}
