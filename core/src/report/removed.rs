//! What went away, by epoch, so that a delta can say "gone" explicitly.
//!
//! In: removals of the pass under way. Out: those after a given epoch, or the word that the log
//! does not reach back so far. It must not grow without bound.
//!
//! Pure: no I/O.

use crate::facts::ContainerId;
use crate::table::Epoch;
use std::collections::VecDeque;
use std::sync::Arc;

/// Epochs that the log reaches back: eight minutes of one a second.
const EPOCHS: usize = 512;
/// Entries in all: 1.5 MiB at 24 bytes.
const ENTRIES: usize = 65_536;

/// A record that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A connection, by id.
    Connection(u64),
    /// A listener, by id.
    Listener(u64),
    /// A flow, by id.
    Flow(u64),
    /// A process, by pid and start in nanoseconds since boot.
    Process(u32, u64),
    /// A container without a process.
    Container(ContainerId),
    /// A pod, by id.
    Pod(u64),
    /// A risk, by id.
    Risk(u64),
}

/// The log. Clones share the entries.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    sealed: VecDeque<(Epoch, Arc<[Removed]>)>,
    entries: usize,
    open: Vec<Removed>,
    /// The log knows every removal after this epoch.
    from: Epoch,
}

impl Removals {
    pub(super) fn push(&mut self, removed: Removed) {
        self.open.push(removed);
    }

    /// Entries of the epoch under way.
    pub(super) const fn count(&self) -> usize {
        self.open.len()
    }

    /// Closes the epoch.
    pub(super) fn seal(&mut self, epoch: Epoch) {
        if self.open.is_empty() {
            return;
        }
        self.entries += self.open.len();
        self.sealed.push_back((epoch, self.open.as_slice().into()));
        self.open.clear();
        while self.sealed.len() > EPOCHS || self.entries > ENTRIES {
            let Some((epoch, gone)) = self.sealed.pop_front() else { break };
            self.entries -= gone.len();
            self.from = epoch;
        }
    }

    /// Everything removed after `since`; `None` when the log does not reach back so far.
    #[must_use]
    pub fn since(&self, since: Epoch) -> Option<impl Iterator<Item = Removed> + '_> {
        let newer = self.sealed.iter().filter(move |(epoch, _)| *epoch > since);
        (since >= self.from).then(|| newer.flat_map(|(_, gone)| gone.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_gets_only_what_went_after_its_epoch() {
        let mut log = Removals::default();
        log.push(Removed::Connection(1));
        log.seal(1);
        log.push(Removed::Connection(2));
        log.seal(2);

        let gone: Vec<_> = log.since(1).unwrap().collect();

        assert_eq!(gone, [Removed::Connection(2)]);
    }

    #[test]
    fn a_log_that_forgot_says_so() {
        let mut log = Removals::default();
        for epoch in 1..=EPOCHS as u64 + 5 {
            log.push(Removed::Flow(epoch));
            log.seal(epoch);
        }

        assert!(log.since(2).is_none());
        assert!(log.since(10).is_some());
    }

    #[test]
    fn the_log_is_bounded_in_entries_too() {
        let mut log = Removals::default();
        for epoch in 1..=3 {
            (0..ENTRIES as u64 / 2).for_each(|id| log.push(Removed::Connection(id)));
            log.seal(epoch);
        }

        assert!(log.entries <= ENTRIES);
        assert!(log.since(0).is_none());
    }
}
