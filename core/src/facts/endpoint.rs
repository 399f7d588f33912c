//! An address and a port, as sockets have them.
//!
//! In: what the kernel gives. Out: one comparable form for both families, and the text people know.
//!
//! Pure: no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address and a port. IPv4 is kept v4-mapped (`::ffff:a.b.c.d`), so that a dual-stack
/// socket's v4 peer and a plain v4 socket's are equal; they are shown as IPv4. Packed to 18 bytes,
/// because a large node keeps hundreds of thousands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, packed(2))]
pub struct Endpoint {
    /// The address as an IPv6 number, most significant byte first (`u128::from(Ipv6Addr)`).
    pub addr: u128,
    /// The port, host order.
    pub port: u16,
}

/// An address alone. Packed as well: a number of this size would have each record that may hold one begin at a multiple of 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, packed(2))]
pub struct Address(
    /// As in [`Endpoint::addr`].
    pub u128,
);

impl Address {
    /// The address, IPv4 when it is v4-mapped.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }
}

const MAPPED: u128 = 0xffff << 32;

impl Endpoint {
    /// An IPv4 endpoint.
    #[must_use]
    pub const fn v4(addr: Ipv4Addr, port: u16) -> Self {
        Self { addr: MAPPED | addr.to_bits() as u128, port }
    }

    /// An IPv6 endpoint.
    #[must_use]
    pub const fn v6(addr: Ipv6Addr, port: u16) -> Self {
        Self { addr: addr.to_bits(), port }
    }

    /// The address without the port.
    #[must_use]
    pub const fn address(self) -> Address {
        Address(self.addr)
    }

    /// The address, IPv4 when it is v4-mapped.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.address().ip()
    }

    /// Whether the address is the wildcard of either family.
    #[must_use]
    pub const fn is_wildcard(self) -> bool {
        self.addr == 0 || self.addr == MAPPED
    }

    /// Whether the address is a v4 one.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.addr >> 32 == 0xffff
    }

    /// Whether both name no machine but this one (127.0.0.0/8 or ::1).
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.ip().is_loopback()
    }
}

impl std::fmt::Display for Endpoint {
    /// `ip:port` or `[ip6]:port`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SocketAddr::new(self.ip(), self.port).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_shown_as_ipv4() {
        let endpoint = Endpoint::v6("::ffff:10.0.0.1".parse().unwrap(), 80);

        assert_eq!(endpoint, Endpoint::v4(Ipv4Addr::new(10, 0, 0, 1), 80));
        assert_eq!(endpoint.to_string(), "10.0.0.1:80");
    }

    #[test]
    fn ipv6_endpoints_stand_in_brackets() {
        assert_eq!(
            Endpoint::v6("2001:db8::1".parse().unwrap(), 443).to_string(),
            "[2001:db8::1]:443"
        );
    }
}
