//! What the kernel remembers of how a socket was connected.
//!
//! In: what a source read of a socket and of its namespace. Out: evidence for the direction. It must
//! not hold a guess: what was not read is `Unknown`, or no range.
//!
//! Pure: no I/O.

/// How a socket came to be connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The source cannot tell, or the kernel did not keep it.
    #[default]
    Unknown,
    /// It came out of a listener.
    Accepted,
    /// This end called connect().
    Dialled,
}

/// The first and the last ephemeral port (`net.ipv4.ip_local_port_range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange(pub u16, pub u16);

impl Default for PortRange {
    fn default() -> Self {
        Self(32_768, 60_999)
    }
}

impl PortRange {
    /// A range that no one reported: no port is in it and none is out of it, so it is no evidence.
    pub const UNKNOWN: Self = Self(1, 0);

    /// The range that `first` and `last` make, if they make one.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self(first, last)) }
    }

    /// How many ports there are in it.
    #[must_use]
    pub const fn size(self) -> u64 {
        if self.0 > self.1 { 0 } else { (self.1 - self.0) as u64 + 1 }
    }

    /// Whether a port is ephemeral; `None` when the range is not known.
    #[must_use]
    pub const fn contains(self, port: u16) -> Option<bool> {
        if self.0 > self.1 { None } else { Some(self.0 <= port && port <= self.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_range_says_nothing_of_any_port() {
        assert_eq!(PortRange::UNKNOWN.contains(40_000), None);
        assert_eq!(PortRange::default().contains(40_000), Some(true));
        assert_eq!(PortRange::default().contains(80), Some(false));
        assert_eq!((PortRange::UNKNOWN.size(), PortRange(8, 8).size()), (0, 1));
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_none() {
        assert_eq!(PortRange::new(9, 8), None);
        assert_eq!(PortRange::new(0, 8), None);
        assert_eq!(PortRange::new(8, 8), Some(PortRange(8, 8)));
    }
}
