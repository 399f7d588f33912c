//! A range of addresses, as people write it: an address and how many of its bits count.
//!
//! In: text. Out: address and prefix. It must not look addresses up: that is the core crate's table.
//! Pure: values only.

use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The first address.
    pub address: IpAddr,
    /// How many of its bits all addresses share.
    pub prefix: u8,
}

/// Why a text is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CidrError {
    /// Neither an address nor one with a prefix.
    #[error("is not a range of addresses; write it like 10.0.0.0/8 or fd00::/8")]
    Shape,
    /// More bits than the address has.
    #[error("has a prefix that is too long; give at most /{0}")]
    Prefix(u8),
    /// The address is in the middle of the range: one of the two is a mistake.
    #[error("does not begin at its first address; write {first}/{prefix}")]
    HostBits {
        /// Where it begins.
        first: IpAddr,
        /// As written.
        prefix: u8,
    },
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError::Shape)?;
        let address: IpAddr = address.parse().map_err(|_| CidrError::Shape)?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u16 =
            prefix.parse().ok().filter(|_| digits && prefix.len() <= 3).ok_or(CidrError::Shape)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = u8::try_from(prefix).ok().filter(|&prefix| prefix <= width);
        let prefix = prefix.ok_or(CidrError::Prefix(width))?;
        let first = first(address, prefix);
        if first == address {
            Ok(Self { address, prefix })
        } else {
            Err(CidrError::HostBits { first, prefix })
        }
    }
}

fn first(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & !host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & !host).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, u8), String> {
        let cidr: Result<Cidr, _> = text.parse();
        cidr.map(|cidr| (cidr.address.to_string(), cidr.prefix)).map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_of_both_families_are_read() {
        for (text, address, prefix) in [
            ("10.0.0.0/8", "10.0.0.0", 8),
            ("0.0.0.0/0", "0.0.0.0", 0),
            ("192.0.2.1/32", "192.0.2.1", 32),
            ("fd00::/8", "fd00::", 8),
            ("::/0", "::", 0),
            ("2001:db8::1/128", "2001:db8::1", 128),
        ] {
            assert_eq!(parse(text), Ok((address.to_owned(), prefix)));
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_one_looks_like() {
        for text in ["", "10.0.0.0", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "a/8", "10.0.0.0/8/8"]
        {
            assert_eq!(parse(text), Err(CidrError::Shape.to_string()), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_reported_with_what_would_be_right() {
        assert_eq!(
            parse("10.0.0.0/33"),
            Err("has a prefix that is too long; give at most /32".to_owned())
        );
        assert_eq!(
            parse("10.1.2.3/16"),
            Err("does not begin at its first address; write 10.1.0.0/16".to_owned())
        );
        assert_eq!(
            parse("fd00::1/64"),
            Err("does not begin at its first address; write fd00::/64".to_owned())
        );
    }
}
