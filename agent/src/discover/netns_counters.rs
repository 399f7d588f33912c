//! The counters of a network namespace: `/proc/PID/net/{snmp,sockstat,sockstat6}`, and of `netstat` the
//! one that says which failed attempts were none.
//!
//! In: the three texts as the kernel wrote them. Out: one [`Netns`] whose equality with an earlier
//! one means that no TCP socket was opened, closed or listened on since, and a count of segments
//! whose equality means that no TCP socket has sent or received a byte. It must not read files.
//!
//! Pure: no I/O.

use probelet_core::facts::Netns;

use super::procfs::stat::decimal;

/// The files to read, in the order of the arguments of [`parse`].
pub const FILES: [&str; 3] = ["net/snmp", "net/sockstat", "net/sockstat6"];

/// The file with [`embryonic_resets`]. A long one, so it is read only where attempts failed.
pub(crate) const EXTENDED: &str = "net/netstat";

/// What the texts say of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Sockets opened, closed and in use.
    pub netns: Netns,
    /// TCP segments received and sent (`InSegs` and `OutSegs` of RFC 4022). No byte is received or
    /// acknowledged without one.
    pub segments: u64,
}

/// Reads the three texts; `None` when `snmp` or `sockstat` is not what it should be. A kernel
/// without IPv6 has no `sockstat6`: pass an empty text.
#[must_use]
pub fn parse(inode: u32, snmp: &[u8], sockstat: &[u8], sockstat6: &[u8]) -> Option<Counters> {
    let mut counters = Netns { inode, ..Netns::default() };
    let segments = snmp_tcp(snmp, &mut counters)?;
    counters.tcp_in_use = in_use(sockstat, b"TCP:")?;
    counters.udp_in_use = in_use(sockstat, b"UDP:")?;
    let more = |n: u64, label| n.saturating_add(in_use(sockstat6, label).unwrap_or(0));
    counters.tcp_in_use = more(counters.tcp_in_use, b"TCP6:");
    counters.udp_in_use = more(counters.udp_in_use, b"UDP6:");
    Some(Counters { netns: counters, segments })
}

/// `snmp` has a line of names and a line of numbers for each protocol; columns are found by name,
/// because kernels add some. Gives the count of segments.
fn snmp_tcp(text: &[u8], counters: &mut Netns) -> Option<u64> {
    let mut lines = text.split(|&b| b == b'\n').filter(|line| line.starts_with(b"Tcp: "));
    let names = lines.next()?.split(|&b| b == b' ');
    let numbers = lines.next()?.split(|&b| b == b' ');
    let (mut found, mut received, mut sent) = (0, 0, 0);
    for (name, number) in names.zip(numbers) {
        let place = match name {
            b"ActiveOpens" => &mut counters.active_opens,
            b"PassiveOpens" => &mut counters.passive_opens,
            b"AttemptFails" => &mut counters.attempt_fails,
            b"EstabResets" => &mut counters.estab_resets,
            b"CurrEstab" => &mut counters.curr_estab,
            b"InSegs" => &mut received,
            b"OutSegs" => &mut sent,
            _ => continue,
        };
        *place = decimal(number)?;
        found += 1;
    }
    (found == 7).then(|| u64::wrapping_add(received, sent))
}

/// `TcpExt: EmbryonicRsts` of `netstat`: half-open requests that were reset, which `AttemptFails` counts
/// though nothing had opened.
#[must_use]
pub fn embryonic_resets(netstat: &[u8]) -> Option<u64> {
    let mut lines = netstat.split(|&b| b == b'\n').filter(|line| line.starts_with(b"TcpExt: "));
    let names = lines.next()?.split(|&b| b == b' ');
    let mut pairs = names.zip(lines.next()?.split(|&b| b == b' '));
    decimal(pairs.find(|(name, _)| *name == b"EmbryonicRsts")?.1)
}

/// `TCP: inuse 2 orphan 0 …`
fn in_use(text: &[u8], label: &[u8]) -> Option<u64> {
    let line = text.split(|&b| b == b'\n').find(|line| line.starts_with(label))?;
    let mut words = line.split(|&b| b == b' ');
    words.find(|word| *word == b"inuse")?;
    decimal(words.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &[u8] = b"Ip: Forwarding DefaultTTL InReceives\nIp: 1 64 8545\n\
        Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
        Tcp: 1 200 120000 -1 80 2 0 59 1 8385 4900 0 0 81 0\n\
        Udp: InDatagrams NoPorts\nUdp: 160 0\n";
    const SOCKSTAT: &[u8] = b"sockets: used 13\nTCP: inuse 2 orphan 0 tw 0 alloc 2 mem 162\n\
        UDP: inuse 1 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n";
    const SOCKSTAT6: &[u8] = b"TCP6: inuse 3\nUDP6: inuse 4\nUDPLITE6: inuse 0\nRAW6: inuse 0\n";

    #[test]
    fn numbers_that_no_kernel_counts_to_are_the_largest_and_not_small_ones() {
        let text =
            String::from_utf8_lossy(SOCKSTAT).replace("inuse 2", &format!("inuse {}", u64::MAX));

        let counters = parse(7, SNMP, text.as_bytes(), SOCKSTAT6).unwrap();

        assert_eq!(counters.netns.tcp_in_use, u64::MAX);
    }

    #[test]
    fn both_families_are_added() {
        let counters = parse(7, SNMP, SOCKSTAT, SOCKSTAT6).unwrap();

        let expected = Netns {
            inode: 7,
            active_opens: 80,
            passive_opens: 2,
            attempt_fails: 0,
            embryonic_rsts: 0,
            cookie: 0,
            estab_resets: 59,
            curr_estab: 1,
            tcp_in_use: 5,
            udp_in_use: 5,
            ports: None,
        };
        assert_eq!(counters, Counters { netns: expected, segments: 8385 + 4900 });
    }

    #[test]
    fn resets_of_half_open_requests_are_found_by_name() {
        let netstat =
            b"TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled\n\
            TcpExt: 0 1 2 800 3\nIpExt: InNoRoutes\nIpExt: 0\n";

        assert_eq!(embryonic_resets(netstat), Some(800));
        assert_eq!(embryonic_resets(&netstat[..70]), None);
        assert_eq!(embryonic_resets(b""), None);
    }

    #[test]
    fn a_kernel_without_ipv6_has_no_sockstat6() {
        assert_eq!(parse(7, SNMP, SOCKSTAT, b"").unwrap().netns.tcp_in_use, 2);
    }

    #[test]
    fn an_empty_or_cut_text_is_refused_rather_than_read_as_zero() {
        assert_eq!(parse(7, b"", SOCKSTAT, SOCKSTAT6), None);
        assert_eq!(parse(7, SNMP, b"", SOCKSTAT6), None);
        assert_eq!(parse(7, &SNMP[..SNMP.len() - 80], SOCKSTAT, SOCKSTAT6), None);
    }

    #[test]
    fn the_live_texts_of_this_namespace_are_read() {
        let text = |name| std::fs::read(format!("/proc/self/{name}")).unwrap_or_default();

        let counters = parse(1, &text(FILES[0]), &text(FILES[1]), &text(FILES[2]));

        assert!(counters.is_some());
    }
}
