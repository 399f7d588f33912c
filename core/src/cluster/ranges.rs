//! Which addresses may be those of the cluster although nothing names them.
//!
//! In: the addresses of this node's pods. Out: whether another address may be a pod's or a node's. Most clusters are
//! made of private addresses. Those of IPv6 mostly are not, nor are all of IPv4: there the pods of this node show which
//! ranges the cluster has. It must not take the neighbours of a node with a public address for the cluster's: they are
//! anybody, so pods on the host network show nothing.
//!
//! Pure: no I/O.

use super::{Cluster, address};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What is given to one site: the network of a cloud's customer has so many bits, and a subnet for each zone.
const V6_BITS: u32 = 56;
/// Pods of one cluster share so many bits at least; it has a thousand nodes of 64 pods there.
const V4_BITS: u32 = 16;
/// Ranges that are remembered: a cluster has one or two.
const MOST: usize = 64;

/// The ranges that pods of this node are in, as far as they are not private.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeSet<u128>);

impl Ranges {
    /// A pod of this node has this address, and no one else. Whether that shows a range that was not known.
    pub(super) fn learn(&mut self, ip: IpAddr) -> bool {
        let usual = private(ip) || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
        !usual && self.0.len() < MOST && self.0.insert(range(ip))
    }

    fn has(&self, ip: IpAddr) -> bool {
        !self.0.is_empty() && self.0.contains(&range(ip))
    }
}

impl Cluster {
    /// Whether an address may be a pod's or a node's of this cluster.
    pub(super) fn may_have(&self, ip: IpAddr) -> bool {
        private(ip) || self.pods.ranges.has(ip)
    }
}

fn range(ip: IpAddr) -> u128 {
    let rest = match ip {
        IpAddr::V4(_) => 32 - V4_BITS,
        IpAddr::V6(_) => 128 - V6_BITS,
    };
    address(ip) >> rest << rest
}

/// Addresses that no one has in the Internet: RFC 1918, RFC 6598, RFC 2544, unique local ones, and those that were
/// kept for later (240.0.0.0/4), which clouds hand out to pods.
fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmarks = a == 198 && (18..20).contains(&b);
            v4.is_private() || shared || benchmarks || (a >= 240 && !v4.is_broadcast())
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_no_one_has_in_the_internet_may_be_the_clusters() {
        for inside in ["10.0.0.1", "100.64.0.1", "198.19.0.1", "240.0.0.1", "fd00::1"] {
            assert!(private(ip(inside)), "{inside}");
        }
        for outside in
            ["100.128.0.1", "198.20.0.1", "239.255.0.1", "255.255.255.255", "2001:db8::1"]
        {
            assert!(!private(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_range_is_learnt_once_and_ranges_are_bounded() {
        let mut ranges = Ranges::default();

        assert!(ranges.learn(ip("34.118.16.5")) && !ranges.learn(ip("34.118.200.5")));
        assert!(ranges.has(ip("34.118.1.1")) && !ranges.has(ip("34.119.1.1")));
        assert!(!ranges.learn(ip("10.1.0.5")) && !ranges.learn(ip("::1")));
        for n in 0..200 {
            ranges.learn(ip(&format!("2600:{n:x}::1")));
        }
        assert_eq!(ranges.0.len(), MOST);
    }
}
