//! The addresses of the node: those of the network namespace of process 1, which with `hostPID` is the node's.
//!
//! In: `/proc/1/net`. Out: addresses; none if they cannot be determined. Without `hostPID` process 1 is the pod's own.
//!
//! I/O: two files, when asked.

use crate::serve::http::auth::network_is_a_pods_own;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The addresses. None where process 1 is on this very network: its addresses are then those of a pod, and a kubelet has
/// none of them.
pub(super) fn addresses() -> Vec<IpAddr> {
    if !network_is_a_pods_own() {
        return Vec::new();
    }
    read(Path::new("/proc/1/net"))
}

fn read(network: &Path) -> Vec<IpAddr> {
    let text = |name| fs::read_to_string(network.join(name)).unwrap_or_default();
    let mut all: Vec<IpAddr> = v4(&text("fib_trie")).into_iter().map(IpAddr::V4).collect();
    all.extend(v6(&text("if_inet6")).into_iter().map(IpAddr::V6));
    all
}

/// Of the kernel's table of routes those that are its own: `|-- ADDRESS` and a line `/32 host LOCAL` after it.
fn v4(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The first column: 32 hexadecimal digits.
fn v6(text: &str) -> Vec<Ipv6Addr> {
    let first = text.lines().filter_map(|line| line.split_whitespace().next());
    first.filter_map(|digits| u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.244.1.0/24 2 0 2
        |-- 10.244.1.0
           /24 link UNICAST
        |-- 10.244.1.1
           /32 host LOCAL
        |-- 10.244.1.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
     |-- 127.0.0.1
        /32 host LOCAL
";

    #[test]
    fn the_node_is_where_its_own_routes_are() {
        assert_eq!(v4(TRIE), [Ipv4Addr::new(10, 244, 1, 1), Ipv4Addr::LOCALHOST]);
        assert!(v4("Main:\n  |-- what\n /32 host LOCAL\n").is_empty());
    }

    #[test]
    fn addresses_of_ipv6_are_digits() {
        let text = "fd000000000000000000000000000001 02 40 00 80     eth0\nzz 01\n\n";

        assert_eq!(v6(text), ["fd00::1".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let own = read(Path::new("/proc/self/net"));

        assert!(own.contains(&Ipv4Addr::LOCALHOST.into()) || own.is_empty(), "{own:?}");
    }
}
