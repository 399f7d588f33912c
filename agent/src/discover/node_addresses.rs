//! The addresses of the node's own network namespace: of its interfaces, bridges and tunnels.
//!
//! In: what `/proc/1/net` says; with `hostPID` process 1 is the node's. Out: addresses. A client on this node whose process
//! was not seen, such as a probe of the kubelet, is known by nothing else. It must not read without end: a table of routes may have a
//! million lines.
//!
//! I/O: reads two files of `/proc`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// So much of each file is read. The local addresses of one interface take some 100 bytes, and are listed twice; 8,000
/// routes fit. With kube-proxy in IPVS mode the node has the address of each Service.
const MOST: u64 = 1024 * 1024;

/// The addresses that the namespace of the node's first process has, without those that mean something on one link or one
/// machine only; none if they cannot be read.
pub(crate) fn read(proc: &Path) -> Vec<IpAddr> {
    let known_elsewhere = |address: &IpAddr| {
        let of_a_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        !address.is_loopback() && !of_a_link
    };
    all(proc).into_iter().filter(known_elsewhere).collect()
}

/// All of them, loopback too.
pub(crate) fn all(proc: &Path) -> BTreeSet<IpAddr> {
    let net = proc.join("1/net");
    let mut found = BTreeSet::new();
    found.extend(v4(&head(&net.join("fib_trie"))).map(IpAddr::V4));
    found.extend(v6(&head(&net.join("if_inet6"))).map(IpAddr::V6));
    found
}

fn head(path: &Path) -> String {
    let mut bytes = Vec::new();
    // A namespace without the file has no address of that family.
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    if read.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every leaf of the trie that is an address of the host.
fn v4(trie: &str) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let mut leaf = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
            return None;
        }
        leaf.filter(|_| line == "/32 host LOCAL")
    })
}

fn v6(table: &str) -> impl Iterator<Item = Ipv6Addr> + '_ {
    table.lines().filter_map(|line| {
        let digits = line.split_ascii_whitespace().next().filter(|digits| digits.len() == 32)?;
        Some(Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.244.1.0/24 2 0 2
        |-- 10.244.1.0
           /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.244.1.0/24 2 0 2
        |-- 10.244.1.1
           /32 host LOCAL
        |-- 10.244.1.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.18.0.2
        /32 host LOCAL
";

    const INTERFACES: &str = "00000000000000000000000000000001 01 80 10 80       lo\n\
                              fd00000000000000000000000000000a 02 40 00 80     eth0\n\
                              fe80000000000000b88d4bfffe3a5a01 02 40 20 80     eth0\n\
                              not an address\n";

    /// A tree in which the first process has these tables.
    fn proc(trie: &str, interfaces: &str) -> tempfile::TempDir {
        let made = tempfile::tempdir().unwrap();
        let net = made.path().join("1/net");
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("fib_trie"), trie).unwrap();
        std::fs::write(net.join("if_inet6"), interfaces).unwrap();
        made
    }

    fn texts(found: impl IntoIterator<Item = IpAddr>) -> Vec<String> {
        found.into_iter().map(|address| address.to_string()).collect()
    }

    #[test]
    fn bridges_count_and_loopback_links_and_broadcast_do_not() {
        let proc = proc(TRIE, INTERFACES);

        assert_eq!(texts(read(proc.path())), ["10.244.1.1", "172.18.0.2", "fd00::a"]);
    }

    #[test]
    fn all_are_those_of_loopback_and_links_too() {
        let proc = proc(TRIE, INTERFACES);

        let all = [
            "10.244.1.1",
            "127.0.0.1",
            "172.18.0.2",
            "::1",
            "fd00::a",
            "fe80::b88d:4bff:fe3a:5a01",
        ];
        assert_eq!(texts(super::all(proc.path())), all);
    }

    #[test]
    fn what_cannot_be_read_has_no_address() {
        assert_eq!(all(Path::new("/nonexistent")), BTreeSet::new());
        let wrong = proc("Main:\n  |-- what\n /32 host LOCAL\n", "zz 01\n\n");
        assert_eq!(all(wrong.path()), BTreeSet::new());
    }

    #[test]
    fn of_a_table_without_end_the_beginning_is_read() {
        let endless = "  |-- 10.0.0.1\n     /24 link UNICAST\n".repeat(40_000);
        let last = "  |-- 10.9.9.9\n     /32 host LOCAL\n";
        let proc = proc(&format!("{TRIE}{endless}{last}"), "");

        assert_eq!(texts(read(proc.path())), ["10.244.1.1", "172.18.0.2"]);
    }
}
