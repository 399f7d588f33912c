//! Ranges of addresses that people gave names to, and which of them an address is in.
//!
//! In: ranges with the number of their group. Out: the group of the narrowest range around an address. It must not cost
//! more with many ranges than with few: it is asked for every remote address that nothing else names.
//!
//! Pure: no I/O.

use std::net::IpAddr;

/// A range of addresses: all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    first: u128,
    last: u128,
    v4: bool,
}

impl Cidr {
    /// The range of the addresses that share the first `prefix` bits of `address`; further bits of it do not matter.
    /// IPv4 written as IPv6 is IPv4. `None` if the address has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (bits, width, prefix): (u128, u32, u8) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(v4)) if prefix >= 96 => {
                (v4.to_bits().into(), 32, prefix - 96)
            }
            (IpAddr::V6(v6), _) => (v6.to_bits(), 128, prefix),
            (IpAddr::V4(v4), _) => (v4.to_bits().into(), 32, prefix),
        };
        let host = width.checked_sub(prefix.into())?;
        let host = u128::MAX.checked_shr(128 - host).unwrap_or(0);
        Some(Self { first: bits & !host, last: bits | host, v4: width == 32 })
    }

    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, v4) = bits(address);
        v4 == self.v4 && (self.first..=self.last).contains(&bits)
    }
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.to_bits().into(), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

/// Finds the narrowest range around an address by one search among its borders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    v4: Vec<(u128, Option<u16>)>,
    v6: Vec<(u128, Option<u16>)>,
}

impl Table {
    /// A table of ranges and the number of the group of each. Of equal ranges the last one counts.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (Cidr, u16)>) -> Self {
        let (v4, v6) = ranges.into_iter().partition(|(range, _)| range.v4);
        Self { v4: borders(v4), v6: borders(v6) }
    }

    /// The group of the narrowest range that `address` is in.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<u16> {
        let (bits, v4) = bits(address);
        let borders = if v4 { &self.v4 } else { &self.v6 };
        let after = borders.partition_point(|&(border, _)| border <= bits);
        borders[..after].last()?.1
    }

    /// Whether there is no range in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Where another group begins, in order. Ranges nest or are apart, so that those which are open form a stack.
fn borders(mut ranges: Vec<(Cidr, u16)>) -> Vec<(u128, Option<u16>)> {
    ranges.sort_by_key(|(range, _)| (range.first, std::cmp::Reverse(range.last)));
    let mut borders = Vec::with_capacity(ranges.len() * 2);
    let mut open: Vec<(Cidr, u16)> = Vec::new();
    for (range, group) in ranges {
        close(&mut open, &mut borders, range.first);
        border(&mut borders, range.first, Some(group));
        open.push((range, group));
    }
    close(&mut open, &mut borders, u128::MAX);
    borders
}

/// Ends the ranges that are over before `at`.
fn close(open: &mut Vec<(Cidr, u16)>, borders: &mut Vec<(u128, Option<u16>)>, at: u128) {
    while let Some((range, _)) = open.pop_if(|(range, _)| range.last < at) {
        border(borders, range.last + 1, open.last().map(|&(_, group)| group));
    }
}

fn border(borders: &mut Vec<(u128, Option<u16>)>, at: u128, group: Option<u16>) {
    match borders.last_mut() {
        Some(last) if last.0 == at => last.1 = group,
        _ => borders.push((at, group)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        let (address, prefix) = text.split_once('/').unwrap();
        Cidr::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    fn find(table: &Table, address: &str) -> Option<u16> {
        table.find(address.parse().unwrap())
    }

    #[test]
    fn the_narrowest_range_wins_whatever_the_order() {
        let ranges = [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.3/32", 3), ("0.0.0.0/0", 4)];
        for turn in 0..ranges.len() {
            let mut ranges = ranges;
            ranges.rotate_left(turn);
            let table = Table::new(ranges.map(|(text, group)| (cidr(text), group)));

            let found = ["10.1.2.3", "10.1.2.4", "10.2.0.0", "11.0.0.0", "255.255.255.255"]
                .map(|address| find(&table, address));

            assert_eq!(found, [Some(3), Some(2), Some(1), Some(4), Some(4)]);
        }
    }

    #[test]
    fn families_do_not_mix_and_mapped_addresses_are_ipv4() {
        let table = Table::new([(cidr("::/0"), 6), (cidr("10.0.0.0/8"), 4)]);

        assert_eq!(find(&table, "::ffff:10.1.1.1"), Some(4));
        assert_eq!(find(&table, "11.1.1.1"), None);
        assert_eq!(find(&table, "::1"), Some(6));
        assert_eq!(find(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some(6));
        assert_eq!(cidr("::ffff:10.0.0.0/104"), cidr("10.0.0.0/8"));
    }

    #[test]
    fn bits_beyond_the_prefix_do_not_matter() {
        assert_eq!(cidr("192.168.7.9/16"), cidr("192.168.0.0/16"));
        assert!(cidr("192.168.7.9/16").contains("192.168.255.255".parse().unwrap()));
        assert!(!cidr("192.168.7.9/16").contains("192.169.0.0".parse().unwrap()));
    }

    #[test]
    fn a_prefix_longer_than_the_address_is_no_range() {
        assert_eq!(Cidr::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Cidr::new("::".parse().unwrap(), 129), None);
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert!(Table::default().is_empty());
        assert_eq!(find(&Table::default(), "10.0.0.1"), None);
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        // Few bits vary, so that ranges meet and nest.
        prop_oneof![
            (0_u32..4096).prop_map(|bits| IpAddr::V4((bits << 20 | bits).into())),
            (0_u128..64).prop_map(|bits| IpAddr::V6((bits << 122 | bits).into())),
        ]
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_look_at_every_range_finds(
            ranges in proptest::collection::vec((address(), 0_u8..=32), 0..40),
            asked in proptest::collection::vec(address(), 1..40),
        ) {
            let mut all: Vec<(Cidr, u16)> = Vec::new();
            for (group, (address, prefix)) in (0..).zip(ranges) {
                let range = Cidr::new(address, prefix).unwrap();
                all.retain(|(other, _)| *other != range);
                all.push((range, group));
            }
            let table = Table::new(all.clone());
            for address in asked {
                let around = all.iter().filter(|(range, _)| range.contains(address));
                let narrowest = around.min_by_key(|(range, _)| range.last - range.first);
                prop_assert_eq!(table.find(address), narrowest.map(|&(_, group)| group));
            }
        }
    }
}
