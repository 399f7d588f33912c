//! Where the agent listens: a port, or a socket in the file system.
//!
//! In: the text of a flag. Out: an [`Address`], or what to write instead. It must not look whether it can be listened on.
//!
//! Pure: no I/O.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The kernel's own bound on the path of a socket, and the byte that ends it.
const LONGEST: usize = 107;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At a port.
    Tcp(SocketAddr),
    /// At a file.
    Unix(PathBuf),
}

impl Address {
    /// Whether no one comes but from this machine.
    #[must_use]
    pub(crate) fn is_near(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The address, if it is one of the network.
    #[must_use]
    pub(crate) const fn of_network(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match Path::new(path) {
                path if path.is_absolute() && path.as_os_str().len() <= LONGEST => {
                    Ok(Self::Unix(path.to_owned()))
                }
                _ => Err(format!(
                    "give unix: and an absolute path of at most {LONGEST} bytes, such as unix:/run/probelet/agent.sock"
                )),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            "give an IP address with a port, such as 127.0.0.1:9466 or [::]:9466, or unix:/PATH, or off".to_owned()
        })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_a_file() {
        let address = |text: &str| text.parse::<Address>();

        assert_eq!(address("unix:/run/a.sock"), Ok(Address::Unix("/run/a.sock".into())));
        assert_eq!(address("[::]:9466").unwrap().to_string(), "[::]:9466");
        assert_eq!(address("unix:/a").unwrap().to_string(), "unix:/a");
        assert!(address("unix:/a").unwrap().is_near() && !address("[::]:1").unwrap().is_near());
        for bad in ["unix:", "unix:a.sock", &format!("unix:/{}", "a".repeat(LONGEST))] {
            assert!(address(bad).unwrap_err().contains("absolute path"), "{bad}");
        }
    }
}
