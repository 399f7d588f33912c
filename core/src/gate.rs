//! The change gate: equal counters mean an equal socket list, so nothing needs to be read.
//!
//! In: the netns counters of this pass. Out: whether any namespace moved since sockets were last
//! read. It must not look at sockets: that is what it saves.
//!
//! The counters are those of `net/ipv4/tcp.c` (ActiveOpens, PassiveOpens, EstabResets, CurrEstab)
//! and `net/core/sock.c` (sockets in use); every open, accept, close and reset moves one of them.
//! What moves none (a state change inside a connection, one UDP socket for another, a socket handed to
//! another process) is found by the unconditional pass every `intervals.bytes`, and sooner when a process
//! with sockets ended, began, runs another program or has fewer open files (`Report::handed_over`).
//!
//! Pure: no I/O, no clock.

use crate::facts::Netns;

/// The counters as they were when sockets were last read.
#[derive(Debug, Default)]
pub struct Gate {
    last: Vec<Netns>,
    armed: bool,
}

impl Gate {
    /// Whether the sockets must be read: any counter moved, a namespace came or went, or nothing
    /// was ever read.
    #[must_use]
    pub fn moved(&self, now: &[Netns]) -> bool {
        // Sources list namespaces in a stable order, so a plain comparison suffices; a mere change
        // of order costs one needless pass and no more.
        !self.armed || self.last != now
    }

    /// Remembers the counters that belong to the sockets just read.
    pub fn arm(&mut self, now: &[Netns]) {
        self.last.clear();
        self.last.extend_from_slice(now);
        self.armed = true;
    }

    /// Forgets everything: the next look says "moved".
    pub const fn disarm(&mut self) {
        self.armed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn netns(inode: u32, opens: u64) -> Netns {
        Netns { inode, active_opens: opens, ..Netns::default() }
    }

    #[test]
    fn the_first_look_says_moved() {
        assert!(Gate::default().moved(&[]));
    }

    #[test]
    fn equal_counters_do_not_move_the_gate() {
        let mut gate = Gate::default();
        gate.arm(&[netns(1, 5)]);

        assert!(!gate.moved(&[netns(1, 5)]));
    }

    #[test]
    fn one_connection_moves_the_gate() {
        let mut gate = Gate::default();
        gate.arm(&[netns(1, 5), netns(2, 0)]);

        assert!(gate.moved(&[netns(1, 5), netns(2, 1)]));
    }

    #[test]
    fn a_namespace_that_went_moves_the_gate() {
        let mut gate = Gate::default();
        gate.arm(&[netns(1, 5), netns(2, 0)]);

        assert!(gate.moved(&[netns(1, 5)]));
    }
}
