//! `NO_PROXY`: servers that are asked directly.
//!
//! In: the list, and a host with its port. Out: whether it is excepted, by the rules of Go's `httpproxy`, which client-go
//! goes by: `*`, addresses, ranges, names with everything below them (`example.com`), only what is below (`.example.com`,
//! `*.example.com`), each but ranges with a port if wanted. This machine is always excepted. Pure: text only.

use std::net::IpAddr;

use super::{bare, split};

/// The list.
#[derive(Debug, Clone, Default)]
pub(super) struct Exceptions {
    all: bool,
    addresses: Vec<(IpAddr, String)>,
    ranges: Vec<(IpAddr, u8)>,
    names: Vec<Name>,
}

#[derive(Debug, Clone)]
struct Name {
    /// With the dot before it.
    suffix: String,
    /// The name itself as well.
    itself: bool,
    port: String,
}

impl Exceptions {
    /// Reads the list; what makes no sense excepts nothing.
    pub(super) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for word in text.split(',') {
            let word = word.trim().to_ascii_lowercase();
            if word == "*" {
                all.all = true;
            } else if let Some(range) = range(&word) {
                all.ranges.push(range);
            } else {
                all.single(&word);
            }
        }
        all
    }

    fn single(&mut self, word: &str) {
        if let Ok(address) = bare(word).parse::<IpAddr>() {
            return self.addresses.push((address.to_canonical(), String::new()));
        }
        let Some((host, port)) = split(word) else { return };
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.push((address.to_canonical(), port.to_owned()));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let itself = !host.starts_with('.');
        let suffix = if itself { format!(".{host}") } else { host.to_owned() };
        if suffix.len() > 1 {
            self.names.push(Name { suffix, itself, port: port.to_owned() });
        }
    }

    /// Whether a server is asked directly.
    pub(super) fn hold(&self, host: &str, port: u16) -> bool {
        let host = bare(host).trim().to_ascii_lowercase();
        if self.all || host == "localhost" {
            return true;
        }
        let port = port.to_string();
        let fits = |wanted: &str| wanted.is_empty() || wanted == port;
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback()
                || self.addresses.iter().any(|(one, port)| *one == address && fits(port))
                || self.ranges.iter().any(|range| contains(*range, address));
        }
        self.names.iter().any(|name| {
            let below = host.ends_with(&name.suffix);
            (below || (name.itself && host == name.suffix[1..])) && fits(&name.port)
        })
    }
}

fn range(word: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = word.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn contains((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    // A shift by all bits is none.
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differ = u32::from(network) ^ u32::from(address);
            differ.checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differ = u128::from(network) ^ u128::from(address);
            differ.checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(list: &str, host: &str) -> bool {
        Exceptions::parse(list).hold(host, 6443)
    }

    /// The table of Go's own test of `httpproxy`, as far as it is about hosts.
    #[test]
    fn the_list_means_what_it_means_to_go() {
        let list = "foo.com, .sub.example ,192.168.1.1,10.0.0.0/8,[::2],2001:db8::/32,\
             bar.com:6443,other.com:80,*.wild.net,172.16.0.9:6443,172.16.0.8:80";
        for (host, expected) in [
            ("foo.com", true),
            ("a.foo.com", true),
            ("FOO.com", true),
            ("foofoo.com", false),
            ("sub.example", false),
            ("a.sub.example", true),
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::2", true),
            ("[::2]", true),
            ("::3", false),
            ("2001:db8:1::1", true),
            ("[2001:db9::1]", false),
            ("bar.com", true),
            ("other.com", false),
            ("wild.net", false),
            ("x.wild.net", true),
            ("172.16.0.9", true),
            ("172.16.0.8", false),
            ("::ffff:192.168.1.1", true),
        ] {
            assert_eq!(direct(list, host), expected, "{host}");
        }
    }

    #[test]
    fn this_machine_is_always_asked_directly() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(direct("", host), "{host}");
        }
        assert!(!direct("", "localhost.example.com"));
    }

    #[test]
    fn a_star_is_everything_and_nonsense_is_nothing() {
        assert!(direct("foo.com,*", "x.y"));
        for nonsense in ["", ",", " , ", ".", ":6443", "*.", "10.0.0.0/33", "a:b:c", "x/8"] {
            assert!(!direct(nonsense, "x.y"), "{nonsense}");
            assert!(!direct(nonsense, "10.0.0.1"), "{nonsense}");
        }
        assert!(direct("0.0.0.0/0", "8.8.8.8") && !direct("0.0.0.0/0", "2001:db8::1"));
    }
}
