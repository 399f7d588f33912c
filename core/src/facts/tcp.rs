//! What TCP itself keeps of a socket: how its connection fares, or who waits at its listener.
//!
//! In: numbers of the kernel. Out: the same numbers in the units of `TCP_INFO`, and by how much they grew.
//! It must not judge them.
//!
//! Pure: no I/O.

/// What TCP keeps of a socket, as far as a source reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tcp {
    /// Nothing was read: no TCP socket, or the source does not say.
    #[default]
    Unknown,
    /// Of a connection.
    Quality(Quality),
    /// Of a listener.
    Queue(Queue),
}

impl Tcp {
    /// How the connection fares.
    #[must_use]
    pub const fn quality(self) -> Option<Quality> {
        if let Self::Quality(quality) = self { Some(quality) } else { None }
    }

    /// Who waits at the listener.
    #[must_use]
    pub const fn queue(self) -> Option<Queue> {
        if let Self::Queue(queue) = self { Some(queue) } else { None }
    }
}

/// How a connection fares, as `ss -ti` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Smoothed round-trip time, microseconds; 0 before the first measurement.
    pub rtt_us: u32,
    /// Segments sent again, SYNs included.
    pub retransmitted: u32,
    /// Segments sent with data, those sent again included.
    pub segments: u32,
}

impl Quality {
    /// The kernel keeps the round-trip time in eighths.
    #[must_use]
    pub const fn from_eighths(rtt: u32, retransmitted: u32, segments: u32) -> Self {
        Self { rtt_us: rtt >> 3, retransmitted, segments }
    }

    /// Segments sent, and sent again, since `before` was read of the same connection. The kernel's counts
    /// go round.
    #[must_use]
    pub const fn since(self, before: Self) -> (u32, u32) {
        let sent = grown(self.segments, before.segments);
        (sent, grown(self.retransmitted, before.retransmitted))
    }
}

/// What goes backwards by half of all numbers is another socket's count and not one that went round.
const fn grown(now: u32, before: u32) -> u32 {
    let by = now.wrapping_sub(before);
    if by < 1 << 31 { by } else { 0 }
}

/// Connections that wait for `accept()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many there are.
    pub waiting: u32,
    /// How many may be: the kernel turns further ones away.
    pub most: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_goes_round_has_grown_and_one_that_fell_has_not() {
        let at = |segments| Quality { segments, ..Quality::default() };

        assert_eq!(at(3).since(at(u32::MAX - 1)).0, 5);
        assert_eq!(at(3).since(at(100)).0, 0);
    }

    #[test]
    fn the_round_trip_time_is_an_eighth_of_what_the_kernel_keeps() {
        assert_eq!(Quality::from_eighths(407, 1, 2).rtt_us, 50);
    }
}
