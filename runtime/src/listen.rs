//! Listen: where to listen instead, on a kernel without IPv6.
//!
//! In: an address, and why it cannot be listened on. Out: the same of IPv4, if `[::]` was meant as "everywhere" and the kernel has
//! no IPv6 (`ipv6.disable=1`). It must not turn an address that someone chose into a wider one. Pure: values only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// EAFNOSUPPORT of Linux, on all of its architectures that we are built for; `io::ErrorKind` has no word for it.
const NO_SUCH_FAMILY: i32 = 97;

/// Everywhere by IPv4, where everywhere by both families was refused for want of IPv6.
#[must_use]
pub fn instead(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let everywhere = address.is_ipv6() && address.ip().is_unspecified();
    (everywhere && error.raw_os_error() == Some(NO_SUCH_FAMILY))
        .then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_everywhere_by_ipv4_on_a_kernel_without_ipv6() {
        let missing = io::Error::from_raw_os_error(NO_SUCH_FAMILY);
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        let at = |text: &str, error| instead(text.parse().unwrap(), error);

        assert_eq!(at("[::]:9467", &missing), Some("0.0.0.0:9467".parse().unwrap()));
        assert_eq!(at("[::]:9467", &taken), None);
        assert_eq!(at("[::1]:9467", &missing), None, "an address that someone chose");
        assert_eq!(at("0.0.0.0:9467", &missing), None);
    }
}
