//! The addresses of the node's own network namespace: of its interfaces, bridges and tunnels.
//!
//! In: what `/proc/1/net` says. Out: addresses. A client on this node whose process was not seen, such as a
//! probe of the kubelet, is known by nothing else. It must not read without end: a table of routes may have a
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

/// The addresses that the namespace of the node's first process has, without loopback; none if they cannot be
/// read.
pub(crate) fn read(proc: &Path) -> Vec<IpAddr> {
    let net = proc.join("1/net");
    let mut found = BTreeSet::new();
    found.extend(v4(&head(&net.join("fib_trie"))).map(IpAddr::V4));
    found.extend(v6(&head(&net.join("if_inet6"))).map(IpAddr::V6));
    found.into_iter().collect()
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
        let local = line == "/32 host LOCAL";
        leaf.filter(|address: &Ipv4Addr| local && !address.is_loopback())
    })
}

fn v6(table: &str) -> impl Iterator<Item = Ipv6Addr> + '_ {
    table.lines().filter_map(|line| {
        let digits = line.split_ascii_whitespace().next().filter(|digits| digits.len() == 32)?;
        let address = Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?);
        // A link-local address means something on one link only.
        (!address.is_loopback() && !address.is_unicast_link_local()).then_some(address)
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

    #[test]
    fn bridges_count_and_loopback_and_broadcast_do_not() {
        let found: Vec<_> = v4(TRIE).map(|ip| ip.to_string()).collect();

        assert_eq!(found, ["10.244.1.1", "172.18.0.2"]);
    }

    #[test]
    fn addresses_of_a_link_are_nobodys() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fd00000000000000000000000000000a 02 40 00 80     eth0\n\
                     fe80000000000000b88d4bfffe3a5a01 02 40 20 80     eth0\n\
                     not an address\n";

        assert_eq!(v6(table).map(|ip| ip.to_string()).collect::<Vec<_>>(), ["fd00::a"]);
    }

    #[test]
    fn what_cannot_be_read_has_no_address() {
        assert_eq!(read(Path::new("/nonexistent")), Vec::<IpAddr>::new());
    }

    #[test]
    fn the_namespace_of_the_first_process_is_read() {
        let made = std::env::temp_dir().join(format!("probelet-addresses-{}", std::process::id()));
        std::fs::create_dir_all(made.join("1/net")).unwrap();
        std::fs::write(made.join("1/net/fib_trie"), TRIE).unwrap();

        let found = read(&made);

        std::fs::remove_dir_all(&made).unwrap();
        assert_eq!(found.len(), 2);
    }
}
